/* Models through the public functions: every golden checkpoint gives what transformers gives, in f32 and bf16; a
 * device's share of experts, progress, the ways to name a model, and what layers say of themselves. */
#include <dirent.h>
#include <stdio.h>

#include <clmoe/clmoe_model.h>

#include "golden.h"
#include "model_files.h"
#include "one_device.h"

/* ------------------------------------------------------------------------------------------------- golden */

static void run_golden(const golden *g, const char *name, clmoe_layer *layer, double tolerance) {
    clmoe_error error = {.struct_size = sizeof error};
    const size_t T = g->tokens, H = g->hidden, K = g->top_k, E = g->experts;
    test_buffer x = test_buffer_new(&device, T * H * 4, golden_find(g, "hidden_states")->data);
    test_buffer outputs[4] = {test_buffer_new(&device, T * H * 4, NULL), test_buffer_new(&device, T * K * 4, NULL),
                              test_buffer_new(&device, T * K * 4, NULL), test_buffer_new(&device, E * 4, NULL)};
    void *read[4];
    clmoe_io io;
    clmoe_io_default(&io, sizeof io);
    io.tokens = g->tokens;
    io.x = x.at;
    io.out = outputs[0].at;
    io.out_index = outputs[1].at;
    io.out_weight = outputs[2].at;
    io.out_load = outputs[3].at;
    OK(clmoe_forward(layer, NULL, device.queue, &io, 0, NULL, NULL, &error));
    for (int i = 0; i < 4; i++) {
        read[i] = malloc(outputs[i].bytes);
        test_buffer_read(&device, &outputs[i], read[i]);
        test_buffer_free(&device, &outputs[i]);
    }
    golden_compare(g, name, read[0], read[1], read[2], read[3], tolerance);
    for (int i = 0; i < 4; i++) free(read[i]);
    test_buffer_free(&device, &x);
}

static void test_golden_case(void **state) {
    static const struct {
        uint32_t format;
        double tolerance;
    } runs[] = {{CLMOE_F32, 2e-5}, {CLMOE_BF16, 2e-2}};
    const char *name = *state;
    clmoe_error error = {.struct_size = sizeof error};
    golden g = golden_open(name);
    clmoe_model *model = NULL;
    OK(clmoe_model_open(golden_folder(name), &model, &error));
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        clmoe_model_weights_desc desc;
        clmoe_layer *layer = NULL;
        clmoe_model_weights_desc_default(&desc, sizeof desc);
        desc.format = runs[i].format;
        OK(clmoe_model_layer_create(model, g.layer, device.context, &desc, &layer, &error));
        run_golden(&g, name, layer, runs[i].tolerance);
        clmoe_layer_destroy(layer);
    }
    clmoe_model_destroy(model);
    golden_close(&g);
}

/* The names of the folders under tests/golden/hf, so that a new case needs no entry here. */
static size_t find_cases(char names[64][64]) {
    size_t count = 0;
    DIR *folder = opendir(golden_folder(""));
    if (folder == NULL) return 0;
    for (const struct dirent *at; (at = readdir(folder)) != NULL && count < 64;)
        if (at->d_name[0] != '.') (void)snprintf(names[count++], 64, "%.63s", at->d_name);
    (void)closedir(folder);
    return count;
}

/* ------------------------------------------------------------------------------------------------- shares */

static const model_row *row_named(const char *name) {
    for (unsigned i = 0; i < model_row_count; i++)
        if (strcmp(model_rows[i].name, name) == 0) return &model_rows[i];
    fail_msg("no row %s", name);
    return NULL;
}

/* The output of experts [first, first + count) of a row's layer, with the shared experts where first is 0. */
static float *share_output(const model_files *files, uint32_t first, uint32_t count, const float *x, uint32_t tokens) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_model *model = NULL;
    clmoe_weights *weights = NULL;
    clmoe_layer *layer = NULL;
    clmoe_model_layer info = {.struct_size = sizeof info};
    clmoe_model_weights_desc desc;
    clmoe_model_weights_desc_default(&desc, sizeof desc);
    desc.format = CLMOE_F32;
    desc.first_expert = first;
    desc.local_experts = count;
    OK(clmoe_model_open(files->folder.path, &model, &error));
    OK(clmoe_model_get_layer(model, model_row_layer(files->row), &info, &error));
    OK(clmoe_model_weights_create(model, info.layer, device.context, &desc, &weights, &error));
    info.desc.first_expert = first;
    info.desc.local_experts = count;
    info.desc.omit_shared = first != 0;
    OK(clmoe_layer_create(device.context, weights, &info.desc, &layer, &error));
    float *y = calloc((size_t)tokens * info.hidden_size, sizeof *y);
    OK(clmoe_forward_host(layer, x, tokens, y, &error));
    clmoe_layer_destroy(layer);
    clmoe_weights_destroy(weights);
    clmoe_model_destroy(model);
    return y;
}

/* Two shares add up to the whole, whether experts lie in tensors of their own or together. */
static void test_shares(void **state) {
    static const char *const names[] = {"deepseek_v3", "gpt_oss", "dbrx", "granitemoeshared"};
    enum { TOKENS = 5 };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const model_row *row = row_named(names[i]);
        layer_case *c = model_case(&device, row, CLMOE_F32, 700 + i);
        model_files files = model_files_new(row, c, CLMOE_F32);
        test_random random = test_random_new(i);
        model_files_write(&files);
        float *x = case_input(c, TOKENS, &random);
        float *a = share_output(&files, 0, 3, x, TOKENS), *b = share_output(&files, 3, 5, x, TOKENS);
        float *whole = share_output(&files, 0, 8, x, TOKENS);
        for (size_t n = 0; n < (size_t)TOKENS * row->hidden; n++) {
            const double off = (double)a[n] + (double)b[n] - (double)whole[n];
            if (!(off < 1e-4 && off > -1e-4)) fail_msg("%s: [%zu] is off by %g", names[i], n, off);
        }
        free(x);
        free(a);
        free(b);
        free(whole);
        case_free(c);
        model_files_free(&files);
    }
}

/* ----------------------------------------------------------------------------------------------- progress */

typedef struct seen {
    uint64_t done, total;
    uint64_t last; /* how much the last call brought */
    uint32_t calls;
} seen;

static void progress(void *user, uint64_t done, uint64_t total) {
    seen *s = user;
    assert_true(done >= s->done && done <= total);
    assert_true(s->calls == 0 || total == s->total);
    *s = (seen){done, total, done - s->done, s->calls + 1};
}

static void test_progress(void **state) {
    static const char *const names[] = {"deepseek_v3", "gpt_oss", "jetmoe", "granitemoeshared", "nemotron_h latent"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        clmoe_error error = {.struct_size = sizeof error};
        const model_row *row = row_named(names[i]);
        layer_case *c = model_case(&device, row, CLMOE_F32, 750 + i);
        model_files files = model_files_new(row, c, CLMOE_F32);
        clmoe_model *model = NULL;
        clmoe_weights *weights = NULL;
        seen s = {0};
        clmoe_model_weights_desc desc;
        clmoe_model_weights_desc_default(&desc, sizeof desc);
        desc.progress = progress;
        desc.progress_user = &s;
        model_files_write(&files);
        OK(clmoe_model_open(files.folder.path, &model, &error));
        OK(clmoe_model_weights_create(model, model_row_layer(row), device.context, &desc, &weights, &error));
        assert_true(s.calls >= row->experts);
        assert_int_equal(s.total, files.bytes);
        assert_int_equal(s.done, files.bytes);
        /* vectors come together at the end, matrices are counted one by one */
        const uint32_t widest = row->shared > row->intermediate ? row->shared : row->intermediate;
        assert_true(s.last <= 2 * sizeof(float) * row->hidden * widest);
        /* a share counts its own bytes only */
        s = (seen){0};
        desc.first_expert = 6;
        clmoe_weights_destroy(weights);
        OK(clmoe_model_weights_create(model, model_row_layer(row), device.context, &desc, &weights, &error));
        assert_true(s.total < files.bytes && s.done == s.total);
        clmoe_weights_destroy(weights);
        clmoe_model_destroy(model);
        case_free(c);
        model_files_free(&files);
    }
}

/* ------------------------------------------------------------------------------------------------- naming */

static void opens(const char *folder, const char *file) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_model *model = NULL;
    char path[1100];
    (void)snprintf(path, sizeof path, "%s%s", golden_folder(folder), file);
    OK(clmoe_model_open(path, &model, &error));
    clmoe_model_layer layer = {.struct_size = sizeof layer};
    OK(clmoe_model_get_layer(model, 1, &layer, &error));
    clmoe_model_destroy(model);
}

static void test_paths(void **state) {
    (void)state;
    opens("deepseek_v2_group", "");
    opens("deepseek_v2_group", "/");
    opens("deepseek_v2_group", "/config.json");
    opens("deepseek_v2_group", "/model.safetensors");
    opens("deepseek_v3", "");
    opens("deepseek_v3", "/config.json");
    opens("deepseek_v3", "/model.safetensors.index.json");
}

static void test_info(void **state) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_model *model = NULL;
    clmoe_model_info info = {.struct_size = sizeof info};
    clmoe_model_layer layer = {.struct_size = sizeof layer};
    (void)state;
    OK(clmoe_model_open(golden_folder("deepseek_v3"), &model, &error));
    OK(clmoe_model_get_info(model, &info, &error));
    assert_string_equal(info.model_type, "deepseek_v3");
    assert_int_equal(info.num_layers, 2);
    assert_int_equal(info.num_moe_layers, 1);
    assert_int_equal(info.moe_layers[0], 1);
    assert_int_equal(info.num_files, 3);
    OK(clmoe_model_get_layer(model, 1, &layer, &error));
    assert_string_equal(layer.rule, "sigmoid + bias, 2 of 4 groups by their two best, top 4, weights / sum x 2.5");
    assert_int_equal(layer.format, CLMOE_F32);
    assert_int_equal(layer.num_tensors, 2 + 3 * 16 + 3);
    FAILS(clmoe_model_get_layer(model, 0, &layer, &error), CLMOE_INVALID_ARGUMENT, "that have one: 1");
    FAILS(clmoe_model_get_layer(model, 2, &layer, &error), CLMOE_INVALID_ARGUMENT, "past the last of 2");
    clmoe_model_destroy(model);
    OK(clmoe_model_open(golden_folder("gpt_oss_mxfp4"), &model, &error));
    OK(clmoe_model_get_layer(model, 0, &layer, &error));
    assert_string_equal(layer.rule, "logits, top 4, softmax of them, weights as they are");
    assert_int_equal(layer.format, CLMOE_F4_E2M1);
    clmoe_model_destroy(model);
}

int main(void) {
    static char names[64][64];
    static struct CMUnitTest tests[70] = {cmocka_unit_test(test_shares), cmocka_unit_test(test_progress),
                                          cmocka_unit_test(test_paths), cmocka_unit_test(test_info)};
    const size_t cases = find_cases(names);
    if (cases < 11) return 1;
    for (size_t i = 0; i < cases; i++)
        tests[4 + i] = (struct CMUnitTest){names[i], test_golden_case, NULL, NULL, names[i]};
    return _cmocka_run_group_tests("model", tests, 4 + cases, open_device, close_device);
}
