/* Checkpoints in groups of integers, read through the model's functions and run whole: kept as they are, in every
 * arithmetic, against the double-precision oracle on the values that the definition of each way of storing gives. */
#include <math.h>
#include <stdio.h>

#include "layer_routes.h"
#include "model_group_rows.h"
#include "one_device.h"
#include "opencl/context.h"

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof *(array)))
#define TOKENS       33

static clmoe_error error = {.struct_size = sizeof error};

typedef struct kind {
    const char *name, *config, *format; /* what the layer says of its experts */
    group_checkpoint files;
    uint32_t kept; /* of experts.up, as the list says without reading */
} kind;

#define GPTQ(more) "{'quant_method': 'gptq', 'desc_act': false, " more "}"
#define AWQ(more)  "{'quant_method': 'awq', " more "}"
#define COMPRESSED(weights)                                                                                        \
    "{'quant_method': 'compressed-tensors', 'format': 'pack-quantized', 'config_groups': {'group_0': {'weights': " \
    "{" weights "}}}}"

static const kind kinds[] = {
    {"gptq, zero points",
     GPTQ("'bits': 4, 'group_size': 128, 'sym': false"),
     "u4_g128",
     {CLMOE_U4_G128, {CLMOE_CODES_GPTQ, 128, CLMOE_F16, 1}, 1, 1, 0},
     CLMOE_U4_G128},
    {"gptq, symmetric",
     GPTQ("'bits': 4, 'group_size': 128, 'sym': true"),
     "s4_g128",
     {CLMOE_S4_G128, {CLMOE_CODES_GPTQ, 128, CLMOE_F16, 1}, 0, 1, 0},
     CLMOE_S4_G128},
    {"gptq, symmetric but not said so",
     GPTQ("'bits': 4, 'group_size': 64, 'sym': false, 'checkpoint_format': 'gptq_v2'"),
     "s4_g64",
     {CLMOE_S4_G64, {CLMOE_CODES_GPTQ, 64, CLMOE_BF16, 0}, 1, 0, 0},
     CLMOE_U4_G64},
    {"gptq v2, 8 bits, rows",
     GPTQ("'bits': 8, 'group_size': -1, 'checkpoint_format': 'gptq_v2'"),
     "u8_g256",
     {CLMOE_U8_G256, {CLMOE_CODES_GPTQ, 0, CLMOE_F16, 0}, 1, 1, 0},
     CLMOE_U8_G256},
    {"gptq, 8 bits",
     GPTQ("'bits': 8, 'group_size': 32, 'sym': true, 'checkpoint_format': 'gptq'"),
     "s8_g32",
     {CLMOE_S8_G32, {CLMOE_CODES_GPTQ, 32, CLMOE_F16, 1}, 0, 0, 0},
     CLMOE_S8_G32},
    {"gptq, each module its own",
     GPTQ("'bits': 8, 'group_size': 64, 'dynamic': {'+:.*experts.*': {'bits': 4}}"),
     "u4_g32",
     {CLMOE_U4_G32, {CLMOE_CODES_GPTQ, 32, CLMOE_F16, 1}, 0, 0, 0},
     CLMOE_U4_G32},
    {"gptq, down left out",
     GPTQ("'bits': 4, 'group_size': 32, 'dynamic': {'-:.*down_proj': {}}"),
     "u4_g32",
     {CLMOE_U4_G32, {CLMOE_CODES_GPTQ, 32, CLMOE_F16, 1}, 0, 0, 1},
     CLMOE_U4_G32},
    {"awq",
     AWQ("'bits': 4, 'group_size': 128, 'zero_point': true, 'version': 'gemm', 'modules_to_not_convert': ['gate', "
         "'shared_expert']"),
     "u4_g128",
     {CLMOE_U4_G128, {CLMOE_CODES_AWQ, 128, CLMOE_F16, 0}, 0, 0, 0},
     CLMOE_U4_G128},
    {"awq by its older names",
     AWQ("'w_bit': 4, 'q_group_size': 64, 'version': 'GEMM'"),
     "u4_g64",
     {CLMOE_U4_G64, {CLMOE_CODES_AWQ, 64, CLMOE_F16, 0}, 1, 0, 0},
     CLMOE_U4_G64},
    {"awq, 8 bits",
     AWQ("'bits': 8, 'group_size': 256"),
     "u8_g256",
     {CLMOE_U8_G256, {CLMOE_CODES_AWQ, 256, CLMOE_BF16, 0}, 1, 0, 0},
     CLMOE_U8_G256},
    {"compressed-tensors",
     COMPRESSED("'num_bits': 4, 'type': 'int', 'strategy': 'group', 'group_size': 128, 'symmetric': true"),
     "s4_g128",
     {CLMOE_S4_G128, {CLMOE_CODES_ROWS, 128, CLMOE_BF16, 0}, 1, 0, 0},
     CLMOE_S4_G128},
    {"compressed-tensors, zero points",
     COMPRESSED("'num_bits': 4, 'strategy': 'group', 'group_size': 32, 'symmetric': false, 'actorder': 'weight'"),
     "u4_g32",
     {CLMOE_U4_G32, {CLMOE_CODES_ROWS, 32, CLMOE_F32, 0}, 1, 1, 0},
     CLMOE_U4_G32},
    {"compressed-tensors, 8 bits, rows",
     COMPRESSED("'num_bits': 8, 'strategy': 'channel', 'symmetric': true, 'group_size': null"),
     "s8_g256",
     {CLMOE_S8_G256, {CLMOE_CODES_ROWS, 0, CLMOE_BF16, 0}, 0, 0, 0},
     CLMOE_S8_G256},
};

static void to_bf16(double *values, size_t count) {
    uint16_t bits;
    for (size_t i = 0; i < count; i++) {
        test_store(&bits, CLMOE_BF16, 0, values[i]);
        values[i] = test_load(&bits, CLMOE_BF16, 0);
    }
}

/* The oracle rounds as the arithmetic does: what is in groups, and only that. */
static void round_ffn(oracle_ffn *ffn, uint32_t arithmetic, int up, int down) {
    static const int rounds[] = {ORACLE_EXACT, ORACLE_EXACT, ORACLE_BF16, ORACLE_INT8};
    const size_t count = (size_t)ffn->experts * ffn->intermediate * ffn->hidden;
    if (up) ffn->up_rounds = rounds[arithmetic];
    if (down) ffn->down_rounds = rounds[arithmetic];
    if (arithmetic != CLMOE_ARITHMETIC_BF16) return;
    if (up) to_bf16(ffn->gate, count);
    if (up) to_bf16(ffn->up, count);
    if (down) to_bf16(ffn->down, count);
}

static void round_oracle(layer_case *c, const kind *k, uint32_t arithmetic) {
    round_ffn(&c->oracle.experts, arithmetic, 1, !k->files.plain_down);
    if (k->files.shared) round_ffn(&c->oracle.shared, arithmetic, 1, !k->files.plain_down);
}

static void check_list(const clmoe_model *model, const kind *k) {
    clmoe_model_layer info = {.struct_size = sizeof info};
    OK(clmoe_model_get_layer(model, 0, &info, &error));
    assert_int_equal(info.format, k->kept);
}

static void check_kept(const clmoe_layer *layer, const kind *k) {
    char text[4096], wanted[32];
    OK(clmoe_layer_describe(layer, text, sizeof text, NULL, &error));
    (void)snprintf(wanted, sizeof wanted, " %s weights", k->format);
    if (strstr(text, wanted) == NULL) fail_msg("%s: not kept in %s: %s", k->name, k->format, text);
}

/* Where one matrix is plain, there is no arithmetic but f32 for all. */
static void run(const kind *k, uint32_t arithmetic, uint64_t stream) {
    char config[2048];
    const model_row row = group_row(&k->files, k->config, config);
    clmoe_model *model = NULL;
    clmoe_model_weights_desc desc;
    if (k->files.plain_down) arithmetic = CLMOE_ARITHMETIC_F32;
    layer_case *c = model_case(&device, &row, CLMOE_F32, stream);
    model_files files = model_files_new(&row, c, CLMOE_F32);
    test_random random = test_random_new(stream);
    model_files_write(&files);
    OK(clmoe_model_open(files.folder.path, &model, &error));
    check_list(model, k);
    clmoe_model_weights_desc_default(&desc, sizeof desc);
    desc.arithmetic = arithmetic;
    OK(clmoe_model_layer_create(model, 0, device.context, &desc, &c->layer, &error));
    clmoe_model_destroy(model);
    check_kept(c->layer, k);
    void *x = case_input(c, TOKENS, &random);
    case_result result = case_forward(c, NULL, x, TOKENS);
    round_oracle(c, k, arithmetic);
    c->plan[CASE_UP].arithmetic = arithmetic;
    case_check(c, x, TOKENS, &result);
    case_check_routes(c, x, TOKENS, &result);
    round_ffn(&c->oracle.experts, CLMOE_ARITHMETIC_F32, 1, 1);
    const double nmse = case_nmse(c, x, TOKENS, &result);
    print_message("%s, arithmetic %u: NMSE %.2e\n", k->name, arithmetic, nmse);
    assert_true(nmse <= 4e-4);
    case_result_free(&result);
    free(x);
    case_free(c);
    model_files_free(&files);
}

/* Half of them a run, for their kernels are compiled; arithmetics take turns. */
static void test_kinds(void **state) {
    (void)state;
    test_random random = test_random_new(3201);
    const uint32_t turn = test_random_below(&random, 6);
    for (uint32_t i = turn % 2; i < COUNT(kinds); i += 2) run(&kinds[i], 1 + (i + turn) % 3, 3210 + i);
}

/* ------------------------------------------------------------------------------------------------- memory */

/* 128 values and their fields are no more than 3% larger than in the file, and there is one copy. */
static void test_bytes(void **state) {
    (void)state;
    for (uint32_t i = 0; i < COUNT(kinds); i++) {
        const kind *k = &kinds[i];
        char config[2048];
        const model_row row = group_row(&k->files, k->config, config);
        if (k->files.layout.group_size != 128 || !k->files.shared) continue;
        clmoe_model *model = NULL;
        clmoe_weights *weights = NULL;
        clmoe_model_layer info = {.struct_size = sizeof info};
        layer_case *c = model_case(&device, &row, CLMOE_F32, 3);
        model_files files = model_files_new(&row, c, CLMOE_F32);
        model_files_write(&files);
        OK(clmoe_model_open(files.folder.path, &model, &error));
        OK(clmoe_model_get_layer(model, 0, &info, &error));
        OK(clmoe_model_weights_create(model, 0, device.context, NULL, &weights, &error));
        print_message("%s: %llu bytes of %llu\n", k->name, (unsigned long long)clmoe_weights_bytes(weights),
                      (unsigned long long)info.bytes);
        const uint64_t router =
            (uint64_t)2 * device.context->device.vector_width * GROUP_HIDDEN * 4; /* a panel, of 5 columns */
        assert_true((double)(clmoe_weights_bytes(weights) - router) <= 1.03 * (double)info.bytes);
        clmoe_weights_destroy(weights);
        clmoe_model_destroy(model);
        case_free(c);
        model_files_free(&files);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kinds), cmocka_unit_test(test_bytes)};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
