/* Checkpoints with something wrong in a layer: each error has its status and names the file, the tensor or key, what
 * was found and what was expected; nothing is made. */
#include <stdio.h>

#include "model_files.h"
#include "one_device.h"

static const model_row *row_named(const char *name) {
    for (unsigned i = 0; i < model_row_count; i++)
        if (strcmp(model_rows[i].name, name) == 0) return &model_rows[i];
    fail_msg("no row %s", name);
    return NULL;
}

/* What is done to a checkpoint. */
enum harm { DROP, SHAPE, DTYPE, NUMBER, NOTHING };

typedef struct wrong_tensor {
    const char *row;
    uint32_t source;
    const char *tensor;
    enum harm harm;
    int at;              /* SHAPE: the dimension that shrinks; NUMBER: the element */
    const char *value;   /* DTYPE: the name; NUMBER: "nan", "inf", "255" */
    const char *message; /* a part of it; NULL for `tensor` alone */
} wrong_tensor;

#define L2 "model.layers.2."

static const wrong_tensor wrongs[] = {
    {"mixtral", CLMOE_F32, L2 "block_sparse_moe.gate.weight", DROP, .message = "the router, is missing"},
    {"mixtral", CLMOE_F32, L2 "block_sparse_moe.experts.0.w1.weight", DROP, .message = "[24, 40] is missing"},
    {"mixtral", CLMOE_F32, L2 "block_sparse_moe.experts.0.w3.weight", DROP, .message = "is missing"},
    {"mixtral", CLMOE_F32, L2 "block_sparse_moe.experts.7.w2.weight", DROP, .message = "[40, 24] is missing"},
    {"mixtral", CLMOE_F32, L2 "block_sparse_moe.experts.5.w3.weight", SHAPE, 0,
     .message = "is [23, 40], expected [24, 40]"},
    {"mixtral", CLMOE_F32, L2 "block_sparse_moe.experts.5.w2.weight", SHAPE, 1,
     .message = "is [40, 23], expected [40, 24]"},
    {"mixtral", CLMOE_F32, L2 "block_sparse_moe.gate.weight", SHAPE, 0, .message = "is [7, 40], expected [8, 40]"},
    {"mixtral", CLMOE_F32, L2 "block_sparse_moe.gate.weight", DTYPE, .value = "I32",
     .message = "holds I32, expected F32, F16, BF16"},
    {"mixtral", CLMOE_F32, L2 "block_sparse_moe.experts.2.w1.weight", DTYPE, .value = "U32", .message = "holds U32"},
    {"mixtral", CLMOE_BF16, L2 "block_sparse_moe.experts.2.w1.weight", DTYPE, .value = "F16",
     .message = "holds F16, unlike"},
    {"mixtral", CLMOE_F32, L2 "block_sparse_moe.gate.weight", NUMBER, 2 * 40 + 5, "nan", "not finite at [2, 5]"},
    {"mixtral", CLMOE_BF16, L2 "block_sparse_moe.gate.weight", NUMBER, 7 * 40 + 39, "inf", "not finite at [7, 39]"},
    {"mixtral", CLMOE_F16, L2 "block_sparse_moe.gate.weight", NUMBER, 0, "inf", "not finite at [0, 0]"},
    {"deepseek_v3", CLMOE_F32, L2 "mlp.gate.e_score_correction_bias", DROP, .message = "[8] is missing"},
    {"deepseek_v3", CLMOE_F32, L2 "mlp.gate.e_score_correction_bias", SHAPE, 0, .message = "is [7], expected [8]"},
    {"deepseek_v3", CLMOE_F32, L2 "mlp.gate.e_score_correction_bias", NUMBER, 3, "nan", "not finite at [3]"},
    {"deepseek_v3", CLMOE_F32, L2 "mlp.shared_experts.up_proj.weight", DROP, .message = "[48, 40] is missing"},
    {"deepseek_v3", CLMOE_F32, L2 "mlp.shared_experts.down_proj.weight", SHAPE, 0,
     .message = "is [39, 48], expected [40, 48]"},
    {"ernie4_5_moe", CLMOE_F32, L2 "mlp.moe_statics.e_score_correction_bias", NUMBER, 6, "inf", "not finite at [0, 6]"},
    {"qwen2_moe", CLMOE_F32, "model.layers.1.mlp.shared_expert_gate.weight", DROP, .message = "[40] is missing"},
    {"qwen2_moe", CLMOE_F32, "model.layers.1.mlp.shared_expert_gate.weight", NUMBER, 11, "nan",
     "not finite at [0, 11]"},
    {"jetmoe", CLMOE_F32, L2 "mlp.bias", DROP, .message = "[40] is missing"},
    {"jetmoe", CLMOE_F32, L2 "mlp.bias", NUMBER, 9, "nan", "not finite at [9]"},
    {"jetmoe", CLMOE_F32, L2 "mlp.input_linear.weight", SHAPE, 1, .message = "is [8, 47, 40], expected [8, 48, 40]"},
    {"gpt_oss", CLMOE_F32, L2 "mlp.router.bias", NUMBER, 1, "nan", "not finite at [1]"},
    {"gpt_oss", CLMOE_F32, L2 "mlp.experts.gate_up_proj_bias", NUMBER, 48 + 2, "nan", "not finite at [1, 2]"},
    {"gpt_oss", CLMOE_F32, L2 "mlp.experts.down_proj_bias", DROP, .message = "[8, 40] is missing"},
    {"gpt_oss", CLMOE_F32, L2 "mlp.experts.gate_up_proj", SHAPE, 2, .message = "is [8, 40, 47], expected [8, 40, 48]"},
    {"dbrx", CLMOE_F32, "transformer.blocks.2.ffn.experts.mlp.w2", SHAPE, 0,
     .message = "is [191, 40], expected [192, 40]"},
    {"nemotron_h latent", CLMOE_F32, "backbone.layers.4.mixer.fc1_latent_proj.weight", DROP,
     .message = "[16, 40] is missing"},
    {"nemotron_h latent", CLMOE_F32, "backbone.layers.4.mixer.experts.3.up_proj.weight", SHAPE, 1,
     .message = "is [24, 15], expected [24, 16]"},
    {"gpt_oss mxfp4", CLMOE_F32, "model.layers.0.mlp.experts.down_proj_scales", DROP,
     .message = "[8, 64, 1] is missing"},
    {"gpt_oss mxfp4", CLMOE_F32, "model.layers.0.mlp.experts.gate_up_proj_blocks", SHAPE, 2,
     .message = "is [8, 64, 1, 16], expected [8, 64, 2, 16]"},
    {"gpt_oss mxfp4", CLMOE_F32, "model.layers.0.mlp.experts.gate_up_proj_scales", DTYPE, .value = "I8",
     .message = "holds I8, expected U8"},
    {"gpt_oss mxfp4", CLMOE_F32, "model.layers.0.mlp.experts.gate_up_proj_scales", NUMBER, 3 * 128 + 5 * 2 + 1, "255",
     "not finite at [3, 5, 1]"},
    {"deepseek_v3 fp8", CLMOE_F8_E4M3, "model.layers.0.mlp.experts.4.up_proj.weight_scale_inv", DROP,
     .message = "[2, 2] is missing"},
    {"deepseek_v3 fp8", CLMOE_F8_E4M3, "model.layers.0.mlp.experts.4.up_proj.weight_scale_inv", SHAPE, 1,
     .message = "is [2, 1], expected [2, 2]"},
    {"deepseek_v3 fp8", CLMOE_F8_E4M3, "model.layers.0.mlp.experts.4.up_proj.weight_scale_inv", NUMBER, 3, "inf",
     "not finite at [1, 1]"},
    {"deepseek_v3 fp8", CLMOE_F8_E4M3, "model.layers.0.mlp.shared_experts.down_proj.weight_scale_inv", DROP,
     .message = "[3, 2] is missing"},
    {"deepseek_v3 fp8", CLMOE_F8_E4M3, "model.layers.0.mlp.gate.weight", NOTHING, .message = NULL},
};

static void put_number(clmoe__out_tensor *t, size_t at, const char *value, uint32_t source) {
    unsigned char *data = (unsigned char *)(uintptr_t)t->data;
    const int nan = strcmp(value, "nan") == 0;
    const uint32_t wide = nan ? 0x7fc00000u : 0xff800000u;
    const uint16_t half = source == CLMOE_F16 ? (nan ? 0x7e00 : 0xfc00) : (nan ? 0x7fc0 : 0xff80);
    if (strcmp(value, "255") == 0)
        data[at] = 255;
    else if (strcmp(t->dtype, "F32") == 0)
        memcpy(data + 4 * at, &wide, 4);
    else
        memcpy(data + 2 * at, &half, 2);
}

static void harm(model_files *files, const wrong_tensor *w) {
    clmoe__out_tensor *t = model_files_find(files, w->tensor);
    if (w->harm == DROP) model_files_drop(files, w->tensor);
    if (w->harm == SHAPE) t->shape[w->at]--;
    if (w->harm == DTYPE) t->dtype = w->value;
    if (w->harm == NUMBER) put_number(t, (size_t)w->at, w->value, w->source);
}

static void test_wrong(void **state) {
    const wrong_tensor *w = *state;
    clmoe_error error = {.struct_size = sizeof error};
    const model_row *row = row_named(w->row);
    layer_case *c = model_case(&device, row, w->source, 5);
    model_files files = model_files_new(row, c, w->source);
    clmoe_model *model = NULL;
    clmoe_weights *weights = (clmoe_weights *)(uintptr_t)1;
    clmoe_model_layer layer = {.struct_size = sizeof layer};
    harm(&files, w);
    model_files_write(&files);
    OK(clmoe_model_open(files.folder.path, &model, &error));
    /* numbers are not read before weights are made */
    const clmoe_status described = clmoe_model_get_layer(model, model_row_layer(row), &layer, &error);
    assert_int_equal(described, w->harm == NUMBER || w->harm == NOTHING ? CLMOE_OK : CLMOE_INVALID_FILE);
    if (w->harm != NOTHING) {
        const clmoe_status status =
            clmoe_model_weights_create(model, model_row_layer(row), device.context, NULL, &weights, &error);
        assert_null(weights);
        test_refused(status, &error, "model.safetensors", w->tensor, w->message);
        if (strncmp(error.argument, w->tensor, sizeof error.argument - 1) != 0)
            fail_msg("argument is \"%s\", expected %s", error.argument, w->tensor);
    }
    clmoe_model_destroy(model);
    case_free(c);
    model_files_free(&files);
}

/* ------------------------------------------------------------------------------------------ configurations */

/* The row with another configuration, and the checkpoint of the right one. */
static void with_config(const char *name, uint32_t source, const char *config, clmoe_status wanted,
                        const char *argument, const char *message) {
    clmoe_error error = {.struct_size = sizeof error};
    model_row row = *row_named(name);
    layer_case *c = model_case(&device, &row, source, 6);
    model_files files = model_files_new(&row, c, source);
    clmoe_model *model = NULL;
    clmoe_model_layer layer = {.struct_size = sizeof layer};
    row.config = config;
    model_files_write(&files);
    clmoe_status status = clmoe_model_open(files.folder.path, &model, &error);
    if (status == CLMOE_OK) status = clmoe_model_get_layer(model, model_row_layer(&row), &layer, &error);
    if (wanted == CLMOE_OK) {
        test_ok(status, &error);
    } else {
        test_fails(status, &error, wanted, argument);
        test_fails(status, &error, wanted, message);
    }
    clmoe_model_destroy(model);
    case_free(c);
    model_files_free(&files);
}

#define MIXTRAL(more)                                                                               \
    "{'model_type': 'mixtral', 'hidden_size': 40, 'num_hidden_layers': 3, 'num_local_experts': 8, " \
    "'num_experts_per_tok': 3,"                                                                     \
    "'intermediate_size': " more "}"
#define FP8(more)                                                                                                   \
    "{'model_type': 'deepseek_v3', 'hidden_size': 40, 'num_hidden_layers': 1, 'n_routed_experts': 8, 'n_group': 4," \
    "'num_experts_per_tok': 3, 'moe_intermediate_size': 24, 'n_shared_experts': 2, 'first_k_dense_replace': 0,"     \
    "'quantization_config': {'weight_block_size': " more "}}"

static void test_configs(void **state) {
    (void)state;
    with_config("mixtral", CLMOE_F32, MIXTRAL("25"), CLMOE_INVALID_FILE, "w1.weight", "is [24, 40], expected [25, 40]");
    with_config("mixtral", CLMOE_F32, MIXTRAL("24, 'head_dim': [[1]]"), CLMOE_OK, "", "");
    with_config("deepseek_v3 fp8", CLMOE_F8_E4M3, FP8("[16, 16]"), CLMOE_INVALID_FILE, "scale_inv", "expected [2, 3]");
    with_config("deepseek_v3 fp8", CLMOE_F8_E4M3, FP8("null"), CLMOE_INVALID_FILE, "scale_inv", "expected [1, 1]");
    with_config("deepseek_v3 fp8", CLMOE_F8_E4M3, FP8("[16]"), CLMOE_INVALID_FILE, "weight_block_size", "a list of 1");
    with_config("deepseek_v3 fp8", CLMOE_F8_E4M3, FP8("[0, 16]"), CLMOE_INVALID_FILE, "weight_block_size", "is 0");
    with_config("deepseek_v3 fp8", CLMOE_F8_E4M3, FP8("[16, null]"), CLMOE_INVALID_FILE, "weight_block_size",
                "not null");
    with_config("deepseek_v3 fp8", CLMOE_F8_E4M3, FP8("'x'"), CLMOE_INVALID_FILE, "weight_block_size", "\"x\"");
    with_config("mixtral", CLMOE_F32,
                "{'model_type': 'gpt_oss', 'hidden_size': 48, 'num_hidden_layers': 3, 'num_local_experts': 8,"
                "'num_experts_per_tok': 3, 'intermediate_size': 24}",
                CLMOE_INVALID_FILE, "mlp.router.weight", "missing");
    with_config("mixtral", CLMOE_F32, "{'model_type': 'bert'}", CLMOE_UNSUPPORTED, "model_type", "\"bert\"");
}

/* Experts whose quantization has other tensors. */
static void test_quantized(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    model_row row = *row_named("mixtral");
    layer_case *c = model_case(&device, &row, CLMOE_F32, 7);
    row.names.gate = "block_sparse_moe.experts.*.w1.q_weight";
    row.names.up = "block_sparse_moe.experts.*.w3.q_weight";
    row.config = MIXTRAL("24, 'quantization_config': {'quant_method': 'exl2'}");
    model_files files = model_files_new(&row, c, CLMOE_F32);
    clmoe_model *model = NULL;
    clmoe_model_layer layer = {.struct_size = sizeof layer};
    model_files_write(&files);
    OK(clmoe_model_open(files.folder.path, &model, &error));
    FAILS(clmoe_model_get_layer(model, 0, &layer, &error), CLMOE_INVALID_FILE, "router");
    FAILS(clmoe_model_get_layer(model, 2, &layer, &error), CLMOE_UNSUPPORTED, "quantization_config.quant_method");
    FAILS(clmoe_model_get_layer(model, 2, &layer, &error), CLMOE_UNSUPPORTED, "\"exl2\"");
    clmoe_model_destroy(model);
    case_free(c);
    model_files_free(&files);
}

/* fp8 for a layout whose scales nobody describes. */
static void test_fp8_turned(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    const model_row *row = row_named("llama4_text");
    layer_case *c = model_case(&device, row, CLMOE_F32, 8);
    model_files files = model_files_new(row, c, CLMOE_F32);
    clmoe_model *model = NULL;
    clmoe_model_layer layer = {.struct_size = sizeof layer};
    model_files_find(&files, "language_model.model.layers.1.feed_forward.experts.down_proj")->dtype = "F8_E4M3";
    model_files_write(&files);
    OK(clmoe_model_open(files.folder.path, &model, &error));
    FAILS(clmoe_model_get_layer(model, 1, &layer, &error), CLMOE_INVALID_FILE,
          "holds F8_E4M3, expected F32, F16, BF16");
    clmoe_model_destroy(model);
    case_free(c);
    model_files_free(&files);
}

/* ------------------------------------------------------------------------------------------------ arguments */

static void test_arguments(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    model_row row = *row_named("deepseek_v3");
    layer_case *c = model_case(&device, &row, CLMOE_F32, 9);
    model_files files = model_files_new(&row, c, CLMOE_F32);
    clmoe_model *model = (clmoe_model *)(uintptr_t)1;
    clmoe_model_layer layer = {.struct_size = sizeof layer};
    clmoe_model_info info = {.struct_size = sizeof info};
    clmoe_weights *weights = NULL;
    clmoe_layer *made = NULL;
    clmoe_model_weights_desc desc, good;
    row.config =
        "{'model_type': 'deepseek_v3', 'hidden_size': 40, 'num_hidden_layers': 27, 'n_routed_experts': 8,"
        "'num_experts_per_tok': 3, 'moe_intermediate_size': 24, 'n_shared_experts': 2, 'first_k_dense_replace': 1,"
        "'n_group': 4, 'topk_group': 2}";
    model_files_write(&files);
    FAILS(clmoe_model_open(NULL, &model, &error), CLMOE_INVALID_ARGUMENT, "path");
    assert_null(model);
    FAILS(clmoe_model_open("", &model, &error), CLMOE_INVALID_ARGUMENT, "path");
    FAILS(clmoe_model_open(files.folder.path, NULL, &error), CLMOE_INVALID_ARGUMENT, "model");
    FAILS(clmoe_model_open(test_path(&files.folder, "nothing"), &model, &error), CLMOE_INVALID_FILE, "config.json");
    FAILS(clmoe_model_open(test_path(&files.folder, "nothing.safetensors"), &model, &error), CLMOE_INVALID_FILE,
          "nothing.safetensors");
    assert_null(model);
    OK(clmoe_model_open(files.folder.path, &model, &error));
    FAILS(clmoe_model_get_info(NULL, &info, &error), CLMOE_INVALID_ARGUMENT, "model");
    FAILS(clmoe_model_get_info(model, NULL, &error), CLMOE_INVALID_ARGUMENT, "info");
    FAILS(clmoe_model_get_layer(NULL, 2, &layer, &error), CLMOE_INVALID_ARGUMENT, "model");
    FAILS(clmoe_model_get_layer(model, 2, NULL, &error), CLMOE_INVALID_ARGUMENT, "info");
    FAILS(clmoe_model_get_layer(model, 0, &layer, &error), CLMOE_INVALID_ARGUMENT, "1..26");
    FAILS(clmoe_model_get_layer(model, 27, &layer, &error), CLMOE_INVALID_ARGUMENT, "1..26");
    FAILS(clmoe_model_get_layer(model, UINT32_MAX, &layer, &error), CLMOE_INVALID_ARGUMENT, "1..26");
    FAILS(clmoe_model_weights_create(NULL, 2, device.context, NULL, &weights, &error), CLMOE_INVALID_ARGUMENT, "model");
    FAILS(clmoe_model_weights_create(model, 2, NULL, NULL, &weights, &error), CLMOE_INVALID_ARGUMENT, "context");
    FAILS(clmoe_model_weights_create(model, 0, device.context, NULL, &weights, &error), CLMOE_INVALID_ARGUMENT,
          "1..26");
    FAILS(clmoe_model_weights_create(model, 2, device.context, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "weights");
    FAILS(clmoe_model_layer_create(model, 2, device.context, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "made");
    clmoe_model_weights_desc_default(&good, sizeof good);
    REFUSED(clmoe_model_weights_create(model, 2, device.context, &desc, &weights, &error), desc, good, "first_expert",
            desc.first_expert = 8);
    REFUSED(clmoe_model_weights_create(model, 2, device.context, &desc, &weights, &error), desc, good, "local_experts",
            desc.first_expert = 7;
            desc.local_experts = 2);
    REFUSED(clmoe_model_weights_create(model, 2, device.context, &desc, &weights, &error), desc, good, "format",
            desc.format = CLMOE_F8_E4M3);
    REFUSED(clmoe_model_layer_create(model, 2, device.context, &desc, &made, &error), desc, good, "arithmetic",
            desc.arithmetic = 4);
    assert_null(weights);
    assert_null(made);
    OK(clmoe_model_weights_create(model, 2, device.context, NULL, &weights, &error));
    clmoe_weights_destroy(weights);
    clmoe_model_destroy(model);
    clmoe_model_destroy(NULL);
    case_free(c);
    model_files_free(&files);
}

int main(void) {
    enum { WRONGS = sizeof wrongs / sizeof *wrongs };
    static struct CMUnitTest tests[WRONGS + 4] = {cmocka_unit_test(test_configs), cmocka_unit_test(test_quantized),
                                                  cmocka_unit_test(test_fp8_turned), cmocka_unit_test(test_arguments)};
    for (size_t i = 0; i < WRONGS; i++)
        tests[4 + i] = (struct CMUnitTest){wrongs[i].tensor, test_wrong, NULL, NULL, (void *)(uintptr_t)&wrongs[i]};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
