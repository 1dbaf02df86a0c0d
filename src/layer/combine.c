/* Combine: the weighted sum of each token's rows, with shared experts, identities and the output bias. The arithmetic
 * is in cl/combine.cl; here are the checks, the variant and the split into groups. May call src/opencl and src/os. */
#include <math.h>
#include <stdlib.h>

#include "stages.h"

#define SLOTS_MAX  2048u
#define GROUPS_MAX 65535u
#define CPU_PIECE  512u /* columns of a group when there are fewer tokens than keep the cores busy */
#define ITEMS_MAX  64u  /* work-items in a group of a GPU */

struct clmoe_combine {
    clmoe_context *context;
    clmoe_combine_desc desc; /* its tensors are not used after creation */
    clmoe__vector own_gate, own_bias;
    cl_mem shared_gate, output_bias; /* the own ones or somebody else's; NULL: absent */
    uint32_t items;                  /* work-items in a group */
    clmoe__kernel kernel;
};

static int reads_x(const clmoe_combine *combine) {
    return combine->desc.zero_experts != 0 || combine->shared_gate != NULL;
}

/* ---------------------------------------------------------------------------------------------- creation */

void clmoe_combine_desc_default(clmoe_combine_desc *desc, size_t struct_size) {
    const clmoe_combine_desc defaults = {.struct_size = sizeof defaults,
                                         .x_format = CLMOE_F32,
                                         .out_format = CLMOE_F32,
                                         .weighted = 1,
                                         .routed_scale = 1.0f,
                                         .shared_scale = 1.0f,
                                         .y_format = CLMOE_F32};
    clmoe__give(desc, struct_size, &defaults, sizeof defaults);
}

void clmoe_combine_io_default(clmoe_combine_io *io, size_t struct_size) {
    const clmoe_combine_io defaults = {.struct_size = sizeof defaults};
    clmoe__give(io, struct_size, &defaults, sizeof defaults);
}

static clmoe_status check_desc(const clmoe_combine_desc *desc, int has_gate, uint32_t least_slots, clmoe_error *error) {
    REQUIRE(desc->hidden_size >= 1 && desc->hidden_size <= INT32_MAX, error, "desc.hidden_size",
            "hidden_size is %u, expected 1..2^31-1", desc->hidden_size);
    REQUIRE(desc->slots >= least_slots && desc->slots <= SLOTS_MAX, error, "desc.slots", "slots is %u, expected %u..%u",
            desc->slots, least_slots, SLOTS_MAX);
    REQUIRE(desc->zero_experts <= INT32_MAX && desc->num_experts <= INT32_MAX - desc->zero_experts, error,
            "desc.zero_experts", "num_experts %u and zero_experts %u are not fewer than 2^31", desc->num_experts,
            desc->zero_experts);
    TRY(clmoe__format_check(desc->x_format, "desc.x_format", error));
    TRY(clmoe__format_check(desc->out_format, "desc.out_format", error));
    TRY(clmoe__format_check(desc->y_format, "desc.y_format", error));
    REQUIRE(desc->reserved == 0, error, "desc.reserved", "reserved is %u, expected 0", desc->reserved);
    REQUIRE(desc->weighted <= 1, error, "desc.weighted", "weighted is %u, expected 0 or 1", desc->weighted);
    REQUIRE(desc->has_shared <= 1, error, "desc.has_shared", "has_shared is %u, expected 0 or 1", desc->has_shared);
    REQUIRE(!has_gate || desc->has_shared, error, "desc.shared_gate", "shared_gate is given, but has_shared is 0");
    REQUIRE(isfinite(desc->routed_scale), error, "desc.routed_scale", "routed_scale is not finite");
    REQUIRE(isfinite(desc->shared_scale), error, "desc.shared_scale", "shared_scale is not finite");
    return CLMOE_OK;
}

void clmoe__combine_options(const clmoe_combine *combine, clmoe__options *options) {
    const clmoe_combine_desc *desc = &combine->desc;
    clmoe__options_add(options, " -DVECTOR_WIDTH=%u -DITEMS=%u", combine->context->device.vector_width, combine->items);
    clmoe__options_add(options, " -DX_FORMAT=%u -DOUT_FORMAT=%u", reads_x(combine) ? desc->x_format : CLMOE_F32,
                       desc->out_format);
    if (desc->y_format != CLMOE_F32) clmoe__options_add(options, " -DY_FORMAT=%u", desc->y_format);
    clmoe__options_add(options, " -DDENSE=%d -DWEIGHTED=%u -DZERO_EXPERTS=%d", desc->slots == 0, desc->weighted,
                       desc->zero_experts != 0);
    clmoe__options_add(options, " -DHAS_SHARED=%u -DSHARED_GATE=%d -DOUTPUT_BIAS=%d", desc->has_shared,
                       combine->shared_gate != NULL, combine->output_bias != NULL);
}

static clmoe_status create_kernel(clmoe_combine *combine, clmoe_error *error) {
    const clmoe__device *device = &combine->context->device;
    const uint64_t limit = clmoe__min(clmoe__min(device->max_work_group_size, device->max_work_item_size0), ITEMS_MAX);
    combine->items = device->is_cpu ? 1 : (uint32_t)limit;

    clmoe__options options = {{0}, 0};
    clmoe__combine_options(combine, &options);
    return clmoe__kernel_create(combine->context, "combine.cl", "combine", &options, "combine", &combine->kernel,
                                error);
}

static void launch_warm(clmoe__run *run, void *stage) {
    const clmoe_combine_io nothing = {.struct_size = sizeof nothing};
    clmoe__combine_launch(run, stage, &nothing);
}

/* Kernel and warm-up of an object whose other fields are set. */
static clmoe_status finish(clmoe_combine *combine, clmoe_error *error) {
    TRY(create_kernel(combine, error));
    return clmoe__warm(combine->context, launch_warm, combine, error);
}

static clmoe_combine *new_combine(clmoe_context *context, const clmoe_combine_desc *desc) {
    clmoe_combine *made = calloc(1, sizeof *made);
    if (made == NULL) return NULL;
    made->context = context;
    made->desc = *desc;
    clmoe__context_retain(context);
    return made;
}

/* Hands the object over, or destroys it. */
static clmoe_status give(clmoe_combine *made, clmoe_status status, clmoe_combine **combine) {
    if (status == CLMOE_OK)
        *combine = made;
    else
        clmoe_combine_destroy(made);
    return status;
}

clmoe_status clmoe__combine_create(clmoe_context *context, const clmoe_combine_desc *desc, cl_mem shared_gate,
                                   cl_mem output_bias, clmoe_combine **combine, clmoe_error *error) {
    *combine = NULL;
    TRY(check_desc(desc, shared_gate != NULL, 0, error));
    clmoe_combine *made = new_combine(context, desc);
    if (made == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a combine");
    made->shared_gate = shared_gate;
    made->output_bias = output_bias;
    return give(made, finish(made, error), combine);
}

static clmoe_status create_vectors(clmoe_combine *combine, clmoe_error *error) {
    const clmoe_combine_desc *desc = &combine->desc;
    TRY(clmoe__vector_create(combine->context, &desc->shared_gate, desc->hidden_size, "desc.shared_gate",
                             &combine->own_gate, error));
    TRY(clmoe__vector_create(combine->context, &desc->output_bias, desc->hidden_size, "desc.output_bias",
                             &combine->own_bias, error));
    combine->shared_gate = combine->own_gate.block.mem;
    combine->output_bias = combine->own_bias.block.mem;
    return CLMOE_OK;
}

clmoe_status clmoe_combine_create(clmoe_context *context, const clmoe_combine_desc *desc, clmoe_combine **combine,
                                  clmoe_error *error) {
    REQUIRE(combine != NULL, error, "combine", "combine is NULL");
    *combine = NULL;
    REQUIRE(context != NULL, error, "context", "context is NULL");
    clmoe_combine_desc full;
    clmoe_combine_desc_default(&full, sizeof full);
    TRY(clmoe__take(&full, sizeof full, desc, "desc", error));
    TRY(check_desc(&full, clmoe__tensor_present(&full.shared_gate), 1, error));
    clmoe_combine *made = new_combine(context, &full);
    if (made == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a combine");
    clmoe_status status = create_vectors(made, error);
    if (status == CLMOE_OK) status = finish(made, error);
    return give(made, status, combine);
}

void clmoe_combine_destroy(clmoe_combine *combine) {
    if (combine == NULL) return;
    clmoe_context *context = combine->context;
    clmoe__kernel_destroy(context, &combine->kernel);
    clmoe__vector_destroy(context, &combine->own_gate);
    clmoe__vector_destroy(context, &combine->own_bias);
    free(combine);
    clmoe__context_release(context);
}

/* ---------------------------------------------------------------------------------------------- enqueueing */

/* Columns of a group. A CPU's group takes whole rows where there are tokens for all cores; a GPU's work-items take one
 * vector each. Never so few that a dimension has too many groups. */
static uint32_t piece_columns(const clmoe_combine *combine, uint32_t tokens) {
    const clmoe__device *device = &combine->context->device;
    const uint32_t hidden = combine->desc.hidden_size;
    uint64_t piece = (uint64_t)combine->items * device->vector_width;
    if (device->is_cpu) piece = tokens >= 4 * (uint64_t)device->compute_units ? hidden : CPU_PIECE;
    const uint64_t least = clmoe__round_up(clmoe__div_up(hidden, GROUPS_MAX), device->vector_width);
    return (uint32_t)clmoe__min(clmoe__max(piece, least), hidden);
}

void clmoe__combine_arguments(clmoe__run *run, const clmoe_combine *combine, const clmoe_combine_io *io) {
    const clmoe_combine_desc *desc = &combine->desc;
    clmoe__run_buffer(run, &io->slot_row, 4);
    clmoe__run_buffer(run, &io->index, 4);
    clmoe__run_buffer(run, &io->weight, 4);
    clmoe__run_buffer(run, &io->x, reads_x(combine) ? clmoe__format_bytes(desc->x_format) : 4);
    clmoe__run_u64(run, io->x_stride != 0 ? io->x_stride : desc->hidden_size);
    clmoe__run_buffer(run, &io->shared, 4);
    clmoe__run_buffer(run, &io->out, clmoe__format_bytes(desc->out_format));
    clmoe__run_u64(run, io->out_stride != 0 ? io->out_stride : desc->hidden_size);
    clmoe__run_mem(run, combine->shared_gate);
    clmoe__run_mem(run, combine->output_bias);
    clmoe__run_u32(run, desc->slots);
    clmoe__run_u32(run, desc->hidden_size);
    clmoe__run_u32(run, desc->num_experts);
    clmoe__run_u32(run, desc->zero_experts);
    clmoe__run_u32(run, io->accumulate);
    clmoe__run_f32(run, desc->routed_scale);
    clmoe__run_f32(run, desc->shared_scale);
}

void clmoe__combine_launch(clmoe__run *run, clmoe_combine *combine, const clmoe_combine_io *io) {
    const clmoe_combine_desc *desc = &combine->desc;
    const uint32_t piece = piece_columns(combine, io->tokens);
    clmoe__run_kernel(run, &combine->kernel);
    clmoe__run_buffer(run, &io->y, clmoe__format_bytes(desc->y_format));
    clmoe__combine_arguments(run, combine, io);
    clmoe__run_buffer(run, &io->token_count, 4);
    clmoe__run_u32(run, io->tokens);
    clmoe__run_u32(run, piece);
    const size_t local[2] = {combine->items, 1};
    const size_t global[2] = {local[0] * (size_t)clmoe__div_up(desc->hidden_size, piece),
                              (size_t)clmoe__min(io->tokens, GROUPS_MAX)};
    clmoe__run_launch(run, 2, global, local);
}

static clmoe_status check_io(const clmoe_combine *combine, clmoe_combine_io *io, clmoe_error *error) {
    const clmoe_context *context = combine->context;
    const clmoe_combine_desc *desc = &combine->desc;
    const uint32_t tokens = io->tokens, hidden = desc->hidden_size;
    const uint64_t slots = (uint64_t)tokens * desc->slots;
    const int any = tokens != 0, zero = desc->zero_experts != 0;
    const uint32_t y_size = clmoe__format_bytes(desc->y_format);
    const uint64_t row = any ? (uint64_t)hidden * y_size : 0; /* y's rows are not known here: at least one */
    REQUIRE(slots <= INT32_MAX, error, "io.tokens", "tokens is %u, expected fewer than 2^31 slots, %u for each token",
            tokens, desc->slots);
    REQUIRE(io->accumulate <= 1, error, "io.accumulate", "accumulate is %u, expected 0 or 1", io->accumulate);
    TRY(clmoe__stride_check(&io->x_stride, hidden, "io.x_stride", error));
    TRY(clmoe__stride_check(&io->out_stride, hidden, "io.out_stride", error));
    TRY(clmoe__buffer_check(context, &io->token_count, 4, 4, 0, "io.token_count", error));
    TRY(clmoe__buffer_check(context, &io->y, row, y_size, any, "io.y", error));
    TRY(clmoe__buffer_check(context, &io->slot_row, slots * 4, 4, any, "io.slot_row", error));
    if (zero) TRY(clmoe__buffer_check(context, &io->index, slots * 4, 4, any, "io.index", error));
    if (zero || desc->weighted) TRY(clmoe__buffer_check(context, &io->weight, slots * 4, 4, any, "io.weight", error));
    const uint32_t x_size = clmoe__format_bytes(desc->x_format), out_size = clmoe__format_bytes(desc->out_format);
    if (reads_x(combine)) {
        const uint64_t bytes = clmoe__rows_bytes(tokens, hidden, io->x_stride, x_size);
        TRY(clmoe__buffer_check(context, &io->x, bytes, x_size, any, "io.x", error));
    }
    if (desc->has_shared) {
        const uint64_t bytes = clmoe__rows_bytes(tokens, hidden, hidden, 4);
        TRY(clmoe__buffer_check(context, &io->shared, bytes, 4, any, "io.shared", error));
    }
    const uint64_t bytes = clmoe__rows_bytes(tokens, hidden, io->out_stride, out_size);
    return clmoe__buffer_check(context, &io->out, bytes, out_size, any, "io.out", error);
}

/* Buffers that this variant does not read are not passed on: they were not checked either. */
static void forget_unused(const clmoe_combine *combine, clmoe_combine_io *io) {
    const clmoe_buffer none = {0};
    if (combine->desc.zero_experts == 0) io->index = none;
    if (combine->desc.zero_experts == 0 && !combine->desc.weighted) io->weight = none;
    if (!reads_x(combine)) io->x = none;
    if (!combine->desc.has_shared) io->shared = none;
}

clmoe_status clmoe_combine_enqueue(clmoe_combine *combine, clmoe_workspace *workspace, cl_command_queue queue,
                                   const clmoe_combine_io *io, cl_uint n_wait, const cl_event *wait, cl_event *done,
                                   clmoe_error *error) {
    REQUIRE(combine != NULL, error, "combine", "combine is NULL");
    clmoe_combine_io full;
    clmoe_combine_io_default(&full, sizeof full);
    TRY(clmoe__take(&full, sizeof full, io, "io", error));
    TRY(check_io(combine, &full, error));
    forget_unused(combine, &full);
    clmoe__run run;
    TRY(clmoe__run_begin(&run, combine->context, workspace, queue, n_wait, wait, error));
    clmoe__combine_launch(&run, combine, &full);
    return clmoe__run_end(&run, done);
}
