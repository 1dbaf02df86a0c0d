/* Rules as data: what presets say, which rules and which uses of the select stage are refused, and statistics of the
 * expert load. */
#include "one_device.h"
#include "select_trial.h"

#include <math.h>
#include <stdio.h>

static clmoe_error error = {.struct_size = sizeof error};

/* A preset's rule in words, to be compared with words written from the models' descriptions. */
static void in_words(const clmoe_routing *rule, char *text, size_t size) {
    static const char *const methods[] = {"", "sparsemixer ", "expert choice "};
    static const char *const score[] = {"logit", "softmax", "sigmoid", "sqrt_softplus"};
    static const char *const norm[] = {"", " sum", " p-norm"};
    int used = snprintf(text, size, "%s%s%s%s%s", methods[rule->method], score[rule->score],
                        rule->score_position == CLMOE_SCORE_AFTER ? " after" : "", norm[rule->normalize],
                        rule->bias_on == CLMOE_BIAS_ON_LOGIT ? " bias-on-logit" : "");
    if (rule->norm_eps > 0) used += snprintf(text + used, size - (size_t)used, " eps %g", (double)rule->norm_eps);
    if (rule->norm_floor > 0)
        used += snprintf(text + used, size - (size_t)used, " floor %.3g", (double)rule->norm_floor);
    (void)snprintf(text + used, size - (size_t)used, "%s%s%s", rule->group_score == CLMOE_GROUP_TOP2_SUM ? " top2" : "",
                   rule->group_mask == CLMOE_MASK_ZERO ? " mask0" : "",
                   rule->weight_on == CLMOE_WEIGHT_ON_INPUT ? " on-input" : "");
}

static void presets_say_what_models_do(void **state) {
    (void)state;
    static const struct {
        const char *words, *models;
    } rows[] = {
        {"softmax sum",
         "mixtral minimax qwen3_moe qwen3_next qwen3_5_moe qwen3_5_moe_text qwen3_vl_moe qwen3_vl_moe_text "
         "qwen3_omni_moe_text qwen4_exp_text mellum hunyuan_v1_moe hunyuan gemma4 gemma4_text "
         "diffusion_gemma_text"},
        {"softmax sum floor 1e-12", "ernie4_5_moe ernie4_5_vl_moe_text"},
        {"softmax sum floor 1.19e-07", "nllb-moe"},
        {"softmax", "qwen2_moe olmoe flex_olmo jamba deepseek_v2 longcat_flash zaya switch switch_transformers"},
        {"softmax p-norm", "dbrx"},
        {"softmax mask0", "deepseek_v2_group deepseek_ocr2_text unlimited_ocr_text"},
        {"softmax sum eps 1e-20 top2 mask0", "mistral4 mistral_large4_text"},
        {"sigmoid sum eps 1e-20 top2",
         "deepseek_v3 deepseek_v32 kimi_k2 kimi_linear glm4_moe glm4v_moe_text glm4_moe_lite "
         "glm_moe_dsa glm5_next_text dots1 dots3_note_text solar_open exaone_moe "
         "bailing_hybrid mimo_v2_flash nemotron_h hy_v4 axk1 beam"},
        {"sigmoid sum eps 1e-20 top2 mask0", "axk2"},
        {"sigmoid sum eps 1e-20", "afmoe hy_v3 inkling2_text"},
        {"sigmoid sum eps 1e-15", "muse_spark muse_spark_text"},
        {"sigmoid sum eps 1e-06", "lfm2_moe"},
        {"sigmoid sum", "minimax_m2 minimax_m3_vl_text step3p5 laguna flint inkling inkling_text"},
        {"sigmoid bias-on-logit", "kolibri kolibri1"},
        {"sqrt_softplus sum eps 1e-20", "deepseek_v4"},
        {"softmax after",
         "gpt_oss openai_privacy_filter granitemoe granitemoeshared granitemoehybrid granitemoe_swa jetmoe "
         "aria aria_text cohere2_moe"},
        {"sigmoid after sum", "cohere2_moe_sigmoid"},
        {"sigmoid after on-input", "llama4 llama4_text"},
        {"sparsemixer softmax", "phimoe"},
        {"expert choice softmax", "expert_choice"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char names[800], words[100];
        (void)snprintf(names, sizeof names, "%s", rows[i].models);
        for (char *name = strtok(names, " "); name != NULL; name = strtok(NULL, " ")) {
            clmoe_routing rule = trial_rule(8, 2);
            OK(clmoe_routing_preset(&rule, name, &error));
            in_words(&rule, words, sizeof words);
            if (strcmp(words, rows[i].words) != 0)
                fail_msg("%s is \"%s\", expected \"%s\"", name, words, rows[i].words);
        }
    }
    clmoe_routing rule = trial_rule(8, 2);
    OK(clmoe_routing_preset(&rule, "phimoe", &error));
    assert_true(rule.sparsemixer_eps == 0.01f);
    FAILS(clmoe_routing_preset(&rule, "no_such_model", &error), CLMOE_UNSUPPORTED, "no_such_model");
    assert_non_null(strstr(error.log, " mixtral "));
    assert_non_null(strstr(error.log, " expert_choice"));
    FAILS(clmoe_routing_preset(&rule, NULL, &error), CLMOE_INVALID_ARGUMENT, "model");
    FAILS(clmoe_routing_preset(NULL, "mixtral", &error), CLMOE_INVALID_ARGUMENT, "routing");
}

static void invalid_rules(void **state) {
    (void)state;
    clmoe_routing rule;
#define RULE_REFUSED(field, text, ...)                                                          \
    REFUSED(clmoe_routing_validate(&rule, &error), rule, trial_rule(8, 2), field, __VA_ARGS__); \
    assert_string_equal(error.argument, field);                                                 \
    if (strstr(error.message, text) == NULL) fail_msg("\"%s\" lacks \"%s\"", error.message, text)
    RULE_REFUSED("routing.top_k", "top_k is 9, expected 1..8", rule.top_k = 9);
    RULE_REFUSED("routing.top_k", "top_k is 0, expected 1..8", rule.top_k = 0);
    RULE_REFUSED("routing.top_k", "expected 1..6", rule.always_experts = 3, rule.zero_experts = 1, rule.top_k = 7);
    RULE_REFUSED("routing.num_experts", "expected 1..1024", rule.num_experts = 0);
    RULE_REFUSED("routing.num_experts", "is 1025", rule.num_experts = 1025);
    RULE_REFUSED("routing.zero_experts", "expected 0..1016", rule.zero_experts = 1017);
    RULE_REFUSED("routing.skip_experts", "expected 0..16", rule.zero_experts = 1000, rule.skip_experts = UINT32_MAX);
    RULE_REFUSED("routing.always_experts", "expected 0..7", rule.always_experts = 8);
    RULE_REFUSED("routing.method", "is 3", rule.method = 3);
    RULE_REFUSED("routing.score", "is 4", rule.score = 4);
    RULE_REFUSED("routing.score_position", "is 2", rule.score_position = 2);
    RULE_REFUSED("routing.bias_on", "is 2", rule.bias_on = 2);
    RULE_REFUSED("routing.group_score", "is 2", rule.group_score = 2);
    RULE_REFUSED("routing.group_mask", "is 2", rule.group_mask = 2);
    RULE_REFUSED("routing.normalize", "is 3", rule.normalize = 3);
    RULE_REFUSED("routing.weight_on", "is 2", rule.weight_on = 2);
    RULE_REFUSED("routing.logit_scale", "finite", rule.logit_scale = INFINITY);
    RULE_REFUSED("routing.logit_softcap", ">= 0", rule.logit_softcap = -1);
    RULE_REFUSED("routing.norm_eps", ">= 0", rule.norm_eps = NAN);
    RULE_REFUSED("routing.norm_floor", ">= 0", rule.norm_floor = -0.5f);
    RULE_REFUSED("routing.norm_p", "> 0", rule.norm_p = 0);
    RULE_REFUSED("routing.scale", "finite", rule.scale = NAN);
    RULE_REFUSED("routing.sparsemixer_eps", ">= 0", rule.sparsemixer_eps = -1);
    RULE_REFUSED("routing.capacity_factor", "> 0", rule.capacity_factor = 0);
    RULE_REFUSED("routing.n_group", "divisor of 8", rule.n_group = 3);
    RULE_REFUSED("routing.n_group", "zero, skip or always", rule.n_group = 2, rule.zero_experts = 1);
    RULE_REFUSED("routing.n_group", "TOP_K", rule.n_group = 2, rule.method = CLMOE_SPARSEMIXER);
    RULE_REFUSED("routing.topk_group", "expected 1..4", rule.n_group = 4, rule.topk_group = 5);
    RULE_REFUSED("routing.topk_group", "expected 2 or more", rule.n_group = 4, rule.top_k = 3);
    RULE_REFUSED("routing.group_score", "expected 1..4", rule.n_group = 8, rule.topk_group = 8, rule.group_score = 1);
    RULE_REFUSED("routing.top_k", "expected 2", rule.method = CLMOE_SPARSEMIXER, rule.top_k = 1);
    RULE_REFUSED("routing.score", "SPARSEMIXER", rule.method = CLMOE_SPARSEMIXER, rule.score = CLMOE_SIGMOID);
    RULE_REFUSED("routing.normalize", "SPARSEMIXER", rule.method = CLMOE_SPARSEMIXER, rule.normalize = 1);
    RULE_REFUSED("routing.normalize", "EXPERT_CHOICE", rule.method = CLMOE_EXPERT_CHOICE, rule.normalize = 1);
    RULE_REFUSED("routing.score_position", "BEFORE", rule.method = CLMOE_EXPERT_CHOICE, rule.score_position = 1);
    RULE_REFUSED("routing.always_experts", "EXPERT_CHOICE", rule.method = CLMOE_EXPERT_CHOICE, rule.always_experts = 1);
    RULE_REFUSED("routing.zero_experts", "EXPERT_CHOICE", rule.method = CLMOE_EXPERT_CHOICE, rule.zero_experts = 1);
    RULE_REFUSED("routing.skip_experts", "EXPERT_CHOICE", rule.method = CLMOE_EXPERT_CHOICE, rule.skip_experts = 1);
#undef RULE_REFUSED
    FAILS(clmoe_routing_validate(NULL, &error), CLMOE_INVALID_ARGUMENT, "routing");
    rule = trial_rule(8, 2);
    rule.struct_size = 0;
    FAILS(clmoe_routing_validate(&rule, &error), CLMOE_INVALID_ARGUMENT, "struct_size");
    rule = trial_rule(UINT32_MAX, UINT32_MAX);
    rule.zero_experts = 1;
    rule.always_experts = 1;
    assert_int_equal(clmoe_routing_classes(&rule), 0);
    assert_int_equal(clmoe_routing_slots(&rule), 0);
}

static void invalid_descriptions(void **state) {
    (void)state;
    clmoe_select_desc desc;
    clmoe_select_desc_default(&desc, sizeof desc);
    desc.routing = trial_rule(8, 2);
    float values[8] = {0};
    clmoe_select *select = NULL;
    REFUSED_CREATE(clmoe_select_create, device.context, &desc, select, "select");
    desc.routing.top_k = 9;
    FAILS(clmoe_select_create(device.context, &desc, &select, &error), CLMOE_INVALID_ARGUMENT, "routing.top_k");
    desc.routing.top_k = 2;
    desc.select_bias = (clmoe_tensor){.format = 9, .host = values};
    FAILS(clmoe_select_create(device.context, &desc, &select, &error), CLMOE_INVALID_ARGUMENT, "select_bias");
    desc.select_bias.format = CLMOE_F32;
    desc.routing.score_position = CLMOE_SCORE_AFTER;
    FAILS(clmoe_select_create(device.context, &desc, &select, &error), CLMOE_INVALID_ARGUMENT, "routing.bias_on");
    desc.routing.score_position = CLMOE_SCORE_BEFORE;
    desc.routing.method = CLMOE_SPARSEMIXER;
    FAILS(clmoe_select_create(device.context, &desc, &select, &error), CLMOE_INVALID_ARGUMENT, "select_bias");
    desc.select_bias = (clmoe_tensor){0};
    desc.expert_scale = (clmoe_tensor){.format = CLMOE_F32, .host = values, .reserved = 1};
    FAILS(clmoe_select_create(device.context, &desc, &select, &error), CLMOE_INVALID_ARGUMENT, "expert_scale");
    assert_null(select);
}

static void invalid_io(void **state) {
    (void)state;
    const clmoe_routing rule = trial_rule(8, 2);
    trial t = trial_new(&rule, 3, 1);
    clmoe_select *select = trial_create(&device, &t);
    test_buffer logits = test_buffer_new(&device, 3 * 8 * 4, t.logits);
    test_buffer out = test_buffer_new(&device, 3 * 2 * 4, NULL);
    clmoe_select_io good, io;
    clmoe_select_io_default(&good, sizeof good);
    good.tokens = 3;
    good.logits = logits.at;
    good.index = out.at;
    good.weight = out.at;
    REFUSED_ENQUEUE(clmoe_select_enqueue, select, device.queue, &good, "select");
#define IO_REFUSED(...) \
    REFUSED(clmoe_select_enqueue(select, NULL, device.queue, &io, 0, NULL, NULL, &error), io, good, __VA_ARGS__)
    IO_REFUSED("io.logits", io.logits.kind = CLMOE_BUFFER_NONE);
    IO_REFUSED("io.logits", io.logits.kind = 7);
    IO_REFUSED("io.logits", io.logits.offset += 2);
    IO_REFUSED("io.index", io.index.kind = CLMOE_BUFFER_NONE);
    IO_REFUSED("io.index", io.index.offset += 64 + 8);
    IO_REFUSED("io.weight", io.weight.handle = NULL);
    IO_REFUSED("io.token_count", io.token_count = out.at, io.token_count.offset = 3);
    IO_REFUSED("io.tokens", io.tokens = UINT32_MAX);
    IO_REFUSED("io.tokens", io.tokens = 1u << 30);
    IO_REFUSED("struct_size", io.struct_size = 3);
#undef IO_REFUSED
    test_buffer_untouched(&device, &out);
    clmoe_select_destroy(select);
    clmoe_select_destroy(NULL);
    test_buffer_free(&device, &logits);
    test_buffer_free(&device, &out);
    trial_free(&t);
}

static void load_statistics(void **state) {
    (void)state;
    const int32_t load[] = {4, 0, 4, 8}, even[] = {3, 3, 3}, nothing[] = {0, 0}, negative[] = {1, -1};
    clmoe_load_stats stats = {.struct_size = sizeof stats};
    OK(clmoe_load_statistics(load, 4, &stats, &error));
    assert_true(stats.total == 16 && stats.active_experts == 3 && stats.idle_experts == 1);
    assert_true(stats.max_over_mean == 2 && fabs(stats.entropy - 1.5 * log(2)) < 1e-15);
    OK(clmoe_load_statistics(even, 3, &stats, &error));
    assert_true(stats.max_over_mean == 1 && fabs(stats.entropy - log(3)) < 1e-15);
    OK(clmoe_load_statistics(nothing, 2, &stats, &error));
    assert_true(stats.total == 0 && stats.idle_experts == 2 && stats.max_over_mean == 0 && stats.entropy == 0);
    FAILS(clmoe_load_statistics(negative, 2, &stats, &error), CLMOE_INVALID_ARGUMENT, "load[1] is -1");
    FAILS(clmoe_load_statistics(NULL, 2, &stats, &error), CLMOE_INVALID_ARGUMENT, "load");
    FAILS(clmoe_load_statistics(load, 0, &stats, &error), CLMOE_INVALID_ARGUMENT, "num_experts");
    FAILS(clmoe_load_statistics(load, 4, NULL, &error), CLMOE_INVALID_ARGUMENT, "stats");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets_say_what_models_do),
        cmocka_unit_test(invalid_rules),
        cmocka_unit_test(invalid_descriptions),
        cmocka_unit_test(invalid_io),
        cmocka_unit_test(load_statistics),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
