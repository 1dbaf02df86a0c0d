/* The forward pass: cuts the tokens into passes that fit the arena, and enqueues them in order. */
#include "layer.h"

static void move_by(clmoe_buffer *buffer, uint64_t bytes) {
    if (clmoe__present(buffer)) buffer->offset += bytes;
}

/* The caller's io from token `begin` on. */
static clmoe_io pass_io(const clmoe_layer *layer, const clmoe_io *io, uint32_t begin, uint32_t tokens) {
    const uint64_t x_size = clmoe__format_bytes(layer->desc.x_format),
                   out_size = clmoe__format_bytes(layer->desc.out_format);
    const uint64_t slots = (uint64_t)begin * layer->slots * 4;
    clmoe_io part = *io;
    part.tokens = tokens;
    move_by(&part.x, begin * io->x_stride * x_size);
    move_by(&part.out, begin * io->out_stride * out_size);
    move_by(&part.router_input, begin * io->router_input_stride * x_size);
    move_by(&part.logits, (uint64_t)begin * layer->classes * 4);
    move_by(&part.index, slots);
    move_by(&part.weight, slots);
    move_by(&part.out_index, slots);
    move_by(&part.out_weight, slots);
    return part;
}

void clmoe__pass_count_launch(clmoe__run *run, clmoe_layer *layer, const clmoe_buffer *count, const clmoe_buffer *to,
                              uint32_t first_token, uint32_t tokens) {
    const size_t one[1] = {1};
    clmoe__run_kernel(run, &layer->pass_count);
    clmoe__run_buffer(run, count, 4);
    clmoe__run_buffer(run, to, 4);
    clmoe__run_u32(run, first_token);
    clmoe__run_u32(run, tokens);
    clmoe__run_launch(run, 1, one, one);
}

/* Tokens a pass takes: what fits, evened out over the passes. */
static clmoe_status pass_tokens(const clmoe__run *run, const clmoe_layer *layer, uint32_t tokens, uint32_t *size) {
    const uint64_t limit = clmoe__run_arena_limit(run);
    const uint32_t fit = clmoe__arena_tokens(layer, tokens, limit);
    if (fit == 0) {
        clmoe__arena arena;
        clmoe__arena_layout(layer, 1, &arena);
        return clmoe__fail(run->error, CLMOE_OUT_OF_DEVICE_MEMORY, "workspace",
                           "one token needs a workspace of %llu bytes, the limit is %llu",
                           (unsigned long long)arena.total, (unsigned long long)limit);
    }
    if (fit < tokens && layer->desc.routing.method == CLMOE_EXPERT_CHOICE)
        return clmoe__fail(run->error, CLMOE_UNSUPPORTED, "io.tokens",
                           "expert choice looks at all tokens at once: %u tokens do not fit in one pass of %u", tokens,
                           fit);
    *size = (uint32_t)clmoe__div_up(tokens, clmoe__div_up(tokens, fit));
    return CLMOE_OK;
}

/* Without tokens there is only the load to write, which is zero then. */
static void launch_no_tokens(clmoe__run *run, clmoe_layer *layer, const clmoe_io *io) {
    clmoe__arena arena;
    clmoe_buffer memory;
    if (!clmoe__present(&io->out_load)) return;
    clmoe__arena_layout(layer, 0, &arena);
    clmoe__run_arena(run, arena.total, &memory);
    clmoe__pass_launch(run, layer, io, &memory, &arena, 1);
}

static void launch_passes(clmoe__run *run, clmoe_layer *layer, const clmoe_io *io) {
    uint32_t size = 0;
    const clmoe_status status = pass_tokens(run, layer, io->tokens, &size);
    if (status != CLMOE_OK) {
        clmoe__run_fail(run, status);
        return;
    }
    clmoe__arena arena;
    clmoe_buffer memory;
    clmoe__arena_layout(layer, size, &arena);
    clmoe__run_arena(run, arena.total, &memory);
    for (uint32_t begin = 0; begin < io->tokens && run->status == CLMOE_OK; begin += size) {
        const uint32_t tokens = (uint32_t)clmoe__min(size, io->tokens - begin);
        clmoe_io part = pass_io(layer, io, begin, tokens);
        if (tokens != size) clmoe__arena_layout(layer, tokens, &arena);
        if (begin != 0 && clmoe__present(&io->token_count)) {
            part.token_count = memory;
            move_by(&part.token_count, arena.count);
            clmoe__pass_count_launch(run, layer, &io->token_count, &part.token_count, begin, tokens);
        }
        clmoe__pass_launch(run, layer, &part, &memory, &arena, begin == 0);
    }
}

void clmoe__forward_launch(clmoe__run *run, clmoe_layer *layer, const clmoe_io *io) {
    if (io->tokens != 0)
        launch_passes(run, layer, io);
    else
        launch_no_tokens(run, layer, io);
}

clmoe_status clmoe_forward(clmoe_layer *layer, clmoe_workspace *workspace, cl_command_queue queue, const clmoe_io *io,
                           cl_uint n_wait, const cl_event *wait, cl_event *done, clmoe_error *error) {
    REQUIRE(layer != NULL, error, "layer", "layer is NULL");
    clmoe_io taken;
    clmoe_io_default(&taken, sizeof taken);
    TRY(clmoe__take(&taken, sizeof taken, io, "io", error));
    TRY(clmoe__forward_check(layer, &taken, error));
    clmoe__run run;
    TRY(clmoe__run_begin(&run, layer->context, workspace, queue, n_wait, wait, error));
    clmoe__forward_launch(&run, layer, &taken);
    return clmoe__run_end(&run, done);
}
