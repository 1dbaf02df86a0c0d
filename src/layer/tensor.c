/* What can be said of a caller's tensor without reading it: is it there, is its description sound, is the memory it
 * names large enough. May call src/opencl (buffer checks) and src/os. */
#include "stages.h"

int clmoe__tensor_present(const clmoe_tensor *tensor) {
    return tensor->host != NULL || tensor->host_list != NULL || tensor->buffer.kind != CLMOE_BUFFER_NONE ||
           tensor->buffer_list != NULL;
}

/* One expert's matrix as it is stored: `count` rows of `width` elements, `stride` apart. */
typedef struct stored_rows {
    uint64_t count, width, stride;
} stored_rows;

static stored_rows rows_of(const clmoe_tensor *tensor, uint64_t rows, uint64_t columns) {
    const int turned = tensor->layout == CLMOE_IN_OUT;
    stored_rows stored = {turned ? columns : rows, turned ? rows : columns, tensor->row_stride};
    /* A vector is one row in either layout, unless its elements are told to lie apart. */
    if (rows == 1 && stored.stride == 0) stored = (stored_rows){1, columns, columns};
    if (stored.stride == 0) stored.stride = stored.width;
    return stored;
}

static uint64_t rows_span(stored_rows stored) {
    return clmoe__add(clmoe__mul(stored.count - 1, stored.stride), stored.width);
}

static clmoe_status check_strides(const clmoe_tensor *tensor, stored_rows stored, const char *name,
                                  clmoe_error *error) {
    REQUIRE(stored.stride >= stored.width, error, name, "%s.row_stride is %llu, expected 0 or at least %llu", name,
            (unsigned long long)tensor->row_stride, (unsigned long long)stored.width);
    const uint64_t span = rows_span(stored);
    REQUIRE(tensor->expert_stride == 0 || tensor->expert_stride >= span, error, name,
            "%s.expert_stride is %llu, expected 0 or at least %llu", name, (unsigned long long)tensor->expert_stride,
            (unsigned long long)span);
    return CLMOE_OK;
}

static clmoe_status check_lists(const clmoe_context *context, const clmoe_tensor *tensor, uint32_t experts,
                                uint64_t bytes, const char *name, clmoe_error *error) {
    for (uint32_t e = 0; tensor->host_list != NULL && e < experts; e++) {
        REQUIRE(tensor->host_list[e] != NULL, error, name, "%s.host_list[%u] is NULL", name, e);
    }
    for (uint32_t e = 0; tensor->buffer_list != NULL && e < experts; e++) {
        TRY(clmoe__buffer_check(context, &tensor->buffer_list[e], bytes, clmoe__format_bytes(tensor->format), 1, name,
                                error));
    }
    return CLMOE_OK;
}

clmoe_status clmoe__tensor_check(const clmoe_context *context, const clmoe_tensor *tensor, uint32_t experts,
                                 uint64_t rows, uint64_t columns, int required, const char *name, clmoe_error *error) {
    REQUIRE(tensor->reserved[0] == 0 && tensor->reserved[1] == 0, error, name, "%s.reserved is not 0", name);
    const int sources = (tensor->host != NULL) + (tensor->host_list != NULL) +
                        (tensor->buffer.kind != CLMOE_BUFFER_NONE) + (tensor->buffer_list != NULL);
    REQUIRE(sources != 0 || !required, error, name, "%s is absent: set one of host, host_list, buffer and buffer_list",
            name);
    if (sources == 0) return CLMOE_OK;
    REQUIRE(sources == 1, error, name, "%s has %d sources: set one of host, host_list, buffer and buffer_list", name,
            sources);
    REQUIRE(tensor->format >= CLMOE_F32 && tensor->format <= CLMOE_BF16, error, name,
            "%s.format is %u, expected CLMOE_F32, CLMOE_F16 or CLMOE_BF16", name, tensor->format);
    REQUIRE(tensor->layout <= CLMOE_IN_OUT, error, name, "%s.layout is %u, expected CLMOE_OUT_IN or CLMOE_IN_OUT", name,
            tensor->layout);
    REQUIRE(experts > 0 && rows > 0 && columns > 0, error, name, "%s is given, but its shape is [%u, %llu, %llu]", name,
            experts, (unsigned long long)rows, (unsigned long long)columns);

    const stored_rows stored = rows_of(tensor, rows, columns);
    TRY(check_strides(tensor, stored, name, error));
    const uint64_t size = clmoe__format_bytes(tensor->format), span = rows_span(stored);
    TRY(check_lists(context, tensor, experts, clmoe__mul(span, size), name, error));
    const uint64_t step = tensor->expert_stride != 0 ? tensor->expert_stride : clmoe__mul(stored.count, stored.stride);
    const uint64_t all = clmoe__mul(clmoe__add(clmoe__mul(experts - 1, step), span), size);
    REQUIRE(tensor->host == NULL || all <= SIZE_MAX / 2, error, name, "%s has more bytes than memory can hold", name);
    if (tensor->buffer.kind == CLMOE_BUFFER_NONE) return CLMOE_OK;
    return clmoe__buffer_check(context, &tensor->buffer, all, (size_t)size, 1, name, error);
}
