/* clmoe-run on checkpoints in groups of integers that are broken: exit status 2, one line that names file and key or
 * tensor, and no output; and once on a sound one. */
#include <stdio.h>
#include <unistd.h>

#include "command.h"
#include "model_group_rows.h"
#include "one_device.h"

#define GPTQ(more) "{'quant_method': 'gptq', 'bits': 4, 'group_size': 128" more "}"
#define AWQ(more)  "{'quant_method': 'awq', 'bits': 4, 'group_size': 128" more "}"
#define ROWS(weights)                                                                                                 \
    "{'quant_method': 'compressed-tensors', 'format': 'pack-quantized', 'config_groups': {'g': {'weights': {" weights \
    "}}}}"
#define ROWS_4 "'num_bits': 4, 'strategy': 'group', 'group_size': 128, 'symmetric': false"
#define GATE   GROUP_LAYER "experts.3.gate_proj."
#define DOWN   GROUP_LAYER "experts.4.down_proj."
#define FIRST  GROUP_LAYER "experts.0.gate_proj."
#define SHARED GROUP_LAYER "shared_expert.up_proj."

enum harm { NOTHING, DROP, SHAPE, DTYPE, WORD };

typedef struct broken {
    uint32_t order;
    const char *config, *tensor; /* NULL: the configuration is what is wrong */
    enum harm harm;
    uint64_t at;       /* SHAPE: the dimension that is one less; WORD: which */
    const char *dtype; /* DTYPE */
    uint32_t word;     /* WORD */
    const char *says, *more;
} broken;

static const broken rows[] = {
    {CLMOE_CODES_GPTQ, GPTQ(""), GATE "qzeros", DROP, .says = "[4, 32] is missing"},
    {CLMOE_CODES_GPTQ, GPTQ(", 'sym': true"), DOWN "qzeros", DROP, .says = "[2, 64] is missing"},
    {CLMOE_CODES_GPTQ, GPTQ(""), GATE "scales", DROP, .says = "[4, 256] is missing"},
    {CLMOE_CODES_GPTQ, GPTQ(""), GATE "qweight", DROP, .says = "[64, 256] is missing"},
    {CLMOE_CODES_GPTQ, GPTQ(""), SHARED "qzeros", DROP, .says = "[4, 32] is missing"},
    {CLMOE_CODES_GPTQ, GPTQ(", 'desc_act': true"), GATE "g_idx", DROP, .says = "[512] is missing"},
    {CLMOE_CODES_GPTQ, GPTQ(""), GATE "g_idx", WORD, 130, .word = 0, .says = "is 0 at [130], expected 1"},
    {CLMOE_CODES_GPTQ, GPTQ(", 'desc_act': true"), DOWN "g_idx", WORD, 7, .word = 1, .says = "desc_act"},
    {CLMOE_CODES_GPTQ, GPTQ(""), DOWN "g_idx", WORD, 255, .word = 0xffffffffu, .says = "is -1 at [255], expected 1"},
    {CLMOE_CODES_GPTQ, GPTQ(""), GATE "g_idx", SHAPE, 0, .says = "is [511], expected [512]"},
    {CLMOE_CODES_GPTQ, GPTQ(""), GATE "g_idx", DTYPE, .dtype = "F32", .says = "holds F32, expected I32"},
    {CLMOE_CODES_GPTQ, GPTQ(""), GATE "qweight", SHAPE, 0, .says = "is [63, 256], expected [64, 256]"},
    {CLMOE_CODES_GPTQ, GPTQ(""), GATE "qweight", SHAPE, 1, .says = "is [64, 255], expected [64, 256]"},
    {CLMOE_CODES_GPTQ, GPTQ(""), GATE "qzeros", SHAPE, 1, .says = "is [4, 31], expected [4, 32]"},
    {CLMOE_CODES_GPTQ, GPTQ(""), GATE "scales", SHAPE, 0, .says = "is [3, 256], expected [4, 256]"},
    {CLMOE_CODES_GPTQ, GPTQ(""), GATE "qweight", DTYPE, .dtype = "F32", .says = "holds F32, expected I32"},
    {CLMOE_CODES_GPTQ, GPTQ(""), GATE "scales", DTYPE, .dtype = "I16", .says = "holds I16, expected F32, F16, BF16"},
    {CLMOE_CODES_GPTQ, GPTQ(""), GATE "scales", DTYPE, .dtype = "BF16", .says = "unlike that of expert 0"},
    {CLMOE_CODES_GPTQ, GPTQ(""), GATE "scales", WORD, 300, .word = 0x7c003c00u, .says = "not finite at [2, 89]"},
    {CLMOE_CODES_GPTQ, "{'quant_method': 'gptq', 'bits': 8, 'group_size': 128}", FIRST "qweight", NOTHING,
     .says = "is [64, 256], expected [128, 256]"},
    {CLMOE_CODES_GPTQ, "{'quant_method': 'gptq', 'bits': 4, 'group_size': 64}", FIRST "scales", NOTHING,
     .says = "is [4, 256], expected [8, 256]"},
    {CLMOE_CODES_GPTQ, "{'quant_method': 'awq', 'bits': 4, 'group_size': 128}", FIRST "qweight", NOTHING,
     .says = "is [64, 256], expected [512, 32]"},
    {CLMOE_CODES_AWQ, AWQ(""), DOWN "qweight", SHAPE, 1, .says = "is [256, 63], expected [256, 64]"},
    {CLMOE_CODES_AWQ, AWQ(""), DOWN "qzeros", DROP, .says = "[2, 64] is missing"},
    {CLMOE_CODES_ROWS, ROWS(ROWS_4), GATE "weight_zero_point", DROP, .says = "[32, 4] is missing"},
    {CLMOE_CODES_ROWS, ROWS(ROWS_4), GATE "weight_shape", DROP, .says = "[2] is missing"},
    {CLMOE_CODES_ROWS, ROWS(ROWS_4), GATE "weight_shape", WORD, 2, .word = 511,
     .says = "says [256, 511], expected [256, 512]"},
    {CLMOE_CODES_ROWS, ROWS(ROWS_4), GATE "weight_shape", DTYPE, .dtype = "F64", .says = "holds F64, expected I64"},
    {CLMOE_CODES_ROWS, ROWS(ROWS_4), GATE "weight_scale", SHAPE, 1, .says = "is [256, 3], expected [256, 4]"},
    {CLMOE_CODES_ROWS, ROWS(ROWS_4), GATE "weight_packed", SHAPE, 1, .says = "is [256, 63], expected [256, 64]"},
    {CLMOE_CODES_ROWS, ROWS(ROWS_4 ", 'actorder': 'group'"), FIRST "weight_g_idx", DROP, .says = "[512] is missing"},
    {CLMOE_CODES_ROWS, ROWS(ROWS_4), DOWN "weight_g_idx", WORD, 3, .word = 1, .says = "is 1 at [3], expected 0"},
    /* configurations */
    {CLMOE_CODES_GPTQ, "{'bits': 4, 'group_size': 128}", .says = "quant_method is missing"},
    {CLMOE_CODES_GPTQ, "{'quant_method': 'exl3', 'bits': 4}", .says = "quant_method", .more = "\"exl3\""},
    {CLMOE_CODES_GPTQ, "{'quant_method': 4}", .says = "quant_method is 4"},
    {CLMOE_CODES_GPTQ, "{'quant_method': 'gptq', 'group_size': 128}", .says = "quantization_config.bits is missing"},
    {CLMOE_CODES_GPTQ, "{'quant_method': 'gptq', 'bits': 3, 'group_size': 128}", .says = "bits is 3, expected 4 or 8"},
    {CLMOE_CODES_GPTQ, "{'quant_method': 'gptq', 'bits': '4', 'group_size': 128}", .says = "bits is \"4\""},
    {CLMOE_CODES_GPTQ, "{'quant_method': 'gptq', 'bits': 4}", .says = "group_size is missing"},
    {CLMOE_CODES_GPTQ, "{'quant_method': 'gptq', 'bits': 4, 'group_size': 0}", .says = "group_size is 0"},
    {CLMOE_CODES_GPTQ, "{'quant_method': 'gptq', 'bits': 4, 'group_size': -2}", .says = "group_size is -2"},
    {CLMOE_CODES_GPTQ, "{'quant_method': 'gptq', 'bits': 4, 'group_size': 48}",
     .says = "group_size is 48, expected a multiple of 32"},
    {CLMOE_CODES_GPTQ, GPTQ(", 'checkpoint_format': 'marlin'"),
     .says = "checkpoint_format is \"marlin\", expected \"gptq\" or \"gptq_v2\""},
    {CLMOE_CODES_GPTQ, GPTQ(", 'desc_act': 1"), .says = "desc_act is 1"},
    {CLMOE_CODES_GPTQ, GPTQ(", 'dynamic': 1"), .says = "dynamic is 1"},
    {CLMOE_CODES_AWQ, AWQ(", 'version': 'gemv'"), .says = "version is \"gemv\", expected \"gemm\""},
    {CLMOE_CODES_AWQ, AWQ(", 'zero_point': false"), .says = "zero_point is false, expected true"},
    {CLMOE_CODES_ROWS, "{'quant_method': 'compressed-tensors', 'format': 'int-quantized'}",
     .says = "format is \"int-quantized\""},
    {CLMOE_CODES_ROWS, ROWS("'num_bits': 4, 'strategy': 'tensor', 'symmetric': true"),
     .says = "strategy is \"tensor\""},
    {CLMOE_CODES_ROWS, ROWS("'num_bits': 4, 'type': 'float', 'strategy': 'group', 'group_size': 128"),
     .says = "type is \"float\""},
    {CLMOE_CODES_ROWS, ROWS("'num_bits': 2, 'strategy': 'group', 'group_size': 128"), .says = "num_bits is 2"},
};

static void harm(model_files *files, const broken *b) {
    clmoe__out_tensor *t = b->harm != NOTHING ? model_files_find(files, b->tensor) : NULL;
    if (b->harm == DROP) model_files_drop(files, b->tensor);
    if (b->harm == SHAPE) t->shape[b->at]--;
    if (b->harm == DTYPE) t->dtype = b->dtype;
    if (b->harm == WORD) memcpy((unsigned char *)(uintptr_t)t->data + 4 * b->at, &b->word, sizeof b->word);
}

/* x of three tokens. */
static void write_input(const model_files *files) {
    static float x[3 * GROUP_HIDDEN];
    clmoe_error error = {.struct_size = sizeof error};
    for (int i = 0; i < 3 * GROUP_HIDDEN; i++) x[i] = (float)(i % 17 - 8) / 8;
    const clmoe__out_tensor tensor = {"hidden_states", "F32", 2, {3, GROUP_HIDDEN}, x};
    OK(clmoe__safetensors_write(test_path(&files->folder, "x.safetensors"), &tensor, 1, &error));
}

static const command_result *run(const model_files *files, char output[300]) {
    char input[300];
    (void)snprintf(input, sizeof input, "%s", test_path(&files->folder, "x.safetensors"));
    (void)snprintf(output, 300, "%s", test_path(&files->folder, "y.safetensors"));
    return COMMAND(CLMOE_RUN_PROGRAM, files->folder.path, "--layer", "0", "--input", input, "--output", output,
                   "--quiet");
}

static void with_checkpoint(uint32_t order, const char *quantization, const broken *b) {
    const group_checkpoint checkpoint = {CLMOE_U4_G128, {order, 128, CLMOE_F16, order == CLMOE_CODES_GPTQ}, 1, 1, 0};
    char config[2048], output[300];
    const model_row row = group_row(&checkpoint, quantization, config);
    layer_case *c = model_case(&device, &row, CLMOE_F32, 4);
    model_files files = model_files_new(&row, c, CLMOE_F32);
    if (b != NULL && b->tensor != NULL) harm(&files, b);
    model_files_write(&files);
    write_input(&files);
    const command_result *r = run(&files, output);
    if (b == NULL) {
        if (r->status != 0) fail_msg("status %d: %s", r->status, r->err);
        assert_int_equal(access(output, F_OK), 0);
    } else {
        const char *file = b->tensor != NULL ? "model.safetensors: tensor" : "config.json: quantization_config.";
        const char *const parts[] = {file, b->tensor != NULL ? b->tensor : "", b->says, b->more != NULL ? b->more : ""};
        if (r->status != 2) fail_msg("status %d, expected 2 and %s: %s", r->status, b->says, r->err);
        if (strchr(r->err, '\n') != r->err + strlen(r->err) - 1) fail_msg("not one line: %s", r->err);
        for (int i = 0; i < 4; i++)
            if (strstr(r->err, parts[i]) == NULL) fail_msg("lacks \"%s\": %s", parts[i], r->err);
        assert_int_equal(access(output, F_OK), -1);
    }
    case_free(c);
    model_files_free(&files);
}

static void test_sound(void **state) {
    (void)state;
    with_checkpoint(CLMOE_CODES_GPTQ, GPTQ(", 'desc_act': true"), NULL); /* whose groups are neighbours all the same */
    with_checkpoint(CLMOE_CODES_ROWS, ROWS(ROWS_4 ", 'actorder': 'group'"), NULL);
}

static void test_broken(void **state) {
    const broken *b = *state;
    with_checkpoint(b->order, b->config, b);
}

int main(void) {
    enum { ROW_COUNT = sizeof rows / sizeof *rows };
    static struct CMUnitTest tests[ROW_COUNT + 1] = {cmocka_unit_test(test_sound)};
    for (size_t i = 0; i < ROW_COUNT; i++)
        tests[1 + i] = (struct CMUnitTest){rows[i].says, test_broken, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
