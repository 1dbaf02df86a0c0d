/* clmoe-run on GGUF files: what it writes for a whole model, what --list says, and files that lie, at which it exits
 * with status 2 after one line that names file and key or tensor, and writes nothing. */
#include <math.h>
#include <stdio.h>

#include "command.h"
#include "gguf_file.h"
#include "golden.h"
#include "support.h"

static const struct {
    const char *name, *layer, *architecture, *formats;
} models[] = {
    {"deepseek2_groups", "1", "deepseek2", "q4_K, q5_K, q5_0"},
    {"gpt_oss_mxfp4", "1", "gpt-oss", "mxfp4"},
    {"olmoe_q4_K_q6_K", "0", "olmoe", "q4_K, q6_K"},
    {"qwen3moe_q8_0", "1", "qwen3moe", "q8_0"},
};

static const char *model_file(const char *name, const char *file) {
    static char paths[2][1024];
    static unsigned next;
    char *const path = paths[next++ % 2];
    (void)snprintf(path, sizeof paths[0], CLMOE_TEST_DATA "/golden/gguf/%s/%s", name, file);
    return path;
}

static void lists(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        const command_result *run = COMMAND(CLMOE_RUN_PROGRAM, model_file(models[i].name, "model.gguf"), "--list");
        if (run->status != 0) fail_msg("%s: status %d: %s", models[i].name, run->status, run->err);
        assert_int_equal(strncmp(run->out, models[i].architecture, strlen(models[i].architecture)), 0);
        assert_non_null(strstr(run->out, models[i].formats));
        run = COMMAND(CLMOE_RUN_PROGRAM, model_file(models[i].name, ""), "--list", "--json"); /* the folder */
        assert_int_equal(run->status, 0);
        assert_non_null(strstr(run->out, models[i].formats));
    }
}

static void runs(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        test_folder folder = test_folder_new();
        golden g = golden_open_gguf(models[i].name);
        const char *const output = test_path(&folder, "y.safetensors");
        const command_result *run = COMMAND(CLMOE_RUN_PROGRAM, model_file(models[i].name, "model.gguf"), "--layer",
                                            models[i].layer, "--input", model_file(models[i].name, "input.safetensors"),
                                            "--output", output, "--arithmetic", "f32", "--quiet");
        if (run->status != 0) fail_msg("%s: status %d: %s", models[i].name, run->status, run->err);
        assert_string_equal(run->err, "");
        clmoe_error error = {0};
        clmoe__checkpoint *file = NULL;
        OK(clmoe__checkpoint_open(output, &file, &error));
        golden_compare(&g, models[i].name, (const void *)clmoe__checkpoint_find(file, "output")->data,
                       (const void *)clmoe__checkpoint_find(file, "expert_index")->data,
                       (const void *)clmoe__checkpoint_find(file, "expert_weight")->data,
                       (const void *)clmoe__checkpoint_find(file, "expert_load")->data, 2e-5);
        clmoe__checkpoint_close(file);
        golden_close(&g);
        test_folder_free(&folder);
    }
}

/* ----------------------------------------------------------------------- a router with an input of its own */

enum { OWN_TOKENS = 6, OWN_HIDDEN = 8 };

static const char *own_model(const test_folder *folder) {
    gguf_file f = gguf_small_without("general.architecture");
    gguf_text(&f, "general.architecture", "smallthinker");
    gguf_u32(&f, "smallthinker.block_count", 1);
    gguf_u32(&f, "smallthinker.embedding_length", OWN_HIDDEN);
    gguf_u32(&f, "smallthinker.expert_feed_forward_length", 4);
    gguf_u32(&f, "smallthinker.expert_count", 2);
    gguf_u32(&f, "smallthinker.expert_used_count", 1);
    gguf_u32(&f, "smallthinker.expert_gating_func", 1);
    const char *const path = gguf_write(&f, folder, "m.gguf");
    gguf_free(&f);
    return path;
}

/* Runs the model; router_rows: how many rows of router_input the file has. */
static const command_result *own_run(const test_folder *folder, const char *model, const float *x, const float *router,
                                     uint64_t router_rows, const char *output) {
    const clmoe__out_tensor tensors[] = {{"hidden_states", "F32", 2, {OWN_TOKENS, OWN_HIDDEN}, x},
                                         {"router_input", "F32", 2, {router_rows, OWN_HIDDEN}, router}};
    clmoe_error error = {.struct_size = sizeof error};
    const char *const input = test_path(folder, "x.safetensors");
    OK(clmoe__safetensors_write(input, tensors, router_rows != 0 ? 2 : 1, &error));
    return COMMAND(CLMOE_RUN_PROGRAM, model, "--layer", "0", "--input", input, "--output", output, "--quiet");
}

static void own_routes(const char *path, int32_t routes[OWN_TOKENS]) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe__checkpoint *file = NULL;
    OK(clmoe__checkpoint_open(path, &file, &error));
    memcpy(routes, clmoe__checkpoint_find(file, "expert_index")->data, OWN_TOKENS * sizeof *routes);
    clmoe__checkpoint_close(file);
}

/* Routes follow router_input, whatever hidden_states are. */
static void routers_input(void **state) {
    (void)state;
    float x[OWN_TOKENS * OWN_HIDDEN], turned[OWN_TOKENS * OWN_HIDDEN];
    int32_t routes[OWN_TOKENS], same[OWN_TOKENS], others[OWN_TOKENS];
    test_random random = test_random_new(5);
    test_folder folder = test_folder_new();
    const char *const model = own_model(&folder), *const output = test_path(&folder, "y.safetensors");
    for (int i = 0; i < OWN_TOKENS * OWN_HIDDEN; i++) {
        x[i] = (float)test_random_normal(&random);
        turned[i] = -x[i];
    }
    const command_result *run = own_run(&folder, model, x, x, 0, output);
    assert_int_equal(run->status, 2);
    assert_non_null(strstr(run->err, "tensor router_input is missing"));
    run = own_run(&folder, model, x, x, OWN_TOKENS - 1, output);
    assert_int_equal(run->status, 2);
    assert_non_null(strstr(run->err, "tensor router_input has shape [5, 8]"));
    const float *const pairs[][2] = {{x, x}, {turned, x}, {x, turned}};
    int32_t *const got[] = {routes, same, others};
    for (int i = 0; i < 3; i++) {
        run = own_run(&folder, model, pairs[i][0], pairs[i][1], OWN_TOKENS, output);
        if (run->status != 0) fail_msg("status %d: %s", run->status, run->err);
        own_routes(output, got[i]);
    }
    assert_memory_equal(routes, same, sizeof routes);
    for (int t = 0; t < OWN_TOKENS; t++) assert_int_equal(others[t], 1 - routes[t]); /* the best becomes the worst */
    test_folder_free(&folder);
}

/* ------------------------------------------------------------------------------------------- files that lie */

static gguf_file bad_magic(void) {
    gguf_file f = gguf_small();
    f.magic[3] = 'L';
    return f;
}
static gguf_file bad_version(void) {
    gguf_file f = gguf_small();
    f.version = 1;
    return f;
}
static gguf_file too_many_keys(void) {
    gguf_file f = gguf_small();
    f.num_keys = UINT64_MAX;
    return f;
}
static gguf_file too_many_tensors(void) {
    gguf_file f = gguf_small();
    f.num_tensors = UINT64_MAX;
    return f;
}
static gguf_file long_string(void) {
    gguf_file f = gguf_small();
    gguf_key(&f, "general.name", GGUF_STRING);
    gguf_put(&f.keys, UINT64_MAX - 3, 8);
    return f;
}
static gguf_file nested_array(void) {
    gguf_file f = gguf_small();
    gguf_key(&f, "olmoe.nested", GGUF_ARRAY);
    gguf_put(&f.keys, GGUF_ARRAY, 4);
    gguf_put(&f.keys, 1, 8);
    return f;
}
static gguf_file wrong_type(void) {
    gguf_file f = gguf_small_without("olmoe.expert_count");
    gguf_text(&f, "olmoe.expert_count", "2");
    return f;
}
static gguf_file odd_alignment(void) {
    gguf_file f = gguf_small();
    gguf_u32(&f, "general.alignment", 31);
    return f;
}
static gguf_file no_router(void) { return gguf_small_without("blk.0.ffn_gate_inp.weight"); }
static gguf_file five_dimensions(void) {
    static const uint64_t ones[5] = {1, 1, 1, 1, 1};
    gguf_file f = gguf_small();
    gguf_info(&f, "blk.0.extra", GGUF_TYPE_F32, 5, ones, 0);
    return f;
}
static gguf_file past_the_end(void) {
    static const uint64_t one[1] = {8};
    gguf_file f = gguf_small();
    gguf_info(&f, "blk.0.extra", GGUF_TYPE_F32, 1, one, 1u << 20);
    return f;
}
static gguf_file missing_part(void) {
    gguf_file f = gguf_small();
    gguf_key(&f, "split.count", GGUF_U16);
    gguf_put(&f.keys, 2, 2);
    return f;
}
static gguf_file not_finite(void) {
    static const uint64_t router[2] = {8, 2};
    float numbers[16] = {0};
    numbers[11] = INFINITY;
    gguf_file f = gguf_small_without("blk.0.ffn_gate_inp.weight");
    gguf_tensor(&f, "blk.0.ffn_gate_inp.weight", GGUF_TYPE_F32, 2, router, numbers, sizeof numbers);
    return f;
}

static void refusals(void **state) {
    static const struct {
        gguf_file (*make)(void);
        const char *name;
    } rows[] = {
        {bad_magic, "expected GGUF"},
        {bad_version, "version 1"},
        {too_many_keys, "18446744073709551615 keys"},
        {too_many_tensors, "list of tensors 18446744073709551615"},
        {long_string, "general.name"},
        {nested_array, "olmoe.nested"},
        {wrong_type, "olmoe.expert_count"},
        {odd_alignment, "general.alignment"},
        {no_router, "blk.0.ffn_gate_inp.weight"},
        {five_dimensions, "blk.0.extra"},
        {past_the_end, "blk.0.extra"},
        {missing_part, "m-00002-of-00002.gguf"},
        {not_finite, "blk.0.ffn_gate_inp.weight"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_folder folder = test_folder_new(), out = test_folder_new();
        gguf_file f = rows[i].make();
        const char *const file = gguf_write(&f, &folder, "m-00001-of-00002.gguf");
        const char *const input =
            test_tensors(&folder, "x.safetensors",
                         "{\"hidden_states\": {\"dtype\": \"F32\", \"shape\": [1, 8], \"data_offsets\": [0, 32]}}", 32);
        const command_result *run = COMMAND(CLMOE_RUN_PROGRAM, file, "--layer", "0", "--input", input, "--output",
                                            test_path(&out, "y.safetensors"));
        const size_t length = strlen(run->err);
        if (run->status != 2) fail_msg("%s: status %d: %s", rows[i].name, run->status, run->err);
        if (length == 0 || strchr(run->err, '\n') != run->err + length - 1)
            fail_msg("%s: not one line: %s", rows[i].name, run->err);
        if (strstr(run->err, rows[i].name) == NULL || strstr(run->err, ".gguf") == NULL)
            fail_msg("%s: not named: %s", rows[i].name, run->err);
        assert_string_equal(run->out, "");
        assert_int_equal(test_folder_count(&out), 0);
        gguf_free(&f);
        test_folder_free(&folder);
        test_folder_free(&out);
    }
}

static void options(void **state) {
    static const char *const wrong[][2] = {{"--arithmetic", "f64"}, {"--weights", "iq2_xxs"}, {"--weights", "Q8_0"}};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const command_result *run = COMMAND(CLMOE_RUN_PROGRAM, "m", wrong[i][0], wrong[i][1]);
        assert_int_equal(run->status, 2);
        assert_non_null(strstr(run->err, wrong[i][0]));
        assert_non_null(strstr(run->err, i == 0 ? "int8" : "q4_K"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(refusals),
        cmocka_unit_test(options),
        cmocka_unit_test(runs),
        cmocka_unit_test(routers_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
