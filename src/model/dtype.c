/* How .safetensors files store elements (ggml_types.c has those of GGUF). A new kind is a new row. Calls nothing but
 * the C library. */
#include <stdio.h>
#include <string.h>

#include "os/size.h"
#include "safetensors.h"

static const clmoe__dtype dtypes[] = {
    {"BOOL", 8, CLMOE_FORMAT_NONE, 0, 0},
    {"U8", 8, CLMOE_FORMAT_NONE, 0, 0},
    {"I8", 8, CLMOE_FORMAT_NONE, 0, 0},
    {"U16", 16, CLMOE_FORMAT_NONE, 0, 0},
    {"I16", 16, CLMOE_FORMAT_NONE, 0, 0},
    {"U32", 32, CLMOE_FORMAT_NONE, 0, 0},
    {"I32", 32, CLMOE_FORMAT_NONE, 0, 0},
    {"U64", 64, CLMOE_FORMAT_NONE, 0, 0},
    {"I64", 64, CLMOE_FORMAT_NONE, 0, 0},
    {"F16", 16, CLMOE_F16, 0, 0},
    {"BF16", 16, CLMOE_BF16, 0, 0},
    {"F32", 32, CLMOE_F32, 0, 0},
    {"F64", 64, CLMOE_FORMAT_NONE, 0, 0},
    {"C64", 64, CLMOE_FORMAT_NONE, 0, 0},
    {"F8_E4M3", 8, CLMOE_F8_E4M3, 0, 0},
    {"F8_E5M2", 8, CLMOE_FORMAT_NONE, 0, 0},
    {"F8_E4M3FNUZ", 8, CLMOE_FORMAT_NONE, 0, 0},
    {"F8_E5M2FNUZ", 8, CLMOE_FORMAT_NONE, 0, 0},
    {"F8_E8M0", 8, CLMOE_F8_E8M0, 0, 0},
    {"F6_E2M3", 6, CLMOE_FORMAT_NONE, 0, 0},
    {"F6_E3M2", 6, CLMOE_FORMAT_NONE, 0, 0},
    {"F4", 4, CLMOE_F4_E2M1, 0, 0},
};
#define DTYPES (sizeof dtypes / sizeof *dtypes)

const clmoe__dtype *clmoe__dtype_find(const char *name) {
    for (size_t i = 0; i < DTYPES; ++i) {
        if (strcmp(dtypes[i].name, name) == 0) return &dtypes[i];
    }
    return NULL;
}

const char *clmoe__dtype_list(char *text, size_t room) {
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < DTYPES && used < room; ++i) {
        const int more = snprintf(text + used, room - used, "%s%s", i != 0 ? ", " : "", dtypes[i].name);
        if (more > 0) used += (size_t)more;
    }
    return text;
}

const char *clmoe__tensor_size(const clmoe__dtype *dtype, const uint64_t *shape, uint32_t rank, uint64_t *bytes) {
    uint64_t elements = 1;
    int none = 0;
    for (uint32_t i = 0; i < rank; ++i) {
        if (shape[i] == 0)
            none = 1; /* but the others must not overflow either: somebody may multiply them */
        else
            elements = clmoe__mul(elements, shape[i]);
    }
    *bytes = 0;
    if (dtype->block_values != 0) {
        /* A row is whole blocks, and so is every tensor of them. */
        const uint64_t size = clmoe__mul(elements / dtype->block_values, dtype->block_bytes);
        if (rank == 0 || shape[rank - 1] % dtype->block_values != 0) return "has rows that are not whole blocks";
        if (elements == UINT64_MAX || size == UINT64_MAX) return "has a shape whose size passes 64 bits";
        *bytes = none ? 0 : size;
        return NULL;
    }
    const uint64_t bits = clmoe__mul(elements, dtype->bits);
    if (bits == UINT64_MAX) return "has a shape whose size passes 64 bits";
    if (none) return NULL;
    if (bits % 8 != 0) return "has elements that do not fill its last byte";
    *bytes = bits / 8;
    return NULL;
}
