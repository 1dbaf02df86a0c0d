/* Formats of weights; see weight_formats.h. Blocks are random bits, whose scales are then set. Calls block_oracle and
 * the C library. */
#include "weight_formats.h"

#include <clmoe/clmoe.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "block_oracle.h"

#define SAMPLED_BLOCKS 64
#define MOST_BYTES     256 /* of a block */
#define MOST_VALUES    256

typedef enum scale_kind { NO_SCALE, SCALE_F16, SCALE_E8M0, SCALE_E4M3, ZERO_POINT, NUMBERS } scale_kind;

/* A field of a block that its values are proportional to. */
typedef struct scale_field {
    scale_kind kind;
    uint8_t at;   /* byte */
    float factor; /* on the block's scale: where codes are not centred, the minimum that centres them; of a zero point,
                   * itself */
} scale_field;

typedef struct weight_format {
    uint32_t format;
    scale_field fields[4]; /* none: a plain format; NUMBERS: no blocks, but e4m3 numbers with a scale for the tensor */
} weight_format;

static const weight_format formats[WEIGHT_FORMATS] = {
    {CLMOE_F32, {{NO_SCALE, 0, 0}}},
    {CLMOE_BF16, {{NO_SCALE, 0, 0}}},
    {CLMOE_F16, {{NO_SCALE, 0, 0}}},
    {CLMOE_Q8_0, {{SCALE_F16, 0, 1}}},
    {CLMOE_Q4_0, {{SCALE_F16, 0, 1}}},
    {CLMOE_Q4_1, {{SCALE_F16, 0, 1}, {SCALE_F16, 2, -7.5f}}},
    {CLMOE_Q5_0, {{SCALE_F16, 0, 1}}},
    {CLMOE_Q5_1, {{SCALE_F16, 0, 1}, {SCALE_F16, 2, -15.5f}}},
    {CLMOE_Q4_K, {{SCALE_F16, 0, 1}, {SCALE_F16, 2, 7.5f}}},
    {CLMOE_Q5_K, {{SCALE_F16, 0, 1}, {SCALE_F16, 2, 15.5f}}},
    {CLMOE_Q6_K, {{SCALE_F16, 208, 1}}},
    {CLMOE_IQ4_NL, {{SCALE_F16, 0, 1}}},
    {CLMOE_MXFP4, {{SCALE_E8M0, 0, 1}}},
    {CLMOE_NVFP4, {{SCALE_E4M3, 0, 1}, {SCALE_E4M3, 1, 1}, {SCALE_E4M3, 2, 1}, {SCALE_E4M3, 3, 1}}},
    {CLMOE_U4_G128, {{SCALE_F16, 64, 1}, {ZERO_POINT, 66, 8}}},
    {CLMOE_S4_G128, {{SCALE_F16, 64, 1}}},
    {CLMOE_U8_G128, {{SCALE_F16, 128, 1}, {ZERO_POINT, 130, 128}}},
    {CLMOE_S8_G128, {{SCALE_F16, 128, 1}}},
    {CLMOE_F8_B128, {{NUMBERS, 0, 1}}},
};

/* Of tensors of e4m3 numbers; what is kept has it once for each 128 k of two columns, as any scale. */
#define NUMBERS_SCALE 3e-4f
#define MOST_EXPERTS  1025 /* the shared ones are one more */

static const weight_format *find(uint32_t format) {
    for (size_t i = 0; i < COUNT_OF(formats); i++)
        if (formats[i].format == format) return &formats[i];
    return NULL;
}

uint32_t weight_format_at(size_t i) { return i < COUNT_OF(formats) ? formats[i].format : (uint32_t)CLMOE_FORMAT_NONE; }

void weight_format_names(int without_blocks, char *text, size_t capacity) {
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < COUNT_OF(formats) && used < capacity; i++) {
        if (without_blocks && weight_format_is_block(formats[i].format)) continue;
        used +=
            (size_t)snprintf(text + used, capacity - used, "%s%s", i == 0 ? "" : ", ", format_name(formats[i].format));
    }
}

int weight_format_is_block(uint32_t format) { return find(format)->fields[0].kind != NO_SCALE; }

static int is_numbers(uint32_t format) { return find(format)->fields[0].kind == NUMBERS; }

uint32_t weight_source_format(uint32_t format) { return is_numbers(format) ? (uint32_t)CLMOE_F8_E4M3 : format; }

const clmoe_scales *weight_scales(uint32_t format) {
    static float scale[MOST_EXPERTS];
    static const clmoe_scales scales = {
        .format = CLMOE_F32, .block_rows = 1u << 30, .block_columns = 1u << 30, .host = scale};
    for (size_t i = 0; i < MOST_EXPERTS; i++) scale[i] = NUMBERS_SCALE;
    return is_numbers(format) ? &scales : NULL;
}

uint32_t weight_format_values(uint32_t format) {
    return weight_format_is_block(format) && !is_numbers(format) ? block_format_of(format)->values : 1;
}

int weight_format_allows(uint32_t format, uint32_t arithmetic, const uint32_t *lengths, size_t count, char *why,
                         size_t capacity) {
    const uint32_t values = weight_format_values(format);
    const int is_block = weight_format_is_block(format);
    size_t fitting = 0;
    while (fitting < count && lengths[fitting] % values == 0) fitting++;
    if (arithmetic == CLMOE_ARITHMETIC_INT8 && !is_block) {
        snprintf(why, capacity, "int8 arithmetic needs a block format");
    } else if (arithmetic == CLMOE_ARITHMETIC_INT8 && is_numbers(format)) {
        snprintf(why, capacity, "int8 arithmetic needs integers");
    } else if (arithmetic == CLMOE_ARITHMETIC_BF16 && !is_block && format != CLMOE_BF16) {
        snprintf(why, capacity, "bf16 arithmetic needs bf16 or a block format");
    } else if (fitting < count) {
        snprintf(why, capacity, "rows of %u are no multiple of a block's %u values", lengths[fitting], values);
    } else {
        return 1;
    }
    return 0;
}

const char *arithmetic_name(uint32_t arithmetic) {
    static const char *const names[] = {"auto", "f32", "bf16", "int8"};
    return arithmetic < COUNT_OF(names) ? names[arithmetic] : NULL;
}

/* --------------------------------------------------------------------------------------------------- bytes */

uint64_t weight_source_bytes(uint32_t format, uint64_t elements) {
    if (is_numbers(format)) return elements;
    if (!weight_format_is_block(format)) return elements * format_bytes(format);
    const block_format *block = block_format_of(format);
    return elements / block->values * block->bytes;
}

uint64_t weight_packed_bytes(uint32_t format, uint64_t out, uint64_t in) {
    if (!weight_format_is_block(format)) return out * in * format_bytes(format);
    if (is_numbers(format)) return out * ((in + 127) / 128 * 130);
    return out * block_panel_bytes(block_format_of(format), 1, in);
}

/* ------------------------------------------------------------------------------------------------- filling */

/* 2^(byte - 127); between two powers at random, the nearer one more often. */
static uint8_t e8m0_bits(float value, random_state *random) {
    const int exponent = (int)floorf(log2f(value) + 0.5f + random_uniform(random, 0.5f));
    return (uint8_t)(exponent < -126 ? 1 : exponent > 127 ? 254 : exponent + 127);
}

/* The nearest of 2^-9 .. 448. */
static uint8_t e4m3_bits(float value) {
    int exponent;
    (void)frexpf(value, &exponent);   /* value = 0.5 .. 1 times 2^exponent */
    if (exponent < -5) exponent = -5; /* subnormal numbers have the unit of the first normal ones */
    const long code = (exponent + 5) * 8 + lrintf(ldexpf(value, 4 - exponent));
    return (uint8_t)(code < 1 ? 1 : code > 0x7e ? 0x7e : code);
}

static float e4m3_value(uint8_t code) {
    const int exponent = code >> 3 & 15, digits = code & 7;
    const float size = exponent == 0 ? ldexpf((float)digits, -9) : ldexpf((float)(8 + digits), exponent - 10);
    return code & 0x80 ? -size : size;
}

static void set_scales(const weight_format *format, uint8_t *block, float scale, random_state *random) {
    for (size_t i = 0; i < COUNT_OF(format->fields) && format->fields[i].kind != NO_SCALE; i++) {
        const scale_field *field = &format->fields[i];
        const float value = scale * field->factor * (1 + random_uniform(random, 0.25f));
        if (field->kind == SCALE_F16) format_store(block + field->at, CLMOE_F16, 0, value);
        if (field->kind == SCALE_E8M0) block[field->at] = e8m0_bits(value, random);
        if (field->kind == SCALE_E4M3) block[field->at] = e4m3_bits(value);
        if (field->kind == ZERO_POINT) block[field->at] = (uint8_t)field->factor;
    }
}

static void fill_bits(uint8_t *bytes, uint64_t count, random_state *random) {
    uint64_t bits = 0;
    for (uint64_t i = 0; i < count; i += sizeof bits) {
        bits = random_next(random);
        memcpy(bytes + i, &bits, count - i < sizeof bits ? (size_t)(count - i) : sizeof bits);
    }
}

/* Root mean square of values whose blocks have scales near 1. */
static float unit_spread(const weight_format *format, const block_format *block) {
    uint8_t bytes[MOST_BYTES];
    float values[MOST_VALUES];
    double squares = 0;
    random_state random = {1};
    for (int i = 0; i < SAMPLED_BLOCKS; i++) {
        fill_bits(bytes, block->bytes, &random);
        set_scales(format, bytes, 1, &random);
        block->decode(bytes, values);
        for (uint32_t j = 0; j < block->values; j++) squares += (double)values[j] * (double)values[j];
    }
    return (float)sqrt(squares / (SAMPLED_BLOCKS * (double)block->values));
}

void weight_fill(void *array, uint32_t format, uint64_t elements, float spread, random_state *random) {
    if (!weight_format_is_block(format)) {
        const float limit = spread * sqrtf(3.0f);
        for (uint64_t i = 0; i < elements; i++) format_store(array, format, (size_t)i, random_uniform(random, limit));
        return;
    }
    if (is_numbers(format)) {
        for (uint64_t i = 0; i < elements; i++) {
            const float value = random_uniform(random, spread * sqrtf(3.0f)) / NUMBERS_SCALE;
            ((uint8_t *)array)[i] = (uint8_t)(e4m3_bits(fabsf(value)) | (value < 0 ? 0x80 : 0));
        }
        return;
    }
    const weight_format *row = find(format);
    const block_format *block = block_format_of(format);
    const float scale = spread / unit_spread(row, block);
    const uint64_t blocks = elements / block->values;
    fill_bits(array, blocks * block->bytes, random);
    for (uint64_t i = 0; i < blocks; i++) set_scales(row, (uint8_t *)array + i * block->bytes, scale, random);
}

/* ------------------------------------------------------------------------------------------------- reading */

void weight_load_run(const void *array, uint32_t format, size_t start, size_t count, double *out) {
    if (!weight_format_is_block(format)) {
        format_load_run(array, format, start, count, out);
        return;
    }
    if (is_numbers(format)) {
        for (size_t i = 0; i < count; i++)
            out[i] = (double)(NUMBERS_SCALE * e4m3_value(((const uint8_t *)array)[start + i]));
        return;
    }
    const block_format *block = block_format_of(format);
    const uint8_t *bytes = (const uint8_t *)array + start / block->values * block->bytes;
    float values[MOST_VALUES];
    for (size_t i = 0; i < count; i += block->values, bytes += block->bytes) {
        block->decode(bytes, values);
        for (uint32_t j = 0; j < block->values; j++) out[i + j] = (double)values[j];
    }
}
