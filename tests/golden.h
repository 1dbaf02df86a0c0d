/* Reader of the golden layers and formats under tests/golden: just enough of the safetensors format. */
#ifndef CLMOE_TESTS_GOLDEN_H
#define CLMOE_TESTS_GOLDEN_H

#include <stddef.h>
#include <stdint.h>

typedef struct golden_tensor {
    char *name;
    char type[8]; /* "F32", "BF16", "I32", "U8" */
    uint64_t shape[4];
    uint32_t rank;
    size_t count; /* elements */
    void *data;   /* aligned for its elements */
} golden_tensor;

typedef struct golden {
    golden_tensor *tensors; /* of the model's parts, the input and the expectation together */
    size_t count;
    uint32_t tokens, hidden, intermediate, experts, top_k, layer;
} golden;

/* Opens tests/golden/hf/NAME; fails the test if anything is missing or malformed. */
golden golden_open(const char *name);
/* The tensors of tests/golden/formats/NAME.safetensors. */
golden golden_open_format(const char *name);
/* Input and expectation of tests/golden/gguf/NAME, whose model is model.gguf beside them. */
golden golden_open_gguf(const char *name);
/* NULL if absent. */
const golden_tensor *golden_find(const golden *g, const char *name);
void golden_close(golden *g);

/* Fails unless a layer's results for hidden_states are the expected ones: out within tolerance (2e-5, or more for
 * narrow weights) of the largest output, per token the same experts in any order with the same weights, load exactly.
 * */
void golden_compare(const golden *g, const char *name, const float *out, const int32_t *index, const float *weight,
                    const int32_t *load, double tolerance);
/* The path of tests/golden/hf/NAME in static memory. */
const char *golden_folder(const char *name);

#endif
