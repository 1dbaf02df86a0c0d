/* Shapes of gemm_gpu.cl's tiles: rows of data, the first that a device has room for. A tuner may put another in its
 * place (clmoe__gemm_choice holds a copy): none changes a bit of any result. */
#ifndef CLMOE_SELECT_GPU_TILES_H
#define CLMOE_SELECT_GPU_TILES_H

#include "opencl/device.h"

/* As cl/gpu_tile.clh says, but k is that of one of its `split` parts. */
typedef struct clmoe__gpu_tile {
    uint32_t rows, columns, k, lanes, item_rows, row_vector, buffers, split;
} clmoe__gpu_tile;

typedef struct clmoe__gpu_shape {
    const char *name;
    uint32_t arithmetics;  /* bits 1 << clmoe_arithmetic */
    clmoe__gpu_tile tile;  /* of a plan's rows */
    clmoe__gpu_tile few;   /* of groups with few.rows rows at most */
    uint32_t mean_rows;    /* so many rows a group on the average, and tiles do the few ones too: one launch less */
    uint32_t sub_group;    /* that the kernels ask for, on devices that have no smaller ones; 0: they do not */
} clmoe__gpu_shape;

/* The first row for this arithmetic that fits the device, or NULL and why the last one does not. */
const clmoe__gpu_shape *clmoe__gpu_shape_for(const clmoe__device *device, uint32_t panel_lanes, uint32_t arithmetic,
                                             char *reason, size_t capacity);
/* The next one that does, behind the row that this shape was made of: that row, where k was split; NULL past the last.
 * */
const clmoe__gpu_shape *clmoe__gpu_shape_behind(const clmoe__gpu_shape *shape, const clmoe__device *device,
                                                uint32_t panel_lanes, uint32_t arithmetic);
/* Has k split for groups of few rows, where the device has many compute units, and room. */
void clmoe__gpu_split_few(clmoe__gpu_shape *shape, const clmoe__device *device, uint32_t panel_lanes,
                          uint32_t arithmetic);
/* The i-th row, NULL past the last. */
const clmoe__gpu_shape *clmoe__gpu_shape_at(uint32_t i);
/* 1, or 0 and why the device cannot run it: its numbers do not go together, or it is too large. */
int clmoe__gpu_shape_fits(const clmoe__gpu_shape *shape, const clmoe__device *device, uint32_t panel_lanes,
                          uint32_t arithmetic, char *reason, size_t capacity);
/* Work-items of a group, and the most local memory that any format needs. */
uint32_t clmoe__gpu_tile_group(const clmoe__gpu_tile *tile);
uint64_t clmoe__gpu_tile_local_bytes(const clmoe__gpu_tile *tile, uint32_t arithmetic);

#endif
