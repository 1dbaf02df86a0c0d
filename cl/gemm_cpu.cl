/* Grouped GEMM, macro-kernel `cpu`: y[row] = epilogue(packed row . W_group^T).
 *
 * One work-item a work-group, explicit vectors, the sums of a tile of rows x 2 vectors: what a compiler for CPUs turns
 * into the loop one would write by hand. A work-group owns one panel of one expert that has rows, and runs all of that
 * expert's row tiles over it, so a panel is read from memory once; it is prefetched ahead of use. Each sum has one
 * order over k whatever the tile's height, so a row's bits do not depend on its neighbours.
 *
 *   global id 0   panel; where int8 rows are handed over (y_int8.clh), SPAN_PANELS of them
 *   global id 1   n-th expert that has rows (without a plan: 0); with COMBINE and its `out`, 0: the group does them all
 *   global id 2   chunk of the group's tiles (with a plan: 0)
 *
 *   LANES         f32 lanes of a vector: 16, 8, 4; the panel has 2 * LANES columns
 *   TILE_ROWS     rows of a tile
 *   GROUP_TILES   tiles that share what was decoded: 1 unless block formats are (block_decode.clh)
 *   FULL_TILES    1: with a plan, tiles of TILE_ROWS rows and one of what is left (clmoe_grouped_gemm_desc)
 *   MICRO         0 by ARITHMETIC, 1 avx512_bf16, 6 avx512_fma where weights are converted, and those of block_int8.clh
 *   PREFETCH_BYTES    how far ahead of the panel's read position; _TALL with tiles of TALL rows or more, which take
 *                     longer for a line than memory does when it is quick
 *   COMBINE       1: where there is one token, its rows may be added up here too (combine.clh): a launch less
 *   NEXT_PANEL_BYTES  a panel larger than this is not fetched before its turn: two must fit in the L2 cache
 * and those of panel.clh, epilogue.clh and activation.clh. How a tile is multiplied: register_tile.clh (weights as they
 * are stored), block_decode.clh (block formats decoded first), block_int8.clh (block formats, integer dot products).
 */
#ifndef TILE_ROWS
#define TILE_ROWS 14
#endif
#ifndef MICRO
#define MICRO 0
#endif
#ifndef FULL_TILES
#define FULL_TILES 0
#endif
#ifndef PREFETCH_BYTES
#define PREFETCH_BYTES (ARITHMETIC == 3 ? 16384 : 4096)
#endif
#ifndef PREFETCH_BYTES_TALL
#define PREFETCH_BYTES_TALL (ARITHMETIC == 3 ? 16384 : 8192)
#endif
#define TALL 5
#ifndef NEXT_PANEL_BYTES
#define NEXT_PANEL_BYTES 393216
#endif
#ifndef GROUP_TILES
#define GROUP_TILES 1
#endif
#include "common.clh"
#include "lanes.clh"
#define PANEL_LANES LANES
#include "panel.clh"
#include "plan.clh"
#if ARITHMETIC == 3
typedef uint row_t;
#elif MICRO == 1
#include "micro/avx512_bf16.clh"
#elif ARITHMETIC == 2
#include "micro/bf16.clh"
#elif MICRO == 6 && WEIGHT_FORMAT != FORMAT_F32 && !IS_BLOCKS
#include "micro/avx512_fma.clh"
#else
#include "micro/f32.clh"
#endif
#include "micro/prefetch.clh"
#include "rows.clh"
#include "epilogue.clh"
#include "stream_store.clh"
#ifndef COMBINE
#define COMBINE 0
#endif
#if COMBINE
#include "combine.clh"
#define THEN_COMBINE , COMBINE_ARGUMENTS
#define COMBINES (out != 0)
#else
#define COMBINES 0
#define THEN_COMBINE
#endif

/* Tile t of `tiles` begins here; near-equal heights, as dispatch.cl cuts them. */
static inline uint tile_row(uint rows, uint t, uint tiles) {
#if FULL_TILES
    return min(rows, t * TILE_ROWS);
#else
    if (t == 0) return 0;
    return t == tiles ? rows : (uint)((ulong)rows * t / tiles); /* mostly there is one tile: no division */
#endif
}

#if ARITHMETIC == 3
#include "block_int8.clh"
#if Y_PACKED
#include "y_int8.clh"
#endif
#elif IS_BLOCKS
#define STEP_PREFETCH 0
#include "block_decode.clh"
#else
#define STEP_PREFETCH 1
#include "register_tile.clh"
#endif

#if GROUP_TILES != 1 && (ARITHMETIC == 3 || !IS_BLOCKS)
#error "GROUP_TILES must be 1 unless block formats are decoded"
#endif

#ifndef SPAN_PANELS
#define SPAN_PANELS 1 /* that a work-group does */
#endif

static inline ulong row_elements(uint features) {
#if ARITHMETIC == 3
    return (ulong)int8_row_runs(features) * INT8_ROW_UINTS;
#else
    return row_blocks(features) * ROW_STEPS;
#endif
}

/* The sums of tiles [t, end) over all of k. rows_at: where the group's packed rows begin. */
static inline void multiply(real *sums, __global const row_t *rows_at, __global const weight_t *panel,
                     __global const weight_t *ahead, uint features, uint rows, uint t, uint end, uint tiles) {
    const uint begin = tile_row(rows, t, tiles), height = tile_row(rows, end, tiles) - begin;
    for (uint i = 0; i < 2 * height; i++) sums[i] = (real)(0.0f);
#if ARITHMETIC == 3
    const uint supers = (features + SUPER_K - 1) / SUPER_K;
    block_tile(sums, rows_at + begin * row_elements(features), height, panel, supers, ahead);
#elif IS_BLOCKS
    block_group(sums, rows_at, row_elements(features), panel, ahead, features, rows, t, end, tiles);
#else
    const uint steps = (features + KP - 1) / KP;
    __global const row_t *a = rows_at + begin * row_elements(features);
    __global const weight_t *b = panel;
    REGISTER_TILE(height)
#endif
}

/* Factors, bias and activation: one vector in sum[0] with a gate, else two. */
static inline void finish(real *sum, const float *scale, __global const float *bias) {
#if SCALED
    sum[0] *= scale[0];
    sum[1] *= scale[1];
#endif
#if BIAS
    sum[0] += REAL_LOAD(bias);
    sum[1] += REAL_LOAD(bias + LANES);
#endif
#if ACT_GATED
    sum[0] = activation(sum[0], sum[1]);
#elif ACTIVATE
    sum[0] = activation(sum[0], sum[0]);
    sum[1] = activation(sum[1], sum[1]);
#endif
}

/* A panel's columns of a row are whole lines. */
#if defined(Y_VECTOR) && !Y_PACKED && !ACT_GATED && LANES * Y_BYTES >= 32
#define Y_STREAMS 1
#else
#define Y_STREAMS 0
#endif

#ifndef ROUND_VECTORS
/* Stores row i of a tile of `rows` rows that starts at first_row. streams: it is not read again soon. */
static inline void store_row(const real *sum, __global y_t *y, ulong y_stride, ulong first_row, uint rows, uint i,
                             uint panel, uint features_out, int streams) {
    const uint column = panel * (ACT_GATED ? LANES : PANEL_COLUMNS);
#if Y_PACKED
    __global y_t *tile = y + first_row * row_blocks(features_out) * ROW_VALUES;
    store_packed(tile + row_place(column, rows, i), sum[0], column, features_out);
    if (!ACT_GATED && column + LANES < features_out)
        store_packed(tile + row_place(column + LANES, rows, i), sum[1], column + LANES, features_out);
#else
    __global y_t *row = y + (first_row + i) * y_stride + column;
#if Y_STREAMS
    if (streams && ON_LINE(row) && column + PANEL_COLUMNS <= features_out) {
        STREAM_STORE(y_vector, Y_VECTOR(sum[0]), row);
        STREAM_STORE(y_vector, Y_VECTOR(sum[1]), row + LANES);
        return;
    }
#endif
    store_columns(row, sum[0], column, features_out);
    if (!ACT_GATED && column + LANES < features_out)
        store_columns(row + LANES, sum[1], column + LANES, features_out);
#endif
}
#endif

/* What all tiles of a work-group share. */
typedef struct job {
    __global const row_t *rows_at; /* the group's packed rows */
    uint group, first;             /* and its first row */
    uint rows, tiles, tile_begin, tile_end, features_in, features_out;
    uint one_row;   /* 1: all rows are the one at rows_at */
    ulong elements; /* of a panel */
    float scale[2];
    __global const weight_t *next; /* the panel after this one, if it is not the one behind it; else NULL */
} job;

/* The sums of tiles [t, end) for one panel, finished. */
static inline void panel_tiles(real *sums, const job *w, __global const weight_t *weights, __global const float *bias,
                               uint t, uint end) {
    /* The last of several tiles finds its panel in the cache: it fetches the next panel meanwhile. */
    const int fits = w->elements * sizeof(weight_t) <= NEXT_PANEL_BYTES;
    const int fetch_next = end == w->tile_end && t != w->tile_begin && fits;
    const uint height = tile_row(w->rows, t + 1, w->tiles) - tile_row(w->rows, t, w->tiles);
    const uint distance = height < TALL ? PREFETCH_BYTES : PREFETCH_BYTES_TALL;
    __global const weight_t *ahead = weights + (fetch_next ? w->elements : distance / sizeof(weight_t));
    if (w->next != 0 && end == w->tile_end) ahead = w->next;
    const uint count = tile_row(w->rows, end, w->tiles) - tile_row(w->rows, t, w->tiles);
    uint rows = w->rows, tiles = w->tiles;
    if (w->one_row) t = 0, end = rows = tiles = 1;
    multiply(sums, w->rows_at, weights, ahead, w->features_in, rows, t, end, tiles);
    for (uint i = 2; i < 2 * count && w->one_row; i++) sums[i] = sums[i % 2];
    for (uint i = 0; i < count; i++) finish(sums + 2 * i, w->scale, bias);
}

/* The n-th group that has rows, or without a plan the only one, of `tokens` rows. */
static inline void find_rows(job *w, __global const int *plan, uint groups, uint n, uint tokens) {
    w->group = w->first = 0;
    w->rows = tokens;
    if (plan == 0) return;
    w->group = (uint)plan[PLAN_ACTIVE(groups) + n];
    w->first = (uint)plan[PLAN_OFFSET(groups) + w->group];
    w->rows = (uint)plan[PLAN_OFFSET(groups) + w->group + 1] - w->first;
}

#ifndef ROUND_VECTORS
/* Stores one panel's sums of tiles [t, end). */
static inline void store_tiles(const real *sum, const job *w, __global y_t *y, ulong y_stride, uint t, uint end,
                               uint panel, int streams) {
    for (uint u = t; u < end; u++) {
        const uint begin = tile_row(w->rows, u, w->tiles), height = tile_row(w->rows, u + 1, w->tiles) - begin;
        for (uint i = 0; i < height; i++, sum += 2)
            store_row(sum, y, y_stride, w->first + begin, height, i, panel, w->features_out, streams);
    }
}
#endif

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gemm_cpu(
    __global const row_t *rows_base, ulong rows_offset, /* packed rows */
    SHARD_PARAMETERS,                                   /* packed weights */
    __global const float *bias_base,                    /* may be NULL without BIAS */
    __global const float *scale0, __global const float *scale1, /* may be NULL without SCALED */
    __global y_t *y_base, ulong y_offset, ulong y_stride,
    __global const int *plan, ulong plan_offset,        /* NULL: one group of all tokens */
    __global const int *token_count, ulong token_count_offset,
    uint tokens, uint groups, uint panels, uint features_in, uint features_out, uint tiles_per_chunk,
    uint one_row THEN_COMBINE) {
    const uint panel = get_global_id(0) * SPAN_PANELS;
    if (tokens == 0 || panel >= panels) return;
    if (plan != 0) plan += plan_offset;
    const uint active = plan != 0 ? (uint)plan[PLAN_ACTIVE_EXPERTS] : 1;
    uint n = get_global_id(1), last = min(n + 1, active);
#if COMBINE
    if (out != 0) last = active;
#endif
    const uint valid = valid_tokens(tokens, token_count, token_count_offset);
    for (; n < last; n++) {
        job w = {.features_in = features_in,
                 .features_out = features_out,
                 .one_row = one_row,
                 .elements = panel_elements(features_in)};
        find_rows(&w, plan, groups, n, valid);
        /* one row: of the only token, for all of its experts */
        w.rows_at = rows_base + rows_offset + (one_row ? 0 : (ulong)w.first) * row_elements(features_in);
        w.tiles = (w.rows + TILE_ROWS - 1) / TILE_ROWS;
        w.tile_begin = min((uint)get_global_id(2) * tiles_per_chunk, w.tiles);
        w.tile_end = min(w.tile_begin + tiles_per_chunk, w.tiles);
        w.scale[0] = SCALED ? scale0[w.group] : 1.0f;
        w.scale[1] = SCALED ? scale1[w.group] : 1.0f;
#if COMBINE && ARITHMETIC == 3
        /* Hardly longer than what is fetched ahead: that is the next expert's panel, in place of the one behind. */
        if (out != 0 && plan != 0) {
            const int more = n + 1 < last;
            const ulong group = (ulong)plan[PLAN_ACTIVE(groups) + (more ? n + 1 : 0)];
            SHARD_PANEL(w.next, group * panels + (more ? panel : min(panel + 1, panels - 1)), w.elements)
        }
#endif
        for (uint t = w.tile_begin, end; t < w.tile_end; t = end) {
            end = min(t + GROUP_TILES, w.tile_end);
            real sums[2 * TILE_ROWS * GROUP_TILES];
#ifdef ROUND_VECTORS
            const uint begin = tile_row(w.rows, t, w.tiles), height = tile_row(w.rows, end, w.tiles) - begin;
            real values[TILE_ROWS * SPAN_VECTORS]; /* of panels that do not exist 0 */
            for (uint i = 0; i < TILE_ROWS * SPAN_VECTORS && panels - panel < SPAN_PANELS; i++)
                values[i] = (real)(0.0f);
#endif
            for (uint p = 0; p < min((uint)SPAN_PANELS, panels - panel); p++) {
                const ulong index = (ulong)w.group * panels + panel + p;
                __global const weight_t *weights;
                SHARD_PANEL(weights, index, w.elements)
                panel_tiles(sums, &w, weights, bias_base + (BIAS ? index * PANEL_COLUMNS : 0), t, end);
#ifdef ROUND_VECTORS
                for (uint i = 0; i < height; i++) keep_row(values + i * SPAN_VECTORS, sums + 2 * i, p);
#else
                store_tiles(sums, &w, y_base + y_offset, y_stride, t, end, panel, !COMBINES);
#endif
            }
#ifdef ROUND_VECTORS
            __global y_t *tile = int8_tile(y_base + y_offset, w.first + begin, features_out);
            store_spans(tile, values, height, panel / SPAN_PANELS, features_out);
#endif
        }
    }
#if COMBINE
    if (out == 0 || valid == 0) return;
    COMBINE_TOKEN(t, 0, y_base + y_offset);
    for (uint c = panel * PANEL_COLUMNS; c < min((panel + 1) * PANEL_COLUMNS, hidden); c += LANES)
        combine_vector(&t, c, (int)(hidden - c));
#endif
}
