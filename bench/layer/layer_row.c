/* One row of the table: checked, timed, profiled; see layer_row.h. Calls the library. */
#include "layer_row.h"

#include <clmoe/clmoe_stages.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/timing.h"
#include "common/tool.h"
#include "device/read_watch.h"
#include "flops.h"
#include "progress.h"
#include "row_run.h"

#define PROFILED_FORWARDS 5
#define LONG_FORWARD_MS   2000 /* of which one is profiled */
#define MAX_LAUNCHES      4096

/* --------------------------------------------------------------------------------------------------- timing */

static int read_loads(row_run *run, size_t forwards) {
    const uint32_t experts = run->host->shape->num_experts;
    int32_t *load = malloc(forwards * experts * sizeof *load);
    if (load == NULL) return complain("out of host memory for the loads");
    const cl_int code = clEnqueueReadBuffer(run->s->queue, run->load, CL_TRUE, 0, forwards * experts * sizeof *load,
                                            load, 0, NULL, NULL);
    double active = 0, unevenness = 0;
    for (size_t i = 0; i < forwards && code == CL_SUCCESS; i++) {
        int64_t total = 0;
        int32_t largest = 0;
        for (uint32_t e = 0; e < experts; e++) {
            const int32_t n = load[i * experts + e];
            active += n > 0;
            total += n;
            largest = n > largest ? n : largest;
            if (run->row->loads != NULL) run->row->loads[e] += (uint64_t)n;
        }
        if (total > 0) unevenness += (double)largest * experts / (double)total;
    }
    free(load);
    run->row->active_experts = active / (double)forwards;
    run->row->max_over_mean = unevenness / (double)forwards;
    return code != CL_SUCCESS ? complain_cl("clEnqueueReadBuffer", code) : 0;
}

/* What timing.h calls for a row. */
typedef struct row_timing {
    row_run *run;
    double *host_seconds; /* [TIMING_MAX_RUNS] in the library's call */
} row_timing;

/* One forward, number i; its load in a row of its own. */
static int time_forward(void *user, size_t i) {
    row_timing *t = user;
    row_run *run = t->run;
    clmoe_io io = row_run_io(run, i + 1); /* forward 0 was checked */
    io.out_load = clmoe_cl_mem(run->load, i * run->host->shape->num_experts * sizeof(int32_t));
    return row_run_forward(run, run->s->queue, &io, i, &t->host_seconds[i]);
}

void row_take_times(layer_result *row, const session *s, const timing *times) {
    row->samples_ms = times->samples_ms;
    row->sample_count = times->count;
    row->median_ms = times->median_ms;
    row->low_ms = times->low_ms;
    row->high_ms = times->high_ms;
    row->p95_ms = times->p95_ms;
    row->others_cpus = times->others_cpus;
    row->busy = times->busy;
    row->cpu_share = s->is_cpu ? times->cpu_s / (times->wall_s * (double)s->compute_units) : 1;
}

void row_rates(layer_result *row) {
    const model *m = row->shape;
    /* as packed: what a forward has to read */
    const double bytes =
        row->active_experts * (double)expert_bytes(m, row->format) + (double)shared_bytes(m, row->format);
    row->tokens_per_s = 1e3 * (double)row->tokens / row->median_ms;
    row->gflops = 1e-6 * flops_matrix(m, (double)row->tokens) / row->median_ms;
    row->weight_gbps = 1e-6 * bytes / row->median_ms;
}

/* Every copy once, and at least twice in all, so that what happens at first use is over. */
static int take_times(row_run *run, row_timing *t, double seconds) {
    char label[96];
    timing times;
    layer_result *row = run->row;
    snprintf(label, sizeof label, "%s %s, %u tokens", run->host->shape->name, format_name(run->host->format),
             row->tokens);
    read_watch watch = {.roof = run->roof};
    const timing_task task = {t, time_forward, read_watch_between, &watch, row->copies + 1, seconds, label};
    const int failed = timing_take(&task, &times);
    row->read_gbps = read_watch_gbps(&watch);
    row_take_times(row, run->s, &times);
    return failed;
}

static int time_row(row_run *run, double seconds) {
    layer_result *row = run->row;
    row_timing t = {.run = run, .host_seconds = malloc(TIMING_MAX_RUNS * sizeof *t.host_seconds)};
    int failed = t.host_seconds == NULL ? complain("out of host memory") : take_times(run, &t, seconds);
    failed = failed || read_loads(run, row->sample_count);
    if (!failed) {
        row->host_us = 1e6 * median(t.host_seconds, row->sample_count);
        row_rates(row);
    }
    free(t.host_seconds);
    return failed;
}

void compare_with_limits(layer_result *row, const peaks *limits) {
    static const peak_kind kinds[] = {
        [CLMOE_ARITHMETIC_F32] = PEAK_F32, [CLMOE_ARITHMETIC_BF16] = PEAK_BF16, [CLMOE_ARITHMETIC_INT8] = PEAK_INT8};
    row->peak = limits->rate[kinds[row->arithmetic]] > 0 ? kinds[row->arithmetic] : PEAK_F32;
    row->peak_gflops = limits->rate[row->peak];
    /* the forward's operations and bytes, from the rates that row_rates() made of them */
    const double by_flops = row->gflops * row->median_ms / row->peak_gflops;
    const double by_bytes = row->weight_gbps * row->median_ms / row->read_gbps;
    row->roofline_ms = fmax(by_flops, by_bytes);
    row->roofline_share = row->roofline_ms / row->median_ms;
    /* Forwards of a millisecond and more keep all CPUs busy, unless somebody else has them. */
    const int starved = row->median_ms > 1 && row->cpu_share < 0.85;
    row->unsteady = starved || row->busy || row->roofline_share > 1.02;
}

/* ---------------------------------------------------------------------------------------------------- stages */

/* Adds launch times to the row's stages as forward number `pass` of `times`. */
static void add_launches(layer_result *row, const clmoe_launch_time *launches, size_t count, size_t pass,
                         double times[MAX_STAGES][PROFILED_FORWARDS]) {
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < row->stage_count && strcmp(row->stages[at].name, launches[i].stage) != 0) at++;
        if (at == MAX_STAGES) continue;
        if (at == row->stage_count) {
            row->stage_count++;
            memcpy(row->stages[at].name, launches[i].stage, sizeof row->stages[at].name);
        }
        times[at][pass] += 1e-3 * (double)launches[i].nanoseconds;
    }
}

static int profile_row(row_run *run) {
    double times[MAX_STAGES][PROFILED_FORWARDS] = {{0}};
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_launch_time *launches = malloc(MAX_LAUNCHES * sizeof *launches);
    if (launches == NULL) return complain("out of host memory");
    const size_t passes = run->row->median_ms < LONG_FORWARD_MS ? PROFILED_FORWARDS : 1;
    int failed = clmoe_workspace_set_profiling(run->profiled, 1, &error) != CLMOE_OK;
    for (size_t i = 0; i < passes + 1 && !failed; i++) {
        clmoe_io io = row_run_io(run, i);
        uint32_t count = 0;
        io.out_load = clmoe_cl_mem(run->load, 0);
        if (row_run_forward(run, run->s->profiled, &io, i, NULL)) {
            free(launches);
            return 1;
        }
        failed = clmoe_workspace_launches(run->profiled, launches, MAX_LAUNCHES, &count, &error) != CLMOE_OK;
        run->row->launches = count;
        if (i == 0 || failed) continue; /* the first grows the arena */
        add_launches(run->row, launches, count < MAX_LAUNCHES ? count : MAX_LAUNCHES, i - 1, times);
    }
    for (size_t at = 0; at < run->row->stage_count; at++)
        run->row->stages[at].us = median(times[at], passes);
    free(launches);
    return failed ? complain_clmoe("profiling", &error) : 0;
}

int measure_row(session *s, roofline *roof, const host_layer *host, const device_layer *device, double seconds,
                layer_result *row) {
    return measure_row_with_logits(s, roof, host, device, seconds, NULL, 0, row);
}

int measure_row_with_logits(session *s, roofline *roof, const host_layer *host, const device_layer *device,
                            double seconds, const float *logits, size_t logit_rows, layer_result *row) {
    row_run run = {.s = s, .roof = roof, .host = host, .device = device, .row = row, .host_logits = logits,
                   .logit_rows = logit_rows};
    progress("%s %s, %u tokens: checking", host->shape->name, format_name(host->format), row->tokens);
    const int failed = row_run_open(&run) || row_run_check(&run) || time_row(&run, seconds) || profile_row(&run);
    clFinish(s->queue);
    row_run_close(&run);
    return failed;
}
