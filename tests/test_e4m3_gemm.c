/* The grouped GEMM with e4m3 weights kept as they are (CLMOE_F8_B128): every code with scales of all kinds against a
 * scalar decoder, and every variant of the device against the same tensors kept in f32 and bf16, bit for bit:
 * decoding as packing does, the sums are the same. */
#include <math.h>
#include <stdio.h>

#include "gemm_trial.h"
#include "opencl/context.h"
#include "pack_sources.h"

#define COUNT(array)    ((uint32_t)(sizeof(array) / sizeof *(array)))
#define NO_NUMBER(code) (((code)&0x7f) == 0x7f)

typedef struct product {
    uint32_t arithmetic, k, n, rows;
    uint32_t gate_up, gated; /* clmoe_gate_up; the halves are put together by activation ReLU */
    uint32_t block_rows;
    uint8_t *codes; /* [halves * n, k] */
    float *scales;  /* of the blocks of these rows; of separate halves each has as many */
    uint64_t scale_count;
    float *x;
} product;

static product product_new(uint32_t arithmetic, uint32_t k, uint32_t n, uint32_t rows, uint32_t block_rows) {
    product p = {.arithmetic = arithmetic, .k = k, .n = n, .rows = rows, .block_rows = block_rows};
    test_random random = test_random_new(700 + k * 1024 + n);
    p.scale_count = (uint64_t)((2 * n + block_rows - 1) / block_rows) * ((k + 127) / 128);
    p.codes = malloc((size_t)2 * n * k);
    p.scales = malloc(2 * p.scale_count * sizeof *p.scales);
    p.x = malloc((size_t)rows * k * sizeof *p.x);
    assert_true(p.codes != NULL && p.scales != NULL && p.x != NULL);
    for (size_t i = 0; i < (size_t)2 * n * k; i++) {
        p.codes[i] = (uint8_t)test_random_u64(&random);
        if (NO_NUMBER(p.codes[i])) p.codes[i] ^= 1;
    }
    for (size_t i = 0; i < 2 * p.scale_count; i++) p.scales[i] = (float)test_random_normal(&random) / 64;
    for (size_t i = 0; i < (size_t)rows * k; i++) p.x[i] = (float)test_random_normal(&random);
    return p;
}

static void product_free(product *p) {
    free(p->codes);
    free(p->scales);
    free(p->x);
}

/* Self-tests refuse variants that are wrong, and the next one would be tested in their place. */
static void is_the_one(const test_device *device, uint32_t arithmetic, const char *variant) {
    const clmoe__device *d = &device->context->device;
    const char *wanted = strstr(device->context->disable, "cpu") != NULL ? "gpu/tile" : "cpu/fma";
    const int special = d->is_cpu && d->avx512_bf16 && d->vector_width == 16 && device->context->disable[0] == '\0';
    if (special) wanted = arithmetic == CLMOE_ARITHMETIC_BF16 ? "cpu/avx512_bf16" : "cpu/avx512_fma";
    if (d->is_cpu && d->avx2_fma && d->vector_width == 8 && device->context->disable[0] == '\0' &&
        arithmetic == CLMOE_ARITHMETIC_F32)
        wanted = "cpu/avx2_fma";
    const int is_free = device->context->prefer[0] == '\0' && getenv("CLMOE_DISABLE") == NULL;
    if (d->is_cpu && is_free && strstr(variant, wanted) == NULL)
        fail_msg("the variant is %s, expected %s", variant, wanted);
}

/* y [rows, n] of the first `rows` rows with weights kept in `format`. */
static gemm_trial run(test_device *device, const product *p, uint32_t format, uint32_t rows) {
    const int apart = p->gated && p->gate_up == CLMOE_GATE_UP_SEPARATE;
    clmoe_scales scales[2] = {
        {.format = CLMOE_F32, .block_rows = p->block_rows, .block_columns = 128, .host = p->scales}};
    clmoe_grouped_gemm_desc d;
    clmoe_grouped_gemm_desc_default(&d, sizeof d);
    d.num_groups = 1;
    d.in_features = p->k;
    d.out_features = p->n;
    d.weight_format = format;
    d.arithmetic = p->arithmetic;
    d.gate_up = p->gate_up;
    d.activate = d.activation.gated = p->gated;
    d.activation.kind = CLMOE_RELU;
    scales[1] = scales[0];
    scales[1].host = p->scales + p->scale_count;
    d.weight = (clmoe_tensor){.format = CLMOE_F8_E4M3, .host = p->codes, .scales = &scales[0]};
    if (apart)
        d.gate = (clmoe_tensor){.format = CLMOE_F8_E4M3, .host = p->codes + (size_t)p->n * p->k, .scales = &scales[1]};
    gemm_trial t = gemm_trial_run(device, &d, rows, p->x, NULL);
    if (format == CLMOE_F8_B128) is_the_one(device, p->arithmetic, t.variant);
    return t;
}

static test_device open_with(const char *disable, const char *prefer, uint32_t width) {
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.disable = disable;
    d.prefer = prefer;
    d.vector_width = width;
    return test_open(&d);
}

/* ------------------------------------------------------------------------------------------- every code */

/* What the library makes of it: the f32 product, in bf16 arithmetic rounded. */
static float value_of(uint32_t arithmetic, uint8_t code, float scale) {
    const float value = (float)(pack_decode(&code, CLMOE_F8_E4M3, 0) * (double)scale);
    uint16_t bits;
    if (arithmetic == CLMOE_ARITHMETIC_F32) return value;
    test_store(&bits, CLMOE_BF16, 0, (double)value);
    return (float)test_load(&bits, CLMOE_BF16, 0);
}

/* Products with the unit matrix: each value as it was decoded. Row n has the codes n, n + 1 ..., so that every code
 * meets every place in a run; every two columns have a scale of their own where `alike` is 2, where it is 128 half a
 * panel has one. */
static void unit_products(test_device *device, uint32_t arithmetic, const float *scales, uint32_t count,
                          uint32_t alike) {
    enum { K = 256, N = 256 };
    product p = product_new(arithmetic, K, N, K, alike);
    for (uint32_t n = 0; n < N; n++)
        for (uint32_t k = 0; k < K; k++) {
            const uint8_t code = (uint8_t)(n + k);
            p.codes[n * K + k] = NO_NUMBER(code) ? 0x80 : code;
            p.x[n * K + k] = n == k ? 1.0f : 0.0f;
        }
    for (size_t i = 0; i < p.scale_count; i++) p.scales[i] = scales[i % count];
    gemm_trial t = run(device, &p, CLMOE_F8_B128, K);
    for (uint32_t k = 0; k < K; k++)
        for (uint32_t n = 0; n < N; n++) {
            const float scale = p.scales[n / alike * 2 + k / 128];
            const float wanted = value_of(arithmetic, p.codes[n * K + k], scale);
            if (fabsf(wanted) < 0x1p-126f && arithmetic == CLMOE_ARITHMETIC_BF16)
                continue; /* flushed by bf16 hardware */
            if (t.y[k * N + n] != wanted)
                fail_msg("%s: code %02x times %a is %a, expected %a", t.variant, p.codes[n * K + k], (double)scale,
                         (double)t.y[k * N + n], (double)wanted);
        }
    print_message("%s: %u scales, one for %u rows\n", t.variant, count, alike);
    gemm_trial_free(&t);
    product_free(&p);
}

static void test_codes(void **state) {
    (void)state;
    static const float scales[] = {1.0f,           1.0f / 3, -0.7f,  2.9e-4f,   1e30f,  1e-30f,
                                   0x1.fffffep-5f, 0.0f,     -1e-3f, 0x1p-126f, 7.5e35f};
    static const char *const disabled[] = {NULL, "avx512_bf16,avx512_fma", "cpu"};
    for (uint32_t i = 0; i < COUNT(disabled); i++) {
        test_device device = open_with(disabled[i], NULL, 0);
        for (uint32_t a = CLMOE_ARITHMETIC_F32; a <= CLMOE_ARITHMETIC_BF16; a++) {
            unit_products(&device, a, scales, COUNT(scales), 2);
            for (uint32_t s = 0; s < COUNT(scales) && i == 0; s += 3) unit_products(&device, a, scales + s, 2, 128);
        }
        test_close(&device);
    }
}

/* A NaN code makes its column NaN, and no other; an infinite row itself: tiles end with their own k. */
static void test_nan(void **state) {
    (void)state;
    static const char *const disabled[] = {NULL, "avx512_bf16,avx512_fma", "cpu"};
    for (uint32_t i = 0; i < 2 * COUNT(disabled); i++) {
        test_device device = open_with(disabled[i / 2], NULL, 0);
        product p = product_new(1 + i % 2, 200, 70, 40, 128);
        for (uint32_t k = 0; k < p.k; k++) p.x[20 * p.k + k] = INFINITY;
        p.codes[3 * p.k + 7] = 0x7f;
        p.codes[40 * p.k + 199] = 0xff;
        gemm_trial t = run(&device, &p, CLMOE_F8_B128, p.rows);
        for (uint32_t at = 0; at < p.rows * p.n; at++)
            if (at / p.n != 20 && (isfinite(t.y[at]) == 0) != (at % p.n == 3 || at % p.n == 40))
                fail_msg("%s: y[%u][%u] is %g", t.variant, at / p.n, at % p.n, (double)t.y[at]);
        gemm_trial_free(&t);
        product_free(&p);
        test_close(&device);
    }
}

/* ------------------------------------------------------------------------------------- as f32 and bf16 are */

/* The first `rows` rows have the bits that they have in `wanted`. */
static void same_bits(test_device *device, const product *p, uint32_t rows, const gemm_trial *wanted) {
    gemm_trial t = run(device, p, CLMOE_F8_B128, rows);
    for (size_t i = 0; i < (size_t)rows * p->n; i++)
        if (memcmp(&t.y[i], &wanted->y[i], sizeof *t.y) != 0)
            fail_msg("k %u, n %u, gate_up %u of gated %u, scales of %u rows: y[%zu][%zu] of %u rows is %.9g by %s, "
                     "%.9g by %s",
                     p->k, p->n, p->gate_up, p->gated, p->block_rows, i / p->n, i % p->n, rows, (double)t.y[i],
                     t.variant, (double)wanted->y[i], wanted->variant);
    gemm_trial_free(&t);
}

static void compare(test_device *devices, uint32_t count, const product *p) {
    static const uint32_t fewer[] = {1, 7, 33};
    gemm_trial plain = run(&devices[0], p, p->arithmetic == CLMOE_ARITHMETIC_BF16 ? CLMOE_BF16 : CLMOE_F32, p->rows);
    for (uint32_t i = 0; i < count; i++) same_bits(&devices[i], p, p->rows, &plain);
    for (uint32_t i = 0; i < COUNT(fewer) && fewer[i] < p->rows; i++) same_bits(&devices[0], p, fewer[i], &plain);
    gemm_trial_free(&plain);
}

/* k around runs and supers; n around panels; both ways to tile rows; in every arrangement of gate and up. */
static void shapes(test_device *devices, uint32_t count, uint64_t stream, uint32_t trials, uint32_t arithmetic) {
    static const uint32_t ks[] = {1, 2, 3, 31, 32, 33, 63, 100, 127, 128, 129, 160, 199, 256, 391, 517};
    static const uint32_t ns[] = {2, 16, 30, 32, 66, 128, 130, 258}, rows[] = {1, 3, 15, 40, 131};
    test_random random = test_random_new(stream);
    const uint32_t turn = test_random_below(&random, COUNT(ks));
    for (uint32_t i = 0; i < trials; i++) {
        const uint32_t k = ks[(i * 5 + turn) % COUNT(ks)];
        product p = product_new(arithmetic, k, ns[test_random_below(&random, COUNT(ns))],
                                rows[test_random_below(&random, COUNT(rows))], i % 4 == 0 ? 4 : 128);
        p.gated = 1;
        p.gate_up = i % 3;
        compare(devices, count, &p);
        product_free(&p);
    }
}

/* The best variant, those without what is special to this CPU, and the one with local memory. */
static void test_variants(void **state) {
    (void)state;
    test_device devices[] = {open_with(NULL, NULL, 0), open_with("avx512_bf16,avx512_fma", NULL, 0),
                             open_with("cpu", NULL, 0)};
    for (uint32_t a = CLMOE_ARITHMETIC_F32; a <= CLMOE_ARITHMETIC_BF16; a++) shapes(devices, 3, 720 + a, 8, a);
    for (int i = 0; i < 3; i++) test_close(&devices[i]);
}

static void test_widths(void **state) {
    (void)state;
    test_random random = test_random_new(730);
    const uint32_t turn = test_random_below(&random, 2);
    for (uint32_t width = 4; width <= 8; width *= 2) {
        test_device device = open_with(NULL, NULL, width);
        shapes(&device, 1, 730 + width, 6, 1 + (turn + width / 4) % 2);
        test_close(&device);
    }
}

/* Matrix units add in another order: to rounding. */
static void test_matrix(void **state) {
    (void)state;
    test_device plain = open_with(NULL, NULL, 0), device = open_with(NULL, "emulated/mma", 0);
    static const uint32_t ks[] = {33, 128, 300};
    for (uint32_t i = 0; i < COUNT(ks); i++) {
        product p = product_new(CLMOE_ARITHMETIC_BF16, ks[i], 70, 37, 128);
        gemm_trial wanted = run(&plain, &p, CLMOE_BF16, p.rows), t = run(&device, &p, CLMOE_F8_B128, p.rows);
        assert_non_null(strstr(t.variant, "emulated/mma"));
        double largest = 0;
        for (size_t at = 0; at < (size_t)p.rows * p.n; at++) largest = fmax(largest, fabs((double)wanted.y[at]));
        for (size_t at = 0; at < (size_t)p.rows * p.n; at++)
            if (!(fabs((double)t.y[at] - (double)wanted.y[at]) <= 1e-5 * largest))
                fail_msg("%s: y[%zu] with k %u is %.9g, %.9g by %s", t.variant, at, p.k, (double)t.y[at],
                         (double)wanted.y[at], wanted.variant);
        gemm_trial_free(&t);
        gemm_trial_free(&wanted);
        product_free(&p);
    }
    test_close(&plain);
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_codes), cmocka_unit_test(test_nan),
                                       cmocka_unit_test(test_variants), cmocka_unit_test(test_widths),
                                       cmocka_unit_test(test_matrix)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
