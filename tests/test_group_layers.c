/* Groups of integers in whole layers, in every arithmetic, and what is refused of them. */
#include <stdio.h>

#include "block_oracle.h"
#include "layer_case.h"

static clmoe_error error = {.struct_size = sizeof error};

/* ------------------------------------------------------------------------------------------------- layers */

/* Blocks in every arithmetic, four formats a run; the oracle rounds as the arithmetic does. */
static void test_layers(void **state) {
    (void)state;
    static const uint32_t tokens[] = {1, 7, 33, 65};
    test_device device = test_open(NULL);
    test_random random = test_random_new(3004);
    const uint32_t turn = test_random_below(&random, 12);
    for (uint32_t i = turn % 4; block_group_at(i) != NULL; i += 4) {
        const block_format *f = block_group_at(i);
        const uint32_t T = tokens[(i / 4 + turn) % 4];
        case_options o = case_default(512, 256, 5, 2);
        o.stream = 50 + i;
        o.format = CLMOE_FORMAT_NONE;
        o.arithmetic = 1 + (i / 4 + turn) % 3;
        o.gate_up = (i + turn) % 3;
        o.blocks[CASE_UP] = o.blocks[CASE_DOWN] = f->format;
        layer_case *c = case_new(&device, &o);
        void *x = case_input(c, T, &random);
        case_result r = case_forward(c, NULL, x, T);
        case_check(c, x, T, &r);
        const double nmse = case_nmse(c, x, T, &r);
        print_message("%s, arithmetic %u, %u tokens: NMSE %.2e\n", f->name, o.arithmetic, T, nmse);
        assert_true(nmse <= (T >= 33 ? 4e-4 : 1.6e-3));
        case_result_free(&r);
        free(x);
        case_free(c);
    }
    test_close(&device);
}

/* ------------------------------------------------------------------------------------------------ refused */

enum { N = 64, K = 256, E = 3 };

/* 16 bytes for each code are more than enough for anything. */
static uint8_t memory[(size_t)E * N * K * 16];

static void refused(test_device *device, const clmoe_grouped_gemm_desc *desc, const char *says) {
    clmoe_grouped_gemm *gemm = (clmoe_grouped_gemm *)1;
    FAILS(clmoe_grouped_gemm_create(device->context, desc, &gemm, &error), CLMOE_INVALID_ARGUMENT, "weight");
    if (strstr(error.message, says) == NULL) fail_msg("\"%s\" does not say \"%s\"", error.message, says);
    assert_null(gemm);
}

static void test_refused(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    clmoe_grouped_gemm_desc good, d;
    const clmoe_groups sound = {.order = CLMOE_CODES_GPTQ,
                                .group_size = 128,
                                .scale_format = CLMOE_F16,
                                .scales.host = memory,
                                .zeros.host = memory};
    const clmoe_scales scales = {.format = CLMOE_F32, .block_rows = 1, .block_columns = 32, .host = memory};
    const void *hole[E] = {memory, NULL, memory};
    clmoe_groups g;
    clmoe_grouped_gemm_desc_default(&good, sizeof good);
    good.num_groups = E, good.in_features = K, good.out_features = N;
    good.weight_format = CLMOE_U4_G128;
    good.arithmetic = CLMOE_ARITHMETIC_F32;
    good.weight = (clmoe_tensor){.format = CLMOE_U4_G128, .host = memory, .groups = &g};
#define BAD(says, ...)              \
    do {                            \
        d = good, g = sound;        \
        __VA_ARGS__;                \
        refused(&device, &d, says); \
    } while (0)
    BAD("format is q8_0, expected CLMOE_U4_G32", d.weight.format = CLMOE_Q8_0);
    BAD("format is f32, expected CLMOE_U4_G32", d.weight.format = CLMOE_F32);
    BAD("layout is CLMOE_IN_OUT", d.weight.layout = CLMOE_IN_OUT);
    BAD("a stride", d.weight.row_stride = 256);
    BAD("a stride", d.weight.expert_stride = 1 << 20);
    BAD("or scales of", d.weight.scales = &scales);
    BAD("order is 3, expected 0..2", g.order = 3);
    BAD("group_size is 64, expected a multiple of 128", g.group_size = 64);
    BAD("scale_format is 16, expected", g.scale_format = CLMOE_Q8_0);
    BAD("scale_format is 6, expected", g.scale_format = CLMOE_F8_E8M0);
    BAD("zeros_less_1 is 2", g.zeros_less_1 = 2);
    BAD("60 out_features, expected a multiple of the 8", d.out_features = 60);
    BAD("60 out_features, expected a multiple of the 8", d.out_features = 60; g.order = CLMOE_CODES_AWQ);
    BAD("62 out_features, expected a multiple of the 4", d.out_features = 62; g.order = CLMOE_CODES_AWQ;
        d.weight.format = CLMOE_S8_G128; g.zeros.host = NULL);
    BAD("groups.scales has 0 sources", g.scales.host = NULL);
    BAD("groups.scales has 2 sources", g.scales.host_list = hole);
    BAD("groups.zeros has 0 sources, expected 1 with format u4_g128", g.zeros.host = NULL);
    BAD("groups.zeros has 1 sources, expected 0 with format s4_g128", d.weight.format = CLMOE_S4_G128);
    BAD("in_features 192, expected a multiple of 128", d.in_features = 192);
    BAD("host_list[1] is NULL", g.scales.host = NULL; g.scales.host_list = hole);
    BAD("host_list[1] is NULL", g.zeros.host = NULL; g.zeros.host_list = hole);
    test_buffer codes = test_buffer_new(&device, (size_t)E * N * K / 2, memory);
    test_buffer fields = test_buffer_new(&device, (size_t)E * N * 2 * 2, memory);
    BAD("weight", d.weight.host = NULL; d.weight.buffer = codes.at; d.weight.buffer.offset = 1 << 20);
    BAD("weight", g.scales.host = NULL; g.scales.buffer = fields.at; g.scales.buffer.offset = 1 << 20);
    BAD("weight", g.scales.host = NULL; g.scales.buffer = fields.at; g.scales.buffer.offset += 1);
    BAD("weight", g.zeros.host = NULL; g.zeros.buffer = fields.at; g.zeros.buffer.offset = 1 << 20);
    test_buffer_free(&device, &codes);
    test_buffer_free(&device, &fields);
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layers), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
