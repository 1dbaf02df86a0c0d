/* What fuzz targets share: a promise that is broken ends the process, which libFuzzer reports with the input. */
#ifndef CLMOE_TESTS_FUZZ_PROMISE_H
#define CLMOE_TESTS_FUZZ_PROMISE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <clmoe/clmoe.h>

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

#endif
