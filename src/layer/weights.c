/* Weights of a layer: checks the description, packs every tensor on the device, holds them until the last layer lets
 * go. */
#include "weights.h"

#include <clmoe/clmoe_stages.h>
#include <stdlib.h>

#define MAX_EXPERTS  CLMOE__MAX_GROUPS
#define MAX_FEATURES (1u << 20)

static const clmoe__matrix_names expert_names = {"experts.gate", "experts.gate_bias", "experts.up", "experts.up_bias"};
static const clmoe__matrix_names expert_down_names = {"", "", "experts.down", "experts.down_bias"};
static const clmoe__matrix_names shared_names = {"shared.gate", "shared.gate_bias", "shared.up", "shared.up_bias"};
static const clmoe__matrix_names shared_down_names = {"", "", "shared.down", "shared.down_bias"};
static const clmoe__matrix_names latent_in_names = {"", "", "latent_in", ""};
static const clmoe__matrix_names latent_out_names = {"", "", "latent_out", ""};
static const clmoe__matrix_names router_names = {"", "", "router", "router_bias"};
static const clmoe_tensor absent;

void clmoe_weights_desc_default(clmoe_weights_desc *desc, size_t struct_size) {
    clmoe_weights_desc defaults = {.struct_size = sizeof defaults};
    defaults.experts.gated = 1;
    defaults.shared.gated = 1;
    defaults.shared.num_experts = 1;
    clmoe__give(desc, struct_size, &defaults, sizeof defaults);
}

/* size: features of an expert's input and output. */
static clmoe_status check_ffn(const clmoe_context *context, const clmoe_ffn *ffn, uint32_t size, const char *name,
                              const clmoe__matrix_names *up, const clmoe__matrix_names *down, clmoe_error *error) {
    REQUIRE(ffn->intermediate_size >= 1 && ffn->intermediate_size <= MAX_FEATURES, error, name,
            "%s.intermediate_size is %u, expected 1..%u", name, ffn->intermediate_size, MAX_FEATURES);
    REQUIRE(ffn->num_experts >= 1 && ffn->num_experts <= MAX_EXPERTS, error, name,
            "%s.num_experts is %u, expected 1..%u", name, ffn->num_experts, MAX_EXPERTS);
    REQUIRE(ffn->gated <= 1, error, name, "%s.gated is %u, expected 0 or 1", name, ffn->gated);
    for (int i = 0; i < 8; i++) REQUIRE(ffn->reserved[i] == 0, error, name, "%s.reserved is not 0", name);
    TRY(clmoe__projection_check(context, ffn->num_experts, size, ffn->intermediate_size, (int)ffn->gated, ffn->gate_up,
                                &ffn->gate, &ffn->up, &ffn->gate_bias, &ffn->up_bias, up, error));
    TRY(clmoe__projection_check(context, ffn->num_experts, ffn->intermediate_size, size, 0, 0, &absent, &ffn->down,
                                &absent, &ffn->down_bias, down, error));
    const int separate = ffn->gated && ffn->gate_up == CLMOE_GATE_UP_SEPARATE;
    REQUIRE(clmoe__tensor_present(&ffn->gate_scale) == (separate && clmoe__tensor_present(&ffn->up_scale)), error, name,
            "%s.gate_scale must be given with up_scale where gate and up are separate, and only there", name);
    return CLMOE_OK;
}

static clmoe_status create_vector(const clmoe_weights *weights, const clmoe_tensor *tensor, uint64_t count,
                                  const char *name, clmoe__vector *vector, clmoe_error *error) {
    if (!weights->is_plan) return clmoe__vector_create(weights->context, tensor, count, name, vector, error);
    TRY(clmoe__tensor_check(weights->context, tensor, 1, 1, count, 0, name, error));
    if (clmoe__tensor_present(tensor)) vector->block.bytes = clmoe__pool_block_bytes(weights->context, count * 4);
    return CLMOE_OK;
}

/* The factors of a set of experts. */
static clmoe_status create_scales(const clmoe_weights *weights, const clmoe_ffn *from, const char *const names[3],
                                  clmoe__ffn *ffn, clmoe_error *error) {
    const uint32_t n = from->num_experts;
    if (from->intermediate_size == 0) return CLMOE_OK;
    TRY(create_vector(weights, &from->gate_scale, n, names[0], &ffn->gate_scale, error));
    TRY(create_vector(weights, &from->up_scale, n, names[1], &ffn->up_scale, error));
    return create_vector(weights, &from->down_scale, n, names[2], &ffn->down_scale, error);
}

static clmoe_status check_latent(const clmoe_context *context, const clmoe_weights_desc *desc, clmoe_error *error) {
    const uint32_t h = desc->hidden_size, l = desc->latent_size;
    REQUIRE(l <= MAX_FEATURES, error, "latent_size", "latent_size is %u, expected 0..%u", l, MAX_FEATURES);
    if (l == 0) {
        REQUIRE(!clmoe__tensor_present(&desc->latent_in), error, "latent_in",
                "latent_in is given, but latent_size is 0");
        REQUIRE(!clmoe__tensor_present(&desc->latent_out), error, "latent_out",
                "latent_out is given, but latent_size is 0");
        return CLMOE_OK;
    }
    TRY(clmoe__matrix_tensor_check(context, &desc->latent_in, 1, l, h, 1, "latent_in", error));
    return clmoe__matrix_tensor_check(context, &desc->latent_out, 1, h, l, 1, "latent_out", error);
}

static clmoe_status check_router(const clmoe_context *context, const clmoe_weights_desc *desc, clmoe_error *error) {
    const uint32_t classes = desc->num_classes;
    const int any = clmoe__tensor_present(&desc->router) || clmoe__tensor_present(&desc->router_bias) ||
                    clmoe__tensor_present(&desc->select_bias) || clmoe__tensor_present(&desc->expert_scale);
    REQUIRE(classes <= MAX_EXPERTS && (classes >= 1 || !any), error, "num_classes",
            "num_classes is %u, expected %d..%u", classes, any, MAX_EXPERTS);
    REQUIRE(clmoe__tensor_present(&desc->router) || !clmoe__tensor_present(&desc->router_bias), error, "router_bias",
            "router_bias is given without router");
    REQUIRE(desc->router_arithmetic <= CLMOE_ARITHMETIC_BF16, error, "router_arithmetic",
            "router_arithmetic is %u, expected CLMOE_ARITHMETIC_AUTO, CLMOE_ARITHMETIC_F32 or CLMOE_ARITHMETIC_BF16",
            desc->router_arithmetic);
    TRY(clmoe__matrix_tensor_check(context, &desc->router, 1, classes, desc->hidden_size, 0, "router", error));
    TRY(clmoe__tensor_check(context, &desc->router_bias, 1, 1, classes, 0, "router_bias", error));
    TRY(clmoe__tensor_check(context, &desc->select_bias, 1, 1, classes, 0, "select_bias", error));
    return clmoe__tensor_check(context, &desc->expert_scale, 1, 1, classes, 0, "expert_scale", error);
}

static clmoe_status check(const clmoe_context *context, const clmoe_weights_desc *desc, clmoe_error *error) {
    const uint32_t h = desc->hidden_size;
    REQUIRE(h >= 1 && h <= MAX_FEATURES, error, "hidden_size", "hidden_size is %u, expected 1..%u", h, MAX_FEATURES);
    REQUIRE(desc->format == CLMOE_FORMAT_NONE || clmoe__format_is_wide(desc->format) ||
                clmoe__format_is_kept_block(desc->format),
            error, "format",
            "format is %u, expected CLMOE_F32, CLMOE_F16, CLMOE_BF16, CLMOE_Q8_0 to CLMOE_NVFP4 or CLMOE_U4_G32 to "
            "CLMOE_F8_B128",
            desc->format);
    REQUIRE(desc->arithmetic <= CLMOE_ARITHMETIC_INT8, error, "arithmetic", "arithmetic is %u, expected 0..3",
            desc->arithmetic);
    REQUIRE(desc->allow_variance <= 1, error, "allow_variance", "allow_variance is %u, expected 0 or 1",
            desc->allow_variance);
    TRY(check_latent(context, desc, error));
    TRY(check_ffn(context, &desc->experts, desc->latent_size != 0 ? desc->latent_size : h, "experts", &expert_names,
                  &expert_down_names, error));
    const int shared = desc->shared.intermediate_size != 0;
    if (shared) {
        TRY(check_ffn(context, &desc->shared, h, "shared", &shared_names, &shared_down_names, error));
        REQUIRE(desc->shared.num_experts == 1, error, "shared.num_experts", "shared.num_experts is %u, expected 1",
                desc->shared.num_experts);
    }
    REQUIRE(shared || !clmoe__tensor_present(&desc->shared_gate), error, "shared_gate",
            "shared_gate is given without shared experts");
    TRY(clmoe__tensor_check(context, &desc->shared_gate, 1, 1, h, 0, "shared_gate", error));
    TRY(clmoe__tensor_check(context, &desc->output_bias, 1, 1, h, 0, "output_bias", error));
    return check_router(context, desc, error);
}

static clmoe_status pack_ffn(clmoe__packer *packer, const clmoe_ffn *from, const clmoe__matrix_names *up,
                             const clmoe__matrix_names *down, clmoe__ffn *ffn, clmoe_error *error) {
    TRY(clmoe__projection_create(packer, &ffn->up, from->gate_up, &from->gate, &from->up, &from->gate_bias,
                                 &from->up_bias, up, error));
    return clmoe__projection_create(packer, &ffn->down, 0, &absent, &from->down, &absent, &from->down_bias, down,
                                    error);
}

/* A matrix without gate; a tensor that is absent makes none. */
static clmoe_status pack_plain(clmoe__packer *packer, clmoe__matrix *matrix, const clmoe_tensor *tensor,
                               const clmoe_tensor *bias, const clmoe__matrix_names *names, clmoe_error *error) {
    if (!clmoe__tensor_present(tensor)) return CLMOE_OK;
    return clmoe__projection_create(packer, matrix, 0, &absent, tensor, &absent, bias, names, error);
}

static clmoe_status pack_with(clmoe__packer *packer, clmoe_weights *weights, const clmoe_weights_desc *desc,
                              clmoe_error *error) {
    TRY(pack_ffn(packer, &desc->experts, &expert_names, &expert_down_names, &weights->experts, error));
    TRY(pack_plain(packer, &weights->latent_in, &desc->latent_in, &absent, &latent_in_names, error));
    TRY(pack_plain(packer, &weights->latent_out, &desc->latent_out, &absent, &latent_out_names, error));
    if (desc->shared.intermediate_size != 0)
        TRY(pack_ffn(packer, &desc->shared, &shared_names, &shared_down_names, &weights->shared, error));
    TRY(pack_plain(packer, &weights->router, &desc->router, &desc->router_bias, &router_names, error));
    weights->has_router = clmoe__tensor_present(&desc->router);
    return CLMOE_OK;
}

static clmoe_status pack_matrices(clmoe_weights *weights, const clmoe_weights_desc *desc, clmoe_error *error) {
    clmoe__packer packer = {.context = weights->context,
                            .released = desc->released,
                            .released_user = desc->released_user,
                            .only_plans = weights->is_plan};
    const clmoe_status status = pack_with(&packer, weights, desc, error);
    clmoe__packer_destroy(&packer);
    return status;
}

static clmoe_status fill(clmoe_weights *weights, const clmoe_weights_desc *desc, clmoe_error *error) {
    weights->hidden_size = desc->hidden_size;
    weights->latent_size = desc->latent_size;
    weights->experts_size = desc->latent_size != 0 ? desc->latent_size : desc->hidden_size;
    weights->num_classes = desc->num_classes;
    TRY(clmoe__weights_plan(weights, desc, error));
    TRY(pack_matrices(weights, desc, error));
    static const char *const scales[] = {"experts.gate_scale", "experts.up_scale", "experts.down_scale"};
    static const char *const shared_scales[] = {"shared.gate_scale", "shared.up_scale", "shared.down_scale"};
    TRY(create_scales(weights, &desc->experts, scales, &weights->experts, error));
    TRY(create_scales(weights, &desc->shared, shared_scales, &weights->shared, error));
    TRY(create_vector(weights, &desc->select_bias, desc->num_classes, "select_bias", &weights->select_bias, error));
    TRY(create_vector(weights, &desc->expert_scale, desc->num_classes, "expert_scale", &weights->expert_scale, error));
    TRY(create_vector(weights, &desc->shared_gate, desc->hidden_size, "shared_gate", &weights->shared_gate, error));
    return create_vector(weights, &desc->output_bias, desc->hidden_size, "output_bias", &weights->output_bias, error);
}

static clmoe_status create(clmoe_context *context, const clmoe_weights_desc *desc, int is_plan, clmoe_weights **weights,
                           clmoe_error *error) {
    REQUIRE(weights != NULL, error, "weights", "weights is NULL");
    *weights = NULL;
    REQUIRE(context != NULL, error, "context", "context is NULL");
    REQUIRE(desc != NULL, error, "desc", "desc is NULL");
    clmoe_weights_desc taken;
    clmoe_weights_desc_default(&taken, sizeof taken);
    TRY(clmoe__take(&taken, sizeof taken, desc, "desc", error));
    TRY(check(context, &taken, error));
    clmoe_weights *made = calloc(1, sizeof *made);
    if (made == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for clmoe_weights");
    made->references.value = 1;
    made->context = context;
    made->is_plan = is_plan;
    clmoe__context_retain(context);
    const clmoe_status status = fill(made, &taken, error);
    if (status != CLMOE_OK) {
        clmoe_weights_destroy(made);
        return status;
    }
    *weights = made;
    return CLMOE_OK;
}

clmoe_status clmoe_weights_create(clmoe_context *context, const clmoe_weights_desc *desc, clmoe_weights **weights,
                                  clmoe_error *error) {
    return create(context, desc, 0, weights, error);
}

clmoe_status clmoe_weights_plan(clmoe_context *context, const clmoe_weights_desc *desc, clmoe_weights **weights,
                                clmoe_error *error) {
    return create(context, desc, 1, weights, error);
}

void clmoe__weights_retain(clmoe_weights *weights) { clmoe__counter_add(&weights->references, 1); }

void clmoe_weights_destroy(clmoe_weights *weights) {
    if (weights == NULL || clmoe__counter_add(&weights->references, -1) != 0) return;
    clmoe_context *context = weights->context;
    clmoe__matrix *matrices[] = {&weights->experts.up,  &weights->experts.down, &weights->shared.up,
                                 &weights->shared.down, &weights->latent_in,    &weights->latent_out,
                                 &weights->router};
    clmoe__vector *vectors[] = {&weights->select_bias,        &weights->expert_scale,      &weights->shared_gate,
                                &weights->output_bias,        &weights->experts.gate_scale, &weights->experts.up_scale,
                                &weights->experts.down_scale, &weights->shared.gate_scale,  &weights->shared.up_scale,
                                &weights->shared.down_scale};
    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++) clmoe__matrix_destroy(context, matrices[i]);
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) clmoe__vector_destroy(context, vectors[i]);
    free(weights);
    clmoe__context_release(context);
}

uint64_t clmoe__ffn_bytes(const clmoe__ffn *ffn) {
    return clmoe__matrix_bytes(&ffn->up) + clmoe__matrix_bytes(&ffn->down) + ffn->gate_scale.block.bytes +
           ffn->up_scale.block.bytes + ffn->down_scale.block.bytes;
}

uint64_t clmoe_weights_bytes(const clmoe_weights *weights) {
    if (weights == NULL) return 0;
    return clmoe__ffn_bytes(&weights->experts) + clmoe__ffn_bytes(&weights->shared) +
           clmoe__matrix_bytes(&weights->latent_in) + clmoe__matrix_bytes(&weights->latent_out) +
           clmoe__matrix_bytes(&weights->router) + weights->select_bias.block.bytes +
           weights->expert_scale.block.bytes + weights->shared_gate.block.bytes + weights->output_bias.block.bytes;
}
