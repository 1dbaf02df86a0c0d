/* One pass of a forward: the stages from x to the output, launch by launch. */
#include "layer.h"

/* What one pass reads and writes: the caller's buffers from its first token on, and the arena's regions. */
typedef struct pass {
    clmoe_layer *layer;
    const clmoe_io *io; /* of this pass: buffers moved, tokens its own */
    const clmoe__arena *arena;
    int first;
    int is_direct;         /* experts' rows are the slots: there is no plan but for slot_row (direct.c) */
    int row_is_made;       /* up's operand, by launch_routing */
    int gather_dispatches; /* up's gather makes the plan */
    clmoe_buffer plan, logits, index, weight, a, h, y;
} pass;

static clmoe_buffer at(const clmoe_buffer *memory, uint64_t offset) {
    clmoe_buffer buffer = *memory;
    buffer.offset += offset;
    return buffer;
}

/* A matrix every token goes through: y = epilogue(x . W^T). */
static void launch_dense(clmoe__run *run, const pass *p, const char *stage, clmoe__gemm *gemm, const clmoe_buffer *x,
                         uint64_t x_stride, const clmoe_buffer *operand, const clmoe_buffer *y) {
    const clmoe__gemm_io io = {.tokens = p->io->tokens,
                               .max_rows = p->io->tokens,
                               .token_count = p->io->token_count,
                               .x = *x,
                               .x_stride = x_stride,
                               .operand = *operand,
                               .y = *y,
                               .y_stride = gemm->matrix->out_features};
    run->stage = stage;
    clmoe__gemm_launch(run, gemm, &io);
    run->stage = NULL;
}

static const clmoe_buffer *router_x(const clmoe_io *io) {
    return clmoe__present(&io->router_input) ? &io->router_input : &io->x;
}

static uint64_t router_x_stride(const clmoe_io *io) {
    return clmoe__present(&io->router_input) ? io->router_input_stride : io->x_stride;
}

static void launch_logits(clmoe__run *run, const pass *p) {
    if (clmoe__present(&p->io->logits)) return;
    launch_dense(run, p, "logits", &p->layer->router, router_x(p->io), router_x_stride(p->io), &p->y, &p->logits);
}

/* From x or logits to index and weight, in one launch where there is one for it. */
static void launch_choice(clmoe__run *run, const pass *p, const clmoe_select_io *select) {
    const clmoe_io *io = p->io;
    const int from_x = !clmoe__present(&io->logits);
    if (from_x && p->is_direct && p->layer->router_items != 0) {
        clmoe__router_select_launch(run, p->layer, router_x(io), router_x_stride(io), select);
        return;
    }
    if (from_x && !p->is_direct && p->layer->routes_from_x) {
        clmoe__route_tokens_launch(run, p->layer, router_x(io), router_x_stride(io), select);
        return;
    }
    launch_logits(run, p);
    clmoe__select_launch(run, p->layer->select, select);
}

/* What the dispatch of this pass reads and writes. */
static clmoe_dispatch_io dispatch_io(const pass *p) {
    return (clmoe_dispatch_io){.struct_size = sizeof(clmoe_dispatch_io),
                               .tokens = p->io->tokens,
                               .max_rows = (uint32_t)p->arena->max_rows,
                               .token_count = p->io->token_count,
                               .index = p->index,
                               .plan = p->plan,
                               .load = p->io->out_load,
                               .load_accumulate = !p->first};
}

/* Select and dispatch in one launch; of one token, with the logits and up's operand where that can be. */
static void launch_route(clmoe__run *run, pass *p, const clmoe_select_io *select) {
    clmoe_layer *layer = p->layer;
    const clmoe_io *io = p->io;
    const clmoe_buffer none = {0};
    const clmoe_dispatch_io dispatch = dispatch_io(p);
    const int from_x = io->tokens == 1 && layer->route_makes_logits && !clmoe__present(&io->logits);
    if (!from_x) launch_logits(run, p);
    p->row_is_made = layer->route_makes_row && io->tokens == 1;
    clmoe__route_launch(run, layer, select, &dispatch, from_x ? router_x(io) : &none, &io->x, &p->a);
}

/* From x, logits or the caller's routes to the plan, or to index and weight where there is none or up's gather makes
 * it. */
static void launch_routing(clmoe__run *run, pass *p) {
    clmoe_layer *layer = p->layer;
    const clmoe_io *io = p->io;
    const clmoe_select_io select = {.struct_size = sizeof select,
                                    .tokens = io->tokens,
                                    .token_count = io->token_count,
                                    .logits = p->logits,
                                    .index = p->index,
                                    .weight = p->weight};
    const int chooses = !clmoe__present(&io->index) && io->tokens != 0;
    if (p->is_direct) {
        if (chooses) launch_choice(run, p, &select);
        return;
    }
    if (chooses && clmoe__routes_at_once(layer, io->tokens)) {
        launch_route(run, p, &select);
        return;
    }
    if (chooses) launch_choice(run, p, &select);
    p->gather_dispatches =
        layer->up.dispatches && io->tokens > 1 && clmoe__dispatch_is_small(layer->dispatch, io->tokens);
    const clmoe_dispatch_io dispatch = dispatch_io(p);
    if (!p->gather_dispatches) clmoe__dispatch_launch(run, layer->dispatch, &dispatch);
}

/* The rows of up or down: the plan's, or the slots themselves. */
static void give_rows(const pass *p, clmoe__gemm_io *io) {
    io->tokens = p->io->tokens;
    io->max_rows = (uint32_t)p->arena->max_rows;
    if (!p->is_direct) {
        io->plan = p->plan;
        io->layout = &p->arena->plan_layout;
        return;
    }
    io->token_count = p->io->token_count;
    io->index = p->index;
    io->index_slots = p->layer->slots;
    io->first_expert = p->layer->desc.first_expert;
}

/* What a dispatch would have left for combine and the caller, up leaves. */
static void leave_places(const pass *p, clmoe__gemm_io *up) {
    up->slot_row = at(&p->plan, p->arena->plan_layout.slot_row * 4);
    up->load = p->io->out_load;
    up->classes = p->layer->classes;
    up->load_accumulate = !p->first;
}

/* Where the shared experts' output goes: into the place of the gathered rows, unless down's operand is there. */
static const clmoe_buffer *shared_output(const pass *p) {
    return p->layer->has_shared && clmoe__gemm_gathers(&p->layer->shared_down) ? &p->h : &p->a;
}

/* What is added up in the end. */
static clmoe_combine_io combine_io(const pass *p) {
    const clmoe_io *io = p->io;
    return (clmoe_combine_io){.struct_size = sizeof(clmoe_combine_io),
                              .tokens = io->tokens,
                              .accumulate = io->accumulate,
                              .token_count = io->token_count,
                              .y = p->y,
                              .slot_row = at(&p->plan, p->arena->plan_layout.slot_row * 4),
                              .index = p->index,
                              .weight = p->weight,
                              .x = io->x,
                              .x_stride = io->x_stride,
                              .shared = *shared_output(p),
                              .out = io->out,
                              .out_stride = io->out_stride};
}

static int down_combines(const pass *p) { return p->layer->down.combine != NULL && p->io->tokens == 1; }

static void launch_combine(clmoe__run *run, const pass *p) {
    const clmoe_combine_io io = combine_io(p);
    clmoe__combine_launch(run, p->layer->combine, &io);
}

/* From x, or from z where there is a latent space, to a row in p->y for every slot; and to the output, where down adds
 * up one token's rows itself. */
static void launch_experts(clmoe__run *run, pass *p) {
    clmoe_layer *layer = p->layer;
    const uint32_t size = layer->weights->experts_size, i = layer->weights->experts.intermediate_size;
    clmoe__gemm_io up = {.x = layer->has_latent ? p->y : p->io->x,
                         .x_stride = layer->has_latent ? size : p->io->x_stride,
                         .weight = p->weight,
                         .operand = p->a,
                         .is_gathered = p->row_is_made,
                         .y = p->h,
                         .y_stride = i};
    clmoe__gemm_io down = {.x = p->h, .x_stride = i, .operand = p->a, .y = p->y, .y_stride = size};
    const clmoe_combine_io combine = combine_io(p);
    give_rows(p, &up);
    give_rows(p, &down);
    if (down_combines(p)) down.combine = &combine, down.token_count = p->io->token_count;
    if (p->is_direct) leave_places(p, &up);
    if (p->gather_dispatches) {
        const clmoe_dispatch_io dispatch = dispatch_io(p);
        clmoe__gemm_dispatch_gather(run, &layer->up, layer->dispatch, &dispatch, &up);
        up.is_gathered = 1;
    }
    int32_t offsets[CLMOE__MAX_GROUPS + 1];
    up.offsets = down.offsets = clmoe__gemm_offsets(run, &layer->up, &layer->down, &up, offsets);
    clmoe__gemm_launch(run, &layer->up, &up);
    clmoe__gemm_launch(run, &layer->down, &down);
}

/* z = latent_in . x, which the experts see in place of x. */
static void launch_latent_in(clmoe__run *run, pass *p) {
    launch_dense(run, p, "latent in", &p->layer->latent_in, &p->io->x, p->io->x_stride, &p->a, &p->y);
}

/* Each token's weighted sum in the latent space, then back: latent_out . sum takes the place of the experts' rows. */
static void launch_latent_out(clmoe__run *run, pass *p) {
    const clmoe_combine_io sum = {.struct_size = sizeof sum,
                                  .tokens = p->io->tokens,
                                  .token_count = p->io->token_count,
                                  .y = p->y,
                                  .slot_row = at(&p->plan, p->arena->plan_layout.slot_row * 4),
                                  .weight = p->weight,
                                  .out = p->a};
    run->stage = "latent sum";
    clmoe__combine_launch(run, p->layer->latent_sum, &sum);
    launch_dense(run, p, "latent out", &p->layer->latent_out, &p->a, p->layer->weights->latent_size, &p->h, &p->y);
}

/* The shared experts see every token. */
static void launch_shared(clmoe__run *run, pass *p) {
    clmoe_layer *layer = p->layer;
    launch_dense(run, p, "shared", &layer->shared_up, &p->io->x, p->io->x_stride, &p->a, &p->h);
    launch_dense(run, p, "shared", &layer->shared_down, &p->h, layer->weights->shared.intermediate_size, &p->a,
                 shared_output(p));
}

void clmoe__pass_launch(clmoe__run *run, clmoe_layer *layer, const clmoe_io *io, const clmoe_buffer *memory,
                        const clmoe__arena *arena, int first) {
    pass p = {.layer = layer, .io = io, .arena = arena, .first = first};
    p.is_direct = io->tokens != 0 && clmoe__is_direct(layer, io->tokens);
    p.plan = at(memory, arena->plan);
    p.logits = clmoe__present(&io->logits) ? io->logits : at(memory, arena->logits);
    p.index = clmoe__present(&io->index)       ? io->index
              : clmoe__present(&io->out_index) ? io->out_index
                                               : at(memory, arena->index);
    p.weight = clmoe__present(&io->weight)       ? io->weight
               : clmoe__present(&io->out_weight) ? io->out_weight
                                                 : at(memory, arena->weight);
    p.a = at(memory, arena->a);
    p.h = at(memory, arena->h);
    p.y = at(memory, arena->y);
    launch_routing(run, &p);
    if (io->tokens == 0) return;
    if (layer->has_latent) launch_latent_in(run, &p);
    launch_experts(run, &p);
    if (layer->has_latent) launch_latent_out(run, &p);
    if (layer->has_shared) launch_shared(run, &p);
    if (!down_combines(&p)) launch_combine(run, &p);
}
