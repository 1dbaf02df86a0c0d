/* Rows of x as matrix units multiply them, in bf16, where x is stored otherwise or slots' weights are multiplied into
 * it: gemm_matrix.cl then copies rows as they are, and a row that several experts read is converted once.
 *
 *   group id 0   row: of the plan, where it has rows of its own or they have weights; else a token
 *   local id 0   pieces of eight k, every ITEMS-th
 *
 *   rows   [rows][features rounded up to 8] bf16
 *
 *   X_FORMAT, WEIGHTED, SLOTS  as in gather.cl
 *   ITEMS                      of a work-group
 */
#ifndef X_FORMAT
#define X_FORMAT 1
#endif
#ifndef WEIGHTED
#define WEIGHTED 0
#endif
#ifndef SLOTS
#define SLOTS 0
#endif
#ifndef ITEMS
#define ITEMS 64
#endif
#if WEIGHTED && SLOTS == 0
#error "only slots have weights"
#endif
#include "common.clh"
#include "plan.clh"
#define STORAGE_NAME x
#define STORAGE_FORMAT X_FORMAT
#include "storage.clh"
#define PIECE 8
#define UNROLL _Pragma("unroll")

/* A whole piece at a multiple of 16 bytes. */
static inline void load_piece(float value[PIECE], __global const x_t *from) {
#if X_FORMAT == FORMAT_F32
    vstore4(*(__global const float4 *)from, 0, value);
    vstore4(*(__global const float4 *)(from + 4), 1, value);
#elif X_FORMAT == FORMAT_F16
    vstore8(vload_half8(0, from), 0, value);
#else
    const uint4 pairs = *(__global const uint4 *)from;
    const uint word[4] = {pairs.s0, pairs.s1, pairs.s2, pairs.s3};
    UNROLL for (uint w = 0; w < 4; w++) {
        value[2 * w] = f32_from_bf16((ushort)word[w]);
        value[2 * w + 1] = f32_from_bf16((ushort)(word[w] >> 16));
    }
#endif
}

/* A whole piece to a multiple of 16 bytes. */
static inline void store_piece(__global ushort *to, const float value[PIECE]) {
    uint word[4];
    UNROLL for (uint w = 0; w < 4; w++)
        word[w] = bf16_from_f32(value[2 * w]) | (uint)bf16_from_f32(value[2 * w + 1]) << 16;
    *(__global uint4 *)to = (uint4)(word[0], word[1], word[2], word[3]);
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void operand_rows(
    __global const x_t *x, ulong x_offset, ulong x_stride, /* [tokens, features] */
    __global const float *weight, ulong weight_offset,     /* [tokens, SLOTS]; NULL without WEIGHTED */
    __global ushort *rows, ulong rows_offset,
    __global const int *plan, ulong plan_offset,           /* NULL: one group of all tokens */
    __global const int *token_count, ulong token_count_offset, uint tokens, uint features, ulong plan_row_slot) {
    const uint row = get_group_id(0), pieces = (features + PIECE - 1) / PIECE;
    if (tokens == 0) return;
    if (plan != 0) plan += plan_offset;
    const int is_of_plan = plan != 0 && (WEIGHTED || SLOTS == 0);
    if (row >= (is_of_plan ? (uint)plan[PLAN_ROWS] : valid_tokens(tokens, token_count, token_count_offset))) return;
#if WEIGHTED
    const uint slot = (uint)plan[plan_row_slot + row];
    const float factor = weight[weight_offset + slot];
    x += x_offset + slot / SLOTS * x_stride;
#else
    x += x_offset + row * x_stride;
#endif
    rows += rows_offset + (ulong)row * pieces * PIECE;
    const int aligned = ((ulong)x | (ulong)rows) % 16 == 0;
    for (uint piece = get_local_id(0); piece < pieces; piece += ITEMS) {
        float value[PIECE];
        const uint k = piece * PIECE;
        const int whole = aligned && k + PIECE <= features;
        if (whole)
            load_piece(value, x + k);
        else
            UNROLL for (uint e = 0; e < PIECE; e++) value[e] = k + e < features ? x_load(x, k + e) : 0.0f;
#if WEIGHTED
        UNROLL for (uint e = 0; e < PIECE; e++) value[e] *= factor;
#endif
        if (whole)
            store_piece(rows + k, value);
        else
            UNROLL for (uint e = 0; e < PIECE; e++) rows[k + e] = bf16_from_f32(value[e]);
    }
}
