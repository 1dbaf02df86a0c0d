/* Packing, number by number: every code of the narrow formats with every power of two, with scales of random bits, and
 * with scales at the edges of their formats, to every format of panels, two of four by turns, in both ways. */
#include "pack_trial.h"

static const struct {
    uint32_t format, arithmetic;
} targets[] = {{CLMOE_F32, CLMOE_ARITHMETIC_F32},
               {CLMOE_F16, CLMOE_ARITHMETIC_F32},
               {CLMOE_BF16, CLMOE_ARITHMETIC_F32},
               {CLMOE_BF16, CLMOE_ARITHMETIC_BF16}};
#define TARGETS (sizeof targets / sizeof targets[0])

static uint8_t every_byte(uint64_t i) { return (uint8_t)i; }
static uint8_t every_nibble(uint64_t i) { return (uint8_t)(i % 8 * 2 + (i % 8 * 2 + 1) * 16); }

/* Zeros, ones, the largest, infinities, NaN, and what makes products subnormal, halfway between two bf16, or vanish.
 * Their number has no divisor in common with the blocks of a row, so that every code meets every one. */
static const uint32_t edges32[] = {
    0x00000000u, 0x80000000u, 0x3f800000u, 0xbf800000u, 0x7f7fffffu, 0xff7fffffu, 0x7f800000u, 0xff800000u,
    0x7fc00000u, 0x00800000u, 0x80800000u, 0x007fffffu, 0x807fffffu, 0x00000001u, 0x80000001u, 0x00008000u,
    0x00018000u, 0x80028000u, 0x02800000u, 0x83ffffffu, 0x04818001u, 0x3b800000u, 0x7b000000u};
static const uint16_t edges16[] = {0x0000u, 0x8000u, 0x3c00u, 0xbc00u, 0x7bffu, 0xfbffu, 0x7c00u, 0xfc00u,
                                   0x7e00u, 0x0400u, 0x8400u, 0x03ffu, 0x83ffu, 0x0001u, 0x8001u};
static const uint16_t edges_bf16[] = {0x0000u, 0x8000u, 0x3f80u, 0xbf80u, 0x7f7fu, 0xff7fu, 0x7f80u, 0xff80u, 0x7fc0u,
                                      0x0080u, 0x8080u, 0x007fu, 0x807fu, 0x0001u, 0x8001u, 0x0280u, 0x83ffu};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static uint8_t byte_of(uint32_t value, uint64_t i) {
    uint8_t bytes[4];
    memcpy(bytes, &value, 4);
    return bytes[i];
}

static uint8_t edge32(uint64_t i) { return byte_of(edges32[i / 4 % COUNT(edges32)], i % 4); }
static uint8_t edge16(uint64_t i) {
    const uint16_t value = edges16[i / 2 % COUNT(edges16)];
    return byte_of(value * 0x10001u, i % 2);
}
static uint8_t edge_bf16(uint64_t i) {
    const uint16_t value = edges_bf16[i / 2 % COUNT(edges_bf16)];
    return byte_of(value * 0x10001u, i % 2);
}

static uint32_t code_count(uint32_t source) { return source == CLMOE_F8_E4M3 ? 256 : 16; }

/* Each row of the source has all codes. Returns how many products were subnormal f32. */
static uint64_t every_code(uint32_t source, uint32_t scale, uint32_t block_columns, uint8_t (*scale_code)(uint64_t)) {
    test_device device = test_open(NULL);
    test_random random = test_random_new(69);
    uint64_t subnormals = 0;
    for (size_t i = (source + scale + test_random_below(&random, 2)) % 2; i < TARGETS; i += 2) {
        const pack_trial t = {.groups = 1,
                              .in_features = code_count(source),
                              .out_features = 256,
                              .format = targets[i].format,
                              .arithmetic = targets[i].arithmetic,
                              .source_format = source,
                              .scale_format = scale,
                              .block_rows = 1,
                              .block_columns = block_columns,
                              .stream = 70 + i,
                              .code = source == CLMOE_F8_E4M3 ? every_byte : every_nibble,
                              .scale_code = scale_code};
        (void)pack_trial_run(&device, &t, PACK_ANY, &subnormals);
        (void)pack_trial_run(&device, &t, PACK_ROWS, &subnormals);
    }
    test_close(&device);
    return subnormals;
}

static const uint32_t narrow[] = {CLMOE_F8_E4M3, CLMOE_F4_E2M1};

static void test_without_scales(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(narrow); i++) (void)every_code(narrow[i], 0, 0, NULL);
}

/* Each row has another scale: all pairs. */
static void test_every_power(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(narrow); i++)
        assert_true(every_code(narrow[i], CLMOE_F8_E8M0, code_count(narrow[i]), every_byte) > 0);
}

static void test_f32_scales(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(narrow); i++) {
        (void)every_code(narrow[i], CLMOE_F32, 8, NULL);
        assert_true(every_code(narrow[i], CLMOE_F32, 8, edge32) > 0);
    }
}

static void test_f16_scales(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(narrow); i++) {
        (void)every_code(narrow[i], CLMOE_F16, 8, NULL);
        assert_int_equal(every_code(narrow[i], CLMOE_F16, 8, edge16), 0); /* the smallest is 2^-24 * 2^-9 */
    }
}

static void test_bf16_scales(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(narrow); i++) {
        (void)every_code(narrow[i], CLMOE_BF16, 8, NULL);
        assert_true(every_code(narrow[i], CLMOE_BF16, 8, edge_bf16) > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_without_scales), cmocka_unit_test(test_every_power),
                                       cmocka_unit_test(test_f32_scales), cmocka_unit_test(test_f16_scales),
                                       cmocka_unit_test(test_bf16_scales)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
