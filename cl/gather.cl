/* Gather: copies the rows a tile needs into the packed layout of rows.clh, converting x to what the GEMM multiplies.
 *
 *   global id 0   tile
 *
 *   X_FORMAT, VECTOR_WIDTH, ARITHMETIC (panel.clh; 3: also WEIGHT_FORMAT), TILE_ROWS
 *   WEIGHTED  1: each row is multiplied by its slot's weight first
 *   SLOTS     > 0: row -> token = row_slot[row] / SLOTS; 0: the row itself
 */
#ifndef X_FORMAT
#define X_FORMAT 1
#endif
#ifndef VECTOR_WIDTH
#define VECTOR_WIDTH 16
#endif
#ifndef TILE_ROWS
#define TILE_ROWS 14
#endif
#ifndef WEIGHTED
#define WEIGHTED 0
#endif
#ifndef SLOTS
#define SLOTS 0
#endif
#ifndef ARITHMETIC
#define ARITHMETIC 1
#endif
#define KP (ARITHMETIC == 2 ? 2 : 1)

#include "common.clh"
#include "plan.clh"
#define STORAGE_NAME x
#define STORAGE_FORMAT X_FORMAT
#include "vector_storage.clh"
#if ARITHMETIC == 3
#include "gather_int8.clh"
#else
#include "rows.clh"
#define PIECE_VALUES ROW_VALUES
#define PIECE_ELEMENTS ROW_VALUES
#define row_pieces(features) row_blocks(features)
#define STORAGE_NAME row
#if ARITHMETIC == 2
#define STORAGE_FORMAT FORMAT_BF16
#else
#define STORAGE_FORMAT FORMAT_F32
#endif
#include "vector_storage.clh"

/* Values column .. column + PIECE_VALUES - 1 of one row; those past `features` become 0. */
inline void gather_piece(__global row_t *to, __global const x_t *from, uint column, uint features, float factor) {
    if (column + ROW_VALUES <= features) {
        for (uint v = 0; v < ROW_VALUES; v += VECTOR_WIDTH) {
            float_v value = x_vload(from, column + v);
#if WEIGHTED
            value *= factor;
#endif
            row_vstore(to, v, value);
        }
        return;
    }
    for (uint v = 0; v < ROW_VALUES; v++) {
        float value = column + v < features ? x_load(from, column + v) : 0.0f;
#if WEIGHTED
        value *= factor;
#endif
        row_store(to, v, value);
    }
}
#endif

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gather(
    __global const x_t *x, ulong x_offset, ulong x_stride, /* [tokens, features] */
    __global const float *weight, ulong weight_offset,     /* [tokens, SLOTS]; NULL without WEIGHTED */
    __global row_t *rows, ulong rows_offset,               /* packed */
    __global const int *plan, ulong plan_offset,           /* NULL: one group of all tokens */
    __global const int *token_count, ulong token_count_offset, uint tokens, uint features, ulong plan_tiles,
    ulong plan_row_slot) {
    const uint tile = get_global_id(0);
    if (tokens == 0) return;
    uint first, count;
    if (plan == 0) {
        const uint valid = valid_tokens(tokens, token_count, token_count_offset);
        const uint tiles = (valid + TILE_ROWS - 1) / TILE_ROWS;
        if (tile >= tiles) return;
        first = (uint)((ulong)valid * tile / tiles);
        count = (uint)((ulong)valid * (tile + 1) / tiles) - first;
    } else {
        plan += plan_offset;
        if (tile >= (uint)plan[PLAN_TILES]) return;
        first = (uint)plan[plan_tiles + 4 * tile + 1];
        count = (uint)plan[plan_tiles + 4 * tile + 2];
    }
    __global const x_t *source[TILE_ROWS];
    float factor[TILE_ROWS];
    for (uint i = 0; i < count; i++) {
#if SLOTS > 0
        const uint slot = (uint)plan[plan_row_slot + first + i];
        source[i] = x + x_offset + (slot / SLOTS) * x_stride;
        factor[i] = WEIGHTED ? weight[weight_offset + slot] : 1.0f;
#else
        source[i] = x + x_offset + (first + i) * x_stride;
        factor[i] = 1.0f;
#endif
    }
    const uint pieces = row_pieces(features);
    __global row_t *tile_rows = rows + rows_offset + (ulong)first * pieces * PIECE_ELEMENTS;
    /* Row by row: one stream is read, and the tile that is written stays in a cache. */
    for (uint i = 0; i < count; i++) {
        __global row_t *to = tile_rows + i * PIECE_ELEMENTS;
        for (uint piece = 0; piece < pieces; piece++, to += count * PIECE_ELEMENTS)
            gather_piece(to, source[i], piece * PIECE_VALUES, features, factor[i]);
    }
}
