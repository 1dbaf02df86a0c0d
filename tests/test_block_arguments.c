/* What is refused of weights in block formats: each thing once, with its status and its name, and nothing is
 * created. */
#include "layer_case.h"
#include "one_device.h"

static clmoe_error error = {.struct_size = sizeof error};

enum { H = 64, I = 96, E = 3 };

/* A sound description, with its sources. */
static layer_case *sound(uint32_t arithmetic, uint32_t source, clmoe_weights_desc *desc) {
    case_options o = case_default(H, I, E, 1);
    o.format = CLMOE_FORMAT_NONE;
    o.arithmetic = arithmetic;
    o.source = source;
    o.with = CASE_UP_BIAS;
    o.blocks[CASE_UP] = o.blocks[CASE_DOWN] = CLMOE_Q8_0;
    return case_describe(&device, &o, desc);
}

static void refused(const clmoe_weights_desc *desc, clmoe_status wanted, const char *argument, const char *says) {
    clmoe_weights *weights = (clmoe_weights *)1;
    test_fails(clmoe_weights_create(device.context, desc, &weights, &error), &error, wanted, argument);
    if (strcmp(error.argument, argument) != 0)
        fail_msg("the argument is [%s], expected [%s]", error.argument, argument);
    if (strstr(error.message, says) == NULL) fail_msg("\"%s\" does not say \"%s\"", error.message, says);
    assert_null(weights);
}

#define REFUSED_WEIGHTS(wanted, argument, says, ...) \
    do {                                             \
        clmoe_weights_desc desc = good;              \
        __VA_ARGS__;                                 \
        refused(&desc, wanted, argument, says);      \
    } while (0)
#define INVALID(argument, says, ...) REFUSED_WEIGHTS(CLMOE_INVALID_ARGUMENT, argument, says, __VA_ARGS__)
#define NO_WAY(argument, says, ...) REFUSED_WEIGHTS(CLMOE_UNSUPPORTED, argument, says, __VA_ARGS__)

static void test_formats(void **state) {
    (void)state;
    static float plain[E * I * H];
    clmoe_weights_desc good;
    layer_case *c = sound(CLMOE_ARITHMETIC_AUTO, CASE_HOST, &good);
    INVALID("format", "format is 12,", desc.format = 12);
    INVALID("format", "format is 99,", desc.format = 99);
    INVALID("format", "format is 32,", desc.format = CLMOE_Q2_K); /* in sources only */
    INVALID("format", "format is 4,", desc.format = CLMOE_F8_E4M3);
    INVALID("experts.up", "experts.up.format is 12,", desc.experts.up.format = 12);
    INVALID("experts.gate", "experts.gate.format is 99,", desc.experts.gate.format = 99);
    INVALID("experts.down", "experts.down.format is 27,", desc.experts.down.format = CLMOE_NVFP4 + 1);
    INVALID("experts.up_bias", "experts.up_bias.format is 16,", desc.experts.up_bias.format = CLMOE_Q8_0);
    INVALID("arithmetic", "arithmetic is 4,", desc.arithmetic = 4);
    NO_WAY("experts.up", "q8_0, which cannot be converted to q4_0", desc.format = CLMOE_Q4_0);
    NO_WAY("arithmetic", "int8 arithmetic needs weights in a block format, not f16", desc.format = CLMOE_F16;
           desc.arithmetic = CLMOE_ARITHMETIC_INT8);
    NO_WAY("arithmetic", "int8 arithmetic needs weights in a block format, not f32",
           desc.experts.down = (clmoe_tensor){.format = CLMOE_F32, .host = plain};
           desc.arithmetic = CLMOE_ARITHMETIC_INT8);
    NO_WAY("arithmetic", "bf16 arithmetic needs weights in CLMOE_BF16 or a block format, not f32",
           desc.format = CLMOE_F32;
           desc.arithmetic = CLMOE_ARITHMETIC_BF16);
    case_free(c);
}

static void test_shapes(void **state) {
    (void)state;
    clmoe_weights_desc good;
    layer_case *c = sound(CLMOE_ARITHMETIC_INT8, CASE_HOST, &good);
    INVALID("experts.gate", "experts.gate has in_features 100, expected a multiple of 32 with format q8_0",
            desc.hidden_size = 100);
    INVALID("experts.down", "experts.down has in_features 33, expected a multiple of 32",
            desc.experts.intermediate_size = 33);
    INVALID("experts.gate", "multiple of 256 with format q4_K",
            desc.experts.gate.format = desc.experts.up.format = CLMOE_Q4_K);
    INVALID("experts.down", "in_features 96, expected a multiple of 64 with format nvfp4",
            desc.experts.down.format = CLMOE_NVFP4);
    INVALID("experts.up", "experts.up.layout is CLMOE_IN_OUT", desc.experts.up.layout = CLMOE_IN_OUT);
    INVALID("experts.up", "experts.up.row_stride is 33, expected 0 or at least 64", desc.experts.up.row_stride = 33);
    INVALID("experts.up", "experts.up.row_stride is 65, expected a multiple of 32", desc.experts.up.row_stride = 65);
    INVALID("experts.up", "experts.up.expert_stride is 6145, expected a multiple of 32",
            desc.experts.up.expert_stride = I * H + 1);
    INVALID("experts.up", "experts.up.expert_stride is 6112, expected 0 or at least 6144",
            desc.experts.up.expert_stride = I * H - 32);
    const clmoe_scales scales = {.format = CLMOE_F32, .block_rows = 1, .block_columns = 32, .host = c};
    INVALID("experts.up", "experts.up.scales is given", desc.experts.up.scales = &scales);
    case_free(c);
}

/* Blocks begin at any byte, and the memory must hold the last of them. */
static void test_buffers(void **state) {
    (void)state;
    clmoe_weights_desc good;
    layer_case *c = sound(CLMOE_ARITHMETIC_F32, CASE_BUFFER, &good);
    const size_t behind = 64; /* guard bytes */
    clmoe_weights *weights = NULL;
    OK(clmoe_weights_create(device.context, &good, &weights, &error));
    clmoe_weights_destroy(weights);
    INVALID("experts.up", "experts.up", desc.experts.up.buffer.offset += behind + 1);
    INVALID("experts.down", "experts.down", desc.experts.down.buffer.offset += behind + 2);
    case_free(c);
}

static void gemm_refused(const clmoe_grouped_gemm_desc *desc, clmoe_status wanted, const char *argument,
                         const char *says) {
    clmoe_grouped_gemm *gemm = (clmoe_grouped_gemm *)1;
    test_fails(clmoe_grouped_gemm_create(device.context, desc, &gemm, &error), &error, wanted, argument);
    if (strcmp(error.argument, argument) != 0)
        fail_msg("the argument is [%s], expected [%s]", error.argument, argument);
    if (strstr(error.message, says) == NULL) fail_msg("\"%s\" does not say \"%s\"", error.message, says);
    assert_null(gemm);
}

static void test_stage(void **state) {
    (void)state;
    static const uint8_t blocks[64 * 64];
    static const float plain[8 * 48];
    clmoe_grouped_gemm_desc good, d;
    clmoe_grouped_gemm_desc_default(&good, sizeof good);
    good.num_groups = 1;
    good.in_features = 64;
    good.out_features = 8;
    good.weight_format = CLMOE_Q8_0;
    good.arithmetic = CLMOE_ARITHMETIC_INT8;
    good.weight = (clmoe_tensor){.format = CLMOE_Q8_0, .host = blocks};
#define REFUSED_STAGE(wanted, argument, says, ...) \
    do {                                           \
        d = good;                                  \
        __VA_ARGS__;                               \
        gemm_refused(&d, wanted, argument, says);  \
    } while (0)
    REFUSED_STAGE(CLMOE_INVALID_ARGUMENT, "weight_format", "weight_format is 12,", d.weight_format = 12);
    REFUSED_STAGE(CLMOE_INVALID_ARGUMENT, "weight_format", "weight_format is 99,", d.weight_format = 99);
    REFUSED_STAGE(CLMOE_INVALID_ARGUMENT, "weight_format", "weight_format is 33,", d.weight_format = CLMOE_Q3_K);
    REFUSED_STAGE(CLMOE_INVALID_ARGUMENT, "arithmetic", "arithmetic is 7,", d.arithmetic = 7);
    REFUSED_STAGE(CLMOE_INVALID_ARGUMENT, "weight", "weight has in_features 48, expected a multiple of 32",
                  d.in_features = 48);
    REFUSED_STAGE(CLMOE_UNSUPPORTED, "weight",
                  "weight has 48 in_features, expected a multiple of 32 to be kept in q8_0", d.in_features = 48;
                  d.weight = (clmoe_tensor){.format = CLMOE_F32, .host = plain});
    REFUSED_STAGE(CLMOE_UNSUPPORTED, "weight", "q8_0, which cannot be converted to q5_1", d.weight_format = CLMOE_Q5_1);
    REFUSED_STAGE(CLMOE_UNSUPPORTED, "arithmetic", "not f32", d.weight_format = CLMOE_F32);
    REFUSED_STAGE(CLMOE_INVALID_ARGUMENT, "weight", "layout", d.weight.layout = CLMOE_IN_OUT);
#undef REFUSED_STAGE
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formats), cmocka_unit_test(test_shapes),
                                       cmocka_unit_test(test_buffers), cmocka_unit_test(test_stage)};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
