/* The rows of a GEMM that a BLAS does: gathered and converted to f32, row by row, [rows, features].
 *
 *   group id 1    tile; its work-items share the columns
 *
 *   X_FORMAT, VECTOR_WIDTH, TILE_ROWS
 *   WEIGHTED  1: each row is multiplied by its slot's weight
 *   SLOTS     > 0: with a plan, row -> token = row_slot[row] / SLOTS; 0: the row itself
 */
#ifndef X_FORMAT
#define X_FORMAT 1
#endif
#ifndef TILE_ROWS
#define TILE_ROWS 16
#endif
#ifndef WEIGHTED
#define WEIGHTED 0
#endif
#ifndef SLOTS
#define SLOTS 0
#endif
#include "common.clh"
#include "product_tile.clh"
#define STORAGE_NAME x
#define STORAGE_FORMAT X_FORMAT
#include "vector_storage.clh"
#define STORAGE_NAME row
#define STORAGE_FORMAT FORMAT_F32
#include "vector_storage.clh"

__kernel void product_rows(
    __global const x_t *x, ulong x_offset, ulong x_stride, /* [tokens, features] */
    __global const float *weight, ulong weight_offset,     /* [tokens, SLOTS]; NULL without WEIGHTED */
    __global row_t *rows, ulong rows_offset,               /* [rows, features] */
    PRODUCT_TILE_PARAMETERS, ulong plan_row_slot, uint features) {
    PRODUCT_TILE(tile);
    for (uint row = tile.first; row < tile.first + tile.count; row++) {
        ulong source = row;
        float factor = 1.0f;
#if SLOTS > 0
        const ulong slot = plan != 0 ? (uint)plan[plan_offset + plan_row_slot + row] : (ulong)row * SLOTS;
        source = slot / SLOTS;
        if (WEIGHTED) factor = weight[weight_offset + slot];
#endif
        const ulong from = x_offset + source * x_stride, to = rows_offset + (ulong)row * features;
        for (uint c = get_local_id(0) * VECTOR_WIDTH; c < features; c += get_local_size(0) * VECTOR_WIDTH) {
            const int left = (int)(features - c);
            row_vstore_part(rows, to + c, x_vload_part(x, from + c, left) * factor, left);
        }
    }
}
