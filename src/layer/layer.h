/* The inside of a clmoe_layer: its stages, and what a forward needs to know of them. */
#ifndef CLMOE_LAYER_LAYER_H
#define CLMOE_LAYER_LAYER_H

#include "checks.h"
#include "weights.h"

/* A queue, workspace and buffers of forward_host, made at its first call. (forward_host.c) */
typedef struct clmoe__host_lane {
    clmoe__mutex *mutex;
    cl_command_queue queue;
    clmoe_workspace *workspace;
    clmoe__block x, out;
} clmoe__host_lane;

struct clmoe_layer {
    clmoe__counter references;
    clmoe_context *context;
    clmoe_weights *weights;
    clmoe_layer_desc desc;
    uint32_t classes, slots, local_experts;
    int has_shared, has_latent;
    clmoe_dispatch_desc dispatch_desc;
    clmoe__gemm router, latent_in, up, down, latent_out, shared_up, shared_down;
    clmoe_select *select;
    clmoe_dispatch *dispatch;
    clmoe_combine *latent_sum; /* of a token's rows, in front of latent_out; NULL: combine adds them up itself */
    clmoe_combine *combine;
    clmoe__kernel route;      /* route.cl; none with expert choice */
    int route_makes_row;      /* of one token, for up */
    int routes_from_x;        /* there is route_tokens */
    int route_makes_logits;   /* of one token, in route */
    clmoe__kernel route_tokens;
    const char *not_direct;   /* NULL: few tokens need no dispatch; or why they do */
    clmoe__kernel router_select; /* of those tokens; none without a router or where it does not fit */
    uint32_t router_items;    /* work-items of its groups */
    clmoe__kernel pass_count; /* token_count.cl */
    clmoe__host_lane host;
    char *description;
};

/* Where a pass over `tokens` tokens keeps what, in bytes from the arena's start:
 *
 *     plan | logits | index | weight | count | a | h | y
 *
 * The last three are used again and again, each stage reading what the one before it left; the lines in brackets exist
 * in layers with a latent space only:
 *
 *                       a                       h                      y
 *     logits                                                           x as the router's operand
 *    [latent in         x as its operand                               z = latent_in . x ]
 *     up                rows of x (or z)        act(up)
 *     down              act(up) as its operand  act(up)                rows of the experts
 *    [latent sum        s, the sum of a token's rows                   rows of the experts]
 *    [latent out        s                       s as its operand       latent_out . s     ]
 *     shared up         x as its operand        act(up)                kept
 *     shared down       shared output           act(up)                kept
 *    (                  act(up) as its operand  shared output          kept)
 *     combine           shared output           or shared output       rows, or latent_out . s
 *
 * Operands exist with the cpu macro-kernel only; the other reads its rows where they are. What up writes is down's
 * operand already where up hands over (gemm.h); else down's is made from it, and the shared output takes the place in
 * brackets. */
typedef struct clmoe__arena {
    clmoe_plan_layout plan_layout;
    uint64_t max_rows;
    uint64_t plan, logits, index, weight, count, a, h, y;
    uint64_t total; /* UINT64_MAX: more than can be counted */
} clmoe__arena;

/* (arena.c) */
void clmoe__arena_layout(const clmoe_layer *layer, uint32_t tokens, clmoe__arena *arena);
/* The most tokens, at most `tokens`, whose arena fits in `limit` bytes and whose launches fit in 65535 groups; 0: none.
 * */
uint32_t clmoe__arena_tokens(const clmoe_layer *layer, uint32_t tokens, uint64_t limit);

/* Checks io against the layer, and sets strides that are 0. (forward_checks.c) */
clmoe_status clmoe__forward_check(const clmoe_layer *layer, clmoe_io *io, clmoe_error *error);
int clmoe__present(const clmoe_buffer *buffer);

void clmoe__layer_retain(clmoe_layer *layer);

/* (forward.c) Every launch of a forward, of an io that forward_check was content with. */
void clmoe__forward_launch(clmoe__run *run, clmoe_layer *layer, const clmoe_io *io);
/* (pass.c) The launches of one: buffers of io begin at its tokens, the arena lies in `memory`; first: of the forward.
 * Of no tokens, those that write the load. */
void clmoe__pass_launch(clmoe__run *run, clmoe_layer *layer, const clmoe_io *io, const clmoe_buffer *memory,
                        const clmoe__arena *arena, int first);
/* (forward.c) Writes the valid tokens of the pass that starts at first_token to `pass`. */
void clmoe__pass_count_launch(clmoe__run *run, clmoe_layer *layer, const clmoe_buffer *count, const clmoe_buffer *pass,
                              uint32_t first_token, uint32_t tokens);

/* (route.c) Select and dispatch in one launch, where routes_at_once says so. With one token and route_makes_row, x
 * becomes up's operand in `row`; with route_makes_logits, the logits are made of router_x where that is
 * present. */
clmoe_status clmoe__route_create(clmoe_layer *layer, clmoe_error *error);
int clmoe__routes_at_once(const clmoe_layer *layer, uint32_t tokens);
void clmoe__route_launch(clmoe__run *run, clmoe_layer *layer, const clmoe_select_io *select,
                         const clmoe_dispatch_io *dispatch, const clmoe_buffer *router_x, const clmoe_buffer *x,
                         const clmoe_buffer *row);
/* Logits from x and select in one launch, with routes_from_x. */
void clmoe__route_tokens_launch(clmoe__run *run, clmoe_layer *layer, const clmoe_buffer *x, uint64_t x_stride,
                                const clmoe_select_io *io);

/* (direct.c) Passes of few tokens without a dispatch, where experts run in the gpu macro-kernel: which they are, and
 * the router with select behind it, if router_items is not 0. */
clmoe_status clmoe__direct_create(clmoe_layer *layer, clmoe_error *error);
int clmoe__is_direct(const clmoe_layer *layer, uint32_t tokens);
void clmoe__router_select_launch(clmoe__run *run, clmoe_layer *layer, const clmoe_buffer *x, uint64_t x_stride,
                                 const clmoe_select_io *io);

/* (describe.c) */
clmoe_status clmoe__layer_description(clmoe_layer *layer, clmoe_error *error);

void clmoe__host_lane_destroy(clmoe_layer *layer);

#endif
