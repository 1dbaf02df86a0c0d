/* Every family's tensors: a random layer is written under the family's names and layouts, read through the model's
 * functions and run; choice and output must be those of the double-precision oracle. */
#include <math.h>

#include "layer_routes.h"
#include "model_files.h"
#include "one_device.h"

#define TOKENS 7

static void check_info(const clmoe_model *model, const model_files *files, const layer_case *c, uint32_t source) {
    clmoe_error error = {.struct_size = sizeof error};
    const model_row *row = files->row;
    const clmoe_layer_desc wanted = model_row_desc(row);
    clmoe_model_info info = {.struct_size = sizeof info};
    clmoe_model_layer layer = {.struct_size = sizeof layer};
    OK(clmoe_model_get_info(model, &info, &error));
    assert_int_equal(info.num_layers, row->layers);
    assert_int_equal(info.num_files, 1);
    assert_true(info.file_bytes > files->bytes);
    OK(clmoe_model_get_layer(model, model_row_layer(row), &layer, &error));
    assert_int_equal(layer.layer, model_row_layer(row));
    assert_int_equal(layer.hidden_size, row->hidden);
    assert_int_equal(layer.intermediate_size, row->intermediate);
    assert_int_equal(layer.shared_intermediate_size, row->shared);
    assert_int_equal(layer.latent_size, row->latent);
    assert_int_equal(layer.num_experts, row->experts);
    assert_int_equal(layer.num_classes, c->oracle.classes);
    assert_int_equal(layer.top_k, row->top_k);
    assert_int_equal(layer.format, row->names.store == ROW_MXFP4 ? CLMOE_F4_E2M1 : source);
    assert_int_equal(layer.bytes, files->bytes);
    assert_int_equal(layer.num_tensors, files->count);
    assert_memory_equal(&layer.desc.routing, &wanted.routing, sizeof wanted.routing);
    assert_true(strlen(layer.rule) > 10);
}

static void run(const model_row *row, uint32_t source, uint64_t stream) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_model *model = NULL;
    clmoe_model_weights_desc desc;
    layer_case *c = model_case(&device, row, source, stream);
    model_files files = model_files_new(row, c, source);
    test_random random = test_random_new(stream);
    model_files_write(&files);
    OK(clmoe_model_open(files.folder.path, &model, &error));
    check_info(model, &files, c, source);
    clmoe_model_weights_desc_default(&desc, sizeof desc);
    desc.format = row->names.fp8[0] != 0 ? CLMOE_FORMAT_NONE : CLMOE_F32; /* products of so few digits are kept
                                                                           * exactly */
    desc.arithmetic = CLMOE_ARITHMETIC_F32;
    OK(clmoe_model_layer_create(model, model_row_layer(row), device.context, &desc, &c->layer, &error));
    clmoe_model_destroy(model); /* the layer does not need it */
    void *x = case_input(c, TOKENS, &random);
    case_result result = case_forward(c, NULL, x, TOKENS);
    case_check(c, x, TOKENS, &result);
    case_check_routes(c, x, TOKENS, &result);
    case_result_free(&result);
    free(x);
    case_free(c);
    model_files_free(&files);
}

static void test_row(void **state) {
    const model_row *row = *state;
    const uint64_t stream = 900 + (uint64_t)(row - model_rows);
    if (row->names.fp8[0] != 0)
        run(row, CLMOE_F8_E4M3, stream);
    else
        run(row, stream % 3 == 0 ? CLMOE_BF16 : stream % 3 == 1 ? CLMOE_F16 : CLMOE_F32, stream);
}

int main(void) {
    struct CMUnitTest *tests = calloc(model_row_count, sizeof *tests);
    size_t count = 0;
    for (unsigned i = 0; i < model_row_count; i++) {
        void *row = (void *)(uintptr_t)&model_rows[i];
        if (model_rows[i].names.prefix != NULL)
            tests[count++] = (struct CMUnitTest){model_rows[i].name, test_row, NULL, NULL, row};
    }
    const int failed = _cmocka_run_group_tests("model rows", tests, count, open_device, close_device);
    free(tests);
    return failed;
}
