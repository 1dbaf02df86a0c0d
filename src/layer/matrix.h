/* A packed weight matrix for a set of groups, on the device; the layout is drawn in cl/panel.clh. */
#ifndef CLMOE_LAYER_MATRIX_H
#define CLMOE_LAYER_MATRIX_H

#include "stages.h"

#define CLMOE__SHARDS 8

typedef struct clmoe__matrix {
    uint32_t groups, in_features, out_features; /* out_features: of y, so I for a gated matrix of 2I rows */
    int gated;                                  /* panels hold gate and up halves */
    int in_parts;                               /* 1, gated: the halves are one matrix, its values rounded to `format`
                                                 * and what rounding left of them; y is the sum */
    uint32_t format, arithmetic, lanes;
    uint32_t panels;           /* a group */
    uint64_t panel_bytes;      /* of one panel */
    uint64_t panels_per_shard; /* groups * panels are cut into shards of this many */
    uint32_t shard_count;
    clmoe__block shards[CLMOE__SHARDS];
    clmoe__block bias; /* f32 [groups][panels][2 * lanes]; mem NULL: none */
} clmoe__matrix;

/* Where a tensor's rows go: row r of the stored tensor is column (r - row_begin) / row_step of y, in these lanes of a
 * panel. */
typedef struct clmoe__matrix_part {
    const clmoe_tensor *tensor;
    const clmoe_tensor *bias; /* may be absent */
    uint32_t stored_rows;     /* of the tensor: 2I when gate and up share it */
    uint32_t row_begin, row_step;
    uint32_t lane_begin, lane_count;
    const char *name, *bias_name; /* for messages and the released callback */
    int last_reader;              /* 1: nobody reads the tensor after this part, so it may be released */
    int is_rest;                  /* 1: of each value what rounding it to the matrix's format left */
} clmoe__matrix_part;

/* Sets the shape (fields down to lanes are given), and how many bytes the shards and, with has_bias, the bias take;
 * none of them has memory. any_size: also where they exceed what the device allows. */
clmoe_status clmoe__matrix_plan(const clmoe_context *context, clmoe__matrix *matrix, int has_bias, int any_size,
                                clmoe_error *error);
/* The same, and allocates them. */
clmoe_status clmoe__matrix_create(clmoe_context *context, clmoe__matrix *matrix, int has_bias, clmoe_error *error);
void clmoe__matrix_destroy(clmoe_context *context, clmoe__matrix *matrix);
uint64_t clmoe__matrix_bytes(const clmoe__matrix *matrix);
/* What a matrix would take without columns and values of k that fill up panels; the bias likewise. */
uint64_t clmoe__matrix_bytes_unpadded(const clmoe__matrix *matrix);

/* What the tensors of a projection are called, for messages and the released callback. */
typedef struct clmoe__matrix_names {
    const char *gate, *gate_bias, *up, *up_bias;
} clmoe__matrix_names;

/* The parts of a matrix from the tensors of a gated or plain projection. Returns how many (1 or 2). */
uint32_t clmoe__matrix_parts(const clmoe__matrix *matrix, uint32_t gate_up, const clmoe_tensor *gate,
                             const clmoe_tensor *up, const clmoe_tensor *gate_bias, const clmoe_tensor *up_bias,
                             const clmoe__matrix_names *names, clmoe__matrix_part parts[2]);
/* Checks those tensors: shapes, sources, that what the arrangement leaves out is absent, that both halves have a bias
 * or none has. */
clmoe_status clmoe__projection_check(const clmoe_context *context, uint32_t groups, uint32_t in_features,
                                     uint32_t out_features, int gated, uint32_t gate_up, const clmoe_tensor *gate,
                                     const clmoe_tensor *up, const clmoe_tensor *gate_bias, const clmoe_tensor *up_bias,
                                     const clmoe__matrix_names *names, clmoe_error *error);

/* UNSUPPORTED, naming the matrix, unless these tensors (gate may be absent) can be kept in `format`.
 * (weights_plan.c) */
clmoe_status clmoe__kept_check(uint32_t format, const clmoe_tensor *gate, const clmoe_tensor *up, uint32_t in_features,
                               const char *name, clmoe_error *error);

/* UNSUPPORTED, naming the matrix, unless this tensor can be kept in parts. (weights_plan.c) */
clmoe_status clmoe__parts_check(const clmoe_tensor *tensor, const char *name, clmoe_error *error);

/* UNSUPPORTED, naming the matrix, unless CLMOE_F8_B128 takes the scales of these tensors (gate may be absent), which
 * are CLMOE_F8_E4M3. Of the shape, the fields down to gated are read. (e4m3.c) */
clmoe_status clmoe__e4m3_check(const clmoe__matrix *shape, uint32_t gate_up, const clmoe_tensor *gate,
                               const clmoe_tensor *up, const char *name, clmoe_error *error);

/* What packing a set of matrices needs: at most 64 MiB of staging, and whom to tell. (pack.c) */
typedef struct clmoe__packer {
    clmoe_context *context;
    clmoe__block staging;                                              /* starts empty */
    void (*released)(void *user, const char *tensor, uint32_t expert); /* may be NULL */
    void *released_user;
    clmoe__block scales; /* staging of scales; starts empty */
    clmoe__block blocks; /* of quantised rows; starts empty */
    int only_plans;      /* 1: matrices get their sizes, but neither memory nor values */
} clmoe__packer;
void clmoe__packer_destroy(clmoe__packer *packer);
/* Creates a matrix (shape given down to lanes) and packs checked tensors into it. Nothing remains on failure. */
clmoe_status clmoe__projection_create(clmoe__packer *packer, clmoe__matrix *matrix, uint32_t gate_up,
                                      const clmoe_tensor *gate, const clmoe_tensor *up, const clmoe_tensor *gate_bias,
                                      const clmoe_tensor *up_bias, const clmoe__matrix_names *names,
                                      clmoe_error *error);
/* Packs all parts of a matrix (1 or 2) and their biases; tensors were checked. Finished when it returns. */
clmoe_status clmoe__pack(clmoe__packer *packer, clmoe__matrix *matrix, const clmoe__matrix_part *parts, uint32_t count,
                         clmoe_error *error);

#endif
