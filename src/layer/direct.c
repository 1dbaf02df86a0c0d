/* Few tokens where the experts run in the gpu macro-kernel and a launch costs more than what it does: no dispatch. The
 * experts find their rows by the slots that name them, and leave what combine and the caller want of a dispatch
 * (cl/gpu_rows.clh); router and select are one launch (cl/router_select.cl). So a forward is that, up, down and
 * combine, beside what latent spaces and shared experts take. Every bit is that of the longer way. May call src/opencl
 * and the stages it joins. */
#include "layer.h"

#define ROUTER_ITEMS_MAX  256u
#define ROUTER_PART_BYTES 2048u /* X_PART values of cl/router_select.cl */

/* NULL, or why every pass has a dispatch. */
static const char *refusal(const clmoe_layer *layer) {
    if (layer->desc.routing.method == CLMOE_EXPERT_CHOICE) return "experts choose among all tokens";
    if (layer->up.choice.variant->macro != CLMOE__MACRO_GPU || layer->down.choice.variant->macro != CLMOE__MACRO_GPU)
        return "up and down do not both run in the gpu macro-kernel";
    return layer->slots > CLMOE__DIRECT_SLOTS ? "a token has too many slots" : NULL;
}

/* Work-items that have a column of the router each, as far as a group has room for them. */
static uint32_t router_items(const clmoe_layer *layer) {
    uint32_t most = 1;
    while (most < layer->classes && most < ROUTER_ITEMS_MAX) most *= 2;
    return clmoe__select_items(layer->select, most, ROUTER_PART_BYTES);
}

clmoe_status clmoe__direct_create(clmoe_layer *layer, clmoe_error *error) {
    const clmoe__matrix *router = &layer->weights->router;
    layer->not_direct = refusal(layer);
    if (layer->not_direct != NULL || !layer->weights->has_router) return CLMOE_OK;
    if (router->in_parts) return CLMOE_OK; /* of which router_select.cl knows nothing */
    layer->router_items = router_items(layer);
    if (layer->router_items == 0) return CLMOE_OK;
    clmoe__options options = {{0}, 0};
    clmoe__select_options(layer->select, &options);
    clmoe__options_add(&options, " -DITEMS=%u -DX_FORMAT=%u -DBIAS=%d -DPANEL_LANES=%u", layer->router_items,
                       layer->desc.x_format, router->bias.mem != NULL, router->lanes);
    return clmoe__kernel_create(layer->context, "router_select.cl", "router_select", &options, "router",
                                &layer->router_select, error);
}

int clmoe__is_direct(const clmoe_layer *layer, uint32_t tokens) {
    return layer->not_direct == NULL && tokens != 0 && (uint64_t)tokens * layer->slots <= CLMOE__DIRECT_SLOTS;
}

void clmoe__router_select_launch(clmoe__run *run, clmoe_layer *layer, const clmoe_buffer *x, uint64_t x_stride,
                                 const clmoe_select_io *io) {
    const clmoe__matrix *router = &layer->weights->router;
    clmoe__run_kernel(run, &layer->router_select);
    clmoe__run_buffer(run, x, layer->router.x_bytes);
    clmoe__run_u64(run, x_stride);
    for (int s = 0; s < CLMOE__SHARDS; s++) clmoe__run_mem(run, router->shards[s].mem);
    clmoe__run_u64(run, router->panels_per_shard);
    clmoe__run_mem(run, router->bias.mem);
    clmoe__run_buffer(run, &io->logits, sizeof(cl_float));
    clmoe__select_tables(run, layer->select);
    clmoe__run_buffer(run, &io->index, sizeof(cl_int));
    clmoe__run_buffer(run, &io->weight, sizeof(cl_float));
    clmoe__run_buffer(run, &io->token_count, sizeof(cl_int));
    clmoe__run_u32(run, io->tokens);
    clmoe__run_u32(run, router->in_features);
    const size_t local = layer->router_items, global = local * io->tokens;
    clmoe__run_launch(run, 1, &global, &local);
}
