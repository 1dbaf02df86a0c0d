/* No row of tuning changes a bit: layers with random legal rows, of the cpu and the gpu macro-kernel, against the
 * shipped ones, and the shipped ones against the oracle. */
#include <stdio.h>

#include "layer_case.h"

enum { DRAWS = 400 };

static const uint32_t token_counts[] = {1, 3, 21, 90};
enum { COUNTS = sizeof token_counts / sizeof *token_counts };

static clmoe_error error = {.struct_size = sizeof error};

static void write_row(const clmoe_tuning *gemm, const uint32_t values[], char *text, size_t capacity) {
    size_t used = (size_t)snprintf(text, capacity, "%s", gemm->key);
    for (uint32_t i = 0; i < gemm->count; i++)
        used += (size_t)snprintf(text + used, capacity - used, " %s=%u", gemm->numbers[i].name, values[i]);
    assert_true(used < capacity);
}

static clmoe_tuning tuning_of(const clmoe_layer *layer, uint32_t i) {
    clmoe_tuning gemm;
    clmoe_tuning_default(&gemm, sizeof gemm);
    OK(clmoe_layer_tuning(layer, i, &gemm, &error));
    return gemm;
}

/* Sets rows for both GEMMs, of the same numbers, that differ from the shipped ones and that the device can run. */
static void draw_rows(test_device *device, const clmoe_tuning gemms[2], test_random *random, char rows[2][1024]) {
    for (uint32_t draw = 0; draw < DRAWS; draw++) {
        uint32_t values[sizeof gemms->numbers / sizeof *gemms->numbers], differ = 0;
        for (uint32_t i = 0; i < gemms->count; i++) {
            const clmoe_tuning_number *n = &gemms->numbers[i];
            values[i] = n->value;
            if (test_random_below(random, 3) == 0) values[i] = n->tries[test_random_below(random, n->try_count)];
            differ |= values[i] != n->value;
        }
        int good = (int)differ;
        for (uint32_t g = 0; g < 2 && good; g++) {
            write_row(&gemms[g], values, rows[g], sizeof rows[g]);
            good = clmoe_context_tune(device->context, rows[g], &error) == CLMOE_OK;
        }
        if (good) return;
    }
    fail_msg("%u rows were drawn for %s, and the device can run none", DRAWS, gemms->key);
}

static clmoe_layer *layer_with(layer_case *c, char rows[2][1024]) {
    clmoe_layer *layer = NULL;
    OK(clmoe_layer_create(c->device->context, c->weights, &c->options.layer, &layer, &error));
    for (uint32_t g = 0; g < 2; g++) {
        const clmoe_tuning now = tuning_of(layer, g);
        if (strcmp(now.from, "set by the program") != 0) fail_msg("%s: %s", rows[g], now.from);
    }
    return layer;
}

static void compare_rows(layer_case *c, uint32_t count, void *const x[COUNTS], const case_result wanted[COUNTS],
                         test_random *random) {
    char rows[2][1024];
    const clmoe_tuning gemms[2] = {tuning_of(c->layer, 0), tuning_of(c->layer, 1)};
    clmoe_layer *shipped = c->layer;
    for (uint32_t r = 0; r < count; r++) {
        draw_rows(c->device, gemms, random, rows);
        c->layer = layer_with(c, rows);
        OK(clmoe_context_tune(c->device->context, NULL, &error));
        for (uint32_t i = 0; i < COUNTS; i++) {
            case_result result = case_forward(c, NULL, x[i], token_counts[i]);
            case_same(c, rows[0], &wanted[i], &result, token_counts[i]);
            case_result_free(&result);
        }
        clmoe_layer_destroy(c->layer);
        c->layer = shipped;
    }
}

static void test_case(test_device *device, uint32_t format, uint32_t arithmetic, uint32_t count) {
    case_options o = case_default(96, 64, 5, 2);
    test_random random = test_random_new(format + 100 * arithmetic);
    o.format = format;
    if (format >= CLMOE_Q8_0) o.blocks[CASE_UP] = o.blocks[CASE_DOWN] = format;
    o.arithmetic = arithmetic;
    o.with = CASE_UP_BIAS;
    layer_case *c = case_new(device, &o);
    void *x[COUNTS];
    case_result wanted[COUNTS];
    for (uint32_t i = 0; i < COUNTS; i++) {
        x[i] = case_input(c, token_counts[i], &random);
        wanted[i] = case_forward(c, NULL, x[i], token_counts[i]);
        case_check(c, x[i], token_counts[i], &wanted[i]);
    }
    compare_rows(c, count, x, wanted, &random);
    for (uint32_t i = 0; i < COUNTS; i++) {
        case_result_free(&wanted[i]);
        free(x[i]);
    }
    case_free(c);
}

static const struct {
    const char *disable;
    uint32_t format, arithmetic, rows; /* how many are drawn: kernels take their time to compile */
} kinds[] = {{NULL, CLMOE_BF16, CLMOE_ARITHMETIC_BF16, 2},
             {NULL, CLMOE_Q4_0, CLMOE_ARITHMETIC_INT8, 1},
             {NULL, CLMOE_Q8_0, CLMOE_ARITHMETIC_BF16, 1},
             {"cpu,matrix", CLMOE_F32, CLMOE_ARITHMETIC_F32, 1},
             {"cpu,matrix", CLMOE_Q4_0, CLMOE_ARITHMETIC_INT8, 1}};

static void test_bits(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        clmoe_context_desc desc;
        clmoe_context_desc_default(&desc, sizeof desc);
        desc.disable = kinds[i].disable;
        test_device device = test_open(&desc);
        test_case(&device, kinds[i].format, kinds[i].arithmetic, kinds[i].rows);
        test_close(&device);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
