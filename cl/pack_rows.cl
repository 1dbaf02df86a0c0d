/* Packs whole panels (panel.clh) from rows that lie along k, on CPUs: the kernel for weights as checkpoints store them. A
 * work-group takes a run of k of one panel. Each half of a panel (gate and up, or neighbours) is PANEL_LANES rows of the
 * source; both are written together, so every cache line of the panel is filled at once.
 *
 *   unit     32 bits of a row: one value as f32, or two neighbouring 16-bit values that are only moved
 *   block    LANES rows x LANES units: loaded along k, turned in registers, stored along the panel's lanes
 *   line     the blocks of 64 bytes of LANES rows, one after the other while those bytes are in the cache
 *
 *   group id 0   panel of the piece
 *   group id 1   run of k_run k
 *
 *   SOURCE_FORMAT, SCALE_FORMAT (narrow.clh), WEIGHT_FORMAT, ARITHMETIC, PANEL_LANES (panel.clh)
 *
 * Sources are read by bytes: nothing need be aligned. Bits equal those of pack_weights.cl.
 */
#ifndef SOURCE_FORMAT
#define SOURCE_FORMAT 1
#endif
#ifndef PANEL_LANES
#define PANEL_LANES 16
#endif
/* Of a block: compilers tend to keep to 256 bits. */
#if PANEL_LANES >= 8
#define LANES 8
#else
#define LANES 4
#endif

#include "common.clh"
#include "lanes.clh"
#include "panel.clh"
#include "narrow.clh"

#define ALWAYS inline __attribute__((always_inline))

typedef LANES_OF(uchar) bytes;

/* LANES elements of a row, RAW_BYTES of them; decode() makes units of them. */
#if LANES == 8
#define WORDS_LOAD(p) (bits)(as_uint4(vload16(0, p)), as_uint4(vload16(1, p)))
#define SHORTS_LOAD(p) as_ushort8(vload16(0, p))
#define NIBBLES_LOAD(p) vload4(0, p)
#define NIBBLES uchar4
#define NUMBERS (bits)(0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u)
#else
#define WORDS_LOAD(p) as_uint4(vload16(0, p))
#define SHORTS_LOAD(p) as_ushort4(vload8(0, p))
#define NIBBLES_LOAD(p) vload2(0, p)
#define NIBBLES uchar2
#define NUMBERS (bits)(0u, 1u, 2u, 3u)
#endif

#define MOVED (SOURCE_FORMAT == WEIGHT_FORMAT)
#if SOURCE_FORMAT == FORMAT_F32 || MOVED
#define RAW_BYTES (LANES * 4)
#define RAW_LOAD(p) WORDS_LOAD(p)
typedef bits raw;
ALWAYS bits decode(raw value) { return value; }
#elif SOURCE_FORMAT == FORMAT_BF16
#define RAW_BYTES (LANES * 2)
#define RAW_LOAD(p) SHORTS_LOAD(p)
typedef shorts raw;
ALWAYS bits decode(raw value) { return TO_BITS(value) << (bits)(16u); }
#elif SOURCE_FORMAT == FORMAT_F16
#define RAW_BYTES (LANES * 2)
#define RAW_LOAD(p) SHORTS_LOAD(p)
typedef shorts raw;
ALWAYS bits decode(raw value) { return AS_BITS(REAL_LOAD_HALF((const __private half *)&value)); }
#elif SOURCE_FORMAT == FORMAT_E4M3
#define RAW_BYTES LANES
#define RAW_LOAD(p) LANES_PASTE(vload, LANES)(0, p)
typedef bytes raw;
ALWAYS bits decode(raw value) { return f32_from_e4m3(TO_BITS(value)); }
#elif SOURCE_FORMAT == FORMAT_E2M1
#define RAW_BYTES (LANES / 2)
#define RAW_LOAD(p) NIBBLES_LOAD(p)
typedef NIBBLES raw;
ALWAYS bits decode(raw value) {
    bytes code;
    code.even = value;
    code.odd = value >> (NIBBLES)(4);
    return f32_from_e2m1(TO_BITS(code) & (bits)(15u));
}
#else
#error "SOURCE_FORMAT must be a format of matrices"
#endif

/* k in a unit, and bytes of a row's k. */
#if MOVED && WEIGHT_FORMAT != FORMAT_F32
#define UNIT_K 2
#else
#define UNIT_K 1
#endif
#define BLOCK_K (LANES * UNIT_K)
#define BYTES_OF_K(k) ((ulong)(k) / BLOCK_K * RAW_BYTES) /* k a multiple of BLOCK_K */
#define LINE_K (64 / RAW_BYTES * BLOCK_K)
#define BLOCK_STEPS (BLOCK_K / KP)
#define STEP_ELEMENTS (PANEL_COLUMNS * KP)

/* The last units of a row: `count` k are left, the others become 0. */
inline raw load_part(__global const uchar *from, uint count) {
    uchar held[RAW_BYTES];
    const uint present = (count * RAW_BYTES + BLOCK_K - 1) / BLOCK_K;
    for (uint i = 0; i < RAW_BYTES; i++) {
        if (i < present) held[i] = from[i];
        else held[i] = 0;
    }
    return RAW_LOAD(held);
}

/* Where a half's rows are, and their scales. */
typedef struct half_rows {
    __global const uchar *first; /* its row 0 in this panel */
    uint count;                  /* rows there are, from 0 */
#if SCALE_FORMAT != 0
    __global const uchar *scales;
    uint stored_row, stored_step; /* of row 0 in the source, for its scale */
#endif
} half_rows;

/* A vector of the named lanes of a, then b. Compilers make one instruction of the builtin, some make many of shuffle2. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#endif
#endif
#ifndef MIX
#define MIX(a, b, ...) shuffle2(a, b, (bits)(__VA_ARGS__))
#endif

/* Rows to lanes: LANES units of each of LANES rows change places. */
#if LANES == 8
#define PAIRS(to, i)                                                     \
    to[i] = MIX(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);               \
    to[i + 1] = MIX(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
#define FOURS(to, i)                                                     \
    to[i] = MIX(s[i], s[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);               \
    to[i + 1] = MIX(s[i], s[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);         \
    to[i + 2] = MIX(s[i + 1], s[i + 3], 0, 1, 8, 9, 4, 5, 12, 13);       \
    to[i + 3] = MIX(s[i + 1], s[i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
#define EIGHTS(to, i)                                                    \
    to[i] = MIX(t[i], t[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);               \
    to[i + 4] = MIX(t[i], t[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
ALWAYS void turn(bits *r) {
    bits s[8], t[8];
    PAIRS(s, 0) PAIRS(s, 2) PAIRS(s, 4) PAIRS(s, 6)
    FOURS(t, 0) FOURS(t, 4)
    EIGHTS(r, 0) EIGHTS(r, 1) EIGHTS(r, 2) EIGHTS(r, 3)
}
#else
ALWAYS void turn(bits *r) {
    const bits a = MIX(r[0], r[1], 0, 4, 1, 5), b = MIX(r[2], r[3], 0, 4, 1, 5);
    const bits c = MIX(r[0], r[1], 2, 6, 3, 7), d = MIX(r[2], r[3], 2, 6, 3, 7);
    r[0] = MIX(a, b, 0, 1, 4, 5);
    r[1] = MIX(a, b, 2, 3, 6, 7);
    r[2] = MIX(c, d, 0, 1, 4, 5);
    r[3] = MIX(c, d, 2, 3, 6, 7);
}
#endif

/* Loads a block at k into r[LANES], decoded and scaled; `left` k are in the row from k on. */
ALWAYS void load_block(bits *r, half_rows rows, ulong row_bytes, uint k, uint left, SCALE_PARAMETERS) {
    __global const uchar *from = rows.first + BYTES_OF_K(k);
    if (rows.count >= LANES && left >= BLOCK_K) {
#pragma unroll
        for (uint i = 0; i < LANES; i++) r[i] = decode(RAW_LOAD(from + i * row_bytes));
    } else {
        for (uint i = 0; i < LANES; i++) {
            r[i] = (bits)(0u);
            if (i < rows.count) {
                r[i] = left >= BLOCK_K ? decode(RAW_LOAD(from + i * row_bytes)) : decode(load_part(from + i * row_bytes, left));
            }
        }
    }
#if SCALE_FORMAT != 0
    for (uint i = 0; i < LANES; i++) {
        const ulong scale_row = (rows.stored_row + (ulong)i * rows.stored_step) / block_rows;
        if (i < rows.count) r[i] = scaled(r[i], scale_load(rows.scales, scale_row * scale_columns + k / block_columns));
        if (left < BLOCK_K) r[i] = NUMBERS < (bits)(left) ? r[i] : (bits)(0u); /* padding is 0, whatever its scale */
    }
#endif
}

/* Stores `steps` (k / KP) of a turned block to a half of a panel. */
ALWAYS void store_block(const bits *r, __global weight_t *to, uint steps) {
#if WEIGHT_FORMAT == FORMAT_F32
#pragma unroll
    for (uint i = 0; i < LANES; i++) {
        if (i < steps) REAL_STORE(AS_REAL(r[i]), to + i * PANEL_COLUMNS);
    }
#elif MOVED && KP == 2
#pragma unroll
    for (uint i = 0; i < LANES; i++) {
        if (i < steps) REAL_STORE(r[i], (__global uint *)(to + i * PANEL_COLUMNS * KP));
    }
#elif MOVED
#pragma unroll
    for (uint i = 0; i < LANES; i++) {
        __global ushort *line = (__global ushort *)to + 2 * i * PANEL_COLUMNS;
        if (2 * i < steps) REAL_STORE(TO_SHORTS(r[i] & (bits)(0xffffu)), line);
        if (2 * i + 1 < steps) REAL_STORE(TO_SHORTS(r[i] >> (bits)(16u)), line + PANEL_COLUMNS);
    }
#elif KP == 2
#pragma unroll
    for (uint i = 0; i < LANES / 2; i++) {
        const bits low = TO_BITS(bf16_from_real(AS_REAL(r[2 * i]))), high = TO_BITS(bf16_from_real(AS_REAL(r[2 * i + 1])));
        if (i < steps) REAL_STORE(low | high << (bits)(16u), (__global uint *)(to + i * PANEL_COLUMNS * KP));
    }
#else
#pragma unroll
    for (uint i = 0; i < LANES; i++) {
        if (i >= steps) continue;
#if WEIGHT_FORMAT == FORMAT_BF16
        REAL_STORE(bf16_from_real(AS_REAL(r[i])), to + i * PANEL_COLUMNS);
#else
        REAL_STORE_HALF(AS_REAL(r[i]), to + i * PANEL_COLUMNS);
#endif
    }
#endif
}

/* `left` k are in the rows from k on. */
ALWAYS void pack_block(half_rows rows, ulong row_bytes, uint k, uint left, __global weight_t *to, SCALE_PARAMETERS) {
    bits r[LANES];
    load_block(r, rows, row_bytes, k, left, block_rows, block_columns, scale_columns);
    turn(r);
    const uint steps = (left + KP - 1) / KP;
    if (steps >= BLOCK_STEPS) store_block(r, to, BLOCK_STEPS);
    else store_block(r, to, steps);
}

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
    const ulong steps = (features + KP - 1) / KP;
    __global weight_t *line = panels + ((first_panel + panel) * steps + begin / KP) * STEP_ELEMENTS;
    for (uint line_k = begin; line_k < end; line_k += LINE_K) {
        for (uint lane = 0; lane < PANEL_COLUMNS; lane += LANES) {
            const bool is_first = lane < PANEL_LANES;
            const uint half_row = row + lane % PANEL_LANES, there = is_first ? first_rows : second_rows;
            half_rows rows;
            rows.first = (is_first ? first + first_offset : second + second_offset) + half_row * row_bytes;
            rows.count = there > half_row ? there - half_row : 0;
#if SCALE_FORMAT != 0
            rows.scales = is_first ? first_scales + first_scales_offset : second_scales + second_scales_offset;
            rows.stored_row = (is_first ? first_stored : second_stored) + half_row * stored_step;
            rows.stored_step = stored_step;
#endif
            __global weight_t *to = line + lane * KP;
            for (uint k = line_k; k < min(line_k + LINE_K, end); k += BLOCK_K) {
                pack_block(rows, row_bytes, k, features - k, to, block_rows, block_columns, scale_columns);
                to += BLOCK_STEPS * STEP_ELEMENTS;
            }
        }
        line += LINE_K / KP * STEP_ELEMENTS;
    }
}
