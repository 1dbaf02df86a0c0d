/* Select and dispatch of a few tokens in one launch, and for one token its logits and the row that its experts read:
 * launches cost more than what they do there. One group of ITEMS work-items (dispatch.clh); the tokens are shared out among them.
 *
 *   ROW     1: one token's x becomes a packed row for all of its experts (gather.clh); ITEMS is 1 then
 *   ROUTER  1: and its logits may be made here too (router_row.clh)
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
#include "router_row.clh"
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
        router_row(logits + logits_offset, router_x + router_x_offset, router, router_bias, features);
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
