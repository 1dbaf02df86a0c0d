/* The table of shapes, and whether a device has room for one. */
#include "matrix_shapes.h"

#include <stdio.h>

/* matrix, emulated, lanes, tile rows, warps down and across, panels each, k of a run, stages, scratch words, options.
 *
 * Real ones keep two work-groups and more on a core and every warp's sums in registers. Emulated ones have two of
 * everything, so that every index matters, and fit in 32 KiB. */
static const clmoe__matrix_shape shapes[] = {
    {1, 0, 32, 128, 2, 2, 2, 16, 5, 0},
    {2, 0, 64, 128, 2, 2, 2, 32, 2, 0},
    {3, 0, 32, 128, 2, 2, 1, 16, 2, 0},
    {4, 0, 32, 128, 2, 2, 1, 32, 2, 0},
    {5, 0, 16, 64, 2, 4, 1, 16, 2, 0, " -cl-intel-256-GRF-per-thread"},
    {6, 0, 8, 64, 4, 4, 1, 32, 2, 0, " -cl-intel-256-GRF-per-thread"},
    {1, 1, 32, 64, 2, 2, 1, 16, 5, 6},
    {2, 1, 64, 64, 2, 2, 1, 32, 2, 4},
    {3, 1, 32, 64, 2, 2, 1, 32, 2, 16},
    {4, 1, 32, 64, 2, 2, 1, 32, 2, 8},
    {5, 1, 16, 32, 2, 2, 1, 32, 2, 12},
    {6, 1, 8, 32, 2, 2, 1, 32, 2, 16},
    {7, 0, 128, 128, 1, 2, 2, 16, 5, 0, " -DPTX_TARGET=sm_90a"},
    {7, 1, 128, 128, 1, 2, 2, 16, 3, 4},
};

/* In place of those above with block formats. Decoding on the way to local memory, a work-item takes 16 neighbours in k
 * at a time, which share their scales, and waits for memory no longer than a run is multiplied. */
static const clmoe__matrix_shape block_shapes[] = {
    {1, 0, 32, 128, 2, 2, 2, 32, 2, 0},
    {1, 1, 32, 64, 2, 2, 2, 32, 2, 6},
};

const clmoe__matrix_shape *clmoe__matrix_shape_at(int micro) {
    return micro >= 0 && (size_t)micro < sizeof shapes / sizeof shapes[0] ? &shapes[micro] : NULL;
}

const clmoe__matrix_shape *clmoe__matrix_shape_for(int micro, int is_block) {
    const clmoe__matrix_shape *shape = clmoe__matrix_shape_at(micro);
    for (size_t i = 0; is_block && shape != NULL && i < sizeof block_shapes / sizeof block_shapes[0]; i++)
        if (block_shapes[i].matrix == shape->matrix && block_shapes[i].emulated == shape->emulated)
            return &block_shapes[i];
    return shape;
}

uint32_t clmoe__matrix_group(const clmoe__matrix_shape *shape) {
    return shape->lanes * shape->warps_down * shape->warps_across;
}

uint32_t clmoe__matrix_panels(const clmoe__matrix_shape *shape) { return shape->warps_across * shape->panels_each; }

/* Operands of 2 bytes: the tile's rows and its panels' 32 columns, k_run of each, stages times. */
uint32_t clmoe__matrix_local_bytes(const clmoe__matrix_shape *shape) {
    const uint32_t operands = shape->stages * shape->k_run * (shape->tile_rows + 32 * clmoe__matrix_panels(shape));
    return 2 * operands + 4 * shape->scratch_words * clmoe__matrix_group(shape);
}

/* What the #errors of cl/matrix_tile.clh and the loops of gemm_matrix.cl ask for. */
static const char *inconsistent(const clmoe__matrix_shape *s) {
    if (s->tile_rows == 0 || s->tile_rows > 256 || s->tile_rows % 16 != 0)
        return "tile_rows must be a multiple of 16 up to 256";
    if (s->warps_down == 0 || s->warps_down > 8) return "warps_down must be 1 to 8";
    if (s->warps_across == 0 || s->warps_across > 8) return "warps_across must be 1 to 8";
    if (s->panels_each == 0 || s->panels_each > 4) return "panels_each must be 1 to 4";
    if (s->k_run != 16 && s->k_run != 32 && s->k_run != 64) return "k_run must be 16, 32 or 64";
    if (s->stages < 2 || s->stages > 8) return "stages must be 2 to 8";
    return NULL;
}

int clmoe__matrix_shape_fits(const clmoe__matrix_shape *shape, const clmoe__device *device, char *reason,
                             size_t capacity) {
    const char *wrong = inconsistent(shape);
    if (wrong != NULL) {
        snprintf(reason, capacity, "tile: %s", wrong);
        return 0;
    }
    if (clmoe__matrix_group(shape) > device->max_work_group_size) {
        snprintf(reason, capacity, "needs work-groups of %u, the device allows %u", clmoe__matrix_group(shape),
                 device->max_work_group_size);
        return 0;
    }
    if (device->local_bytes < clmoe__matrix_local_bytes(shape)) {
        snprintf(reason, capacity, "needs %u bytes of local memory, the device has %llu",
                 clmoe__matrix_local_bytes(shape), (unsigned long long)device->local_bytes);
        return 0;
    }
    return 1;
}
