/* Every architecture of GGUF files: its metadata must give the sizes, layers and rule that gguf_rows.c says; a random
 * layer written under its names in F32, F16 or BF16 and run must choose and give what the double-precision oracle
 * does. */
#include <math.h>
#include <stdio.h>

#include "gguf_file.h"
#include "gguf_rows.h"
#include "layer_routes.h"
#include "model_files.h"
#include "one_device.h"

#define TOKENS 7

static json_t *metadata_of(const model_row *row) {
    clmoe_error error = {0};
    json_t *root = NULL;
    char *text = model_row_config(row);
    OK(clmoe__json_parse(text, strlen(text), "row", &root, &error));
    free(text);
    return root;
}

/* ------------------------------------------------------------------------------------------------ metadata */

/* Every layer that has experts, by the tensors that tell what it is: its router, and its shared experts. */
static void add_routers(gguf_file *f, const model_row *row) {
    static const uint64_t router[2] = {40, 8};
    static const float zeros[320];
    for (const char *at = row->moe; *at != '\0';) {
        char name[64], *end;
        (void)snprintf(name, sizeof name, "blk.%lu.ffn_gate_inp.weight", strtoul(at, &end, 10));
        gguf_tensor(f, name, GGUF_TYPE_F32, 2, router, zeros, sizeof zeros);
        if (row->names.shared_up != NULL) {
            (void)snprintf(name, sizeof name, "blk.%lu.%s", strtoul(at, &end, 10), row->names.shared_up);
            gguf_tensor(f, name, GGUF_TYPE_F32, 2, router, zeros, sizeof zeros);
        }
        at = end;
    }
}

static void layers_text(const clmoe_model_info *info, char *text, size_t room) {
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < info->num_moe_layers && used < room; i++)
        used += (size_t)snprintf(text + used, room - used, "%s%u", i != 0 ? " " : "", info->moe_layers[i]);
}

static gguf_file row_file(const model_row *row) {
    json_t *root = metadata_of(row);
    gguf_file f = gguf_new();
    const char *architecture = json_object_iter_key(json_object_iter(root));
    gguf_text(&f, "general.architecture", architecture);
    gguf_tree(&f, architecture, json_object_get(root, architecture));
    json_decref(root);
    return f;
}

static void check_metadata(const model_row *row) {
    clmoe_error error = {.struct_size = sizeof error};
    test_folder folder = test_folder_new();
    gguf_file f = row_file(row);
    clmoe_model *model = NULL;
    clmoe_model_info info = {.struct_size = sizeof info};
    char layers[64];
    add_routers(&f, row);
    OK(clmoe_model_open(gguf_write(&f, &folder, "m.gguf"), &model, &error));
    OK(clmoe_model_get_info(model, &info, &error));
    assert_int_equal(info.num_layers, row->layers);
    layers_text(&info, layers, sizeof layers);
    assert_string_equal(layers, row->moe);
    clmoe__layer_config c;
    const clmoe_layer_desc wanted = model_row_desc(row);
    OK(clmoe__config_layer(&model->config, model_row_layer(row), &c, &error));
    assert_int_equal(c.hidden_size, row->hidden);
    assert_int_equal(c.intermediate_size, row->intermediate);
    assert_int_equal(c.shared_intermediate_size, row->shared);
    assert_int_equal(c.latent_size, row->latent);
    assert_memory_equal(&c.desc.routing, &wanted.routing, sizeof wanted.routing);
    assert_memory_equal(&c.desc.activation, &wanted.activation, sizeof wanted.activation);
    assert_memory_equal(&c.desc.shared_activation, &wanted.shared_activation, sizeof wanted.shared_activation);
    assert_int_equal(c.desc.router_input, wanted.router_input);
    assert_memory_equal(&c.desc.routed_scale, &wanted.routed_scale, sizeof wanted.routed_scale);
    assert_memory_equal(&c.desc.shared_scale, &wanted.shared_scale, sizeof wanted.shared_scale);
    clmoe_model_destroy(model);
    gguf_free(&f);
    test_folder_free(&folder);
}

/* ------------------------------------------------------------------------------------------------- tensors */

static void run(const model_row *row, uint32_t source, uint64_t stream) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_model *model = NULL;
    clmoe_model_weights_desc desc;
    layer_case *c = model_case(&device, row, source, stream);
    model_files files = model_files_new(row, c, source);
    test_random random = test_random_new(stream);
    gguf_file f = row_file(row);
    for (uint32_t i = 0; i < files.count; i++) gguf_out_tensor(&f, &files.tensors[i]);
    OK(clmoe_model_open(gguf_write(&f, &files.folder, "m.gguf"), &model, &error));
    clmoe_model_layer layer = {.struct_size = sizeof layer};
    OK(clmoe_model_get_layer(model, model_row_layer(row), &layer, &error));
    assert_int_equal(layer.format, source);
    assert_int_equal(layer.bytes, files.bytes);
    assert_int_equal(layer.num_tensors, files.count);
    assert_string_equal(layer.formats, source == CLMOE_F32 ? "f32" : source == CLMOE_F16 ? "f16" : "bf16");
    clmoe_model_weights_desc_default(&desc, sizeof desc);
    desc.format = CLMOE_F32;
    desc.arithmetic = CLMOE_ARITHMETIC_F32;
    OK(clmoe_model_layer_create(model, layer.layer, device.context, &desc, &c->layer, &error));
    clmoe_model_destroy(model); /* the layer does not need it */
    void *x = case_input(c, TOKENS, &random);
    case_result result = case_forward(c, NULL, x, TOKENS);
    case_check(c, x, TOKENS, &result);
    case_check_routes(c, x, TOKENS, &result);
    case_result_free(&result);
    free(x);
    case_free(c);
    gguf_free(&f);
    model_files_free(&files);
}

static void test_row(void **state) {
    const model_row *row = *state;
    const uint64_t stream = 1300 + (uint64_t)(row - gguf_rows);
    check_metadata(row);
    if (row->names.prefix != NULL)
        run(row, stream % 3 == 0 ? CLMOE_BF16 : stream % 3 == 1 ? CLMOE_F16 : CLMOE_F32, stream);
}

/* Multiplies every expert's matrix by a factor of its own and writes the factors as a tensor. */
static void add_factors(gguf_file *f, const char *name, double *matrices, uint32_t experts, size_t each,
                        test_random *random) {
    float factors[8];
    const uint64_t count = experts;
    assert_true(experts <= 8);
    for (uint32_t e = 0; e < experts; e++) {
        factors[e] = 0.5f + (float)test_random_below(random, 64) / 32.0f;
        for (size_t i = 0; i < each; i++) matrices[e * each + i] *= (double)factors[e];
    }
    gguf_tensor(f, name, GGUF_TYPE_F32, 1, &count, factors, experts * sizeof *factors);
}

/* Files in nvfp4 have a factor on the product of each expert, which any format may have. */
static void test_factors(void **state) {
    const model_row *row = gguf_rows;
    (void)state;
    while (strcmp(row->name, "qwen3moe") != 0) row++;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_model *model = NULL;
    clmoe_model_weights_desc desc;
    layer_case *c = model_case(&device, row, CLMOE_F32, 77);
    model_files files = model_files_new(row, c, CLMOE_F32);
    test_random random = test_random_new(77);
    gguf_file f = row_file(row);
    for (uint32_t i = 0; i < files.count; i++) gguf_out_tensor(&f, &files.tensors[i]);
    oracle_ffn *experts = &c->oracle.experts;
    const size_t each = (size_t)experts->hidden * experts->intermediate;
    char name[64];
    double *const matrices[] = {experts->gate, experts->up, experts->down};
    static const char *const parts[] = {"gate", "up", "down"};
    for (uint32_t i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, "blk.%u.ffn_%s_exps.scale", model_row_layer(row), parts[i]);
        add_factors(&f, name, matrices[i], experts->experts, each, &random);
    }
    OK(clmoe_model_open(gguf_write(&f, &files.folder, "m.gguf"), &model, &error));
    clmoe_model_weights_desc_default(&desc, sizeof desc);
    OK(clmoe_model_layer_create(model, model_row_layer(row), device.context, &desc, &c->layer, &error));
    clmoe_model_destroy(model);
    void *x = case_input(c, TOKENS, &random);
    case_result result = case_forward(c, NULL, x, TOKENS);
    case_check(c, x, TOKENS, &result);
    case_result_free(&result);
    free(x);
    case_free(c);
    gguf_free(&f);
    model_files_free(&files);
}

/* A model whose architecture has experts, but which itself has none. */
static void dense_models(void **state) {
    static const char *const keys[] = {"", "llama.expert_count"};
    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        clmoe_error error = {.struct_size = sizeof error};
        test_folder folder = test_folder_new();
        gguf_file f = gguf_new();
        clmoe_model *model = NULL;
        clmoe_model_info info = {.struct_size = sizeof info};
        gguf_text(&f, "general.architecture", "llama");
        gguf_u32(&f, "llama.block_count", 2);
        gguf_u32(&f, "llama.embedding_length", 8);
        if (keys[i][0] != '\0') gguf_u32(&f, keys[i], 0);
        OK(clmoe_model_open(gguf_write(&f, &folder, "m.gguf"), &model, &error));
        OK(clmoe_model_get_info(model, &info, &error));
        assert_int_equal(info.num_moe_layers, 0);
        assert_int_equal(info.num_layers, 2);
        clmoe_model_destroy(model);
        gguf_free(&f);
        test_folder_free(&folder);
    }
}

int main(void) {
    struct CMUnitTest *tests = calloc(gguf_row_count + 2, sizeof *tests);
    for (unsigned i = 0; i < gguf_row_count; i++)
        tests[i] = (struct CMUnitTest){gguf_rows[i].name, test_row, NULL, NULL, (void *)(uintptr_t)&gguf_rows[i]};
    tests[gguf_row_count] = (struct CMUnitTest){"dense models", dense_models, NULL, NULL, NULL};
    tests[gguf_row_count + 1] = (struct CMUnitTest){"factors", test_factors, NULL, NULL, NULL};
    const int failed = _cmocka_run_group_tests("GGUF rows", tests, gguf_row_count + 2, open_device, close_device);
    free(tests);
    return failed;
}
