/* The shapes that are shipped, and whether a device has room for one. Adding one is a row here. */
#include "gpu_tiles.h"

#include <clmoe/clmoe.h>
#include <stdio.h>

#define FLOATS (1u << CLMOE_ARITHMETIC_F32 | 1u << CLMOE_ARITHMETIC_BF16)
#define INT8   (1u << CLMOE_ARITHMETIC_INT8)

/* The portable rows need 64 work-items and 16 KiB of local memory; the others 256 and less than 48 KiB. Registers and
 * spills by offline compilers for NVIDIA, AMD and Intel: bench/results/compile_matrix.tsv. int8 measures x in a step of
 * its own (cl/gpu_int8.clh), so a second buffer would save no barrier. Its kernel for few rows has 16 of them, so that
 * twice the work-items share what it keeps in local memory. Compilers for Intel take sub-groups of 32 even where sums
 * and operands then do not fit the registers of a thread. rows, columns, k, lanes, rows of a work-item, of a vector,
 * buffers, parts of k */
static const clmoe__gpu_shape shapes[] = {
    {"float in 16", FLOATS, {64, 128, 16, 4, 4, 4, 2, 1}, {8, 64, 32, 4, 1, 1, 1, 1}, 64, 16},
    {"float", FLOATS, {64, 128, 16, 4, 4, 4, 2, 1}, {8, 64, 32, 4, 1, 1, 1, 1}, 64, 0},
    {"portable float", FLOATS, {32, 64, 16, 4, 4, 4, 2, 1}, {8, 64, 32, 4, 1, 1, 1, 1}, 64, 0},
    {"int8 in 16", INT8, {32, 128, 128, 4, 2, 2, 1, 1}, {16, 64, 128, 4, 1, 1, 1, 1}, 64, 16},
    {"int8", INT8, {32, 128, 128, 4, 2, 2, 1, 1}, {16, 64, 128, 4, 1, 1, 1, 1}, 64, 0},
    {"portable int8", INT8, {16, 64, 128, 4, 2, 2, 1, 1}, {8, 64, 128, 4, 1, 1, 1, 1}, 64, 0},
};

#define LIST_BYTES      256 /* of slots, in cl/gpu_rows.clh */
#define SPAN_K          128 /* of cl/int8_rows.clh */
#define SPLIT_ITEM_ROWS 3   /* of a work-item, at most, where k is split */
#define MANY_UNITS      32  /* that few work-groups do not fill */
#define SPLIT_PARTS     2   /* on such a device */

const clmoe__gpu_shape *clmoe__gpu_shape_at(uint32_t i) {
    return i < sizeof shapes / sizeof shapes[0] ? &shapes[i] : NULL;
}

uint32_t clmoe__gpu_tile_group(const clmoe__gpu_tile *tile) {
    return tile->columns / (2 * tile->lanes) * (tile->rows / tile->item_rows) * tile->split;
}

/* int8: a run of 32 k is 17 words of a row and 36 more, and of a column 8 words of codes and at most 2 of scales. Parts
 * of k leave their sums and the rows' scales. */
uint64_t clmoe__gpu_tile_local_bytes(const clmoe__gpu_tile *tile, uint32_t arithmetic) {
    const uint64_t words = arithmetic == CLMOE_ARITHMETIC_INT8
                               ? (uint64_t)tile->k / 32 * (17ull * tile->rows + 36 + 10ull * tile->columns)
                               : (uint64_t)tile->k * (tile->rows + 4ull + tile->columns);
    const uint64_t sums = tile->split > 1 ? (uint64_t)tile->split * tile->rows * (tile->columns + 1ull) : 0;
    return 4 * (tile->buffers * tile->split * words + sums) + LIST_BYTES;
}

/* What the #errors of cl/gpu_tile.clh and cl/gpu_int8.clh and the loads of weights in pieces of 16 bytes ask for. */
static const char *inconsistent(const clmoe__gpu_tile *t, uint32_t panel_lanes, uint32_t arithmetic) {
    const uint32_t k_unit = arithmetic == CLMOE_ARITHMETIC_INT8 ? 128 : 4;
    if (t->lanes != 4 && (t->lanes != 8 || arithmetic == CLMOE_ARITHMETIC_INT8))
        return "lanes must be 4 or 8, with int8 4";
    if (panel_lanes % t->lanes != 0) return "lanes do not divide a panel";
    if (t->columns == 0 || t->columns % (2 * panel_lanes) != 0) return "columns must be whole panels";
    if (t->row_vector != 1 && t->row_vector != 2 && t->row_vector != 4) return "row_vector must be 1, 2 or 4";
    if (t->item_rows == 0 || t->item_rows % t->row_vector != 0 || t->item_rows > 4 * t->row_vector)
        return "item_rows must be one to four times row_vector";
    if (t->rows == 0 || t->rows % t->item_rows != 0) return "rows must be a multiple of item_rows";
    if (t->k == 0 || t->k % k_unit != 0) return "k must be a multiple of 4, with int8 of 128";
    if (t->buffers != 1 && t->buffers != 2) return "buffers must be 1 or 2";
    if (t->split == 0 || t->split > 8) return "split must be 1 to 8";
    if (t->split > 1 && (arithmetic != CLMOE_ARITHMETIC_INT8 || t->k != SPAN_K))
        return "only sums of int8 are made of parts that can be split, with k of 128 each";
    /* POCL 3.1 on LLVM 15 loses what a work-item adds up of parts if it has four rows, however it makes loops. */
    if (t->split > 1 && t->item_rows > SPLIT_ITEM_ROWS) return "where parts of k are split, item_rows must be 1 to 3";
    if (clmoe__gpu_tile_group(t) % (t->columns / 4) != 0) return "a row of weights is no fraction of the work-items";
    /* POCL 3.1 on LLVM 15 vectorises the loads over work-items and gets them wrong if all are of one k. */
    if (clmoe__gpu_tile_group(t) < 2 * (t->columns / 4))
        return "the work-items must load two rows of weights at a time";
    if (arithmetic == CLMOE_ARITHMETIC_INT8 &&
        t->columns / t->lanes * (t->k * t->split / 4) % clmoe__gpu_tile_group(t) != 0)
        return "int8 codes of a tile of weights must be a multiple of the work-items";
    return NULL;
}

static int tile_fits(const clmoe__gpu_tile *tile, const clmoe__device *device, uint32_t panel_lanes,
                     uint32_t arithmetic, char *reason, size_t capacity) {
    const char *wrong = inconsistent(tile, panel_lanes, arithmetic);
    if (wrong != NULL) {
        snprintf(reason, capacity, "tile: %s", wrong);
        return 0;
    }
    const uint32_t group = clmoe__gpu_tile_group(tile);
    const uint64_t bytes = clmoe__gpu_tile_local_bytes(tile, arithmetic);
    if (group > device->max_work_group_size || group > device->max_work_item_size0) {
        snprintf(reason, capacity, "needs work-groups of %u, the device allows %u", group, device->max_work_group_size);
        return 0;
    }
    if (bytes >= device->local_bytes) { /* drivers keep some for themselves */
        snprintf(reason, capacity, "needs more than %llu bytes of local memory, the device has %llu",
                 (unsigned long long)bytes, (unsigned long long)device->local_bytes);
        return 0;
    }
    return 1;
}

int clmoe__gpu_shape_fits(const clmoe__gpu_shape *shape, const clmoe__device *device, uint32_t panel_lanes,
                          uint32_t arithmetic, char *reason, size_t capacity) {
    if (shape->sub_group != 0 && shape->sub_group != device->least_sub_group) {
        snprintf(reason, capacity, "needs a device whose smallest sub-group is of %u", shape->sub_group);
        return 0;
    }
    return tile_fits(&shape->tile, device, panel_lanes, arithmetic, reason, capacity) &&
           tile_fits(&shape->few, device, panel_lanes, arithmetic, reason, capacity);
}

static const clmoe__gpu_shape *first_from(uint32_t i, const clmoe__device *device, uint32_t panel_lanes,
                                          uint32_t arithmetic, char *reason, size_t capacity) {
    for (; clmoe__gpu_shape_at(i) != NULL; i++) {
        const clmoe__gpu_shape *shape = clmoe__gpu_shape_at(i);
        if ((shape->arithmetics >> arithmetic & 1u) != 0 &&
            clmoe__gpu_shape_fits(shape, device, panel_lanes, arithmetic, reason, capacity))
            return shape;
    }
    return NULL;
}

const clmoe__gpu_shape *clmoe__gpu_shape_for(const clmoe__device *device, uint32_t panel_lanes, uint32_t arithmetic,
                                             char *reason, size_t capacity) {
    snprintf(reason, capacity, "no tile for this arithmetic");
    return first_from(0, device, panel_lanes, arithmetic, reason, capacity);
}

const clmoe__gpu_shape *clmoe__gpu_shape_behind(const clmoe__gpu_shape *shape, const clmoe__device *device,
                                                uint32_t panel_lanes, uint32_t arithmetic) {
    char reason[128];
    const clmoe__gpu_shape *row;
    for (uint32_t i = 0; (row = clmoe__gpu_shape_at(i)) != NULL; i++)
        if (row->name == shape->name)
            return first_from(row->few.split == shape->few.split ? i + 1 : i, device, panel_lanes, arithmetic, reason,
                              sizeof reason);
    return NULL;
}

/* A token's experts give a work-group for each tile of columns, some hundred in all. That is too few where many units
 * could have several each, for a group waits for memory most of its time; so each gets twice the k to wait for, and as
 * many work-items share it with half of the rows. */
void clmoe__gpu_split_few(clmoe__gpu_shape *shape, const clmoe__device *device, uint32_t panel_lanes,
                          uint32_t arithmetic) {
    char reason[128];
    clmoe__gpu_shape split = *shape;
    split.few.split = SPLIT_PARTS;
    split.few.rows /= SPLIT_PARTS;
    if (device->compute_units >= MANY_UNITS &&
        clmoe__gpu_shape_fits(&split, device, panel_lanes, arithmetic, reason, sizeof reason))
        *shape = split;
}
