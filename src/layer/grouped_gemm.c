/* The public grouped GEMM stage: a matrix of its own and a clmoe__gemm on it. */
#include <stdio.h>
#include <stdlib.h>

#include "checks.h"
#include "gemm.h"

#define MAX_FEATURES (1u << 20)

struct clmoe_grouped_gemm {
    clmoe_context *context;
    clmoe_grouped_gemm_desc desc;
    int in_parts; /* as the matrix's */
    clmoe__gemm_choice choice;
    char row_from[256];
    clmoe__matrix matrix;
    clmoe__gemm plain, weighted; /* the second for io.weight, compiled for slots > 0 only */
    char name[64];
};

static const clmoe__matrix_names names = {"gate", "gate_bias", "weight", "bias"};

void clmoe_grouped_gemm_desc_default(clmoe_grouped_gemm_desc *desc, size_t struct_size) {
    clmoe_grouped_gemm_desc defaults = {.struct_size = sizeof defaults,
                                        .num_groups = 1,
                                        .weight_format = CLMOE_F32,
                                        .x_format = CLMOE_F32,
                                        .y_format = CLMOE_F32};
    defaults.activation = clmoe__activation_default;
    clmoe__give(desc, struct_size, &defaults, sizeof defaults);
}

void clmoe_grouped_gemm_io_default(clmoe_grouped_gemm_io *io, size_t struct_size) {
    const clmoe_grouped_gemm_io defaults = {.struct_size = sizeof defaults};
    clmoe__give(io, struct_size, &defaults, sizeof defaults);
}

static int is_gated(const clmoe_grouped_gemm_desc *desc) { return desc->activate && desc->activation.gated; }

static clmoe_status check(const clmoe_context *context, const clmoe_grouped_gemm_desc *desc, clmoe_error *error) {
    REQUIRE(desc->num_groups >= 1 && desc->num_groups <= 1024, error, "num_groups",
            "num_groups is %u, expected 1..1024", desc->num_groups);
    REQUIRE(desc->in_features >= 1 && desc->in_features <= MAX_FEATURES, error, "in_features",
            "in_features is %u, expected 1..%u", desc->in_features, MAX_FEATURES);
    REQUIRE(desc->out_features >= 1 && desc->out_features <= MAX_FEATURES, error, "out_features",
            "out_features is %u, expected 1..%u", desc->out_features, MAX_FEATURES);
    REQUIRE(desc->arithmetic <= CLMOE_ARITHMETIC_INT8, error, "arithmetic", "arithmetic is %u, expected 0..3",
            desc->arithmetic);
    REQUIRE(desc->activate <= 1, error, "activate", "activate is %u, expected 0 or 1", desc->activate);
    REQUIRE(desc->slots <= 2048, error, "slots", "slots is %u, expected 0..2048", desc->slots);
    REQUIRE(desc->full_tiles <= 1, error, "full_tiles", "full_tiles is %u, expected 0 or 1", desc->full_tiles);
    REQUIRE(
        clmoe__format_is_wide(desc->weight_format) || clmoe__format_is_kept_block(desc->weight_format), error,
        "weight_format",
        "weight_format is %u, expected CLMOE_F32, CLMOE_F16, CLMOE_BF16, CLMOE_Q8_0 to CLMOE_NVFP4 or CLMOE_U4_G32 to "
        "CLMOE_F8_B128",
        desc->weight_format);
    TRY(clmoe__format_check(desc->x_format, "x_format", error));
    TRY(clmoe__format_check(desc->y_format, "y_format", error));
    TRY(clmoe__activation_check(&desc->activation, "activation", error));
    return clmoe__projection_check(context, desc->num_groups, desc->in_features, desc->out_features, is_gated(desc),
                                   desc->gate_up, &desc->gate, &desc->weight, &desc->gate_bias, &desc->bias, &names,
                                   error);
}

static clmoe_status create_matrix(clmoe_grouped_gemm *made, clmoe_error *error) {
    const clmoe_grouped_gemm_desc *desc = &made->desc;
    clmoe_context *context = made->context;
    uint32_t arithmetic = desc->arithmetic;
    char refused[512];
    TRY(clmoe__kept_check(desc->weight_format, &desc->gate, &desc->weight, desc->in_features, "weight", error));
    made->matrix = (clmoe__matrix){.groups = desc->num_groups,
                                   .in_features = desc->in_features,
                                   .out_features = desc->out_features,
                                   .gated = is_gated(desc) || made->in_parts,
                                   .in_parts = made->in_parts,
                                   .format = desc->weight_format};
    if (made->in_parts) TRY(clmoe__parts_check(&desc->weight, "weight", error));
    if (clmoe__format_is_e4m3(desc->weight_format))
        TRY(clmoe__e4m3_check(&made->matrix, desc->gate_up, &desc->gate, &desc->weight, "weight", error));
    TRY(clmoe__arithmetic_check(desc->weight_format, arithmetic, error));
    TRY(clmoe__arithmetic_choose(context, desc->weight_format, &arithmetic, error));
    TRY(clmoe__gemm_choose(context, desc->weight_format, arithmetic, &made->choice, refused, sizeof refused, error));
    snprintf(made->name, sizeof made->name, "%s (%s arithmetic)", made->choice.variant->name,
             clmoe__arithmetic_name(arithmetic));
    made->matrix.arithmetic = arithmetic;
    made->matrix.lanes = made->choice.lanes;
    clmoe__packer packer = {context, {0}, NULL, NULL};
    const clmoe_status status = clmoe__projection_create(&packer, &made->matrix, desc->gate_up, &desc->gate,
                                                         &desc->weight, &desc->gate_bias, &desc->bias, &names, error);
    clmoe__packer_destroy(&packer);
    return status;
}

static void launch_warm(clmoe__run *run, void *stage) {
    clmoe_grouped_gemm *gemm = stage;
    const clmoe__gemm_io nothing = {0};
    clmoe__gemm_launch(run, &gemm->plain, &nothing);
    if (gemm->desc.slots > 0) clmoe__gemm_launch(run, &gemm->weighted, &nothing);
}

static clmoe_status create_gemms(clmoe_grouped_gemm *made, clmoe_error *error) {
    const clmoe_grouped_gemm_desc *desc = &made->desc;
    const clmoe__gemm_choice shipped = made->choice;
    TRY(clmoe__gemm_tuned(made->context, &made->matrix, &shipped, &made->choice, made->row_from, sizeof made->row_from,
                          error));
    clmoe__gemm_spec spec = {.matrix = &made->matrix,
                             .activation = made->in_parts   ? &clmoe__activation_sum
                                           : desc->activate ? &made->desc.activation
                                                            : NULL,
                             .choice = &made->choice,
                             .row_from = made->row_from,
                             .x_format = desc->x_format,
                             .y_format = desc->y_format,
                             .slots = desc->slots,
                             .full_tiles = desc->full_tiles,
                             .stage = "gemm"};
    TRY(clmoe__gemm_create(made->context, &spec, &made->plain, error));
    spec.weighted = 1;
    if (desc->slots > 0) TRY(clmoe__gemm_create(made->context, &spec, &made->weighted, error));
    return clmoe__warm(made->context, launch_warm, made, error);
}

static clmoe_status create(clmoe_context *context, const clmoe_grouped_gemm_desc *desc, int in_parts,
                           clmoe_grouped_gemm **gemm, clmoe_error *error) {
    REQUIRE(gemm != NULL, error, "gemm", "gemm is NULL");
    *gemm = NULL;
    REQUIRE(context != NULL, error, "context", "context is NULL");
    clmoe_grouped_gemm_desc taken;
    clmoe_grouped_gemm_desc_default(&taken, sizeof taken);
    TRY(clmoe__take(&taken, sizeof taken, desc, "desc", error));
    TRY(check(context, &taken, error));
    clmoe_grouped_gemm *made = calloc(1, sizeof *made);
    if (made == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for clmoe_grouped_gemm");
    made->context = context;
    made->desc = taken;
    made->in_parts = in_parts;
    clmoe__context_retain(context);
    clmoe_status status = create_matrix(made, error);
    if (status == CLMOE_OK) status = create_gemms(made, error);
    if (status != CLMOE_OK) {
        clmoe_grouped_gemm_destroy(made);
        return status;
    }
    *gemm = made;
    return CLMOE_OK;
}

clmoe_status clmoe_grouped_gemm_create(clmoe_context *context, const clmoe_grouped_gemm_desc *desc,
                                       clmoe_grouped_gemm **gemm, clmoe_error *error) {
    return create(context, desc, 0, gemm, error);
}

clmoe_status clmoe__grouped_gemm_create_in_parts(clmoe_context *context, const clmoe_grouped_gemm_desc *desc,
                                                 clmoe_grouped_gemm **gemm, clmoe_error *error) {
    return create(context, desc, 1, gemm, error);
}

uint32_t clmoe_grouped_gemm_tile_rows(const clmoe_grouped_gemm *gemm) {
    return gemm != NULL ? gemm->choice.tile_rows : 0;
}

const char *clmoe_grouped_gemm_variant(const clmoe_grouped_gemm *gemm) { return gemm != NULL ? gemm->name : ""; }

void clmoe_grouped_gemm_destroy(clmoe_grouped_gemm *gemm) {
    if (gemm == NULL) return;
    clmoe_context *context = gemm->context;
    clmoe__gemm_destroy(context, &gemm->plain);
    clmoe__gemm_destroy(context, &gemm->weighted);
    clmoe__matrix_destroy(context, &gemm->matrix);
    free(gemm);
    clmoe__context_release(context);
}

/* The plan's layout as the dispatch that wrote it had it; parts behind slot_row do not matter here. */
static void plan_layout(const clmoe_grouped_gemm *gemm, const clmoe_grouped_gemm_io *io, clmoe_plan_layout *layout) {
    const clmoe_dispatch_desc dispatch = {.struct_size = sizeof dispatch,
                                          .num_classes = gemm->desc.num_groups,
                                          .slots = gemm->desc.slots > 0 ? gemm->desc.slots : 1,
                                          .local_experts = gemm->desc.num_groups,
                                          .tile_rows = gemm->choice.tile_rows};
    clmoe__plan_layout(&dispatch, io->tokens, io->max_rows, layout);
}

/* Checks io and fills what the inner GEMM takes. */
static clmoe_status check_io(clmoe_grouped_gemm *gemm, clmoe_grouped_gemm_io *io, clmoe_plan_layout *layout,
                             clmoe__gemm_io *inner, clmoe_error *error) {
    const clmoe_grouped_gemm_desc *desc = &gemm->desc;
    const clmoe_context *context = gemm->context;
    const int planned = io->plan.kind != CLMOE_BUFFER_NONE, any = io->tokens != 0;
    const uint64_t slots = desc->slots > 0 ? desc->slots : 1;
    REQUIRE(planned || desc->num_groups == 1, error, "io.plan", "plan is absent, but there are %u groups",
            desc->num_groups);
    REQUIRE(planned || !desc->full_tiles, error, "io.plan", "plan is absent, but full_tiles is 1");
    REQUIRE(io->tokens * slots <= INT32_MAX && io->max_rows <= INT32_MAX, error, "io.tokens",
            "tokens is %u, max_rows %u: expected fewer than 2^31 rows", io->tokens, io->max_rows);
    TRY(clmoe__stride_check(&io->x_stride, desc->in_features, "io.x_stride", error));
    TRY(clmoe__stride_check(&io->y_stride, desc->out_features, "io.y_stride", error));
    *inner = (clmoe__gemm_io){.tokens = io->tokens, .max_rows = io->tokens};
    if (planned) {
        plan_layout(gemm, io, layout);
        inner->layout = layout;
        inner->max_rows = layout->max_rows;
        TRY(clmoe__buffer_check(context, &io->plan, layout->scratch * 4, 4, any, "io.plan", error));
    }
    const uint64_t x_rows = planned && desc->slots == 0 ? inner->max_rows : io->tokens;
    const uint32_t x_bytes = clmoe__format_bytes(desc->x_format), y_bytes = clmoe__format_bytes(desc->y_format);
    TRY(clmoe__buffer_check(context, &io->token_count, 4, 4, 0, "io.token_count", error));
    TRY(clmoe__buffer_check(context, &io->x, clmoe__rows_bytes(x_rows, desc->in_features, io->x_stride, x_bytes),
                            x_bytes, any, "io.x", error));
    TRY(clmoe__buffer_check(context, &io->y,
                            clmoe__rows_bytes(inner->max_rows, desc->out_features, io->y_stride, y_bytes), y_bytes, any,
                            "io.y", error));
    REQUIRE(io->weight.kind == CLMOE_BUFFER_NONE || (planned && desc->slots > 0), error, "io.weight",
            "weight needs a plan and slots > 0");
    TRY(clmoe__buffer_check(context, &io->weight, io->tokens * slots * 4, 4, 0, "io.weight", error));
    inner->token_count = io->token_count;
    inner->plan = io->plan;
    inner->x = io->x;
    inner->x_stride = io->x_stride;
    inner->weight = io->weight;
    inner->y = io->y;
    inner->y_stride = io->y_stride;
    return CLMOE_OK;
}

clmoe_status clmoe_grouped_gemm_enqueue(clmoe_grouped_gemm *gemm, clmoe_workspace *workspace, cl_command_queue queue,
                                        const clmoe_grouped_gemm_io *io, cl_uint n_wait, const cl_event *wait,
                                        cl_event *done, clmoe_error *error) {
    REQUIRE(gemm != NULL, error, "gemm", "gemm is NULL");
    clmoe_grouped_gemm_io taken;
    clmoe_grouped_gemm_io_default(&taken, sizeof taken);
    TRY(clmoe__take(&taken, sizeof taken, io, "io", error));
    clmoe_plan_layout layout;
    clmoe__gemm_io inner;
    TRY(check_io(gemm, &taken, &layout, &inner, error));
    clmoe__gemm *variant = taken.weight.kind != CLMOE_BUFFER_NONE ? &gemm->weighted : &gemm->plain;
    clmoe__run run;
    TRY(clmoe__run_begin(&run, gemm->context, workspace, queue, n_wait, wait, error));
    const uint64_t operand_bytes =
        clmoe__gemm_gathers(variant) ? clmoe__gemm_operand_bytes(variant, inner.tokens, inner.max_rows) : 0;
    if (operand_bytes != 0) clmoe__run_arena(&run, operand_bytes, &inner.operand);
    if (inner.tokens != 0) clmoe__gemm_launch(&run, variant, &inner);
    return clmoe__run_end(&run, done);
}
