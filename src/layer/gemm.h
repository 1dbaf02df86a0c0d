/* The grouped GEMM inside the library: one packed matrix, one variant, ready to launch on an open run. The layer, the logits
 * stage and the public grouped_gemm stage are all made of it. */
#ifndef CLMOE_LAYER_GEMM_H
#define CLMOE_LAYER_GEMM_H

#include "formats.h"
#include "matrix.h"
#include "select/gemm_variants.h"

/* What y = epilogue(x . W^T) is wanted. */
typedef struct clmoe__gemm_spec {
    const clmoe__matrix *matrix;        /* borrowed: outlives the GEMM */
    const clmoe_activation *activation; /* NULL: none */
    const clmoe__gemm_choice *choice;
    cl_mem scales[2];   /* f32 [groups]: factors on the products with a panel's first and second half; NULL: 1 */
    uint32_t tile_rows; /* of the plan; 0: the choice's */
    uint32_t x_format;
    uint32_t y_format;
    int x_is_operand; /* 1: the input is another GEMM's y with y_is_operand; 0: rows */
    int x_is_apart;   /* 1: y never overlaps x, so a row that needs no gathering may be read while y is written */
    int y_is_operand; /* 1: write y as the input of the next GEMM, to which it hands over */
    const clmoe__matrix *next; /* its matrix */
    uint32_t slots;   /* as in clmoe_grouped_gemm_desc */
    int weighted;     /* 1: each row of x is multiplied by its slot's weight */
    const char *stage;
} clmoe__gemm_spec;

typedef struct clmoe__gemm {
    clmoe__gemm_choice choice;
    const clmoe__matrix *matrix;
    int x_is_operand;
    cl_mem scales[2];
    int row_is_operand;        /* one row of x is a packed row as it stands */
    uint32_t run_panels;       /* a work-group of the cpu macro-kernel does */
    uint32_t x_bytes, y_bytes; /* of an element */
    clmoe__kernel gather;      /* cpu macro-kernel with the caller's x only */
    clmoe__kernel multiply;
} clmoe__gemm;

typedef struct clmoe__gemm_io {
    uint32_t tokens;
    uint32_t max_rows; /* bound on rows; without a plan: tokens */
    clmoe_buffer token_count;
    clmoe_buffer plan; /* absent: one group of all tokens */
    const clmoe_plan_layout *layout;
    clmoe_buffer x; /* the caller's rows, or with x_is_operand what the previous GEMM wrote */
    uint64_t x_stride;
    clmoe_buffer weight;
    clmoe_buffer operand; /* room of clmoe__gemm_operand_bytes for gathered rows; unused with x_is_operand */
    clmoe_buffer y;
    uint64_t y_stride;
} clmoe__gemm_io;

/* The best variant for these weights that passes device facts and self-test. `refused` receives why better ones did not,
 * a line each. (gemm_choose.c) */
clmoe_status clmoe__gemm_choose(clmoe_context *context, uint32_t format, uint32_t arithmetic,
                                clmoe__gemm_choice *choice, char *refused, size_t capacity, clmoe_error *error);
const char *clmoe__arithmetic_name(uint32_t arithmetic);
/* UNSUPPORTED if weights kept in this format cannot be multiplied so. */
clmoe_status clmoe__arithmetic_check(uint32_t format, uint32_t arithmetic, clmoe_error *error);
/* The arithmetic AUTO stands for. */
clmoe_status clmoe__arithmetic_choose(clmoe_context *context, uint32_t format, uint32_t *arithmetic,
                                      clmoe_error *error);
/* Runs a small product through a variant, packing included, and compares with double precision. (self_test.c) */
clmoe_status clmoe__gemm_self_test(clmoe_context *context, const clmoe__gemm_choice *choice, uint32_t format,
                                   uint32_t arithmetic, int *passed, clmoe_error *error);

/* Whether a GEMM with matrix and choice `first` can write y as the operand of one with `second`, without a gather between. */
int clmoe__gemm_hands_over(const clmoe__matrix *first, const clmoe__gemm_choice *first_choice,
                           const clmoe__matrix *second, const clmoe__gemm_choice *second_choice);
clmoe_status clmoe__gemm_create(clmoe_context *context, const clmoe__gemm_spec *spec, clmoe__gemm *gemm,
                                clmoe_error *error);
void clmoe__gemm_destroy(clmoe_context *context, clmoe__gemm *gemm);
/* Bytes its input takes as an operand: gathered rows, or the previous GEMM's y. */
uint64_t clmoe__gemm_operand_bytes(const clmoe__gemm *gemm, uint64_t rows);
/* Whether the caller's x passes through the operand buffer before it is multiplied. */
int clmoe__gemm_gathers(const clmoe__gemm *gemm);
void clmoe__gemm_launch(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io);

#endif
