/* The shapes that are shipped for CPUs, and what the kernel can be built with. Adding one is a row here. */
#include "cpu_tiles.h"

#include <clmoe/clmoe.h>
#include <stdio.h>

#define FLOATS (1u << CLMOE_ARITHMETIC_F32 | 1u << CLMOE_ARITHMETIC_BF16)
#define INT8   (1u << CLMOE_ARITHMETIC_INT8)

/* A tile of wide numbers is in registers: 2 * rows + 3 of them are in use. int8: its sums are in memory
 * (cl/block_int8.clh), more rows share a decoded run.
 * arithmetics, blocks, lanes, 32 registers, rows, {tiles of a group, bytes ahead, of tall tiles, largest panel fetched
 * early} */
static const clmoe__cpu_shape shapes[] = {
    {INT8, -1, 0, 0, 32, {1, 16384, 16384, 393216}},
    {FLOATS, 0, 16, 1, 14, {1, 4096, 8192, 393216}},
    {FLOATS, 1, 16, 1, 14, {8, 4096, 8192, 393216}},
    {FLOATS, 0, 4, 1, 14, {1, 4096, 8192, 393216}},
    {FLOATS, 1, 4, 1, 14, {8, 4096, 8192, 393216}},
    {FLOATS, 0, 0, 0, 6, {1, 4096, 8192, 393216}},
    {FLOATS, 1, 0, 0, 6, {8, 4096, 8192, 393216}},
};

/* x86 has 16 registers below AVX-512; ARM's SIMD has 32. */
static int has_32_registers(const clmoe__device *device, uint32_t lanes) {
    if (lanes == 16) return 1;
#if defined(__aarch64__) || defined(_M_ARM64)
    return device->is_this_host;
#else
    (void)device;
    return 0;
#endif
}

const clmoe__cpu_shape *clmoe__cpu_shape_at(uint32_t i) {
    return i < sizeof shapes / sizeof shapes[0] ? &shapes[i] : NULL;
}

const clmoe__cpu_shape *clmoe__cpu_shape_for(const clmoe__device *device, uint32_t lanes, uint32_t arithmetic,
                                             int is_block) {
    const uint32_t count = sizeof shapes / sizeof shapes[0];
    for (uint32_t i = 0; i < count; i++) {
        const clmoe__cpu_shape *shape = &shapes[i];
        if ((shape->arithmetics >> arithmetic & 1u) == 0 || (shape->is_block >= 0 && shape->is_block != is_block))
            continue;
        if ((shape->lanes == 0 || shape->lanes == lanes) && shape->registers_32 <= has_32_registers(device, lanes))
            return shape;
    }
    return &shapes[count - 1];
}

/* What cl/register_tile.clh and the stack of a work-item ask for. */
int clmoe__cpu_shape_fits(uint32_t tile_rows, const clmoe__cpu_tile *tile, uint32_t arithmetic, int is_block,
                          char *reason, size_t capacity) {
    const int is_int8 = arithmetic == CLMOE_ARITHMETIC_INT8;
    if (!is_int8 && tile_rows != 1 && tile_rows != 4 && tile_rows != 6 && tile_rows != 14) {
        snprintf(reason, capacity, "tile_rows is %u, expected 1, 4, 6 or 14", tile_rows);
        return 0;
    }
    if (is_int8 && (tile_rows < 1 || tile_rows > 64)) {
        snprintf(reason, capacity, "tile_rows is %u, expected 1 to 64", tile_rows);
        return 0;
    }
    if (tile->group_tiles != 1 && (is_int8 || !is_block)) {
        snprintf(reason, capacity, "group_tiles is %u, expected 1: nothing is decoded for several tiles",
                 tile->group_tiles);
        return 0;
    }
    if (tile->group_tiles < 1 || tile->group_tiles > 32) {
        snprintf(reason, capacity, "group_tiles is %u, expected 1 to 32", tile->group_tiles);
        return 0;
    }
    return 1;
}
