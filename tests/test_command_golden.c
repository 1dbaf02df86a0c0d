/* clmoe-run on every golden checkpoint: what it writes is what transformers computes, with the weights kept in f32
 * (2e-5 of the largest output) and in bf16 (2e-2). Experts are compared as a set per token and weights by expert. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>

#include <jansson.h>

#include "command.h"
#include "files.h"
#include "golden.h"
#include "model/model.h"
#include "support.h"

/* The model_type and the layer of case.json. */
typedef struct golden_case {
    char name[64], model_type[64], layer[12];
} golden_case;

static golden_case cases[64];
static size_t case_count;

static const char *model_folder(const char *name) {
    static char path[1024];
    (void)snprintf(path, sizeof path, CLMOE_TEST_DATA "/golden/hf/%.63s", name);
    return path;
}

static json_t *read_json(const char *name) {
    static char text[65536];
    char path[1100];
    (void)snprintf(path, sizeof path, "%s/case.json", model_folder(name));
    FILE *const file = fopen(path, "rb");
    if (file == NULL) return NULL;
    const size_t bytes = fread(text, 1, sizeof text, file);
    (void)fclose(file);
    return json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
}

/* Every folder under tests/golden/hf, so that a new case needs no entry here. */
static int find_cases(void **state) {
    (void)state;
    DIR *const folder = opendir(model_folder(""));
    if (folder == NULL) return 1;
    for (const struct dirent *at; (at = readdir(folder)) != NULL && case_count < sizeof cases / sizeof *cases;) {
        if (at->d_name[0] == '.') continue;
        golden_case *const c = &cases[case_count++];
        json_t *const json = read_json(at->d_name);
        const char *const type = json_string_value(json_object_get(json, "model_type"));
        const json_t *const layer = json_object_get(json, "layer");
        const json_int_t number = json_integer_value(layer);
        if (type == NULL || !json_is_integer(layer) || number < 0 || number > 999)
            fail_msg("case.json of %s", at->d_name);
        (void)snprintf(c->name, sizeof c->name, "%.63s", at->d_name);
        (void)snprintf(c->model_type, sizeof c->model_type, "%.63s", type);
        (void)snprintf(c->layer, sizeof c->layer, "%u", (unsigned)number);
        json_decref(json);
    }
    (void)closedir(folder);
    return case_count < 13;
}

/* A tensor that the command wrote, of the expected type and shape. */
static const void *written(const clmoe__checkpoint *file, const golden_tensor *wanted) {
    const clmoe__file_tensor *const t = clmoe__checkpoint_find(file, wanted->name);
    if (t == NULL) fail_msg("%s is missing", wanted->name);
    assert_string_equal(t->dtype->name, wanted->type);
    assert_int_equal(t->rank, wanted->rank);
    for (uint32_t i = 0; i < wanted->rank; ++i) assert_int_equal(t->shape[i], wanted->shape[i]);
    assert_int_equal((uintptr_t)t->data % 4, 0);
    return t->data;
}

static void compare_output(const float *got, const golden_tensor *wanted, double tolerance) {
    const float *const expected = wanted->data;
    double largest = 0, error = 0;
    for (size_t i = 0; i < wanted->count; ++i) {
        assert_true(isfinite(got[i]));
        largest = fmax(largest, fabs((double)expected[i]));
        error = fmax(error, fabs((double)got[i] - (double)expected[i]));
    }
    if (!(error < tolerance * largest)) fail_msg("output is off by %g of the largest", error / largest);
}

/* Where `expert` stands in a row; -1 if nowhere. */
static int place(const int32_t *row, uint32_t top_k, int32_t expert) {
    for (uint32_t k = 0; k < top_k; ++k) {
        if (row[k] == expert) return (int)k;
    }
    return -1;
}

static void compare_routes(const clmoe__checkpoint *file, const golden *g, double tolerance) {
    const golden_tensor *const index = golden_find(g, "expert_index"), *const weight = golden_find(g, "expert_weight");
    const int32_t *const got_index = written(file, index), *const wanted_index = index->data;
    const float *const got_weight = written(file, weight), *const wanted_weight = weight->data;
    const double slack = fmax(1, tolerance / 2e-5);
    for (uint32_t t = 0; t < g->tokens; ++t) {
        for (uint32_t k = 0; k < g->top_k; ++k) {
            const size_t at = (size_t)t * g->top_k;
            const int found = place(got_index + at, g->top_k, wanted_index[at + k]);
            if (found < 0) fail_msg("token %u lacks expert %d", t, wanted_index[at + k]);
            const double expected = (double)wanted_weight[at + k], got = (double)got_weight[at + (size_t)found];
            if (!(fabs(got - expected) <= slack * (1e-5 + 1e-4 * fabs(expected))))
                fail_msg("token %u, expert %d: weight %g, expected %g", t, wanted_index[at + k], got, expected);
        }
    }
    const golden_tensor *const load = golden_find(g, "expert_load");
    assert_memory_equal(written(file, load), load->data, load->count * 4);
}

static void check_json(const char *text, const golden_case *c, const golden *g, const char *weights) {
    json_t *const root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    const char *const name = json_string_value(json_object_get(root, "model_type"));
    assert_non_null(name);
    assert_string_equal(name, c->model_type);
    assert_string_equal(json_string_value(json_object_get(root, "weights")), weights);
    assert_true(json_number_value(json_object_get(root, "tokens")) == (double)g->tokens);
    assert_true(json_number_value(json_object_get(root, "num_experts")) == (double)g->experts);
    assert_true(json_number_value(json_object_get(root, "weights_bytes")) > 0);
    const char *const arithmetic = json_string_value(json_object_get(root, "arithmetic"));
    assert_true(strcmp(arithmetic, "f32") == 0 || (strcmp(weights, "bf16") == 0 && strcmp(arithmetic, "bf16") == 0));
    const json_t *const parts = json_object_get(root, "milliseconds");
    static const char *const names[] = {"open", "device", "weights", "layer", "copy", "forward", "write"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        assert_true(json_number_value(json_object_get(parts, names[i])) > 0);
    json_decref(root);
}

static void run_case(const golden_case *c, const char *weights, double tolerance) {
    test_folder folder = test_folder_new();
    golden g = golden_open(c->name);
    char input[1100];
    (void)snprintf(input, sizeof input, "%s/input.safetensors", model_folder(c->name));
    const char *const output = test_path(&folder, "y.safetensors");
    const command_result *const run = COMMAND(CLMOE_RUN_PROGRAM, model_folder(c->name), "--layer", c->layer, "--input",
                                              input, "--output", output, "--weights", weights, "--json");
    if (run->status != 0) fail_msg("%s: status %d: %s", c->name, run->status, run->err);
    assert_string_equal(run->err, "");
    check_json(run->out, c, &g, weights);
    clmoe_error error = {0};
    clmoe__checkpoint *file = NULL;
    OK(clmoe__checkpoint_open(output, &file, &error));
    assert_int_equal(clmoe__checkpoint_count(file), 4);
    const golden_tensor *const wanted = golden_find(&g, "output");
    print_message("%s, %s\n", c->name, weights);
    compare_output(written(file, wanted), wanted, tolerance);
    compare_routes(file, &g, tolerance);
    clmoe__checkpoint_close(file);
    golden_close(&g);
    assert_int_equal(test_folder_count(&folder), 1);
    test_folder_free(&folder);
}

static void agrees_in_f32(void **state) {
    (void)state;
    for (size_t i = 0; i < case_count; ++i) run_case(&cases[i], "f32", 2e-5);
}

static void agrees_in_bf16(void **state) {
    (void)state;
    for (size_t i = 0; i < case_count; ++i) run_case(&cases[i], "bf16", 2e-2);
}

static void lists_layers(void **state) {
    (void)state;
    for (size_t i = 0; i < case_count; ++i) {
        const golden_case *const c = &cases[i];
        char row[16];
        const command_result *run = COMMAND(CLMOE_RUN_PROGRAM, model_folder(c->name), "--list");
        if (run->status != 0) fail_msg("%s: status %d: %s", c->name, run->status, run->err);
        (void)snprintf(row, sizeof row, "\n%s ", c->layer);
        assert_int_equal(strncmp(run->out, c->model_type, strlen(c->model_type)), 0);
        assert_non_null(strstr(run->out, row));
        assert_non_null(strstr(run->out, ", top "));
        run = COMMAND(CLMOE_RUN_PROGRAM, model_folder(c->name), "--list", "--json");
        assert_int_equal(run->status, 0);
        json_t *const root = json_loads(run->out, JSON_REJECT_DUPLICATES, NULL);
        const json_t *const layer = json_array_get(json_object_get(root, "moe_layers"), 0);
        assert_true(json_number_value(json_object_get(layer, "layer")) == strtod(c->layer, NULL));
        json_decref(root);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_layers),
        cmocka_unit_test(agrees_in_f32),
        cmocka_unit_test(agrees_in_bf16),
    };
    return cmocka_run_group_tests(tests, find_cases, NULL);
}
