/* The select stage as devices that are not CPUs run it, a token by a team of work-items (cl/select_team.clh): against
 * oracle_select, and against the vectors of a CPU, whose sums have the same order. The device only claims to be
 * something else than a CPU. CLMOE_TEST_SMALL=1 and CLMOE_TEST_SHORT=1: few tokens and experts, for devices that check
 * every access or compile slowly. */
#include <math.h>
#include <stdio.h>

#include "opencl/context.h"
#include "select_trial.h"

static test_device device;
static int saved_is_cpu;

/* What each bit of a row's `also` adds to its rule. */
enum { BIAS = 1, SCALES = 2, SIGMOID = 4, AFTER = 8, SUM = 16, BY_P = 32, TOP2 = 64, ZERO_MASK = 128, ODD = 256 };
enum { TIES = 512, NO_SCORE = 1024 };

typedef struct row {
    const char *name;
    uint32_t experts, top_k, n_group, topk_group, always, zero_experts, tokens, also;
} row;

static const row rows[] = {
    {"one expert", 1, 1, 1, 1, 0, 0, 9, 0},
    {"three experts, more tokens than a group has teams", 3, 2, 1, 1, 0, 0, 300, SCALES},
    {"a team of eight", 8, 2, 1, 1, 0, 0, 5, AFTER},
    {"softmax over all", 64, 6, 1, 1, 0, 0, 37, SCALES},
    {"softmax with a sum, not finite", 71, 8, 1, 1, 0, 0, 40, SUM | ODD},
    {"bias on scores, not finite", 60, 6, 1, 1, 0, 0, 40, BIAS | SIGMOID | ODD},
    {"logits and their sum", 160, 40, 1, 1, 0, 0, 30, NO_SCORE | SUM | SCALES},
    {"powers", 45, 7, 1, 1, 0, 0, 20, BY_P | SIGMOID},
    {"zero and always experts", 45, 6, 1, 1, 3, 5, 30, AFTER | SCALES},
    {"ties", 128, 16, 1, 1, 0, 0, 21, SUM | TIES},
    {"groups by their two best", 256, 8, 8, 4, 0, 0, 10, BIAS | SIGMOID | SUM | TOP2},
    {"groups of two, not finite", 24, 10, 12, 5, 0, 0, 40, SIGMOID | BIAS | ZERO_MASK | ODD},
    {"a group each, ties", 64, 9, 64, 9, 0, 0, 40, TIES},
    {"every expert chosen", 34, 34, 2, 2, 0, 0, 17, SUM | SCALES},
};

static int is_checked(void) { return getenv("CLMOE_TEST_SMALL") != NULL; }
static int is_small(void) { return is_checked() || getenv("CLMOE_TEST_SHORT") != NULL; }

static trial make_trial(const row *r, uint64_t stream) {
    clmoe_routing rule = trial_rule(r->experts, r->top_k);
    rule.n_group = r->n_group;
    rule.topk_group = r->topk_group;
    rule.always_experts = r->always;
    rule.zero_experts = r->zero_experts;
    rule.scale = 1.5f;
    if (r->also & SIGMOID) rule.score = CLMOE_SIGMOID;
    if (r->also & NO_SCORE) rule.score = CLMOE_SCORE_NONE;
    if (r->also & AFTER) rule.score_position = CLMOE_SCORE_AFTER;
    if (r->also & SUM) rule.normalize = CLMOE_NORM_SUM, rule.norm_eps = 1e-3f;
    if (r->also & BY_P) rule.normalize = CLMOE_NORM_P, rule.norm_p = 2.5f;
    if (r->also & TOP2) rule.group_score = CLMOE_GROUP_TOP2_SUM;
    if (r->also & ZERO_MASK) rule.group_mask = CLMOE_MASK_ZERO;
    trial t = trial_new(&rule, is_small() && r->tokens > 6 ? 6 : r->tokens, stream);
    if (r->also & BIAS) trial_add_bias(&t, stream);
    if (r->also & SCALES) trial_add_scale(&t, stream);
    return t;
}

/* Token 0 becomes nothing but NaN, 1 and 2 nothing but one infinity; others have more and more of them. */
static void make_odd(trial *t) {
    static const float odd[] = {NAN, INFINITY, -INFINITY, -NAN, 3e38f, -3e38f};
    test_random random = test_random_new(77);
    for (uint32_t i = 0; i < t->tokens; i++) {
        for (uint32_t c = 0; c < t->classes; c++) {
            float *logit = &t->logits[(size_t)i * t->classes + c];
            if (i < 3) *logit = odd[i];
            else if (test_random_below(&random, 40) < i) *logit = odd[test_random_below(&random, 6)];
        }
    }
}

/* Equal to the bit if no exp() stands between logit and weight: drivers compute that of a vector otherwise than that of
 * a number, a unit in the last place apart. */
static int agree(float a, float b, int exact) {
    if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
    return exact ? memcmp(&a, &b, sizeof a) == 0 : fabsf(a - b) <= 2e-6f * fabsf(b);
}

static void compare(const trial *team, const trial *vector, const row *r) {
    for (size_t i = 0; i < (size_t)team->tokens * team->slots; i++) {
        if (team->index[i] != vector->index[i])
            fail_msg("%s: pair %zu: expert %d by a team, %d by vectors", r->name, i, (int)team->index[i],
                     (int)vector->index[i]);
        if (!agree(team->weight[i], vector->weight[i], (r->also & NO_SCORE) != 0))
            fail_msg("%s: pair %zu: weight %a by a team, %a by vectors", r->name, i, (double)team->weight[i],
                     (double)vector->weight[i]);
    }
}

static void run_as(trial *t, int is_cpu) {
    device.context->device.is_cpu = is_cpu;
    trial_run(&device, t);
    device.context->device.is_cpu = saved_is_cpu;
}

static void every_row(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (is_small() && rows[i].experts > 100) continue;
        trial t = make_trial(&rows[i], 50 + i), other = make_trial(&rows[i], 50 + i);
        if (rows[i].also & TIES)
            for (size_t j = 0; j < (size_t)t.tokens * t.classes; j++) t.logits[j] = roundf(t.logits[j]);
        if (rows[i].also & ODD) make_odd(&t);
        memcpy(other.logits, t.logits, (size_t)t.tokens * t.classes * sizeof *t.logits);
        run_as(&t, 0);
        trial_judge(&t, t.tokens, rows[i].name);
        if (!is_small() && saved_is_cpu && device.context->device.vector_width == 16) {
            run_as(&other, 1);
            compare(&t, &other, &rows[i]);
        }
        trial_free(&t);
        trial_free(&other);
    }
}

static void sparsemixer(void **state) {
    (void)state;
    clmoe_routing rule = trial_rule(45, 2);
    rule.method = CLMOE_SPARSEMIXER;
    rule.sparsemixer_eps = 0.2f;
    rule.skip_experts = 1;
    trial t = trial_new(&rule, is_small() ? 5 : 40, 5);
    make_odd(&t);
    run_as(&t, 0);
    trial_judge(&t, t.tokens, "sparsemixer");
    trial_free(&t);
}

/* Experts choose: a work-group has some of them, and its work-items share the tokens out. */
typedef struct choice {
    uint32_t experts, tokens;
    float factor;
    uint32_t also;
} choice;

static const choice choices[] = {{33, 70, 1, 0},       {1, 5, 1, 0},      {6, 257, 1.3f, SCALES},
                                 {71, 33, 1.1f, ODD},  {5, 200, 1.7f, TIES}, {16, 100, 0.01f, TIES},
                                 {9, 20, 1000, 0},     {20, 0, 1, 0}};

static void choose_as_team(const choice *c, uint64_t stream) {
    clmoe_routing rule = trial_rule(c->experts, 1);
    rule.method = CLMOE_EXPERT_CHOICE;
    rule.capacity_factor = c->factor;
    trial t = trial_new(&rule, is_small() && c->tokens > 11 ? 11 : c->tokens, stream);
    if (c->also & SCALES) trial_add_scale(&t, stream);
    if (c->also & ODD) make_odd(&t);
    for (uint32_t i = 3; i < t.tokens && c->also & TIES; i++) /* equal tokens, near each other and far apart */
        memcpy(t.logits + (size_t)i * t.classes, t.logits + (size_t)(i % 3) * t.classes, t.classes * sizeof *t.logits);
    run_as(&t, 0);
    char why[200] = "";
    if (oracle_expert_choice(&rule, t.logits, t.tokens, t.expert_scale, t.index, t.weight, why, sizeof why))
        fail_msg("%u experts, %u tokens: %s", c->experts, t.tokens, why);
    trial_free(&t);
}

static void expert_choice(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++)
        if (!is_small() || choices[i].experts < 17) choose_as_team(&choices[i], 300 + i);
}

/* Teams narrower than the classes, and work-items alone, on devices with small groups or little local memory. */
static void small_devices(void **state) {
    (void)state;
    static const struct {
        uint32_t work_group;
        uint64_t local_bytes;
    } limits[] = {{4, 0}, {2, 0}, {0, 1024}};
    if (is_small()) return;
    const test_device whole = device;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        clmoe_context_desc desc;
        clmoe_context_desc_default(&desc, sizeof desc);
        desc.max_work_group_size = limits[i].work_group;
        desc.max_local_bytes = limits[i].local_bytes;
        device = test_open(&desc);
        trial t = make_trial(&rows[10], 90);
        run_as(&t, 0);
        trial_judge(&t, t.tokens, "small device");
        trial_free(&t);
        for (size_t c = 0; c < 3; c++) choose_as_team(&choices[2 * c], 400 + c);
        test_close(&device);
    }
    device = whole;
}

/* Under oclgrind with teams of eight and four: version 21.10 takes the upper half of a vector of sixteen for
 * uninitialised (max(v.lo, v.hi) of a float16 just loaded from full memory is reported). */
static int open_device(void **state) {
    (void)state;
    clmoe_context_desc desc;
    clmoe_context_desc_default(&desc, sizeof desc);
    if (is_checked()) desc.max_work_group_size = 8;
    device = test_open(&desc);
    saved_is_cpu = device.context->device.is_cpu;
    return 0;
}

static int close_device(void **state) {
    (void)state;
    test_close(&device);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_row), cmocka_unit_test(sparsemixer),
                                       cmocka_unit_test(expert_choice), cmocka_unit_test(small_devices)};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
