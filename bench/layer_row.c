/* One row of the table: checked, timed, profiled; see layer_row.h. Calls the library. */
#include "layer_row.h"

#include <clmoe/clmoe_stages.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"
#include "row_run.h"
#include "tool.h"

#define MIN_FORWARDS      7
#define PROFILED_FORWARDS 5
#define READ_PROBES       15 /* between timed forwards */
#define MAX_LAUNCHES      4096

/* --------------------------------------------------------------------------------------------------- timing */

/* Every copy once, and at least twice in all, so that what happens at first use is over. */
static int warm(row_run *run) {
    const size_t count = run->row->copies + 1;
    for (size_t i = 0; i < count; i++) {
        clmoe_io io = row_run_io(run, i);
        io.out_load = clmoe_cl_mem(run->load, 0);
        if (row_run_forward(run, run->s->queue, &io, i, NULL)) return 1;
    }
    return 0;
}

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
        }
        if (total > 0) unevenness += (double)largest * experts / (double)total;
    }
    free(load);
    run->row->active_experts = active / (double)forwards;
    run->row->max_over_mean = unevenness / (double)forwards;
    return code != CL_SUCCESS ? complain_cl("clEnqueueReadBuffer", code) : 0;
}

/* One launch of the read probe whenever its share of the time has come. */
static int probe_reading(row_run *run, double passed, double rates[READ_PROBES], size_t *count) {
    if (*count == READ_PROBES || passed < (double)*count / READ_PROBES) return 0;
    return roofline_launch(run->roof, PEAK_READ, &rates[(*count)++]);
}

/* One timed forward, number i. */
static int time_forward(row_run *run, size_t i, double *host) {
    clmoe_io io = row_run_io(run, i + 1); /* forward 0 was checked */
    io.out_load = clmoe_cl_mem(run->load, i * run->host->shape->num_experts * sizeof(int32_t));
    const double start = now_seconds();
    if (row_run_forward(run, run->s->queue, &io, i, host)) return 1;
    run->row->samples_ms[i] = 1e3 * (now_seconds() - start);
    return 0;
}

/* Forwards until `seconds` are over; their times go to samples_ms and host. */
static int time_forwards(row_run *run, double seconds, double *host, size_t *count) {
    double rates[READ_PROBES], shown = 0;
    size_t i = 0, probes = 0;
    const double begin = now_seconds(), cpu = cpu_seconds();
    for (double passed = 0; i < MAX_FORWARDS && (i < MIN_FORWARDS || passed < seconds); i++) {
        if (probe_reading(run, passed / seconds, rates, &probes) || time_forward(run, i, &host[i])) return 1;
        passed = now_seconds() - begin;
        if (passed < shown + 0.25) continue;
        shown = passed;
        progress("%s %s, %u tokens: %zu forwards, %.0f of %.0f s", run->host->shape->name,
                 format_name(run->host->format), run->row->tokens, i + 1, passed, seconds);
    }
    run->row->read_gbps = median(rates, probes);
    run->row->cpu_share =
        run->s->is_cpu ? (cpu_seconds() - cpu) / ((now_seconds() - begin) * (double)run->s->compute_units) : 1;
    *count = i;
    return 0;
}

static void summarise(layer_result *row, double *sorted) {
    const model *m = row->shape;
    const double tokens = (double)row->tokens, hidden = (double)m->hidden_size;
    const double flops =
        2 * tokens * hidden * (3.0 * m->intermediate_size * m->top_k + 3.0 * m->shared_size + (double)m->num_experts);
    /* as packed: what a forward has to read */
    const double bytes =
        row->active_experts * (double)expert_bytes(m, row->format) + (double)shared_bytes(m, row->format);
    memcpy(sorted, row->samples_ms, row->sample_count * sizeof *sorted);
    row->median_ms = median(sorted, row->sample_count);
    row->p95_ms = quantile(sorted, row->sample_count, 0.95);
    row->tokens_per_s = 1e3 * tokens / row->median_ms;
    row->gflops = 1e-6 * flops / row->median_ms;
    row->weight_gbps = 1e-6 * bytes / row->median_ms;
}

static int time_row(row_run *run, double seconds) {
    layer_result *row = run->row;
    double *host = malloc(2 * MAX_FORWARDS * sizeof *host);
    row->samples_ms = malloc(MAX_FORWARDS * sizeof *row->samples_ms);
    int failed = host == NULL || row->samples_ms == NULL ? complain("out of host memory") : 0;
    failed = failed || warm(run) || time_forwards(run, seconds, host, &row->sample_count) ||
             read_loads(run, row->sample_count);
    if (!failed) {
        row->host_us = 1e6 * median(host, row->sample_count);
        summarise(row, host + MAX_FORWARDS);
    }
    free(host);
    return failed;
}

void compare_with_limits(layer_result *row, const peaks *limits) {
    static const peak_kind kinds[] = {
        [CLMOE_ARITHMETIC_F32] = PEAK_F32, [CLMOE_ARITHMETIC_BF16] = PEAK_BF16, [CLMOE_ARITHMETIC_INT8] = PEAK_INT8};
    row->peak = limits->rate[kinds[row->arithmetic]] > 0 ? kinds[row->arithmetic] : PEAK_F32;
    row->peak_gflops = limits->rate[row->peak];
    /* the forward's operations and bytes, from the rates that summarise() made of them */
    const double by_flops = row->gflops * row->median_ms / row->peak_gflops;
    const double by_bytes = row->weight_gbps * row->median_ms / row->read_gbps;
    row->roofline_ms = fmax(by_flops, by_bytes);
    row->roofline_share = row->roofline_ms / row->median_ms;
    /* Forwards of a millisecond and more keep all CPUs busy, unless somebody else has them. */
    const int starved = row->median_ms > 1 && row->cpu_share < 0.85;
    row->unsteady = starved || row->p95_ms > 1.4 * row->median_ms || row->roofline_share > 1.02;
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
    int failed = clmoe_workspace_set_profiling(run->profiled, 1, &error) != CLMOE_OK;
    for (size_t i = 0; i < PROFILED_FORWARDS + 1 && !failed; i++) {
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
        run->row->stages[at].us = median(times[at], PROFILED_FORWARDS);
    free(launches);
    return failed ? complain_clmoe("profiling", &error) : 0;
}

int measure_row(session *s, roofline *roof, const host_layer *host, const device_layer *device, double seconds,
                layer_result *row) {
    row_run run = {.s = s, .roof = roof, .host = host, .device = device, .row = row};
    progress("%s %s, %u tokens: checking", host->shape->name, format_name(host->format), row->tokens);
    const int failed = row_run_open(&run) || row_run_check(&run) || time_row(&run, seconds) || profile_row(&run);
    clFinish(s->queue);
    row_run_close(&run);
    return failed;
}
