/* A layer's random weights on the host; see host_layer.h. Calls nothing but the C library. */
#include "host_layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/tool.h"
#include "common/weight_formats.h"

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* Elements between windows: whole blocks, a prime number of them, so rows of neighbours seldom line up. */
static uint64_t step_of(uint32_t format) {
    const uint32_t values = weight_format_values(format);
    return (uint64_t)values * (values == 1 ? 1031 : values < 64 ? 37 : values < 256 ? 17 : 5);
}

static uint64_t pool_elements(const model *m, uint32_t format) {
    const uint64_t matrix = (uint64_t)m->hidden_size * larger(m->intermediate_size, m->shared_size);
    return matrix + 3 * ((uint64_t)m->num_experts + 1) * step_of(format);
}

uint64_t pool_bytes(const model *m, uint32_t format) { return weight_source_bytes(format, pool_elements(m, format)); }

/* Three matrices of an expert this wide, columns padded to multiples of `panel`. */
static uint64_t matrices_bytes(const model *m, uint32_t width, uint32_t panel, uint32_t format) {
    const uint64_t wide = ((uint64_t)width + panel - 1) / panel * panel;
    const uint64_t hidden = ((uint64_t)m->hidden_size + panel - 1) / panel * panel;
    return 2 * weight_packed_bytes(format, wide, m->hidden_size) + weight_packed_bytes(format, hidden, width);
}

uint64_t expert_bytes(const model *m, uint32_t format) { return matrices_bytes(m, m->intermediate_size, 1, format); }

uint64_t shared_bytes(const model *m, uint32_t format) { return matrices_bytes(m, m->shared_size, 1, format); }

static uint64_t router_bytes(const model *m) { return (uint64_t)m->num_experts * m->hidden_size * 4; }

uint64_t layer_bytes(const model *m, uint32_t format) {
    return m->num_experts * matrices_bytes(m, m->intermediate_size, 32, format) +
           matrices_bytes(m, m->shared_size, 32, format) + router_bytes(m);
}

uint64_t source_bytes(const model *m, uint32_t format) {
    const uint64_t experts = m->num_experts;
    const uint64_t elements = 3 * m->hidden_size * (experts * m->intermediate_size + m->shared_size);
    const uint64_t biases = m->biases ? experts * (1 + 2 * (uint64_t)m->intermediate_size + m->hidden_size) : 0;
    const uint64_t selection = m->rule == ROUTE_SIGMOID_GROUPS ? experts : 0;
    return weight_source_bytes(format, elements) + router_bytes(m) + 4 * (biases + selection);
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
    const size_t count = (size_t)layer->shape->num_experts + 1;
    const size_t step = (size_t)weight_source_bytes(layer->format, step_of(layer->format));
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
    const uint64_t experts = m->num_experts;
    /* Variance 1 / H keeps products with tokens of variance 1 at variance 1. */
    const float spread = 1 / sqrtf((float)m->hidden_size), limit = spread * sqrtf(3.0f);
    weight_fill(layer->pool, format, pool_elements(m, format), spread, &random);
    int failed = 0;
    layer->router = values(&random, experts * m->hidden_size, limit, 1, &failed);
    layer->router_bias = values(&random, experts, 0.1f, m->biases, &failed);
    layer->select_bias = values(&random, experts, 0.05f, m->rule == ROUTE_SIGMOID_GROUPS, &failed);
    layer->gate_bias = values(&random, experts * m->intermediate_size, 0.1f, m->biases, &failed);
    layer->up_bias = values(&random, experts * m->intermediate_size, 0.1f, m->biases, &failed);
    layer->down_bias = values(&random, experts * m->hidden_size, 0.1f, m->biases, &failed);
    return failed ? complain("out of host memory for the weights of %s", m->name) : 0;
}

int host_layer_outline(const model *m, uint32_t format, host_layer *layer) {
    memset(layer, 0, sizeof *layer);
    layer->shape = m;
    layer->format = format;
    float **const floats[] = {&layer->router,    &layer->router_bias, &layer->select_bias,
                              &layer->gate_bias, &layer->up_bias,     &layer->down_bias};
    const int wanted[] = {1, m->biases, m->rule == ROUTE_SIGMOID_GROUPS, m->biases, m->biases, m->biases};
    layer->pool = malloc(1);
    int failed = layer->pool == NULL;
    for (size_t i = 0; i < COUNT_OF(floats); i++) {
        if (wanted[i]) *floats[i] = malloc(sizeof **floats[i]);
        failed |= wanted[i] && *floats[i] == NULL;
    }
    const size_t count = (size_t)m->num_experts + 1;
    const void ***const lists[] = {&layer->gate, &layer->up, &layer->down};
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        *lists[i] = malloc(count * sizeof **lists[i]);
        failed |= *lists[i] == NULL;
        for (size_t e = 0; *lists[i] != NULL && e < count; e++) (*lists[i])[e] = layer->pool;
    }
    return failed ? complain("out of host memory for the outline of %s", m->name) : 0;
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
