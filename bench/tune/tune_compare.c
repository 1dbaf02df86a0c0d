/* Which of two settings is faster, round by round; see tune.h. Calls the library and OpenCL. */
#include <math.h>
#include <string.h>

#include "common/timing.h"
#include "common/tool.h"
#include "tune.h"

#define MAX_LAUNCHES 4096
#define FIRST_LOOK   3 /* rounds after which what is clearly slower is given up */
#define SLOWER       1.01
#define SECOND_LOOK  7 /* and what is not faster */
#define NOT_FASTER   0.998
#define ENOUGH       6     /* rounds, for an interval */
#define GAIN         0.995 /* smaller ones are not worth a row */

typedef struct rounds {
    size_t count;
    double logs[TUNE_TIMES][MAX_TOKEN_COUNTS][TUNE_ROUNDS]; /* of ratios */
    double means[TUNE_TIMES][TUNE_ROUNDS];                  /* over the numbers of tokens */
} rounds;

/* One forward with launches kept. */
static int take_times(tuner *t, row_run *run, const tune_layers *layers, size_t round, double times[TUNE_TIMES]) {
    static clmoe_launch_time launches[MAX_LAUNCHES];
    clmoe_error error = {.struct_size = sizeof error};
    const clmoe_io io = row_run_io(run, round);
    uint32_t count = 0;
    memset(times, 0, TUNE_TIMES * sizeof *times);
    run->device = &layers->device;
    const double begin = now_seconds(), cpu = cpu_seconds();
    if (row_run_forward(run, run->s->profiled, &io, t->turn++, NULL)) return 1;
    times[TUNE_WALL] = now_seconds() - begin;
    if (t->s.is_cpu) times[TUNE_CPU] = cpu_seconds() - cpu;
    if (clmoe_workspace_launches(run->profiled, launches, MAX_LAUNCHES, &count, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_workspace_launches", &error);
    for (uint32_t i = 0; i < count && i < MAX_LAUNCHES; i++)
        for (size_t g = 0; g < TUNE_GEMMS; g++)
            if (strcmp(launches[i].stage, t->gemms[g].stage) == 0) times[g] += 1e-9 * (double)launches[i].nanoseconds;
    times[TUNE_BOTH] = times[TUNE_UP] + times[TUNE_DOWN];
    return 0;
}

static int run_round(tuner *t, tune_layers *first, tune_layers *second, rounds *r) {
    for (size_t k = 0; k < TUNE_TIMES; k++) r->means[k][r->count] = 0;
    for (size_t i = 0; i < t->run_count; i++) {
        double times[2][TUNE_TIMES];
        for (size_t turn = 0; turn < 2; turn++) {
            const size_t which = (turn + r->count) % 2;
            if (take_times(t, &t->runs[i], which == 0 ? first : second, r->count, times[which])) return 1;
        }
        for (size_t k = 0; k < TUNE_TIMES; k++) {
            const double ratio = times[0][k] > 0 && times[1][k] > 0 ? times[1][k] / times[0][k] : 1;
            r->logs[k][i][r->count] = log(ratio);
            r->means[k][r->count] += log(ratio) / (double)t->run_count;
        }
    }
    r->count++;
    return 0;
}

static void summarise(const tuner *t, const rounds *r, tune_ratio ratios[TUNE_TIMES]) {
    for (size_t k = 0; k < TUNE_TIMES; k++) {
        double sorted[TUNE_ROUNDS];
        tune_ratio *ratio = &ratios[k];
        memset(ratio, 0, sizeof *ratio);
        ratio->rounds = r->count;
        memcpy(sorted, r->means[k], r->count * sizeof *sorted);
        ratio->median = exp(median(sorted, r->count));
        (void)median_interval(sorted, r->count, &ratio->low, &ratio->high);
        ratio->low = exp(ratio->low);
        ratio->high = exp(ratio->high);
        for (size_t i = 0; i < t->run_count; i++) {
            memcpy(sorted, r->logs[k][i], r->count * sizeof *sorted);
            ratio->at_tokens[i] = exp(median(sorted, r->count));
        }
    }
}

int tune_is_faster(const tune_ratio *ratio) {
    return ratio->rounds >= ENOUGH && ratio->median < GAIN && ratio->high < 1;
}

/* Not worth another round: on a CPU by the time that others disturb least, else by no measure. */
static int is_hopeless(const tune_ratio ratios[TUNE_TIMES], int is_cpu) {
    const double limit = ratios[0].rounds < SECOND_LOOK ? SLOWER : NOT_FASTER;
    if (ratios[0].rounds < FIRST_LOOK) return 0;
    if (is_cpu) return ratios[TUNE_CPU].median > limit;
    return ratios[TUNE_UP].median > limit && ratios[TUNE_DOWN].median > limit && ratios[TUNE_BOTH].median > limit;
}

int tune_compare(tuner *t, tune_layers *first, tune_layers *second, size_t most, double until,
                 tune_ratio ratios[TUNE_TIMES]) {
    static rounds r;
    double warm[TUNE_TIMES];
    r.count = 0;
    for (size_t i = 0; i < t->run_count; i++)
        if (take_times(t, &t->runs[i], first, 0, warm) || take_times(t, &t->runs[i], second, 0, warm)) return 1;
    do {
        if (run_round(t, first, second, &r)) return 1;
        summarise(t, &r, ratios);
    } while (r.count < most && now_seconds() < until && !is_hopeless(ratios, t->s.is_cpu));
    return 0;
}
