/* Block formats: ggml's own bytes decoded to ggml's own values, and formats packed and decoded in every arrangement:
 * every one with the device's own vectors, with narrower ones by turns, since each is a kernel to compile. */
#include "block_trial.h"
#include "golden.h"

static const uint32_t widths[] = {16, 8, 4};

static test_device device_of_width(uint32_t width) {
    clmoe_context_desc desc;
    clmoe_context_desc_default(&desc, sizeof desc);
    desc.vector_width = width;
    return test_open(&desc);
}

/* 16 lanes take every format, 8 lanes one half of them and 4 lanes the other, by turns. */
static int is_due(uint32_t w, uint32_t i) {
    test_random random = test_random_new(81);
    return w == 0 || (i + w + test_random_below(&random, 2)) % 2 == 0;
}

/* The oracle agrees with ggml. */
static void test_oracle_meets_vectors(void **state) {
    (void)state;
    const block_format *f;
    for (uint32_t i = 0; (f = block_format_at(i)) != NULL; i++) {
        golden g = golden_open_format(f->name);
        const golden_tensor *blocks = golden_find(&g, "blocks"), *wanted = golden_find(&g, "dequantised");
        assert_true(blocks != NULL && wanted != NULL);
        assert_int_equal(blocks->count / f->bytes * f->values, wanted->count);
        for (size_t b = 0; b < blocks->count / f->bytes; b++) {
            float values[256];
            f->decode((const uint8_t *)blocks->data + b * f->bytes, values);
            for (uint32_t k = 0; k < f->values; k++)
                if (memcmp(&values[k], (const float *)wanted->data + b * f->values + k, sizeof(float)) != 0)
                    fail_msg("%s block %zu value %u is %a, expected %a", f->name, b, k, (double)values[k],
                             (double)((const float *)wanted->data)[b * f->values + k]);
        }
        golden_close(&g);
    }
}

/* And so does the library, packed and decoded, on those bytes. */
static void test_library_meets_vectors(void **state) {
    (void)state;
    const block_format *f;
    for (uint32_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        test_device device = device_of_width(widths[w]);
        for (uint32_t i = 0; (f = block_format_at(i)) != NULL; i++) {
            if (!is_due(w, i)) continue;
            golden g = golden_open_format(f->name);
            block_trial t = {.source = f, .arithmetic = CLMOE_ARITHMETIC_F32, .groups = 1, .in_features = 512,
                             .out_features = 4, .blocks = golden_find(&g, "blocks")->data};
            for (t.format = CLMOE_F32; t.format <= (w == 0 ? CLMOE_BF16 : CLMOE_F32); t.format++)
                block_trial_run(&device, &t);
            t.format = f->format;
            if (f->super_blocks != 0) block_trial_run(&device, &t);
            golden_close(&g);
        }
        test_close(&device);
    }
}

/* Every arrangement of gate and up, every kind of source, edges in both directions. */
static void run_arrangements(test_device *device, uint32_t lanes, const block_format *f, uint32_t format,
                             uint32_t arithmetic) {
    const uint32_t outs[] = {1, 2 * lanes - 1, 2 * lanes, 5 * lanes + 3};
    const uint32_t blocks[] = {1, 2, 3, 5};
    uint64_t stream = f->format;
    for (uint32_t gate_up = 0; gate_up <= 3; gate_up++)
        for (uint32_t i = 0; i < 4; i++, stream++) {
            block_trial t = {.source = f, .format = format, .arithmetic = arithmetic, .groups = 1 + i % 3,
                             .in_features = blocks[(i + gate_up) % 4] * f->values, .out_features = outs[i],
                             .gated = gate_up < 3, .gate_up = gate_up < 3 ? gate_up : 0, .gap = i % 2,
                             .from = (enum block_source)((i + gate_up) % BLOCK_SOURCES), .stream = 16 * stream};
            block_trial_run(device, &t);
        }
}

static void test_kept_formats_in_every_arrangement(void **state) {
    (void)state;
    const block_format *f;
    for (uint32_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        test_device device = device_of_width(widths[w]);
        for (uint32_t i = 0; (f = block_format_at(i)) != NULL; i++)
            if (f->super_blocks != 0 && is_due(w, i))
                run_arrangements(&device, widths[w], f, f->format, CLMOE_ARITHMETIC_F32);
        test_close(&device);
    }
}

static void test_decoded_formats_in_every_arrangement(void **state) {
    (void)state;
    const block_format *f;
    for (uint32_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        test_device device = device_of_width(widths[w]);
        for (uint32_t i = 0; (f = block_format_at(i)) != NULL; i++) {
            if (!is_due(w, i)) continue;
            if (i % 3 == w) run_arrangements(&device, widths[w], f, CLMOE_BF16, CLMOE_ARITHMETIC_BF16);
            else run_arrangements(&device, widths[w], f, CLMOE_F32 + i % 3, CLMOE_ARITHMETIC_F32);
        }
        test_close(&device);
    }
}

/* Gate and up in two formats share a panel only decoded. */
static void test_gate_and_up_of_two_formats(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    block_trial t = {.source = block_format_of(CLMOE_Q6_K),
                     .gate_source = block_format_of(CLMOE_Q4_0),
                     .format = CLMOE_F32,
                     .arithmetic = CLMOE_ARITHMETIC_F32,
                     .groups = 2,
                     .in_features = 512,
                     .out_features = 37,
                     .gated = 1};
    block_trial_run(&device, &t);
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oracle_meets_vectors),
        cmocka_unit_test(test_library_meets_vectors),
        cmocka_unit_test(test_kept_formats_in_every_arrangement),
        cmocka_unit_test(test_decoded_formats_in_every_arrangement),
        cmocka_unit_test(test_gate_and_up_of_two_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
