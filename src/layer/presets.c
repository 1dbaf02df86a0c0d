/* The routing rules of model families as rows of data. A row sets the rule's shape (method, score, bias, group score,
 * masks, normalisation, sparsemixer_eps); sizes, scales, softcap and capacity are a checkpoint's own and stay as they
 * are. Names are the model_type of a config.json; a trailing "_text" (the text part of a multimodal model) may be left
 * out or added.
 *
 * Where a configuration decides whether weights are normalised (norm_topk_prob and the like), the row says what the
 * family's checkpoints use. What a rule cannot express is said at its row.
 */
#include <clmoe/clmoe.h>

#include <stdio.h>
#include <string.h>

#include "os/error.h"

typedef struct rule {
    const char *name;
    uint8_t method, score, score_position, bias_on, group_score, group_mask, normalize, weight_on;
    float norm_eps, norm_floor;
} rule;

/* clang-format off */
/* What rows have in common. */
#define SOFTMAX          .score = CLMOE_SOFTMAX
#define SIGMOID          .score = CLMOE_SIGMOID
#define SOFTMAX_OF_TOP_K .score = CLMOE_SOFTMAX, .score_position = CLMOE_SCORE_AFTER
#define OVER_SUM         .normalize = CLMOE_NORM_SUM
#define OVER_SUM_EPS(e)  .normalize = CLMOE_NORM_SUM, .norm_eps = (e)
#define TOP2_GROUPS      .group_score = CLMOE_GROUP_TOP2_SUM
#define MASK_ZERO        .group_mask = CLMOE_MASK_ZERO
#define DEEPSEEK_V3      SIGMOID, TOP2_GROUPS, OVER_SUM_EPS(1e-20f)

static const rule rules[] = {
    /* softmax over all experts, weights over their sum */
    {"mixtral",       SOFTMAX, OVER_SUM},
    {"minimax",       SOFTMAX, OVER_SUM},
    {"qwen3_moe",     SOFTMAX, OVER_SUM},
    {"qwen3_next",    SOFTMAX, OVER_SUM},
    {"qwen3_5_moe",   SOFTMAX, OVER_SUM},
    {"qwen3_vl_moe",  SOFTMAX, OVER_SUM},
    {"qwen3_omni_moe", SOFTMAX, OVER_SUM},
    {"qwen4_exp",     SOFTMAX, OVER_SUM},
    {"mellum",        SOFTMAX, OVER_SUM},
    {"hunyuan_v1_moe", SOFTMAX, OVER_SUM},
    {"gemma4",        SOFTMAX, OVER_SUM}, /* expert_scale is its per_expert_scale */
    {"diffusion_gemma", SOFTMAX, OVER_SUM},
    {"ernie4_5_moe",  SOFTMAX, OVER_SUM, .norm_floor = 1e-12f},
    {"ernie4_5_vl_moe", SOFTMAX, OVER_SUM, .norm_floor = 1e-12f},
    /* the same rule without the capacity that these two count along a sequence: no token is ever dropped */
    {"nllb-moe",      SOFTMAX, OVER_SUM, .norm_floor = 1.1920929e-7f},
    {"switch_transformers", SOFTMAX},

    /* softmax over all experts, weights as they are */
    {"qwen2_moe",     SOFTMAX},
    {"olmoe",         SOFTMAX},
    {"flex_olmo",     SOFTMAX},
    {"jamba",         SOFTMAX},
    {"longcat_flash", SOFTMAX}, /* zero_experts are its identities */
    {"zaya",          SOFTMAX}, /* skip_experts is 1 */
    {"dbrx",          SOFTMAX, .normalize = CLMOE_NORM_P}, /* norm_p is its moe_normalize_expert_weights */
    {"deepseek_v2",   SOFTMAX}, /* topk_method greedy: n_group stays 1 */
    {"deepseek_v2_group", SOFTMAX, MASK_ZERO}, /* topk_method group_limited_greedy */
    {"deepseek_ocr2", SOFTMAX, MASK_ZERO},
    {"unlimited_ocr", SOFTMAX, MASK_ZERO},
    {"mistral4",      SOFTMAX, TOP2_GROUPS, MASK_ZERO, OVER_SUM_EPS(1e-20f)},
    {"mistral_large4", SOFTMAX, TOP2_GROUPS, MASK_ZERO, OVER_SUM_EPS(1e-20f)},

    /* sigmoid, chosen with a bias in limited groups (n_group 1: none) */
    {"deepseek_v3",   DEEPSEEK_V3},
    {"deepseek_v32",  DEEPSEEK_V3},
    {"kimi_k2",       DEEPSEEK_V3},
    {"kimi_linear",   DEEPSEEK_V3},
    {"glm4_moe",      DEEPSEEK_V3},
    {"glm4v_moe",     DEEPSEEK_V3},
    {"glm4_moe_lite", DEEPSEEK_V3},
    {"glm_moe_dsa",   DEEPSEEK_V3},
    {"glm5_next",     DEEPSEEK_V3},
    {"dots1",         DEEPSEEK_V3},
    {"dots3_note",    DEEPSEEK_V3},
    {"solar_open",    DEEPSEEK_V3},
    {"exaone_moe",    DEEPSEEK_V3},
    {"bailing_hybrid", DEEPSEEK_V3},
    {"mimo_v2_flash", DEEPSEEK_V3},
    {"nemotron_h",    DEEPSEEK_V3},
    {"hy_v4",         DEEPSEEK_V3},
    {"axk1",          DEEPSEEK_V3},
    {"axk2",          DEEPSEEK_V3, MASK_ZERO},
    {"beam",          DEEPSEEK_V3}, /* its factor belongs to clmoe_layer_desc.routed_scale */

    /* sigmoid, chosen with a bias */
    {"afmoe",         SIGMOID, OVER_SUM_EPS(1e-20f)},
    {"hy_v3",         SIGMOID, OVER_SUM_EPS(1e-20f)},
    {"inkling2",      SIGMOID, OVER_SUM_EPS(1e-20f)},
    {"muse_spark",    SIGMOID, OVER_SUM_EPS(1e-15f)}, /* logit_scale is its output_multiplier */
    {"lfm2_moe",      SIGMOID, OVER_SUM_EPS(1e-6f)},
    {"minimax_m2",    SIGMOID, OVER_SUM},
    {"minimax_m3_vl", SIGMOID, OVER_SUM}, /* here and below: the factor belongs to clmoe_layer_desc.routed_scale */
    {"step3p5",       SIGMOID, OVER_SUM},
    {"laguna",        SIGMOID, OVER_SUM},
    {"flint",         SIGMOID, OVER_SUM},
    {"inkling",       SIGMOID, OVER_SUM}, /* always_experts are its shared experts */
    {"kolibri1",      SIGMOID, .bias_on = CLMOE_BIAS_ON_LOGIT},
    {"deepseek_v4",   .score = CLMOE_SQRT_SOFTPLUS, OVER_SUM_EPS(1e-20f)}, /* hash layers: the caller routes */

    /* the largest logits, scored among themselves */
    {"gpt_oss",       SOFTMAX_OF_TOP_K},
    {"openai_privacy_filter", SOFTMAX_OF_TOP_K}, /* it divides weights by top_k and multiplies the output by it */
    {"granitemoe",    SOFTMAX_OF_TOP_K},
    {"granitemoeshared", SOFTMAX_OF_TOP_K},
    {"granitemoehybrid", SOFTMAX_OF_TOP_K},
    {"granitemoe_swa", SOFTMAX_OF_TOP_K},
    {"jetmoe",        SOFTMAX_OF_TOP_K},
    {"aria",          SOFTMAX_OF_TOP_K},
    {"cohere2_moe",   SOFTMAX_OF_TOP_K},
    {"cohere2_moe_sigmoid", SIGMOID, .score_position = CLMOE_SCORE_AFTER, OVER_SUM}, /* expert_selection_fn sigmoid */
    {"llama4",        SIGMOID, .score_position = CLMOE_SCORE_AFTER, .weight_on = CLMOE_WEIGHT_ON_INPUT},

    {"phimoe",        SOFTMAX, .method = CLMOE_SPARSEMIXER}, /* sparsemixer_eps is its router_jitter_noise */
    {"expert_choice", SOFTMAX, .method = CLMOE_EXPERT_CHOICE},
};
/* clang-format on */

static const struct {
    const char *alias, *name;
} aliases[] = {
    {"switch", "switch_transformers"},
    {"kolibri", "kolibri1"},
    {"nllb_moe", "nllb-moe"},
    {"hunyuan", "hunyuan_v1_moe"},
};

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

static const rule *find(const char *model) {
    static const char suffix[] = "_text";
    const size_t length = strlen(model), end = sizeof suffix - 1;
    const size_t stem = length > end && strcmp(model + length - end, suffix) == 0 ? length - end : length;
    for (size_t i = 0; i < COUNT(aliases); ++i) {
        if (strcmp(model, aliases[i].alias) == 0) return find(aliases[i].name);
    }
    for (size_t i = 0; i < COUNT(rules); ++i) {
        if (strlen(rules[i].name) == stem && memcmp(rules[i].name, model, stem) == 0) return &rules[i];
    }
    return NULL;
}

/* The names go into the error's log, where all of them fit. */
static clmoe_status unknown(const char *model, clmoe_error *error) {
    char names[2048] = "known models:";
    size_t used = strlen(names);
    for (size_t i = 0; i < COUNT(rules) && used + strlen(rules[i].name) + 2 < sizeof names; ++i)
        used += (size_t)snprintf(names + used, sizeof names - used, " %s", rules[i].name);
    (void)clmoe__fail(error, CLMOE_UNSUPPORTED, "model",
                      "model is \"%.60s\", expected one of clmoe_routing_preset_name(); the error's log lists them",
                      model);
    clmoe__error_log(error, names);
    return CLMOE_UNSUPPORTED;
}

clmoe_status clmoe_routing_preset(clmoe_routing *routing, const char *model, clmoe_error *error) {
    clmoe_routing r;
    clmoe_routing_default(&r, sizeof r);
    TRY(clmoe__take(&r, sizeof r, routing, "routing", error));
    REQUIRE(model != NULL, error, "model", "model is NULL");
    const rule *found = find(model);
    if (found == NULL) return unknown(model, error);
    r.method = found->method;
    r.score = found->score;
    r.score_position = found->score_position;
    r.bias_on = found->bias_on;
    r.group_score = found->group_score;
    r.group_mask = found->group_mask;
    r.normalize = found->normalize;
    r.norm_eps = found->norm_eps;
    r.norm_floor = found->norm_floor;
    r.norm_p = 1.0f;
    r.weight_on = found->weight_on;
    r.sparsemixer_eps = 0.01f;
    clmoe__give(routing, routing->struct_size, &r, sizeof r);
    return CLMOE_OK;
}

const char *clmoe_routing_preset_name(uint32_t i) { return i < COUNT(rules) ? rules[i].name : NULL; }
