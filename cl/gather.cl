/* Gather: copies the rows a tile needs into the packed layout of rows.clh, converting x to what the GEMM multiplies.
 *
 *   global id 0   tile
 *
 *   X_FORMAT, VECTOR_WIDTH, ARITHMETIC (panel.clh; 3: also WEIGHT_FORMAT), TILE_ROWS
 *   WEIGHTED  1: each row is multiplied by its slot's weight first
 *   SLOTS     > 0: with a plan, row -> token = row_slot[row] / SLOTS; 0: the row itself
 */
#ifndef TILE_ROWS
#define TILE_ROWS 14
#endif
#ifndef SLOTS
#define SLOTS 0
#endif

#include "gather.clh"

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
        const uint slot = plan != 0 ? (uint)plan[plan_row_slot + first + i] : (first + i) * SLOTS;
        source[i] = x + x_offset + (slot / SLOTS) * x_stride;
        factor[i] = WEIGHTED ? weight[weight_offset + slot] : 1.0f;
#else
        source[i] = x + x_offset + (first + i) * x_stride;
        factor[i] = 1.0f;
#endif
    }
    __global row_t *tile_rows = rows + rows_offset + (ulong)first * row_pieces(features) * PIECE_ELEMENTS;
    /* Row by row: one stream is read, and the tile that is written stays in a cache. */
    for (uint i = 0; i < count; i++) gather_row(tile_rows + i * PIECE_ELEMENTS, source[i], count, features, factor[i]);
}
