/* Groups of integers in tensors of their own (clmoe_groups) to blocks of a format of format/groups.clh, row behind row
 * without gaps, for pack_blocks.cl to pack.
 *
 *   group id 0   run of OUT_RUN rows of blocks
 *   group id 1   block of a row, counted from k_begin
 *   local id 0   shares the run's rows; any local size
 *
 *   BLOCK_FORMAT   one of the formats of groups
 *   CODE_ORDER     clmoe_code_order: 0 GPTQ, 1 AWQ, 2 rows
 *   SCALE_FORMAT   FORMAT_F32, FORMAT_F16, FORMAT_BF16
 *   ZEROS_LESS_1   1: stored zero points are one less
 */
#ifndef BLOCK_FORMAT
#define BLOCK_FORMAT 42
#endif
#ifndef CODE_ORDER
#define CODE_ORDER 0
#endif
#ifndef SCALE_FORMAT
#define SCALE_FORMAT 2
#endif
#ifndef ZEROS_LESS_1
#define ZEROS_LESS_1 0
#endif
#define LANES 1
#include "common.clh"
#include "lanes.clh"
#include "block_format.clh"

#define OUT_RUN 64
#define WORD_CODES (32 / CODE_BITS)
#define CODE_MASK ((1u << CODE_BITS) - 1u)
#define ONE_EACH (CODE_BITS == 4 ? 0x11111111u : 0x01010101u)

/* By bytes, because a mapped file aligns nothing. */
static inline uint word_at(__global const uchar *words, ulong i) { return as_uint(vload4(0, words + 4 * i)); }

/* The place in a word of neighbouring columns. AWQ has the even ones first. */
static inline uint place_in_word(uint n) {
    const uint c = n % WORD_CODES;
    return CODE_ORDER == 1 ? c % 2 * (WORD_CODES / 2) + c / 2 : c;
}

/* The f16 nearest to scale number i, as bits. */
static inline ushort scale_at(__global const uchar *scales, ulong i) {
#if SCALE_FORMAT == FORMAT_F16
    return as_ushort(vload2(0, scales + 2 * i));
#else
    ushort narrow;
#if SCALE_FORMAT == FORMAT_BF16
    const float value = f32_from_bf16(as_ushort(vload2(0, scales + 2 * i)));
#elif SCALE_FORMAT == FORMAT_F32
    const float value = as_float(vload4(0, scales + 4 * i));
#else
#error "SCALE_FORMAT must be FORMAT_F32, FORMAT_F16 or FORMAT_BF16"
#endif
    vstore_half_rte(value, 0, (__private half *)&narrow);
    return narrow;
#endif
}

/* Codes k .. k + WORD_CODES - 1 of row n as a word, the first lowest. `words` begins with the word of k 0 and row 0. */
static inline uint codes_at(__global const uchar *words, uint n, uint k, uint rows, uint features) {
#if CODE_ORDER == 0
    return word_at(words, (ulong)(k / WORD_CODES) * rows + n);
#elif CODE_ORDER == 2
    return word_at(words, ((ulong)n * features + k) / WORD_CODES);
#else
    const uint shift = place_in_word(n) * CODE_BITS;
    uint codes = 0;
    for (uint i = 0; i < WORD_CODES; i++) {
        const uint word = word_at(words, ((ulong)(k + i) * rows + n) / WORD_CODES);
        codes |= (word >> shift & CODE_MASK) << i * CODE_BITS;
    }
    return codes;
#endif
}

static inline uint zero_at(__global const uchar *words, uint n, uint group, uint rows, uint groups) {
    const ulong at =
        CODE_ORDER == 2 ? (ulong)(n / WORD_CODES) * groups + group : ((ulong)group * rows + n) / WORD_CODES;
    return (word_at(words, at) + (ZEROS_LESS_1 ? ONE_EACH : 0u)) >> place_in_word(n) * CODE_BITS & CODE_MASK;
}

__kernel void regroup(__global const uchar *restrict codes, ulong codes_offset, /* from k_begin and row_begin on */
                      __global const uchar *restrict scales, ulong scales_offset, /* these two from the first on */
                      __global const uchar *restrict zeros, ulong zeros_offset,
                      __global uchar *restrict to, ulong to_offset, /* the first row of blocks */
                      uint rows, uint features, uint group_size,    /* of the whole matrix */
                      uint row_begin, uint first, uint step,        /* row of blocks i is row first + i * step */
                      uint outs, uint k_begin) {
    const uint k = k_begin + get_group_id(1) * BLOCK_K, group = k / group_size;
    const uint groups = (features + group_size - 1) / group_size;
    const uint begin = get_group_id(0) * OUT_RUN, end = min(begin + OUT_RUN, outs);
    for (uint out = begin + get_local_id(0); out < end; out += get_local_size(0)) {
        const uint n = first + out * step;
        __global uchar *block = to + to_offset + ((ulong)out * (features / BLOCK_K) + k / BLOCK_K) * BLOCK_BYTES;
        for (uint i = 0; i < BLOCK_K; i += WORD_CODES) {
            const uint word = codes_at(codes + codes_offset, n - row_begin, k - k_begin + i, rows, features);
            vstore4(as_uchar4(word), 0, block + i / WORD_CODES * 4);
        }
        const ulong scale = CODE_ORDER == 2 ? (ulong)n * groups + group : (ulong)group * rows + n;
        vstore2(as_uchar2(scale_at(scales + scales_offset, scale)), 0, block + GROUP_CODE_BYTES);
#if GROUP_HAS_ZERO
        block[GROUP_CODE_BYTES + 2] = (uchar)zero_at(zeros + zeros_offset, n, group, rows, groups);
#endif
    }
}
