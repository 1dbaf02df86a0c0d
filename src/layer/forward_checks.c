/* What a forward's io must fulfil before anything is enqueued: places, sizes, strides, and which buffers exclude each
 * other. Calls the checks of src/opencl and src/os only. */
#include "layer.h"

void clmoe_io_default(clmoe_io *io, size_t struct_size) {
    const clmoe_io defaults = {.struct_size = sizeof defaults};
    clmoe__give(io, struct_size, &defaults, sizeof defaults);
}

int clmoe__present(const clmoe_buffer *buffer) { return buffer->kind != CLMOE_BUFFER_NONE; }

static clmoe_status check_overlap(const clmoe_io *io, const clmoe_buffer *in, uint64_t in_bytes, uint64_t out_bytes,
                                  const char *name, clmoe_error *error) {
    const int apart = !clmoe__present(in) || in->handle != io->out.handle || in->offset + in_bytes <= io->out.offset ||
                      io->out.offset + out_bytes <= in->offset;
    REQUIRE(apart, error, "io.out", "out overlaps %s in the same buffer", name);
    return CLMOE_OK;
}

static clmoe_status check_rows(const clmoe_layer *layer, clmoe_io *io, clmoe_error *error) {
    const uint64_t h = layer->weights->hidden_size;
    const clmoe_context *context = layer->context;
    const uint32_t x_size = clmoe__format_bytes(layer->desc.x_format),
                   out_size = clmoe__format_bytes(layer->desc.out_format);
    const int any = io->tokens != 0;
    TRY(clmoe__stride_check(&io->x_stride, h, "io.x_stride", error));
    TRY(clmoe__stride_check(&io->out_stride, h, "io.out_stride", error));
    TRY(clmoe__stride_check(&io->router_input_stride, h, "io.router_input_stride", error));
    const uint64_t x_bytes = clmoe__rows_bytes(io->tokens, h, io->x_stride, x_size);
    const uint64_t out_bytes = clmoe__rows_bytes(io->tokens, h, io->out_stride, out_size);
    const uint64_t router_bytes = clmoe__rows_bytes(io->tokens, h, io->router_input_stride, x_size);
    TRY(clmoe__buffer_check(context, &io->x, x_bytes, x_size, any, "io.x", error));
    TRY(clmoe__buffer_check(context, &io->out, out_bytes, out_size, any, "io.out", error));
    TRY(clmoe__buffer_check(context, &io->router_input, router_bytes, x_size, 0, "io.router_input", error));
    TRY(check_overlap(io, &io->x, x_bytes, out_bytes, "x", error));
    return check_overlap(io, &io->router_input, router_bytes, out_bytes, "router_input", error);
}

static clmoe_status check_routing(const clmoe_layer *layer, const clmoe_io *io, clmoe_error *error) {
    const clmoe_context *context = layer->context;
    const uint64_t slots = clmoe__mul(io->tokens, (uint64_t)layer->slots * 4);
    const uint64_t logits = clmoe__mul(io->tokens, (uint64_t)layer->classes * 4);
    const int routed = clmoe__present(&io->index);
    REQUIRE(routed == clmoe__present(&io->weight), error, routed ? "io.weight" : "io.index",
            "index and weight must both be given or both be absent");
    REQUIRE(!routed || !clmoe__present(&io->logits), error, "io.logits", "logits is given beside index and weight");
    REQUIRE(!routed || (!clmoe__present(&io->out_index) && !clmoe__present(&io->out_weight)), error, "io.out_index",
            "out_index and out_weight are outputs of the routing, which index and weight replace");
    REQUIRE(routed || clmoe__present(&io->logits) || layer->weights->has_router || io->tokens == 0, error, "io.logits",
            "the weights have no router: give logits, or index and weight");
    REQUIRE(!clmoe__present(&io->router_input) || (!routed && !clmoe__present(&io->logits)), error, "io.router_input",
            "router_input is given, but the router is not used");
    REQUIRE(!layer->desc.router_input || clmoe__present(&io->router_input) || routed || clmoe__present(&io->logits) ||
                io->tokens == 0,
            error, "io.router_input", "router_input is absent, but this layer's router has an input of its own");
    TRY(clmoe__buffer_check(context, &io->token_count, 4, 4, 0, "io.token_count", error));
    TRY(clmoe__buffer_check(context, &io->logits, logits, 4, 0, "io.logits", error));
    TRY(clmoe__buffer_check(context, &io->index, slots, 4, 0, "io.index", error));
    TRY(clmoe__buffer_check(context, &io->weight, slots, 4, 0, "io.weight", error));
    TRY(clmoe__buffer_check(context, &io->out_index, slots, 4, 0, "io.out_index", error));
    TRY(clmoe__buffer_check(context, &io->out_weight, slots, 4, 0, "io.out_weight", error));
    return clmoe__buffer_check(context, &io->out_load, (uint64_t)layer->classes * 4, 4, 0, "io.out_load", error);
}

clmoe_status clmoe__forward_check(const clmoe_layer *layer, clmoe_io *io, clmoe_error *error) {
    REQUIRE(!layer->weights->is_plan, error, "layer",
            "layer was made of planned weights (clmoe_weights_plan), which have sizes, but no memory");
    REQUIRE((uint64_t)io->tokens * layer->slots <= INT32_MAX, error, "io.tokens",
            "tokens is %u, expected at most %u (2^31 - 1 slots, %u a token)", io->tokens, INT32_MAX / layer->slots,
            layer->slots);
    REQUIRE(io->accumulate <= 1, error, "io.accumulate", "accumulate is %u, expected 0 or 1", io->accumulate);
    REQUIRE(!clmoe__present(&io->sequence_offsets), error, "io.sequence_offsets",
            "sequence_offsets is reserved and must be absent");
    REQUIRE(!clmoe__present(&io->saved_activations), error, "io.saved_activations",
            "saved_activations is reserved and must be absent");
    TRY(check_rows(layer, io, error));
    return check_routing(layer, io, error);
}
