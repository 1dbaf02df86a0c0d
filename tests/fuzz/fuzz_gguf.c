/* libFuzzer target: GGUF files of strangers. An input is 2 bytes (how many times 8 zeros stand behind the rest, so that
 * small inputs can hold large tensors; little-endian), then the file from its first byte on.
 *
 * What is accepted must hold what model.h and gguf.h promise; then it is opened as a model, and each of its layers is
 * described. Calls src/model. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_promise.h"
#include "model/checkpoint.h"
#include "model/gguf.h"
#include "model/model_layer.h"

#define SIZE_BYTES 2u
#define LAYERS_MAX 4u /* described of each model */

static void check_layers(const clmoe_model *model) {
    const clmoe__config *const config = &model->config;
    for (uint32_t i = 0; i < config->num_moe_layers && i < LAYERS_MAX; ++i) {
        clmoe_error error = {0};
        clmoe__layer_config layer;
        clmoe__layer_weights weights;
        if (checked(clmoe__config_layer(config, config->moe_layers[i], &layer, &error), &error) != CLMOE_OK) continue;
        PROMISED(layer.hidden_size > 0 && layer.intermediate_size > 0);
        const uint32_t experts = layer.desc.routing.num_experts;
        for (int scan = 0; scan <= 1; ++scan) {
            if (checked(clmoe__layer_weights_create(model, config->moe_layers[i], &layer, 0, experts, scan, &weights,
                                                    &error),
                        &error) == CLMOE_OK)
                clmoe__layer_weights_destroy(&weights);
        }
    }
}

/* A model of this one file. */
static void attack_model(clmoe__gguf *gguf) {
    static char path[] = "a/fuzz.gguf";
    clmoe_error error = {0};
    clmoe__checkpoint checkpoint = {.path = path, .tensors = gguf->tensors, .count = gguf->count};
    clmoe_model model = {.checkpoint = &checkpoint, .config_path = path};
    if (checked(clmoe__config_create_gguf(gguf->metadata, path, &checkpoint, &model.config, &error), &error) ==
        CLMOE_OK) {
        check_layers(&model);
        clmoe__config_destroy(&model.config);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes) {
    if (bytes < SIZE_BYTES) return 0;
    const size_t length = bytes - SIZE_BYTES, all = length + 8 * (size_t)clmoe__little(input, SIZE_BYTES);
    unsigned char *const file = calloc(1, all != 0 ? all : 1);
    if (file == NULL) return 0;
    if (length != 0) memcpy(file, input + SIZE_BYTES, length);
    clmoe_error error = {0};
    clmoe__gguf gguf;
    if (checked(clmoe__gguf_parse(file, all, "a/fuzz.gguf", &gguf, &error), &error) == CLMOE_OK) {
        check_tensors(gguf.tensors, gguf.count, 1, 4, (uintptr_t)file + all);
        attack_model(&gguf);
    }
    clmoe__gguf_free(&gguf);
    free(file);
    return 0;
}
