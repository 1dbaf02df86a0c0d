/* Router and select of a few tokens in one launch, a work-group a token: logits[T, CLASSES], then index and
 * weight[T, SLOTS].
 *
 * A work-item has LANES columns of the router at a time and walks all of k, so that each logit is summed as the grouped
 * GEMM in f32 sums it, one k behind the other, and has its bits. x lies in local memory, X_PART values at a time; AHEAD
 * rows of weights are read before the first of them is needed. The logits pass through memory, where select.clh reads
 * them.
 *
 *   ITEMS      work-items of a group: 1 with explicit vectors of LANES columns; else a multiple of TEAM (select.clh)
 *   X_FORMAT   of x
 *   BIAS       1: bias is f32 [panel][2 * PANEL_LANES], added to the sum
 *   The packed router: panel.clh, in f32.
 */
#ifndef ITEMS
#define ITEMS 1
#endif
#ifndef BIAS
#define BIAS 0
#endif
#ifndef X_FORMAT
#define X_FORMAT 1
#endif
#define GROUP_ITEMS ITEMS
#include "select.clh"
#include "panel.clh"
#define STORAGE_NAME x
#define STORAGE_FORMAT X_FORMAT
#include "storage.clh"

#if ARITHMETIC != 1 || WEIGHT_FORMAT != FORMAT_F32
#error "the router is in f32"
#endif
#if PANEL_LANES % LANES != 0
#error "PANEL_LANES must be a multiple of LANES"
#endif

#define X_PART 512
#define AHEAD (LANES == 1 ? 32 : 8)

/* sum + x . column of values k .. k + count - 1; weights points at k's row of the panel. */
static inline real add_part(real sum, __local const float *x, __global const float *weights, uint count) {
    uint k = 0;
    for (; k + AHEAD <= count; k += AHEAD, weights += AHEAD * PANEL_COLUMNS) {
        real w[AHEAD];
        _Pragma("unroll") for (uint i = 0; i < AHEAD; i++) w[i] = REAL_LOAD(weights + i * PANEL_COLUMNS);
        _Pragma("unroll") for (uint i = 0; i < AHEAD; i++) sum = fma((real)(x[k + i]), w[i], sum);
    }
    for (; k < count; k++, weights += PANEL_COLUMNS) sum = fma((real)(x[k]), REAL_LOAD(weights), sum);
    return sum;
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void router_select(
    __global const x_t *x, ulong x_offset, ulong x_stride, SHARD_PARAMETERS,
    __global const float *bias, /* may be NULL */
    __global float *logits, ulong logits_offset,
    __global const float *select_bias, __global const float *expert_scale, /* [CLASSES]; may be NULL */
    __global int *index, ulong index_offset, __global float *weight, ulong weight_offset,
    __global const int *token_count, ulong token_count_offset, uint tokens, uint features) {
    __local float x_part[X_PART];
#if TEAM > 1
    __local team_bits exchange[TEAM_EXCHANGE];
    __local uint tables[TEAMS * TEAM_TABLE];
#endif
    const uint item = (uint)get_local_id(0), token = (uint)get_group_id(0);
    if (token >= valid_tokens(tokens, token_count, token_count_offset)) return;
    x += x_offset + token * x_stride;
    logits += logits_offset + (ulong)token * CLASSES;
    for (uint first = 0; first < CLASSES; first += ITEMS * LANES) {
        const uint column = first + item * LANES;
        __global const float *weights;
        SHARD_PANEL(weights, min(column, (uint)CLASSES - 1) / PANEL_COLUMNS, panel_elements(features))
        weights += column % PANEL_COLUMNS;
        real sum = (real)(0.0f);
        for (uint begin = 0; begin < features; begin += X_PART, weights += X_PART * PANEL_COLUMNS) {
            const uint count = min((uint)X_PART, features - begin);
            barrier(CLK_LOCAL_MEM_FENCE); /* the part before has been read */
            for (uint k = item; k < count; k += ITEMS) x_part[k] = x_load(x, begin + k);
            barrier(CLK_LOCAL_MEM_FENCE);
            if (column < CLASSES) sum = add_part(sum, x_part, weights, count);
        }
#if BIAS
        if (column < CLASSES) sum += REAL_LOAD(bias + column);
#endif
        store_logits(logits, sum, column);
    }
    barrier(CLK_GLOBAL_MEM_FENCE);
#if TEAM > 1
    logits -= (ulong)token * CLASSES;
    team_choose_tokens(token, tokens, (ulong)token + 1, exchange, tables, logits, select_bias, expert_scale,
                       index + index_offset, weight + weight_offset);
#else
    if (item == 0)
        choose_experts(logits, select_bias, expert_scale, index + index_offset + (ulong)token * SLOTS,
                       weight + weight_offset + (ulong)token * SLOTS);
#endif
}
