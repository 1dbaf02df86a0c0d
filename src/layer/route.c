/* Routing in fewer launches than stages (cl/route.cl), where launches would cost more than what they do: select and
 * dispatch of few tokens; on CPUs one token's logits and its row for up besides, and for more tokens logits and select,
 * up's gather being the dispatch (gemm_cpu.c). May call src/opencl and the stages it joins. */
#include "layer.h"

#define FEW_SCORES   2048u        /* up to here one work-group is done before the launch it saves would be */
#define SMALL_ROUTER (768u << 10) /* and with so many bytes of the router */
#define TILED_ROUTER (2u << 20)   /* what groups of tokens may read again and again; level with a GEMM at 1 MiB */
#define ROUTER_ROWS  8            /* of cl/route.cl: tokens of a group */

static uint64_t router_bytes(const clmoe_layer *layer) {
    return layer->weights->router.panels * layer->weights->router.panel_bytes;
}

/* Whether route.cl may read the router: f32 in one buffer, panels as wide as its vectors. */
static int routes_from_x(const clmoe_layer *layer) {
    const clmoe__matrix *router = &layer->weights->router;
    return layer->weights->has_router && !router->in_parts && router->format == CLMOE_F32 &&
           router->arithmetic == CLMOE_ARITHMETIC_F32 && router->lanes == layer->context->device.vector_width &&
           router->shard_count == 1 && router_bytes(layer) <= TILED_ROUTER;
}

clmoe_status clmoe__route_create(clmoe_layer *layer, clmoe_error *error) {
    if (layer->desc.routing.method == CLMOE_EXPERT_CHOICE) return CLMOE_OK;
    clmoe__options options = {{0}, 0};
    clmoe__select_options(layer->select, &options);
    clmoe__dispatch_options(layer->dispatch, &options);
    if (!layer->has_latent && layer->up.shares_row) {
        clmoe__options_add(&options, " -DROW=1");
        clmoe__gather_options(layer->context, &layer->up, &options);
        layer->route_makes_row = clmoe__gemm_needs_row(&layer->up);
        layer->routes_from_x = routes_from_x(layer);
        layer->route_makes_logits = layer->routes_from_x && router_bytes(layer) <= SMALL_ROUTER;
    }
    if (layer->routes_from_x)
        clmoe__options_add(&options, " -DROUTER=1 -DPREFETCH=%d", clmoe__prefetch_kind(&layer->context->device));
    TRY(clmoe__kernel_create(layer->context, "route.cl", "route", &options, "route", &layer->route, error));
    if (!layer->routes_from_x) return CLMOE_OK;
    return clmoe__kernel_create(layer->context, "route.cl", "route_tokens", &options, "route", &layer->route_tokens,
                                error);
}

int clmoe__routes_at_once(const clmoe_layer *layer, uint32_t tokens) {
    if (layer->up.dispatches && tokens > 1) return 0; /* dispatch is the gather's */
    return layer->desc.routing.method != CLMOE_EXPERT_CHOICE && (uint64_t)tokens * layer->classes <= FEW_SCORES;
}

void clmoe__route_launch(clmoe__run *run, clmoe_layer *layer, const clmoe_select_io *select,
                         const clmoe_dispatch_io *dispatch, const clmoe_buffer *router_x, const clmoe_buffer *x,
                         const clmoe_buffer *row) {
    const clmoe_buffer none = {0};
    const clmoe__matrix *router = &layer->weights->router;
    const int makes_logits = clmoe__present(router_x);
    const int makes_row = layer->route_makes_row && dispatch->tokens == 1;
    clmoe__run_kernel(run, &layer->route);
    clmoe__run_buffer(run, &select->logits, sizeof(cl_float));
    clmoe__select_tables(run, layer->select);
    clmoe__run_buffer(run, &select->weight, sizeof(cl_float));
    clmoe__run_buffer(run, &select->index, sizeof(cl_int));
    clmoe__run_buffer(run, makes_row ? x : &none, layer->up.x_bytes);
    clmoe__run_buffer(run, makes_row ? row : &none, layer->up.matrix->arithmetic == CLMOE_ARITHMETIC_BF16 ? 2 : 4);
    if (layer->routes_from_x) {
        clmoe__run_buffer(run, router_x, layer->router.x_bytes);
        clmoe__run_mem(run, makes_logits ? router->shards[0].mem : NULL);
        clmoe__run_mem(run, makes_logits ? router->bias.mem : NULL);
    }
    clmoe__run_u32(run, layer->up.matrix->in_features);
    clmoe__dispatch_launch_as(run, layer->dispatch, dispatch, 1);
}

void clmoe__route_tokens_launch(clmoe__run *run, clmoe_layer *layer, const clmoe_buffer *x, uint64_t x_stride,
                                const clmoe_select_io *io) {
    const clmoe__matrix *router = &layer->weights->router;
    const uint32_t share = (uint32_t)clmoe__div_up(io->tokens, run->context->device.compute_units);
    const uint32_t each = (uint32_t)clmoe__max(1, clmoe__min(ROUTER_ROWS, share));
    const size_t global[1] = {(size_t)clmoe__div_up(io->tokens, each)}, local[1] = {1};
    clmoe__run_kernel(run, &layer->route_tokens);
    clmoe__run_buffer(run, &io->logits, sizeof(cl_float));
    clmoe__select_tables(run, layer->select);
    clmoe__run_buffer(run, &io->weight, sizeof(cl_float));
    clmoe__run_buffer(run, &io->index, sizeof(cl_int));
    clmoe__run_buffer(run, x, layer->router.x_bytes);
    clmoe__run_mem(run, router->shards[0].mem);
    clmoe__run_mem(run, router->bias.mem);
    clmoe__run_u64(run, x_stride);
    clmoe__run_buffer(run, &io->token_count, 4);
    clmoe__run_u32(run, io->tokens);
    clmoe__run_u32(run, router->in_features);
    clmoe__run_u32(run, each);
    clmoe__run_launch(run, 1, global, local);
}
