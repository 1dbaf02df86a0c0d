/* Buffers and forwards of one row; see row_run.h. Calls the library and OpenCL. */
#include "row_run.h"

#include <stdlib.h>

#include "common/tool.h"
#include "layer_row.h"

#define TOKEN_BYTES_LIMIT ((uint64_t)256 << 20)

/* How many tokens the buffer holds: 4096 or eight forwards' worth, unless that is too much memory. */
static size_t token_rows(const model *m, uint32_t tokens) {
    const uint64_t most = TOKEN_BYTES_LIMIT / (4 * (uint64_t)m->hidden_size);
    const uint64_t least = (tokens > 2 * most ? 1 : 2) * (uint64_t)tokens; /* of very many, every forward has the same
                                                                            * */
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

void row_run_close(row_run *run) {
    const cl_mem buffers[] = {run->x, run->out, run->index, run->weight, run->load, run->logits};
    clmoe_workspace_destroy(run->workspace);
    clmoe_workspace_destroy(run->profiled);
    for (size_t i = 0; i < COUNT_OF(buffers); i++) {
        if (buffers[i] != NULL) clReleaseMemObject(buffers[i]);
    }
    free(run->host_x);
}

static int upload_logits(row_run *run) {
    cl_int code;
    const size_t bytes = run->logit_rows * run->host->shape->num_experts * sizeof(float);
    run->logits = clCreateBuffer(run->s->cl, CL_MEM_READ_ONLY, bytes, NULL, &code);
    if (code == CL_SUCCESS)
        code = clEnqueueWriteBuffer(run->s->queue, run->logits, CL_TRUE, 0, bytes, run->host_logits, 0, NULL, NULL);
    return code != CL_SUCCESS ? complain_cl("the logits' buffer", code) : 0;
}

int row_run_open(row_run *run) {
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
    const cl_int code =
        clEnqueueWriteBuffer(run->s->queue, run->x, CL_TRUE, 0, buffers[0].bytes, run->host_x, 0, NULL, NULL);
    if (code != CL_SUCCESS) return complain_cl("clEnqueueWriteBuffer", code);
    if (run->host_logits != NULL && upload_logits(run)) return 1;
    clmoe_error error = {.struct_size = sizeof error};
    if (clmoe_workspace_create(run->s->context, run->s->queue, NULL, &run->workspace, &error) != CLMOE_OK ||
        clmoe_workspace_create(run->s->context, run->s->profiled, NULL, &run->profiled, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_workspace_create", &error);
    return 0;
}

size_t row_run_start(const row_run *run, size_t i) {
    const size_t tokens = run->row->tokens;
    return i * tokens % (run->rows - tokens + 1);
}

size_t row_run_logits_start(const row_run *run, size_t i) {
    const size_t tokens = run->row->tokens;
    return i * tokens % (run->logit_rows - tokens + 1);
}

clmoe_io row_run_io(const row_run *run, size_t i) {
    clmoe_io io;
    clmoe_io_default(&io, sizeof io);
    io.tokens = run->row->tokens;
    io.x = clmoe_cl_mem(run->x, (uint64_t)row_run_start(run, i) * run->host->shape->hidden_size * 4);
    io.out = clmoe_cl_mem(run->out, 0);
    if (run->logits != NULL)
        io.logits =
            clmoe_cl_mem(run->logits, (uint64_t)row_run_logits_start(run, i) * run->host->shape->num_experts * 4);
    return io;
}

int row_run_forward(row_run *run, cl_command_queue queue, const clmoe_io *io, size_t i, double *host_seconds) {
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
