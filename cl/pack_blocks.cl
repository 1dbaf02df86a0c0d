/* Packs rows of source blocks (block.clh), as ggml and GGUF files have them: kept in their format, moved bit by bit
 * into the supers of a panel, or decoded to the elements of a plain panel (panel.clh), as ggml decodes them, rounded to
 * nearest even.
 *
 *   group id 0   panel of the piece
 *   group id 1   run of `supers` supers of SUPER_BLOCKS source blocks
 *   local id 0   LANES of the panel's columns; any local size
 *
 *   SOURCE_FORMAT   the block format
 *   WEIGHT_FORMAT   the same, or FORMAT_F32, FORMAT_F16, FORMAT_BF16
 *   LANES           columns at once: PANEL_LANES on CPUs, 1 elsewhere
 *   ARITHMETIC, PANEL_LANES (panel.clh)
 */
#ifndef SOURCE_FORMAT
#define SOURCE_FORMAT 16
#endif
#ifndef WEIGHT_FORMAT
#define WEIGHT_FORMAT SOURCE_FORMAT
#endif
#ifndef LANES
#define LANES 1
#endif
#define BLOCK_FORMAT SOURCE_FORMAT
#include "common.clh"
#include "lanes.clh"
#include "panel.clh"
#include "block.clh"

#define BLOCK_RUNS (BLOCK_K / RUN_K)
#define BLOCK_SUBS (BLOCK_K / SUB_K)
#define BLOCK_FIELDS (BLOCK_K / BYTES_K * SUB_BYTES)

#define BLOCK_WORDS ((BLOCK_BYTES + 3) / 4)

#define LOW_HALVES (bits)(0x0f0f0f0fu)
#define ALWAYS static inline __attribute__((always_inline))

/* ---------------------------------------------------------------------------------------------- sources */

/* Four bytes of each lane's row: by bytes, because nothing there is aligned. */
#define ROW_WORD(i) as_uint(vload4(0, row[i] + byte))
ALWAYS bits row_words(__global const uchar *const *row, uint byte) {
#if LANES == 1
    return ROW_WORD(0);
#elif LANES == 4
    return (bits)(ROW_WORD(0), ROW_WORD(1), ROW_WORD(2), ROW_WORD(3));
#elif LANES == 8
    return (bits)(ROW_WORD(0), ROW_WORD(1), ROW_WORD(2), ROW_WORD(3), ROW_WORD(4), ROW_WORD(5), ROW_WORD(6),
                  ROW_WORD(7));
#else
    return (bits)(ROW_WORD(0), ROW_WORD(1), ROW_WORD(2), ROW_WORD(3), ROW_WORD(4), ROW_WORD(5), ROW_WORD(6),
                  ROW_WORD(7), ROW_WORD(8), ROW_WORD(9), ROW_WORD(10), ROW_WORD(11), ROW_WORD(12), ROW_WORD(13),
                  ROW_WORD(14), ROW_WORD(15));
#endif
}

/* The block that begins `byte` bytes into the rows; nothing behind it is read. */
ALWAYS void load_block(bits *source, __global const uchar *const *row, ulong at) {
    __global const uchar *from[LANES];
    for (uint i = 0; i < LANES; i++) from[i] = row[i] + at;
    for (uint word = 0; word < BLOCK_BYTES / 4; word++) source[word] = row_words(from, 4 * word);
#if BLOCK_BYTES % 4 != 0
    source[BLOCK_WORDS - 1] = row_words(from, BLOCK_BYTES - 4) >> (bits)(32 - BLOCK_BYTES % 4 * 8);
#endif
}

#if IS_BLOCKS
#if SOURCE_FORMAT != WEIGHT_FORMAT
#error "blocks are kept in their own format or decoded"
#endif
#if LANES == 1
#define STORE_BYTES(value, pointer) (*(pointer) = convert_uchar(value))
#else
#define STORE_BYTES(value, pointer) LANES_PASTE(vstore, LANES)(LANES_PASTE(convert_uchar, LANES)(value), 0, pointer)
#endif

ALWAYS void store_run(const bits *quad, __global uchar *run) {
#if CODE_BITS == 8
#pragma unroll
    for (uint q = 0; q < RUN_QUADS; q++) REAL_STORE(quad[q], (__global uint *)(run + q * (4 * PANEL_COLUMNS)));
#else
#pragma unroll
    for (uint j = 0; j < RUN_QUADS / 2; j++) {
        const bits low = quad[2 * j] & LOW_HALVES, high = quad[2 * j + 1] & LOW_HALVES;
        REAL_STORE(low | high << (bits)(4u), (__global uint *)(run + j * (4 * PANEL_COLUMNS)));
    }
#endif
#if CODE_BITS == 5
    bits high = (bits)(0u);
#pragma unroll
    for (uint q = 0; q < RUN_QUADS; q++) high |= (quad[q] >> (bits)(4u) & (bits)(0x01010101u)) << (bits)(q);
    REAL_STORE(high, (__global uint *)(run + RUN_LOW_BYTES));
#elif CODE_BITS == 6
#pragma unroll
    for (uint part = 0; part < 2; part++) {
        bits high = (bits)(0u);
#pragma unroll
        for (uint q = 0; q < 4; q++) high |= (quad[4 * part + q] >> (bits)(4u) & (bits)(0x03030303u)) << (bits)(2 * q);
        REAL_STORE(high, (__global uint *)(run + RUN_LOW_BYTES + part * (4 * PANEL_COLUMNS)));
    }
#endif
}

/* One block of each lane to its place in the super; where `there` is 0, zero bytes. */
ALWAYS void move_block(SOURCE, bits there, __global uchar *super, uint block, uint column) {
#if BLOCK_HALVES != 0
#pragma unroll
    for (uint i = 0; i < BLOCK_HALVES; i++) {
        __global ushort *to = (__global ushort *)super + (block * BLOCK_HALVES + i) * PANEL_COLUMNS + column;
        REAL_STORE(TO_SHORTS(block_half(source, i) & there), to);
    }
#endif
#if SUB_BYTES != 0
    __global uchar *bytes = super + HALVES_BYTES + block * (BLOCK_FIELDS * PANEL_COLUMNS) + column;
    for (uint i = 0; i < BLOCK_FIELDS; i++)
        STORE_BYTES(block_byte(source, i / SUB_BYTES * (BYTES_K / SUB_K), i % SUB_BYTES) & there,
                    bytes + i * PANEL_COLUMNS);
#endif
    __global uchar *run = super + HEADER_BYTES + block * (BLOCK_RUNS * RUN_BYTES) + 4 * column;
    for (uint r = 0; r < BLOCK_RUNS; r++) {
        bits quad[RUN_QUADS];
#pragma unroll
        for (uint q = 0; q < RUN_QUADS; q++) quad[q] = block_quad(source, r * RUN_QUADS + q) & there;
        store_run(quad, run + r * RUN_BYTES);
    }
}

#else

/* Columns [column, + LANES) of KP neighbouring k. */
ALWAYS void store_steps(const real *value, __global weight_t *to) {
#if KP == 2
    REAL_STORE(TO_BITS(bf16_from_real(value[0])) | TO_BITS(bf16_from_real(value[1])) << (bits)(16u),
               (__global uint *)to);
#elif WEIGHT_FORMAT == FORMAT_F32
    REAL_STORE(value[0], to);
#elif WEIGHT_FORMAT == FORMAT_BF16
    REAL_STORE(bf16_from_real(value[0]), to);
#else
    REAL_STORE_HALF(value[0], to);
#endif
}

ALWAYS real real_from_f16(bits half_bits) {
    const shorts narrow = TO_SHORTS(half_bits);
    return REAL_LOAD_HALF((const __private half *)&narrow);
}

/* Decodes one block of each lane; where `there` is 0, to zeros. ggml's roundings: of the scale, the product, the
 * difference. */
ALWAYS void decode_block(SOURCE, bits there, __global weight_t *to) {
    real halves[BLOCK_HALVES + 1];
#if BLOCK_HALVES != 0
    for (uint i = 0; i < BLOCK_HALVES; i++) halves[i] = real_from_f16(block_half(source, i));
#endif
    for (uint sub = 0; sub < BLOCK_SUBS; sub++) {
        bits bytes[SUB_BYTES + 1];
#if SUB_BYTES != 0
        for (uint i = 0; i < SUB_BYTES; i++) bytes[i] = block_byte(source, sub, i);
#endif
        const real scale = sub_scale(halves, bytes);
        for (uint q = sub * (SUB_K / 4); q < (sub + 1) * (SUB_K / 4); q++) {
            bits codes = block_quad(source, q);
#if CODE_TABLE
            codes = table_bytes(codes);
#endif
            real value[4];
#pragma unroll
            for (uint b = 0; b < 4; b++) {
                value[b] = scale * TO_REAL(AS_INTEGER(codes >> (bits)(8 * b) & (bits)(255u)) - (integer)(CODE_OFFSET));
#if HAS_MINIMUM
                value[b] = value[b] - sub_minimum(halves, bytes);
#endif
                value[b] = AS_REAL(AS_BITS(value[b]) & there);
            }
#pragma unroll
            for (uint b = 0; b < 4; b += KP) store_steps(value + b, to + (4 * q + b) * PANEL_COLUMNS);
        }
    }
}
#endif

#if LANES == 1
#define LANE_NUMBERS (bits)(0u)
#elif LANES == 4
#define LANE_NUMBERS (bits)(0u, 1u, 2u, 3u)
#elif LANES == 8
#define LANE_NUMBERS (bits)(0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u)
#else
#define LANE_NUMBERS (bits)(0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 10u, 11u, 12u, 13u, 14u, 15u)
#endif

__kernel void pack_blocks(__global const uchar *restrict rows, ulong rows_offset, /* the piece's first out */
                          ulong row_bytes,                                        /* from an out to the next */
                          __global weight_t *restrict panels, ulong first_panel,  /* a shard, its panel 0 of the
                                                                                   * piece */
                          uint outs,                                              /* columns of the piece */
                          uint features, uint supers,                             /* supers is a work-group's run */
                          uint lane_begin, uint lane_count) {                     /* these rows' columns in a panel */
    const uint blocks = features / BLOCK_K, all = (features + SUPER_K - 1) / SUPER_K;
    const uint begin = get_group_id(1) * supers, end = min(begin + supers, all);
    __global weight_t *panel = panels + (first_panel + get_group_id(0)) * panel_elements(features);
    for (uint lane = get_local_id(0) * LANES; lane < lane_count; lane += get_local_size(0) * LANES) {
        const uint out = get_group_id(0) * lane_count + lane, column = lane_begin + lane;
        const uint present = out < outs ? min(outs - out, (uint)LANES) : 0;
        const bits lanes = LANE_NUMBERS < (bits)(present) ? (bits)(0xffffffffu) : (bits)(0u);
        __global const uchar *row[LANES]; /* lanes without a row read one that is there */
        for (uint i = 0; i < LANES; i++)
            row[i] = rows + rows_offset + (present == 0 ? 0 : out + min(i, present - 1)) * row_bytes;
        for (uint number = begin * SUPER_BLOCKS; number < end * SUPER_BLOCKS; number++) {
            bits source[BLOCK_WORDS];
            load_block(source, row, (ulong)min(number, blocks - 1) * BLOCK_BYTES);
#if IS_BLOCKS
            /* Behind the last block there are zero bytes. */
            __global uchar *super = panel + (ulong)(number / SUPER_BLOCKS) * SUPER_BYTES;
            move_block(source, number < blocks ? lanes : (bits)(0u), super, number % SUPER_BLOCKS, column);
#else
            if (number < blocks)
                decode_block(source, lanes, panel + (ulong)number * (BLOCK_K * PANEL_COLUMNS) + column * KP);
#endif
        }
    }
}
