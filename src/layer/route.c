/* Select and dispatch of few tokens in one launch (cl/route.cl), where two would cost more than what they do; on CPUs
 * one token's logits and its row for up besides. May call src/opencl and the stages it joins. */
#include "layer.h"

/* Scores up to which one work-group is done before the launch it saves would be, and bytes of a router likewise. */
#define FEW_SCORES   2048u
#define SMALL_ROUTER (768u << 10)

/* Whether route.cl may read the router: f32 in one buffer, panels as wide as its vectors. */
static int routes_from_x(const clmoe_layer *layer) {
    const clmoe__matrix *router = &layer->weights->router;
    return layer->weights->has_router && !router->in_parts && router->format == CLMOE_F32 &&
           router->arithmetic == CLMOE_ARITHMETIC_F32 && router->lanes == layer->context->device.vector_width &&
           router->shard_count == 1 && router->panels * router->panel_bytes <= SMALL_ROUTER;
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
        layer->route_makes_logits = routes_from_x(layer);
    }
    if (layer->route_makes_logits)
        clmoe__options_add(&options, " -DROUTER=1 -DPREFETCH=%d", clmoe__prefetch_kind(&layer->context->device));
    return clmoe__kernel_create(layer->context, "route.cl", "route", &options, "route", &layer->route, error);
}

int clmoe__routes_at_once(const clmoe_layer *layer, uint32_t tokens) {
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
    if (layer->route_makes_logits) {
        clmoe__run_buffer(run, router_x, layer->router.x_bytes);
        clmoe__run_mem(run, makes_logits ? router->shards[0].mem : NULL);
        clmoe__run_mem(run, makes_logits ? router->bias.mem : NULL);
    }
    clmoe__run_u32(run, layer->up.matrix->in_features);
    clmoe__dispatch_launch_one(run, layer->dispatch, dispatch);
}
