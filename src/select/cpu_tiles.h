/* Shapes of gemm_cpu.cl's tiles and how far it reads ahead: rows of data, the first that is made for a device. A tuner
 * may put other numbers in their place (tuning_fields.h): none changes a bit of any result. */
#ifndef CLMOE_SELECT_CPU_TILES_H
#define CLMOE_SELECT_CPU_TILES_H

#include "opencl/device.h"

/* As cl/gemm_cpu.cl says. Its TILE_ROWS is clmoe__gemm_choice.tile_rows, which plans are made with. */
typedef struct clmoe__cpu_tile {
    uint32_t group_tiles, prefetch_bytes, prefetch_bytes_tall, next_panel_bytes;
} clmoe__cpu_tile;

typedef struct clmoe__cpu_shape {
    uint32_t arithmetics; /* bits 1 << clmoe_arithmetic */
    int is_block;         /* for block formats; 0: for the others; -1: for all */
    uint32_t lanes;       /* of a vector; 0: any */
    int registers_32;     /* the device has 32 vector registers of this width */
    uint32_t tile_rows;
    clmoe__cpu_tile tile;
} clmoe__cpu_shape;

/* The row for this device. The last one takes every device. */
const clmoe__cpu_shape *clmoe__cpu_shape_for(const clmoe__device *device, uint32_t lanes, uint32_t arithmetic,
                                             int is_block);
/* The i-th row, NULL past the last. */
const clmoe__cpu_shape *clmoe__cpu_shape_at(uint32_t i);
/* 1, or 0 and what does not go together. */
int clmoe__cpu_shape_fits(uint32_t tile_rows, const clmoe__cpu_tile *tile, uint32_t arithmetic, int is_block,
                          char *reason, size_t capacity);

#endif
