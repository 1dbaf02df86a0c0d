/* The select stage against oracle_select: every rule, every size, ties, groups, what is not finite, expert choice.
 * CLMOE_TEST_SMALL=1 and CLMOE_TEST_SHORT=1 leave out what takes long on devices that check every access or compile
 * slowly. Narrower vectors, which have other tails and other folds, are among the devices of conformance.cmake. */
#include "one_device.h"
#include "select_trial.h"

#include <math.h>
#include <stdio.h>

static clmoe_error error = {.struct_size = sizeof error};

static void every_preset(void **state) {
    (void)state;
    const char *name = NULL;
    for (uint32_t i = 0; (name = clmoe_routing_preset_name(i)) != NULL; i++) {
        clmoe_routing rule = trial_rule(64, 6);
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
            trial t = trial_new(&rule, 40, 100 + i);
            if (with_bias) trial_add_bias(&t, i);
            trial_pass(&device, &t, name);
        }
    }
}

/* Of each size two of three counts, in turns: every one is a kernel. */
static void every_size(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1, 2, 31, 32, 71, 128, 129, 160, 256, 288, 512, 1024};
    test_random random = test_random_new(76);
    const uint32_t turn = test_random_below(&random, 3);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const uint32_t experts = sizes[i], counts[] = {1, 8, experts};
        for (size_t j = 0; j < 3; j++) {
            if (counts[j] > experts || (j == 2 && experts == 1) || (i + j) % 3 == turn) continue;
            clmoe_routing rule = trial_rule(experts, counts[j]);
            rule.normalize = j == 1 ? CLMOE_NORM_SUM : CLMOE_NORM_NONE;
            trial t = trial_new(&rule, 9, experts * 3 + j);
            trial_pass(&device, &t, "softmax");
        }
    }
}

/* Few distinct logits: equal keys everywhere, and the lower index must win. */
static void ties_go_to_the_lower_index(void **state) {
    (void)state;
    for (uint32_t kind = 0; kind < 4; kind++) {
        clmoe_routing rule = trial_rule(kind == 1 ? 71 : 128, 16);
        rule.score = kind == 2 ? CLMOE_SIGMOID : kind == 3 ? CLMOE_SCORE_NONE : CLMOE_SOFTMAX;
        if (kind >= 2) {
            rule.n_group = 16;
            rule.topk_group = 5;
            rule.group_score = kind == 3 ? CLMOE_GROUP_TOP2_SUM : CLMOE_GROUP_MAX;
        }
        trial t = trial_new(&rule, 50, kind);
        for (size_t i = 0; i < (size_t)t.tokens * t.classes; i++) t.logits[i] = roundf(t.logits[i]);
        for (uint32_t c = 0; c < t.classes; c++) t.logits[c] = 3; /* one token of nothing but ties */
        if (kind == 1) t.logits[t.classes + 5] = 0.0f, t.logits[t.classes + 6] = -0.0f;
        trial_run(&device, &t);
        trial_judge(&t, t.tokens, "ties");
        for (uint32_t k = 0; k < t.slots; k++) assert_int_equal(t.index[k], k);
        trial_free(&t);
    }
}

/* Of the eight kinds of rules every shape meets four, in turns, among them each pair of properties. */
static void groups(void **state) {
    (void)state;
    test_random random = test_random_new(78);
    const uint32_t turn = test_random_below(&random, 2);
    static const struct {
        uint32_t experts, n_group, topk_group, top_k;
    } shapes[] = {{256, 8, 4, 8},  {160, 8, 3, 6},  {60, 4, 2, 5}, {64, 64, 9, 9},
                  {24, 12, 5, 10}, {512, 2, 1, 22}, {34, 2, 2, 34}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (uint32_t kind = 0; kind < 8; kind++) {
            if ((kind ^ kind >> 1 ^ kind >> 2 ^ (uint32_t)i ^ turn) & 1) continue;
            clmoe_routing rule = trial_rule(shapes[i].experts, shapes[i].top_k);
            rule.n_group = shapes[i].n_group;
            rule.topk_group = shapes[i].topk_group;
            rule.group_score = kind & 1 ? CLMOE_GROUP_TOP2_SUM : CLMOE_GROUP_MAX;
            rule.group_mask = kind & 2 ? CLMOE_MASK_ZERO : CLMOE_MASK_NEG_INF;
            rule.score = kind & 4 ? CLMOE_SIGMOID : CLMOE_SOFTMAX;
            if (rule.n_group == rule.num_experts && (kind & 1)) continue;
            trial t = trial_new(&rule, 30, 1000 + 8 * i + kind);
            if (kind & 4) trial_add_bias(&t, kind); /* some p + bias are negative: the masks differ */
            trial_pass(&device, &t, "groups");
        }
    }
}

/* One odd field at a time, and several at once. */
static void every_field(void **state) {
    (void)state;
    for (uint32_t kind = 0; kind < 16; kind++) {
        clmoe_routing rule = trial_rule(45, 7);
        int bias = 0;
        switch (kind) {
            case 0: rule.logit_scale = -0.7f; break;
            case 1:
                rule.logit_softcap = 1.5f;
                rule.score = CLMOE_SIGMOID;
                bias = 1;
                break;
            case 2:
                rule.normalize = CLMOE_NORM_SUM;
                rule.norm_eps = 0.25f;
                break;
            case 3:
                rule.normalize = CLMOE_NORM_SUM;
                rule.norm_floor = 0.6f;
                bias = 1;
                break;
            case 4:
                rule.normalize = CLMOE_NORM_P;
                rule.norm_p = 1;
                break;
            case 5:
                rule.normalize = CLMOE_NORM_P;
                rule.norm_p = 2.5f;
                rule.norm_eps = 1e-3f;
                break;
            case 6:
                rule.score = CLMOE_SCORE_NONE;
                rule.normalize = CLMOE_NORM_P;
                rule.norm_p = 2;
                break;
            case 7:
                rule.zero_experts = 20;
                bias = 1;
                break;
            case 8:
                rule.skip_experts = 1;
                rule.zero_experts = 2;
                rule.top_k = 48;
                break;
            case 9:
                rule.always_experts = 3;
                rule.score = CLMOE_SIGMOID;
                rule.normalize = CLMOE_NORM_SUM;
                bias = 1;
                break;
            case 10:
                rule.always_experts = 44;
                rule.top_k = 1;
                rule.normalize = CLMOE_NORM_SUM;
                break;
            case 11:
                rule.always_experts = 2;
                rule.zero_experts = 5;
                rule.score_position = CLMOE_SCORE_AFTER;
                break;
            case 12:
                rule.score = CLMOE_SQRT_SOFTPLUS;
                rule.score_position = CLMOE_SCORE_AFTER;
                bias = 1;
                rule.bias_on = CLMOE_BIAS_ON_LOGIT;
                break;
            case 13:
                rule.score = CLMOE_SIGMOID;
                rule.bias_on = CLMOE_BIAS_ON_LOGIT;
                bias = 1;
                break;
            case 14:
                rule.method = CLMOE_SPARSEMIXER;
                rule.top_k = 2;
                rule.sparsemixer_eps = 0.2f;
                rule.skip_experts = 1;
                break;
            default:
                rule.bias_on = CLMOE_BIAS_ON_LOGIT;
                rule.n_group = 5;
                rule.topk_group = 2;
                rule.scale = -3;
                rule.group_mask = CLMOE_MASK_ZERO;
                bias = 1;
                break;
        }
        trial t = trial_new(&rule, 60, 2000 + kind);
        if (bias) trial_add_bias(&t, kind);
        if (kind % 2) trial_add_scale(&t, kind);
        char what[32];
        (void)snprintf(what, sizeof what, "field %u", kind);
        trial_pass(&device, &t, what);
    }
}

/* --------------------------------------------------------------------------------------------- not finite */

static void not_finite(void **state) {
    (void)state;
    static const float odd[] = {NAN, INFINITY, -INFINITY, -NAN, 3e38f, -3e38f};
    test_random random = test_random_new(77);
    for (uint32_t kind = 0; kind < 10; kind++) {
        clmoe_routing rule = trial_rule(kind & 1 ? 37 : 64, 8);
        if (kind < 4) rule.score = kind;
        if (kind == 4) rule.normalize = CLMOE_NORM_SUM;
        if (kind == 5) rule.score_position = CLMOE_SCORE_AFTER;
        if (kind == 6 || kind == 8) rule.n_group = 8, rule.topk_group = 2;
        if (kind == 6) rule.group_score = CLMOE_GROUP_TOP2_SUM, rule.score = CLMOE_SIGMOID;
        if (kind == 8) rule.group_mask = CLMOE_MASK_ZERO;
        if (kind == 7) rule.logit_softcap = 20, rule.logit_scale = 2;
        if (kind == 9) rule.method = CLMOE_SPARSEMIXER, rule.top_k = 2;
        trial t = trial_new(&rule, 40, 3000 + kind);
        for (uint32_t i = 0; i < t.tokens; i++) {
            /* token 0: nothing but NaN; 1 and 2: nothing but one infinity; then more and more odd ones */
            for (uint32_t c = 0; c < t.classes; c++) {
                float *logit = &t.logits[(size_t)i * t.classes + c];
                if (i < 3)
                    *logit = odd[i];
                else if (test_random_below(&random, 40) < i)
                    *logit = odd[test_random_below(&random, 6)];
            }
        }
        trial_run(&device, &t);
        trial_judge(&t, t.tokens, "not finite");
        for (uint32_t k = 0; k < t.slots; k++) {
            assert_int_equal(t.index[k], k);
            assert_true(isnan(t.weight[k]));
            if (rule.score == CLMOE_SOFTMAX) assert_true(t.weight[t.slots + k] >= 0);
        }
        trial_free(&t);
    }
}

static void nan_is_chosen_last(void **state) {
    (void)state;
    const clmoe_routing rule = trial_rule(5, 4);
    trial t = trial_new(&rule, 1, 0);
    const float logits[] = {NAN, -INFINITY, 1, NAN, 2};
    memcpy(t.logits, logits, sizeof logits);
    trial_run(&device, &t);
    const int32_t wanted[] = {4, 2, 1, 0};
    assert_memory_equal(t.index, wanted, sizeof wanted);
    assert_true(fabsf(t.weight[0] - 0.7310586f) < 1e-6f && fabsf(t.weight[1] - 0.2689414f) < 1e-6f);
    assert_true(t.weight[2] == 0 && isnan(t.weight[3]));
    trial_free(&t);
}

/* ------------------------------------------------------------------------------------------------ tokens */

static void only_valid_tokens_are_written(void **state) {
    (void)state;
    static const int32_t valid[] = {0, 5, 12, 99, -3};
    for (size_t i = 0; i < 5; i++) {
        for (int choice = 0; choice < 2; choice++) {
            clmoe_routing rule = trial_rule(32, 4);
            if (choice) rule.method = CLMOE_EXPERT_CHOICE;
            trial t = trial_new(&rule, 12, i);
            t.valid = valid[i];
            trial_run(&device, &t);
            const uint32_t n = valid[i] < 0 ? 0 : valid[i] > 12 ? 12 : (uint32_t)valid[i];
            char why[200] = "";
            if (!choice)
                trial_judge(&t, n, "valid");
            else if (oracle_expert_choice(&rule, t.logits, n, NULL, t.index, t.weight, why, sizeof why) != ORACLE_RIGHT)
                fail_msg("%d valid tokens: %s", (int)valid[i], why);
            for (size_t j = (size_t)n * t.slots; j < (size_t)t.tokens * t.slots; j++) {
                uint32_t bits = 0;
                memcpy(&bits, &t.weight[j], 4);
                assert_int_equal((uint32_t)t.index[j], 0xCDCDCDCDu);
                assert_int_equal(bits, 0xCDCDCDCDu);
            }
            trial_free(&t);
        }
    }
}

static void more_tokens_than_groups(void **state) {
    (void)state;
    const clmoe_routing rule = trial_rule(3, 2);
    trial t = trial_new(&rule, 65535 + 700, 5);
    trial_pass(&device, &t, "many tokens");
}

/* A token's bits are the same wherever it stands among whatever others. */
static void neighbours_do_not_matter(void **state) {
    (void)state;
    clmoe_routing rule = trial_rule(71, 6);
    rule.norm_eps = 1e-3f;
    rule.normalize = CLMOE_NORM_SUM;
    trial many = trial_new(&rule, 65, 6), one = trial_new(&rule, 1, 7);
    trial_run(&device, &many);
    for (uint32_t i = 0; i < 65; i += 16) {
        memcpy(one.logits, many.logits + (size_t)i * 71, 71 * 4);
        trial_run(&device, &one);
        assert_memory_equal(one.index, many.index + (size_t)i * 6, 6 * 4);
        assert_memory_equal(one.weight, many.weight + (size_t)i * 6, 6 * 4);
    }
    trial_free(&many);
    trial_free(&one);
}

/* ----------------------------------------------------------------------------------------- expert choice */

static void experts_choose(void **state) {
    (void)state;
    static const struct {
        uint32_t experts, tokens;
        float factor;
    } shapes[] = {{8, 64, 2},       {1, 5, 1},      {71, 33, 1.1f}, {16, 1, 0.5f},
                  {16, 100, 0.01f}, {33, 20, 1000}, {20, 0, 1},     {10, 100, 1.1f}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (uint32_t kind = 0; kind < 3; kind++) {
            clmoe_routing rule = trial_rule(shapes[i].experts, 1);
            rule.method = CLMOE_EXPERT_CHOICE;
            rule.capacity_factor = shapes[i].factor;
            rule.score = kind == 1 ? CLMOE_SIGMOID : CLMOE_SOFTMAX;
            rule.scale = 0.5f;
            trial t = trial_new(&rule, shapes[i].tokens, 4000 + i);
            if (kind == 1) trial_add_scale(&t, i);
            if (kind == 2) { /* equal tokens, and some that are NaN */
                for (uint32_t j = 1; j < t.tokens; j++)
                    memcpy(t.logits + (size_t)j * t.classes, t.logits + (size_t)(j % 3) * t.classes, t.classes * 4);
                for (uint32_t j = 4; j < t.tokens; j += 5) t.logits[(size_t)j * t.classes] = NAN;
            }
            trial_run(&device, &t);
            char why[200] = "";
            if (oracle_expert_choice(&rule, t.logits, t.tokens, t.expert_scale, t.index, t.weight, why, sizeof why))
                fail_msg("E = %u, T = %u, factor %g, kind %u: %s", rule.num_experts, t.tokens,
                         (double)rule.capacity_factor, kind, why);
            trial_free(&t);
        }
    }
}

int main(void) {
    const struct CMUnitTest small[] = {
        cmocka_unit_test(ties_go_to_the_lower_index),
        cmocka_unit_test(groups),
        cmocka_unit_test(every_field),
        cmocka_unit_test(not_finite),
        cmocka_unit_test(nan_is_chosen_last),
        cmocka_unit_test(only_valid_tokens_are_written),
        cmocka_unit_test(experts_choose),
    };
    const struct CMUnitTest large[] = {
        cmocka_unit_test(every_preset),
        cmocka_unit_test(every_size),
        cmocka_unit_test(more_tokens_than_groups),
        cmocka_unit_test(neighbours_do_not_matter),
    };
    const int failed = cmocka_run_group_tests(small, open_device, close_device);
    if (getenv("CLMOE_TEST_SMALL") != NULL || getenv("CLMOE_TEST_SHORT") != NULL) return failed;
    return failed + cmocka_run_group_tests(large, open_device, close_device);
}
