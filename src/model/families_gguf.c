/* The architectures of GGUF files: one row each, as families.h explains. Keys stand under the architecture's name. The
 * rules are those that llama.cpp computes, which wrote the files, also where they differ from the model's origin: what
 * the metadata does not say is the same for every model of an architecture. Calls nothing but the C library.
 *
 * In all of them groups go by the sum of their two best and the others are masked with -inf; normalisation divides by
 * the sum, but by 2^-14 at least. */
#include "families.h"

#include <string.h>

#include "family_forms_gguf.h"

/* clang-format off */
/* ------------------------------------------------------------------------------------------ parts of rows */

#define GGUF        .layers = "block_count", .hidden = "embedding_length", .experts = "expert_count", \
                    .top_k = "expert_used_count", .per_layer = 2, .extra_layers = "nextn_predict_layers", \
                    .prefixes = {"blk.#."}, .router = "ffn_gate_inp.weight"
#define DENSE_I     .intermediate = "feed_forward_length"
#define EXPERT_I    .intermediate = "expert_feed_forward_length"
#define GATED       .forms = {&clmoe__exps, &clmoe__exps_merged, &clmoe__exps_each}
#define SHARED      .shared = {&clmoe__shexp}
/* the width of all shared experts: a key, or a number of them */
#define SHARED_I(keys)   SHARED, .shared_size = keys
#define SHARED_COUNT     SHARED, .shared_count = "expert_shared_count"
#define BIAS             .select_bias = "exp_probs_b.bias"
#define MAY_BIAS         BIAS, .optional_bias = 1

#define FROM_DENSE       .rule = {CLMOE__FROM, .a = "leading_dense_block_count"}
#define WHERE_ROUTED     .rule = {CLMOE__ROUTED}

#define ALWAYS(kind, value) {kind, NULL, value}
#define FLOOR       ALWAYS(CLMOE__NORM_FLOOR, 6.103515625e-5)
#define NORM        ALWAYS(CLMOE__NORMALIZE, 1), FLOOR
#define NO_NORM     ALWAYS(CLMOE__NORMALIZE, 0)
#define MAY_NORM    {CLMOE__NORMALIZE, "expert_weights_norm", 0}, FLOOR
#define FACTOR      {CLMOE__SCALE, "expert_weights_scale", 1, .zero_is_null = 1}
#define GROUPS      {CLMOE__N_GROUP, "expert_group_count", 1, .zero_is_null = 1}, \
                    {CLMOE__TOPK_GROUP, "expert_group_used_count", 1, .zero_is_null = 1}, \
                    ALWAYS(CLMOE__GROUP_SCORE, CLMOE_GROUP_TOP2_SUM)
/* 1 softmax, 2 sigmoid, 3 softmax of the chosen, 4 sqrt(softplus); 0, and absent: as the architecture has it */
#define GATES       "1=olmoe|2=deepseek_v3|3=gpt_oss|4=deepseek_v4"
#define MAY_SOFTMAX {CLMOE__PRESET, "expert_gating_func", .text = "0=olmoe|" GATES}
#define MAY_SIGMOID {CLMOE__PRESET, "expert_gating_func", .text = "0=deepseek_v3|" GATES}
/* presets, none of which normalises or groups of its own accord here */
#define SOFTMAX     "olmoe"
#define SIGMOID     "deepseek_v3"

/* ---------------------------------------------------------------------------------------------- the rows */

static const clmoe__family families[] = {
    /* softmax */
    {{"llama", "mistral3"}, SOFTMAX, GGUF, DENSE_I, .may_lack_experts = 2, .settings = {NORM, GROUPS}, GATED},
    {{"olmoe"}, SOFTMAX, GGUF, DENSE_I, .settings = {NO_NORM, GROUPS}, GATED},
    {{"dbrx", "phimoe", "arctic"}, SOFTMAX, GGUF, DENSE_I, .settings = {NORM, GROUPS}, GATED},
    {{"qwen3moe", "qwen3vlmoe", "rnd1"}, SOFTMAX, GGUF, EXPERT_I, .settings = {NORM, GROUPS}, GATED},
    {{"llada-moe"}, SOFTMAX, GGUF, EXPERT_I, .settings = {NO_NORM, GROUPS}, GATED},
    {{"jamba"}, SOFTMAX, GGUF, DENSE_I, WHERE_ROUTED, .settings = {NO_NORM, GROUPS}, GATED},
    {{"granitemoe", "granitehybrid"}, SOFTMAX, GGUF, DENSE_I, .may_lack_experts = 2,
     SHARED_I("expert_shared_feed_forward_length"), .settings = {NORM, GROUPS}, GATED},
    {{"qwen2moe"}, SOFTMAX, GGUF, EXPERT_I, SHARED_I("expert_shared_feed_forward_length|feed_forward_length"),
     .shared_gate = "ffn_gate_inp_shexp.weight", .settings = {NO_NORM, GROUPS}, GATED},
    {{"qwen3next", "qwen35moe"}, SOFTMAX, GGUF, EXPERT_I,
     SHARED_I("expert_shared_feed_forward_length|feed_forward_length"), .shared_gate = "ffn_gate_inp_shexp.weight",
     .settings = {NORM, GROUPS}, GATED},
    {{"hunyuan-moe"}, SOFTMAX, GGUF, DENSE_I, SHARED_I("expert_shared_feed_forward_length|feed_forward_length"),
     .settings = {NORM, GROUPS}, GATED},
    {{"deepseek"}, SOFTMAX, GGUF, EXPERT_I, SHARED_COUNT, FROM_DENSE, .settings = {NO_NORM, FACTOR, GROUPS}, GATED},
    {{"bailingmoe"}, SOFTMAX, GGUF, EXPERT_I, SHARED_COUNT, .settings = {MAY_NORM, FACTOR, GROUPS}, GATED},
    {{"ernie4_5-moe"}, SOFTMAX, GGUF, EXPERT_I, SHARED_I("expert_shared_feed_forward_length"),
     .rule = {CLMOE__RANGE, .a = "interleave_moe_layer_step", .x = 1, .c = "leading_dense_block_count"},
     .settings = {NORM, GROUPS}, GATED, MAY_BIAS},
    {{"deepseek2", "deepseek2-ocr", "mistral4"}, SOFTMAX, GGUF, EXPERT_I, SHARED_COUNT, FROM_DENSE,
     .settings = {MAY_SOFTMAX, MAY_NORM, FACTOR, GROUPS}, GATED, MAY_BIAS},

    /* sigmoid, unless the metadata says otherwise */
    {{"glm4moe", "dots1", "deepseek32", "glm-dsa", "afmoe"}, SIGMOID, GGUF, EXPERT_I, SHARED_COUNT, FROM_DENSE,
     .settings = {MAY_SIGMOID, MAY_NORM, FACTOR, GROUPS}, GATED, MAY_BIAS},
    {{"bailingmoe2"}, SIGMOID, GGUF, EXPERT_I, SHARED_COUNT,
     .shared_size = "expert_shared_feed_forward_length|expert_feed_forward_length", FROM_DENSE,
     .settings = {MAY_SIGMOID, MAY_NORM, FACTOR, GROUPS}, GATED, MAY_BIAS},
    {{"exaone-moe"}, SIGMOID, GGUF, EXPERT_I, SHARED_COUNT,
     .shared_size = "expert_shared_feed_forward_length|expert_feed_forward_length", WHERE_ROUTED,
     .settings = {MAY_SIGMOID, MAY_NORM, FACTOR, GROUPS}, GATED, MAY_BIAS},
    {{"lfm2moe"}, SIGMOID, GGUF, EXPERT_I, FROM_DENSE, .settings = {MAY_SIGMOID, NORM, GROUPS}, GATED, MAY_BIAS},
    {{"minimax-m2"}, SIGMOID, GGUF, DENSE_I, .settings = {MAY_SIGMOID, NORM, GROUPS}, GATED, BIAS},
    {{"mimo2"}, SIGMOID, GGUF, EXPERT_I, WHERE_ROUTED, .settings = {NORM, GROUPS}, GATED, MAY_BIAS},
    {{"step35"}, SIGMOID, GGUF, EXPERT_I, WHERE_ROUTED, SHARED_I("expert_shared_feed_forward_length"),
     .settings = {MAY_SIGMOID, MAY_NORM, FACTOR, GROUPS, {CLMOE__LIMITS, "swiglu_clamp_exp"},
                  {CLMOE__SHARED_LIMITS, "swiglu_clamp_shexp"}, ALWAYS(CLMOE__LIMIT_AFTER, 1)},
     GATED, MAY_BIAS},
    {{"nemotron_h_moe"}, SIGMOID, GGUF, EXPERT_I, .ungated = 1, WHERE_ROUTED,
     .shared_size = "expert_shared_feed_forward_length", .shared = {&clmoe__shexp_ungated},
     .latent = "moe_latent_size", .latent_in = "ffn_latent_down.weight", .latent_out = "ffn_latent_up.weight",
     .settings = {{CLMOE__ACTIVATION, NULL, .text = "relu2"}, MAY_NORM, FACTOR, GROUPS},
     .forms = {&clmoe__exps_ungated}, BIAS},

    /* the largest logits, scored among themselves */
    {{"gpt-oss"}, "gpt_oss", GGUF, EXPERT_I,
     .settings = {ALWAYS(CLMOE__LIMIT, 7), ALWAYS(CLMOE__ALPHA, 1.702), ALWAYS(CLMOE__UP_OFFSET, 1), GROUPS},
     .router_bias = "ffn_gate_inp.bias", .forms = {&clmoe__exps_bias}},
    {{"llama4"}, "llama4", GGUF, EXPERT_I, SHARED_I("expert_feed_forward_length"),
     .rule = {CLMOE__LISTED, .a = "interleave_moe_layer_step", .x = 1}, .settings = {GROUPS}, GATED},
};
/* clang-format on */

#define COUNT (sizeof families / sizeof families[0])

const clmoe__family *clmoe__gguf_family_find(const char *architecture) {
    for (size_t i = 0; i < COUNT; i++) {
        for (const char *const *type = families[i].types; *type != NULL; type++)
            if (strcmp(*type, architecture) == 0) return &families[i];
    }
    return NULL;
}

const char *clmoe__gguf_architecture(uint32_t i) {
    for (size_t f = 0; f < COUNT; f++) {
        for (const char *const *type = families[f].types; *type != NULL; type++)
            if (i-- == 0) return *type;
    }
    return NULL;
}
