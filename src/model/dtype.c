/* How .safetensors files store elements. A new kind is a new row. Calls nothing but the C library. */
#include <stdio.h>
#include <string.h>

#include "os/size.h"
#include "safetensors.h"

static const clmoe__dtype dtypes[] = {
    {"BOOL", 8, CLMOE_FORMAT_NONE},
    {"U8", 8, CLMOE_FORMAT_NONE},
    {"I8", 8, CLMOE_FORMAT_NONE},
    {"U16", 16, CLMOE_FORMAT_NONE},
    {"I16", 16, CLMOE_FORMAT_NONE},
    {"U32", 32, CLMOE_FORMAT_NONE},
    {"I32", 32, CLMOE_FORMAT_NONE},
    {"U64", 64, CLMOE_FORMAT_NONE},
    {"I64", 64, CLMOE_FORMAT_NONE},
    {"F16", 16, CLMOE_F16},
    {"BF16", 16, CLMOE_BF16},
    {"F32", 32, CLMOE_F32},
    {"F64", 64, CLMOE_FORMAT_NONE},
    {"C64", 64, CLMOE_FORMAT_NONE},
    {"F8_E4M3", 8, CLMOE_F8_E4M3},
    {"F8_E5M2", 8, CLMOE_FORMAT_NONE},
    {"F8_E4M3FNUZ", 8, CLMOE_FORMAT_NONE},
    {"F8_E5M2FNUZ", 8, CLMOE_FORMAT_NONE},
    {"F8_E8M0", 8, CLMOE_F8_E8M0},
    {"F6_E2M3", 6, CLMOE_FORMAT_NONE},
    {"F6_E3M2", 6, CLMOE_FORMAT_NONE},
    {"F4", 4, CLMOE_F4_E2M1},
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
    const uint64_t bits = clmoe__mul(elements, dtype->bits);
    *bytes = 0;
    if (bits == UINT64_MAX) return "has a shape whose size passes 64 bits";
    if (none) return NULL;
    if (bits % 8 != 0) return "has elements that do not fill its last byte";
    *bytes = bits / 8;
    return NULL;
}
