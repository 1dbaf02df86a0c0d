/* Tensors of e4m3 numbers kept as they are (CLMOE_F8_B128): every code and scale at its place in the panels, from
 * every kind of source, in both ways of packing; which scales are refused; what is kept where the caller says
 * nothing, and its bytes. */
#include <stdio.h>

#include "opencl/context.h"
#include "pack_trial.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define PICK(...) \
    pick(random, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))
#define ROWS 2048

static clmoe_error error = {.struct_size = sizeof error};

static uint32_t pick(test_random *random, const uint32_t *of, size_t count) {
    return of[test_random_below(random, (uint32_t)count)];
}

/* As another kind of device: 0 keeps what it is. */
static test_device open_as(uint32_t width, int is_cpu, int is_this_host) {
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.vector_width = width;
    test_device device = test_open(&d);
    device.context->device.is_cpu &= is_cpu;
    device.context->device.is_this_host &= is_this_host;
    return device;
}

/* Blocks of 128 k or more, whose edges no two neighbours lie across. */
static pack_trial any_trial(test_random *random, uint32_t i, uint32_t scale_format) {
    pack_trial t = {.format = CLMOE_F8_B128,
                    .arithmetic = CLMOE_ARITHMETIC_BF16,
                    .source_format = CLMOE_F8_E4M3,
                    .stream = test_random_u64(random)};
    t.groups = PICK(1, 2, 3);
    t.in_features = PICK(1, 3, 4, 63, 64, 65, 100, 127, 128, 129, 192, 255, 256, 391, 640);
    t.out_features = 2 * PICK(1, 4, 7, 16, 20, 64, 65, 100);
    t.gated = i % 4 != 3;
    t.gate_up = t.gated ? i % 4 : 0;
    t.source = test_random_below(random, 4);
    t.gap = PICK(0, 0, 1, 5, 64);
    t.scale_format = PICK(CLMOE_F32, scale_format);
    t.block_rows = t.gate_up == CLMOE_GATE_UP_INTERLEAVED ? PICK(4, 12, 128, ROWS) : PICK(2, 6, 128, ROWS);
    t.block_columns = PICK(128, 256, ROWS);
    t.scale_source = test_random_below(random, 4);
    t.second_scale_source = test_random_below(random, 4);
    return t;
}

/* With scales in f32, and in another format each time. */
static void run_random(test_device *device, uint64_t stream, uint32_t trials, uint32_t lanes) {
    static const uint32_t others[] = {0, CLMOE_F16, CLMOE_BF16, CLMOE_F8_E8M0};
    test_random random = test_random_new(stream);
    uint32_t by_rows = 0;
    for (uint32_t i = 0; i < trials; i++) {
        pack_trial t = any_trial(&random, i, others[stream % COUNT(others)]);
        t.lanes = lanes;
        (void)pack_trial_run(device, &t, PACK_ANY, NULL);
        by_rows += (uint32_t)pack_trial_run(device, &t, PACK_ROWS, NULL);
        (void)pack_trial_run(device, &t, PACK_CHOSEN, NULL);
    }
    assert_int_equal(by_rows != 0, device->context->device.is_cpu);
}

static void run_width(uint32_t width, uint64_t stream) {
    test_device device = open_as(width, 1, 1);
    run_random(&device, stream, 12, 0);
    test_close(&device);
}

static void test_16_lanes(void **state) { (void)state, run_width(16, 171); }
static void test_8_lanes(void **state) { (void)state, run_width(8, 172); }
static void test_4_lanes(void **state) { (void)state, run_width(4, 173); }

/* Work-groups of 16 items, panels of 16 lanes, host memory through the staging buffer. */
static void test_as_gpu(void **state) {
    (void)state;
    test_device device = open_as(0, 0, 0);
    run_random(&device, 174, 8, 16);
    test_close(&device);
}

static void test_staged(void **state) {
    (void)state;
    test_device device = open_as(0, 1, 0);
    run_random(&device, 175, 8, 0);
    test_close(&device);
}

/* Every power of two, and numbers at the edges of f32. */
static uint8_t every_byte(uint64_t i) { return (uint8_t)i; }
static uint8_t edge(uint64_t i) {
    static const uint32_t edges[] = {0x00000000u, 0x80000000u, 0x7f7fffffu, 0x7f800000u, 0xff800000u, 0x7fc00001u,
                                     0x00800000u, 0x007fffffu, 0x80000001u, 0x00000001u, 0x3eaaaaabu};
    uint8_t bytes[4];
    memcpy(bytes, &edges[i / 4 % COUNT(edges)], 4);
    return bytes[i % 4];
}

static void test_scales(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    pack_trial t = {.groups = 1,
                    .in_features = 512,
                    .out_features = 128,
                    .format = CLMOE_F8_B128,
                    .arithmetic = CLMOE_ARITHMETIC_F32,
                    .source_format = CLMOE_F8_E4M3,
                    .scale_format = CLMOE_F8_E8M0,
                    .block_rows = 2,
                    .block_columns = 128,
                    .stream = 176,
                    .code = every_byte,
                    .scale_code = every_byte};
    for (int i = 0; i < 2; i++) {
        (void)pack_trial_run(&device, &t, PACK_ANY, NULL);
        (void)pack_trial_run(&device, &t, PACK_ROWS, NULL);
        t.scale_format = CLMOE_F32;
        t.scale_code = edge;
    }
    test_close(&device);
}

/* --------------------------------------------------------------------------------------------- refusals */

static uint8_t codes[512 * 512];
static float numbers[512 * 512];

static clmoe_grouped_gemm_desc gemm_desc(const clmoe_scales *scales) {
    clmoe_grouped_gemm_desc d;
    clmoe_grouped_gemm_desc_default(&d, sizeof d);
    d.num_groups = 1;
    d.in_features = 256;
    d.out_features = 129; /* of each half */
    d.weight_format = CLMOE_F8_B128;
    d.weight = (clmoe_tensor){.format = CLMOE_F8_E4M3, .host = codes, .scales = scales};
    return d;
}

static void test_refusals(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    clmoe_grouped_gemm *gemm = NULL;
    clmoe_scales s = {.format = CLMOE_F32, .block_rows = 128, .block_columns = 128, .host = numbers};
    clmoe_grouped_gemm_desc d = gemm_desc(&s);
#define TRIED        clmoe_grouped_gemm_create(device.context, &d, &gemm, &error)
#define NO_WAY(text) FAILS(TRIED, CLMOE_UNSUPPORTED, text)
#define FINE         OK(TRIED), clmoe_grouped_gemm_destroy(gemm)
    FINE;
    s.block_columns = 64;
    NO_WAY("weight.scales has blocks of 128 x 64, expected one scale for 128 columns and for rows 0 and 1");
    s.block_columns = 300; /* one along k */
    FINE;
    s.block_columns = 128;
    s.block_rows = 1;
    NO_WAY("weight.scales has blocks of 1 x 128");
    s.block_rows = 129; /* one along rows */
    FINE;
    s.block_rows = 2;
    d.activate = 1;
    d.activation.gated = 1;
    d.gate_up = CLMOE_GATE_UP_INTERLEAVED;
    NO_WAY("blocks of 2 x 128, expected one scale for 128 columns and for rows 0 and 2");
    s.block_rows = 4;
    FINE;
    d.gate_up = CLMOE_GATE_UP_CONCATENATED; /* row 129, of `up`, and 130 */
    NO_WAY("blocks of 4 x 128, expected one scale for 128 columns and for rows 129 and 130");
    d.out_features = 128;
    FINE;
    d.arithmetic = CLMOE_ARITHMETIC_INT8;
    NO_WAY("int8 arithmetic needs weights of integers, not f8_b128");
    d = gemm_desc(NULL);
    FINE; /* no scales */
    d.weight.format = CLMOE_BF16;
    NO_WAY("weight is bf16, which cannot be converted to f8_b128");
    d.weight.format = CLMOE_F8_B128;
    FAILS(TRIED, CLMOE_INVALID_ARGUMENT, "weight.format is 56");
    test_close(&device);
}

/* -------------------------------------------------------------------------------------------- by default */

enum { H = 384, I = 256, E = 2 };

static clmoe_weights_desc weights_desc(const clmoe_scales *scales) {
    const clmoe_tensor matrix = {.format = CLMOE_F8_E4M3, .host = codes, .scales = scales};
    clmoe_weights_desc d;
    clmoe_weights_desc_default(&d, sizeof d);
    d.hidden_size = H;
    d.experts.num_experts = E;
    d.experts.intermediate_size = I;
    d.experts.gate = d.experts.up = d.experts.down = matrix;
    return d;
}

/* What "up" and "down" are kept in: as the layer's description has it. */
static void kept_in(test_device *device, const clmoe_weights_desc *d, const char *up, const char *down,
                    const char *arithmetic) {
    clmoe_weights *weights = NULL;
    clmoe_layer *layer = NULL;
    clmoe_layer_desc l;
    char text[4096], wanted[64];
    clmoe_layer_desc_default(&l, sizeof l);
    l.routing.num_experts = E;
    l.routing.top_k = 1;
    OK(clmoe_weights_create(device->context, d, &weights, &error));
    OK(clmoe_layer_create(device->context, weights, &l, &layer, &error));
    OK(clmoe_layer_describe(layer, text, sizeof text, NULL, &error));
    const char *const stages[] = {"\nup ", "\ndown "}, *const formats[] = {up, down};
    for (int i = 0; i < 2; i++) {
        const char *line = strstr(text, stages[i]);
        (void)snprintf(wanted, sizeof wanted, ", %s weights, %s arithmetic", formats[i], arithmetic);
        const char *found = line != NULL ? strstr(line, wanted) : NULL;
        if (found == NULL || found > strchr(line + 1, '\n'))
            fail_msg("%s has no '%s' in:\n%s", stages[i], wanted, text);
    }
    clmoe_layer_destroy(layer);
    clmoe_weights_destroy(weights);
}

static void test_defaults(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    clmoe_scales s = {.format = CLMOE_F32, .block_rows = 128, .block_columns = 128, .host = numbers};
    clmoe_weights_desc d = weights_desc(&s);
    d.arithmetic = CLMOE_ARITHMETIC_BF16;
    kept_in(&device, &d, "f8_b128", "f8_b128", "bf16");
    d.arithmetic = CLMOE_ARITHMETIC_F32;
    kept_in(&device, &d, "f8_b128", "f8_b128", "f32");
    d.experts.down.format = CLMOE_F32; /* as experts.up, whose source is narrow */
    d.experts.down.host = numbers;
    d.experts.down.scales = NULL;
    kept_in(&device, &d, "f8_b128", "bf16", "f32");
    d = weights_desc(&s);
    d.arithmetic = CLMOE_ARITHMETIC_F32;
    s.block_rows = 1;
    kept_in(&device, &d, "bf16", "bf16", "f32");
    test_close(&device);
}

/* Of 128 x 128 blocks: at most 3% more than codes and scales in the file. */
static void test_bytes(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    const clmoe_scales s = {.format = CLMOE_F32, .block_rows = 128, .block_columns = 128, .host = numbers};
    clmoe_weights_desc d = weights_desc(&s);
    clmoe_weights *weights = NULL;
    d.hidden_size = 2048;
    d.experts.intermediate_size = 1408;
    d.experts.num_experts = 64;
    OK(clmoe_weights_plan(device.context, &d, &weights, &error));
    const double matrix = 2048.0 * 1408, file = 3 * 64 * (matrix + matrix / 128 / 128 * 4);
    const double bytes = (double)clmoe_weights_bytes(weights);
    print_message("%.0f bytes for %.0f in a file: %.4f\n", bytes, file, bytes / file);
    assert_true(bytes <= 1.03 * file);
    clmoe_weights_destroy(weights);
    test_close(&device);
}

int main(void) {
    for (size_t i = 0; i < COUNT(numbers); i++) numbers[i] = 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_16_lanes), cmocka_unit_test(test_8_lanes),  cmocka_unit_test(test_4_lanes),
        cmocka_unit_test(test_as_gpu),   cmocka_unit_test(test_staged),   cmocka_unit_test(test_scales),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_defaults), cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
