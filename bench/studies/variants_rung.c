/* One rung of the ladder: checked, timed, counted; see variants.h. Calls the library. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/tool.h"
#include "device/read_watch.h"
#include "launch_tap.h"
#include "layer/flops.h"
#include "layer/layer_row.h"
#include "progress.h"
#include "variants.h"

#define COUNTED_FORWARDS 5

/* A rung that is open. */
typedef struct climb {
    ladder l;
    const rung *rung;
    void *state;
    variant_result *result;
} climb;

static int forward(void *user, size_t i) {
    climb *c = user;
    if (c->rung->forward(&c->l, c->state, i)) return 1;
    const cl_int code = clFinish(c->l.queue);
    return code != CL_SUCCESS ? complain_cl("clFinish", code) : 0;
}

static int bytes_in_use(const climb *c, uint64_t *bytes) {
    clmoe_memory_stats stats = {.struct_size = sizeof stats};
    clmoe_error error = {.struct_size = sizeof error};
    if (clmoe_context_memory(c->l.s->context, &stats, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_context_memory", &error);
    *bytes = stats.bytes_in_use;
    return 0;
}

/* The first forward, which also makes the library's workspace as large as it must be. */
static int check(climb *c) {
    uint64_t before = 0, after = 0;
    char what[96];
    snprintf(what, sizeof what, "%s, %s", c->l.host->shape->name, c->rung->name);
    c->l.keep_routes = 1;
    if (bytes_in_use(c, &before) || forward(c, 0) || bytes_in_use(c, &after) || row_run_compare(&c->l.run, what))
        return 1;
    c->l.keep_routes = 0;
    c->result->activation_bytes = after - before;
    return 0;
}

static int time_rung(climb *c, roofline *roof, double seconds) {
    layer_result *row = &c->result->row;
    char label[96];
    timing times;
    read_watch watch = {.roof = roof};
    snprintf(label, sizeof label, "%s %s, %u tokens, %s", row->shape->name, format_name(row->format), row->tokens,
             c->rung->name);
    const timing_task task = {c, forward, read_watch_between, &watch, 2, seconds, label};
    const int failed = timing_take(&task, &times);
    row_take_times(row, c->l.s, &times);
    row->read_gbps = read_watch_gbps(&watch);
    return failed;
}

/* Experts that the last forward hit, and how unevenly. */
static int read_routes(climb *c, int32_t *index, double *active, double *max_over_mean) {
    const model *m = c->l.host->shape;
    const size_t slots = (size_t)c->l.run.row->tokens * m->top_k;
    int32_t load[1024] = {0};
    clmoe_load_stats stats = {.struct_size = sizeof stats};
    const cl_int code = clEnqueueReadBuffer(c->l.queue, c->l.run.index, CL_TRUE, 0, slots * 4, index, 0, NULL, NULL);
    if (code != CL_SUCCESS) return complain_cl("clEnqueueReadBuffer", code);
    for (size_t i = 0; i < slots; i++) load[index[i]]++; /* checked to be in range */
    if (clmoe_load_statistics(load, m->num_experts, &stats, NULL) != CLMOE_OK)
        return complain("the loads make no sense");
    *active += (double)stats.active_experts / COUNTED_FORWARDS;
    *max_over_mean += stats.max_over_mean / COUNTED_FORWARDS;
    return 0;
}

/* Launches, transfers and device time, of forwards on the queue that measures. */
static int count(climb *c, int32_t *index) {
    layer_result *row = &c->result->row;
    double device[COUNTED_FORWARDS], launches[COUNTED_FORWARDS], transfers[COUNTED_FORWARDS], bytes[COUNTED_FORWARDS];
    c->l.queue = c->l.s->profiled;
    c->l.workspace = c->l.run.profiled;
    c->l.keep_routes = 1;
    if (forward(c, 0)) return 1; /* the workspace grows */
    for (size_t i = 0; i < COUNTED_FORWARDS; i++) {
        tap_counts counts;
        tap_start(c->l.queue);
        const int failed = forward(c, i + 1);
        if (tap_stop(&counts) || failed || read_routes(c, index, &row->active_experts, &row->max_over_mean)) return 1;
        device[i] = 1e-3 * counts.device_us;
        launches[i] = counts.launches;
        transfers[i] = counts.transfers;
        bytes[i] = (double)counts.transferred_bytes;
    }
    c->result->device_ms = median(device, COUNTED_FORWARDS);
    row->launches = (uint32_t)median(launches, COUNTED_FORWARDS);
    c->result->transfers = (uint32_t)median(transfers, COUNTED_FORWARDS);
    c->result->transferred_bytes = median(bytes, COUNTED_FORWARDS);
    return 0;
}

static int count_with_room(climb *c) {
    int32_t *index = malloc((size_t)c->l.run.row->tokens * c->l.host->shape->top_k * sizeof *index);
    const int failed = index == NULL ? complain("out of host memory") : count(c, index);
    free(index);
    return failed;
}

static int measure(climb *c, roofline *roof, double seconds) {
    variant_result *result = c->result;
    progress("%s, %u tokens, %s: making it", result->row.shape->name, result->row.tokens, c->rung->name);
    const int opened = c->rung->open(&c->l, c->rung, &c->state, result->skipped, sizeof result->skipped);
    if (opened != 0) return opened == 1;
    if (check(c) || time_rung(c, roof, seconds) || count_with_room(c)) return 1;
    row_rates(&result->row);
    result->activation_bytes += c->l.activation_bytes;
    result->moved_bytes = c->rung->moved(&c->l, c->state, result->row.active_experts);
    return 0;
}

int measure_rung(session *s, roofline *roof, const host_layer *host, uint32_t arithmetic, double seconds,
                 variant_result *result) {
    climb c = {.rung = result->rung, .result = result};
    c.l = (ladder){.s = s, .host = host, .arithmetic = arithmetic, .queue = s->queue};
    c.l.run = (row_run){.s = s, .roof = roof, .host = host, .row = &result->row};
    int failed = row_run_open(&c.l.run) || ladder_program(&c.l);
    c.l.workspace = c.l.run.workspace;
    failed = failed || measure(&c, roof, seconds);
    clFinish(s->queue);
    clFinish(s->profiled);
    c.rung->close(&c.l, c.state);
    if (c.l.program != NULL) clReleaseProgram(c.l.program);
    row_run_close(&c.l.run);
    return failed;
}
