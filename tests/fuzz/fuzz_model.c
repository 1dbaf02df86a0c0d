/* libFuzzer target: bytes of strangers, where the readers of model files meet them first. The first byte says what is
 * attacked:
 *
 *   'c'  config.json: what follows is parsed and made into the rule of every MoE layer
 *   's'  the header of a .safetensors file: 5 bytes (how much data the file claims to have, little-endian), then the
 *        JSON. That data is not there: reading one byte of it is an error too
 *   else a .safetensors file as it is
 *
 * What is accepted must hold what model.h and safetensors.h promise. Calls src/model. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_promise.h"

#define DATA_SIZE_BYTES 5u /* up to 1 TiB */

/* `bytes` is what the file claims to have. */
static void attack_file(const unsigned char *file, uint64_t bytes) {
    clmoe_error error = {0};
    clmoe__safetensors contents;
    if (checked(clmoe__safetensors_parse(file, bytes, "a/fuzz.safetensors", &contents, &error), &error) == CLMOE_OK) {
        check_tensors(contents.tensors, contents.count, 0, CLMOE__MAX_RANK, (uintptr_t)file + (uintptr_t)bytes);
        clmoe__safetensors_free(&contents);
    }
}

static void attack_header(const uint8_t *input, size_t bytes) {
    if (bytes < DATA_SIZE_BYTES) return;
    uint64_t data_bytes = 0;
    for (uint32_t i = 0; i < DATA_SIZE_BYTES; ++i) data_bytes |= (uint64_t)input[i] << (8 * i);
    const size_t length = bytes - DATA_SIZE_BYTES;
    unsigned char *const file = malloc(CLMOE__HEADER_LENGTH_BYTES + length);
    if (file == NULL) return;
    for (uint32_t i = 0; i < CLMOE__HEADER_LENGTH_BYTES; ++i) file[i] = (unsigned char)((uint64_t)length >> (8 * i));
    memcpy(file + CLMOE__HEADER_LENGTH_BYTES, input + DATA_SIZE_BYTES, length);
    attack_file(file, CLMOE__HEADER_LENGTH_BYTES + length + data_bytes);
    free(file);
}

static void attack_config(const uint8_t *input, size_t bytes) {
    clmoe_error error = {0};
    clmoe__config config;
    json_t *root = NULL;
    if (checked(clmoe__json_parse((const char *)input, bytes, "a/config.json", &root, &error), &error) != CLMOE_OK)
        return;
    memset(&config, 0, sizeof config);
    if (checked(clmoe__config_create(root, "a/config.json", &config, &error), &error) != CLMOE_OK) return;
    for (uint32_t i = 0; i < config.num_moe_layers; ++i) {
        clmoe__layer_config layer;
        memset(&layer, 0, sizeof layer);
        PROMISED(config.moe_layers[i] < config.num_layers &&
                 (i == 0 || config.moe_layers[i - 1] < config.moe_layers[i]));
        if (checked(clmoe__config_layer(&config, config.moe_layers[i], &layer, &error), &error) == CLMOE_OK) {
            PROMISED(layer.hidden_size > 0 && layer.intermediate_size > 0);
        }
    }
    clmoe__config_destroy(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes) {
    if (bytes == 0) return 0;
    if (input[0] == 'c')
        attack_config(input + 1, bytes - 1);
    else if (input[0] == 's')
        attack_header(input + 1, bytes - 1);
    else
        attack_file(input + 1, bytes - 1);
    return 0;
}
