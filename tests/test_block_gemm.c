/* The grouped GEMM as a stage with weights in block formats: every format against the oracle, and every variant of a
 * device against the others, bit for bit: integer dot products in hardware and without, run by run on CPUs and tile by
 * tile in local memory. */
#include <math.h>
#include <stdio.h>

#include "block_weights.h"
#include "gemm_trial.h"
#include "oracle.h"

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof *(array)))

static const char *const arithmetic_names[] = {"auto", "f32", "bf16", "int8"};

/* One product: x [rows, k] and blocks [groups, n, k]; both decoded. */
typedef struct product {
    const block_format *format;
    uint32_t arithmetic, groups, n, k, rows;
    uint8_t *blocks;
    float *x;
    double *weights, *x_values; /* weights as they are multiplied */
} product;

static double to_bf16(double value) {
    uint16_t bits;
    test_store(&bits, CLMOE_BF16, 0, value);
    return test_load(&bits, CLMOE_BF16, 0);
}

static product product_new(const block_format *f, uint32_t arithmetic, uint32_t groups, uint32_t n, uint32_t k,
                           uint32_t rows) {
    product p = {.format = f, .arithmetic = arithmetic, .groups = groups, .n = n, .k = k, .rows = rows};
    const size_t count = (size_t)groups * n * k, inputs = (size_t)rows * k;
    test_random random = test_random_new(2000 + f->format);
    p.blocks = malloc(count / f->values * f->bytes);
    p.x = malloc(inputs * sizeof *p.x);
    p.weights = malloc(count * sizeof *p.weights);
    p.x_values = malloc(inputs * sizeof *p.x_values);
    assert_true(p.blocks != NULL && p.x != NULL && p.weights != NULL && p.x_values != NULL);
    block_tame_many(f, p.blocks, count, 1 / sqrt((double)k), &random);
    block_decode_many(f, p.blocks, count, p.weights);
    for (size_t i = 0; i < count && arithmetic == CLMOE_ARITHMETIC_BF16; i++) p.weights[i] = to_bf16(p.weights[i]);
    for (size_t i = 0; i < inputs; i++) p.x_values[i] = (double)(p.x[i] = (float)test_random_normal(&random));
    return p;
}

static void product_free(product *p) {
    free(p->blocks);
    free(p->x);
    free(p->weights);
    free(p->x_values);
}

/* y of the first `rows` rows, without a plan if index is NULL. */
static gemm_trial run(test_device *device, const product *p, uint32_t rows, uint32_t slots, const int32_t *index) {
    clmoe_grouped_gemm_desc d;
    clmoe_grouped_gemm_desc_default(&d, sizeof d);
    d.num_groups = p->groups;
    d.in_features = p->k;
    d.out_features = p->n;
    d.weight_format = p->format->format;
    d.arithmetic = p->arithmetic;
    d.weight = (clmoe_tensor){.format = p->format->format, .host = p->blocks};
    d.slots = slots;
    gemm_trial t = gemm_trial_run(device, &d, rows, p->x, index);
    char wanted[32];
    (void)snprintf(wanted, sizeof wanted, "(%s arithmetic)", arithmetic_names[p->arithmetic]);
    assert_non_null(strstr(t.variant, wanted));
    return t;
}

/* Row x of group g against the oracle; adds up the error's and the exact result's squares. */
static void check_row(const product *p, uint32_t group, uint32_t row, const float *y, double squares[2]) {
    static const int rounds[] = {ORACLE_EXACT, ORACLE_EXACT, ORACLE_BF16, ORACLE_INT8};
    double *wanted = calloc((size_t)3 * p->n, sizeof *wanted), *magnitude = wanted + p->n, *exact = magnitude + p->n;
    const double *w = p->weights + (size_t)group * p->n * p->k, *x = p->x_values + (size_t)row * p->k;
    oracle_product(w, p->n, p->k, ORACLE_EXACT, x, exact, magnitude);
    oracle_product(w, p->n, p->k, rounds[p->arithmetic], x, wanted, magnitude);
    for (uint32_t i = 0; i < p->n; i++) {
        const double got = (double)y[i];
        const double allowed = oracle_tolerance(wanted[i], magnitude[i], p->k, 0, CLMOE_F32);
        if (!(fabs(got - wanted[i]) <= allowed))
            fail_msg("%s, %s arithmetic: y[%u][%u] of group %u is %.9g, the oracle says %.9g, allowed error %.2g",
                     p->format->name, arithmetic_names[p->arithmetic], row, i, group, got, wanted[i], allowed);
        squares[0] += (got - exact[i]) * (got - exact[i]);
        squares[1] += exact[i] * exact[i];
    }
    free(wanted);
}

/* ---------------------------------------------------------------------------------------------- variants */

enum { CONTEXTS = 3, MOST_ROWS = 131 }; /* more tiles than share what was decoded */

/* The best variant, the best without what is special to this CPU, and the best for any device. */
#define SPECIAL "avx512_vnni,avx512_bf16,avx512_fma,avx512vl_vnni,avx_vnni,avx2,avx2_fma"
static const char *const disabled[CONTEXTS] = {NULL, SPECIAL, "cpu"};

static void open_contexts(test_device devices[CONTEXTS]) {
    for (int i = 0; i < CONTEXTS; i++) {
        clmoe_context_desc d;
        clmoe_context_desc_default(&d, sizeof d);
        d.disable = disabled[i];
        devices[i] = test_open(&d);
    }
}

/* No multiple of a panel's columns, of a tile's rows or (where supers have several blocks) of a super. */
static product edges(const block_format *f, uint32_t arithmetic) {
    return product_new(f, arithmetic, 1, 77, f->values == 32 ? 224 : 3 * f->values, MOST_ROWS);
}

static void same_bits(const product *p, uint32_t rows, const gemm_trial *t, const gemm_trial *reference) {
    for (size_t i = 0; i < (size_t)rows * p->n; i++) {
        if (memcmp(&t->y[i], &reference->y[i], sizeof *t->y) == 0) continue;
        fail_msg("%s: y[%zu][%zu] is %.9g by %s with %u rows, %.9g by %s with %d", p->format->name, i / p->n, i % p->n,
                 (double)t->y[i], t->variant, rows, (double)reference->y[i], reference->variant, MOST_ROWS);
    }
}

/* The first `rows` rows have the bits that they have in the reference. */
static void repeat(test_device *device, const product *p, uint32_t rows, const gemm_trial *reference) {
    gemm_trial t = run(device, p, rows, 0, NULL);
    same_bits(p, rows, &t, reference);
    gemm_trial_free(&t);
}

static void compare_variants(test_device devices[CONTEXTS], int contexts, const block_format *f, uint32_t arithmetic) {
    static const uint32_t fewer[] = {1, 7, 33};
    product p = edges(f, arithmetic);
    double squares[2] = {0, 0};
    gemm_trial reference = run(&devices[0], &p, MOST_ROWS, 0, NULL);
    for (uint32_t r = 0; r < MOST_ROWS; r++) check_row(&p, 0, r, reference.y + (size_t)r * p.n, squares);
    for (uint32_t i = 0; i < COUNT(fewer); i++) repeat(&devices[0], &p, fewer[i], &reference);
    for (int i = 1; i < contexts; i++) repeat(&devices[i], &p, MOST_ROWS, &reference);
    print_message("%s by %s: NMSE %.2e\n", f->name, reference.variant, squares[0] / squares[1]);
    if (arithmetic == CLMOE_ARITHMETIC_INT8) assert_true(squares[0] <= 4e-4 * squares[1]);
    gemm_trial_free(&reference);
    product_free(&p);
}

/* The formats of groups have one file: of them every fourth in its turn. */
static int is_due(const block_format *f, uint32_t i, uint32_t turn) {
    return f->super_blocks != 0 && (f->format < CLMOE_U4_G32 || i % 4 == turn);
}

/* Every format by integers; by decoding, and by what is for any device, every third of them, each in its turn. */
static void test_variants(void **state) {
    (void)state;
    test_device devices[CONTEXTS];
    open_contexts(devices);
    test_random random = test_random_new(2101);
    const uint32_t turn = test_random_below(&random, 3), due = test_random_below(&random, 4);
    for (uint32_t i = 0; block_format_at(i) != NULL; i++) {
        const block_format *f = block_format_at(i);
        if (!is_due(f, i, due)) continue;
        compare_variants(devices, i % 3 == (turn + 2) % 3 ? CONTEXTS : CONTEXTS - 1, f, CLMOE_ARITHMETIC_INT8);
        if (i % 3 == turn) compare_variants(devices, CONTEXTS, f, CLMOE_ARITHMETIC_F32);
        if (i % 3 == (turn + 1) % 3) compare_variants(devices, CONTEXTS, f, CLMOE_ARITHMETIC_BF16);
    }
    for (int i = 0; i < CONTEXTS; i++) test_close(&devices[i]);
}

static test_device open_narrow(uint32_t width, const char *disable) {
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.vector_width = width;
    d.disable = disable;
    return test_open(&d);
}

/* Narrower vectors: other panels, other variants. Each format in one arithmetic a run; by integers with another variant
 * too. */
static void test_vector_widths(void **state) {
    (void)state;
    test_random random = test_random_new(2102);
    const uint32_t turn = test_random_below(&random, 3), due = test_random_below(&random, 4);
    for (uint32_t width = 4; width <= 8; width *= 2) {
        test_device device = open_narrow(width, NULL), other = open_narrow(width, "avx512vl_vnni,avx_vnni");
        for (uint32_t i = 0; block_format_at(i) != NULL; i++) {
            const block_format *f = block_format_at(i);
            if (!is_due(f, i, due)) continue;
            product p = edges(f, 1 + (i + turn + width / 4) % 3);
            double squares[2] = {0, 0};
            gemm_trial t = run(&device, &p, MOST_ROWS, 0, NULL);
            for (uint32_t r = 0; r < MOST_ROWS; r++) check_row(&p, 0, r, t.y + (size_t)r * p.n, squares);
            if (width == 8 && p.arithmetic == CLMOE_ARITHMETIC_INT8) repeat(&other, &p, MOST_ROWS, &t);
            gemm_trial_free(&t);
            product_free(&p);
        }
        test_close(&device);
        test_close(&other);
    }
}

/* Scales that are powers of two, which CPUs add to the exponents of sums where they fit there (block_int8.clh): the
 * smallest, the largest that fit, and in every other 32 columns some that do not. Every width against kernels that
 * multiply. */
static void test_powers(void **state) {
    (void)state;
    static const uint8_t powers[] = {0, 1, 2, 120, 231, 232, 233, 236};
    product p = edges(block_format_of(CLMOE_MXFP4), CLMOE_ARITHMETIC_INT8);
    test_random random = test_random_new(2301);
    const uint32_t blocks = p.k / p.format->values;
    for (uint32_t i = 0; i < p.n * blocks; i++)
        p.blocks[(size_t)i * p.format->bytes] = powers[test_random_below(&random, i / blocks / 32 % 2 == 0 ? 6 : 8)];
    test_device any = open_narrow(0, "cpu");
    gemm_trial reference = run(&any, &p, MOST_ROWS, 0, NULL);
    for (size_t i = 0; i < (size_t)MOST_ROWS * p.n; i++) assert_true(isfinite(reference.y[i]));
    for (uint32_t width = 4; width <= 16; width *= 2) {
        test_device device = open_narrow(width, NULL);
        repeat(&device, &p, MOST_ROWS, &reference);
        test_close(&device);
    }
    test_close(&any);
    gemm_trial_free(&reference);
    product_free(&p);
}

/* ------------------------------------------------------------------------------------------- with a plan */

enum { TOKENS = 41, SLOTS = 2, GROUPS = 3 };

/* Rows of three groups in a dispatch's order. */
static void run_planned(test_device *device, const product *p, const int32_t *index) {
    gemm_trial t = run(device, p, TOKENS, SLOTS, index);
    double squares[2] = {0, 0};
    for (uint32_t slot = 0; slot < TOKENS * SLOTS; slot++) {
        const int32_t row = t.plan[t.layout.slot_row + slot];
        if (index[slot] >= 0) check_row(p, (uint32_t)index[slot], slot / SLOTS, t.y + (size_t)row * p->n, squares);
    }
    gemm_trial_free(&t);
}

static void test_planned(void **state) {
    (void)state;
    static const struct {
        uint32_t format, arithmetic;
    } kinds[] = {{CLMOE_Q8_0, CLMOE_ARITHMETIC_INT8}, {CLMOE_Q4_K, CLMOE_ARITHMETIC_INT8},
                 {CLMOE_MXFP4, CLMOE_ARITHMETIC_F32}, {CLMOE_Q6_K, CLMOE_ARITHMETIC_BF16}};
    test_device device = test_open(NULL);
    test_random random = test_random_new(2201);
    int32_t index[TOKENS * SLOTS];
    for (uint32_t i = 0; i < TOKENS * SLOTS; i += SLOTS) {
        index[i] = (int32_t)test_random_below(&random, GROUPS);
        index[i + 1] = test_random_below(&random, 4) == 0 ? -1 : (index[i] + 1) % GROUPS;
    }
    for (uint32_t i = 0; i < COUNT(kinds); i++) {
        const block_format *f = block_format_of(kinds[i].format);
        product p = product_new(f, kinds[i].arithmetic, GROUPS, 40, f->values == 32 ? 96 : 256, TOKENS);
        run_planned(&device, &p, index);
        product_free(&p);
    }
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_variants), cmocka_unit_test(test_vector_widths),
                                       cmocka_unit_test(test_powers), cmocka_unit_test(test_planned)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
