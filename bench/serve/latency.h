/* What a sample of latencies says, and how sure it is: 95% confidence intervals.
 *
 * Latencies of a service are not independent: who waits in a queue waits as its neighbours do. So a sample of n counts
 * as n_eff independent ones. It is cut, in the order of arrival, into 20 batches; of independent values the variance
 * of the batches' means is the values' variance over the batch's size, and as much larger as it is, so much smaller is
 * n_eff (never above n; with fewer than 40 values there is nothing to see, and n_eff = n).
 *
 *   mean       Student's t with 19 degrees of freedom (fewer than 40 values: n - 1); standard error
 *              sqrt(variance / n_eff)
 *   quantiles  order statistics, which ask nothing of the distribution: of n_eff values as many lie below the
 *              p-quantile as a binomial(n_eff, p) says. Either end leaves out at most 2.5%. An end that n_eff values
 *              cannot give is NAN: the upper end of p99 takes 368 */
#ifndef CLMOE_BENCH_LATENCY_H
#define CLMOE_BENCH_LATENCY_H

#include <stddef.h>

typedef struct estimate {
    double value, low, high;
} estimate;

typedef struct latency_stats {
    size_t count;
    double effective; /* n_eff */
    estimate mean, median, p95, p99;
    double largest;
} latency_stats;

/* values[count] in the order of arrival; they are sorted. Without values, all figures are NAN. */
void latency_statistics(double *values, size_t count, latency_stats *stats);

double effective_count(const double *values, size_t count);
/* Ranks, from 1 on, of the sorted values that enclose the p-quantile; low 0 or high count + 1: no such value. */
void quantile_ranks(size_t count, double p, size_t *low, size_t *high);
/* The 97.5% quantile of Student's t. */
double student_quantile(size_t freedom);

#endif
