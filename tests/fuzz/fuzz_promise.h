/* What fuzz targets share: a promise that is broken ends the process, which libFuzzer reports with the input. */
#ifndef CLMOE_TESTS_FUZZ_PROMISE_H
#define CLMOE_TESTS_FUZZ_PROMISE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes);

#define PROMISED(condition)                                                                       \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            (void)fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                              \
        }                                                                                         \
    } while (0)

/* A failure says so in words; hands the status back. */
static inline clmoe_status checked(clmoe_status status, const clmoe_error *error) {
    PROMISED(status == CLMOE_OK || error->status == status);
    PROMISED(status == CLMOE_OK || (error->message[0] != '\0' && memchr(error->message, '\0', sizeof error->message)));
    PROMISED(status == CLMOE_OK || status == CLMOE_INVALID_FILE || status == CLMOE_UNSUPPORTED);
    return status;
}

/* Tensors are sorted by name, and each is as large as its shape says and ends before its file does. */
static inline void check_tensors(const clmoe__file_tensor *tensors, uint64_t count, uint32_t least_rank,
                                 uint32_t most_rank, uintptr_t end) {
    for (uint64_t i = 0; i < count; ++i) {
        const clmoe__file_tensor *const tensor = &tensors[i];
        uint64_t wanted = 0;
        PROMISED(tensor->rank >= least_rank && tensor->rank <= most_rank && tensor->dtype != NULL);
        PROMISED(clmoe__tensor_size(tensor->dtype, tensor->shape, tensor->rank, &wanted) == NULL);
        PROMISED(wanted == tensor->bytes && tensor->bytes <= end && (uintptr_t)tensor->data <= end - tensor->bytes);
        PROMISED(i == 0 || strcmp(tensors[i - 1].name, tensor->name) < 0);
    }
}

#endif
