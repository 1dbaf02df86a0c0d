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

#define GGUF_WHOLE  .layers = "block_count", .hidden = "embedding_length", .experts = "expert_count", \
                    .top_k = "expert_used_count", .per_layer = 2, .prefixes = {"blk.#."}, \
                    .router = "ffn_gate_inp.weight"
#define GGUF        GGUF_WHOLE, .extra_layers = "nextn_predict_layers"
#define DENSE_I     .intermediate = "feed_forward_length"
#define EXPERT_I    .intermediate = "expert_feed_forward_length"
#define GATED       .forms = {&clmoe__exps, &clmoe__exps_merged, &clmoe__exps_each}
#define SHARED      .shared = {&clmoe__shexp}
/* the width of all shared experts: a key, or a number of them, or that number only where the key is not there */
#define SHARED_KEY           "expert_shared_feed_forward_length"
#define SHARED_I(keys)       SHARED, .shared_size = keys
#define SHARED_COUNT         SHARED, .shared_count = "expert_shared_count"
#define SHARED_ALL(fallback) SHARED_COUNT, .shared_all = SHARED_KEY, .shared_default = (fallback)
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
#define LIMITS      {CLMOE__LIMITS, "swiglu_clamp_exp"}
#define SHARED_LIMITS(keys) {CLMOE__SHARED_LIMITS, keys}
#define OAI         ALWAYS(CLMOE__LIMIT, 7), ALWAYS(CLMOE__ALPHA, 1.702), ALWAYS(CLMOE__UP_OFFSET, 1)
/* presets, none of which normalises or groups of its own accord here */
#define SOFTMAX     "olmoe"
#define SIGMOID     "deepseek_v3"

/* ---------------------------------------------------------------------------------------------- the rows */

static const clmoe__family families[] = {
    /* softmax */
    {{"llama", "llama-embed", "mistral3", "minicpm"}, SOFTMAX, GGUF, DENSE_I, .may_lack_experts = 2,
     .settings = {NORM, GROUPS}, GATED},
    {{"olmoe"}, SOFTMAX, GGUF, DENSE_I, .settings = {NO_NORM, GROUPS}, GATED},
    {{"dbrx", "phimoe", "arctic", "minimax-01"}, SOFTMAX, GGUF, DENSE_I, .settings = {NORM, GROUPS}, GATED},
    {{"qwen3moe", "qwen3vlmoe", "rnd1", "mellum"}, SOFTMAX, GGUF, EXPERT_I, .settings = {NORM, GROUPS}, GATED},
    {{"maple"}, SOFTMAX, GGUF, EXPERT_I, .settings = {NORM, GROUPS, LIMITS}, GATED},
    {{"llada-moe"}, SOFTMAX, GGUF, EXPERT_I, .settings = {NO_NORM, GROUPS}, GATED},
    {{"jamba"}, SOFTMAX, GGUF, DENSE_I, WHERE_ROUTED, .settings = {NO_NORM, GROUPS}, GATED},
    {{"nomic-bert-moe"}, SOFTMAX, GGUF, DENSE_I, .ungated = 1, WHERE_ROUTED,
     .settings = {{CLMOE__ACTIVATION, NULL, .text = "gelu_pytorch_tanh"}, NO_NORM, GROUPS},
     .forms = {&clmoe__exps_ungated}},
    {{"granitemoe", "granitehybrid"}, SOFTMAX, GGUF, DENSE_I, .may_lack_experts = 2, SHARED_I(SHARED_KEY),
     .settings = {NORM, GROUPS}, GATED},
    {{"granite_swa"}, SOFTMAX, GGUF, DENSE_I, .may_lack_experts = 2, .shared_size = SHARED_KEY,
     .shared = {&clmoe__shexp_merged}, .settings = {NORM, GROUPS}, GATED},
    {{"qwen2moe"}, SOFTMAX, GGUF, EXPERT_I, SHARED_I(SHARED_KEY "|feed_forward_length"),
     .shared_gate = "ffn_gate_inp_shexp.weight", .settings = {NO_NORM, GROUPS}, GATED},
    {{"qwen3next", "qwen35moe", "qwen4exp"}, SOFTMAX, GGUF, EXPERT_I, SHARED_I(SHARED_KEY "|feed_forward_length"),
     .shared_gate = "ffn_gate_inp_shexp.weight", .settings = {NORM, GROUPS}, GATED},
    {{"hunyuan-moe"}, SOFTMAX, GGUF, DENSE_I, SHARED_I(SHARED_KEY "|feed_forward_length"),
     .settings = {NORM, GROUPS}, GATED},
    /* Grok-2 has a dense FFN beside the experts, which Grok-1 has not */
    {{"grok"}, SOFTMAX, GGUF, .intermediate = "expert_feed_forward_length|feed_forward_length",
     .shared_size = "feed_forward_length", .shared = {&clmoe__dense}, .optional_shared = 1,
     .settings = {{CLMOE__ACTIVATION, NULL, .text = "gelu_pytorch_tanh"}, NORM, GROUPS,
                  {CLMOE__COMBINE, NULL, .text = "root"}},
     GATED},
    /* the dense FFN beside its experts has norms of its own and is no part of the block */
    {{"gemma4"}, SOFTMAX, GGUF, EXPERT_I, .may_lack_experts = 2, .router_input = 1, WHERE_ROUTED,
     .settings = {{CLMOE__ACTIVATION, NULL, .text = "gelu_pytorch_tanh"}, NORM, GROUPS}, GATED},
    {{"smallthinker"}, SOFTMAX, GGUF, EXPERT_I, .router_input = 1,
     .settings = {{CLMOE__PRESET, "expert_gating_func", .text = GATES, .required = 1},
                  {CLMOE__ACTIVATION, NULL, .text = "relu"}, NORM, GROUPS},
     GATED},
    {{"deepseek"}, SOFTMAX, GGUF, EXPERT_I, SHARED_COUNT, FROM_DENSE, .settings = {NO_NORM, FACTOR, GROUPS}, GATED},
    {{"bailingmoe"}, SOFTMAX, GGUF, EXPERT_I, SHARED_COUNT, .settings = {MAY_NORM, FACTOR, GROUPS}, GATED},
    {{"ernie4_5-moe"}, SOFTMAX, GGUF, EXPERT_I, SHARED_I(SHARED_KEY),
     .rule = {CLMOE__RANGE, .a = "interleave_moe_layer_step", .x = 1, .c = "leading_dense_block_count"},
     .settings = {NORM, GROUPS}, GATED, MAY_BIAS},
    {{"deepseek2", "deepseek2-ocr", "mistral4"}, SOFTMAX, GGUF, EXPERT_I, SHARED_COUNT, FROM_DENSE,
     .settings = {MAY_SOFTMAX, MAY_NORM, FACTOR, GROUPS}, GATED, MAY_BIAS},

    /* sigmoid, unless the metadata says otherwise */
    {{"glm4moe", "afmoe", "dots3note"}, SIGMOID, GGUF, EXPERT_I, SHARED_COUNT, FROM_DENSE,
     .settings = {MAY_SIGMOID, MAY_NORM, FACTOR, GROUPS}, GATED, BIAS},
    {{"dots1", "deepseek32", "glm-dsa"}, SIGMOID, GGUF, EXPERT_I, SHARED_COUNT, FROM_DENSE,
     .settings = {MAY_SIGMOID, MAY_NORM, FACTOR, GROUPS}, GATED, MAY_BIAS},
    {{"kimi-linear"}, SIGMOID, GGUF, EXPERT_I, SHARED_COUNT, FROM_DENSE,
     .settings = {MAY_SIGMOID, NORM, FACTOR, GROUPS}, GATED, BIAS},
    {{"laguna"}, SIGMOID, GGUF, EXPERT_I, SHARED_ALL(1), FROM_DENSE,
     .settings = {MAY_SIGMOID, MAY_NORM, FACTOR, GROUPS}, GATED, BIAS},
    {{"bailingmoe2"}, SIGMOID, GGUF, EXPERT_I, SHARED_COUNT, .shared_size = SHARED_KEY "|expert_feed_forward_length",
     FROM_DENSE, .settings = {MAY_SIGMOID, MAY_NORM, FACTOR, GROUPS}, GATED, MAY_BIAS},
    {{"bailingmoe3"}, SIGMOID, GGUF, EXPERT_I, SHARED_ALL(1), FROM_DENSE,
     .settings = {MAY_SIGMOID, MAY_NORM, FACTOR, GROUPS, LIMITS, SHARED_LIMITS("swiglu_clamp_shexp"),
                  ALWAYS(CLMOE__LIMIT_AFTER, 1)},
     GATED, BIAS},
    {{"cohere2moe"}, SIGMOID, GGUF, EXPERT_I, SHARED_ALL(0), FROM_DENSE,
     .settings = {MAY_SIGMOID, MAY_NORM, FACTOR, GROUPS, {CLMOE__COMBINE, NULL, .text = "average"}}, GATED},
    {{"exaone-moe"}, SIGMOID, GGUF, EXPERT_I, SHARED_I(SHARED_KEY "|expert_feed_forward_length"), WHERE_ROUTED,
     .settings = {MAY_SIGMOID, MAY_NORM, FACTOR, GROUPS}, GATED, MAY_BIAS},
    {{"hy_v3"}, SIGMOID, GGUF, EXPERT_I, SHARED_I(SHARED_KEY "|expert_feed_forward_length"), WHERE_ROUTED,
     .settings = {MAY_SIGMOID, MAY_NORM, FACTOR, GROUPS}, GATED, .select_bias = "exp_probs_b", .optional_bias = 1},
    {{"hy_v4"}, SIGMOID, GGUF, EXPERT_I, SHARED_COUNT, FROM_DENSE,
     .settings = {MAY_SIGMOID, MAY_NORM, FACTOR, GROUPS, LIMITS}, GATED, MAY_BIAS},
    {{"glm5-next"}, SIGMOID, GGUF, EXPERT_I, SHARED_COUNT, FROM_DENSE,
     .settings = {MAY_SIGMOID, MAY_NORM, FACTOR, GROUPS, LIMITS, SHARED_LIMITS("swiglu_clamp_shexp|swiglu_clamp_exp")},
     GATED, BIAS},
    {{"lfm2moe"}, SIGMOID, GGUF, EXPERT_I, FROM_DENSE, .settings = {MAY_SIGMOID, NORM, GROUPS}, GATED, BIAS},
    {{"minimax-m2"}, SIGMOID, GGUF, DENSE_I, .settings = {MAY_SIGMOID, NORM, GROUPS}, GATED, BIAS},
    {{"minimax-m3"}, SIGMOID, GGUF, EXPERT_I, SHARED_COUNT, FROM_DENSE,
     .settings = {MAY_SIGMOID, MAY_NORM, FACTOR, GROUPS, OAI, ALWAYS(CLMOE__SHARED_LIMIT, 7),
                  ALWAYS(CLMOE__SHARED_ALPHA, 1.702), ALWAYS(CLMOE__SHARED_UP_OFFSET, 1)},
     GATED, BIAS},
    {{"mimo2"}, SIGMOID, GGUF, EXPERT_I, WHERE_ROUTED, .settings = {NORM, GROUPS}, GATED, MAY_BIAS},
    {{"step35"}, SIGMOID, GGUF, EXPERT_I, WHERE_ROUTED, SHARED_I(SHARED_KEY),
     .settings = {MAY_SIGMOID, MAY_NORM, FACTOR, GROUPS, LIMITS, SHARED_LIMITS("swiglu_clamp_shexp"),
                  ALWAYS(CLMOE__LIMIT_AFTER, 1)},
     GATED, MAY_BIAS},
    {{"nemotron_h_moe"}, SIGMOID, GGUF, EXPERT_I, .ungated = 1, WHERE_ROUTED,
     .shared_size = SHARED_KEY, .shared = {&clmoe__shexp_ungated},
     .latent = "moe_latent_size", .latent_in = "ffn_latent_down.weight", .latent_out = "ffn_latent_up.weight",
     .settings = {{CLMOE__ACTIVATION, NULL, .text = "relu2"}, MAY_NORM, FACTOR, GROUPS},
     .forms = {&clmoe__exps_ungated}, BIAS},

    /* sqrt(softplus); its first layers take their experts from a table by token, which this library does not have: they
     * are left out. Files name layers behind the model's own that they do not hold. */
    {{"deepseek4"}, "deepseek_v4", GGUF_WHOLE, EXPERT_I, SHARED_COUNT,
     .rule = {CLMOE__FROM, .a = "hash_layer_count"},
     .settings = {{CLMOE__PRESET, "expert_gating_func", .text = "4"}, MAY_NORM, FACTOR, GROUPS, LIMITS,
                  SHARED_LIMITS("swiglu_clamp_shexp|swiglu_clamp_exp")},
     GATED, BIAS},

    /* the largest logits, scored among themselves */
    {{"gpt-oss"}, "gpt_oss", GGUF, EXPERT_I, .settings = {OAI, GROUPS}, .router_bias = "ffn_gate_inp.bias",
     .forms = {&clmoe__exps_bias}},
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
