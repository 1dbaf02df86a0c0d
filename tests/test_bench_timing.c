/* The bench's timing method and its counts of operations (bench/timing.h, bench/flops.h), away from any device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/timing.h"
#include "common/tool.h"
#include "layer/flops.h"

/* ------------------------------------------------------------------------------------------------ interval */

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Ranks from tables of the sign test at 95%: n = 6: 1 and 6; 20: 6 and 15; 100: 40 and 61. Ours may be one wider. */
static void test_ranks(void **state) {
    (void)state;
    static const struct { size_t count, low, high; } known[] = {{6, 1, 6}, {20, 6, 15}, {100, 40, 61}};
    double values[100], low, high;
    for (size_t i = 0; i < 100; i++) values[i] = (double)(i + 1);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        assert_true(median_interval(values, known[i].count, &low, &high));
        assert_true(low <= (double)known[i].low && low >= (double)known[i].low - 1);
        assert_true(high >= (double)known[i].high && high <= (double)known[i].high + 1);
    }
    assert_false(median_interval(values, 5, &low, &high)); /* cannot be 95%: the extremes */
    assert_true(low <= 1 && low >= 1 && high >= 5 && high <= 5);
    assert_false(median_interval(values, 0, &low, &high));
}

/* Of many samples of a skewed distribution, the interval holds the true median in 95% of cases or a little more. */
static void test_coverage(void **state) {
    (void)state;
    enum { TRIALS = 4000, COUNT = 37 };
    random_state random = {5};
    unsigned held = 0;
    for (int trial = 0; trial < TRIALS; trial++) {
        double values[COUNT], low, high;
        for (int i = 0; i < COUNT; i++) {
            const double u = 0.5 + 0.5 * (double)random_uniform(&random, 1.0f);
            values[i] = 1 / (1.0001 - u); /* median 1 / (1.0001 - 0.5) */
        }
        qsort(values, COUNT, sizeof *values, ascending);
        (void)median_interval(values, COUNT, &low, &high);
        held += low <= 1 / 0.5001 && high >= 1 / 0.5001;
    }
    assert_in_range(held, TRIALS * 945 / 1000, TRIALS * 985 / 1000);
}

/* -------------------------------------------------------------------------------------------------- method */

typedef struct calls {
    size_t runs, between, warm;
    double last_share;
} calls;

static double waste(double seconds) {
    const double end = now_seconds() + seconds;
    double now;
    while ((now = now_seconds()) < end) {}
    return now;
}

static int run(void *user, size_t i) {
    calls *c = user;
    if (c->warm == 2 || i != c->warm) {
        assert_int_equal(i, c->runs);
        c->runs++;
    } else {
        c->warm++;
    }
    (void)waste(2e-4);
    return 0;
}

static int between(void *user, double share) {
    calls *c = user;
    assert_true(share >= c->last_share && c->between == c->runs);
    c->last_share = share;
    c->between++;
    return 0;
}

static void test_method(void **state) {
    (void)state;
    calls c = {0};
    timing t;
    const timing_task task = {&c, run, between, &c, 2, 0.1, "test"};
    assert_int_equal(timing_take(&task, &t), 0);
    assert_int_equal(c.warm, 2);
    assert_int_equal(c.runs, t.count);
    assert_int_equal(c.between, t.count);
    assert_true(t.count >= 3 && t.count <= TIMING_MAX_RUNS); /* 7, unless the machine stood still meanwhile */
    assert_true(t.low_ms <= t.median_ms && t.median_ms <= t.high_ms && t.median_ms <= t.p95_ms && t.median_ms >= 0.2);
    for (size_t i = 0; i < t.count; i++) assert_true(t.samples_ms[i] >= 0.2);
    timing_free(&t);
}

/* Runs that are long for the budget: three, and no claim of a narrow interval. */
static int long_run(void *user, size_t i) {
    (void)i;
    ++*(int *)user;
    (void)waste(0.02);
    return 0;
}

static void test_long_runs(void **state) {
    (void)state;
    int runs = 0;
    timing t;
    const timing_task task = {&runs, long_run, NULL, NULL, 3, 0.001, "test"};
    assert_int_equal(timing_take(&task, &t), 0);
    assert_int_equal(t.count, 3);
    assert_int_equal(runs, 4); /* one warm-up took the budget */
    assert_false(t.narrow);
    timing_free(&t);
}

static int failing(void *user, size_t i) {
    (void)user;
    return i == 4;
}

static void test_failure(void **state) {
    (void)state;
    timing t;
    const timing_task task = {NULL, failing, NULL, NULL, 0, 10, "test"};
    assert_int_equal(timing_take(&task, &t), 1);
    timing_free(&t);
}

/* --------------------------------------------------------------------------------------------------- flops */

static void same(double got, double wanted) {
    if (!(got >= wanted && got <= wanted)) fail_msg("got %.17g, wanted %.17g", got, wanted);
}

/* Counted by hand: T 3, H 5, I 7, E 4, K 2, softmax over all and renormalised. */
static void test_flops(void **state) {
    (void)state;
    const model m = {.rule = ROUTE_SOFTMAX_SUM,
                     .hidden_size = 5,
                     .intermediate_size = 7,
                     .num_experts = 4,
                     .top_k = 2,
                     .scale = 1,
                     .alpha = 1};
    same(flops_logits(&m, 3), 3 * 4 * 2 * 5);
    /* softmax: 3 comparisons, 4 differences, 4 exponentials, 3 additions, 4 quotients; choice: 3 + 2; weights: 1 + 2 */
    same(flops_select(&m, 3), 3 * (18 + 5 + 3));
    same(flops_up(&m, 3), 3 * 2 * 7 * 2 * 2 * 5);
    same(flops_activation(&m, 3), 3 * 2 * 7 * 6);
    same(flops_down(&m, 3), 3 * 2 * 5 * 2 * 7);
    same(flops_combine(&m, 3), 3 * 5 * 3);
    same(flops_shared(&m, 3), 0);
    same(flops_matrix(&m, 3), 120 + 840 + 420);
    same(flops_forward(&m, 3), 120 + 78 + 840 + 252 + 420 + 45);
    same(flops_gating_literature(&m, 3), 3 * 4 * 5 + 3 * 3 * 4 + 3 * 4);
    same(flops_gating_exact(&m, 3), 120 + 78);
}

/* The other rules, a token: sigmoid with groups (E 8 in 4 groups, 2 of them, K 3, scaled), softmax over the chosen
 * with biases. */
static void test_rules(void **state) {
    (void)state;
    model m = {.rule = ROUTE_SIGMOID_GROUPS,
               .hidden_size = 6,
               .intermediate_size = 4,
               .num_experts = 8,
               .top_k = 3,
               .n_group = 4,
               .topk_group = 2,
               .scale = 2.5f,
               .alpha = 1,
               .shared_size = 10};
    /* 4 + 1 each; groups: 1 comparison for the best, none for the second of two, 1 sum; 3 + 2; 3 + 2 + 1 of 4; 2 +
     * 3; 3 */
    same(flops_select(&m, 1), 8 * 5 + 4 * (1 + 1) + 5 + 6 + 5 + 3);
    same(flops_shared(&m, 1), 6 * 10 * 6 + 6 * 10);
    same(flops_combine(&m, 1), 6 * (2 * 3 - 1 + 1));
    m = (model){.rule = ROUTE_SOFTMAX_CHOSEN,
                .hidden_size = 6,
                .intermediate_size = 4,
                .num_experts = 8,
                .top_k = 3,
                .scale = 1,
                .alpha = 1.702f,
                .up_offset = 1,
                .limit = 7,
                .biases = 1};
    same(flops_select(&m, 1), (7 + 6 + 5) + (2 + 3 + 3 + 2 + 3));
    same(flops_logits(&m, 1), 8 * (2 * 6 + 1));
    same(flops_up(&m, 1), 2 * 3 * 4 * (2 * 6 + 1));
    same(flops_down(&m, 1), 3 * 6 * (2 * 4 + 1));
    same(flops_activation(&m, 1), 3 * 4 * (6 + 1 + 1 + 3));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ranks),   cmocka_unit_test(test_coverage),
                                       cmocka_unit_test(test_method),  cmocka_unit_test(test_long_runs),
                                       cmocka_unit_test(test_failure), cmocka_unit_test(test_flops),
                                       cmocka_unit_test(test_rules)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
