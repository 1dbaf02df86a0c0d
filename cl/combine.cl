/* Combine: out[t] = routed_scale * sum over slots in rising order of w * y[row] (w * x[t] where a slot names an identity)
 *                 + shared_scale * gate * shared[t] + output_bias, and + out[t] if it accumulates. All in f32.
 *
 * Group (p, t): columns [p * piece, (p + 1) * piece) of token t, and of tokens t + get_num_groups(1), ... Its ITEMS
 * work-items take turns in vectors of VECTOR_WIDTH columns, so that neighbours touch neighbouring memory. Every column
 * is computed alike, whatever the piece and the other tokens. More vectors at a time are no faster: memory decides.
 */
#include "common.clh"

#ifndef ITEMS
#define ITEMS 1 /* work-items in a group: 1 on CPUs, a warp or two on GPUs */
#endif
#ifndef X_FORMAT
#define X_FORMAT FORMAT_F32
#endif
#ifndef OUT_FORMAT
#define OUT_FORMAT FORMAT_F32
#endif
#ifndef DENSE
#define DENSE 0 /* 1: y is [tokens, hidden], summed already, in place of the sum over slots */
#endif
#ifndef WEIGHTED
#define WEIGHTED 1 /* 0: y holds the weights already; identities are weighted all the same */
#endif
#ifndef ZERO_EXPERTS
#define ZERO_EXPERTS 0 /* 1: classes num_experts .. num_experts + zero_experts - 1 are identities */
#endif
#ifndef HAS_SHARED
#define HAS_SHARED 0
#endif
#ifndef SHARED_GATE
#define SHARED_GATE 0 /* 1: gate = sigmoid(x . shared_gate), else 1 */
#endif
#ifndef OUTPUT_BIAS
#define OUTPUT_BIAS 0
#endif
#if SHARED_GATE && !HAS_SHARED
#error "SHARED_GATE needs HAS_SHARED"
#endif
#if DENSE && ZERO_EXPERTS
#error "ZERO_EXPERTS needs slots: not with DENSE"
#endif

#define STORAGE_NAME f
#define STORAGE_FORMAT FORMAT_F32
#include "vector_storage.clh"
#define STORAGE_NAME x
#define STORAGE_FORMAT X_FORMAT
#include "vector_storage.clh"
#define STORAGE_NAME out
#define STORAGE_FORMAT OUT_FORMAT
#include "vector_storage.clh"

#if ITEMS > 1
#define ITEM ((uint)get_local_id(0))
#define SYNC() barrier(CLK_LOCAL_MEM_FENCE)
#else
#define ITEM 0u
#define SYNC()
#endif

/* One token's rows; NULL where the variant has no use for them. */
typedef struct token {
    __global const float *y;      /* [rows, hidden], all tokens'; with DENSE [hidden] */
    __global const int *slot_row; /* [slots] */
    __global const int *index;    /* [slots] */
    __global const float *weight; /* [slots] */
    __global const x_t *x;        /* [hidden] */
    __global const float *shared; /* [hidden] */
    __global const float *bias;   /* [hidden] */
    __global out_t *out;          /* [hidden] */
    uint hidden, slots, num_experts, zero_experts, accumulate;
    float routed_scale, shared_factor;
} token;

/* The sum over slots for the vector of columns at `column`, of which `left` exist. */
static inline float_v sum_slots(const token *t, uint column, int left) {
#if DENSE
    return f_vload_part(t->y, column, left);
#else
    float_v sum = (float_v)(0.0f);
    for (uint s = 0; s < t->slots; s++) {
        const int row = t->slot_row[s];
        if (row >= 0) {
            const float_v y = f_vload_part(t->y, (ulong)row * t->hidden + column, left);
#if WEIGHTED
            sum = fma((float_v)(t->weight[s]), y, sum);
#else
            sum += y;
#endif
        }
#if ZERO_EXPERTS
        else if ((uint)t->index[s] - t->num_experts < t->zero_experts) {
            sum = fma((float_v)(t->weight[s]), x_vload_part(t->x, column, left), sum);
        }
#endif
    }
    return sum;
#endif
}

static inline void combine_vector(const token *t, uint column, int left) {
    float_v value = sum_slots(t, column, left) * (float_v)(t->routed_scale);
#if HAS_SHARED
    value = fma((float_v)(t->shared_factor), f_vload_part(t->shared, column, left), value);
#endif
#if OUTPUT_BIAS
    value += f_vload_part(t->bias, column, left);
#endif
    if (t->accumulate) value += out_vload_part(t->out, column, left);
    out_vstore_part(t->out, column, value, left);
}

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
__kernel void combine(__global const float *y, ulong y_offset, __global const int *slot_row, ulong slot_row_offset,
                      __global const int *index, ulong index_offset, __global const float *weight, ulong weight_offset,
                      __global const x_t *x, ulong x_offset, ulong x_stride, __global const float *shared,
                      ulong shared_offset, __global out_t *out, ulong out_offset, ulong out_stride,
                      __global const int *token_count, ulong token_count_offset, __global const float *shared_gate,
                      __global const float *output_bias, uint tokens, uint slots, uint hidden, uint num_experts,
                      uint zero_experts, uint accumulate, uint piece, float routed_scale, float shared_scale) {
#if SHARED_GATE
    __local float partial[ITEMS];
#endif
    const uint valid = valid_tokens(tokens, token_count, token_count_offset);
    const uint begin = (uint)get_group_id(0) * piece, end = min(begin + piece, hidden);
    for (uint i = (uint)get_group_id(1); i < valid; i += (uint)get_num_groups(1)) {
        token t = {.y = y + y_offset + (DENSE ? (ulong)i * hidden : 0),
                   .out = out + out_offset + i * out_stride,
                   .hidden = hidden,
                   .slots = slots,
                   .num_experts = num_experts,
                   .zero_experts = zero_experts,
                   .accumulate = accumulate,
                   .routed_scale = routed_scale,
                   .shared_factor = shared_scale};
#if !DENSE
        t.slot_row = slot_row + slot_row_offset + (ulong)i * slots;
#endif
#if WEIGHTED || ZERO_EXPERTS
        t.weight = weight + weight_offset + (ulong)i * slots;
#endif
#if ZERO_EXPERTS
        t.index = index + index_offset + (ulong)i * slots;
#endif
#if ZERO_EXPERTS || SHARED_GATE
        t.x = x + x_offset + i * x_stride;
#endif
#if HAS_SHARED
        t.shared = shared + shared_offset + (ulong)i * hidden;
#endif
#if OUTPUT_BIAS
        t.bias = output_bias;
#endif
#if SHARED_GATE
        t.shared_factor = shared_scale * gate_value(t.x, shared_gate, hidden, partial);
#endif
        uint column = begin + ITEM * VECTOR_WIDTH;
        for (; column + VECTOR_WIDTH <= end; column += ITEMS * VECTOR_WIDTH) combine_vector(&t, column, VECTOR_WIDTH);
        if (column < end) combine_vector(&t, column, (int)(end - column));
    }
}
