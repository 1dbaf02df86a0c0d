/* Packing of rows that lie a multiple of 64 bytes apart, which CPUs with wide vectors load by lines of the cache: at
 * every place in a line, with every number of blocks and remainder, and matrices large enough for huge pages. The
 * source ends where memory ends (pack_sources.h). */
#include "opencl/context.h"
#include "pack_trial.h"

static const struct {
    uint32_t source, format, arithmetic;
} kinds[] = {{CLMOE_BF16, CLMOE_BF16, CLMOE_ARITHMETIC_BF16},
             {CLMOE_BF16, CLMOE_BF16, CLMOE_ARITHMETIC_F32},
             {CLMOE_F16, CLMOE_F16, CLMOE_ARITHMETIC_F32},
             {CLMOE_F32, CLMOE_F32, CLMOE_ARITHMETIC_F32},
             {CLMOE_F32, CLMOE_BF16, CLMOE_ARITHMETIC_BF16},
             {CLMOE_F32, CLMOE_F16, CLMOE_ARITHMETIC_F32},
             {CLMOE_BF16, CLMOE_F32, CLMOE_ARITHMETIC_F32}};
#define KINDS (uint32_t)(sizeof kinds / sizeof *kinds)

static pack_trial trial_of(uint32_t kind, uint32_t in_features, uint32_t out_features, uint32_t gated) {
    const uint32_t in_line = 512 / pack_bits(kinds[kind].source);
    return (pack_trial){.groups = 2,
                        .in_features = in_features,
                        .out_features = out_features,
                        .gated = gated,
                        .gate_up = kind % 2 == 0 ? CLMOE_GATE_UP_SEPARATE : CLMOE_GATE_UP_CONCATENATED,
                        .format = kinds[kind].format,
                        .arithmetic = kinds[kind].arithmetic,
                        .source_format = kinds[kind].source,
                        .layout = CLMOE_OUT_IN,
                        .source = kind % 2 == 0 ? PACK_HOST_LIST : PACK_HOST,
                        .gap = (in_line - in_features % in_line) % in_line,
                        .stream = 90 + kind};
}

static void run(test_device *device, const pack_trial *trial) {
    const int packed = pack_trial_run(device, trial, PACK_ROWS, NULL);
    assert_int_equal(packed, device->context->device.is_cpu);
}

static void test_places_in_a_line(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        /* 32 k a block at most: from 1 to 5 blocks, and every word of a line as the place where rows begin. */
        for (uint32_t k = 30; k < 130; k += 7) {
            const pack_trial trial = trial_of(kind, k, 50, 1 - kind % 2);
            run(&device, &trial);
        }
        const pack_trial whole = trial_of(kind, 256, 64, kind % 2);
        run(&device, &whole);
    }
    test_close(&device);
}

/* Several runs of k a row, several pieces an expert, blocks in huge pages. */
static void test_large(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    for (uint32_t gated = 0; gated < 2; gated++) {
        const pack_trial trial = trial_of(0, 8190, 300, gated);
        run(&device, &trial);
    }
    test_close(&device);
}

/* Rows too far apart for staging are refused by name before anything is read. */
static void test_too_far_apart(void **state) {
    (void)state;
    static const uint16_t row[64];
    test_device device = test_open(NULL);
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_weights_desc desc;
    clmoe_weights *weights = NULL;
    clmoe_weights_desc_default(&desc, sizeof desc);
    const clmoe_tensor far = {.format = CLMOE_BF16, .row_stride = (uint64_t)1 << 40, .host = row};
    desc.hidden_size = desc.experts.intermediate_size = 64;
    desc.experts.num_experts = 1;
    desc.experts.gate = desc.experts.up = desc.experts.down = far;
    device.context->device.is_this_host = 0; /* its memory is not the host's */
    const clmoe_status status = clmoe_weights_create(device.context, &desc, &weights, &error);
    assert_int_equal(status, CLMOE_UNSUPPORTED);
    assert_string_equal(error.argument, "experts.gate");
    assert_non_null(strstr(error.message, "row_stride is 1099511627776 elements"));
    assert_null(weights);
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places_in_a_line),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_too_far_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
