/* Quantises rows of f32, f16 or bf16 to a block format: writes the bytes that ggml's reference quantisers write, row
 * behind row without gaps.
 *
 *   group id 0   row
 *   local id 0   shares the row's blocks; any local size
 *
 *   SOURCE_FORMAT   FORMAT_F32, FORMAT_F16, FORMAT_BF16
 *   BLOCK_FORMAT    one whose file under format/ has quantize_block(x, block): BLOCK_K values to BLOCK_BYTES bytes
 */
#ifndef SOURCE_FORMAT
#define SOURCE_FORMAT 1
#endif
#ifndef BLOCK_FORMAT
#define BLOCK_FORMAT 16
#endif
#define LANES 1
#define QUANTIZE
#include "common.clh"
#include "lanes.clh"
#include "quantize.clh"
#include "block_format.clh"

/* By bytes, because a mapped file aligns nothing. */
#if SOURCE_FORMAT == FORMAT_F32
#define ELEMENT_BYTES 4
static inline float load_element(__global const uchar *at) { return as_float(vload4(0, at)); }
#elif SOURCE_FORMAT == FORMAT_F16
#define ELEMENT_BYTES 2
static inline float load_element(__global const uchar *at) {
    const ushort half_bits = as_ushort(vload2(0, at));
    return vload_half(0, (const __private half *)&half_bits);
}
#elif SOURCE_FORMAT == FORMAT_BF16
#define ELEMENT_BYTES 2
static inline float load_element(__global const uchar *at) { return f32_from_bf16(as_ushort(vload2(0, at))); }
#else
#error "SOURCE_FORMAT must be FORMAT_F32, FORMAT_F16 or FORMAT_BF16"
#endif

__kernel void quantize(__global const uchar *restrict source, ulong source_offset, /* bytes; the first row */
                       ulong out_stride, ulong k_stride, /* elements from row to row, from k to k */
                       __global uchar *restrict to, ulong to_offset, uint features) {
    const uint blocks = features / BLOCK_K;
    const ulong row = get_group_id(0);
    for (uint b = get_local_id(0); b < blocks; b += get_local_size(0)) {
        const ulong first = row * out_stride + (ulong)b * BLOCK_K * k_stride;
        __global const uchar *from = source + source_offset + first * ELEMENT_BYTES;
        __global uchar *block = to + to_offset + (row * blocks + b) * BLOCK_BYTES;
        float x[BLOCK_K];
        uchar bytes[BLOCK_BYTES];
        for (uint k = 0; k < BLOCK_K; k++) x[k] = load_element(from + k * k_stride * ELEMENT_BYTES);
        quantize_block(x, bytes);
        for (uint i = 0; i < BLOCK_BYTES; i++) block[i] = bytes[i];
    }
}
