/* The bench's one way of taking times; README.md of this folder states it for readers of results.
 *
 *   warm-up     untimed runs first, so that what happens at first use is over; no further ones once they took the
 *               budget
 *   runs        one after another, each to its end, by a clock that only moves forward
 *   enough      once the 95% confidence interval of the median lies within 1% of it on both sides (not before a quarter
 *               of the time budget), or when the runs have taken the budget; 7 runs at least, 3 where 7 would take more
 *               than three budgets
 *   interval    order statistics, which ask nothing of the distribution: ranks n/2 -+ 0.98 sqrt(n). Below 6 runs they
 *               cannot reach 95%: smallest and largest then, and the interval counts as wide
 *   busy        other processes had more than a tenth of the machine's CPUs meanwhile (the system's own count), or the
 *               95th percentile is beyond 1.4 medians */
#ifndef CLMOE_BENCH_TIMING_H
#define CLMOE_BENCH_TIMING_H

#include <stddef.h>

#define TIMING_MAX_RUNS 4096

typedef struct timing_task {
    void *user;
    int (*run)(void *user, size_t i); /* number i of either kind; 0, or 1 after a complaint */
    int (*between)(void *between_user,
                   double share); /* NULL, or untimed work between runs, this share of the budget over */
    void *between_user;
    size_t warm_ups;
    double seconds;    /* the budget */
    const char *label; /* for the progress line */
} timing_task;

typedef struct timing {
    double *samples_ms; /* [count], in the order taken */
    size_t count;
    double median_ms, low_ms, high_ms; /* the median and its interval */
    double p95_ms;
    double wall_s, cpu_s; /* of the runs and what lay between them; cpu_s of all threads of this process */
    double others_cpus;   /* CPUs that other processes kept busy, mean; -1 = not known */
    int narrow;           /* the interval is within 1% */
    int busy;
} timing;

/* 0, or 1 after a complaint. out is to be freed with timing_free in both cases. */
int timing_take(const timing_task *task, timing *out);
void timing_free(timing *t);

/* The 95% confidence interval of the median of sorted values; 1 if there are enough of them for 95%. */
int median_interval(const double *sorted, size_t count, double *low, double *high);

/* CPU seconds that all processes of this machine have had, lost time of a virtual machine included; -1 = not known. */
double machine_cpu_seconds(void);

#endif
