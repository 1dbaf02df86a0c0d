/* What one layer takes of the device's memory; see memory_row.h. Calls the library and OpenCL. */
#include "memory_row.h"

#include <math.h>
#include <stdlib.h>

#include "common/tool.h"

uint64_t activation_sum(const activation_bytes *b) { return b->inputs + b->projections + b->hidden + b->rows; }

activation_bytes unfused_bytes(const model *m, uint32_t arithmetic, const clmoe_layer_memory *fused) {
    const uint64_t rows = fused->max_rows;
    const uint64_t element = arithmetic == CLMOE_ARITHMETIC_INT8 ? 1 : arithmetic == CLMOE_ARITHMETIC_BF16 ? 2 : 4;
    const uint64_t gathered = rows * m->hidden_size * element;
    return (activation_bytes){.inputs = gathered > fused->inputs ? gathered : fused->inputs,
                              .projections = 2 * rows * m->intermediate_size * 4,
                              .hidden = fused->hidden,
                              .rows = fused->rows};
}

uint64_t predicted_total(const memory_row *row) {
    return row->predicted.weights + row->predicted.arena + row->io_bytes;
}

static double deviation(uint64_t measured, uint64_t predicted) {
    return fabs((double)measured - (double)predicted) / (double)predicted;
}

double memory_deviation(const memory_row *row) {
    if (!row->is_measured) return 0;
    return fmax(deviation(row->measured_weights, row->predicted.weights),
                deviation(row->measured_workspace, row->predicted.arena));
}

/* A forward that is too large for one pass is done in passes of nearly equal size. */
static int query(const clmoe_layer *layer, memory_row *row) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_layer_memory *memory = &row->predicted;
    clmoe_layer_memory_default(memory, sizeof *memory);
    if (clmoe_layer_memory_query(layer, row->tokens, memory, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_layer_memory_query", &error);
    if (memory->pass_tokens == 0) return complain("one token's workspace exceeds what this device allows");
    row->passes = (row->tokens + memory->pass_tokens - 1) / memory->pass_tokens;
    const uint32_t each = (row->tokens + row->passes - 1) / row->passes;
    if (clmoe_layer_memory_query(layer, each, memory, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_layer_memory_query", &error);
    return 0;
}

int memory_row_predict(session *s, memory_row *row) {
    device_layer device = {.copies = 0};
    int failed =
        device_layer_plan(s, row->shape, row->format, row->arithmetic, &device) || query(device.layers[0], row);
    if (!failed) row->arithmetic = layer_arithmetic(device.layers[0]);
    failed = failed || row->arithmetic == 0;
    device_layer_free(&device);
    row->source_bytes = source_bytes(row->shape, row->format);
    row->io_bytes = 2 * (uint64_t)row->tokens * row->shape->hidden_size * sizeof(float);
    const clmoe_layer_memory *p = &row->predicted;
    row->fused = (activation_bytes){.inputs = p->inputs, .hidden = p->hidden, .rows = p->rows};
    row->unfused = unfused_bytes(row->shape, row->arithmetic, p);
    return failed;
}

/* ------------------------------------------------------------------------------------------------- measuring */

typedef struct measured_run {
    session s;
    host_layer host;
    device_layer device;
    clmoe_workspace *workspace;
    cl_mem x, out;
} measured_run;

static int pool_stats(const measured_run *run, clmoe_memory_stats *stats) {
    clmoe_error error = {.struct_size = sizeof error};
    *stats = (clmoe_memory_stats){.struct_size = sizeof *stats};
    return clmoe_context_memory(run->s.context, stats, &error) != CLMOE_OK
               ? complain_clmoe("clmoe_context_memory", &error)
               : 0;
}

static int make_io(measured_run *run, const memory_row *row) {
    const size_t count = (size_t)row->tokens * row->shape->hidden_size, bytes = count * sizeof(float);
    cl_int code = CL_SUCCESS;
    float *tokens = malloc(bytes);
    if (tokens == NULL) return complain("out of host memory for the tokens");
    fill_tokens(tokens, row->tokens, row->shape->hidden_size, row->seed);
    run->x = clCreateBuffer(run->s.cl, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, bytes, tokens, &code);
    if (code == CL_SUCCESS) run->out = clCreateBuffer(run->s.cl, CL_MEM_WRITE_ONLY, bytes, NULL, &code);
    free(tokens);
    return code != CL_SUCCESS ? complain_cl("clCreateBuffer", code) : 0;
}

static int forward(measured_run *run, const memory_row *row) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_io io;
    clmoe_io_default(&io, sizeof io);
    io.tokens = row->tokens;
    io.x = clmoe_cl_mem(run->x, 0);
    io.out = clmoe_cl_mem(run->out, 0);
    if (clmoe_forward(run->device.layers[0], run->workspace, run->s.queue, &io, 0, NULL, NULL, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_forward", &error);
    const cl_int code = clFinish(run->s.queue);
    return code != CL_SUCCESS ? complain_cl("clFinish", code) : 0;
}

/* With a new workspace, whose memory may be that of the old one. */
static int forward_anew(measured_run *run, const memory_row *row, clmoe_memory_stats *stats) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_workspace_destroy(run->workspace);
    run->workspace = NULL;
    clFinish(run->s.queue); /* a block is kept from the start, but handed out only when the device is done with it */
    if (clmoe_workspace_create(run->s.context, run->s.queue, NULL, &run->workspace, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_workspace_create", &error);
    return forward(run, row) || pool_stats(run, stats);
}

static int measure(measured_run *run, memory_row *row) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_memory_stats start, made, used, end, anew;
    if (pool_stats(run, &start) || device_layer_add(&run->s, &run->host, row->arithmetic, &run->device)) return 1;
    if (clmoe_workspace_create(run->s.context, run->s.queue, NULL, &run->workspace, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_workspace_create", &error);
    if (clmoe_context_trim(run->s.context, &error) != CLMOE_OK) return complain_clmoe("clmoe_context_trim", &error);
    if (pool_stats(run, &made) || forward(run, row) || pool_stats(run, &used)) return 1;
    if (forward(run, row) || pool_stats(run, &end)) return 1;
    if (forward_anew(run, row, &anew)) return 1;
    row->reuse_requests = anew.requests - end.requests;
    row->reuse_hits = anew.hits - end.hits;
    row->measured_weights = made.bytes_in_use - start.bytes_in_use;
    row->measured_workspace = used.bytes_in_use - made.bytes_in_use;
    row->high_water = anew.high_water;
    row->requests = anew.requests;
    row->hits = anew.hits;
    row->later_requests = end.requests - used.requests;
    row->is_measured = 1;
    return 0;
}

int memory_row_measure(const char *device, memory_row *row) {
    measured_run run = {.workspace = NULL};
    if (session_open(device, &run.s)) return 1;
    const int failed =
        host_layer_make(row->shape, row->format, row->seed, &run.host) || make_io(&run, row) || measure(&run, row);
    clFinish(run.s.queue);
    clmoe_workspace_destroy(run.workspace);
    device_layer_free(&run.device);
    host_layer_free(&run.host);
    if (run.x != NULL) clReleaseMemObject(run.x);
    if (run.out != NULL) clReleaseMemObject(run.out);
    session_close(&run.s);
    return failed;
}
