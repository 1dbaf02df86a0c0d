/* One row of the table; see layer_row.h. Calls the library and OpenCL.
 *
 * All tokens lie in one buffer; forward i reads the T tokens from row start(i) on, so that every forward has other tokens
 * and other routes without anything being written between forwards. Forward i uses copy i % copies of the weights and
 * leaves the experts' loads in row i of a buffer that is read when timing is over.
 */
#include "layer_row.h"

#include <clmoe/clmoe_stages.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "progress.h"
#include "tool.h"

#define MIN_FORWARDS 7
#define MAX_FORWARDS 4096
#define PROFILED_FORWARDS 5
#define SAMPLED_TOKENS 3
#define MAX_LAUNCHES 4096
#define TOKEN_BYTES_LIMIT ((uint64_t)256 << 20)

typedef struct row_run {
    session *s;
    const host_layer *host;
    const device_layer *device;
    layer_result *row;
    size_t rows; /* tokens in x */
    float *host_x;
    cl_mem x, out, index, weight, load;
    clmoe_workspace *workspace, *profiled;
} row_run;

/* How many tokens the buffer holds: 4096 or eight forwards' worth, unless that is too much memory. */
static size_t token_rows(const model *m, uint32_t tokens) {
    const uint64_t most = TOKEN_BYTES_LIMIT / (4 * (uint64_t)m->hidden_size), least = 2 * (uint64_t)tokens;
    uint64_t rows = 8 * (uint64_t)tokens > 4096 ? 8 * (uint64_t)tokens : 4096;
    if (rows > most) rows = most;
    return (size_t)(rows < least ? least : rows);
}

uint64_t row_bytes(const model *m, uint32_t tokens) {
    const uint64_t routed = (uint64_t)tokens * m->top_k;
    const uint64_t arena = routed * (2 * (uint64_t)m->hidden_size + m->intermediate_size) * 4;
    return arena + ((uint64_t)tokens + 2 * token_rows(m, tokens)) * m->hidden_size * 4 +
           (uint64_t)MAX_FORWARDS * m->num_experts * 4;
}

static void run_close(row_run *run) {
    const cl_mem buffers[] = {run->x, run->out, run->index, run->weight, run->load};
    clmoe_workspace_destroy(run->workspace);
    clmoe_workspace_destroy(run->profiled);
    for (size_t i = 0; i < COUNT_OF(buffers); i++) {
        if (buffers[i] != NULL) clReleaseMemObject(buffers[i]);
    }
    free(run->host_x);
}

static int run_open(row_run *run) {
    const model *m = run->host->shape;
    const size_t tokens = run->row->tokens, hidden = m->hidden_size, slots = m->top_k;
    run->rows = token_rows(m, run->row->tokens);
    const struct {
        cl_mem *mem;
        size_t bytes;
    } buffers[] = {{&run->x, run->rows * hidden * 4},
                   {&run->out, tokens * hidden * 4},
                   {&run->index, tokens * slots * 4},
                   {&run->weight, tokens * slots * 4},
                   {&run->load, (size_t)MAX_FORWARDS * m->num_experts * 4}};
    for (size_t i = 0; i < COUNT_OF(buffers); i++) {
        cl_int code;
        *buffers[i].mem = clCreateBuffer(run->s->cl, CL_MEM_READ_WRITE, buffers[i].bytes, NULL, &code);
        if (code != CL_SUCCESS) return complain_cl("clCreateBuffer", code);
    }
    run->host_x = malloc(buffers[0].bytes);
    if (run->host_x == NULL) return complain("out of host memory for the tokens");
    fill_tokens(run->host_x, run->rows, m->hidden_size, run->row->seed);
    const cl_int code = clEnqueueWriteBuffer(run->s->queue, run->x, CL_TRUE, 0, buffers[0].bytes, run->host_x, 0, NULL, NULL);
    if (code != CL_SUCCESS) return complain_cl("clEnqueueWriteBuffer", code);
    clmoe_error error = {.struct_size = sizeof error};
    if (clmoe_workspace_create(run->s->context, run->s->queue, NULL, &run->workspace, &error) != CLMOE_OK ||
        clmoe_workspace_create(run->s->context, run->s->profiled, NULL, &run->profiled, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_workspace_create", &error);
    return 0;
}

/* The first token of forward i. */
static size_t start_of(const row_run *run, size_t i) {
    const size_t tokens = run->row->tokens;
    return i * tokens % (run->rows - tokens + 1);
}

static clmoe_io io_of(const row_run *run, size_t i) {
    clmoe_io io;
    clmoe_io_default(&io, sizeof io);
    io.tokens = run->row->tokens;
    io.x = clmoe_cl_mem(run->x, (uint64_t)start_of(run, i) * run->host->shape->hidden_size * 4);
    io.out = clmoe_cl_mem(run->out, 0);
    return io;
}

/* One forward to its end. *host_seconds (may be NULL) is the time in the library's call. */
static int forward(row_run *run, cl_command_queue queue, const clmoe_io *io, size_t i, double *host_seconds) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_layer *layer = run->device->layers[i % run->row->copies];
    clmoe_workspace *workspace = queue == run->s->queue ? run->workspace : run->profiled;
    const double begin = now_seconds();
    if (clmoe_forward(layer, workspace, queue, io, 0, NULL, NULL, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_forward", &error);
    if (host_seconds != NULL) *host_seconds = now_seconds() - begin;
    const cl_int code = clFinish(queue);
    return code != CL_SUCCESS ? complain_cl("clFinish", code) : 0;
}

/* ------------------------------------------------------------------------------------------------- checking */

/* Reads one token's index, weight and out into the arrays. */
static int read_token(row_run *run, size_t token, int32_t *index, float *weight, float *out) {
    const size_t slots = run->host->shape->top_k * sizeof(int32_t), hidden = run->host->shape->hidden_size * sizeof(float);
    cl_command_queue queue = run->s->queue;
    cl_int code = clEnqueueReadBuffer(queue, run->index, CL_TRUE, token * slots, slots, index, 0, NULL, NULL);
    if (code == CL_SUCCESS) code = clEnqueueReadBuffer(queue, run->weight, CL_TRUE, token * slots, slots, weight, 0, NULL, NULL);
    if (code == CL_SUCCESS) code = clEnqueueReadBuffer(queue, run->out, CL_TRUE, token * hidden, hidden, out, 0, NULL, NULL);
    return code != CL_SUCCESS ? complain_cl("clEnqueueReadBuffer", code) : 0;
}

/* The first token, the last, and one between them that the seed picks. */
static size_t sample_tokens(const row_run *run, size_t sampled[SAMPLED_TOKENS]) {
    const size_t tokens = run->row->tokens;
    random_state random = {run->row->seed + tokens};
    sampled[0] = 0;
    sampled[1] = tokens - 1;
    if (tokens <= 2) return tokens;
    sampled[2] = 1 + (size_t)(random_next(&random) % (tokens - 2));
    return 3;
}

static int check_with(row_run *run, int32_t *index, float *weight, float *out) {
    const model *m = run->host->shape;
    token_result results[SAMPLED_TOKENS];
    size_t sampled[SAMPLED_TOKENS];
    const size_t count = sample_tokens(run, sampled);
    clmoe_io io = io_of(run, 0);
    io.out_index = clmoe_cl_mem(run->index, 0);
    io.out_weight = clmoe_cl_mem(run->weight, 0);
    if (forward(run, run->s->queue, &io, 0, NULL)) return 1;
    for (size_t i = 0; i < count; i++) {
        results[i] = (token_result){run->host_x + (start_of(run, 0) + sampled[i]) * m->hidden_size, index + i * m->top_k,
                                    weight + i * m->top_k, out + i * m->hidden_size};
        if (read_token(run, sampled[i], index + i * m->top_k, weight + i * m->top_k, out + i * m->hidden_size)) return 1;
    }
    check_result result;
    char why[256];
    if (check_tokens(run->host, results, count, &result, why, sizeof why)) {
        return complain("%s %s, %u tokens: not timed, because the results are wrong: %s", m->name,
                        format_name(run->host->format), run->row->tokens, why);
    }
    run->row->max_rel_error = result.max_rel_error;
    run->row->tolerance = result.tolerance;
    run->row->bf16_arithmetic = result.bf16_arithmetic;
    return 0;
}

static int check(row_run *run) {
    const model *m = run->host->shape;
    int32_t *index = malloc(SAMPLED_TOKENS * m->top_k * sizeof *index);
    float *weight = malloc(SAMPLED_TOKENS * m->top_k * sizeof *weight);
    float *out = malloc(SAMPLED_TOKENS * m->hidden_size * sizeof *out);
    const int failed = index == NULL || weight == NULL || out == NULL ? complain("out of host memory")
                                                                      : check_with(run, index, weight, out);
    free(index);
    free(weight);
    free(out);
    return failed;
}

/* --------------------------------------------------------------------------------------------------- timing */

/* Every copy once, and at least twice in all, so that what happens at first use is over. */
static int warm(row_run *run) {
    const size_t count = run->row->copies + 1;
    for (size_t i = 0; i < count; i++) {
        clmoe_io io = io_of(run, i);
        io.out_load = clmoe_cl_mem(run->load, 0);
        if (forward(run, run->s->queue, &io, i, NULL)) return 1;
    }
    return 0;
}

static int read_loads(row_run *run, size_t forwards) {
    const uint32_t experts = run->host->shape->num_experts;
    int32_t *load = malloc(forwards * experts * sizeof *load);
    if (load == NULL) return complain("out of host memory for the loads");
    const cl_int code = clEnqueueReadBuffer(run->s->queue, run->load, CL_TRUE, 0, forwards * experts * sizeof *load, load, 0,
                                            NULL, NULL);
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

/* Forwards until `seconds` are over; their times go to samples_ms and host. */
static int time_forwards(row_run *run, double seconds, double *host, size_t *count) {
    const uint64_t load_row = (uint64_t)run->host->shape->num_experts * sizeof(int32_t);
    const double begin = now_seconds();
    double shown = begin;
    size_t i = 0;
    for (; i < MAX_FORWARDS && (i < MIN_FORWARDS || now_seconds() - begin < seconds); i++) {
        clmoe_io io = io_of(run, i + 1); /* forward 0 was checked */
        io.out_load = clmoe_cl_mem(run->load, i * load_row);
        const double start = now_seconds();
        if (forward(run, run->s->queue, &io, i, &host[i])) return 1;
        const double end = now_seconds();
        run->row->samples_ms[i] = 1e3 * (end - start);
        if (end - shown < 0.25) continue;
        shown = end;
        progress("%s %s, %u tokens: %zu forwards, %.0f of %.0f s", run->host->shape->name, format_name(run->host->format),
                 run->row->tokens, i + 1, end - begin, seconds);
    }
    *count = i;
    return 0;
}

static void summarise(layer_result *row, double *sorted) {
    const model *m = row->shape;
    const double tokens = (double)row->tokens, hidden = (double)m->hidden_size;
    const double flops = 2 * tokens * hidden *
                         (3.0 * m->intermediate_size * m->top_k + 3.0 * m->shared_size + (double)m->num_experts);
    const double bytes = row->active_experts * (double)expert_bytes(m, row->format) + (double)shared_bytes(m, row->format);
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

void compare_with_limits(layer_result *row, const peaks *before, const peaks *after) {
    const int bf16 = row->format == CLMOE_BF16 && before->rate[PEAK_BF16] > 0;
    const peak_kind kind = bf16 ? PEAK_BF16 : PEAK_F32;
    row->peak_gflops = (before->rate[kind] + after->rate[kind]) / 2;
    row->read_gbps = (before->rate[PEAK_READ] + after->rate[PEAK_READ]) / 2;
    /* the forward's operations and bytes, from the rates that summarise() made of them */
    const double by_flops = row->gflops * row->median_ms / row->peak_gflops;
    const double by_bytes = row->weight_gbps * row->median_ms / row->read_gbps;
    row->roofline_ms = fmax(by_flops, by_bytes);
    row->roofline_share = row->roofline_ms / row->median_ms;
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
        clmoe_io io = io_of(run, i);
        uint32_t count = 0;
        io.out_load = clmoe_cl_mem(run->load, 0);
        if (forward(run, run->s->profiled, &io, i, NULL)) {
            free(launches);
            return 1;
        }
        failed = clmoe_workspace_launches(run->profiled, launches, MAX_LAUNCHES, &count, &error) != CLMOE_OK;
        run->row->launches = count;
        if (i == 0 || failed) continue; /* the first grows the arena */
        add_launches(run->row, launches, count < MAX_LAUNCHES ? count : MAX_LAUNCHES, i - 1, times);
    }
    for (size_t at = 0; at < run->row->stage_count; at++) run->row->stages[at].us = median(times[at], PROFILED_FORWARDS);
    free(launches);
    return failed ? complain_clmoe("profiling", &error) : 0;
}

int measure_row(session *s, const host_layer *host, const device_layer *device, double seconds, layer_result *row) {
    row_run run = {.s = s, .host = host, .device = device, .row = row};
    progress("%s %s, %u tokens: checking", host->shape->name, format_name(host->format), row->tokens);
    const int failed = run_open(&run) || check(&run) || time_row(&run, seconds) || profile_row(&run);
    clFinish(s->queue);
    run_close(&run);
    return failed;
}
