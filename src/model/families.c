/* The families: one row a model_type, as families.h explains. Defaults are those of the model's configuration class in
 * transformers. Calls nothing but the C library. */
#include "families.h"

#include <string.h>

#include "family_forms.h"

const char *const clmoe__prefixes[] = {"model.layers.#.", "model.language_model.layers.#.",
                                       "language_model.model.layers.#.", "layers.#.", NULL};

/* clang-format off */
/* ------------------------------------------------------------------------------------------ parts of rows */

/* sizes */
#define LOCAL       .experts = "num_local_experts|num_experts", .top_k = "num_experts_per_tok"
#define EXPERTS     .experts = "num_experts|num_local_experts", .top_k = "num_experts_per_tok"
#define EXPERTS_TOKEN .experts = "num_experts|num_local_experts", .top_k = "num_experts_per_token|num_experts_per_tok"
#define ROUTED      .experts = "n_routed_experts|num_local_experts|num_experts", .top_k = "num_experts_per_tok"
#define DENSE_I     .intermediate = "intermediate_size"
#define MOE_I       .intermediate = "moe_intermediate_size"
#define SHARED_SIZE(key, fallback)  .shared_size = key, .shared_default = (fallback)
#define N_SHARED(fallback)    SHARED_COUNT("n_shared_experts", fallback)
#define EXPERT_SIZE(fallback) SHARED_SIZE("shared_expert_intermediate_size", fallback)
#define SHARED_COUNT(key, fallback) .shared_count = key, .shared_default = (fallback)

/* layers */
#define SPARSE              .types = "sparse|dense"
#define FROM(key, fallback) CLMOE__FROM, .a = key, .x = (fallback)
#define FROM_K_DENSE(n)     FROM("first_k_dense_replace", n)
#define QWEN_LAYERS         CLMOE__STEP, .a = "decoder_sparse_step", .x = 1, .b = "mlp_only_layers"

/* settings */
#define ACT                    {CLMOE__ACTIVATION, "hidden_act", .text = "silu"}
#define NORM(fallback)         {CLMOE__NORMALIZE, "norm_topk_prob", fallback}
#define FACTOR(fallback)       {CLMOE__SCALE, "routed_scaling_factor", fallback}
#define GROUPS(groups, best)   {CLMOE__N_GROUP, "n_group", groups}, {CLMOE__TOPK_GROUP, "topk_group", best}
#define NO_BIAS(key)           {CLMOE__REFUSE, key}
#define ALWAYS(kind, value)    {kind, NULL, value}
#define SCORING(words)         {CLMOE__PRESET, "scoring_func", .text = words}

/* tensors */
#define MLP_GATE    .router = "mlp.gate.weight"
#define V3_BIAS     .select_bias = "mlp.gate.e_score_correction_bias"
#define V3_TENSORS  MLP_GATE, V3_BIAS, PROJ, SHARED_EXPERTS
#define PROJ        .forms = {&clmoe__mlp_proj, &clmoe__mlp_fused}
#define SHARED_EXPERTS .shared = {&clmoe__mlp_shared_experts}
#define SHARED_EXPERT  .shared = {&clmoe__mlp_shared_expert}
#define BSM_SHARED     .shared = {&clmoe__bsm_shared_experts}
#define GATED_EXPERT   SHARED_EXPERT, .shared_gate = "mlp.shared_expert_gate.weight"
#define MIXTRAL_TENSORS .router = "block_sparse_moe.gate.weight", .forms = {&clmoe__bsm_w123}
#define GRANITE_TENSORS .router = "block_sparse_moe.router.layer.weight", .forms = {&clmoe__granite}

/* ---------------------------------------------------------------------------------------------- the rows */

static const clmoe__family families[] = {
    /* softmax, no shared experts */
    {{"mixtral"}, "mixtral", LOCAL, DENSE_I, .settings = {ACT}, MIXTRAL_TENSORS},
    {{"minimax"}, "minimax", LOCAL, DENSE_I, .settings = {ACT}, MIXTRAL_TENSORS},
    {{"phimoe"}, "phimoe", LOCAL, DENSE_I, .settings = {ACT, {CLMOE__SPARSEMIXER_EPS, "router_jitter_noise", 0.01}},
     MIXTRAL_TENSORS},
    {{"olmoe", "flex_olmo"}, "olmoe", EXPERTS, DENSE_I, .settings = {ACT, NORM(0)}, MLP_GATE, PROJ},
    {{"qwen3_moe"}, "qwen3_moe", EXPERTS, MOE_I, .rule = {QWEN_LAYERS}, .settings = {ACT, NORM(0)}, MLP_GATE, PROJ},
    {{"qwen3_vl_moe_text"}, "qwen3_vl_moe", EXPERTS, MOE_I, .rule = {QWEN_LAYERS}, .settings = {ACT}, MLP_GATE,
     .forms = {&clmoe__mlp_fused_in_out, &clmoe__mlp_fused, &clmoe__mlp_proj}},
    {{"mellum"}, "mellum", EXPERTS, MOE_I, .rule = {CLMOE__EVERY, SPARSE}, .settings = {ACT, NORM(1)}, MLP_GATE, PROJ},
    {{"jamba"}, "jamba", EXPERTS, DENSE_I,
     .rule = {CLMOE__PERIOD, .a = "expert_layer_period", .x = 2, .b = "expert_layer_offset", .y = 1}, .settings = {ACT},
     .router = "feed_forward.router.weight", .forms = {&clmoe__ff_proj}},
    {{"dbrx"}, "dbrx", .layers = "n_layers", .hidden = "d_model", .experts = "ffn_config.moe_num_experts",
     .top_k = "ffn_config.moe_top_k", .intermediate = "ffn_config.ffn_hidden_size",
     .settings = {{CLMOE__ACTIVATION, "ffn_config.ffn_act_fn.name", .text = "silu"},
                  {CLMOE__NORM_P, "ffn_config.moe_normalize_expert_weights", 1}},
     .prefixes = {"transformer.blocks.#."}, .router = "ffn.router.layer.weight", .forms = {&clmoe__dbrx}},
    /* the dense FFN beside its experts has norms of its own and is no part of the block */
    {{"gemma4_text"}, "gemma4", .experts = "num_experts", .top_k = "top_k_experts", MOE_I,
     .has_experts = "enable_moe_block", .router_input = 1,
     .settings = {{CLMOE__ACTIVATION, "hidden_activation", .text = "gelu_pytorch_tanh"}},
     .router = "router.proj.weight", .expert_scale = "router.per_expert_scale", .forms = {&clmoe__experts_fused}},
    {{"longcat_flash"}, "longcat_flash", .layers = "num_layers", .experts = "n_routed_experts|num_local_experts",
     .top_k = "moe_topk|num_experts_per_tok", .intermediate = "expert_ffn_hidden_size|moe_intermediate_size",
     .settings = {ACT, FACTOR(6), {CLMOE__ZERO_EXPERTS, "zero_expert_num", 256}},
     .router = "mlp.router.classifier.weight", .select_bias = "mlp.router.e_score_correction_bias", PROJ},

    /* softmax, shared experts */
    {{"qwen2_moe"}, "qwen2_moe", EXPERTS, MOE_I, EXPERT_SIZE(5632), .rule = {QWEN_LAYERS}, .settings = {ACT, NORM(0)},
     MLP_GATE, PROJ, GATED_EXPERT},
    {{"qwen3_next"}, "qwen3_next", EXPERTS, MOE_I, EXPERT_SIZE(512), .rule = {QWEN_LAYERS}, .settings = {ACT, NORM(1)},
     MLP_GATE, PROJ, GATED_EXPERT},
    {{"qwen3_5_moe_text"}, "qwen3_5_moe", EXPERTS, MOE_I, EXPERT_SIZE(512), .settings = {ACT}, MLP_GATE, PROJ,
     GATED_EXPERT},
    {{"qwen4_exp_text"}, "qwen4_exp", EXPERTS, MOE_I, EXPERT_SIZE(512), .settings = {ACT, NORM(1)}, MLP_GATE, PROJ,
     GATED_EXPERT},
    {{"deepseek_v2"}, "deepseek_v2", ROUTED, MOE_I, N_SHARED(2), .rule = {FROM_K_DENSE(0)},
     .settings = {{CLMOE__PRESET, "topk_method", .text = "greedy=deepseek_v2|group_limited_greedy=deepseek_v2_group"},
                  SCORING("softmax"), ACT, NO_BIAS("mlp_bias"), FACTOR(1), {CLMOE__N_GROUP, "n_group", 1,
                  .when = "deepseek_v2_group"}, {CLMOE__TOPK_GROUP, "topk_group", 1, .when = "deepseek_v2_group"}},
     MLP_GATE, PROJ, SHARED_EXPERTS},
    {{"mistral4"}, "mistral4", ROUTED, MOE_I, N_SHARED(1), .rule = {FROM_K_DENSE(0)},
     .settings = {ACT, NORM(1), FACTOR(1), GROUPS(1, 1)}, MLP_GATE, .forms = {&clmoe__mlp_fused, &clmoe__mlp_proj},
     SHARED_EXPERTS},
    {{"ernie4_5_moe"}, "ernie4_5_moe", .experts = "moe_num_experts|num_experts", .top_k = "moe_k|num_experts_per_tok",
     MOE_I, SHARED_COUNT("moe_num_shared_experts", 2),
     .rule = {CLMOE__RANGE, .a = "moe_layer_interval", .x = 1, .c = "moe_layer_start_index", .y = 1,
     .d = "moe_layer_end_index"},
     .settings = {ACT, {CLMOE__NORM_FLOOR, "moe_norm_min", 1e-12}, NO_BIAS("use_bias")}, MLP_GATE,
     .select_bias = "mlp.moe_statics.e_score_correction_bias", PROJ, SHARED_EXPERTS},
    {{"hunyuan_v1_moe"}, "hunyuan_v1_moe", .experts = "num_experts|num_local_experts",
     .top_k = "moe_topk|num_experts_per_tok", .per_layer = 1, DENSE_I, SHARED_SIZE("intermediate_size", 0),
     .settings = {ACT, NO_BIAS("mlp_bias")}, .router = "mlp.gate.wg.weight", PROJ, .shared = {&clmoe__mlp_shared_mlp}},

    /* sigmoid, as DeepSeek-V3 */
    {{"deepseek_v3", "kimi_k2"}, "deepseek_v3", ROUTED, MOE_I, N_SHARED(1), .rule = {FROM_K_DENSE(3)},
     .settings = {SCORING("sigmoid"), ACT, NORM(1), FACTOR(2.5), GROUPS(8, 4)}, V3_TENSORS},
    {{"deepseek_v32"}, "deepseek_v32", ROUTED, MOE_I, N_SHARED(1), .rule = {FROM_K_DENSE(3), SPARSE},
     .settings = {SCORING("sigmoid"), ACT, NO_BIAS("mlp_bias"), NORM(1), FACTOR(2.5), GROUPS(8, 4)}, V3_TENSORS},
    {{"glm_moe_dsa"}, "glm_moe_dsa", ROUTED, MOE_I, N_SHARED(1), .rule = {FROM_K_DENSE(3), SPARSE},
     .settings = {SCORING("sigmoid"), ACT, NO_BIAS("mlp_bias"), NORM(1), FACTOR(2.5), GROUPS(1, 1)}, V3_TENSORS},
    {{"glm4_moe", "glm4v_moe_text"}, "glm4_moe", ROUTED, MOE_I, N_SHARED(1), .rule = {FROM_K_DENSE(1)},
     .settings = {ACT, NORM(1), FACTOR(1), GROUPS(1, 1)}, V3_TENSORS},
    {{"glm4_moe_lite"}, "glm4_moe_lite", ROUTED, MOE_I, N_SHARED(1), .rule = {FROM(NULL, 1), SPARSE},
     .settings = {ACT, NORM(1), FACTOR(1.8), GROUPS(1, 1)}, V3_TENSORS},
    {{"glm5_next_text"}, "glm5_next", ROUTED, MOE_I, N_SHARED(1), .rule = {FROM(NULL, 3), SPARSE},
     .settings = {ACT, NORM(1), FACTOR(2.5), GROUPS(1, 1), {CLMOE__LIMIT, "swiglu_limit", 10},
                  {CLMOE__SHARED_LIMIT, "swiglu_limit", 10}},
     V3_TENSORS},
    {{"dots1"}, "dots1", ROUTED, MOE_I, N_SHARED(0), .rule = {FROM_K_DENSE(0)},
     .settings = {SCORING("sigmoid|noaux_tc"), ACT, NORM(0), FACTOR(1), GROUPS(1, 1)}, V3_TENSORS},
    {{"solar_open"}, "solar_open", ROUTED, MOE_I, N_SHARED(1), .settings = {ACT, NORM(1), FACTOR(1), GROUPS(1, 1)},
     V3_TENSORS},
    {{"exaone_moe"}, "exaone_moe", EXPERTS, MOE_I, SHARED_COUNT("num_shared_experts", 1),
     .rule = {FROM_K_DENSE(1), SPARSE}, .settings = {ACT, NORM(1), FACTOR(2.5), GROUPS(1, 1)}, MLP_GATE,
     .select_bias = "mlp.e_score_correction_bias", PROJ, SHARED_EXPERTS},
    /* its own class passes over the limits of the last layers, which the models were trained with */
    {{"bailing_hybrid"}, "bailing_hybrid", EXPERTS_TOKEN, MOE_I, SHARED_COUNT("num_shared_experts", 1),
     .rule = {FROM_K_DENSE(2), SPARSE},
     .settings = {{CLMOE__PRESET, "score_function|scoring_func", .text = "sigmoid"}, ACT, NO_BIAS("use_bias"),
                  {CLMOE__HAS_SELECT_BIAS, "moe_router_enable_expert_bias", 1},
                  {CLMOE__NORMALIZE, "moe_renormalize|norm_topk_prob", 1}, FACTOR(2.5),
                  {CLMOE__N_GROUP, "num_expert_group|n_group", 8}, {CLMOE__TOPK_GROUP, "topk_group", 4},
                  {CLMOE__LIMITS, "expert_swiglu_limit_list"}, {CLMOE__SHARED_LIMITS, "share_expert_swiglu_limit_list"},
                  ALWAYS(CLMOE__LIMIT_AFTER, 1)},
     MLP_GATE, .select_bias = "mlp.gate.expert_bias", PROJ, SHARED_EXPERTS},
    {{"kimi_linear"}, "kimi_linear", EXPERTS_TOKEN, MOE_I, SHARED_COUNT("num_shared_experts|n_shared_experts", 1),
     .rule = {FROM_K_DENSE(1), SPARSE},
     .settings = {{CLMOE__PRESET, "moe_router_activation_func", .text = "sigmoid"}, ACT,
                  {CLMOE__NORMALIZE, "moe_renormalize|norm_topk_prob", 1}, FACTOR(2.446),
                  {CLMOE__N_GROUP, "num_expert_group|n_group", 1}, {CLMOE__TOPK_GROUP, "topk_group", 1}},
     MIXTRAL_TENSORS, .select_bias = "block_sparse_moe.gate.e_score_correction_bias", BSM_SHARED},
    {{"mimo_v2_flash"}, "mimo_v2_flash", ROUTED, MOE_I, .rule = {FROM(NULL, 1), SPARSE},
     .settings = {SCORING("sigmoid"), ACT, NORM(1), FACTOR(1), GROUPS(1, 1)}, MLP_GATE, V3_BIAS, PROJ},
    {{"beam"}, "beam", EXPERTS, MOE_I, .rule = {FROM(NULL, 3), SPARSE},
     .settings = {ACT, NORM(1), {CLMOE__ROUTED_SCALE, "routed_scaling_factor", 2.5}, GROUPS(8, 4)}, MLP_GATE, V3_BIAS,
     PROJ},
    {{"hy_v4"}, "hy_v4", ROUTED, MOE_I, N_SHARED(1), .rule = {FROM(NULL, 1), SPARSE},
     .settings = {{CLMOE__SHARED_ACTIVATION, "hidden_act", .text = "silu"},
                  NORM(1), FACTOR(2.827), GROUPS(1, 1), {CLMOE__LIMIT, "swiglu_limit", 10}},
     MLP_GATE, V3_BIAS, .forms = {&clmoe__mlp_fused, &clmoe__mlp_proj}, .shared = {&clmoe__mlp_shared_linear_gate}},
    {{"nemotron_h"}, "nemotron_h", ROUTED, MOE_I, .ungated = 1,
     SHARED_SIZE("moe_shared_expert_intermediate_size", 7688), .latent = "moe_latent_size",
     .rule = {CLMOE__BLOCKS, .a = "layers_block_type|layer_types", .b = "hybrid_override_pattern"},
     .settings = {{CLMOE__ACTIVATION, "mlp_hidden_act", .text = "relu2"},
                  NO_BIAS("mlp_bias"), NORM(1), FACTOR(1), GROUPS(1, 1)},
     .prefixes = {"backbone.layers.#.mixer.", "model.layers.#.mixer.", "language_model.backbone.layers.#.mixer.",
     "model.language_model.layers.#.mixer."},
     .router = "gate.weight", .select_bias = "gate.e_score_correction_bias", .latent_in = "fc1_latent_proj.weight",
     .latent_out = "fc2_latent_proj.weight", .forms = {&clmoe__nemotron}, .shared = {&clmoe__nemotron_shared}},

    /* sigmoid */
    {{"minimax_m2"}, "minimax_m2", LOCAL, DENSE_I, .settings = {SCORING("sigmoid"), ACT}, MIXTRAL_TENSORS,
     .select_bias = "block_sparse_moe.e_score_correction_bias"},
    {{"minimax_m3_vl_text"}, "minimax_m3_vl", LOCAL, DENSE_I, SHARED_SIZE("shared_intermediate_size", 3072),
     .rule = {CLMOE__FLAGS, .a = "moe_layer_freq", SPARSE},
     .settings = {SCORING("sigmoid"), {CLMOE__PRESET, "hidden_act", .text = "swigluoai|silu"},
                  {CLMOE__ROUTED_SCALE, "routed_scaling_factor", 2},
                  {CLMOE__LIMIT, "swiglu_limit", 7}, {CLMOE__SHARED_LIMIT, "swiglu_limit", 7},
                  {CLMOE__ALPHA, "swiglu_alpha", 1.702}, {CLMOE__SHARED_ALPHA, "swiglu_alpha", 1.702},
                  ALWAYS(CLMOE__UP_OFFSET, 1), ALWAYS(CLMOE__SHARED_UP_OFFSET, 1)},
     MIXTRAL_TENSORS, .select_bias = "block_sparse_moe.e_score_correction_bias", BSM_SHARED},
    {{"afmoe"}, "afmoe", EXPERTS, MOE_I, SHARED_COUNT("num_shared_experts", 2), .rule = {FROM("num_dense_layers", 1)},
     .settings = {ACT, {CLMOE__SCALE, "route_scale", 1}}, .router = "mlp.router.gate.weight",
     .select_bias = "mlp.expert_bias", PROJ, SHARED_EXPERTS},
    {{"hy_v3"}, "hy_v3", EXPERTS, MOE_I, SHARED_COUNT("num_shared_experts", 1), .rule = {FROM(NULL, 1), SPARSE},
     .settings = {ACT, NO_BIAS("mlp_bias"), {CLMOE__SCALE, "router_scaling_factor", 2.826}},
     .router = "mlp.router.gate.weight", .select_bias = "mlp.expert_bias", PROJ, .shared = {&clmoe__mlp_shared_mlp}},
    {{"lfm2_moe"}, "lfm2_moe", EXPERTS, MOE_I, .rule = {FROM("num_dense_layers", 2)},
     .settings = {{CLMOE__HAS_SELECT_BIAS, "use_expert_bias", 1}, NORM(1), FACTOR(1)},
     .router = "feed_forward.gate.weight", .select_bias = "feed_forward.expert_bias", .forms = {&clmoe__ff_w123}},
    {{"laguna"}, "laguna", EXPERTS, MOE_I, EXPERT_SIZE(512), .rule = {FROM(NULL, 1), SPARSE},
     .settings = {ACT, {CLMOE__SOFTCAP, "moe_router_logit_softcapping", 0},
                  {CLMOE__ROUTED_SCALE, "moe_routed_scaling_factor", 1}, NO_BIAS("moe_apply_router_weight_on_input")},
     MLP_GATE, .select_bias = "mlp.experts.e_score_correction_bias", PROJ, SHARED_EXPERT},
    {{"step3p5"}, "step3p5", .experts = "n_routed_experts|moe_num_experts|num_local_experts",
     .top_k = "num_experts_per_tok|moe_top_k", MOE_I, SHARED_SIZE("share_expert_dim|share_expert_dims", 1280),
     .rule = {CLMOE__TEXT, .b = "moe_layers_enum", .x = 3, SPARSE},
     .settings = {ACT, {CLMOE__ROUTED_SCALE, "moe_router_scaling_factor", 1}, {CLMOE__LIMITS, "swiglu_limits"},
                  {CLMOE__SHARED_LIMITS, "swiglu_limits_shared"}, ALWAYS(CLMOE__LIMIT_AFTER, 1), NO_BIAS("mlp_bias")},
     .router = "moe.gate.weight", .select_bias = "moe.router_bias", .forms = {&clmoe__step},
     .shared = {&clmoe__step_shared}},
    {{"flint"}, "flint", EXPERTS, MOE_I, EXPERT_SIZE(1024), .rule = {QWEN_LAYERS, .y = 2}, .settings = {ACT, NORM(1)},
     MLP_GATE, PROJ, SHARED_EXPERT},
    {{"kolibri1"}, "kolibri1", EXPERTS, MOE_I, EXPERT_SIZE(512), .settings = {ACT, NORM(0)}, MLP_GATE,
     .select_bias = "moe.router.expert_bias", PROJ, SHARED_EXPERTS},
    /* its first layers take their experts from a table by token, which this library does not have: they are left out */
    {{"deepseek_v4"}, "deepseek_v4", ROUTED, MOE_I, SHARED_SIZE("moe_intermediate_size", 0),
     .rule = {FROM("num_hash_layers", 3), .types = "moe|hash_moe"},
     .settings = {SCORING("sqrtsoftplus"), ACT, NO_BIAS("mlp_bias"), FACTOR(1.5), {CLMOE__LIMIT, "swiglu_limit", 10},
                  {CLMOE__SHARED_LIMIT, "swiglu_limit", 10}},
     .prefixes = {"layers.#.ffn.", "model.layers.#.ffn."}, .router = "gate.weight", .select_bias = "gate.bias",
     .forms = {&clmoe__w123}, .shared = {&clmoe__shared_w123}},

    /* the largest logits, scored among themselves */
    {{"gpt_oss"}, "gpt_oss", LOCAL, DENSE_I,
     .settings = {{CLMOE__LIMIT, "swiglu_limit", 7}, {CLMOE__ALPHA, "swiglu_alpha", 1.702},
                  ALWAYS(CLMOE__UP_OFFSET, 1)},
     .router = "mlp.router.weight", .router_bias = "mlp.router.bias",
     .forms = {&clmoe__gpt_oss, &clmoe__gpt_oss_mxfp4}},
    {{"granitemoe"}, "granitemoe", LOCAL, DENSE_I, .settings = {ACT}, GRANITE_TENSORS},
    {{"granitemoeshared"}, "granitemoeshared", LOCAL, DENSE_I, SHARED_SIZE("shared_intermediate_size", 0),
     .settings = {ACT}, GRANITE_TENSORS, .shared = {&clmoe__granite_shared}},
    {{"granitemoehybrid"}, "granitemoehybrid", LOCAL, DENSE_I, .may_lack_experts = 1,
     SHARED_SIZE("shared_intermediate_size", 1024), .settings = {ACT}, GRANITE_TENSORS,
     .shared = {&clmoe__granite_shared}},
    {{"jetmoe"}, "jetmoe", LOCAL, DENSE_I, .settings = {{CLMOE__ACTIVATION, "activation_function", .text = "silu"}},
     .router = "mlp.router.layer.weight", .output_bias = "mlp.bias", .forms = {&clmoe__jetmoe}},
    {{"aria_text"}, "aria", .experts = "moe_num_experts", .top_k = "moe_topk", DENSE_I,
     SHARED_COUNT("moe_num_shared_experts", 2),
     .settings = {{CLMOE__SHARED_ACTIVATION, "hidden_act", .text = "silu"}, NO_BIAS("mlp_bias")},
     .router = "mlp.router.weight", .forms = {&clmoe__aria}, SHARED_EXPERTS},
    {{"cohere2_moe"}, "cohere2_moe", .experts = "num_experts", .top_k = "num_experts_per_tok", DENSE_I,
     SHARED_COUNT("num_shared_experts", 0), .rule = {FROM_K_DENSE(0), SPARSE},
     .settings = {{CLMOE__PRESET, "expert_selection_fn", .text = "softmax=cohere2_moe|sigmoid=cohere2_moe_sigmoid"},
                  ACT, {CLMOE__NORMALIZE, "norm_topk_prob", 1, .when = "cohere2_moe_sigmoid"},
                  {CLMOE__COMBINE, "shared_expert_combination_strategy", .text = "average|sum"}},
     MLP_GATE, PROJ, SHARED_EXPERTS},
    {{"llama4_text"}, "llama4", LOCAL, DENSE_I, SHARED_SIZE("intermediate_size", 0),
     .rule = {CLMOE__LISTED, .a = "interleave_moe_layer_step", .x = 1, .b = "moe_layers"}, .settings = {ACT},
     .router = "feed_forward.router.weight", .forms = {&clmoe__llama4}, .shared = {&clmoe__ff_shared_expert}},
};
/* clang-format on */

#define COUNT (sizeof families / sizeof families[0])

static size_t stem(const char *name) {
    static const char suffix[] = "_text";
    const size_t length = strlen(name), end = sizeof suffix - 1;
    return length > end && strcmp(name + length - end, suffix) == 0 ? length - end : length;
}

const clmoe__family *clmoe__family_find(const char *model_type) {
    const size_t length = stem(model_type);
    for (size_t i = 0; i < COUNT; i++) {
        for (const char *const *type = families[i].types; *type != NULL; type++)
            if (stem(*type) == length && memcmp(*type, model_type, length) == 0) return &families[i];
    }
    return NULL;
}

const char *clmoe_model_type_name(uint32_t i) {
    for (size_t f = 0; f < COUNT; f++) {
        for (const char *const *type = families[f].types; *type != NULL; type++)
            if (i-- == 0) return *type;
    }
    return NULL;
}
