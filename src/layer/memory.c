/* What a layer takes of the device's memory, part by part. Calls src/opencl and src/os only. */
#include "layer.h"

void clmoe_layer_memory_default(clmoe_layer_memory *memory, size_t struct_size) {
    const clmoe_layer_memory defaults = {.struct_size = sizeof defaults};
    clmoe__give(memory, struct_size, &defaults, sizeof defaults);
}

static void weights_memory(const clmoe_weights *weights, clmoe_layer_memory *memory) {
    const clmoe__matrix *matrices[] = {&weights->experts.up,  &weights->experts.down, &weights->shared.up,
                                       &weights->shared.down, &weights->latent_in,    &weights->latent_out,
                                       &weights->router};
    memory->weights = clmoe_weights_bytes(weights);
    memory->experts = clmoe__ffn_bytes(&weights->experts);
    memory->shared = clmoe__ffn_bytes(&weights->shared);
    memory->router = clmoe__matrix_bytes(&weights->router);
    memory->others = memory->weights - memory->experts - memory->shared - memory->router;
    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++) {
        const uint64_t bytes = clmoe__matrix_bytes(matrices[i]);
        if (bytes != 0) memory->padding += bytes - clmoe__matrix_bytes_unpadded(matrices[i]);
    }
}

static void workspace_memory(const clmoe__arena *arena, clmoe_layer_memory *memory) {
    memory->workspace = arena->total;
    memory->plan = arena->logits - arena->plan;
    memory->logits = arena->index - arena->logits;
    memory->routes = arena->a - arena->index;
    memory->inputs = arena->h - arena->a;
    memory->hidden = arena->y - arena->h;
    memory->rows = arena->total - arena->y;
    memory->max_rows = arena->max_rows;
}

clmoe_status clmoe_layer_memory_query(const clmoe_layer *layer, uint32_t tokens, clmoe_layer_memory *memory,
                                      clmoe_error *error) {
    uint64_t workspace = 0;
    clmoe__arena arena;
    clmoe_layer_memory now = {.struct_size = sizeof now};
    REQUIRE(memory != NULL, error, "memory", "memory is NULL");
    REQUIRE(memory->struct_size >= sizeof(size_t) && memory->struct_size <= 4096, error, "memory.struct_size",
            "memory.struct_size is %zu, expected %zu", memory->struct_size, sizeof *memory);
    TRY(clmoe_layer_workspace_bytes(layer, tokens, &workspace, error)); /* checks the arguments */
    clmoe__arena_layout(layer, tokens, &arena);
    weights_memory(layer->weights, &now);
    workspace_memory(&arena, &now);
    now.arena = clmoe__pool_block_bytes(layer->context, arena.total);
    now.pass_tokens = clmoe__arena_tokens(layer, tokens, layer->context->device.max_workspace_bytes);
    clmoe__give(memory, memory->struct_size, &now, sizeof now);
    return CLMOE_OK;
}
