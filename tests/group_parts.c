/* See group_parts.h. Each layout is said once, as where a code goes. */
#include "group_parts.h"

int group_has_zeros(const block_format *f) { return f->name[0] == 'u'; }
uint32_t group_bits(const block_format *f) { return f->code_bits; }

static uint32_t code_bytes(const block_format *f) { return f->values * group_bits(f) / 8; }

static uint32_t code_at(const block_format *f, const uint8_t *row, uint64_t k) {
    const uint8_t *block = row + k / f->values * f->bytes;
    const uint32_t i = (uint32_t)(k % f->values);
    if (group_bits(f) == 8) return block[i];
    return i % 2 == 0 ? block[i / 2] & 15u : block[i / 2] >> 4;
}

static double half_value(const uint8_t *bytes) {
    return (double)block_f32_from_f16((uint16_t)(bytes[0] | bytes[1] << 8));
}

void group_share(const block_format *f, uint8_t *blocks, uint64_t rows, uint64_t columns, const group_layout *layout) {
    const uint64_t size = layout->group_size != 0 ? layout->group_size : columns, across = columns / f->values;
    const uint32_t at = code_bytes(f), zero_mask = (1u << group_bits(f)) - 1u;
    for (uint64_t i = 0; i < rows * across; i++) {
        const uint64_t k = i % across * f->values;
        uint8_t *fields = blocks + i * f->bytes + at;
        if (k % size != 0) {
            memcpy(fields, fields - (size_t)(k % size / f->values) * f->bytes, f->bytes - at);
            continue;
        }
        uint16_t narrow;
        test_store(&narrow, layout->scale_format == CLMOE_BF16 ? CLMOE_BF16 : CLMOE_F16, 0, half_value(fields));
        test_store(fields, CLMOE_F16, 0,
                   test_load(&narrow, layout->scale_format == CLMOE_BF16 ? CLMOE_BF16 : CLMOE_F16, 0));
        if (group_has_zeros(f)) fields[2] = (uint8_t)(fields[2] & zero_mask);
    }
}

/* Which column of a word's has place p. */
static uint32_t column_of_place(uint32_t order, uint32_t codes, uint32_t p) {
    static const uint8_t eight[] = {0, 2, 4, 6, 1, 3, 5, 7}, four[] = {0, 2, 1, 3};
    if (order != CLMOE_CODES_AWQ) return p;
    return codes == 8 ? eight[p] : four[p];
}

static void put(uint32_t *words, uint64_t word, uint32_t place, uint32_t bits, uint32_t code) {
    words[word] |= code << place * bits;
}

static void put_codes(const block_format *f, const uint8_t *blocks, uint64_t rows, uint64_t columns, uint32_t order,
                      group_parts *parts) {
    const uint32_t bits = group_bits(f), w = 32 / bits;
    const size_t row_bytes = (size_t)(columns / f->values) * f->bytes;
    for (uint64_t n = 0; n < rows; n++)
        for (uint64_t k = 0; k < columns; k++) {
            const uint32_t code = code_at(f, blocks + n * row_bytes, k);
            if (order == CLMOE_CODES_GPTQ) put(parts->codes, k / w * rows + n, (uint32_t)(k % w), bits, code);
            if (order == CLMOE_CODES_ROWS) put(parts->codes, n * (columns / w) + k / w, (uint32_t)(k % w), bits, code);
            for (uint32_t p = 0; order == CLMOE_CODES_AWQ && p < w; p++)
                if (column_of_place(order, w, p) == n % w) put(parts->codes, k * (rows / w) + n / w, p, bits, code);
        }
}

static void put_zero(uint64_t n, uint64_t g, uint64_t rows, uint64_t groups, uint32_t bits, uint32_t order,
                     uint32_t zero, group_parts *parts) {
    const uint32_t w = 32 / bits;
    for (uint32_t p = 0; p < w; p++)
        if (column_of_place(order, w, p) == n % w)
            put(parts->zeros, order == CLMOE_CODES_ROWS ? n / w * groups + g : g * (rows / w) + n / w, p, bits, zero);
}

group_parts group_take_apart(const block_format *f, const uint8_t *blocks, uint64_t rows, uint64_t columns,
                             const group_layout *layout) {
    const uint32_t bits = group_bits(f), w = 32 / bits, at = code_bytes(f),
                   size = (uint32_t)test_format_bytes(layout->scale_format);
    const uint64_t group_size = layout->group_size != 0 ? layout->group_size : columns, across = columns / f->values;
    const uint64_t groups = (columns + group_size - 1) / group_size, words = (rows + w - 1) / w * groups;
    group_parts parts = {
        .codes_bytes = rows * columns / w * 4, .scales_bytes = rows * groups * size, .zeros_bytes = words * 4};
    parts.codes = calloc(1, parts.codes_bytes);
    parts.scales = calloc(1, parts.scales_bytes);
    parts.zeros = calloc(1, parts.zeros_bytes);
    assert_true(parts.codes != NULL && parts.scales != NULL && parts.zeros != NULL);
    put_codes(f, blocks, rows, columns, layout->order, &parts);
    for (uint64_t n = 0; n < rows; n++)
        for (uint64_t g = 0; g < groups; g++) {
            const uint8_t *fields = blocks + (n * across + g * group_size / f->values) * f->bytes + at;
            const uint64_t place = layout->order == CLMOE_CODES_ROWS ? n * groups + g : g * rows + n;
            const double off = layout->scale_format == CLMOE_F32 ? 1 + 0x1p-13 : 1;
            test_store(parts.scales, layout->scale_format, place, half_value(fields) * off);
            if (group_has_zeros(f)) put_zero(n, g, rows, groups, bits, layout->order, fields[2], &parts);
        }
    for (uint64_t i = 0; layout->zeros_less_1 && i < words; i++)
        parts.zeros[i] -= bits == 4 ? 0x11111111u : 0x01010101u;
    if (group_has_zeros(f)) return parts;
    free(parts.zeros);
    parts.zeros = NULL;
    parts.zeros_bytes = 0;
    return parts;
}

void group_parts_free(group_parts *parts) {
    free(parts->codes);
    free(parts->scales);
    free(parts->zeros);
    *parts = (group_parts){0};
}
