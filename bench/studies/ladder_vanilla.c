/* The lowest rung: what a loop over experts on top of a BLAS is; see ladder.h.
 *
 *   logits, select     the library's stages
 *   host               reads index and weight, lists each expert's tokens, sends the lists up
 *   for each expert    gather its tokens' rows, SGEMM gate, SGEMM up, activation, SGEMM down, add to out
 *
 * CLBlast multiplies f32, so the weights are decoded to f32 before. Compiled where the build found CLBlast, else
 * ladder_no_vanilla.c. Calls the library, clblast_linear and OpenCL. */
#include <clmoe/clmoe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clblast_linear.h"
#include "common/tool.h"
#include "common/weight_formats.h"
#include "ladder.h"

typedef struct vanilla {
    ladder_router router;
    cl_mem *gate, *up, *down; /* [E + 1] f32 matrices, the last the shared expert's; NULL where there is none */
    cl_mem gate_bias, up_bias, down_bias; /* [E][...], with biases */
    cl_mem gathered, gate_out, up_out, y; /* [capacity] rows: as many as an expert has had */
    uint32_t capacity;
    cl_mem token, weight; /* [T * K], by expert */
    cl_kernel gather, activate, add;
    int32_t *index, *tokens; /* on the host: [T * K] as read, and by expert */
    float *read, *weights;
    uint32_t *first;        /* [E + 1]: where each expert's part begins */
    size_t temporary;       /* bytes CLBlast takes for its largest product */
    double temporary_moved; /* bytes of all of the last forward's, written and read */
} vanilla;

/* ---------------------------------------------------------------------------------------------------- weights */

/* `count` numbers of the host layer's format as f32 on the device. NULL after a complaint. */
static cl_mem upload(const ladder *l, const void *source, uint32_t format, uint64_t count) {
    float *values = malloc((size_t)count * sizeof *values);
    double run[256];
    cl_int code = CL_SUCCESS;
    if (values == NULL) {
        complain("out of host memory for a matrix");
        return NULL;
    }
    for (uint64_t at = 0; at < count; at += COUNT_OF(run)) {
        const size_t part = count - at < COUNT_OF(run) ? (size_t)(count - at) : COUNT_OF(run);
        weight_load_run(source, format, (size_t)at, part, run);
        for (size_t i = 0; i < part; i++) values[at + i] = (float)run[i];
    }
    const cl_mem mem = clCreateBuffer(l->s->cl, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, (size_t)count * sizeof *values,
                                      values, &code);
    free(values);
    if (code != CL_SUCCESS) complain_cl("clCreateBuffer", code);
    return code == CL_SUCCESS ? mem : NULL;
}

static int upload_biases(const ladder *l, vanilla *v) {
    const model *m = l->host->shape;
    const uint64_t wide = (uint64_t)m->num_experts * m->intermediate_size,
                   hidden = (uint64_t)m->num_experts * m->hidden_size;
    if (!m->biases) return 0;
    v->gate_bias = upload(l, l->host->gate_bias, CLMOE_F32, wide);
    v->up_bias = upload(l, l->host->up_bias, CLMOE_F32, wide);
    v->down_bias = upload(l, l->host->down_bias, CLMOE_F32, hidden);
    return v->gate_bias == NULL || v->up_bias == NULL || v->down_bias == NULL;
}

static int upload_weights(const ladder *l, vanilla *v) {
    const host_layer *host = l->host;
    const model *m = host->shape;
    const size_t count = (size_t)m->num_experts + 1;
    v->gate = calloc(count, sizeof *v->gate);
    v->up = calloc(count, sizeof *v->up);
    v->down = calloc(count, sizeof *v->down);
    if (v->gate == NULL || v->up == NULL || v->down == NULL) return complain("out of host memory");
    for (size_t e = 0; e < count - (m->shared_size == 0); e++) {
        const uint64_t wide = e < m->num_experts ? m->intermediate_size : m->shared_size, size = wide * m->hidden_size;
        v->gate[e] = upload(l, host->gate[e], host->format, size);
        v->up[e] = upload(l, host->up[e], host->format, size);
        v->down[e] = upload(l, host->down[e], host->format, size);
        if (v->gate[e] == NULL || v->up[e] == NULL || v->down[e] == NULL) return 1;
    }
    return upload_biases(l, v);
}

/* --------------------------------------------------------------------------------------------------- creation */

static int fits(const ladder *l, char *why, size_t capacity) {
    const model *m = l->host->shape;
    const double bytes = 4.0 * 3 * m->hidden_size * ((double)m->num_experts * m->intermediate_size + m->shared_size);
    const double usable = 0.9 * (double)memory_available(l->s);
    if (usable <= 0 || bytes <= usable) return 1;
    snprintf(why, capacity, "its weights are f32 and need %.1f GiB, %.1f GiB can be had", bytes / 0x1p30,
             usable / 0x1p30);
    return 0;
}

int vanilla_open(ladder *l, const rung *r, void **state, char *why, size_t capacity) {
    const model *m = l->host->shape;
    const size_t slots = (size_t)l->run.row->tokens * m->top_k;
    (void)r;
    if (!fits(l, why, capacity)) return 2;
    vanilla *v = calloc(1, sizeof *v);
    if (v == NULL) return complain("out of host memory");
    *state = v;
    l->run.row->arithmetic = CLMOE_ARITHMETIC_F32;
    v->index = malloc(slots * sizeof *v->index);
    v->tokens = malloc(slots * sizeof *v->tokens);
    v->read = malloc(slots * sizeof *v->read);
    v->weights = malloc(slots * sizeof *v->weights);
    v->first = malloc(((size_t)m->num_experts + 1) * sizeof *v->first);
    if (v->index == NULL || v->tokens == NULL || v->read == NULL || v->weights == NULL || v->first == NULL)
        return complain("out of host memory");
    if (ladder_router_open(l, &v->router) || upload_weights(l, v)) return 1;
    v->token = ladder_buffer(l, slots * 4);
    v->weight = ladder_buffer(l, slots * 4);
    v->gather = ladder_kernel(l, "gather_rows");
    v->activate = ladder_kernel(l, "activate");
    v->add = ladder_kernel(l, "add_weighted");
    return v->token == NULL || v->weight == NULL || v->gather == NULL || v->activate == NULL || v->add == NULL;
}

static void release(cl_mem *mem) {
    if (*mem != NULL) clReleaseMemObject(*mem);
    *mem = NULL;
}

static void release_rows(vanilla *v) {
    release(&v->gathered);
    release(&v->gate_out);
    release(&v->up_out);
    release(&v->y);
}

void vanilla_close(ladder *l, void *state) {
    vanilla *v = state;
    if (v == NULL) return;
    cl_mem *const lists[] = {v->gate, v->up, v->down};
    const cl_kernel kernels[] = {v->gather, v->activate, v->add};
    ladder_router_close(&v->router);
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        for (size_t e = 0; lists[i] != NULL && e <= l->host->shape->num_experts; e++) release(&lists[i][e]);
        free(lists[i]);
        if (kernels[i] != NULL) clReleaseKernel(kernels[i]);
    }
    release_rows(v);
    release(&v->gate_bias);
    release(&v->up_bias);
    release(&v->down_bias);
    release(&v->token);
    release(&v->weight);
    free(v->index);
    free(v->tokens);
    free(v->read);
    free(v->weights);
    free(v->first);
    free(v);
}

/* ---------------------------------------------------------------------------------------------------- routes */

/* Room for an expert with this many rows; what it had before goes. */
static int reserve_rows(ladder *l, vanilla *v, uint32_t rows) {
    const model *m = l->host->shape;
    const uint64_t hidden = m->hidden_size,
                   wide = m->intermediate_size > m->shared_size ? m->intermediate_size : m->shared_size;
    if (rows <= v->capacity) return 0;
    l->activation_bytes -= v->capacity * 8 * (hidden + wide);
    release_rows(v);
    v->capacity = rows;
    v->gathered = ladder_buffer(l, rows * hidden * 4);
    v->gate_out = ladder_buffer(l, rows * wide * 4);
    v->up_out = ladder_buffer(l, rows * wide * 4);
    v->y = ladder_buffer(l, rows * hidden * 4);
    return v->gathered == NULL || v->gate_out == NULL || v->up_out == NULL || v->y == NULL;
}

/* index and weight to the host, and each expert's tokens one behind the other: a counting sort. */
static int list_rows(ladder *l, vanilla *v) {
    const model *m = l->host->shape;
    const size_t slots = (size_t)l->run.row->tokens * m->top_k;
    cl_int code = clEnqueueReadBuffer(l->queue, l->run.index, CL_FALSE, 0, slots * 4, v->index, 0, NULL, NULL);
    if (code == CL_SUCCESS)
        code = clEnqueueReadBuffer(l->queue, l->run.weight, CL_TRUE, 0, slots * 4, v->read, 0, NULL, NULL);
    if (code != CL_SUCCESS) return complain_cl("clEnqueueReadBuffer", code);
    memset(v->first, 0, ((size_t)m->num_experts + 1) * sizeof *v->first);
    for (size_t i = 0; i < slots; i++) {
        if (v->index[i] < 0 || (uint32_t)v->index[i] >= m->num_experts)
            return complain("slot %zu has expert %d", i, v->index[i]);
        v->first[v->index[i] + 1]++;
    }
    for (uint32_t e = 0; e < m->num_experts; e++) v->first[e + 1] += v->first[e];
    for (size_t i = slots; i-- > 0;) { /* from behind, so that each expert's end moves down to its first row */
        const uint32_t at = --v->first[v->index[i] + 1];
        v->tokens[at] = (int32_t)(i / m->top_k);
        v->weights[at] = v->read[i];
    }
    /* first[e + 1] now holds where e begins */
    memmove(v->first, v->first + 1, m->num_experts * sizeof *v->first);
    v->first[m->num_experts] = (uint32_t)slots;
    return 0;
}

/* -------------------------------------------------------------------------------------------------- one expert */

typedef struct argument {
    size_t size;
    const void *value;
} argument;

static int launch(const ladder *l, cl_kernel kernel, const argument *arguments, cl_uint count, size_t rows) {
    for (cl_uint i = 0; i < count; i++) {
        const cl_int code = clSetKernelArg(kernel, i, arguments[i].size, arguments[i].value);
        if (code != CL_SUCCESS) return complain_cl("clSetKernelArg", code);
    }
    return ladder_launch(l, kernel, rows);
}

static int multiply(ladder *l, vanilla *v, const clblast_linear *linear) {
    size_t bytes = 0;
    int code = clblast_linear_temporary(linear, l->queue, &bytes);
    if (code == 0) code = clblast_linear_enqueue(linear, l->queue);
    if (code != 0)
        return complain("CLBlast's SGEMM of %zu x %zu x %zu failed with status %d", linear->rows, linear->out,
                        linear->in, code);
    if (bytes > v->temporary) {
        l->activation_bytes += bytes - v->temporary;
        v->temporary = bytes;
    }
    v->temporary_moved += 2 * (double)bytes;
    return 0;
}

/* Rows in x, which has them from x_offset on, through expert e, added to out; token and weight hold this expert's
 * part of the lists. e == E: the shared expert, whose rows are the tokens. */
static int run_expert(ladder *l, vanilla *v, uint32_t e, size_t rows, cl_mem x, size_t x_offset) {
    const model *m = l->host->shape;
    const int shared = e == m->num_experts, biased = m->biases && !shared;
    const cl_uint hidden = m->hidden_size, wide = shared ? m->shared_size : m->intermediate_size,
                  plain = (cl_uint)shared;
    const cl_ulong wide_offset = biased ? (cl_ulong)e * wide : 0, hidden_offset = biased ? (cl_ulong)e * hidden : 0;
    const clblast_linear gate = {rows, hidden, wide, x, x_offset, v->gate[e], v->gate_out};
    const clblast_linear up = {rows, hidden, wide, x, x_offset, v->up[e], v->up_out};
    const clblast_linear down = {rows, wide, hidden, v->gate_out, 0, v->down[e], v->y};
    const argument activate[] = {{sizeof(cl_mem), &v->gate_out},
                                 {sizeof(cl_mem), &v->up_out},
                                 {sizeof(cl_mem), biased ? &v->gate_bias : NULL},
                                 {sizeof(cl_mem), biased ? &v->up_bias : NULL},
                                 {8, &wide_offset},
                                 {sizeof(cl_mem), NULL},
                                 {4, &wide},
                                 {4, &plain}};
    const argument add[] = {{sizeof(cl_mem), &v->y},
                            {sizeof(cl_mem), biased ? &v->down_bias : NULL},
                            {8, &hidden_offset},
                            {sizeof(cl_mem), shared ? NULL : &v->token},
                            {sizeof(cl_mem), shared ? NULL : &v->weight},
                            {4, &hidden},
                            {sizeof(cl_mem), &l->run.out}};
    return multiply(l, v, &gate) || multiply(l, v, &up) || launch(l, v->activate, activate, COUNT_OF(activate), rows) ||
           multiply(l, v, &down) || launch(l, v->add, add, COUNT_OF(add), rows);
}

/* The rows' tokens and weights go up, the tokens' rows are gathered. */
static int gather(ladder *l, vanilla *v, uint32_t e, size_t rows, size_t i) {
    const cl_ulong x_offset = ladder_x_offset(l, i), none = 0;
    const cl_uint one = 1, hidden = l->host->shape->hidden_size;
    const argument arguments[] = {
        {sizeof(cl_mem), &l->run.x}, {8, &x_offset}, {sizeof(cl_mem), &v->token},   {8, &none}, {4, &one},
        {sizeof(cl_mem), NULL},      {4, &hidden},   {sizeof(cl_mem), &v->gathered}};
    const size_t first = v->first[e];
    cl_int code = clEnqueueWriteBuffer(l->queue, v->token, CL_FALSE, 0, rows * 4, v->tokens + first, 0, NULL, NULL);
    if (code == CL_SUCCESS)
        code = clEnqueueWriteBuffer(l->queue, v->weight, CL_TRUE, 0, rows * 4, v->weights + first, 0, NULL, NULL);
    if (code != CL_SUCCESS) return complain_cl("clEnqueueWriteBuffer", code);
    return launch(l, v->gather, arguments, COUNT_OF(arguments), rows);
}

int vanilla_forward(ladder *l, void *state, size_t i) {
    vanilla *v = state;
    const model *m = l->host->shape;
    const uint32_t tokens = l->run.row->tokens;
    const cl_float zero = 0;
    uint32_t most = m->shared_size != 0 ? tokens : 0;
    v->temporary_moved = 0;
    if (ladder_router_enqueue(l, &v->router, i) || list_rows(l, v)) return 1;
    for (uint32_t e = 0; e < m->num_experts; e++) {
        const uint32_t rows = v->first[e + 1] - v->first[e];
        most = rows > most ? rows : most;
    }
    if (reserve_rows(l, v, most)) return 1;
    const cl_int code = clEnqueueFillBuffer(l->queue, l->run.out, &zero, sizeof zero, 0,
                                            (size_t)tokens * m->hidden_size * 4, 0, NULL, NULL);
    if (code != CL_SUCCESS) return complain_cl("clEnqueueFillBuffer", code);
    for (uint32_t e = 0; e < m->num_experts; e++) {
        const uint32_t rows = v->first[e + 1] - v->first[e];
        if (rows != 0 && (gather(l, v, e, rows, i) || run_expert(l, v, e, rows, v->gathered, 0))) return 1;
    }
    return m->shared_size != 0 && run_expert(l, v, m->num_experts, tokens, l->run.x, (size_t)ladder_x_offset(l, i));
}

double vanilla_moved(const ladder *l, const void *state, double active) {
    const vanilla *v = state;
    const model *m = l->host->shape;
    const double tokens = (double)l->run.row->tokens, routed = tokens * m->top_k, hidden = (double)m->hidden_size;
    const double wide = (double)m->intermediate_size, shared = (double)m->shared_size;
    const double weights = 3 * 4 * hidden * (active * wide + shared);
    const double gathered = 8 * routed * hidden + 8 * routed;
    const double products =
        4 * (routed * (3 * hidden + 3 * wide) + tokens * (shared > 0 ? 3 * hidden + 3 * shared : 0));
    const double activations = 4 * 3 * (routed * wide + tokens * shared);
    const double sums = 4 * 3 * hidden * (routed + (shared > 0 ? tokens : 0)) + 4 * tokens * hidden;
    return ladder_router_moved(l) + weights + gathered + products + activations + sums + v->temporary_moved;
}
