/* Chooses each token's experts: index[T, SLOTS] and weight[T, SLOTS] from logits[T, CLASSES]. One work-item or one
 * team of them a token; groups stride over tokens, so any global size works. Nothing crosses from one token to another.
 */
#ifndef LOCAL_SIZE
#define LOCAL_SIZE 1
#endif
#define GROUP_ITEMS LOCAL_SIZE
#include "select.clh"

__attribute__((reqd_work_group_size(LOCAL_SIZE, 1, 1)))
__kernel void select_experts(uint tokens, __global const int *token_count, ulong token_count_offset,
                             __global const float *logits, ulong logits_offset, __global const float *select_bias,
                             __global const float *expert_scale, __global int *index, ulong index_offset,
                             __global float *weight, ulong weight_offset) {
    const uint valid = valid_tokens(tokens, token_count, token_count_offset);
#if TEAM > 1
    __local team_bits exchange[TEAM_EXCHANGE];
    __local uint tables[TEAMS * TEAM_TABLE];
    team_choose_tokens(get_group_id(0) * TEAMS, get_num_groups(0) * TEAMS, valid, exchange, tables,
                       logits + logits_offset, select_bias, expert_scale, index + index_offset, weight + weight_offset);
#else
    for (ulong t = get_global_id(0); t < valid; t += get_global_size(0))
        choose_experts(logits + logits_offset + t * CLASSES, select_bias, expert_scale,
                       index + index_offset + t * SLOTS, weight + weight_offset + t * SLOTS);
#endif
}
