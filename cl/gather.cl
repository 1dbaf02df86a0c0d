/* Gather: copies the rows a tile needs into the packed layout of rows.clh, converting x to what the GEMM multiplies.
 *
 *   global id 0   tile
 *
 *   X_FORMAT, VECTOR_WIDTH, ARITHMETIC (panel.clh; 3: also WEIGHT_FORMAT), TILE_ROWS
 *   WEIGHTED  1: each row is multiplied by its slot's weight first
 *   SLOTS     > 0: with a plan, row -> token = row_slot[row] / SLOTS; 0: the row itself
 *   PREFETCH  stream_store.clh
 *   DISPATCH  1: and a kernel that makes the plan besides, with the options of dispatch_gather.clh
 */
#ifndef TILE_ROWS
#define TILE_ROWS 14
#endif
#ifndef SLOTS
#define SLOTS 0
#endif
#ifndef DISPATCH
#define DISPATCH 0
#endif

#include "gather.clh"
#include "stream_store.clh"
#if DISPATCH
#include "dispatch_gather.clh"
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
        const uint slot = plan != 0 ? (uint)plan[plan_row_slot + first + i] : (first + i) * SLOTS;
        source[i] = x + x_offset + (slot / SLOTS) * x_stride;
        factor[i] = WEIGHTED ? weight[weight_offset + slot] : 1.0f;
#else
        source[i] = x + x_offset + (first + i) * x_stride;
        factor[i] = 1.0f;
#endif
    }
    __global row_t *tile_rows = rows + rows_offset + (ulong)first * row_pieces(features) * PIECE_ELEMENTS;
    /* Row by row: one stream is read. */
    for (uint i = 0; i < count; i++) stream_row(tile_rows + i * PIECE_ELEMENTS, source[i], count, features, factor[i]);
    STREAM_END
}

#if DISPATCH
/* Dispatch of few slots, and the gather of all their rows in the same launch: group 0 writes the plan, and every group
 * works out for itself where the rows of its tokens go. The first row of a token is made from x, the others copied. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void dispatch_gather(
    __global const x_t *x, ulong x_offset, ulong x_stride, __global const float *weight, ulong weight_offset,
    __global row_t *rows, ulong rows_offset, uint features, DISPATCH_ARGUMENTS) {
    __local uint shared[SHARED];
    DISPATCH_JOB(d);
    const uint group = (uint)get_group_id(0), groups = (uint)get_num_groups(0);
    if (group == 0) dispatch_slots(&d, shared);
    const uint begin = (uint)((ulong)d.tokens * group / groups), end = (uint)((ulong)d.tokens * (group + 1) / groups);
    const ulong elements = (ulong)row_pieces(features) * PIECE_ELEMENTS;
    places all;
    count_places(&all, &d, begin * d.slots);
    for (uint token = begin; token < end; token++) {
        __global row_t *made = 0;
        uint made_step = 0;
        for (uint slot = token * d.slots; slot < (token + 1) * d.slots; slot++) {
            tile_place place;
            if (!take_row(&all, &d, (uint)d.index[slot], &place)) continue;
            __global row_t *to = rows + rows_offset + place.first * elements + place.row * PIECE_ELEMENTS;
            if (WEIGHTED || made == 0)
                gather_row(to, x + x_offset + token * x_stride, place.height, features,
                           WEIGHTED ? weight[weight_offset + slot] : 1.0f);
            else
                copy_row(to, place.height, made, made_step, row_pieces(features));
            made = to;
            made_step = place.height;
        }
    }
}
#endif
