/* The select stage and what surrounds it (rules, presets, load statistics), judged by oracle_select. */
#include "support.h"

#include <math.h>
#include <stdio.h>

#include "oracle_select.h"

static test_device device;
static clmoe_error error = {.struct_size = sizeof error};

/* ----------------------------------------------------------------------------------------------- running */

/* One run of a rule: what goes in, what came out. Arrays are malloc'd. */
typedef struct trial {
    clmoe_routing rule;
    uint32_t tokens, classes, slots;
    int32_t valid; /* told to the device; -1: not told */
    float *logits, *bias, *expert_scale; /* the last two may be NULL */
    int32_t *index;
    float *weight;
} trial;

static clmoe_routing rule_of(uint32_t experts, uint32_t top_k) {
    clmoe_routing rule;
    clmoe_routing_default(&rule, sizeof rule);
    rule.num_experts = experts;
    rule.top_k = top_k;
    return rule;
}

static float *random_floats(test_random *random, size_t count, double spread) {
    float *values = malloc(count * sizeof *values + 1);
    assert_non_null(values);
    for (size_t i = 0; i < count; i++) values[i] = (float)(spread * test_random_normal(random));
    return values;
}

static trial new_trial(const clmoe_routing *rule, uint32_t tokens, uint64_t stream) {
    test_random random = test_random_new(stream);
    trial t = {.rule = *rule, .tokens = tokens, .valid = -1};
    t.classes = clmoe_routing_classes(rule);
    t.slots = clmoe_routing_slots(rule);
    t.logits = random_floats(&random, (size_t)tokens * t.classes, 2);
    t.index = malloc((size_t)tokens * t.slots * sizeof *t.index + 1);
    t.weight = malloc((size_t)tokens * t.slots * sizeof *t.weight + 1);
    assert_true(t.index != NULL && t.weight != NULL);
    return t;
}

static void free_trial(trial *t) {
    free(t->logits);
    free(t->bias);
    free(t->expert_scale);
    free(t->index);
    free(t->weight);
    *t = (trial){0};
}

static clmoe_select *create(const trial *t) {
    clmoe_select_desc desc;
    clmoe_select_desc_default(&desc, sizeof desc);
    desc.routing = t->rule;
    if (t->bias != NULL) desc.select_bias = (clmoe_tensor){.format = CLMOE_F32, .host = t->bias};
    if (t->expert_scale != NULL) desc.expert_scale = (clmoe_tensor){.format = CLMOE_F32, .host = t->expert_scale};
    clmoe_select *select = NULL;
    OK(clmoe_select_create(device.context, &desc, &select, &error));
    return select;
}

static void run(trial *t) {
    clmoe_select *select = create(t);
    const size_t pairs = (size_t)t->tokens * t->slots;
    test_buffer logits = test_buffer_new(&device, (size_t)t->tokens * t->classes * 4, t->logits);
    test_buffer index = test_buffer_new(&device, pairs * 4, NULL), weight = test_buffer_new(&device, pairs * 4, NULL);
    test_buffer count = test_buffer_new(&device, 4, &t->valid);
    clmoe_select_io io;
    clmoe_select_io_default(&io, sizeof io);
    io.tokens = t->tokens;
    io.logits = logits.at;
    io.index = index.at;
    io.weight = weight.at;
    if (t->valid != -1) io.token_count = count.at;
    cl_event done = NULL;
    OK(clmoe_select_enqueue(select, NULL, device.queue, &io, 0, NULL, &done, &error));
    clmoe_select_destroy(select);
    assert_int_equal(clWaitForEvents(1, &done), CL_SUCCESS);
    assert_int_equal(clReleaseEvent(done), CL_SUCCESS);
    test_buffer_read(&device, &index, t->index);
    test_buffer_read(&device, &weight, t->weight);
    test_buffer_free(&device, &logits);
    test_buffer_free(&device, &index);
    test_buffer_free(&device, &weight);
    test_buffer_free(&device, &count);
}

/* Judges the first `tokens` tokens; at most one in ten may be undecided. */
static void judge(const trial *t, uint32_t tokens, const char *what) {
    char why[200] = "";
    uint32_t undecided = 0;
    for (uint32_t i = 0; i < tokens; i++) {
        const oracle_verdict verdict =
            oracle_select_token(&t->rule, t->logits + (size_t)i * t->classes, t->bias, t->expert_scale,
                                t->index + (size_t)i * t->slots, t->weight + (size_t)i * t->slots, why, sizeof why);
        if (verdict == ORACLE_WRONG) {
            fail_msg("%s, E = %u, K = %u, token %u of %u: %s", what, t->rule.num_experts, t->rule.top_k, i, t->tokens, why);
        }
        undecided += verdict == ORACLE_UNDECIDED;
    }
    if (undecided > 1 + tokens / 10) fail_msg("%s: %u of %u tokens undecided", what, undecided, tokens);
}

static void run_and_judge(trial *t, const char *what) {
    run(t);
    judge(t, t->tokens, what);
    free_trial(t);
}

/* ------------------------------------------------------------------------------------------------- rules */

static void adds_bias(trial *t, uint64_t stream) {
    test_random random = test_random_new(stream);
    t->bias = random_floats(&random, t->classes, 0.3);
}

static void adds_scale(trial *t, uint64_t stream) {
    test_random random = test_random_new(stream);
    t->expert_scale = random_floats(&random, t->classes, 1);
}

static void every_preset(void **state) {
    (void)state;
    const char *name = NULL;
    for (uint32_t i = 0; (name = clmoe_routing_preset_name(i)) != NULL; i++) {
        clmoe_routing rule = rule_of(64, 6);
        rule.scale = 2.5f;
        rule.n_group = 8;
        rule.topk_group = 3;
        OK(clmoe_routing_preset(&rule, name, &error));
        assert_true(rule.num_experts == 64 && rule.top_k == 6 && rule.n_group == 8 && rule.scale == 2.5f);
        if (rule.method == CLMOE_EXPERT_CHOICE) continue; /* has tests of its own */
        const int plain = rule.method == CLMOE_SPARSEMIXER || rule.score_position == CLMOE_SCORE_AFTER;
        if (rule.method == CLMOE_SPARSEMIXER) rule.top_k = 2;
        if (plain) rule.n_group = 1;
        for (int with_bias = 0; with_bias <= !plain; with_bias++) {
            trial t = new_trial(&rule, 40, 100 + i);
            if (with_bias) adds_bias(&t, i);
            run_and_judge(&t, name);
        }
    }
}

/* A preset's rule in words, to be compared with words written from the models' descriptions. */
static void in_words(const clmoe_routing *rule, char *text, size_t size) {
    static const char *const methods[] = {"", "sparsemixer ", "expert choice "};
    static const char *const score[] = {"logit", "softmax", "sigmoid", "sqrt_softplus"};
    static const char *const norm[] = {"", " sum", " p-norm"};
    int used = snprintf(text, size, "%s%s%s%s%s", methods[rule->method], score[rule->score],
                        rule->score_position == CLMOE_SCORE_AFTER ? " after" : "", norm[rule->normalize],
                        rule->bias_on == CLMOE_BIAS_ON_LOGIT ? " bias-on-logit" : "");
    if (rule->norm_eps > 0) used += snprintf(text + used, size - (size_t)used, " eps %g", (double)rule->norm_eps);
    if (rule->norm_floor > 0) used += snprintf(text + used, size - (size_t)used, " floor %.3g", (double)rule->norm_floor);
    (void)snprintf(text + used, size - (size_t)used, "%s%s%s", rule->group_score == CLMOE_GROUP_TOP2_SUM ? " top2" : "",
                   rule->group_mask == CLMOE_MASK_ZERO ? " mask0" : "",
                   rule->weight_on == CLMOE_WEIGHT_ON_INPUT ? " on-input" : "");
}

static void presets_say_what_models_do(void **state) {
    (void)state;
    static const struct {
        const char *words, *models;
    } rows[] = {
        {"softmax sum", "mixtral minimax qwen3_moe qwen3_next qwen3_5_moe qwen3_5_moe_text qwen3_vl_moe qwen3_vl_moe_text "
                        "qwen3_omni_moe_text qwen4_exp_text mellum hunyuan_v1_moe hunyuan gemma4 gemma4_text "
                        "diffusion_gemma_text"},
        {"softmax sum floor 1e-12", "ernie4_5_moe ernie4_5_vl_moe_text"},
        {"softmax sum floor 1.19e-07", "nllb-moe"},
        {"softmax", "qwen2_moe olmoe flex_olmo jamba deepseek_v2 longcat_flash zaya switch switch_transformers"},
        {"softmax p-norm", "dbrx"},
        {"softmax mask0", "deepseek_v2_group deepseek_ocr2_text unlimited_ocr_text"},
        {"softmax sum eps 1e-20 top2 mask0", "mistral4 mistral_large4_text"},
        {"sigmoid sum eps 1e-20 top2", "deepseek_v3 deepseek_v32 kimi_k2 kimi_linear glm4_moe glm4v_moe_text glm4_moe_lite "
                                       "glm_moe_dsa glm5_next_text dots1 dots3_note_text solar_open exaone_moe "
                                       "bailing_hybrid mimo_v2_flash nemotron_h hy_v4 axk1 beam"},
        {"sigmoid sum eps 1e-20 top2 mask0", "axk2"},
        {"sigmoid sum eps 1e-20", "afmoe hy_v3 inkling2_text"},
        {"sigmoid sum eps 1e-15", "muse_spark muse_spark_text"},
        {"sigmoid sum eps 1e-06", "lfm2_moe"},
        {"sigmoid sum", "minimax_m2 minimax_m3_vl_text step3p5 laguna flint inkling inkling_text"},
        {"sigmoid bias-on-logit", "kolibri kolibri1"},
        {"sqrt_softplus sum eps 1e-20", "deepseek_v4"},
        {"softmax after", "gpt_oss openai_privacy_filter granitemoe granitemoeshared granitemoehybrid granitemoe_swa jetmoe "
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
            clmoe_routing rule = rule_of(8, 2);
            OK(clmoe_routing_preset(&rule, name, &error));
            in_words(&rule, words, sizeof words);
            if (strcmp(words, rows[i].words) != 0) fail_msg("%s is \"%s\", expected \"%s\"", name, words, rows[i].words);
        }
    }
    clmoe_routing rule = rule_of(8, 2);
    OK(clmoe_routing_preset(&rule, "phimoe", &error));
    assert_true(rule.sparsemixer_eps == 0.01f);
    FAILS(clmoe_routing_preset(&rule, "no_such_model", &error), CLMOE_UNSUPPORTED, "no_such_model");
    assert_non_null(strstr(error.log, " mixtral "));
    assert_non_null(strstr(error.log, " expert_choice"));
    FAILS(clmoe_routing_preset(&rule, NULL, &error), CLMOE_INVALID_ARGUMENT, "model");
    FAILS(clmoe_routing_preset(NULL, "mixtral", &error), CLMOE_INVALID_ARGUMENT, "routing");
}

static void every_size(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1, 2, 31, 32, 71, 128, 129, 160, 256, 288, 512, 1024};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const uint32_t experts = sizes[i], counts[] = {1, 8, experts};
        for (size_t j = 0; j < 3; j++) {
            if (counts[j] > experts || (j == 2 && experts == 1)) continue;
            clmoe_routing rule = rule_of(experts, counts[j]);
            rule.normalize = j == 1 ? CLMOE_NORM_SUM : CLMOE_NORM_NONE;
            trial t = new_trial(&rule, 9, experts * 3 + j);
            run_and_judge(&t, "softmax");
        }
    }
}

/* Few distinct logits: equal keys everywhere, and the lower index must win. */
static void ties_go_to_the_lower_index(void **state) {
    (void)state;
    for (uint32_t kind = 0; kind < 4; kind++) {
        clmoe_routing rule = rule_of(kind == 1 ? 71 : 128, 16);
        rule.score = kind == 2 ? CLMOE_SIGMOID : kind == 3 ? CLMOE_SCORE_NONE : CLMOE_SOFTMAX;
        if (kind >= 2) {
            rule.n_group = 16;
            rule.topk_group = 5;
            rule.group_score = kind == 3 ? CLMOE_GROUP_TOP2_SUM : CLMOE_GROUP_MAX;
        }
        trial t = new_trial(&rule, 50, kind);
        for (size_t i = 0; i < (size_t)t.tokens * t.classes; i++) t.logits[i] = roundf(t.logits[i]);
        for (uint32_t c = 0; c < t.classes; c++) t.logits[c] = 3; /* one token of nothing but ties */
        if (kind == 1) t.logits[t.classes + 5] = 0.0f, t.logits[t.classes + 6] = -0.0f;
        run(&t);
        judge(&t, t.tokens, "ties");
        for (uint32_t k = 0; k < t.slots; k++) assert_int_equal(t.index[k], k);
        free_trial(&t);
    }
}

static void groups(void **state) {
    (void)state;
    static const struct {
        uint32_t experts, n_group, topk_group, top_k;
    } shapes[] = {{256, 8, 4, 8}, {160, 8, 3, 6}, {60, 4, 2, 5}, {64, 64, 9, 9}, {24, 12, 5, 10}, {512, 2, 1, 22}, {34, 2, 2, 34}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (uint32_t kind = 0; kind < 8; kind++) {
            clmoe_routing rule = rule_of(shapes[i].experts, shapes[i].top_k);
            rule.n_group = shapes[i].n_group;
            rule.topk_group = shapes[i].topk_group;
            rule.group_score = kind & 1 ? CLMOE_GROUP_TOP2_SUM : CLMOE_GROUP_MAX;
            rule.group_mask = kind & 2 ? CLMOE_MASK_ZERO : CLMOE_MASK_NEG_INF;
            rule.score = kind & 4 ? CLMOE_SIGMOID : CLMOE_SOFTMAX;
            if (rule.n_group == rule.num_experts && (kind & 1)) continue;
            trial t = new_trial(&rule, 30, 1000 + 8 * i + kind);
            if (kind & 4) adds_bias(&t, kind); /* some p + bias are negative: the masks differ */
            run_and_judge(&t, "groups");
        }
    }
}

/* One odd field at a time, and several at once. */
static void every_field(void **state) {
    (void)state;
    for (uint32_t kind = 0; kind < 16; kind++) {
        clmoe_routing rule = rule_of(45, 7);
        int bias = 0;
        switch (kind) {
            case 0: rule.logit_scale = -0.7f; break;
            case 1: rule.logit_softcap = 1.5f; rule.score = CLMOE_SIGMOID; bias = 1; break;
            case 2: rule.normalize = CLMOE_NORM_SUM; rule.norm_eps = 0.25f; break;
            case 3: rule.normalize = CLMOE_NORM_SUM; rule.norm_floor = 0.6f; bias = 1; break;
            case 4: rule.normalize = CLMOE_NORM_P; rule.norm_p = 1; break;
            case 5: rule.normalize = CLMOE_NORM_P; rule.norm_p = 2.5f; rule.norm_eps = 1e-3f; break;
            case 6: rule.score = CLMOE_SCORE_NONE; rule.normalize = CLMOE_NORM_P; rule.norm_p = 2; break;
            case 7: rule.zero_experts = 20; bias = 1; break;
            case 8: rule.skip_experts = 1; rule.zero_experts = 2; rule.top_k = 48; break;
            case 9: rule.always_experts = 3; rule.score = CLMOE_SIGMOID; rule.normalize = CLMOE_NORM_SUM; bias = 1; break;
            case 10: rule.always_experts = 44; rule.top_k = 1; rule.normalize = CLMOE_NORM_SUM; break;
            case 11: rule.always_experts = 2; rule.zero_experts = 5; rule.score_position = CLMOE_SCORE_AFTER; break;
            case 12: rule.score = CLMOE_SQRT_SOFTPLUS; rule.score_position = CLMOE_SCORE_AFTER; bias = 1;
                     rule.bias_on = CLMOE_BIAS_ON_LOGIT; break;
            case 13: rule.score = CLMOE_SIGMOID; rule.bias_on = CLMOE_BIAS_ON_LOGIT; bias = 1; break;
            case 14: rule.method = CLMOE_SPARSEMIXER; rule.top_k = 2; rule.sparsemixer_eps = 0.2f; rule.skip_experts = 1; break;
            default: rule.bias_on = CLMOE_BIAS_ON_LOGIT; rule.n_group = 5; rule.topk_group = 2; rule.scale = -3;
                     rule.group_mask = CLMOE_MASK_ZERO; bias = 1; break;
        }
        trial t = new_trial(&rule, 60, 2000 + kind);
        if (bias) adds_bias(&t, kind);
        if (kind % 2) adds_scale(&t, kind);
        char what[32];
        (void)snprintf(what, sizeof what, "field %u", kind);
        run_and_judge(&t, what);
    }
}

/* --------------------------------------------------------------------------------------------- not finite */

static void not_finite(void **state) {
    (void)state;
    static const float odd[] = {NAN, INFINITY, -INFINITY, -NAN, 3e38f, -3e38f};
    test_random random = test_random_new(77);
    for (uint32_t kind = 0; kind < 10; kind++) {
        clmoe_routing rule = rule_of(kind & 1 ? 37 : 64, 8);
        if (kind < 4) rule.score = kind;
        if (kind == 4) rule.normalize = CLMOE_NORM_SUM;
        if (kind == 5) rule.score_position = CLMOE_SCORE_AFTER;
        if (kind == 6 || kind == 8) rule.n_group = 8, rule.topk_group = 2;
        if (kind == 6) rule.group_score = CLMOE_GROUP_TOP2_SUM, rule.score = CLMOE_SIGMOID;
        if (kind == 8) rule.group_mask = CLMOE_MASK_ZERO;
        if (kind == 7) rule.logit_softcap = 20, rule.logit_scale = 2;
        if (kind == 9) rule.method = CLMOE_SPARSEMIXER, rule.top_k = 2;
        trial t = new_trial(&rule, 40, 3000 + kind);
        for (uint32_t i = 0; i < t.tokens; i++) {
            /* token 0: nothing but NaN; 1 and 2: nothing but one infinity; then more and more odd ones */
            for (uint32_t c = 0; c < t.classes; c++) {
                float *logit = &t.logits[(size_t)i * t.classes + c];
                if (i < 3) *logit = odd[i];
                else if (test_random_below(&random, 40) < i) *logit = odd[test_random_below(&random, 6)];
            }
        }
        run(&t);
        judge(&t, t.tokens, "not finite");
        for (uint32_t k = 0; k < t.slots; k++) {
            assert_int_equal(t.index[k], k);
            assert_true(isnan(t.weight[k]));
            if (rule.score == CLMOE_SOFTMAX) assert_true(t.weight[t.slots + k] >= 0);
        }
        free_trial(&t);
    }
}

static void nan_is_chosen_last(void **state) {
    (void)state;
    const clmoe_routing rule = rule_of(5, 4);
    trial t = new_trial(&rule, 1, 0);
    const float logits[] = {NAN, -INFINITY, 1, NAN, 2};
    memcpy(t.logits, logits, sizeof logits);
    run(&t);
    const int32_t wanted[] = {4, 2, 1, 0};
    assert_memory_equal(t.index, wanted, sizeof wanted);
    assert_true(fabsf(t.weight[0] - 0.7310586f) < 1e-6f && fabsf(t.weight[1] - 0.2689414f) < 1e-6f);
    assert_true(t.weight[2] == 0 && isnan(t.weight[3]));
    free_trial(&t);
}

/* ------------------------------------------------------------------------------------------------ tokens */

static void only_valid_tokens_are_written(void **state) {
    (void)state;
    static const int32_t valid[] = {0, 5, 12, 99, -3};
    for (size_t i = 0; i < 5; i++) {
        for (int choice = 0; choice < 2; choice++) {
            clmoe_routing rule = rule_of(32, 4);
            if (choice) rule.method = CLMOE_EXPERT_CHOICE;
            trial t = new_trial(&rule, 12, i);
            t.valid = valid[i];
            run(&t);
            const uint32_t n = valid[i] < 0 ? 0 : valid[i] > 12 ? 12 : (uint32_t)valid[i];
            char why[200] = "";
            if (!choice) judge(&t, n, "valid");
            else if (oracle_expert_choice(&rule, t.logits, n, NULL, t.index, t.weight, why, sizeof why) != ORACLE_RIGHT)
                fail_msg("%d valid tokens: %s", (int)valid[i], why);
            for (size_t j = (size_t)n * t.slots; j < (size_t)t.tokens * t.slots; j++) {
                uint32_t bits = 0;
                memcpy(&bits, &t.weight[j], 4);
                assert_int_equal((uint32_t)t.index[j], 0xCDCDCDCDu);
                assert_int_equal(bits, 0xCDCDCDCDu);
            }
            free_trial(&t);
        }
    }
}

static void more_tokens_than_groups(void **state) {
    (void)state;
    const clmoe_routing rule = rule_of(3, 2);
    trial t = new_trial(&rule, 65535 + 700, 5);
    run_and_judge(&t, "many tokens");
}

/* A token's bits are the same wherever it stands among whatever others. */
static void neighbours_do_not_matter(void **state) {
    (void)state;
    clmoe_routing rule = rule_of(71, 6);
    rule.norm_eps = 1e-3f;
    rule.normalize = CLMOE_NORM_SUM;
    trial many = new_trial(&rule, 65, 6), one = new_trial(&rule, 1, 7);
    run(&many);
    for (uint32_t i = 0; i < 65; i += 16) {
        memcpy(one.logits, many.logits + (size_t)i * 71, 71 * 4);
        run(&one);
        assert_memory_equal(one.index, many.index + (size_t)i * 6, 6 * 4);
        assert_memory_equal(one.weight, many.weight + (size_t)i * 6, 6 * 4);
    }
    free_trial(&many);
    free_trial(&one);
}

/* ----------------------------------------------------------------------------------------- expert choice */

static void experts_choose(void **state) {
    (void)state;
    static const struct {
        uint32_t experts, tokens;
        float factor;
    } shapes[] = {{8, 64, 2}, {1, 5, 1}, {71, 33, 1.1f}, {16, 1, 0.5f}, {16, 100, 0.01f}, {33, 20, 1000}, {20, 0, 1}, {10, 100, 1.1f}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (uint32_t kind = 0; kind < 3; kind++) {
            clmoe_routing rule = rule_of(shapes[i].experts, 1);
            rule.method = CLMOE_EXPERT_CHOICE;
            rule.capacity_factor = shapes[i].factor;
            rule.score = kind == 1 ? CLMOE_SIGMOID : CLMOE_SOFTMAX;
            rule.scale = 0.5f;
            trial t = new_trial(&rule, shapes[i].tokens, 4000 + i);
            if (kind == 1) adds_scale(&t, i);
            if (kind == 2) { /* equal tokens, and some that are NaN */
                for (uint32_t j = 1; j < t.tokens; j++)
                    memcpy(t.logits + (size_t)j * t.classes, t.logits + (size_t)(j % 3) * t.classes, t.classes * 4);
                for (uint32_t j = 4; j < t.tokens; j += 5) t.logits[(size_t)j * t.classes] = NAN;
            }
            run(&t);
            char why[200] = "";
            if (oracle_expert_choice(&rule, t.logits, t.tokens, t.expert_scale, t.index, t.weight, why, sizeof why))
                fail_msg("E = %u, T = %u, factor %g, kind %u: %s", rule.num_experts, t.tokens, (double)rule.capacity_factor,
                         kind, why);
            free_trial(&t);
        }
    }
}

/* ------------------------------------------------------------------------------------------------ errors */

static void invalid_rules(void **state) {
    (void)state;
    clmoe_routing rule;
#define REFUSED(field, text, ...)                                                                 \
    rule = rule_of(8, 2), __VA_ARGS__;                                                            \
    FAILS(clmoe_routing_validate(&rule, &error), CLMOE_INVALID_ARGUMENT, field);                  \
    assert_string_equal(error.argument, field);                                                   \
    if (strstr(error.message, text) == NULL) fail_msg("\"%s\" lacks \"%s\"", error.message, text)
    REFUSED("routing.top_k", "top_k is 9, expected 1..8", rule.top_k = 9);
    REFUSED("routing.top_k", "top_k is 0, expected 1..8", rule.top_k = 0);
    REFUSED("routing.top_k", "expected 1..6", rule.always_experts = 3, rule.zero_experts = 1, rule.top_k = 7);
    REFUSED("routing.num_experts", "expected 1..1024", rule.num_experts = 0);
    REFUSED("routing.num_experts", "is 1025", rule.num_experts = 1025);
    REFUSED("routing.zero_experts", "expected 0..1016", rule.zero_experts = 1017);
    REFUSED("routing.skip_experts", "expected 0..16", rule.zero_experts = 1000, rule.skip_experts = UINT32_MAX);
    REFUSED("routing.always_experts", "expected 0..7", rule.always_experts = 8);
    REFUSED("routing.method", "is 3", rule.method = 3);
    REFUSED("routing.score", "is 4", rule.score = 4);
    REFUSED("routing.score_position", "is 2", rule.score_position = 2);
    REFUSED("routing.bias_on", "is 2", rule.bias_on = 2);
    REFUSED("routing.group_score", "is 2", rule.group_score = 2);
    REFUSED("routing.group_mask", "is 2", rule.group_mask = 2);
    REFUSED("routing.normalize", "is 3", rule.normalize = 3);
    REFUSED("routing.weight_on", "is 2", rule.weight_on = 2);
    REFUSED("routing.logit_scale", "finite", rule.logit_scale = INFINITY);
    REFUSED("routing.logit_softcap", ">= 0", rule.logit_softcap = -1);
    REFUSED("routing.norm_eps", ">= 0", rule.norm_eps = NAN);
    REFUSED("routing.norm_floor", ">= 0", rule.norm_floor = -0.5f);
    REFUSED("routing.norm_p", "> 0", rule.norm_p = 0);
    REFUSED("routing.scale", "finite", rule.scale = NAN);
    REFUSED("routing.sparsemixer_eps", ">= 0", rule.sparsemixer_eps = -1);
    REFUSED("routing.capacity_factor", "> 0", rule.capacity_factor = 0);
    REFUSED("routing.n_group", "divisor of 8", rule.n_group = 3);
    REFUSED("routing.n_group", "zero, skip or always", rule.n_group = 2, rule.zero_experts = 1);
    REFUSED("routing.n_group", "TOP_K", rule.n_group = 2, rule.method = CLMOE_SPARSEMIXER);
    REFUSED("routing.topk_group", "expected 1..4", rule.n_group = 4, rule.topk_group = 5);
    REFUSED("routing.topk_group", "expected 2 or more", rule.n_group = 4, rule.top_k = 3);
    REFUSED("routing.group_score", "expected 1..4", rule.n_group = 8, rule.topk_group = 8, rule.group_score = 1);
    REFUSED("routing.top_k", "expected 2", rule.method = CLMOE_SPARSEMIXER, rule.top_k = 1);
    REFUSED("routing.score", "SPARSEMIXER", rule.method = CLMOE_SPARSEMIXER, rule.score = CLMOE_SIGMOID);
    REFUSED("routing.normalize", "SPARSEMIXER", rule.method = CLMOE_SPARSEMIXER, rule.normalize = 1);
    REFUSED("routing.normalize", "EXPERT_CHOICE", rule.method = CLMOE_EXPERT_CHOICE, rule.normalize = 1);
    REFUSED("routing.score_position", "BEFORE", rule.method = CLMOE_EXPERT_CHOICE, rule.score_position = 1);
    REFUSED("routing.always_experts", "EXPERT_CHOICE", rule.method = CLMOE_EXPERT_CHOICE, rule.always_experts = 1);
    REFUSED("routing.zero_experts", "EXPERT_CHOICE", rule.method = CLMOE_EXPERT_CHOICE, rule.zero_experts = 1);
    REFUSED("routing.skip_experts", "EXPERT_CHOICE", rule.method = CLMOE_EXPERT_CHOICE, rule.skip_experts = 1);
#undef REFUSED
    FAILS(clmoe_routing_validate(NULL, &error), CLMOE_INVALID_ARGUMENT, "routing");
    rule = rule_of(8, 2);
    rule.struct_size = 0;
    FAILS(clmoe_routing_validate(&rule, &error), CLMOE_INVALID_ARGUMENT, "struct_size");
    rule = rule_of(UINT32_MAX, UINT32_MAX);
    rule.zero_experts = 1;
    rule.always_experts = 1;
    assert_int_equal(clmoe_routing_classes(&rule), 0);
    assert_int_equal(clmoe_routing_slots(&rule), 0);
}

static void invalid_descriptions(void **state) {
    (void)state;
    clmoe_select_desc desc;
    clmoe_select_desc_default(&desc, sizeof desc);
    desc.routing = rule_of(8, 2);
    float values[8] = {0};
    clmoe_select *select = (clmoe_select *)&desc;
    FAILS(clmoe_select_create(NULL, &desc, &select, &error), CLMOE_INVALID_ARGUMENT, "context");
    assert_null(select);
    FAILS(clmoe_select_create(device.context, NULL, &select, &error), CLMOE_INVALID_ARGUMENT, "desc");
    FAILS(clmoe_select_create(device.context, &desc, NULL, &error), CLMOE_INVALID_ARGUMENT, "select");
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
    desc.expert_scale = (clmoe_tensor){.format = CLMOE_F32, .host = values, .reserved = {1, 0}};
    FAILS(clmoe_select_create(device.context, &desc, &select, &error), CLMOE_INVALID_ARGUMENT, "expert_scale");
    assert_null(select);
}

static void invalid_io(void **state) {
    (void)state;
    const clmoe_routing rule = rule_of(8, 2);
    trial t = new_trial(&rule, 3, 1);
    clmoe_select *select = create(&t);
    test_buffer logits = test_buffer_new(&device, 3 * 8 * 4, t.logits);
    test_buffer out = test_buffer_new(&device, 3 * 2 * 4, NULL);
    clmoe_select_io good, io;
    clmoe_select_io_default(&good, sizeof good);
    good.tokens = 3;
    good.logits = logits.at;
    good.index = out.at;
    good.weight = out.at;
#define REFUSED(text, ...)                                                                                            \
    io = good, __VA_ARGS__;                                                                                           \
    FAILS(clmoe_select_enqueue(select, NULL, device.queue, &io, 0, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, text)
    REFUSED("io.logits", io.logits.kind = CLMOE_BUFFER_NONE);
    REFUSED("io.logits", io.logits.kind = 7);
    REFUSED("io.logits", io.logits.offset += 2);
    REFUSED("io.index", io.index.kind = CLMOE_BUFFER_NONE);
    REFUSED("io.index", io.index.offset += 64 + 8);
    REFUSED("io.weight", io.weight.handle = NULL);
    REFUSED("io.token_count", io.token_count = out.at, io.token_count.offset = 3);
    REFUSED("io.tokens", io.tokens = UINT32_MAX);
    REFUSED("io.tokens", io.tokens = 1u << 30);
    REFUSED("struct_size", io.struct_size = 3);
#undef REFUSED
    FAILS(clmoe_select_enqueue(NULL, NULL, device.queue, &good, 0, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "select");
    FAILS(clmoe_select_enqueue(select, NULL, device.queue, NULL, 0, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "io");
    FAILS(clmoe_select_enqueue(select, NULL, NULL, &good, 0, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "queue");
    int32_t untouched[6];
    test_buffer_read(&device, &out, untouched);
    for (size_t i = 0; i < 6; i++) assert_int_equal((uint32_t)untouched[i], 0xCDCDCDCDu);
    clmoe_select_destroy(select);
    clmoe_select_destroy(NULL);
    test_buffer_free(&device, &logits);
    test_buffer_free(&device, &out);
    free_trial(&t);
}

/* -------------------------------------------------------------------------------------------------- load */

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

/* The same kernels with narrower vectors: other tails, other folds. */
static void narrower_vectors(void **state) {
    const test_device wide = device;
    for (uint32_t width = 4; width <= 8; width *= 2) {
        clmoe_context_desc desc;
        clmoe_context_desc_default(&desc, sizeof desc);
        desc.vector_width = width;
        device = test_open(&desc);
        groups(state);
        every_field(state);
        not_finite(state);
        experts_choose(state);
        test_close(&device);
    }
    device = wide;
}

static int open_device(void **state) {
    (void)state;
    device = test_open(NULL);
    return 0;
}

static int close_device(void **state) {
    (void)state;
    test_close(&device);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets_say_what_models_do),
        cmocka_unit_test(every_preset),
        cmocka_unit_test(every_size),
        cmocka_unit_test(ties_go_to_the_lower_index),
        cmocka_unit_test(groups),
        cmocka_unit_test(every_field),
        cmocka_unit_test(not_finite),
        cmocka_unit_test(nan_is_chosen_last),
        cmocka_unit_test(only_valid_tokens_are_written),
        cmocka_unit_test(more_tokens_than_groups),
        cmocka_unit_test(neighbours_do_not_matter),
        cmocka_unit_test(experts_choose),
        cmocka_unit_test(invalid_rules),
        cmocka_unit_test(invalid_descriptions),
        cmocka_unit_test(invalid_io),
        cmocka_unit_test(load_statistics),
        cmocka_unit_test(narrower_vectors),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
