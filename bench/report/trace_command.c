/* `clmoe-bench trace`: one forward pass as the device saw it. Tokens are written to the device, the layer runs, its
 * output is read back; every one of these commands has an event, and their moments become a file for chrome://tracing
 * and Perfetto. Calls the library and OpenCL. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common/args_parts.h"
#include "common/tool.h"
#include "common/weight_formats.h"
#include "layer/layer_row.h"
#include "layer/row_run.h"
#include "progress.h"
#include "trace_file.h"

#define MAX_LAUNCHES  4096
#define WARM_FORWARDS 3

/* ---------------------------------------------------------------------------------------------- command line */

enum { KEY_OUT = KEY_OWN };

static const char *out_path;

static const struct argp_option options[] = {
    SHAPE_OPTIONS,
    {"tokens", 't', "T", 0, "tokens of the forward (default 64)", 0},
    {"weights", 'w', "FORMAT", 0, "format of the weights (default f32):", 0},
    ARITHMETIC_OPTION,
    {"out", KEY_OUT, "FILE", 0, "the trace; needed", 0},
    SEED_OPTION,
    {0}};

static error_t parse(int key, char *text, struct argp_state *state) {
    const tool_args *args = state->input;
    error_t error = 0;
    switch (key) {
        case KEY_OUT: out_path = text; return writable(state, "--out", text);
        case ARGP_KEY_END:
            error = parse_layer(key, text, state);
            if (error != 0) return error;
            if (out_path == NULL) return wrong(state, "--out is missing, expected the name of the file to write");
            if (args->model_count != 1) return wrong(state, "--model has %zu names, expected one", args->model_count);
            if (args->token_count != 1)
                return wrong(state, "--tokens has %zu numbers, expected one", args->token_count);
            if (args->format_count != 1)
                return wrong(state, "--weights has %zu formats, expected one", args->format_count);
            return 0;
        default: return parse_layer(key, text, state);
    }
}

int trace_args(int argc, char **argv, tool_args *args) {
    static const struct argp argp = {
        options,
        parse,
        NULL,
        "Records every kernel and transfer of one forward pass, with the moments it was queued, submitted, started and "
        "ended, for chrome://tracing and https://ui.perfetto.dev. --json writes the same as rows."
        "\vExample: clmoe-bench trace --model olmoe --tokens 64 --weights bf16 --out trace.json",
        common_child,
        layer_help,
        NULL};
    *args = (tool_args){.seed = 1,
                        .custom = model_by_numbers(),
                        .tokens = {64},
                        .token_count = 1,
                        .formats = {CLMOE_F32},
                        .format_count = 1};
    out_path = NULL;
    return argp_parse(&argp, argc, argv, 0, NULL, args) != 0 ? 2 : 0;
}

/* ------------------------------------------------------------------------------------------------- recording */

/* The moments of one of the bench's own commands; its event is released. */
static int take_transfer(cl_event event, const char *name, uint64_t bytes, trace_event *to) {
    static const cl_profiling_info moments[] = {CL_PROFILING_COMMAND_QUEUED, CL_PROFILING_COMMAND_SUBMIT,
                                                CL_PROFILING_COMMAND_START, CL_PROFILING_COMMAND_END};
    cl_ulong at[COUNT_OF(moments)] = {0};
    cl_int code = CL_SUCCESS;
    for (size_t i = 0; i < COUNT_OF(moments) && code == CL_SUCCESS; i++)
        code = clGetEventProfilingInfo(event, moments[i], sizeof at[i], &at[i], NULL);
    clReleaseEvent(event);
    if (code != CL_SUCCESS) return complain_cl("clGetEventProfilingInfo", code);
    memset(to, 0, sizeof *to);
    snprintf(to->launch.stage, sizeof to->launch.stage, "%s", name);
    snprintf(to->launch.kernel, sizeof to->launch.kernel, "%s", name);
    to->launch.queued = at[0];
    to->launch.submitted = at[1];
    to->launch.started = at[2];
    to->launch.ended = at[3];
    to->launch.nanoseconds = at[3] > at[2] ? at[3] - at[2] : 0;
    to->bytes = bytes;
    return 0;
}

/* The forward's launches, between the two transfers. */
static int take_launches(const row_run *run, trace_event *events, size_t *count) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_launch_time *launches = malloc(MAX_LAUNCHES * sizeof *launches);
    uint32_t had = 0;
    if (launches == NULL) return complain("out of host memory");
    int failed = clmoe_workspace_launches(run->profiled, launches, MAX_LAUNCHES, &had, &error) != CLMOE_OK
                     ? complain_clmoe("clmoe_workspace_launches", &error)
                     : 0;
    if (!failed && had > MAX_LAUNCHES) failed = complain("%u launches, at most %d can be recorded", had, MAX_LAUNCHES);
    for (uint32_t i = 0; i < had && !failed; i++) events[i] = (trace_event){.launch = launches[i]};
    *count = had;
    free(launches);
    return failed;
}

/* Write, forward, read: all in the queue before the first is waited for, as an engine would have it. */
static int record(row_run *run, trace_event *events, size_t *count) {
    const size_t bytes = (size_t)run->row->tokens * run->host->shape->hidden_size * sizeof(float);
    clmoe_error error = {.struct_size = sizeof error};
    cl_event write = NULL, read = NULL;
    const clmoe_io io = row_run_io(run, 0);
    float *result = malloc(bytes);
    if (result == NULL) return complain("out of host memory");
    cl_int code = clEnqueueWriteBuffer(run->s->profiled, run->x, CL_FALSE, 0, bytes, run->host_x, 0, NULL, &write);
    const clmoe_status status = code == CL_SUCCESS ? clmoe_forward(run->device->layers[0], run->profiled,
                                                                   run->s->profiled, &io, 0, NULL, NULL, &error)
                                                   : CLMOE_OK;
    if (code == CL_SUCCESS && status == CLMOE_OK)
        code = clEnqueueReadBuffer(run->s->profiled, run->out, CL_FALSE, 0, bytes, result, 0, NULL, &read);
    const cl_int finished = clFinish(run->s->profiled);
    free(result);
    int failed = status != CLMOE_OK ? complain_clmoe("clmoe_forward", &error) : 0;
    if (!failed && code != CL_SUCCESS) failed = complain_cl("a transfer", code);
    if (!failed && finished != CL_SUCCESS) failed = complain_cl("clFinish", finished);
    if (failed) {
        if (write != NULL) clReleaseEvent(write);
        if (read != NULL) clReleaseEvent(read);
        return 1;
    }
    failed = take_transfer(write, "write", bytes, &events[0]);
    failed |= take_launches(run, events + 1, count);
    failed |= take_transfer(read, "read", bytes, &events[1 + *count]);
    *count += 2;
    return failed;
}

/* 0, or 1 after a complaint that the layer is too large for this memory. */
static int check_memory(const session *s, const model *m, uint32_t format, uint32_t tokens) {
    const uint64_t had = memory_available(s),
                   needed = layer_bytes(m, format) + pool_bytes(m, format) + row_bytes(m, tokens);
    if (had == 0 || needed <= had) return 0;
    return complain("%s in %s with %u tokens needs %.1f GiB, %.1f GiB can be had", m->name, format_name(format), tokens,
                    (double)needed / 0x1p30, (double)had / 0x1p30);
}

/* Checks the layer, lets arena and caches settle, records. */
static int run_trace(session *s, const tool_args *args, const host_layer *host, const device_layer *device,
                     trace_event *events, size_t *count) {
    layer_result row = {
        .shape = host->shape, .format = host->format, .tokens = args->tokens[0], .seed = args->seed, .copies = 1};
    row_run run = {.s = s, .host = host, .device = device, .row = &row};
    clmoe_error error = {.struct_size = sizeof error};
    int failed = row_run_open(&run) || row_run_check(&run);
    if (!failed && clmoe_workspace_set_profiling(run.profiled, 1, &error) != CLMOE_OK)
        failed = complain_clmoe("clmoe_workspace_set_profiling", &error);
    for (size_t i = 0; i < WARM_FORWARDS && !failed; i++) {
        const clmoe_io io = row_run_io(&run, i + 1);
        failed = row_run_forward(&run, s->profiled, &io, i, NULL);
    }
    failed = failed || record(&run, events, count);
    clFinish(s->profiled);
    row_run_close(&run);
    return failed;
}

/* -------------------------------------------------------------------------------------------------- results */

static void print_events(const tool_args *args, const trace_event *events, size_t count) {
    printf("%s %s, %u tokens: %zu commands, microseconds since the first was queued\n", args->models[0]->name,
           format_name(args->formats[0]), args->tokens[0], count);
    printf("%-12s %-24s %10s %10s %10s %10s %10s\n", "stage", "kernel", "queued", "submitted", "started", "ended",
           "took");
    for (size_t i = 0; i < count; i++) {
        const clmoe_launch_time *l = &events[i].launch;
        printf("%-12s %-24s %10.1f %10.1f %10.1f %10.1f %10.1f\n", l->stage, events[i].bytes != 0 ? "-" : l->kernel,
               trace_us(events, l->queued), trace_us(events, l->submitted), trace_us(events, l->started),
               trace_us(events, l->ended), 1e-3 * (double)l->nanoseconds);
    }
    fflush(stdout);
}

static json_t *start(const session *s, const tool_args *args) {
    const model *m = args->models[0];
    json_t *root = json_report_start("trace", s, NULL);
    put_text(root, "model", m->name);
    put_count(root, "hidden_size", m->hidden_size);
    put_count(root, "intermediate_size", m->intermediate_size);
    put_count(root, "num_experts", m->num_experts);
    put_count(root, "top_k", m->top_k);
    put_text(root, "weights", format_name(args->formats[0]));
    put_count(root, "tokens", args->tokens[0]);
    put_count(root, "seed", args->seed);
    return root;
}

/* Readers of the trace format take unknown keys of the object for notes. */
static int write_trace(const session *s, const tool_args *args, const trace_event *events, size_t count) {
    json_t *root = start(s, args);
    trace_events_add(root, events, count);
    return json_report_write(out_path, root);
}

static int write_rows(const session *s, const tool_args *args, const trace_event *events, size_t count) {
    json_t *root = start(s, args);
    json_t *rows = put_list(root, "rows");
    for (size_t i = 0; i < count; i++) {
        const clmoe_launch_time *l = &events[i].launch;
        json_t *row = put_row(rows);
        put_count(row, "command_index", i);
        put_text(row, "kind", events[i].bytes != 0 ? "transfer" : "kernel");
        put_text(row, "stage", l->stage);
        put_text(row, "kernel", l->kernel);
        put_count(row, "bytes", events[i].bytes);
        put_count(row, "work_items",
                 events[i].bytes != 0 ? 0 : l->global_size[0] * l->global_size[1] * l->global_size[2]);
        put_number(row, "queued_us", trace_us(events, l->queued));
        put_number(row, "submitted_us", trace_us(events, l->submitted));
        put_number(row, "started_us", trace_us(events, l->started));
        put_number(row, "ended_us", trace_us(events, l->ended));
    }
    return json_report_write(args->json, root);
}

int trace_command(const tool_args *args) {
    session s;
    host_layer host = {0};
    device_layer device = {0};
    size_t count = 0;
    progress_start(args->quiet);
    trace_event *events = malloc((MAX_LAUNCHES + 2) * sizeof *events);
    if (events == NULL) return complain("out of host memory");
    int failed = session_open(args->device, &s);
    if (failed) {
        free(events);
        return failed;
    }
    progress("making %.1f GiB of weights", (double)layer_bytes(args->models[0], args->formats[0]) / 0x1p30);
    failed = check_memory(&s, args->models[0], args->formats[0], args->tokens[0]) ||
             host_layer_make(args->models[0], args->formats[0], args->seed, &host) ||
             device_layer_add(&s, &host, args->arithmetic, &device) ||
             run_trace(&s, args, &host, &device, events, &count);
    progress_clear();
    if (!failed) print_events(args, events, count);
    failed =
        failed || write_trace(&s, args, events, count) || (args->json != NULL && write_rows(&s, args, events, count));
    device_layer_free(&device);
    host_layer_free(&host);
    session_close(&s);
    free(events);
    return failed;
}
