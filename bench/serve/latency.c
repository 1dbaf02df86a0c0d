/* Statistics of latencies; see latency.h. Calls the C library only. */
#include "latency.h"

#include <math.h>

#include "common/tool.h"

#define BATCHES 20
#define TAIL    0.025 /* what either end of an interval leaves out */

static double mean_of(const double *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += values[i];
    return sum / (double)count;
}

static double variance_of(const double *values, size_t count) {
    const double mean = mean_of(values, count);
    double squares = 0;
    for (size_t i = 0; i < count; i++) squares += (values[i] - mean) * (values[i] - mean);
    return count > 1 ? squares / (double)(count - 1) : 0;
}

double effective_count(const double *values, size_t count) {
    double means[BATCHES];
    if (count < 2 * BATCHES) return (double)count;
    const size_t size = count / BATCHES;
    for (size_t b = 0; b < BATCHES; b++) means[b] = mean_of(values + b * size, size);
    const double expected = variance_of(values, count) / (double)size, found = variance_of(means, BATCHES);
    return found > expected ? (double)count * expected / found : (double)count;
}

/* The quantile is less than the k-th value where fewer than k values lie below it, and more where k do. */
void quantile_ranks(size_t count, double p, size_t *low, size_t *high) {
    const double n = (double)count, log_p = log(p), log_q = log1p(-p);
    double below = 0; /* P(Binomial(n, p) < k) */
    *low = 0;
    *high = count + 1;
    for (size_t k = 0; k <= count; k++) {
        const double i = (double)k;
        if (below <= TAIL) *low = k;
        if (*high > count && k >= 1 && 1 - below <= TAIL) *high = k;
        below += exp(lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1) + i * log_p + (n - i) * log_q);
    }
}

double student_quantile(size_t freedom) {
    static const double table[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                                   2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
                                   2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};
    const size_t known = sizeof table / sizeof *table;
    if (freedom == 0) return INFINITY;
    if (freedom <= known) return table[freedom - 1];
    const double z = 1.959964, v = (double)freedom; /* Cornish and Fisher's expansion */
    return z + (z * z * z + z) / (4 * v) + (5 * pow(z, 5) + 16 * z * z * z + 3 * z) / (96 * v * v);
}

/* The value of this rank among `effective` evenly spread ones; `down`: the nearest not above. */
static double ranked(const double *sorted, size_t count, double share, int down) {
    const double place = share * (double)count;
    double rank = down ? floor(place) : ceil(place);
    if (rank < 1) rank = 1;
    if (rank > (double)count) rank = (double)count;
    return sorted[(size_t)rank - 1];
}

static estimate quantile_estimate(double *sorted, size_t count, double effective, double p) {
    size_t low, high;
    const size_t n = effective < 1 ? 1 : (size_t)effective;
    estimate e = {quantile(sorted, count, p), NAN, NAN};
    quantile_ranks(n, p, &low, &high);
    if (low >= 1) e.low = ranked(sorted, count, (double)low / (double)n, 1);
    if (high <= n) e.high = ranked(sorted, count, (double)high / (double)n, 0);
    return e;
}

static estimate mean_estimate(const double *values, size_t count, double effective) {
    const double mean = mean_of(values, count), error = sqrt(variance_of(values, count) / effective);
    const double reach = student_quantile(count < 2 * BATCHES ? count - 1 : BATCHES - 1) * error;
    if (count < 2) return (estimate){mean, NAN, NAN};
    return (estimate){mean, fmax(0, mean - reach), mean + reach}; /* no time is negative */
}

void latency_statistics(double *values, size_t count, latency_stats *stats) {
    const estimate unknown = {NAN, NAN, NAN};
    *stats = (latency_stats){.mean = unknown, .median = unknown, .p95 = unknown, .p99 = unknown, .largest = NAN};
    if (count == 0) return;
    stats->count = count;
    stats->effective = effective_count(values, count);
    stats->mean = mean_estimate(values, count, stats->effective);
    stats->median = quantile_estimate(values, count, stats->effective, 0.5); /* sorts */
    stats->p95 = quantile_estimate(values, count, stats->effective, 0.95);
    stats->p99 = quantile_estimate(values, count, stats->effective, 0.99);
    stats->largest = values[count - 1];
}
