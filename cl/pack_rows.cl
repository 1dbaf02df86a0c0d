/* Packs whole panels (panel.clh) from rows that lie along k, on CPUs: the kernel for weights as checkpoints store them.
 * A work-group takes a run of k of one panel. Each half of a panel (gate and up, or neighbours) is PANEL_LANES rows of
 * the source.
 *
 *   unit     32 bits of a row: one value as f32, or neighbouring values that are only moved: two of 16 bits, or four
 *            e4m3 codes, whose scales go to the head of their super (block.clh)
 *   block    LANES rows x LANES units: loaded along k, turned in registers, stored along the panel's lanes
 *   line     the blocks of 64 bytes of LANES rows, one after the other while those bytes are in the cache
 *
 * What is packed is not read again soon, so it goes past the caches: its lines need not be read before they are
 * written, as long as each is filled at once. While a panel is packed, the rows of the next one are on their way into
 * the L2 cache.
 *
 *   group id 0   panel of the piece
 *   group id 1   run of k_run k
 *
 *   SOURCE_FORMAT, SCALE_FORMAT (narrow.clh), WEIGHT_FORMAT, ARITHMETIC, PANEL_LANES (panel.clh)
 *   PREFETCH (micro/prefetch.clh)
 *
 * Sources are read by bytes: nothing need be aligned. Bits equal those of pack_weights.cl.
 */
#ifndef SOURCE_FORMAT
#define SOURCE_FORMAT 1
#endif
#ifndef PANEL_LANES
#define PANEL_LANES 16
#endif
#define LANES PANEL_LANES

#include "common.clh"
#include "lanes.clh"
#include "turn.clh"
#include "panel.clh"
#include "narrow.clh"
#include "micro/prefetch.clh"
#include "touch.clh"

#define ALWAYS static inline __attribute__((always_inline))

#include "row_blocks.clh"
#include "stream_store.clh"

/* k in a step of the panel, and what a block and a step of it are. */
#if TO_E4M3
#define STEP_K 4
#else
#define STEP_K KP
#endif
#define BLOCK_STEPS (TURN_K / STEP_K)
#define STEP_ELEMENTS (PANEL_COLUMNS * STEP_K)

/* Step `i` (k / KP) of a turned block as a half of the panel has it. */
#if WEIGHT_FORMAT == FORMAT_F32 || KP == 2 || TO_E4M3
typedef bits step_t;
#else
typedef shorts step_t;
#endif
ALWAYS step_t packed_step(const bits *r, uint i) {
#if WEIGHT_FORMAT == FORMAT_F32 || (MOVED && KP == 2) || TO_E4M3
    return r[i];
#elif MOVED
    return TO_SHORTS(i % 2 == 0 ? r[i / 2] & (bits)(0xffffu) : r[i / 2] >> (bits)(16u));
#elif KP == 2
    return TO_BITS(bf16_from_real(AS_REAL(r[2 * i]))) | TO_BITS(bf16_from_real(AS_REAL(r[2 * i + 1]))) << (bits)(16u);
#elif WEIGHT_FORMAT == FORMAT_BF16
    return bf16_from_real(AS_REAL(r[i]));
#else
    step_t halves;
    REAL_STORE_HALF(AS_REAL(r[i]), (__private half *)&halves);
    return halves;
#endif
}

/* Where the next panel's rows are prefetched: line after line, row after row, as many lines as a block has. Memory and
 * what fetches ahead of it in hardware like that order better than the one in which lines are packed. */
typedef struct half_ahead {
    __global const uchar *at;
    uint left, run_lines; /* lines of a row: not yet fetched, in all */
} half_ahead;

ALWAYS void fetch_ahead(half_ahead *ahead, ulong row_bytes) {
#pragma unroll
    for (uint i = 0; i < 2 * ((LANES * RAW_BYTES + 63) / 64); i++) {
        half_ahead *one = &ahead[i % 2];
        prefetch_line(one->at, 0);
        one->at += 64;
        one->left--;
        if (one->left == 0) {
            one->at += row_bytes - 64ul * one->run_lines;
            one->left = one->run_lines;
        }
    }
}

/* A half of the panel's step has a line of its own; else a line has columns of both halves. */
#define WHOLE_LINES (LANES == 16 && (WEIGHT_FORMAT == FORMAT_F32 || KP == 2 || TO_E4M3))

/* Stores turned blocks of halves h .. end - 1, `left` k from the first on. Every vector lies at a multiple of its size:
 * the library's own buffers begin at one, and so do panels and the halves of their steps. */
ALWAYS void store_blocks(const bits *first, const bits *second, uint h, uint end, uint left, __global weight_t *to) {
    const uint steps = TO_E4M3 ? BLOCK_STEPS : min((left + KP - 1) / KP, (uint)BLOCK_STEPS);
#pragma unroll
    for (uint i = 0; i < BLOCK_STEPS; i++) {
        __global weight_t *at = to + i * STEP_ELEMENTS;
        if (i >= steps) continue;
#if LANES == 16 && !WHOLE_LINES
        STREAM_STORE(bits, (bits)(as_uint8(packed_step(first, i)), as_uint8(packed_step(second, i))), at);
#else
        if (h == 0) STREAM_STORE(step_t, packed_step(first, i), at);
        if (end == 2) STREAM_STORE(step_t, packed_step(second, i), at + LANES * STEP_K);
#endif
    }
}

/* A block of each half, at k; `left` k are in the rows from k on. */
ALWAYS void pack_blocks(const half_rows *halves, half_ahead *ahead, ulong row_bytes, uint k, uint left,
                        __global weight_t *to, SCALE_PARAMETERS) {
    bits first[LANES], second[LANES];
    fetch_ahead(ahead, row_bytes);
    load_block(first, halves[0], row_bytes, k, left, block_rows, block_columns, scale_columns);
    turn(first);
    if (WHOLE_LINES) store_blocks(first, second, 0, 1, left, to);
    load_block(second, halves[1], row_bytes, k, left, block_rows, block_columns, scale_columns);
    turn(second);
    store_blocks(first, second, WHOLE_LINES, 2, left, to);
}

/* Where the block at k goes, of a panel. */
ALWAYS __global weight_t *block_place(__global weight_t *panel, uint k) {
#if TO_E4M3
    return panel + (ulong)(k / SUPER_K) * SUPER_BYTES + HEADER_BYTES + k % SUPER_K / STEP_K * STEP_ELEMENTS;
#else
    return panel + (ulong)(k / STEP_K) * STEP_ELEMENTS;
#endif
}

#if TO_E4M3
/* The scales of the super at k: of each two rows one. */
ALWAYS void store_scales(const half_rows *halves, __global weight_t *panel, uint k, SCALE_PARAMETERS) {
    __global uint *pairs = (__global uint *)(panel + (ulong)(k / SUPER_K) * SUPER_BYTES);
    for (uint i = 0; i < PANEL_COLUMNS; i += 2) {
        const half_rows *own = &halves[i / LANES];
        uint scale = as_uint(1.0f);
#if SCALE_FORMAT != 0
        const ulong row = (own->stored_row + (ulong)(i % LANES) * own->stored_step) / block_rows;
        if (i % LANES < own->count)
            scale = scale_bits(scale_load(own->scales, row * scale_columns + k / block_columns));
#endif
        pairs[i / 2] = i % LANES < own->count ? scale : 0u;
    }
}
#endif

#include "row_lines.clh"
#ifdef BY_LINES
/* The blocks of k from `begin` to `end`, behind which the rows have one more. */
ALWAYS void pack_lines(const half_rows *halves, half_ahead *ahead, ulong row_bytes, uint begin, uint end,
                       __global weight_t *panel) {
    half_lines a, b;
    begin_lines(&a, halves[0].first + BYTES_OF_K(begin), row_bytes);
    begin_lines(&b, halves[1].first + BYTES_OF_K(begin), row_bytes);
    for (uint k = begin; k < end; k += TURN_K) {
        bits first[LANES], second[LANES];
        __global weight_t *to = block_place(panel, k);
        fetch_ahead(ahead, row_bytes);
        load_lines(first, &a, row_bytes);
        turn(first);
        if (WHOLE_LINES) store_blocks(first, second, 0, 1, TURN_K, to);
        load_lines(second, &b, row_bytes);
        turn(second);
        store_blocks(first, second, WHOLE_LINES, 2, TURN_K, to);
    }
}

/* How many k from `begin` on may be packed by lines: rows begin at whole words, at the same place in their lines, and
 * all are there; one block is left over, so that no line reaches past the last row. */
ALWAYS uint count_by_lines(const half_rows *halves, ulong row_bytes, uint begin, uint end, uint features) {
    const bool alike = ((ulong)halves[0].first | (ulong)halves[1].first) % 4 == 0 && row_bytes % 64 == 0;
    const uint last = features / TURN_K * TURN_K;
    if (!alike || min(halves[0].count, halves[1].count) < LANES || last < begin + 2 * TURN_K) return 0;
    return min(end / TURN_K * TURN_K, last - TURN_K) - begin;
}
#endif

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void pack_rows(
    __global const uchar *first, ulong first_offset,    /* row 0 of the piece's first halves */
    __global const uchar *second, ulong second_offset,  /* and of the second halves */
    ulong row_bytes,                                    /* from a row of a half to its next */
    uint panel_rows,                                    /* rows from a panel to the next: PANEL_LANES or twice that */
    uint first_rows, uint second_rows,                  /* rows there are in the piece, from those on */
    __global weight_t *panels, ulong first_panel,       /* a shard, and the piece's first panel in it */
    uint features, uint k_run,                          /* k_run is a multiple of 128 */
    __global const uchar *first_scales, ulong first_scales_offset, __global const uchar *second_scales,
    ulong second_scales_offset, uint first_stored, uint second_stored, uint stored_step, SCALE_PARAMETERS) {
    const uint panel = get_group_id(0), begin = get_group_id(1) * k_run, end = min(begin + k_run, features);
    const uint row = panel * panel_rows;
    __global weight_t *to = panels + (first_panel + panel) * panel_elements(features);
    half_rows halves[2];
    halves[0].first = first + first_offset + row * row_bytes;
    halves[1].first = second + second_offset + row * row_bytes;
    halves[0].count = first_rows > row ? first_rows - row : 0;
    halves[1].count = second_rows > row ? second_rows - row : 0;
#if SCALE_FORMAT != 0
    halves[0].scales = first_scales + first_scales_offset;
    halves[1].scales = second_scales + second_scales_offset;
    halves[0].stored_row = first_stored + row * stored_step;
    halves[1].stored_row = second_stored + row * stored_step;
    halves[0].stored_step = halves[1].stored_step = stored_step;
#endif
    half_ahead ahead[2];
    for (uint h = 0; h < 2; h++) {
        ahead[h].at = halves[h].first + panel_rows * row_bytes + BYTES_OF_K(begin);
        ahead[h].run_lines = ahead[h].left = (uint)(BYTES_OF_K(end - begin + TURN_K - 1) + 63) / 64;
    }
    uint k = begin;
#if TO_E4M3
    for (uint at = begin; at < end; at += SUPER_K)
        store_scales(halves, to, at, block_rows, block_columns, scale_columns);
    const uint stop = (end + SUPER_K - 1) / SUPER_K * SUPER_K;
#else
    const uint stop = end;
#endif
#ifdef BY_LINES
    const uint count = count_by_lines(halves, row_bytes, begin, end, features);
    if (count > 0) pack_lines(halves, ahead, row_bytes, begin, begin + count, to);
    k += count;
#endif
    for (; k < stop; k += TURN_K)
        pack_blocks(halves, ahead, row_bytes, k, k < features ? features - k : 0, block_place(to, k), block_rows,
                    block_columns, scale_columns);
    STREAM_END
}
