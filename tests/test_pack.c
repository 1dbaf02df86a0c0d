/* Packing, shape by shape: random matrices of every format in every layout and from every kind of memory, on devices
 * that claim to be different ones. Both ways are compared with the definition, hence with each other. */
#include "pack_trial.h"

#include "opencl/context.h"

static const struct {
    uint32_t format, arithmetic;
} targets[] = {{CLMOE_F32, CLMOE_ARITHMETIC_F32},
               {CLMOE_F16, CLMOE_ARITHMETIC_F32},
               {CLMOE_BF16, CLMOE_ARITHMETIC_F32},
               {CLMOE_BF16, CLMOE_ARITHMETIC_BF16}};
static const uint32_t formats[] = {CLMOE_F32, CLMOE_F16, CLMOE_BF16, CLMOE_F8_E4M3, CLMOE_F4_E2M1};
#define COUNT(array) (uint32_t)(sizeof(array) / sizeof(array)[0])

/* A context whose device claims to be something else. */
static test_device open_as(uint32_t lanes, int is_cpu, int is_this_host, uint64_t max_alloc) {
    clmoe_context_desc desc;
    clmoe_context_desc_default(&desc, sizeof desc);
    desc.vector_width = lanes;
    desc.max_alloc_bytes = max_alloc;
    test_device device = test_open(&desc);
    if (!is_cpu) device.context->device.is_cpu = 0;
    if (!is_this_host) device.context->device.is_this_host = 0;
    return device;
}

static uint32_t widest(void) {
    test_device device = test_open(NULL);
    const uint32_t width = device.context->device.vector_width;
    test_close(&device);
    return width;
}

static uint32_t pick(test_random *random, const uint32_t *values, uint32_t count) {
    return values[test_random_below(random, count)];
}
#define PICK(...) pick(random, (const uint32_t[]){__VA_ARGS__}, COUNT(((const uint32_t[]){__VA_ARGS__})))

static pack_trial any_trial(test_random *random, uint32_t source) {
    const uint32_t target = test_random_below(random, COUNT(targets));
    const int narrow = source == CLMOE_F8_E4M3 || source == CLMOE_F4_E2M1;
    pack_trial t = {.groups = 1 + test_random_below(random, 3),
                    .in_features = 1 + test_random_below(random, 300),
                    .out_features = 1 + test_random_below(random, 90),
                    .gated = test_random_below(random, 2),
                    .gate_up = test_random_below(random, 3),
                    .format = targets[target].format,
                    .arithmetic = targets[target].arithmetic,
                    .source_format = source,
                    .layout = narrow ? CLMOE_OUT_IN : PICK(CLMOE_OUT_IN, CLMOE_OUT_IN, CLMOE_IN_OUT),
                    .source = test_random_below(random, 4),
                    .gap = PICK(0, 0, 2, 6),
                    .stream = test_random_u64(random)};
    if (source == CLMOE_F4_E2M1) t.in_features += t.in_features % 2;
    if (!t.gated) t.gate_up = CLMOE_GATE_UP_SEPARATE;
    if (!narrow || test_random_below(random, 8) == 0) return t;
    t.scale_format = PICK(CLMOE_F32, CLMOE_F16, CLMOE_BF16, CLMOE_F8_E8M0);
    t.block_rows = PICK(1, 1, 2, 5, 128);
    t.block_columns = PICK(1, 3, 8, 16, 24, 32, 32, 128, 1000);
    t.scale_source = test_random_below(random, 4);
    t.second_scale_source = test_random_below(random, 4);
    return t;
}

/* Returns how many trials could be packed by rows. */
static uint32_t run_random(test_device *device, uint64_t stream, uint32_t trials, uint32_t lanes) {
    test_random random = test_random_new(stream);
    uint32_t by_rows = 0;
    for (uint32_t i = 0; i < trials; i++) {
        pack_trial t = any_trial(&random, formats[i % COUNT(formats)]);
        t.lanes = lanes;
        (void)pack_trial_run(device, &t, PACK_ANY, NULL);
        by_rows += (uint32_t)pack_trial_run(device, &t, PACK_ROWS, NULL);
    }
    return by_rows;
}

static void run_width(uint32_t lanes, uint64_t stream) {
    if (lanes > widest()) return;
    test_device device = open_as(lanes, 1, 1, 0);
    (void)run_random(&device, stream, 10, 0);
    test_close(&device);
}

static void test_16_lanes(void **state) { (void)state, run_width(16, 71); }
static void test_8_lanes(void **state) { (void)state, run_width(8, 72); }
static void test_4_lanes(void **state) { (void)state, run_width(4, 73); }

/* Work-groups of 16 items, panels of 16 lanes, host memory through the staging buffer. */
static void test_as_gpu(void **state) {
    (void)state;
    test_device device = open_as(0, 0, 0, 0);
    assert_int_equal(run_random(&device, 74, 10, 16), 0);
    test_close(&device);
}

/* By rows, but the memory is not the host's: data and scales are copied. */
static void test_staged(void **state) {
    (void)state;
    test_device device = open_as(0, 1, 0, 0);
    (void)run_random(&device, 75, 10, 0);
    test_close(&device);
}

/* An odd number of k is padded with 0, also where the scale of the padding is negative, infinite or NaN. */
static uint8_t no_number(uint64_t i) { return (uint8_t)(0x7fc00000u >> i % 4 * 8); }
static uint8_t infinite(uint64_t i) { return (uint8_t)(0x7f800000u >> i % 4 * 8); }
static uint8_t minus_one(uint64_t i) { return (uint8_t)(0xbf800000u >> i % 4 * 8); }

static void test_padding(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    uint8_t (*const scales[])(uint64_t) = {no_number, infinite, minus_one};
    for (uint32_t i = 0; i < COUNT(scales); i++) {
        pack_trial t = {.groups = 2, .in_features = 19, .out_features = 40, .format = CLMOE_BF16,
                        .arithmetic = CLMOE_ARITHMETIC_BF16, .source_format = CLMOE_F8_E4M3, .scale_format = CLMOE_F32,
                        .block_rows = 1, .block_columns = 32, .stream = 77, .scale_code = scales[i]};
        (void)pack_trial_run(&device, &t, PACK_ANY, NULL);
        if (device.context->device.is_cpu) assert_true(pack_trial_run(&device, &t, PACK_ROWS, NULL));
    }
    test_close(&device);
}

/* Both halves of a panel read their own scales, also if only one tensor's are on the device. */
static void test_mixed_scales(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    pack_trial t = {.groups = 2, .in_features = 64, .out_features = 24, .gated = 1, .format = CLMOE_F32,
                    .arithmetic = CLMOE_ARITHMETIC_F32, .source_format = CLMOE_F4_E2M1, .scale_format = CLMOE_F8_E8M0,
                    .block_rows = 1, .block_columns = 32, .stream = 78};
    for (t.scale_source = PACK_HOST; t.scale_source <= PACK_BUFFER_LIST; t.scale_source++)
        for (t.second_scale_source = PACK_HOST; t.second_scale_source <= PACK_BUFFER_LIST; t.second_scale_source++)
            (void)pack_trial_run(&device, &t, PACK_CHOSEN, NULL);
    test_close(&device);
}

/* A row's scale goes where the row goes, in every arrangement of gate and up. */
static void test_arrangements(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    pack_trial t = {.groups = 2, .in_features = 70, .out_features = 37, .gated = 1, .format = CLMOE_BF16,
                    .arithmetic = CLMOE_ARITHMETIC_BF16, .source_format = CLMOE_F8_E4M3, .scale_format = CLMOE_BF16,
                    .block_rows = 3, .block_columns = 16, .stream = 79};
    for (t.gate_up = CLMOE_GATE_UP_SEPARATE; t.gate_up <= CLMOE_GATE_UP_INTERLEAVED; t.gate_up++) {
        (void)pack_trial_run(&device, &t, PACK_ANY, NULL);
        (void)pack_trial_run(&device, &t, PACK_ROWS, NULL);
    }
    test_close(&device);
}

/* Several shards, and more source than one buffer may hold: many pieces, read in place and staged. */
static void test_pieces(void **state) {
    (void)state;
    for (int is_this_host = 0; is_this_host < 2; is_this_host++) {
        test_device device = open_as(0, 1, is_this_host, 1 << 20);
        pack_trial t = {.groups = 3, .in_features = 2051, .out_features = 250, .gated = 1,
                        .gate_up = CLMOE_GATE_UP_INTERLEAVED, .format = CLMOE_BF16, .arithmetic = CLMOE_ARITHMETIC_BF16,
                        .source_format = CLMOE_F32, .stream = 76};
        (void)pack_trial_run(&device, &t, PACK_CHOSEN, NULL);
        t.gate_up = CLMOE_GATE_UP_CONCATENATED;
        t.source = PACK_HOST_LIST;
        (void)pack_trial_run(&device, &t, PACK_CHOSEN, NULL);
        test_close(&device);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_16_lanes), cmocka_unit_test(test_8_lanes),      cmocka_unit_test(test_4_lanes),
        cmocka_unit_test(test_as_gpu),   cmocka_unit_test(test_staged),       cmocka_unit_test(test_padding),
        cmocka_unit_test(test_pieces),   cmocka_unit_test(test_mixed_scales),
        cmocka_unit_test(test_arrangements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
