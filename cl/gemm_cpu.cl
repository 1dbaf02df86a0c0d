/* Grouped GEMM, macro-kernel `cpu`: y[row] = epilogue(packed row . W_group^T).
 *
 * One work-item a work-group, explicit vectors, sums of a tile of up to TILE_ROWS rows x 2 vectors in registers: what a
 * compiler for CPUs turns into the loop one would write by hand. A work-group owns one panel of one expert that has rows,
 * and runs all of that expert's row tiles over it, so a panel is read from memory once; it is prefetched ahead of use.
 * Each sum runs over k in rising order (pairs of k with bf16 arithmetic) whatever the tile's height, so a row's bits do
 * not depend on its neighbours.
 *
 *   global id 0   panel
 *   global id 1   n-th expert that has rows (without a plan: 0)
 *   global id 2   chunk of the group's tiles (with a plan: 0)
 *
 *   LANES         f32 lanes of a vector: 16, 8, 4; the panel has 2 * LANES columns
 *   TILE_ROWS     1..14: accumulators use 2 * TILE_ROWS vector registers
 *   MICRO         0 by ARITHMETIC, 1 avx512_bf16
 *   PREFETCH_BYTES    how far ahead of the panel's read position
 *   NEXT_PANEL_BYTES  a panel larger than this is not fetched before its turn: two must fit in the L2 cache
 * and those of panel.clh, epilogue.clh and activation.clh.
 */
#ifndef TILE_ROWS
#define TILE_ROWS 14
#endif
#ifndef MICRO
#define MICRO 0
#endif
#ifndef PREFETCH_BYTES
#define PREFETCH_BYTES 4096
#endif
#ifndef NEXT_PANEL_BYTES
#define NEXT_PANEL_BYTES 393216
#endif
#if TILE_ROWS < 1 || TILE_ROWS > 14
#error "TILE_ROWS must be 1 to 14"
#endif

#include "common.clh"
#include "lanes.clh"
#define PANEL_LANES LANES
#include "panel.clh"
#include "plan.clh"
#if MICRO == 1
#include "micro/avx512_bf16.clh"
#elif ARITHMETIC == 2
#include "micro/bf16.clh"
#else
#include "micro/f32.clh"
#endif
#include "micro/prefetch.clh"
#include "rows.clh"
#include "epilogue.clh"

#define STEP_ELEMENTS (PANEL_COLUMNS * KP)
#define STEP_BYTES (STEP_ELEMENTS * (uint)sizeof(weight_t))

/* One k step of R rows; moves on to the next. */
#define STEP(R)                                                                             \
    {                                                                                       \
        const panel_t b0 = PANEL_STEP_LOAD(b), b1 = PANEL_STEP_LOAD(b + LANES * KP);        \
        prefetch_line(ahead, 0);                                                            \
        if (STEP_BYTES > 64) prefetch_line(ahead, 64);                                      \
        _Pragma("unroll") for (uint i = 0; i < R; i++) {                                    \
            const row_t row = a[i * ROW_STEPS];                                             \
            sum0[i] = multiply_add(sum0[i], row, b0);                                       \
            sum1[i] = multiply_add(sum1[i], row, b1);                                       \
        }                                                                                   \
        a++;                                                                                \
        b += STEP_ELEMENTS;                                                                 \
        ahead += STEP_ELEMENTS;                                                             \
    }

/* The sums of a tile of R rows, from first to last k. */
#define TILE(R)                                                                             \
    {                                                                                       \
        real sum0[R], sum1[R];                                                              \
        _Pragma("unroll") for (uint i = 0; i < R; i++) {                                    \
            sum0[i] = (real)(0.0f);                                                         \
            sum1[i] = (real)(0.0f);                                                         \
        }                                                                                   \
        uint left = steps;                                                                  \
        for (; left >= ROW_STEPS; left -= ROW_STEPS) {                                      \
            _Pragma("unroll 1") for (uint j = 0; j < ROW_STEPS; j++) STEP(R)                \
            a += (R - 1) * ROW_STEPS;                                                       \
        }                                                                                   \
        _Pragma("unroll 1") for (uint j = 0; j < left; j++) STEP(R)                         \
        _Pragma("unroll") for (uint i = 0; i < R; i++) {                                    \
            sums[2 * i] = sum0[i];                                                          \
            sums[2 * i + 1] = sum1[i];                                                      \
        }                                                                                   \
    }

/* Bias, activation and store of row i of a tile of `rows` rows that starts at first_row. */
inline void finish(real sum0, real sum1, __global y_t *y, ulong y_stride, ulong first_row, uint rows, uint i, uint panel,
                   uint features_out, __global const float *bias) {
#if BIAS
    sum0 += REAL_LOAD(bias);
    sum1 += REAL_LOAD(bias + LANES);
#endif
#if ACT_GATED
    const uint column = panel * LANES;
    sum0 = activation(sum0, sum1);
#else
    const uint column = panel * PANEL_COLUMNS;
#if ACTIVATE
    sum0 = activation(sum0, sum0);
    sum1 = activation(sum1, sum1);
#endif
#endif
#if Y_PACKED
    __global y_t *tile = y + first_row * row_blocks(features_out) * ROW_VALUES;
    store_packed(tile + row_place(column, rows, i), sum0, column, features_out);
#if !ACT_GATED
    if (column + LANES < features_out)
        store_packed(tile + row_place(column + LANES, rows, i), sum1, column + LANES, features_out);
#endif
#else
    __global y_t *row = y + (first_row + i) * y_stride + column;
    store_columns(row, sum0, column, features_out);
#if !ACT_GATED
    if (column + LANES < features_out) store_columns(row + LANES, sum1, column + LANES, features_out);
#endif
#endif
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gemm_cpu(
    __global const row_t *rows_base, ulong rows_offset, /* packed rows */
    SHARD_PARAMETERS,                                   /* packed weights */
    __global const float *bias_base,                    /* may be NULL without BIAS */
    __global y_t *y_base, ulong y_offset, ulong y_stride,
    __global const int *plan, ulong plan_offset,        /* NULL: one group of all tokens */
    __global const int *token_count, ulong token_count_offset,
    uint tokens, uint groups, uint panels, uint features_in, uint features_out, uint tiles_per_chunk) {
    const uint panel = get_global_id(0);
    if (tokens == 0 || panel >= panels) return;
    uint group = 0, first = 0, rows;
    if (plan == 0) {
        rows = valid_tokens(tokens, token_count, token_count_offset);
    } else {
        plan += plan_offset;
        if (get_global_id(1) >= (uint)plan[PLAN_ACTIVE_EXPERTS]) return;
        group = (uint)plan[PLAN_ACTIVE(groups) + get_global_id(1)];
        first = (uint)plan[PLAN_OFFSET(groups) + group];
        rows = (uint)plan[PLAN_OFFSET(groups) + group + 1] - first;
    }
    const uint tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    const uint tile_begin = min((uint)get_global_id(2) * tiles_per_chunk, tiles);
    const uint tile_end = min(tile_begin + tiles_per_chunk, tiles);
    const uint steps = (features_in + KP - 1) / KP;
    const ulong row_elements = row_blocks(features_in) * ROW_STEPS;
    const ulong index = (ulong)group * panels + panel;
    __global const weight_t *weights;
    const ulong panel_elements = (ulong)steps * STEP_ELEMENTS;
    SHARD_PANEL(weights, index, panel_elements)
    __global const float *bias = bias_base + (BIAS ? index * PANEL_COLUMNS : 0);
    __global y_t *y = y_base + y_offset;
    for (uint t = tile_begin; t < tile_end; t++) {
        const uint begin = (uint)((ulong)rows * t / tiles), end = (uint)((ulong)rows * (t + 1) / tiles);
        const ulong first_row = first + begin;
        __global const row_t *a = rows_base + rows_offset + first_row * row_elements;
        __global const weight_t *b = weights;
        /* The last of several tiles finds its panel in the cache: it fetches the next panel meanwhile. */
        const int fetch_next = t + 1 == tile_end && t != tile_begin && panel_elements * sizeof(weight_t) <= NEXT_PANEL_BYTES;
        __global const weight_t *ahead = b + (fetch_next ? panel_elements : PREFETCH_BYTES / sizeof(weight_t));
        real sums[2 * TILE_ROWS];
        switch (end - begin) {
            case 1: TILE(1) break;
#if TILE_ROWS >= 2
            case 2: TILE(2) break;
#endif
#if TILE_ROWS >= 3
            case 3: TILE(3) break;
#endif
#if TILE_ROWS >= 4
            case 4: TILE(4) break;
#endif
#if TILE_ROWS >= 5
            case 5: TILE(5) break;
#endif
#if TILE_ROWS >= 6
            case 6: TILE(6) break;
#endif
#if TILE_ROWS >= 7
            case 7: TILE(7) break;
#endif
#if TILE_ROWS >= 8
            case 8: TILE(8) break;
#endif
#if TILE_ROWS >= 9
            case 9: TILE(9) break;
#endif
#if TILE_ROWS >= 10
            case 10: TILE(10) break;
#endif
#if TILE_ROWS >= 11
            case 11: TILE(11) break;
#endif
#if TILE_ROWS >= 12
            case 12: TILE(12) break;
#endif
#if TILE_ROWS >= 13
            case 13: TILE(13) break;
#endif
#if TILE_ROWS >= 14
            case 14: TILE(14) break;
#endif
        }
        for (uint i = 0; i < end - begin; i++)
            finish(sums[2 * i], sums[2 * i + 1], y, y_stride, first_row, end - begin, i, panel, features_out, bias);
    }
}
