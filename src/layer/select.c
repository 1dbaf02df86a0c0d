/* The select stage: from a clmoe_routing to kernels (cl/select.cl, cl/expert_choice.cl) and their launches. May call
 * src/opencl and the layer's own helpers (stages.h). */
#include "stages.h"

#include <stdlib.h>
#include <string.h>

/* Work-items a group on devices that are not CPUs: a wave or two, so a small group spreads few tokens over more cores.
 * */
#define LOCAL_SIZE 64u
#define TEAM_MAX   16u
#define TAKE_BYTES 64u /* of local memory, a work-item of cl/expert_choice_group.clh */
#define GROUPS_MAX 65535u

struct clmoe_select {
    clmoe_context *context;
    clmoe_routing routing;
    clmoe__vector own_bias, own_scale; /* of the public create only */
    cl_mem select_bias, expert_scale;  /* f32 [C], own or lent; NULL = absent */
    clmoe__kernel choose;              /* a work-item or a team of them a token; for expert choice it only scores */
    clmoe__kernel take;                /* expert choice: `lanes` experts a work-item, or some a group; else empty */
    uint32_t classes, slots;
    uint32_t local, lanes, team; /* team: work-items a token, 1 unless CPU lanes are 1 */
    uint32_t take_items, take_columns; /* of a group that takes tokens; take_items 1: of `local`, each for itself */
};

void clmoe_select_desc_default(clmoe_select_desc *desc, size_t struct_size) {
    clmoe_select_desc defaults = {.struct_size = sizeof defaults};
    clmoe_routing_default(&defaults.routing, sizeof defaults.routing);
    clmoe__give(desc, struct_size, &defaults, sizeof defaults);
}

void clmoe_select_io_default(clmoe_select_io *io, size_t struct_size) {
    const clmoe_select_io defaults = {.struct_size = sizeof defaults};
    clmoe__give(io, struct_size, &defaults, sizeof defaults);
}

/* ------------------------------------------------------------------------------------------------ create */

/* How a rule is computed, where that is less work than its definition and the same result. */
typedef struct plan {
    int key_is_logit; /* compare logits instead of scores */
    int score_after;  /* score the chosen logits only */
    int normalize;    /* clmoe_normalize that is left to do */
    int mask_zero;
} plan;

static plan make_plan(const clmoe_routing *r, int has_bias) {
    const int grouped = r->n_group > 1, top2 = grouped && r->group_score == CLMOE_GROUP_TOP2_SUM;
    const int by_logit = r->score_position == CLMOE_SCORE_AFTER || r->bias_on == CLMOE_BIAS_ON_LOGIT;
    /* Scores rise with logits, so without a bias and without sums the logits order the same, and do not saturate. */
    const int same_order = !has_bias && !top2;
    plan p = {.normalize = (int)r->normalize, .mask_zero = grouped && r->group_mask == CLMOE_MASK_ZERO};
    p.key_is_logit = by_logit || same_order;
    p.score_after = r->score_position == CLMOE_SCORE_AFTER;
    /* No score is below 0: masking scores with 0 is masking logits with -inf. */
    if (p.key_is_logit && !by_logit && r->score != CLMOE_SCORE_NONE) p.mask_zero = 0;
    if (p.key_is_logit && r->score != CLMOE_SOFTMAX) p.score_after = 1;
    /* Softmax over all, divided by the sum of the chosen, is the softmax over the chosen. */
    if (p.key_is_logit && r->score == CLMOE_SOFTMAX && r->score_position == CLMOE_SCORE_BEFORE &&
        r->normalize == CLMOE_NORM_SUM && r->norm_eps == 0.0f && r->norm_floor == 0.0f) {
        p.score_after = 1;
        p.normalize = CLMOE_NORM_NONE;
    }
    return p;
}

void clmoe__select_options(const clmoe_select *select, clmoe__options *options) {
    const clmoe_routing *r = &select->routing;
    const int choice = r->method == CLMOE_EXPERT_CHOICE, sparsemixer = r->method == CLMOE_SPARSEMIXER;
    plan p = make_plan(r, select->select_bias != NULL);
    if (choice) p = (plan){0};
    if (sparsemixer) p = (plan){.key_is_logit = 1};
    clmoe__options_add(options, "-DLANES=%u -DLOCAL_SIZE=%u -DTEAM=%u", select->lanes, select->local, select->team);
    clmoe__options_add(options, " -DCLASSES=%u -DEXPERTS=%u -DALWAYS=%u", select->classes, r->num_experts,
                       r->always_experts);
    clmoe__options_add(options, " -DTOP_K=%u -DSPARSEMIXER=%d", choice ? 1 : r->top_k, sparsemixer);
    clmoe__options_add(options, " -DSCORE=%u -DSCORE_AFTER=%d -DKEY_IS_LOGIT=%d", r->score, p.score_after,
                       p.key_is_logit);
    clmoe__options_add(options, " -DHAS_SELECT_BIAS=%d -DHAS_EXPERT_SCALE=%d", select->select_bias != NULL,
                       select->expert_scale != NULL);
    if (r->n_group > 1) {
        clmoe__options_add(options, " -DGROUPS=%u -DTOP_GROUPS=%u -DGROUP_TOP2_SUM=%d -DGROUP_MASK_ZERO=%d", r->n_group,
                           r->topk_group, r->group_score == CLMOE_GROUP_TOP2_SUM, p.mask_zero);
    }
    clmoe__options_add(options, " -DNORMALIZE=%d", p.normalize);
    clmoe__options_float(options, "LOGIT_SCALE", r->logit_scale);
    clmoe__options_float(options, "LOGIT_SOFTCAP", r->logit_softcap);
    clmoe__options_float(options, "NORM_EPS", r->norm_eps);
    clmoe__options_float(options, "NORM_FLOOR", r->norm_floor);
    clmoe__options_float(options, "NORM_P", r->norm_p);
    clmoe__options_float(options, "SCALE", r->scale);
    clmoe__options_float(options, "SPARSEMIXER_EPS", r->sparsemixer_eps);
    /* At E every expert takes every token; more would only risk an overflow. */
    const float experts = (float)r->num_experts;
    clmoe__options_float(options, "CAPACITY_FACTOR", r->capacity_factor < experts ? r->capacity_factor : experts);
}

static clmoe_status create_kernels(clmoe_select *select, clmoe_error *error) {
    clmoe__options options = {.overflow = 0};
    clmoe__select_options(select, &options);
    if (select->routing.method != CLMOE_EXPERT_CHOICE) {
        return clmoe__kernel_create(select->context, "select.cl", "select_experts", &options, "select", &select->choose,
                                    error);
    }
    clmoe__options_add(&options, " -DTAKE_ITEMS=%u -DTAKE_COLUMNS=%u", select->take_items, select->take_columns);
    TRY(clmoe__kernel_create(select->context, "expert_choice.cl", "score_tokens", &options, "select", &select->choose,
                             error));
    return clmoe__kernel_create(select->context, "expert_choice.cl", "take_tokens", &options, "select", &select->take,
                                error);
}

/* What can be said only when it is known whether there is a bias. */
static clmoe_status check_bias(const clmoe_routing *r, int has_bias, clmoe_error *error) {
    if (!has_bias) return CLMOE_OK;
    REQUIRE(r->method == CLMOE_TOP_K, error, "select_bias",
            "select_bias is given, but the routing's method is %u: expected 0 (TOP_K)", r->method);
    REQUIRE(r->score_position == CLMOE_SCORE_BEFORE || r->bias_on == CLMOE_BIAS_ON_LOGIT, error, "routing.bias_on",
            "bias_on is SCORE with a select_bias, but the score comes after the selection: expected LOGIT");
    return CLMOE_OK;
}

static void launch_warm(clmoe__run *run, void *stage) {
    const clmoe_select_io nothing = {.struct_size = sizeof nothing};
    clmoe__select_launch(run, stage, &nothing);
}

/* Bytes of local memory that a group of `items` takes (cl/select_team.clh). */
static uint64_t local_bytes(const clmoe_select *select, uint32_t items, uint32_t team) {
    const uint64_t table = select->routing.n_group > 1 ? clmoe__max(select->classes, select->slots) : select->slots;
    return items * 16 + items / team * table * 4;
}

/* Whether a group of `items` fits, and `others` bytes beside it. */
static int group_fits(const clmoe_select *select, uint32_t items, uint32_t team, uint64_t others) {
    const clmoe__device *device = &select->context->device;
    const uint64_t bytes = others + (team > 1 ? local_bytes(select, items, team) : 0);
    return items <= device->max_work_group_size && items <= device->max_work_item_size0 && bytes < device->local_bytes;
}

uint32_t clmoe__select_items(const clmoe_select *select, uint32_t most, uint64_t others) {
    uint32_t items = select->local;
    if (!group_fits(select, items, select->team, others)) return 0;
    while (select->local > 1 && 2 * items <= most && group_fits(select, 2 * items, select->team, others)) items *= 2;
    return items;
}

/* A team is no wider than the token has classes. Where teams do not fit, a work-item does a token alone. */
static void pick_group(clmoe_select *select) {
    const clmoe__device *device = &select->context->device;
    select->team = 1;
    select->local = clmoe__group_items(device, LOCAL_SIZE);
    if (device->is_cpu) return;
    uint32_t team = TEAM_MAX;
    while (team > 4 && (team > select->local || team / 2 >= select->classes)) team /= 2;
    if (team <= select->local && group_fits(select, select->local, team, clmoe__dispatch_local_bytes(select->classes)))
        select->team = team; /* dispatch: of cl/route.cl */
}

/* As many work-items as have room for their counters; several experts a group, so that neighbours are read together. */
static void pick_take(clmoe_select *select) {
    select->take_items = select->local;
    while (select->take_items > 1 && select->take_items * TAKE_BYTES >= select->context->device.local_bytes)
        select->take_items /= 2;
    select->take_columns = select->take_items >= 16 ? 4 : 1;
}

clmoe_status clmoe__select_create(clmoe_context *context, const clmoe_routing *routing, cl_mem select_bias,
                                  cl_mem expert_scale, clmoe_select **select, clmoe_error *error) {
    *select = NULL;
    TRY(clmoe_routing_validate(routing, error));
    TRY(check_bias(routing, select_bias != NULL, error));
    clmoe_select *made = calloc(1, sizeof *made);
    if (made == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a select stage");
    const clmoe__device *device = &context->device;
    made->context = context;
    clmoe__context_retain(context);
    made->routing = *routing;
    made->classes = clmoe_routing_classes(routing);
    made->slots = clmoe_routing_slots(routing);
    made->select_bias = select_bias;
    made->expert_scale = expert_scale;
    made->lanes = device->is_cpu ? device->vector_width : 1;
    pick_group(made);
    pick_take(made);
    clmoe_status status = create_kernels(made, error);
    if (status == CLMOE_OK) status = clmoe__warm(context, launch_warm, made, error);
    if (status != CLMOE_OK) {
        clmoe_select_destroy(made);
        return status;
    }
    *select = made;
    return CLMOE_OK;
}

clmoe_status clmoe_select_create(clmoe_context *context, const clmoe_select_desc *desc, clmoe_select **select,
                                 clmoe_error *error) {
    REQUIRE(select != NULL, error, "select", "select is NULL");
    *select = NULL;
    REQUIRE(context != NULL, error, "context", "context is NULL");
    clmoe_select_desc d;
    clmoe_select_desc_default(&d, sizeof d);
    TRY(clmoe__take(&d, sizeof d, desc, "desc", error));
    TRY(clmoe_routing_validate(&d.routing, error));
    const uint32_t classes = clmoe_routing_classes(&d.routing);
    TRY(clmoe__tensor_check(context, &d.select_bias, 1, 1, classes, 0, "select_bias", error));
    TRY(clmoe__tensor_check(context, &d.expert_scale, 1, 1, classes, 0, "expert_scale", error));
    TRY(check_bias(&d.routing, clmoe__tensor_present(&d.select_bias), error));

    clmoe__vector bias = {0}, scale = {0};
    clmoe_status status = clmoe__vector_create(context, &d.select_bias, classes, "select_bias", &bias, error);
    if (status == CLMOE_OK)
        status = clmoe__vector_create(context, &d.expert_scale, classes, "expert_scale", &scale, error);
    if (status == CLMOE_OK) {
        status = clmoe__select_create(context, &d.routing, bias.block.mem, scale.block.mem, select, error);
    }
    if (status != CLMOE_OK) {
        clmoe__vector_destroy(context, &bias);
        clmoe__vector_destroy(context, &scale);
        return status;
    }
    (*select)->own_bias = bias;
    (*select)->own_scale = scale;
    return CLMOE_OK;
}

void clmoe_select_destroy(clmoe_select *select) {
    if (select == NULL) return;
    clmoe__kernel_destroy(select->context, &select->choose);
    clmoe__kernel_destroy(select->context, &select->take);
    clmoe__vector_destroy(select->context, &select->own_bias);
    clmoe__vector_destroy(select->context, &select->own_scale);
    clmoe__context_release(select->context);
    free(select);
}

/* ----------------------------------------------------------------------------------------------- enqueue */

static void launch_over(clmoe__run *run, const clmoe_select *select, uint64_t items) {
    const uint64_t groups = clmoe__min(clmoe__div_up(items, select->local), GROUPS_MAX);
    const size_t global = (size_t)(groups * select->local), local = select->local;
    clmoe__run_launch(run, 1, &global, &local);
}

void clmoe__select_tables(clmoe__run *run, const clmoe_select *select) {
    clmoe__run_mem(run, select->select_bias);
    clmoe__run_mem(run, select->expert_scale);
}

void clmoe__select_launch(clmoe__run *run, clmoe_select *select, const clmoe_select_io *io) {
    const int choice = select->routing.method == CLMOE_EXPERT_CHOICE;
    clmoe__run_kernel(run, &select->choose);
    clmoe__run_u32(run, io->tokens);
    clmoe__run_buffer(run, &io->token_count, sizeof(cl_int));
    clmoe__run_buffer(run, &io->logits, sizeof(cl_float));
    if (!choice) clmoe__select_tables(run, select);
    clmoe__run_buffer(run, &io->index, sizeof(cl_int));
    clmoe__run_buffer(run, &io->weight, sizeof(cl_float));
    launch_over(run, select, clmoe__mul(io->tokens, choice ? 1 : select->team));
    if (!choice) return;

    clmoe__run_kernel(run, &select->take);
    clmoe__run_u32(run, io->tokens);
    clmoe__run_buffer(run, &io->token_count, sizeof(cl_int));
    clmoe__run_mem(run, select->expert_scale);
    clmoe__run_buffer(run, &io->index, sizeof(cl_int));
    clmoe__run_buffer(run, &io->weight, sizeof(cl_float));
    if (select->take_items == 1) {
        launch_over(run, select, io->tokens == 0 ? 0 : clmoe__div_up(select->slots, select->lanes));
        return;
    }
    const size_t local = select->take_items;
    const size_t global = io->tokens == 0 ? 0 : local * (size_t)clmoe__div_up(select->slots, select->take_columns);
    clmoe__run_launch(run, 1, &global, &local);
}

static clmoe_status check_io(const clmoe_select *select, const clmoe_select_io *io, clmoe_error *error) {
    const uint64_t pairs = clmoe__mul(io->tokens, select->slots), logits = clmoe__mul(io->tokens, select->classes);
    REQUIRE(pairs < (uint64_t)1 << 31, error, "io.tokens", "tokens is %u with %u slots, expected less than %u",
            io->tokens, select->slots, (unsigned)(((uint64_t)1 << 31) / select->slots));
    const clmoe_context *context = select->context;
    TRY(clmoe__buffer_check(context, &io->token_count, sizeof(cl_int), sizeof(cl_int), 0, "io.token_count", error));
    TRY(clmoe__buffer_check(context, &io->logits, clmoe__mul(logits, sizeof(cl_float)), sizeof(cl_float), 1,
                            "io.logits", error));
    TRY(clmoe__buffer_check(context, &io->index, pairs * sizeof(cl_int), sizeof(cl_int), 1, "io.index", error));
    return clmoe__buffer_check(context, &io->weight, pairs * sizeof(cl_float), sizeof(cl_float), 1, "io.weight", error);
}

clmoe_status clmoe_select_enqueue(clmoe_select *select, clmoe_workspace *workspace, cl_command_queue queue,
                                  const clmoe_select_io *io, cl_uint n_wait, const cl_event *wait, cl_event *done,
                                  clmoe_error *error) {
    REQUIRE(select != NULL, error, "select", "select is NULL");
    clmoe_select_io given;
    clmoe_select_io_default(&given, sizeof given);
    TRY(clmoe__take(&given, sizeof given, io, "io", error));
    TRY(check_io(select, &given, error));
    clmoe__run run;
    TRY(clmoe__run_begin(&run, select->context, workspace, queue, n_wait, wait, error));
    clmoe__select_launch(&run, select, &given);
    return clmoe__run_end(&run, done);
}
