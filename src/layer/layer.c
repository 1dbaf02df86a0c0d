/* A layer: checks description against weights, creates the stages, compiles and launches each kernel once. */
#include "layer.h"

#include <math.h>
#include <stdlib.h>

void clmoe_layer_desc_default(clmoe_layer_desc *desc, size_t struct_size) {
    clmoe_layer_desc defaults = {.struct_size = sizeof defaults,
                                 .x_format = CLMOE_F32,
                                 .out_format = CLMOE_F32,
                                 .routed_scale = 1.0f,
                                 .shared_scale = 1.0f,
                                 .y_format = CLMOE_F32};
    clmoe_routing_default(&defaults.routing, sizeof defaults.routing);
    defaults.activation = defaults.shared_activation = clmoe__activation_default;
    clmoe__give(desc, struct_size, &defaults, sizeof defaults);
}

static clmoe_status check_share(const clmoe_layer_desc *desc, const clmoe_weights *weights, clmoe_error *error) {
    const uint32_t experts = desc->routing.num_experts, held = weights->experts.num_experts;
    const uint32_t local = desc->local_experts != 0 ? desc->local_experts : experts;
    REQUIRE(desc->first_expert < experts, error, "first_expert", "first_expert is %u, expected 0..%u",
            desc->first_expert, experts - 1);
    REQUIRE(local <= experts - desc->first_expert, error, "local_experts",
            "local_experts is %u, expected 0..%u (num_experts %u from first_expert %u on)", local,
            experts - desc->first_expert, experts, desc->first_expert);
    REQUIRE(local == held, error, "local_experts", "this share has %u experts, but the weights hold %u", local, held);
    REQUIRE(desc->omit_shared <= 1, error, "omit_shared", "omit_shared is %u, expected 0 or 1", desc->omit_shared);
    REQUIRE(desc->allow_variance <= 1, error, "allow_variance", "allow_variance is %u, expected 0 or 1",
            desc->allow_variance);
    return CLMOE_OK;
}

/* Who named a variant wants it; who did not must have said that results may vary. */
static clmoe_status check_variance(const clmoe_layer_desc *desc, const clmoe_weights *weights, clmoe_error *error) {
    const clmoe__gemm_choice *choices[] = {&weights->experts.up_choice, &weights->experts.down_choice,
                                           &weights->shared.up_choice,  &weights->shared.down_choice,
                                           &weights->latent_in_choice,  &weights->latent_out_choice};
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        const clmoe__gemm_variant *variant = choices[i]->variant;
        REQUIRE(variant == NULL || !clmoe__gemm_varies(variant) || desc->allow_variance ||
                    clmoe__gemm_preferred(weights->context, variant),
                error, "allow_variance",
                "allow_variance is 0, but the weights were packed for %s, whose results depend on the batch",
                variant->name);
    }
    return CLMOE_OK;
}

/* Products of bf16 are exact only with an x that is bf16 already. */
static clmoe_status check_router(const clmoe_layer_desc *desc, const clmoe_weights *weights, clmoe_error *error) {
    REQUIRE(!weights->has_router || !weights->router.in_parts || desc->x_format == CLMOE_BF16, error, "x_format",
            "x_format is %u, expected CLMOE_BF16: the weights were packed with router_arithmetic BF16", desc->x_format);
    return CLMOE_OK;
}

static clmoe_status check(const clmoe_layer_desc *desc, const clmoe_weights *weights, clmoe_error *error) {
    TRY(clmoe_routing_validate(&desc->routing, error));
    const uint32_t classes = clmoe_routing_classes(&desc->routing);
    REQUIRE(weights->num_classes == 0 || weights->num_classes == classes, error, "routing.num_experts",
            "the routing has %u classes, but the weights' router has %u", classes, weights->num_classes);
    REQUIRE(weights->latent_size == 0 || desc->routing.zero_experts == 0, error, "routing.zero_experts",
            "zero_experts is %u, expected 0: the experts work in a latent space of %u", desc->routing.zero_experts,
            weights->latent_size);
    TRY(check_share(desc, weights, error));
    TRY(check_variance(desc, weights, error));
    TRY(clmoe__activation_check(&desc->activation, "activation", error));
    REQUIRE((int)desc->activation.gated == weights->experts.gated, error, "activation.gated",
            "activation.gated is %u, but the experts' weights were packed with gated = %d", desc->activation.gated,
            weights->experts.gated);
    if (weights->shared.intermediate_size != 0) {
        TRY(clmoe__activation_check(&desc->shared_activation, "shared_activation", error));
        REQUIRE((int)desc->shared_activation.gated == weights->shared.gated, error, "shared_activation.gated",
                "shared_activation.gated is %u, but the shared weights were packed with gated = %d",
                desc->shared_activation.gated, weights->shared.gated);
    }
    TRY(clmoe__format_check(desc->x_format, "x_format", error));
    TRY(check_router(desc, weights, error));
    TRY(clmoe__format_check(desc->out_format, "out_format", error));
    TRY(clmoe__format_check(desc->y_format, "y_format", error));
    REQUIRE(desc->router_input <= 1, error, "router_input", "router_input is %u, expected 0 or 1", desc->router_input);
    REQUIRE(isfinite(desc->routed_scale), error, "routed_scale", "routed_scale is %g, expected a finite number",
            (double)desc->routed_scale);
    REQUIRE(isfinite(desc->shared_scale), error, "shared_scale", "shared_scale is %g, expected a finite number",
            (double)desc->shared_scale);
    return CLMOE_OK;
}

/* Up and down projection of one set of experts; slots 0: the shared experts, which see every token. Down writes
 * y_format. */
static clmoe_status create_ffn(clmoe_layer *layer, const clmoe__ffn *ffn, const clmoe_activation *activation,
                               uint32_t x_format, uint32_t y_format, uint32_t slots, const char *up_stage,
                               const char *down_stage, clmoe__gemm *up, clmoe__gemm *down, clmoe_error *error) {
    clmoe__gemm_choice up_choice, down_choice;
    char up_from[256], down_from[256];
    TRY(clmoe__gemm_tuned(layer->context, &ffn->up, &ffn->up_choice, &up_choice, up_from, sizeof up_from, error));
    TRY(clmoe__gemm_tuned(layer->context, &ffn->down, &ffn->down_choice, &down_choice, down_from, sizeof down_from,
                          error));
    const int hands_over = clmoe__gemm_hands_over(&ffn->up, &up_choice, &ffn->down, &down_choice);
    const uint32_t tile_rows = (uint32_t)clmoe__min(up_choice.tile_rows, down_choice.tile_rows); /* of one plan */
    const cl_mem down_scale = ffn->down_scale.block.mem; /* of merged gate and up, one is of both */
    const cl_mem gate_scale = ffn->gate_scale.block.mem != NULL ? ffn->gate_scale.block.mem : ffn->up_scale.block.mem;
    clmoe__gemm_spec spec = {.matrix = &ffn->up,
                             .activation = activation,
                             .choice = &up_choice,
                             .row_from = up_from,
                             .scales = {gate_scale, ffn->up_scale.block.mem},
                             .tile_rows = tile_rows,
                             .x_format = x_format,
                             .y_format = CLMOE_F32,
                             .x_is_apart = 1,
                             .y_is_operand = hands_over,
                             .next = &ffn->down,
                             .slots = slots,
                             .classes = slots > 0 ? layer->classes : 0,
                             .stage = up_stage};
    spec.weighted = slots > 0 && layer->desc.routing.weight_on == CLMOE_WEIGHT_ON_INPUT;
    TRY(clmoe__gemm_create(layer->context, &spec, up, error));
    const clmoe__gemm_spec down_spec = {
        .matrix = &ffn->down,
        .choice = &down_choice,
        .row_from = down_from,
        .scales = {down_scale, down_scale},
        .tile_rows = tile_rows,
        .x_format = CLMOE_F32,
        .y_format = y_format,
        .x_is_operand = hands_over,
        .combine = slots > 0 && !layer->has_latent && !layer->has_shared ? layer->combine : NULL,
        .stage = down_stage};
    return clmoe__gemm_create(layer->context, &down_spec, down, error);
}

/* One matrix of its own: y = x . W^T for every token, in f32. */
static clmoe_status create_dense(clmoe_layer *layer, const clmoe__matrix *matrix, const clmoe__gemm_choice *choice,
                                 uint32_t x_format, const char *stage, clmoe__gemm *gemm, clmoe_error *error) {
    clmoe__gemm_choice tuned;
    char from[256];
    TRY(clmoe__gemm_tuned(layer->context, matrix, choice, &tuned, from, sizeof from, error));
    const clmoe__gemm_spec spec = {.matrix = matrix,
                                   .choice = &tuned,
                                   .row_from = from,
                                   .activation = matrix->in_parts ? &clmoe__activation_sum : NULL,
                                   .x_format = x_format,
                                   .y_format = CLMOE_F32,
                                   .x_is_apart = 1,
                                   .stage = stage};
    return clmoe__gemm_create(layer->context, &spec, gemm, error);
}

static clmoe_status create_gemms(clmoe_layer *layer, clmoe_error *error) {
    const clmoe_weights *weights = layer->weights;
    const uint32_t x_format = layer->desc.x_format;
    if (weights->has_router)
        TRY(create_dense(layer, &weights->router, &weights->router_choice, x_format, "logits", &layer->router, error));
    if (layer->has_latent) {
        TRY(create_dense(layer, &weights->latent_in, &weights->latent_in_choice, x_format, "latent in",
                         &layer->latent_in, error));
        TRY(create_dense(layer, &weights->latent_out, &weights->latent_out_choice, CLMOE_F32, "latent out",
                         &layer->latent_out, error));
    }
    TRY(create_ffn(layer, &weights->experts, &layer->desc.activation, layer->has_latent ? CLMOE_F32 : x_format,
                   layer->desc.y_format, layer->slots, "up", "down", &layer->up, &layer->down, error));
    if (!layer->has_shared) return CLMOE_OK;
    return create_ffn(layer, &weights->shared, &layer->desc.shared_activation, x_format, CLMOE_F32, 0, "shared up",
                      "shared down", &layer->shared_up, &layer->shared_down, error);
}

/* The weighted sum of a token's rows in the latent space; every factor but the weights is the combine's. */
static clmoe_status create_latent_sum(clmoe_layer *layer, clmoe_error *error) {
    clmoe_combine_desc sum;
    clmoe_combine_desc_default(&sum, sizeof sum);
    sum.hidden_size = layer->weights->latent_size;
    sum.slots = layer->slots;
    sum.y_format = layer->desc.y_format;
    sum.num_experts = layer->desc.routing.num_experts;
    sum.weighted = layer->desc.routing.weight_on == CLMOE_WEIGHT_ON_OUTPUT;
    return clmoe__combine_create(layer->context, &sum, NULL, NULL, &layer->latent_sum, error);
}

/* With a latent space, the rows have been added up before: slots is 0. */
static clmoe_status create_combine(clmoe_layer *layer, clmoe_error *error) {
    const clmoe_layer_desc *desc = &layer->desc;
    const clmoe_weights *weights = layer->weights;
    clmoe_combine_desc combine;
    clmoe_combine_desc_default(&combine, sizeof combine);
    combine.hidden_size = weights->hidden_size;
    combine.slots = layer->has_latent ? 0 : layer->slots;
    combine.num_experts = desc->routing.num_experts;
    combine.zero_experts = desc->omit_shared ? 0 : desc->routing.zero_experts;
    combine.x_format = desc->x_format;
    combine.out_format = desc->out_format;
    combine.y_format = layer->has_latent ? CLMOE_F32 : desc->y_format;
    combine.weighted = !layer->has_latent && desc->routing.weight_on == CLMOE_WEIGHT_ON_OUTPUT;
    combine.has_shared = (uint32_t)layer->has_shared;
    combine.routed_scale = desc->routed_scale;
    combine.shared_scale = desc->shared_scale;
    return clmoe__combine_create(layer->context, &combine, layer->has_shared ? weights->shared_gate.block.mem : NULL,
                                 desc->omit_shared ? NULL : weights->output_bias.block.mem, &layer->combine, error);
}

/* Each GEMM kernel once; the other stages do the same in their own creation. */
static void launch_warm(clmoe__run *run, void *stage) {
    clmoe_layer *layer = stage;
    const clmoe__gemm_io nothing = {0};
    const clmoe_buffer none = {0};
    const clmoe_select_io no_select = {.struct_size = sizeof no_select};
    const clmoe_dispatch_io no_dispatch = {.struct_size = sizeof no_dispatch};
    clmoe__pass_count_launch(run, layer, &none, &none, 0, 0);
    if (clmoe__routes_at_once(layer, 0)) clmoe__route_launch(run, layer, &no_select, &no_dispatch, &none, &none, &none);
    if (layer->routes_from_x) clmoe__route_tokens_launch(run, layer, &none, 0, &no_select);
    if (layer->up.dispatches)
        clmoe__gemm_dispatch_gather(run, &layer->up, layer->dispatch, &no_dispatch, &nothing);
    if (layer->weights->has_router) clmoe__gemm_launch(run, &layer->router, &nothing);
    if (layer->router_items != 0) clmoe__router_select_launch(run, layer, &none, 0, &no_select);
    if (layer->has_latent) clmoe__gemm_launch(run, &layer->latent_in, &nothing);
    if (layer->has_latent) clmoe__gemm_launch(run, &layer->latent_out, &nothing);
    clmoe__gemm_launch(run, &layer->up, &nothing);
    clmoe__gemm_launch(run, &layer->down, &nothing);
    if (!layer->has_shared) return;
    clmoe__gemm_launch(run, &layer->shared_up, &nothing);
    clmoe__gemm_launch(run, &layer->shared_down, &nothing);
}

static clmoe_status fill(clmoe_layer *layer, clmoe_error *error) {
    clmoe_context *context = layer->context;
    const clmoe_weights *weights = layer->weights;
    layer->host.mutex = clmoe__mutex_create();
    if (layer->host.mutex == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a mutex");
    if (layer->has_latent) TRY(create_latent_sum(layer, error));
    TRY(create_combine(layer, error));
    TRY(create_gemms(layer, error));
    TRY(clmoe__select_create(context, &layer->desc.routing, weights->select_bias.block.mem,
                             weights->expert_scale.block.mem, &layer->select, error));
    clmoe_dispatch_desc_default(&layer->dispatch_desc, sizeof layer->dispatch_desc);
    layer->dispatch_desc.num_classes = layer->classes;
    layer->dispatch_desc.slots = layer->slots;
    layer->dispatch_desc.first_expert = layer->desc.first_expert;
    layer->dispatch_desc.local_experts = layer->local_experts;
    layer->dispatch_desc.tile_rows = layer->up.choice.tile_rows;
    TRY(clmoe_dispatch_create(context, &layer->dispatch_desc, &layer->dispatch, error));
    TRY(clmoe__route_create(layer, error));
    TRY(clmoe__direct_create(layer, error));
    const clmoe__options options = {{0}, 0};
    TRY(clmoe__kernel_create(context, "token_count.cl", "token_count", &options, "token count", &layer->pass_count,
                             error));
    TRY(clmoe__warm(context, launch_warm, layer, error));
    return clmoe__layer_description(layer, error);
}

clmoe_status clmoe_layer_create(clmoe_context *context, clmoe_weights *weights, const clmoe_layer_desc *desc,
                                clmoe_layer **layer, clmoe_error *error) {
    REQUIRE(layer != NULL, error, "layer", "layer is NULL");
    *layer = NULL;
    REQUIRE(context != NULL, error, "context", "context is NULL");
    REQUIRE(weights != NULL, error, "weights", "weights is NULL");
    REQUIRE(weights->context == context, error, "weights", "weights belong to another context");
    clmoe_layer_desc taken;
    clmoe_layer_desc_default(&taken, sizeof taken);
    TRY(clmoe__take(&taken, sizeof taken, desc, "desc", error));
    TRY(check(&taken, weights, error));
    clmoe_layer *made = calloc(1, sizeof *made);
    if (made == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for clmoe_layer");
    made->references.value = 1;
    made->context = context;
    made->weights = weights;
    made->desc = taken;
    made->classes = clmoe_routing_classes(&taken.routing);
    made->slots = clmoe_routing_slots(&taken.routing);
    made->local_experts = weights->experts.num_experts;
    made->has_latent = weights->latent_size != 0;
    made->has_shared = weights->shared.intermediate_size != 0 && !taken.omit_shared;
    clmoe__context_retain(context);
    clmoe__weights_retain(weights);
    const clmoe_status status = fill(made, error);
    if (status != CLMOE_OK) {
        clmoe_layer_destroy(made);
        return status;
    }
    *layer = made;
    return CLMOE_OK;
}

void clmoe__layer_retain(clmoe_layer *layer) { clmoe__counter_add(&layer->references, 1); }

void clmoe_layer_destroy(clmoe_layer *layer) {
    if (layer == NULL || clmoe__counter_add(&layer->references, -1) != 0) return;
    clmoe_context *context = layer->context;
    clmoe__gemm *gemms[] = {&layer->router,     &layer->latent_in, &layer->up,         &layer->down,
                            &layer->latent_out, &layer->shared_up, &layer->shared_down};
    clmoe__host_lane_destroy(layer);
    for (size_t i = 0; i < sizeof gemms / sizeof *gemms; i++) clmoe__gemm_destroy(context, gemms[i]);
    clmoe__kernel_destroy(context, &layer->route);
    clmoe__kernel_destroy(context, &layer->route_tokens);
    clmoe__kernel_destroy(context, &layer->router_select);
    clmoe__kernel_destroy(context, &layer->pass_count);
    clmoe_select_destroy(layer->select);
    clmoe_dispatch_destroy(layer->dispatch);
    clmoe_combine_destroy(layer->latent_sum);
    clmoe_combine_destroy(layer->combine);
    clmoe_weights_destroy(layer->weights);
    free(layer->description);
    free(layer);
    clmoe__context_release(context);
}
