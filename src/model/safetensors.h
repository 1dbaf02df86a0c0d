/* One .safetensors file in memory: what checkpoint.c, the writer and the tests of hostile bytes share.
 *
 *     | u64 length N, little-endian | N bytes of JSON | data of all tensors, one behind the other |
 *
 *     {"__metadata__": {"format": "pt"}, "NAME": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}, ...}
 */
#ifndef CLMOE_MODEL_SAFETENSORS_H
#define CLMOE_MODEL_SAFETENSORS_H

#include "model.h"

#define CLMOE__HEADER_LENGTH_BYTES 8u
#define CLMOE__HEADER_MAX          ((uint64_t)100 * 1000 * 1000) /* as the format's own library has it */

/* NULL if there is none of that name. */
const clmoe__dtype *clmoe__dtype_find(const char *name);
/* "BOOL, U8, ..." into `text`, for messages. */
const char *clmoe__dtype_list(char *text, size_t room);

/* The product of the dimensions, and the bytes that as many elements fill. What is wrong with them as words that follow
 * "tensor NAME"; NULL = nothing. */
const char *clmoe__tensor_size(const clmoe__dtype *dtype, const uint64_t *shape, uint32_t rank, uint64_t *bytes);

typedef struct clmoe__safetensors {
    clmoe__file_tensor *tensors; /* in name order; owned */
    uint64_t count;
    char *names; /* of all of them; owned */
} clmoe__safetensors;

/* Reads the header of a file that lies in memory, and touches nothing behind it. `file` is the path for messages; it
 * and `data` must outlive the tensors. A failure leaves nothing to free. */
clmoe_status clmoe__safetensors_parse(const unsigned char *data, uint64_t bytes, const char *file,
                                      clmoe__safetensors *out, clmoe_error *error);
void clmoe__safetensors_free(clmoe__safetensors *safetensors); /* zeroed: nothing */

/* Orders clmoe__file_tensor by name, for qsort. */
int clmoe__tensor_order(const void *a, const void *b);

#endif
