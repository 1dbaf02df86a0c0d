/* A layer's weights on the host: random, small in memory however large the layer. Every matrix of every expert is a
 * window of its own into one pool of random numbers:
 *
 *     pool  |----gate 0----|
 *              |-----up 0-----|        each window starts a step after the one before, so no two are alike,
 *                 |----down 0----|     and a wrong expert, matrix or row shows
 *                    |----gate 1----| ...
 */
#ifndef CLMOE_BENCH_HOST_LAYER_H
#define CLMOE_BENCH_HOST_LAYER_H

#include <stddef.h>
#include <stdint.h>

#include "common/models.h"

typedef struct host_layer {
    const model *shape;
    uint32_t format; /* clmoe_format of the pool */
    uint64_t seed;
    void *pool;
    size_t pool_bytes;
    const void **gate, **up;    /* [E + 1] -> [I, H]; the last is the shared expert's [shared_size, H] */
    const void **down;          /* [E + 1] -> [H, I] */
    float *router;              /* [E, H] */
    float *router_bias;         /* [E], with biases */
    float *select_bias;         /* [E], for ROUTE_SIGMOID_GROUPS */
    float *gate_bias, *up_bias; /* [E, I], with biases */
    float *down_bias;           /* [E, H], with biases */
} host_layer;

/* 0, or 1 after a complaint; to be freed in both cases. */
int host_layer_make(const model *shape, uint32_t format, uint64_t seed, host_layer *layer);
/* The same without numbers: what is there is there, but not to be read. */
int host_layer_outline(const model *shape, uint32_t format, host_layer *layer);
void host_layer_free(host_layer *layer);

/* Bytes of one expert's three matrices and of the shared expert's as packed; of the whole layer packed, about (columns
 * padded to panels of 32, no biases), and as a source has it; and of the pool. */
uint64_t expert_bytes(const model *shape, uint32_t format);
uint64_t shared_bytes(const model *shape, uint32_t format);
uint64_t layer_bytes(const model *shape, uint32_t format);
uint64_t source_bytes(const model *shape, uint32_t format);
uint64_t pool_bytes(const model *shape, uint32_t format);

/* Tokens: [count, H], variance 1, every value exact in bf16, so that rounding x is no part of any error. */
void fill_tokens(float *x, size_t count, uint32_t hidden_size, uint64_t seed);

#endif
