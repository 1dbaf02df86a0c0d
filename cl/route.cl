/* Routing of few tokens in fewer launches than stages: launches cost more than what they do there.
 *
 *   route         select and dispatch, and for one token its logits and the row that its experts read. One group of
 *                 ITEMS work-items (dispatch.clh); the tokens are shared out among them
 *   route_tokens  logits and select of `each` tokens a group, at most ROUTER_ROWS
 *
 *   ROW     1: one token's x becomes a packed row for all of its experts (gather.clh); ITEMS is 1 then
 *   ROUTER  1: and logits may be made here too (router_rows.clh)
 */
#include "dispatch.clh"
#define GROUP_ITEMS ITEMS
#include "select.clh"

#ifndef ROW
#define ROW 0
#endif
#ifndef ROUTER
#define ROUTER 0
#endif
#if ROW
#if ITEMS != 1
#error "ROW needs ITEMS 1"
#endif
#include "gather.clh"
#else
typedef float x_t;
typedef float row_t;
#endif
#if ROUTER
#define ROUTER_ROWS 8
#include "router_rows.clh"
#define ROUTER_ARGUMENTS                                                                     \
    __global const x_t *router_x, ulong router_x_offset, __global const float *router,        \
        __global const float *router_bias,
#else
#define ROUTER_ARGUMENTS
#endif

__attribute__((reqd_work_group_size(ITEMS, 1, 1)))
__kernel void route(__global float *logits, ulong logits_offset, __global const float *select_bias,
                    __global const float *expert_scale, __global float *weight, ulong weight_offset,
                    __global int *chosen, ulong chosen_offset,                            /* index, to be written */
                    __global const x_t *x, ulong x_offset, __global row_t *row, ulong row_offset, /* NULL: no row */
                    ROUTER_ARGUMENTS uint features, DISPATCH_ARGUMENTS) {
    __local uint shared[SHARED];
    DISPATCH_JOB(d);
#if ROUTER
    if (router != 0 && d.tokens == 1)
        router_rows(logits + logits_offset, router_x + router_x_offset, 0, 1, router, router_bias, features);
#endif
#if TEAM > 1
    __local team_bits exchange[TEAM_EXCHANGE];
    __local uint tables[TEAMS * TEAM_TABLE];
    team_choose_tokens(0u, TEAMS, d.tokens, exchange, tables, logits + logits_offset, select_bias, expert_scale,
                       chosen + chosen_offset, weight + weight_offset);
#else
    for (ulong t = ITEM; t < d.tokens; t += ITEMS)
        choose_experts(logits + logits_offset + t * CLASSES, select_bias, expert_scale,
                       chosen + chosen_offset + t * SLOTS, weight + weight_offset + t * SLOTS);
#endif
    SYNC();
    dispatch_slots(&d, shared);
#if ROW
    if (row != 0 && d.tokens == 1) gather_row(row + row_offset, x + x_offset, 1, features, 1.0f);
#endif
}

#if ROUTER
__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void route_tokens(__global float *logits, ulong logits_offset, __global const float *select_bias,
                           __global const float *expert_scale, __global float *weight, ulong weight_offset,
                           __global int *chosen, ulong chosen_offset, ROUTER_ARGUMENTS ulong router_x_stride,
                           __global const int *token_count, ulong token_count_offset, uint tokens, uint features,
                           uint each) {
    const uint valid = valid_tokens(tokens, token_count, token_count_offset), first = get_global_id(0) * each;
    if (first >= valid) return;
    const uint rows = min(each, valid - first);
    logits += logits_offset + (ulong)first * CLASSES;
    router_rows(logits, router_x + router_x_offset + first * router_x_stride, router_x_stride, rows, router,
                router_bias, features);
    for (ulong t = 0; t < rows; t++)
        choose_experts(logits + t * CLASSES, select_bias, expert_scale, chosen + chosen_offset + (first + t) * SLOTS,
                       weight + weight_offset + (first + t) * SLOTS);
}
#endif
