/* A host layer on the device, in as many copies as it takes to leave the caches behind. */
#ifndef CLMOE_BENCH_DEVICE_LAYER_H
#define CLMOE_BENCH_DEVICE_LAYER_H

#include "common/session.h"
#include "host_layer.h"

#define MAX_COPIES 64

typedef struct device_layer {
    clmoe_weights *weights[MAX_COPIES];
    clmoe_layer *layers[MAX_COPIES];
    uint32_t copies;
    uint32_t y_format; /* of the layers: as in clmoe_layer_desc; 0: its default */
} device_layer;

/* One more copy, multiplied in this clmoe_arithmetic. 0, or 1 after a complaint. */
int device_layer_add(session *s, const host_layer *host, uint32_t arithmetic, device_layer *device);
/* The same with allow_variance, for another library's GEMM where a row of tuning speaks for it. */
int device_layer_add_varying(session *s, const host_layer *host, uint32_t arithmetic, device_layer *device);
/* A layer of this shape that has sizes, but no memory (clmoe_weights_plan), however large it is. Likewise. */
int device_layer_plan(session *s, const model *shape, uint32_t format, uint32_t arithmetic, device_layer *device);
/* Packs one expert of this shape and lets it go: all that loading a checkpoint compiles. Likewise. */
int device_layer_pack_one(session *s, const model *shape, uint32_t format, uint32_t arithmetic);
void device_layer_free(device_layer *device);
/* The library's description of a layer of this shape: its rule and its activation. */
clmoe_status device_layer_desc(const model *shape, clmoe_layer_desc *desc, clmoe_error *error);
/* The clmoe_arithmetic that a layer's experts are multiplied in, by its description; 0 after a complaint. */
uint32_t layer_arithmetic(const clmoe_layer *layer);

/* Distinct experts that `tokens` tokens are expected to hit when routes are even. */
double expected_experts(const model *shape, uint32_t tokens);
/* Copies that have to take turns so that a forward finds (almost) none of its weights in a cache of this size: either
 * the bytes read between two forwards of one copy are four times the cache, or all copies together are 32 times the
 * cache, so that a cache full of random experts serves 3% at most. */
uint32_t copies_needed(const model *shape, uint32_t format, uint32_t tokens, uint64_t cache);

#endif
