/* The rungs as rows of data, and what several of them use; see ladder.h. Calls the library and OpenCL. */
#include "ladder.h"

#include <stdio.h>
#include <string.h>

#include "common/tool.h"
#include "common/weight_formats.h"

extern const char ladder_source[];

#define GPU_ITEMS 64

static const rung rungs[] = {
    {"vanilla", "route, then one CLBlast SGEMM a matrix and expert, routes read back, rows sent up", vanilla_open,
     vanilla_forward, vanilla_close, vanilla_moved, 0, 0},
    {"grouped", "all experts in one grouped GEMM; gather and activation are launches of their own", stages_open,
     stages_forward, stages_close, stages_moved, 0, 0},
    {"fused", "gate and up in one GEMM that gathers and activates", stages_open, stages_forward, stages_close,
     stages_moved, 1, 0},
    {"tiles", "near-equal row tiles instead of full ones and a rest", stages_open, stages_forward, stages_close,
     stages_moved, 1, 1},
    {"full", "one forward: the activations handed over as packed rows, one arena", full_open, full_forward, full_close,
     full_moved, 1, 1},
};

const rung *ladder_rung(size_t i) { return i < COUNT_OF(rungs) ? &rungs[i] : NULL; }

/* ------------------------------------------------------------------------------------------------ kernels */

int ladder_program(ladder *l) {
    const model *m = l->host->shape;
    const char *source = ladder_source;
    char options[256], log[2048] = "";
    cl_int code;
    snprintf(options, sizeof options, "-cl-std=CL1.2 -DITEMS=%d -DALPHA=%af -DUP_OFFSET=%af -DLIMIT=%af",
             l->s->is_cpu ? 1 : GPU_ITEMS, (double)m->alpha, (double)m->up_offset, (double)m->limit);
    l->program = clCreateProgramWithSource(l->s->cl, 1, &source, NULL, &code);
    if (code != CL_SUCCESS) return complain_cl("clCreateProgramWithSource", code);
    code = clBuildProgram(l->program, 1, &l->s->device, options, NULL, NULL);
    if (code == CL_SUCCESS) return 0;
    clGetProgramBuildInfo(l->program, l->s->device, CL_PROGRAM_BUILD_LOG, sizeof log, log, NULL);
    return complain("ladder.cl does not compile: OpenCL error %d\n%.2000s", (int)code, log);
}

cl_kernel ladder_kernel(const ladder *l, const char *name) {
    cl_int code;
    const cl_kernel kernel = clCreateKernel(l->program, name, &code);
    if (code != CL_SUCCESS) complain_cl(name, code);
    return kernel;
}

int ladder_launch(const ladder *l, cl_kernel kernel, size_t rows) {
    const size_t local = l->s->is_cpu ? 1 : GPU_ITEMS, global = rows * local;
    const cl_int code = clEnqueueNDRangeKernel(l->queue, kernel, 1, NULL, &global, &local, 0, NULL, NULL);
    return code != CL_SUCCESS ? complain_cl("clEnqueueNDRangeKernel", code) : 0;
}

cl_mem ladder_buffer(ladder *l, uint64_t bytes) {
    cl_int code;
    const cl_mem mem = clCreateBuffer(l->s->cl, CL_MEM_READ_WRITE, (size_t)(bytes != 0 ? bytes : 4), NULL, &code);
    if (code != CL_SUCCESS) {
        complain_cl("clCreateBuffer", code);
        return NULL;
    }
    l->activation_bytes += bytes;
    return mem;
}

/* ------------------------------------------------------------------------------------------------- router */

static clmoe_tensor vector(const float *host) {
    return (clmoe_tensor){.format = host != NULL ? (uint32_t)CLMOE_F32 : (uint32_t)CLMOE_FORMAT_NONE, .host = host};
}

int ladder_router_open(ladder *l, ladder_router *router) {
    const host_layer *host = l->host;
    const model *m = host->shape;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_logits_desc logits;
    clmoe_select_desc select;
    clmoe_layer_desc layer;
    clmoe_logits_desc_default(&logits, sizeof logits);
    clmoe_select_desc_default(&select, sizeof select);
    if (device_layer_desc(m, &layer, &error) != CLMOE_OK) return complain_clmoe(m->preset, &error);
    logits.hidden_size = m->hidden_size;
    logits.num_classes = m->num_experts;
    logits.router = vector(host->router);
    if (host->router_bias != NULL) logits.bias = vector(host->router_bias);
    select.routing = layer.routing;
    if (host->select_bias != NULL) select.select_bias = vector(host->select_bias);
    router->values = ladder_buffer(l, (uint64_t)l->run.row->tokens * m->num_experts * 4);
    l->activation_bytes += (uint64_t)l->run.row->tokens * m->top_k * 8; /* index and weight, in the run's buffers */
    if (router->values == NULL) return 1;
    if (clmoe_logits_create(l->s->context, &logits, &router->logits, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_logits_create", &error);
    if (clmoe_select_create(l->s->context, &select, &router->select, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_select_create", &error);
    return 0;
}

void ladder_router_close(ladder_router *router) {
    clmoe_logits_destroy(router->logits);
    clmoe_select_destroy(router->select);
    if (router->values != NULL) clReleaseMemObject(router->values);
}

int ladder_router_enqueue(ladder *l, ladder_router *router, size_t i) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_logits_io logits;
    clmoe_select_io select;
    clmoe_logits_io_default(&logits, sizeof logits);
    clmoe_select_io_default(&select, sizeof select);
    logits.tokens = select.tokens = l->run.row->tokens;
    logits.x = clmoe_cl_mem(l->run.x, 4 * ladder_x_offset(l, i));
    logits.logits = select.logits = clmoe_cl_mem(router->values, 0);
    select.index = clmoe_cl_mem(l->run.index, 0);
    select.weight = clmoe_cl_mem(l->run.weight, 0);
    if (clmoe_logits_enqueue(router->logits, l->workspace, l->queue, &logits, 0, NULL, NULL, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_logits_enqueue", &error);
    if (clmoe_select_enqueue(router->select, l->workspace, l->queue, &select, 0, NULL, NULL, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_select_enqueue", &error);
    return 0;
}

double ladder_router_moved(const ladder *l) {
    const model *m = l->host->shape;
    const double tokens = (double)l->run.row->tokens, logits = tokens * m->num_experts * 4;
    const double packed = l->s->is_cpu ? 2 * tokens * m->hidden_size * 4 : 0;
    return tokens * m->hidden_size * 4 + packed + (double)m->num_experts * m->hidden_size * 4 + 2 * logits +
           tokens * m->top_k * 8;
}

uint64_t ladder_x_offset(const ladder *l, size_t i) {
    return (uint64_t)row_run_start(&l->run, i) * l->host->shape->hidden_size;
}

double ladder_operand_bytes(const ladder *l, double values) {
    const uint32_t arithmetic = l->run.row->arithmetic;
    if (arithmetic == CLMOE_ARITHMETIC_INT8) return values * (1 + 8.0 / 32); /* a scale and a sum for each 32 values */
    return values * (arithmetic == CLMOE_ARITHMETIC_BF16 && l->s->is_cpu ? 2 : 4);
}
