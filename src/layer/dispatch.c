/* Dispatch: slots grouped by expert into a plan. The sort is in cl/dispatch.cl; here are the plan's layout, the choice
 * of how many chunks it works in, and the checks. May call src/opencl and src/os. */
#include <stdlib.h>

#include "stages.h"

#define CLASSES_MAX         2048u
#define SLOTS_MAX           2048u
#define CHUNKS_MAX          64u
#define CHUNK_SLOTS         256u      /* a chunk of fewer slots is not worth a group */
#define SCRATCH_MAX         (131072u) /* int32 elements: 512 KiB */
#define CPU_ONE_CHUNK_SLOTS 16384u    /* up to here one thread is done before two more launches would be */
#define CPU_GATHER_SLOTS    1024u     /* up to here rows stay in a cache where they are gathered token by token */
#define ITEMS_MAX           64u       /* work-items in a group of a GPU */
#define COUNTERS_MIN        128u

struct clmoe_dispatch {
    clmoe_context *context;
    clmoe_dispatch_desc desc;
    uint32_t items; /* work-items in a group */
    clmoe__kernel all, count, scan, scatter;
};

/* ------------------------------------------------------------------------------------------------ layout */

/* Elements of a chunk's counters. A cache line of distance, so that two cores never write to one line. */
static uint32_t counter_stride(uint32_t classes) { return (uint32_t)clmoe__round_up(classes, 16) + 16u; }

/* The plan:  [header 16][count L][offset L + 1][active L][tiles 4 * max_tiles][row_slot][slot_row][scratch]
 * Only scratch depends on the chunks, and it is last, so all readers of a plan agree about the rest. */
void clmoe__plan_layout(const clmoe_dispatch_desc *desc, uint32_t tokens, uint64_t max_rows,
                        clmoe_plan_layout *layout) {
    const uint64_t slots = clmoe__mul(tokens, desc->slots), experts = desc->local_experts;
    const uint64_t rows = max_rows != 0 ? max_rows : slots, active = clmoe__min(experts, rows);
    *layout = (clmoe_plan_layout){.struct_size = sizeof *layout, .total = UINT64_MAX};
    if (slots > INT32_MAX || rows > INT32_MAX || desc->tile_rows == 0) return;
    const uint64_t tiles = rows / desc->tile_rows + active;
    const uint32_t stride = counter_stride(desc->num_classes);
    const uint64_t chunks =
        clmoe__min(clmoe__div_up(slots, CHUNK_SLOTS), clmoe__min(CHUNKS_MAX, SCRATCH_MAX / stride - 1));
    layout->max_rows = (uint32_t)rows;
    layout->max_active = (uint32_t)active;
    layout->max_tiles = (uint32_t)tiles;
    layout->chunks = (uint32_t)clmoe__max(chunks, 1);
    layout->count = 16;
    layout->offset = layout->count + experts;
    layout->active = layout->offset + experts + 1;
    layout->tiles = clmoe__round_up(layout->active + experts, 4);
    layout->row_slot = layout->tiles + 4 * tiles;
    layout->slot_row = layout->row_slot + rows;
    layout->scratch = layout->slot_row + slots;
    layout->total = layout->scratch + (uint64_t)(layout->chunks + 1) * stride;
}

clmoe_status clmoe_dispatch_plan_layout(const clmoe_dispatch *dispatch, uint32_t tokens, uint32_t max_rows,
                                        clmoe_plan_layout *layout, clmoe_error *error) {
    REQUIRE(dispatch != NULL, error, "dispatch", "dispatch is NULL");
    REQUIRE(layout != NULL, error, "layout", "layout is NULL");
    REQUIRE((uint64_t)tokens * dispatch->desc.slots <= INT32_MAX, error, "tokens",
            "tokens is %u, expected fewer than 2^31 slots, %u for each token", tokens, dispatch->desc.slots);
    REQUIRE(max_rows <= INT32_MAX, error, "max_rows", "max_rows is %u, expected less than 2^31", max_rows);
    clmoe_plan_layout full;
    clmoe__plan_layout(&dispatch->desc, tokens, max_rows, &full);
    clmoe__give(layout, layout->struct_size != 0 ? layout->struct_size : sizeof full, &full, sizeof full);
    return CLMOE_OK;
}

/* ---------------------------------------------------------------------------------------------- creation */

void clmoe_dispatch_desc_default(clmoe_dispatch_desc *desc, size_t struct_size) {
    const clmoe_dispatch_desc defaults = {.struct_size = sizeof defaults};
    clmoe__give(desc, struct_size, &defaults, sizeof defaults);
}

void clmoe_dispatch_io_default(clmoe_dispatch_io *io, size_t struct_size) {
    const clmoe_dispatch_io defaults = {.struct_size = sizeof defaults};
    clmoe__give(io, struct_size, &defaults, sizeof defaults);
}

static clmoe_status check_desc(const clmoe_dispatch_desc *desc, clmoe_error *error) {
    const uint32_t classes = desc->num_classes;
    REQUIRE(classes >= 1 && classes <= CLASSES_MAX, error, "desc.num_classes", "num_classes is %u, expected 1..%u",
            classes, CLASSES_MAX);
    REQUIRE(desc->slots >= 1 && desc->slots <= SLOTS_MAX, error, "desc.slots", "slots is %u, expected 1..%u",
            desc->slots, SLOTS_MAX);
    REQUIRE(desc->first_expert < classes, error, "desc.first_expert", "first_expert is %u, expected 0..%u",
            desc->first_expert, classes - 1);
    REQUIRE(desc->local_experts >= 1 && desc->local_experts <= classes - desc->first_expert, error,
            "desc.local_experts", "local_experts is %u, expected 1..%u (num_classes %u from first_expert %u on)",
            desc->local_experts, classes - desc->first_expert, classes, desc->first_expert);
    REQUIRE(desc->tile_rows >= 1 && desc->tile_rows <= INT32_MAX, error, "desc.tile_rows",
            "tile_rows is %u, expected 1 or more: clmoe_grouped_gemm_tile_rows() says how many", desc->tile_rows);
    REQUIRE(desc->full_tiles <= 1, error, "desc.full_tiles", "full_tiles is %u, expected 0 or 1", desc->full_tiles);
    return CLMOE_OK;
}

uint32_t clmoe__group_items(const clmoe__device *device, uint32_t most) {
    uint32_t items = 1;
    if (device->is_cpu) return items;
    const uint64_t limit = clmoe__min(clmoe__min(device->max_work_group_size, device->max_work_item_size0), most);
    while (2 * items <= limit) items *= 2;
    return items;
}

/* Counters in local memory: a power of two, so that few kernels serve all numbers of classes. */
static uint32_t counters_for(uint32_t classes) {
    uint32_t counters = COUNTERS_MIN;
    while (counters < classes) counters *= 2;
    return counters;
}

/* Of a group with more than one work-item: SHARED of cl/dispatch.clh. */
uint64_t clmoe__dispatch_local_bytes(uint32_t classes) {
    return clmoe__max(counters_for(classes) * (1 + ITEMS_MAX / 32), 3 * ITEMS_MAX) * 4;
}

void clmoe__dispatch_options(const clmoe_dispatch *dispatch, clmoe__options *options) {
    clmoe__options_add(options, " -DITEMS=%u", dispatch->items);
    if (dispatch->items > 1) clmoe__options_add(options, " -DCOUNTERS=%u", counters_for(dispatch->desc.num_classes));
    if (dispatch->desc.full_tiles) clmoe__options_add(options, " -DFULL_TILES=1");
}

void clmoe__dispatch_gather_options(uint32_t classes, clmoe__options *options) {
    clmoe__options_add(options, " -DDISPATCH=1 -DCLASSES_MAX=%u", counters_for(classes));
}

static clmoe_status create_kernels(clmoe_dispatch *dispatch, clmoe_error *error) {
    static const char file[] = "dispatch.cl", stage[] = "dispatch";
    clmoe__options options = {{0}, 0};
    clmoe__dispatch_options(dispatch, &options);
    clmoe_context *context = dispatch->context;
    TRY(clmoe__kernel_create(context, file, "dispatch_all", &options, stage, &dispatch->all, error));
    TRY(clmoe__kernel_create(context, file, "dispatch_count", &options, stage, &dispatch->count, error));
    TRY(clmoe__kernel_create(context, file, "dispatch_scan", &options, stage, &dispatch->scan, error));
    return clmoe__kernel_create(context, file, "dispatch_scatter", &options, stage, &dispatch->scatter, error);
}

static void launch_warm(clmoe__run *run, void *stage) {
    const clmoe_dispatch_io nothing = {.struct_size = sizeof nothing};
    clmoe__dispatch_launch(run, stage, &nothing);
}

clmoe_status clmoe_dispatch_create(clmoe_context *context, const clmoe_dispatch_desc *desc, clmoe_dispatch **dispatch,
                                   clmoe_error *error) {
    REQUIRE(dispatch != NULL, error, "dispatch", "dispatch is NULL");
    *dispatch = NULL;
    REQUIRE(context != NULL, error, "context", "context is NULL");
    clmoe_dispatch_desc full;
    clmoe_dispatch_desc_default(&full, sizeof full);
    TRY(clmoe__take(&full, sizeof full, desc, "desc", error));
    TRY(check_desc(&full, error));
    clmoe_dispatch *made = calloc(1, sizeof *made);
    if (made == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a dispatch");
    made->context = context;
    made->desc = full;
    const int fits = clmoe__dispatch_local_bytes(full.num_classes) < context->device.local_bytes;
    made->items = fits ? clmoe__group_items(&context->device, ITEMS_MAX) : 1;
    clmoe__context_retain(context);
    clmoe_status status = create_kernels(made, error);
    if (status == CLMOE_OK) status = clmoe__warm(context, launch_warm, made, error);
    if (status != CLMOE_OK) {
        clmoe_dispatch_destroy(made);
        return status;
    }
    *dispatch = made;
    return CLMOE_OK;
}

void clmoe_dispatch_destroy(clmoe_dispatch *dispatch) {
    if (dispatch == NULL) return;
    clmoe_context *context = dispatch->context;
    clmoe__kernel_destroy(context, &dispatch->all);
    clmoe__kernel_destroy(context, &dispatch->count);
    clmoe__kernel_destroy(context, &dispatch->scan);
    clmoe__kernel_destroy(context, &dispatch->scatter);
    free(dispatch);
    clmoe__context_release(context);
}

/* ---------------------------------------------------------------------------------------------- enqueueing */

/* Sets DISPATCH_ARGUMENTS of dispatch.clh, and launches. */
static void launch_groups(clmoe__run *run, const clmoe_dispatch *dispatch, uint32_t groups, uint32_t chunks,
                          const clmoe_plan_layout *layout, const clmoe_dispatch_io *io) {
    const clmoe_dispatch_desc *desc = &dispatch->desc;
    clmoe__run_buffer(run, &io->index, 4);
    clmoe__run_buffer(run, &io->token_count, 4);
    clmoe__run_buffer(run, &io->plan, 4);
    clmoe__run_buffer(run, &io->load, 4);
    clmoe__run_u32(run, io->load_accumulate);
    clmoe__run_u32(run, io->tokens);
    clmoe__run_u32(run, desc->slots);
    clmoe__run_u32(run, desc->num_classes);
    clmoe__run_u32(run, desc->first_expert);
    clmoe__run_u32(run, desc->local_experts);
    clmoe__run_u32(run, desc->tile_rows);
    clmoe__run_u32(run, layout->max_rows);
    clmoe__run_u32(run, chunks);
    clmoe__run_u32(run, counter_stride(desc->num_classes));
    clmoe__run_u64(run, layout->count);
    clmoe__run_u64(run, layout->offset);
    clmoe__run_u64(run, layout->active);
    clmoe__run_u64(run, layout->tiles);
    clmoe__run_u64(run, layout->row_slot);
    clmoe__run_u64(run, layout->slot_row);
    clmoe__run_u64(run, layout->scratch);
    const size_t local = dispatch->items, global = local * groups;
    clmoe__run_launch(run, 1, &global, &local);
}

static void launch_kernel(clmoe__run *run, const clmoe_dispatch *dispatch, clmoe__kernel *kernel, uint32_t groups,
                          uint32_t chunks, const clmoe_plan_layout *layout, const clmoe_dispatch_io *io) {
    clmoe__run_kernel(run, kernel);
    launch_groups(run, dispatch, groups, chunks, layout, io);
}

void clmoe__dispatch_launch_as(clmoe__run *run, const clmoe_dispatch *dispatch, const clmoe_dispatch_io *io,
                               uint32_t groups) {
    clmoe_plan_layout layout;
    clmoe__plan_layout(&dispatch->desc, io->tokens, io->max_rows, &layout);
    launch_groups(run, dispatch, groups, 1, &layout, io);
}

int clmoe__dispatch_is_small(const clmoe_dispatch *dispatch, uint32_t tokens) {
    return (uint64_t)tokens * dispatch->desc.slots <= CPU_GATHER_SLOTS;
}

/* How many chunks this device uses, of those the layout has room for. */
static uint32_t pick_chunks(const clmoe__device *device, uint64_t slots, uint32_t room) {
    if (!device->is_cpu) return room;
    if (slots <= CPU_ONE_CHUNK_SLOTS) return 1;
    return (uint32_t)clmoe__max(clmoe__min(room, device->compute_units), 1);
}

void clmoe__dispatch_launch(clmoe__run *run, clmoe_dispatch *dispatch, const clmoe_dispatch_io *io) {
    clmoe_plan_layout layout;
    clmoe__plan_layout(&dispatch->desc, io->tokens, io->max_rows, &layout);
    const uint64_t slots = (uint64_t)io->tokens * dispatch->desc.slots;
    const uint32_t chunks = pick_chunks(&run->context->device, slots, layout.chunks);
    if (chunks == 1 || run->warm) launch_kernel(run, dispatch, &dispatch->all, 1, chunks, &layout, io);
    if (chunks == 1 && !run->warm) return;
    launch_kernel(run, dispatch, &dispatch->count, chunks, chunks, &layout, io);
    launch_kernel(run, dispatch, &dispatch->scan, 1, chunks, &layout, io);
    launch_kernel(run, dispatch, &dispatch->scatter, chunks, chunks, &layout, io);
}

static clmoe_status check_io(const clmoe_dispatch *dispatch, const clmoe_dispatch_io *io, clmoe_error *error) {
    const clmoe_context *context = dispatch->context;
    const uint64_t slots = (uint64_t)io->tokens * dispatch->desc.slots;
    REQUIRE(slots <= INT32_MAX, error, "io.tokens", "tokens is %u, expected fewer than 2^31 slots, %u for each token",
            io->tokens, dispatch->desc.slots);
    REQUIRE(io->max_rows <= INT32_MAX, error, "io.max_rows", "max_rows is %u, expected less than 2^31", io->max_rows);
    REQUIRE(io->load_accumulate <= 1, error, "io.load_accumulate", "load_accumulate is %u, expected 0 or 1",
            io->load_accumulate);
    clmoe_plan_layout layout;
    clmoe__plan_layout(&dispatch->desc, io->tokens, io->max_rows, &layout);
    TRY(clmoe__buffer_check(context, &io->token_count, 4, 4, 0, "io.token_count", error));
    TRY(clmoe__buffer_check(context, &io->index, slots * 4, 4, io->tokens != 0, "io.index", error));
    TRY(clmoe__buffer_check(context, &io->plan, clmoe__mul(layout.total, 4), 4, 1, "io.plan", error));
    return clmoe__buffer_check(context, &io->load, (uint64_t)dispatch->desc.num_classes * 4, 4, 0, "io.load", error);
}

clmoe_status clmoe_dispatch_enqueue(clmoe_dispatch *dispatch, clmoe_workspace *workspace, cl_command_queue queue,
                                    const clmoe_dispatch_io *io, cl_uint n_wait, const cl_event *wait, cl_event *done,
                                    clmoe_error *error) {
    REQUIRE(dispatch != NULL, error, "dispatch", "dispatch is NULL");
    clmoe_dispatch_io full;
    clmoe_dispatch_io_default(&full, sizeof full);
    TRY(clmoe__take(&full, sizeof full, io, "io", error));
    TRY(check_io(dispatch, &full, error));
    clmoe__run run;
    TRY(clmoe__run_begin(&run, dispatch->context, workspace, queue, n_wait, wait, error));
    clmoe__dispatch_launch(&run, dispatch, &full);
    return clmoe__run_end(&run, done);
}
