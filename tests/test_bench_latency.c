/* The bench's statistics: quantiles, their confidence intervals, and what dependence does to them. */
#include <math.h>

#include "serve/latency.h"
#include "support.h"

/* P(Binomial(n, p) < k), by Pascal's triangle in probabilities. */
static double binomial_below(size_t n, double p, size_t k) {
    double *row = calloc(n + 2, sizeof *row), sum = 0;
    assert_non_null(row);
    row[0] = 1;
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 2; j-- > 0;) row[j] = row[j] * (1 - p) + (j > 0 ? row[j - 1] * p : 0);
    for (size_t i = 0; i < k; i++) sum += row[i];
    free(row);
    return sum;
}

/* Each end leaves out 2.5% at most, and one rank further in would leave out more. */
static void ranks_are_the_narrowest(void **state) {
    (void)state;
    static const size_t counts[] = {1, 2, 6, 20, 59, 100, 367, 368, 500};
    static const double levels[] = {0.5, 0.95, 0.99};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
            const size_t n = counts[c];
            const double p = levels[l];
            size_t low, high;
            quantile_ranks(n, p, &low, &high);
            assert_true(low <= n && high >= 1 && high <= n + 1 && low < high);
            if (low > 0) assert_true(binomial_below(n, p, low) <= 0.025 + 1e-9);
            assert_true(low == n || binomial_below(n, p, low + 1) > 0.025 - 1e-9);
            if (high <= n) assert_true(1 - binomial_below(n, p, high) <= 0.025 + 1e-9);
            assert_true(high == 1 || 1 - binomial_below(n, p, high - 1) > 0.025 - 1e-9);
        }
    }
}

/* Figures of printed tables. */
static void ranks_as_in_tables(void **state) {
    (void)state;
    size_t low, high;
    quantile_ranks(20, 0.5, &low, &high);
    assert_true(low == 6 && high == 15);
    quantile_ranks(100, 0.5, &low, &high);
    assert_true(low == 40 && high == 61);
    quantile_ranks(5, 0.5, &low, &high); /* 5 values cannot give 95% */
    assert_true(low == 0 && high == 6);
    quantile_ranks(367, 0.99, &low, &high);
    assert_int_equal(high, 368);
    quantile_ranks(368, 0.99, &low, &high);
    assert_int_equal(high, 368);
}

static void student_as_in_tables(void **state) {
    (void)state;
    static const struct {
        size_t freedom;
        double value;
    } rows[] = {{1, 12.706}, {5, 2.571}, {19, 2.093}, {30, 2.042}, {40, 2.021}, {100, 1.984}, {1000, 1.962}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_true(fabs(student_quantile(rows[i].freedom) - rows[i].value) < 1e-3);
}

static void few_values(void **state) {
    (void)state;
    latency_stats stats;
    latency_statistics(NULL, 0, &stats);
    assert_true(stats.count == 0 && isnan(stats.mean.value) && isnan(stats.p99.value));
    double one[] = {7};
    latency_statistics(one, 1, &stats);
    assert_true(stats.mean.value == 7 && stats.median.value == 7 && stats.p99.value == 7 && stats.largest == 7);
    assert_true(isnan(stats.mean.low) && isnan(stats.median.low) && isnan(stats.p99.high));
    double ten[] = {10, 9, 8, 7, 6, 5, 4, 3, 2, 1};
    latency_statistics(ten, 10, &stats);
    assert_true(stats.mean.value == 5.5 && stats.median.value == 5.5 && stats.largest == 10);
    assert_true(fabs(stats.p95.value - 9.55) < 1e-12);
    assert_true(stats.median.low == 2 && stats.median.high == 9); /* ranks 2 and 9 of 10: 97.9% */
    assert_true(fabs(stats.mean.high - 5.5 - 2.262 * sqrt(55.0 / 6 / 10)) < 1e-3);
    assert_true(isnan(stats.p95.high) && isnan(stats.p99.high));
}

#define MANY        4000
#define MANY_VALUES ((double)MANY)

/* Values that follow their neighbours: each is 0.95 of the one before and some noise. */
static void draw_dependent(double *values, size_t count, double follow, test_random *random) {
    double last = test_random_normal(random);
    for (size_t i = 0; i < count; i++)
        values[i] = last = follow * last + sqrt(1 - follow * follow) * test_random_normal(random);
}

static void dependence_counts_less(void **state) {
    (void)state;
    static double values[MANY];
    const int turns = 50;
    double sum = 0, none = 0;
    test_random random = {{1, 2, 3, 4}};
    for (int i = 0; i < turns; i++) {
        draw_dependent(values, MANY, 0.95, &random);
        sum += effective_count(values, MANY);
        draw_dependent(values, MANY, 0, &random);
        const double free = effective_count(values, MANY);
        assert_true(free <= MANY_VALUES);
        none += free;
    }
    /* n (1 - r) / (1 + r) = 103 in theory; 20 batches know it to a third, more in the mean */
    assert_true(sum / turns > 60 && sum / turns < 200);
    assert_true(none / turns > 0.7 * MANY_VALUES);
}

/* How often the intervals hold what they should, with and without dependence: 95% of 300 turns, 6 standard deviations
 * below. */
static void intervals_cover(void **state) {
    (void)state;
    enum { N = 1000, TURNS = 300 };
    static double values[N];
    static const double follows[] = {0, 0.9};
    test_random random = {{5, 6, 7, 8}};
    for (int f = 0; f < 2; f++) {
        int mean = 0, middle = 0, p95 = 0;
        for (int i = 0; i < TURNS; i++) {
            latency_stats stats;
            draw_dependent(values, N, follows[f], &random);
            latency_statistics(values, N, &stats);
            mean += stats.mean.low <= 0 && 0 <= stats.mean.high;
            middle += stats.median.low <= 0 && 0 <= stats.median.high;
            p95 += (isnan(stats.p95.low) || stats.p95.low <= 1.644854) &&
                   (isnan(stats.p95.high) || stats.p95.high >= 1.644854);
        }
        assert_in_range(mean, 262, TURNS);
        assert_in_range(middle, 262, TURNS);
        assert_in_range(p95, 262, TURNS);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(ranks_are_the_narrowest), cmocka_unit_test(ranks_as_in_tables),
                                       cmocka_unit_test(student_as_in_tables),    cmocka_unit_test(few_values),
                                       cmocka_unit_test(dependence_counts_less),  cmocka_unit_test(intervals_cover)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
