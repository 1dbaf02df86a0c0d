/* The grouped GEMM inside the library: one packed matrix, one variant, ready to launch on an open run. The layer, the
 * logits stage and the public grouped_gemm stage are all made of it. */
#ifndef CLMOE_LAYER_GEMM_H
#define CLMOE_LAYER_GEMM_H

#include "formats.h"
#include "matrix.h"
#include "select/gemm_variants.h"

#define CLMOE__DIRECT_SLOTS 64 /* of cl/gpu_rows.clh */

#define CLMOE__MAX_GROUPS 1024u /* that a layer's matrix may have */

/* What y = epilogue(x . W^T) is wanted. */
typedef struct clmoe__gemm_spec {
    const clmoe__matrix *matrix;        /* borrowed: outlives the GEMM */
    const clmoe_activation *activation; /* NULL: none */
    const clmoe__gemm_choice *choice;
    const char *row_from; /* where its numbers come from; NULL: shipped */
    cl_mem scales[2];   /* f32 [groups]: factors on the products with a panel's first and second half; NULL: 1 */
    uint32_t tile_rows; /* of the plan; 0: the choice's */
    uint32_t full_tiles; /* as the plan's dispatch has it */
    uint32_t x_format;
    uint32_t y_format;
    int x_is_operand; /* 1: the input is another GEMM's y with y_is_operand; 0: rows */
    int x_is_apart;   /* 1: y never overlaps x, so a row that needs no gathering may be read while y is written */
    int y_is_operand; /* 1: write y as the input of the next GEMM, to which it hands over */
    const clmoe__matrix *next; /* its matrix */
    const clmoe_combine *combine; /* cpu macro-kernel: what may follow for one token, borrowed; NULL: nothing */
    uint32_t slots;   /* as in clmoe_grouped_gemm_desc */
    uint32_t classes; /* cpu macro-kernel: of a dispatch that may be done with the gather; 0: none */
    int weighted;     /* 1: each row of x is multiplied by its slot's weight */
    const char *stage;
} clmoe__gemm_spec;

typedef struct clmoe__gemm {
    clmoe__gemm_choice choice;
    char row_from[256];
    const clmoe__matrix *matrix;
    int x_is_operand;
    cl_mem scales[2];
    uint32_t slots;
    int weighted;
    int shares_row;            /* where x has one row, all groups read it */
    int row_is_operand;        /* and that row of x is a packed row as it stands */
    uint32_t span_panels;      /* SPAN_PANELS of cl/gemm_cpu.cl */
    const clmoe_combine *combine; /* that its kernel can do for one token; NULL: none */
    uint32_t x_format, x_bytes, y_bytes; /* bytes of an element */
    const char *stage;         /* clblast macro-kernel */
    int has_epilogue;          /* clblast macro-kernel: multiply finishes its products; 0: they are finished */
    clmoe__kernel gather;      /* makes the operand, where clmoe__gemm_gathers */
    int dispatches;            /* there is dispatch_gather: makes the plan of few slots too */
    clmoe__kernel dispatch_gather;
    clmoe__kernel multiply;
    clmoe__kernel few; /* gpu macro-kernel: of groups with few rows */
} clmoe__gemm;

typedef struct clmoe__gemm_io {
    uint32_t tokens;
    uint32_t max_rows; /* bound on rows; without a plan: tokens */
    clmoe_buffer token_count;
    clmoe_buffer plan; /* absent: one group of all tokens, or what index says */
    /* gpu macro-kernel without a plan: int32 [tokens, index_slots], at most CLMOE__DIRECT_SLOTS of them. Slots that
     * name an expert from first_expert on are its rows, others none; a slot is its row in x (with spec.slots: of its
     * token) and in y. */
    clmoe_buffer index;
    uint32_t index_slots, first_expert;
    /* With index, or absent: int32 [tokens, index_slots], the slot where it has a row, else -1. With slot_row, or
     * absent: int32 [classes], how many slots name each class, added to what is there or in its place. */
    clmoe_buffer slot_row, load;
    uint32_t classes, load_accumulate;
    const clmoe_plan_layout *layout;
    const int32_t *offsets; /* clblast macro-kernel with a plan: [groups + 1] of it, on the host */
    clmoe_buffer x; /* the caller's rows, or with x_is_operand what the previous GEMM wrote */
    uint64_t x_stride;
    clmoe_buffer weight;
    clmoe_buffer operand; /* room of clmoe__gemm_operand_bytes, where clmoe__gemm_gathers */
    int is_gathered;      /* 1: the rows are in operand already */
    clmoe_buffer y;
    uint64_t y_stride;
    const clmoe_combine_io *combine; /* of one token, where the GEMM combines; NULL: somebody else does */
} clmoe__gemm_io;

/* The best variant for these weights that passes device facts and self-test. `refused` receives why better ones did
 * not, a line each. (gemm_choose.c) */
clmoe_status clmoe__gemm_choose(clmoe_context *context, uint32_t format, uint32_t arithmetic,
                                clmoe__gemm_choice *choice, char *refused, size_t capacity, clmoe_error *error);
/* Whether a variant with these numbers passes its self-test, now or earlier. (gemm_choose.c) */
clmoe_status clmoe__gemm_prove(clmoe_context *context, const clmoe__gemm_choice *choice, uint32_t format,
                               uint32_t arithmetic, int *passed, clmoe_error *error);
/* The choice for a matrix with a row of tuning's numbers, if there is one that is good; `from`: where they come from.
 * (gemm_tune.c) */
clmoe_status clmoe__gemm_tuned(clmoe_context *context, const clmoe__matrix *matrix, const clmoe__gemm_choice *shipped,
                               clmoe__gemm_choice *choice, char *from, size_t capacity, clmoe_error *error);
/* The variant for this matrix, of which groups and sizes, format and arithmetic are given: one that does not keep the
 * order of summation where it is preferred by name, or where variance is allowed and a row of tuning says that it was
 * measured faster than the library's own; else as above. (gemm_choose.c) */
clmoe_status clmoe__gemm_choose_for(clmoe_context *context, const clmoe__matrix *matrix, int allow_variance,
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

/* Whether a GEMM with matrix and choice `first` can write y as the operand of one with `second`, without a gather
 * between. */
int clmoe__gemm_hands_over(const clmoe__matrix *first, const clmoe__gemm_choice *first_choice,
                           const clmoe__matrix *second, const clmoe__gemm_choice *second_choice);
clmoe_status clmoe__gemm_create(clmoe_context *context, const clmoe__gemm_spec *spec, clmoe__gemm *gemm,
                                clmoe_error *error);
void clmoe__gemm_destroy(clmoe_context *context, clmoe__gemm *gemm);
/* Bytes its input takes as an operand: gathered rows, or tokens where those are converted once for all their rows, or
 * the previous GEMM's y. */
uint64_t clmoe__gemm_operand_bytes(const clmoe__gemm *gemm, uint64_t tokens, uint64_t rows);
/* Whether the caller's x passes through the operand buffer before it is multiplied. */
int clmoe__gemm_gathers(const clmoe__gemm *gemm);
/* Whether one token's row, packed, must be in the operand buffer. */
int clmoe__gemm_needs_row(const clmoe__gemm *gemm);
void clmoe__activation_options(const clmoe_activation *activation, clmoe__options *options);
/* The gather in one launch with the dispatch whose plan io has; io.is_gathered is for the launch that follows. */
void clmoe__gemm_dispatch_gather(clmoe__run *run, clmoe__gemm *gemm, const clmoe_dispatch *dispatch,
                                 const clmoe_dispatch_io *plan, const clmoe__gemm_io *io);
/* What two GEMMs of one plan need in io.offsets: NULL, or the plan's offsets, copied to `room` of their groups + 1, for
 * which the host waits. (gemm_clblast.c) */
const int32_t *clmoe__gemm_offsets(clmoe__run *run, const clmoe__gemm *first, const clmoe__gemm *second,
                                   const clmoe__gemm_io *io, int32_t *room);
void clmoe__gemm_launch(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io);

/* What launches of all macro-kernels share: how many tiles of rows there may be, and the arguments from the weights to
 * the matrix's sizes. */
uint64_t clmoe__gemm_tiles_bound(const clmoe__gemm *gemm, const clmoe__gemm_io *io);
void clmoe__gemm_arguments(clmoe__run *run, const clmoe__gemm *gemm, const clmoe__gemm_io *io);
void clmoe__plan_arguments(clmoe__run *run, const clmoe__gemm_io *io); /* plan, token_count, tokens */
/* The cpu macro-kernel's options, those of gather.clh, gather and launches; bytes of a packed row of cl/int8_rows.clh:
 * for each run of 32 values their bytes, the scale of 128, and a word for each scale of the weights. (gemm_cpu.c) */
void clmoe__cpu_options(const clmoe__gemm *gemm, const clmoe__gemm_spec *spec, clmoe__options *options);
void clmoe__gather_options(const clmoe_context *context, const clmoe__gemm *gemm, clmoe__options *options);
clmoe_status clmoe__gather_create(clmoe_context *context, const clmoe__gemm_spec *spec, clmoe__gemm *gemm,
                                  clmoe_error *error);
uint64_t clmoe__int8_row_bytes(const clmoe__matrix *matrix);
void clmoe__cpu_launch(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io);
/* The gpu macro-kernel's options and launches. (gemm_gpu.c) */
void clmoe__gpu_options(const clmoe__gemm *gemm, int few, clmoe__options *options);
void clmoe__gpu_launch(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io);
/* The matrix macro-kernel's: it multiplies rows of bf16, which a launch before it makes of anything else.
 * (gemm_matrix.c) */
int clmoe__matrix_converts(const clmoe__gemm *gemm);
uint64_t clmoe__matrix_operand_bytes(const clmoe__gemm *gemm, uint64_t tokens, uint64_t rows);
void clmoe__matrix_options(const clmoe__gemm *gemm, clmoe__options *options);
clmoe_status clmoe__matrix_rows_create(clmoe_context *context, clmoe__gemm *gemm, clmoe_error *error);
void clmoe__matrix_launch(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io);

#endif
