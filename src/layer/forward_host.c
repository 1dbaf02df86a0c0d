/* forward_host: the forward pass between host arrays, on a queue the layer keeps. */
#include <string.h>

#include "layer.h"

static clmoe_status open_lane(clmoe_layer *layer, clmoe_error *error) {
    clmoe__host_lane *lane = &layer->host;
    if (lane->queue == NULL) TRY(clmoe__queue_create(layer->context, &lane->queue, error));
    if (lane->workspace == NULL)
        TRY(clmoe_workspace_create(layer->context, lane->queue, NULL, &lane->workspace, error));
    return CLMOE_OK;
}

static clmoe_status grow(clmoe_context *context, clmoe__block *block, uint64_t bytes, clmoe_error *error) {
    if (block->mem != NULL && block->bytes >= bytes) return CLMOE_OK;
    clmoe__pool_free(context, block, NULL);
    return clmoe__pool_alloc(context, bytes, block, error);
}

/* Copies one chunk of tokens in, runs it, copies it out. */
static clmoe_status run_chunk(clmoe_layer *layer, const void *x, uint64_t x_bytes, void *y, uint64_t y_bytes,
                              uint32_t tokens, clmoe_error *error) {
    clmoe__host_lane *lane = &layer->host;
    clmoe_io io;
    clmoe_io_default(&io, sizeof io);
    io.tokens = tokens;
    io.x = clmoe_cl_mem(lane->x.mem, 0);
    io.out = clmoe_cl_mem(lane->out.mem, 0);
    clmoe__run run;
    TRY(clmoe__run_begin(&run, layer->context, lane->workspace, lane->queue, 0, NULL, error));
    clmoe__run_write(&run, &io.x, x, x_bytes);
    TRY(clmoe__run_end(&run, NULL));
    TRY(clmoe_forward(layer, lane->workspace, lane->queue, &io, 0, NULL, NULL, error));
    TRY(clmoe__run_begin(&run, layer->context, lane->workspace, lane->queue, 0, NULL, error));
    clmoe__run_read(&run, y, &io.out, y_bytes);
    return clmoe__run_end(&run, NULL);
}

static clmoe_status forward_locked(clmoe_layer *layer, const unsigned char *x, uint32_t tokens, unsigned char *y,
                                   clmoe_error *error) {
    const uint64_t h = layer->weights->hidden_size;
    const uint64_t x_row = h * clmoe__format_bytes(layer->desc.x_format),
                   y_row = h * clmoe__format_bytes(layer->desc.out_format);
    const uint64_t fit = layer->context->device.max_alloc_bytes / clmoe__max(x_row, y_row);
    const uint32_t chunk = (uint32_t)clmoe__max(1, clmoe__min(tokens, fit));
    if (chunk < tokens && layer->desc.routing.method == CLMOE_EXPERT_CHOICE)
        return clmoe__fail(error, CLMOE_UNSUPPORTED, "tokens",
                           "expert choice looks at all tokens at once: %u exceed a buffer", tokens);
    TRY(open_lane(layer, error));
    TRY(grow(layer->context, &layer->host.x, chunk * x_row, error));
    TRY(grow(layer->context, &layer->host.out, chunk * y_row, error));
    for (uint32_t begin = 0; begin < tokens; begin += chunk) {
        const uint32_t n = (uint32_t)clmoe__min(chunk, tokens - begin);
        TRY(run_chunk(layer, x + begin * x_row, n * x_row, y + begin * y_row, n * y_row, n, error));
    }
    return CLMOE_OK;
}

clmoe_status clmoe_forward_host(clmoe_layer *layer, const void *x, uint32_t tokens, void *y, clmoe_error *error) {
    REQUIRE(layer != NULL, error, "layer", "layer is NULL");
    REQUIRE(x != NULL || tokens == 0, error, "x", "x is NULL");
    REQUIRE(y != NULL || tokens == 0, error, "y", "y is NULL");
    REQUIRE((uint64_t)tokens * layer->slots <= INT32_MAX, error, "tokens", "tokens is %u, expected at most %u", tokens,
            INT32_MAX / layer->slots);
    REQUIRE(!layer->weights->is_plan, error, "layer",
            "layer was made of planned weights (clmoe_weights_plan), which have sizes, but no memory");
    if (tokens == 0) return CLMOE_OK;
    clmoe__mutex_lock(layer->host.mutex);
    const clmoe_status status = forward_locked(layer, x, tokens, y, error);
    clmoe__mutex_unlock(layer->host.mutex);
    return status;
}

void clmoe__host_lane_destroy(clmoe_layer *layer) {
    clmoe__host_lane *lane = &layer->host;
    clmoe_workspace_destroy(lane->workspace);
    clmoe__queue_destroy(layer->context, lane->queue);
    clmoe__pool_free(layer->context, &lane->x, NULL);
    clmoe__pool_free(layer->context, &lane->out, NULL);
    if (lane->mutex != NULL) clmoe__mutex_destroy(lane->mutex);
}
