/* Combine: out[t] = routed_scale * sum over slots in rising order of w * y[row] (identities: w * x[t])
 *                 + shared_scale * gate * shared[t] + output_bias, and + out[t] if it accumulates. All in f32.
 *
 * Group (p, t): columns [p * piece, (p + 1) * piece) of token t, and of tokens t + get_num_groups(1), ... Its ITEMS
 * work-items take turns in vectors of VECTOR_WIDTH columns, so that neighbours touch neighbouring memory. Every column
 * is computed alike, whatever the piece and the other tokens. More vectors at a time are no faster: memory decides.
 */
#ifndef ITEMS
#define ITEMS 1 /* work-items in a group: 1 on CPUs, a warp or two on GPUs */
#endif
#include "combine.clh"

#if ITEMS > 1
#define ITEM ((uint)get_local_id(0))
#define SYNC() barrier(CLK_LOCAL_MEM_FENCE)
#else
#define ITEM 0u
#define SYNC()
#endif

#if SHARED_GATE
/* sigmoid(x . gate): every lane of every work-item has its own partial sum, added up in lane order. */
static inline float gate_value(__global const x_t *x, __global const float *gate, uint hidden, __local float *partial) {
    float_v sum = (float_v)(0.0f);
    uint column = ITEM * VECTOR_WIDTH;
    for (; column + VECTOR_WIDTH <= hidden; column += ITEMS * VECTOR_WIDTH) {
        sum = fma(x_vload(x, column), f_vload(gate, column), sum);
    }
    if (column < hidden) {
        const int left = (int)(hidden - column);
        sum = fma(x_vload_part(x, column, left), f_vload_part(gate, column, left), sum);
    }
    float lanes[VECTOR_WIDTH];
    VECTOR_CALL(vstore)(sum, 0, lanes);
    float dot = 0.0f;
    for (int i = 0; i < VECTOR_WIDTH; i++) dot += lanes[i];
#if ITEMS > 1
    SYNC(); /* the token before has been read */
    partial[ITEM] = dot;
    SYNC();
    dot = 0.0f;
    for (int i = 0; i < ITEMS; i++) dot += partial[i];
#endif
    return 1.0f / (1.0f + exp(-dot));
}
#endif

__attribute__((reqd_work_group_size(ITEMS, 1, 1)))
__kernel void combine(__global const term_t *y, ulong y_offset, COMBINE_ARGUMENTS, __global const int *token_count,
                      ulong token_count_offset, uint tokens, uint piece) {
#if SHARED_GATE
    __local float partial[ITEMS];
#endif
    const uint valid = valid_tokens(tokens, token_count, token_count_offset);
    const uint begin = (uint)get_group_id(0) * piece, end = min(begin + piece, hidden);
    for (uint i = (uint)get_group_id(1); i < valid; i += (uint)get_num_groups(1)) {
        COMBINE_TOKEN(t, i, y + y_offset);
#if SHARED_GATE
        t.shared_factor = shared_scale * gate_value(t.x, shared_gate, hidden, partial);
#endif
        uint column = begin + ITEM * VECTOR_WIDTH;
        for (; column + VECTOR_WIDTH <= end; column += ITEMS * VECTOR_WIDTH) combine_vector(&t, column, VECTOR_WIDTH);
        if (column < end) combine_vector(&t, column, (int)(end - column));
    }
}
