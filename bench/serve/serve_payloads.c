/* The inputs of a service and the answers to them; see serve_run.h. Calls the library. */
#include <stdlib.h>

#include "common/tool.h"
#include "common/weight_formats.h"
#include "layer/check.h"
#include "serve_run.h"

#define PAYLOADS_MAX   64
#define PAYLOAD_BYTES  ((uint64_t)128 << 20) /* of either the inputs or the answers */
#define CHECKED_TOKENS 2

void serve_service_close(serve_service *service) {
    serve_payloads *p = &service->payloads;
    free(p->tokens);
    free(p->first);
    free(p->x);
    free(p->answers);
    *p = (serve_payloads){0};
}

static int make_payloads(serve_service *service, uint32_t low, uint32_t high, size_t requests, uint64_t seed) {
    serve_payloads *p = &service->payloads;
    const size_t hidden = service->host->shape->hidden_size;
    const uint64_t fit = PAYLOAD_BYTES / ((uint64_t)high * hidden * sizeof(float));
    random_state random = {seed + 17};
    size_t rows = 0, count = requests < PAYLOADS_MAX ? requests : PAYLOADS_MAX;
    if (count > fit) count = fit < 2 ? 2 : (size_t)fit;
    p->count = (uint32_t)count;
    p->tokens = malloc(count * sizeof *p->tokens);
    p->first = malloc(count * sizeof *p->first);
    if (p->tokens == NULL || p->first == NULL) return complain("out of host memory for the requests");
    for (size_t i = 0; i < count; i++) {
        p->tokens[i] = low + (uint32_t)(random_next(&random) % (high - low + 1));
        p->first[i] = rows;
        rows += p->tokens[i];
    }
    p->x = malloc(rows * hidden * sizeof *p->x);
    p->answers = malloc(rows * hidden * sizeof *p->answers);
    if (p->x == NULL || p->answers == NULL) return complain("out of host memory for the requests' tokens");
    fill_tokens(p->x, rows, service->host->shape->hidden_size, seed);
    return 0;
}

/* Each payload's answer, from a forward that has nothing else in it. */
static int answer_alone(serve_service *service) {
    const serve_payloads *p = &service->payloads;
    const size_t hidden = service->host->shape->hidden_size;
    clmoe_error error = {.struct_size = sizeof error};
    for (uint32_t i = 0; i < p->count; i++) {
        const size_t at = p->first[i] * hidden;
        if (clmoe_forward_host(service->device->layers[0], p->x + at, p->tokens[i], p->answers + at, &error) !=
            CLMOE_OK)
            return complain_clmoe("clmoe_forward_host", &error);
    }
    return 0;
}

/* ------------------------------------------------------------------------------------------------ the oracle */

typedef struct routed {
    cl_mem x, out, index, weight;
    int32_t *host_index;
    float *host_weight, *host_out;
} routed;

static int run_routed(serve_service *service, routed *r, uint32_t tokens) {
    const model *m = service->host->shape;
    const size_t x_bytes = (size_t)tokens * m->hidden_size * 4, slot_bytes = (size_t)tokens * m->top_k * 4;
    cl_mem *const buffers[] = {&r->x, &r->out, &r->index, &r->weight};
    void *const hosts[] = {service->payloads.x, r->host_out, r->host_index, r->host_weight};
    const size_t bytes[] = {x_bytes, x_bytes, slot_bytes, slot_bytes};
    const session *s = service->s;
    clmoe_error error = {.struct_size = sizeof error};
    cl_int code = CL_SUCCESS;
    clmoe_io io;
    for (size_t i = 0; i < COUNT_OF(buffers) && code == CL_SUCCESS; i++)
        *buffers[i] = clCreateBuffer(s->cl, i == 0 ? CL_MEM_COPY_HOST_PTR : CL_MEM_READ_WRITE, bytes[i],
                                     i == 0 ? hosts[0] : NULL, &code);
    if (code != CL_SUCCESS) return complain_cl("clCreateBuffer", code);
    clmoe_io_default(&io, sizeof io);
    io.tokens = tokens;
    io.x = clmoe_cl_mem(r->x, 0);
    io.out = clmoe_cl_mem(r->out, 0);
    io.out_index = clmoe_cl_mem(r->index, 0);
    io.out_weight = clmoe_cl_mem(r->weight, 0);
    if (clmoe_forward(service->device->layers[0], NULL, s->queue, &io, 0, NULL, NULL, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_forward", &error);
    for (size_t i = 1; i < COUNT_OF(buffers) && code == CL_SUCCESS; i++)
        code = clEnqueueReadBuffer(s->queue, *buffers[i], CL_TRUE, 0, bytes[i], hosts[i], 0, NULL, NULL);
    return code != CL_SUCCESS ? complain_cl("clEnqueueReadBuffer", code) : 0;
}

/* The first and the last token of the first payload. */
static int compare_with_oracle(serve_service *service, const routed *r, uint32_t tokens) {
    const model *m = service->host->shape;
    const size_t at[CHECKED_TOKENS] = {0, tokens - 1};
    token_result results[CHECKED_TOKENS];
    check_result result;
    char why[256];
    for (size_t i = 0; i < CHECKED_TOKENS; i++)
        results[i] = (token_result){service->payloads.x + at[i] * m->hidden_size, r->host_index + at[i] * m->top_k,
                                    r->host_weight + at[i] * m->top_k, r->host_out + at[i] * m->hidden_size};
    service->arithmetic = layer_arithmetic(service->device->layers[0]);
    if (service->arithmetic == 0) return 1;
    if (!check_tokens(service->host, service->arithmetic, CLMOE_F32, results, tokens > 1 ? 2 : 1, &result, why,
                      sizeof why))
        return 0;
    return complain("%s %s in %s: not served, because the results are wrong: %s", m->name,
                    format_name(service->host->format), arithmetic_name(service->arithmetic), why);
}

static int check_first(serve_service *service) {
    const model *m = service->host->shape;
    const uint32_t tokens = service->payloads.tokens[0];
    routed r = {.host_index = malloc((size_t)tokens * m->top_k * sizeof *r.host_index),
                .host_weight = malloc((size_t)tokens * m->top_k * sizeof *r.host_weight),
                .host_out = malloc((size_t)tokens * m->hidden_size * sizeof *r.host_out)};
    int failed = r.host_index == NULL || r.host_weight == NULL || r.host_out == NULL;
    if (failed) complain("out of host memory");
    failed = failed || run_routed(service, &r, tokens) || compare_with_oracle(service, &r, tokens);
    const cl_mem buffers[] = {r.x, r.out, r.index, r.weight};
    for (size_t i = 0; i < COUNT_OF(buffers); i++)
        if (buffers[i] != NULL) clReleaseMemObject(buffers[i]);
    free(r.host_index);
    free(r.host_weight);
    free(r.host_out);
    return failed;
}

int serve_service_open(serve_service *service, uint32_t low, uint32_t high, size_t requests, uint64_t seed) {
    return make_payloads(service, low, high, requests, seed) || check_first(service) || answer_alone(service);
}
