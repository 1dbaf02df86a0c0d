/* How gemm_matrix.cl is cut up for each matrix unit: rows of data. */
#ifndef CLMOE_SELECT_MATRIX_SHAPES_H
#define CLMOE_SELECT_MATRIX_SHAPES_H

#include "opencl/device.h"

typedef struct clmoe__matrix_shape {
    uint32_t matrix, emulated; /* MATRIX and EMULATED of cl/micro/matrix.clh */
    uint32_t lanes;            /* work-items of a warp, wave or sub-group */
    uint32_t tile_rows, warps_down, warps_across, panels_each, k_run, stages; /* as gemm_matrix.cl says */
    uint32_t scratch_words;    /* of a work-item, where the instruction is emulated */
    const char *options;       /* of the compiler, besides; NULL: none */
} clmoe__matrix_shape;

/* The shape that a variant's `micro` names. */
const clmoe__matrix_shape *clmoe__matrix_shape_at(int micro);
/* The one for weights of block formats or others. */
const clmoe__matrix_shape *clmoe__matrix_shape_for(int micro, int is_block);
/* Work-items of a work-group, panels it does, and the local memory it takes with the shape's own tile_rows. */
uint32_t clmoe__matrix_group(const clmoe__matrix_shape *shape);
uint32_t clmoe__matrix_panels(const clmoe__matrix_shape *shape);
uint32_t clmoe__matrix_local_bytes(const clmoe__matrix_shape *shape);
/* 1, or 0 and why the device cannot run it: its numbers do not go together, or it is too large. */
int clmoe__matrix_shape_fits(const clmoe__matrix_shape *shape, const clmoe__device *device, char *reason,
                             size_t capacity);

#endif
