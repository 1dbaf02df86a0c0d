/* A layer's random weights on the host; see host_layer.h. Calls nothing but the C library. */
#include "host_layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

#define STEP 1031 /* elements between windows: prime, so rows of neighbours never line up */

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

static uint64_t pool_elements(const model *m) {
    const uint64_t matrix = (uint64_t)m->hidden_size * larger(m->intermediate_size, m->shared_size);
    return matrix + 3 * ((uint64_t)m->num_experts + 1) * STEP;
}

uint64_t pool_bytes(const model *m, uint32_t format) { return pool_elements(m) * format_bytes(format); }

uint64_t expert_bytes(const model *m, uint32_t format) {
    return 3 * (uint64_t)m->hidden_size * m->intermediate_size * format_bytes(format);
}

uint64_t shared_bytes(const model *m, uint32_t format) {
    return 3 * (uint64_t)m->hidden_size * m->shared_size * format_bytes(format);
}

/* Columns are padded to whole panels of 32. */
uint64_t layer_bytes(const model *m, uint32_t format) {
    model padded = *m;
    padded.hidden_size = (m->hidden_size + 31) / 32 * 32;
    padded.intermediate_size = (m->intermediate_size + 31) / 32 * 32;
    return m->num_experts * expert_bytes(&padded, format) + shared_bytes(&padded, format) +
           (uint64_t)m->num_experts * m->hidden_size * 4;
}

/* `count` values in -limit..limit; NULL without memory, or where not wanted. */
static float *values(random_state *random, uint64_t count, float limit, int wanted, int *failed) {
    if (!wanted) return NULL;
    float *out = malloc((size_t)count * sizeof *out);
    if (out == NULL) {
        *failed = 1;
        return NULL;
    }
    for (uint64_t i = 0; i < count; i++) out[i] = random_uniform(random, limit);
    return out;
}

static int place_windows(host_layer *layer) {
    const size_t count = (size_t)layer->shape->num_experts + 1, step = STEP * format_bytes(layer->format);
    layer->gate = malloc(count * sizeof *layer->gate);
    layer->up = malloc(count * sizeof *layer->up);
    layer->down = malloc(count * sizeof *layer->down);
    if (layer->gate == NULL || layer->up == NULL || layer->down == NULL) return 1;
    for (size_t e = 0; e < count; e++) {
        const char *start = (const char *)layer->pool + 3 * e * step;
        layer->gate[e] = start;
        layer->up[e] = start + step;
        layer->down[e] = start + 2 * step;
    }
    return 0;
}

int host_layer_make(const model *m, uint32_t format, uint64_t seed, host_layer *layer) {
    memset(layer, 0, sizeof *layer);
    layer->shape = m;
    layer->format = format;
    layer->seed = seed;
    layer->pool_bytes = (size_t)pool_bytes(m, format);
    layer->pool = malloc(layer->pool_bytes);
    if (layer->pool == NULL || place_windows(layer))
        return complain("out of host memory for the weights of %s", m->name);
    random_state random = {seed * 2 + 1};
    const uint64_t count = pool_elements(m), experts = m->num_experts;
    /* Variance 1 / H keeps products with tokens of variance 1 at variance 1. */
    const float limit = sqrtf(3.0f / (float)m->hidden_size);
    for (uint64_t i = 0; i < count; i++) format_store(layer->pool, format, (size_t)i, random_uniform(&random, limit));
    int failed = 0;
    layer->router = values(&random, experts * m->hidden_size, limit, 1, &failed);
    layer->router_bias = values(&random, experts, 0.1f, m->biases, &failed);
    layer->select_bias = values(&random, experts, 0.05f, m->rule == ROUTE_SIGMOID_GROUPS, &failed);
    layer->gate_bias = values(&random, experts * m->intermediate_size, 0.1f, m->biases, &failed);
    layer->up_bias = values(&random, experts * m->intermediate_size, 0.1f, m->biases, &failed);
    layer->down_bias = values(&random, experts * m->hidden_size, 0.1f, m->biases, &failed);
    return failed ? complain("out of host memory for the weights of %s", m->name) : 0;
}

void host_layer_free(host_layer *layer) {
    free(layer->pool);
    free(layer->gate);
    free(layer->up);
    free(layer->down);
    free(layer->router);
    free(layer->router_bias);
    free(layer->select_bias);
    free(layer->gate_bias);
    free(layer->up_bias);
    free(layer->down_bias);
    memset(layer, 0, sizeof *layer);
}

void fill_tokens(float *x, size_t count, uint32_t hidden_size, uint64_t seed) {
    random_state random = {~seed};
    const size_t total = count * hidden_size;
    for (size_t i = 0; i < total; i++) x[i] = round_to_bf16(random_uniform(&random, 1.7320508f));
}
