/* Taking times; see timing.h. Calls the C library and reads /proc/stat. */
#define _GNU_SOURCE
#include "timing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"
#include "tool.h"

#define MIN_RUNS       7
#define MIN_LONG_RUNS  3
#define LONG_BUDGETS   3    /* that MIN_RUNS may take */
#define NARROW         0.01 /* of the median, to either side */
#define EARLIEST       0.25 /* of the budget, before an interval counts */
#define OTHERS_ALLOWED 0.1  /* of the CPUs */
#define SPREAD_ALLOWED 1.4  /* of the 95th percentile over the median */
#define OTHERS_MIN_S   0.25 /* the system counts in hundredths of a second */

double machine_cpu_seconds(void) {
    unsigned long long user, nice, system, idle, wait, irq, soft, steal;
    FILE *file = fopen("/proc/stat", "r");
    if (file == NULL) return -1;
    const int found = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &wait,
                             &irq, &soft, &steal);
    fclose(file);
    if (found != 8 || user + system + idle == 0) return -1;
    return (double)(user + nice + system + irq + soft + steal) / (double)sysconf(_SC_CLK_TCK);
}

int median_interval(const double *sorted, size_t count, double *low, double *high) {
    const double half = 0.5 * (double)count, reach = 0.98 * sqrt((double)count); /* 1.96 standard deviations of n/2 */
    const double first = floor(half - reach), last = ceil(half + reach) + 1;     /* ranks from 1 */
    const int enough = count >= 6;
    *low = *high = 0;
    if (count == 0) return 0;
    *low = sorted[!enough || first < 1 ? 0 : (size_t)first - 1];
    *high = sorted[!enough || last > (double)count ? count - 1 : (size_t)last - 1];
    return enough;
}

/* Everything that follows from the samples. 0, or 1 without memory. */
static int summarise(timing *t) {
    double *sorted = malloc(t->count * sizeof *sorted);
    if (sorted == NULL) return complain("out of host memory");
    memcpy(sorted, t->samples_ms, t->count * sizeof *sorted);
    t->median_ms = median(sorted, t->count);
    t->p95_ms = quantile(sorted, t->count, 0.95);
    const int enough = median_interval(sorted, t->count, &t->low_ms, &t->high_ms);
    t->narrow = enough && t->low_ms >= (1 - NARROW) * t->median_ms && t->high_ms <= (1 + NARROW) * t->median_ms;
    free(sorted);
    return 0;
}

/* Sorting at every run would cost more than the runs: looked at when the count has grown by an eighth. */
static int is_narrow(timing *t, size_t *looked_at) {
    if (t->count < *looked_at + *looked_at / 8 + 1) return 0;
    *looked_at = t->count;
    return summarise(t) == 0 && t->narrow;
}

static int is_enough(const timing_task *task, timing *t, double passed, size_t *looked_at) {
    if (t->count == TIMING_MAX_RUNS) return 1;
    if (t->count < MIN_LONG_RUNS) return 0;
    if (t->count < MIN_RUNS) return passed * MIN_RUNS / (double)t->count > LONG_BUDGETS * task->seconds;
    if (passed >= task->seconds) return 1;
    return passed >= EARLIEST * task->seconds && is_narrow(t, looked_at);
}

static int take_runs(const timing_task *task, timing *t) {
    double shown = 0, passed = 0; /* seconds of runs */
    size_t looked_at = 0;
    while (!is_enough(task, t, passed, &looked_at)) {
        if (task->between != NULL && task->between(task->between_user, passed / task->seconds)) return 1;
        const double start = now_seconds();
        if (task->run(task->user, t->count)) return 1;
        const double end = now_seconds();
        t->samples_ms[t->count++] = 1e3 * (end - start);
        passed += end - start;
        if (end < shown + 0.25) continue;
        shown = end;
        progress("%s: %zu runs, %.0f of %.0f s", task->label, t->count, passed, task->seconds);
    }
    return 0;
}

int timing_take(const timing_task *task, timing *out) {
    *out = (timing){.others_cpus = -1};
    out->samples_ms = malloc(TIMING_MAX_RUNS * sizeof *out->samples_ms);
    if (out->samples_ms == NULL) return complain("out of host memory");
    const double warm = now_seconds();
    for (size_t i = 0; i < task->warm_ups && now_seconds() - warm <= task->seconds; i++) {
        if (task->run(task->user, i)) return 1;
    }
    const double begin = now_seconds(), own = cpu_seconds(), all = machine_cpu_seconds();
    if (take_runs(task, out) || summarise(out)) return 1;
    const double all_after = machine_cpu_seconds();
    out->wall_s = now_seconds() - begin;
    out->cpu_s = cpu_seconds() - own;
    if (all >= 0 && all_after >= 0 && out->wall_s >= OTHERS_MIN_S)
        out->others_cpus = fmax(0, (all_after - all - out->cpu_s) / out->wall_s);
    out->busy = out->others_cpus > OTHERS_ALLOWED * (double)sysconf(_SC_NPROCESSORS_ONLN) ||
                out->p95_ms > SPREAD_ALLOWED * out->median_ms;
    return 0;
}

void timing_free(timing *t) {
    free(t->samples_ms);
    t->samples_ms = NULL;
}
