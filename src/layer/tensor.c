/* What can be said of a caller's tensor without reading it: is it there, is its description sound, is the memory it
 * names large enough. May call src/opencl (buffer checks) and src/os. */
#include "groups.h"

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

/* Elements that share bytes stay together: a row starts with the first of a block (of CLMOE_F4_E2M1: with an even
 * one). */
static clmoe_status check_blocks(const clmoe_tensor *tensor, uint64_t columns, const char *name, clmoe_error *error) {
    const uint32_t values = clmoe__format_values(tensor->format);
    const struct {
        const char *what;
        uint64_t elements;
    } all[] = {{" has in_features", columns},
               {".row_stride is", tensor->row_stride},
               {".expert_stride is", tensor->expert_stride}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        REQUIRE(all[i].elements % values == 0, error, name, "%s%s %llu, expected a multiple of %u with format %s", name,
                all[i].what, (unsigned long long)all[i].elements, values, clmoe__format_name(tensor->format));
    return CLMOE_OK;
}

static int count_sources(const clmoe_pieces *s) {
    return (s->host != NULL) + (s->host_list != NULL) + (s->buffer.kind != CLMOE_BUFFER_NONE) +
           (s->buffer_list != NULL);
}

/* Lists have no holes, buffers are large enough; `bytes` of one expert, `all` of all in one place. */
static clmoe_status check_memory(const clmoe_context *context, const clmoe_pieces *s, uint32_t format, uint32_t experts,
                                 uint64_t bytes, uint64_t all, const char *name, clmoe_error *error) {
    const size_t size = clmoe__format_is_wide(format) ? clmoe__format_bytes(format) : 1;
    for (uint32_t e = 0; s->host_list != NULL && e < experts; e++)
        REQUIRE(s->host_list[e] != NULL, error, name, "%s.host_list[%u] is NULL", name, e);
    for (uint32_t e = 0; s->buffer_list != NULL && e < experts; e++)
        TRY(clmoe__buffer_check(context, &s->buffer_list[e], bytes, size, 1, name, error));
    REQUIRE(s->host == NULL || all <= SIZE_MAX / 2, error, name,
            "%s takes %s%llu bytes with its shape and strides, expected at most %llu", name,
            all == UINT64_MAX ? "more than " : "", (unsigned long long)all, (unsigned long long)SIZE_MAX / 2);
    if (s->buffer.kind == CLMOE_BUFFER_NONE) return CLMOE_OK;
    return clmoe__buffer_check(context, &s->buffer, all, size, 1, name, error);
}

static clmoe_status check_scales(const clmoe_context *context, const clmoe_tensor *tensor, uint32_t experts,
                                 uint64_t rows, uint64_t columns, const char *name, clmoe_error *error) {
    const clmoe_scales *s = tensor->scales;
    if (s == NULL) return CLMOE_OK;
    REQUIRE(tensor->format == CLMOE_F8_E4M3 || tensor->format == CLMOE_F4_E2M1, error, name,
            "%s.scales is given, but %s.format is %u: only CLMOE_F8_E4M3 and CLMOE_F4_E2M1 have scales", name, name,
            tensor->format);
    REQUIRE((s->format >= CLMOE_F32 && s->format <= CLMOE_BF16) || s->format == CLMOE_F8_E8M0, error, name,
            "%s.scales.format is %u, expected CLMOE_F32, CLMOE_F16, CLMOE_BF16 or CLMOE_F8_E8M0", name, s->format);
    REQUIRE(s->block_rows >= 1 && s->block_columns >= 1, error, name,
            "%s.scales has blocks of %u x %u, expected 1 x 1 or larger", name, s->block_rows, s->block_columns);
    REQUIRE(s->reserved == 0, error, name, "%s.scales.reserved is not 0", name);
    const clmoe_pieces from = {s->host, s->host_list, s->buffer, s->buffer_list};
    REQUIRE(count_sources(&from) == 1, error, name,
            "%s.scales has %d sources: set one of host, host_list, buffer and buffer_list", name, count_sources(&from));
    const uint64_t count = clmoe__mul(clmoe__div_up(rows, s->block_rows), clmoe__div_up(columns, s->block_columns));
    const uint64_t bytes = clmoe__format_span(s->format, count);
    return check_memory(context, &from, s->format, experts, bytes, clmoe__mul(experts, bytes), name, error);
}

/* What is said of groups in tensors of their own, and of the tensor that holds their codes. */
static clmoe_status check_group_fields(const clmoe_tensor *tensor, uint64_t rows, const char *name,
                                       clmoe_error *error) {
    const clmoe_groups *g = tensor->groups;
    const uint32_t values = clmoe__format_values(tensor->format);
    REQUIRE(tensor->format >= CLMOE_U4_G32 && tensor->format <= CLMOE_S8_G256, error, name,
            "%s.groups is given, but %s.format is %s, expected CLMOE_U4_G32 to CLMOE_S8_G256", name, name,
            clmoe__format_name(tensor->format));
    REQUIRE(tensor->row_stride == 0 && tensor->expert_stride == 0 && tensor->layout == 0 && tensor->scales == NULL,
            error, name, "%s.groups is given with a layout, a stride or scales of %s itself, expected none", name,
            name);
    REQUIRE(g->order <= CLMOE_CODES_ROWS, error, name, "%s.groups.order is %u, expected 0..2", name, g->order);
    REQUIRE(g->group_size % values == 0, error, name,
            "%s.groups.group_size is %u, expected a multiple of %u with format %s", name, g->group_size, values,
            clmoe__format_name(tensor->format));
    REQUIRE(clmoe__format_is_wide(g->scale_format), error, name,
            "%s.groups.scale_format is %u, expected CLMOE_F32, CLMOE_F16 or CLMOE_BF16", name, g->scale_format);
    REQUIRE(g->zeros_less_1 <= 1, error, name, "%s.groups.zeros_less_1 is %u, expected 0 or 1", name, g->zeros_less_1);
    const int has_zeros = clmoe__format_find(tensor->format)->minimum;
    const uint64_t shares = g->order == CLMOE_CODES_AWQ || (g->order == CLMOE_CODES_GPTQ && has_zeros);
    const uint32_t codes = 32u / clmoe__format_find(tensor->format)->code_bits;
    REQUIRE(!shares || rows % codes == 0, error, name,
            "%s has %llu out_features, expected a multiple of the %u in a word", name, (unsigned long long)rows, codes);
    REQUIRE(count_sources(&g->scales) == 1, error, name,
            "%s.groups.scales has %d sources: set one of host, host_list, buffer and buffer_list", name,
            count_sources(&g->scales));
    REQUIRE(count_sources(&g->zeros) == has_zeros, error, name,
            "%s.groups.zeros has %d sources, expected %d with format %s", name,
            count_sources(&g->zeros), has_zeros, clmoe__format_name(tensor->format));
    return CLMOE_OK;
}

static clmoe_status check_groups(const clmoe_context *context, const clmoe_tensor *tensor, uint32_t experts,
                                 uint64_t rows, uint64_t columns, const char *name, clmoe_error *error) {
    const clmoe_groups *g = tensor->groups;
    TRY(check_group_fields(tensor, rows, name, error));
    TRY(check_blocks(tensor, columns, name, error));
    const clmoe__group_sizes sizes = clmoe__groups_sizes(tensor, rows, columns);
    const clmoe_pieces codes = {tensor->host, tensor->host_list, tensor->buffer, tensor->buffer_list};
    const struct {
        const clmoe_pieces *pieces;
        uint32_t format;
        uint64_t bytes;
    } all[] = {{&codes, tensor->format, sizes.codes}, {&g->scales, g->scale_format, sizes.scales},
               {&g->zeros, tensor->format, sizes.zeros}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        TRY(check_memory(context, all[i].pieces, all[i].format, experts, all[i].bytes,
                         clmoe__mul(experts, all[i].bytes), name, error));
    return CLMOE_OK;
}

static clmoe_status check_format(const clmoe_tensor *tensor, int is_matrix, const char *name, clmoe_error *error) {
    const int is_wide = clmoe__format_is_wide(tensor->format);
    const int is_block = clmoe__format_is_block(tensor->format) && !clmoe__format_is_e4m3(tensor->format);
    const int is_narrow = tensor->format == CLMOE_F8_E4M3 || tensor->format == CLMOE_F4_E2M1;
    REQUIRE(is_wide || (is_matrix && (is_narrow || is_block)), error, name,
            "%s.format is %u, expected CLMOE_F32, CLMOE_F16%s", name, tensor->format,
            is_matrix ? ", CLMOE_BF16, CLMOE_F8_E4M3, CLMOE_F4_E2M1 or a block format" : " or CLMOE_BF16");
    REQUIRE(tensor->layout <= CLMOE_IN_OUT, error, name, "%s.layout is %u, expected CLMOE_OUT_IN or CLMOE_IN_OUT", name,
            tensor->layout);
    REQUIRE(is_wide || tensor->layout == CLMOE_OUT_IN, error, name,
            "%s.layout is CLMOE_IN_OUT, expected CLMOE_OUT_IN with format %s", name,
            clmoe__format_name(tensor->format));
    return CLMOE_OK;
}

static clmoe_status check(const clmoe_context *context, const clmoe_tensor *tensor, uint32_t experts, uint64_t rows,
                          uint64_t columns, int required, int is_matrix, const char *name, clmoe_error *error) {
    const clmoe_pieces from = {tensor->host, tensor->host_list, tensor->buffer, tensor->buffer_list};
    const int given = count_sources(&from);
    REQUIRE(tensor->reserved == 0, error, name, "%s.reserved is not 0", name);
    REQUIRE(given != 0 || !required, error, name, "%s is absent: set one of host, host_list, buffer and buffer_list",
            name);
    if (given == 0) return CLMOE_OK;
    REQUIRE(given == 1, error, name, "%s has %d sources: set one of host, host_list, buffer and buffer_list", name,
            given);
    TRY(check_format(tensor, is_matrix, name, error));
    REQUIRE(experts > 0 && rows > 0 && columns > 0, error, name, "%s is given, but its shape is [%u, %llu, %llu]", name,
            experts, (unsigned long long)rows, (unsigned long long)columns);
    if (tensor->groups != NULL) return check_groups(context, tensor, experts, rows, columns, name, error);
    const stored_rows stored = rows_of(tensor, rows, columns);
    TRY(check_strides(tensor, stored, name, error));
    TRY(check_blocks(tensor, columns, name, error));
    TRY(check_scales(context, tensor, experts, rows, columns, name, error));
    const uint64_t span = rows_span(stored);
    const uint64_t step = tensor->expert_stride != 0 ? tensor->expert_stride : clmoe__mul(stored.count, stored.stride);
    const uint64_t all = clmoe__add(clmoe__mul(experts - 1, step), span);
    return check_memory(context, &from, tensor->format, experts, clmoe__format_span(tensor->format, span),
                        clmoe__format_span(tensor->format, all), name, error);
}

clmoe_status clmoe__tensor_check(const clmoe_context *context, const clmoe_tensor *tensor, uint32_t experts,
                                 uint64_t rows, uint64_t columns, int required, const char *name, clmoe_error *error) {
    return check(context, tensor, experts, rows, columns, required, 0, name, error);
}

clmoe_status clmoe__matrix_tensor_check(const clmoe_context *context, const clmoe_tensor *tensor, uint32_t experts,
                                        uint64_t rows, uint64_t columns, int required, const char *name,
                                        clmoe_error *error) {
    return check(context, tensor, experts, rows, columns, required, 1, name, error);
}
