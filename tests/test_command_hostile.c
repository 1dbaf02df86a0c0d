/* clmoe-run on wrong command lines and broken files: exit status 2, one line on stderr that names file and key or
 * tensor, and nothing written, neither the output nor a temporary file beside it. */
#define _GNU_SOURCE /* memmem */
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "command.h"
#include "files.h"
#include "golden.h"
#include "support.h"

#define MODEL "model.safetensors"
#define INDEX "model.safetensors.index.json"
#define BLOCK "model.layers.0.block_sparse_moe."

/* What a run works on: a copy of a golden checkpoint with its input, and an empty folder for the output. */
typedef struct bench {
    test_folder model, out;
    char path[300], input[300], output[300];
} bench;

static char *read_whole(const char *path, size_t *bytes) {
    FILE *const file = fopen(path, "rb");
    if (file == NULL) return NULL;
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *bytes = (size_t)ftell(file);
    rewind(file);
    char *const all = calloc(1, *bytes + 1);
    assert_non_null(all);
    assert_int_equal(fread(all, 1, *bytes, file), *bytes);
    (void)fclose(file);
    return all;
}

static bench bench_new(const char *golden_name) {
    static const char *const files[] = {"config.json",
                                        "input.safetensors",
                                        MODEL,
                                        INDEX,
                                        "model-00001-of-00003.safetensors",
                                        "model-00002-of-00003.safetensors",
                                        "model-00003-of-00003.safetensors"};
    bench b = {.model = test_folder_new(), .out = test_folder_new()};
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
        char from[1100];
        size_t bytes = 0;
        (void)snprintf(from, sizeof from, CLMOE_TEST_DATA "/golden/hf/%s/%s", golden_name, files[i]);
        char *const all = read_whole(from, &bytes);
        if (all != NULL) (void)test_file(&b.model, files[i], all, bytes);
        free(all);
    }
    (void)snprintf(b.path, sizeof b.path, "%s", b.model.path);
    (void)snprintf(b.input, sizeof b.input, "%s", test_path(&b.model, "input.safetensors"));
    (void)snprintf(b.output, sizeof b.output, "%s", test_path(&b.out, "y.safetensors"));
    return b;
}

static void bench_free(bench *b) {
    assert_int_equal(test_folder_count(&b->out), 0);
    test_folder_free(&b->model);
    test_folder_free(&b->out);
}

/* One line, with both texts in it (NULL = no matter). */
static void refused(const command_result *run, int status, const char *what, const char *text, const char *more) {
    const size_t length = strlen(run->err);
    if (run->status != status) fail_msg("%s: status %d, expected %d: %s", what, run->status, status, run->err);
    if (length == 0 || strchr(run->err, '\n') != run->err + length - 1)
        fail_msg("%s: not one line: %s", what, run->err);
    if (strncmp(run->err, "clmoe-run: ", 11) != 0) fail_msg("%s: who speaks? %s", what, run->err);
    if (text != NULL && strstr(run->err, text) == NULL) fail_msg("%s: lacks '%s': %s", what, text, run->err);
    if (more != NULL && strstr(run->err, more) == NULL) fail_msg("%s: lacks '%s': %s", what, more, run->err);
    assert_string_equal(run->out, "");
}

static const command_result *run(const bench *b, const char *layer) {
    return COMMAND(CLMOE_RUN_PROGRAM, b->path, "--layer", layer, "--input", b->input, "--output", b->output);
}

/* ------------------------------------------------------------------------------------------ broken files */

enum edit { REPLACE, CUT, DROP, DEEP, LENGTH };

/* One way to break a checkpoint, and what the message must hold. */
typedef struct broken {
    const char *what;
    const char *file;
    enum edit edit;
    const char *find, *replace; /* of REPLACE; in a tensor file of equal length */
    size_t keep;                /* of CUT: bytes that stay */
    const char *text, *more;
} broken;

#define CONFIG(name, from, to, key) \
    { name, "config.json", REPLACE, from, to, 0, "config.json", key }
#define HEADER(name, from, to, tensor) \
    { name, MODEL, REPLACE, from, to, 0, MODEL, tensor }

static const broken mixtral_rows[] = {
    CONFIG("experts as text", "\"num_local_experts\": 8", "\"num_local_experts\": \"8\"", "num_local_experts"),
    CONFIG("experts a fraction", "\"num_local_experts\": 8", "\"num_local_experts\": 8.5", "num_local_experts"),
    CONFIG("experts below zero", "\"num_local_experts\": 8", "\"num_local_experts\": -8", "num_local_experts"),
    CONFIG("experts beyond 64 bits", "\"num_local_experts\": 8", "\"num_local_experts\": 99999999999999999999", NULL),
    CONFIG("no experts", "\"num_local_experts\": 8,", "", "num_local_experts"),
    CONFIG("hidden size a list", "\"hidden_size\": 96", "\"hidden_size\": [96]", "hidden_size"),
    CONFIG("top_k a truth", "\"num_experts_per_tok\": 2", "\"num_experts_per_tok\": true", "num_experts_per_tok"),
    CONFIG("more chosen than there are", "\"num_experts_per_tok\": 2", "\"num_experts_per_tok\": 9", NULL),
    CONFIG("layers zero", "\"num_hidden_layers\": 1", "\"num_hidden_layers\": 0", "num_hidden_layers"),
    CONFIG("unknown activation", "\"silu\"", "\"sigh\"", "hidden_act"),
    CONFIG("unknown family", "\"model_type\": \"mixtral\"", "\"model_type\": \"martian\"", "martian"),
    CONFIG("unknown family lists known ones", "\"model_type\": \"mixtral\"", "\"model_type\": \"martian\"",
           "qwen3_moe"),
    CONFIG("no family", "\"model_type\": \"mixtral\",", "", "model_type"),
    CONFIG("a key twice", "\"hidden_size\": 96", "\"hidden_size\": 96, \"hidden_size\": 97", "hidden_size"),
    {"config cut short", "config.json", CUT, NULL, NULL, 100, "config.json", NULL},
    {"config empty", "config.json", CUT, NULL, NULL, 0, "config.json", NULL},
    {"config missing", "config.json", DROP, NULL, NULL, 0, "config.json", NULL},
    {"config nested without end", "config.json", DEEP, NULL, NULL, 0, "config.json", NULL},
    {"more experts than tensors", "config.json", REPLACE, "\"num_local_experts\": 8", "\"num_local_experts\": 9", 0,
     MODEL, BLOCK},
    {"other hidden size", "config.json", REPLACE, "\"hidden_size\": 96", "\"hidden_size\": 97", 0, "97", NULL},
    {"other expert size", "config.json", REPLACE, "\"intermediate_size\": 56", "\"intermediate_size\": 57", 0, MODEL,
     "57"},
    {"tensors missing", MODEL, DROP, NULL, NULL, 0, MODEL, NULL},
    {"tensors empty", MODEL, CUT, NULL, NULL, 0, MODEL, NULL},
    {"seven bytes", MODEL, CUT, NULL, NULL, 7, MODEL, NULL},
    {"header cut short", MODEL, CUT, NULL, NULL, 64, MODEL, NULL},
    {"tensors cut short", MODEL, CUT, NULL, NULL, 5000, MODEL, NULL},
    {"header's length lies", MODEL, LENGTH, NULL, NULL, 0, MODEL, NULL},
    HEADER("router missing", "moe.gate.weight", "moe.gate.wright", BLOCK "gate.weight"),
    HEADER("matrix missing", "experts.5.w2.weight", "experts.5.w4.weight", BLOCK "experts.5.w2.weight"),
    HEADER("integers", BLOCK "experts.3.w1.weight\":{\"dtype\":\"F32\"",
           BLOCK "experts.3.w1.weight\":{\"dtype\":\"I32\"", BLOCK "experts.3.w1.weight"),
    HEADER("unknown dtype", BLOCK "experts.3.w1.weight\":{\"dtype\":\"F32\"",
           BLOCK "experts.3.w1.weight\":{\"dtype\":\"X32\"", BLOCK "experts.3.w1.weight"),
    HEADER("shape turned", "\"shape\":[56,96]", "\"shape\":[96,56]", BLOCK),
};

static const broken deepseek_rows[] = {
    {"a part missing", "model-00002-of-00003.safetensors", DROP, NULL, NULL, 0, "model-00002-of-00003.safetensors",
     INDEX},
    {"a part cut short", "model-00002-of-00003.safetensors", CUT, NULL, NULL, 3000, "model-00002-of-00003.safetensors",
     NULL},
    {"a part elsewhere", INDEX, REPLACE, "model-00002-of-00003.safetensors", "../00002-of-00003.safetensors", 0, INDEX,
     "weight_map"},
    {"index missing", INDEX, DROP, NULL, NULL, 0, INDEX, NULL},
    {"index without map", INDEX, REPLACE, "weight_map", "weight_mop", 0, INDEX, "weight_map"},
    CONFIG("groups do not divide", "\"n_group\": 4", "\"n_group\": 3", "n_group"),
};

/* The file with the first `find` replaced. */
static char *replaced(char *all, size_t *bytes, const broken *row) {
    const size_t find = strlen(row->find), replace = strlen(row->replace);
    char *const place = memmem(all, *bytes, row->find, find);
    if (place == NULL) fail_msg("%s: the file has no %s", row->what, row->find);
    const size_t before = (size_t)(place - all), behind = *bytes - before - find;
    char *const made = malloc(*bytes + replace + 1);
    assert_non_null(made);
    memcpy(made, all, before);
    memcpy(made + before, row->replace, replace);
    memcpy(made + before + replace, place + find, behind);
    *bytes = before + replace + behind;
    free(all);
    return made;
}

static char *nested(char *all, size_t *bytes) {
    free(all);
    *bytes = 200000;
    char *const made = malloc(*bytes);
    assert_non_null(made);
    memset(made, '[', *bytes);
    memcpy(made, "{\"model_type\":", 14);
    return made;
}

static void damage(const bench *b, const broken *row) {
    size_t bytes = 0;
    const char *const path = test_path(&b->model, row->file);
    if (row->edit == DROP) {
        assert_int_equal(unlink(path), 0);
        return;
    }
    char *all = read_whole(path, &bytes);
    assert_non_null(all);
    switch (row->edit) {
        case REPLACE: all = replaced(all, &bytes, row); break;
        case CUT: bytes = row->keep; break;
        case DEEP: all = nested(all, &bytes); break;
        case LENGTH: memset(all, 0xff, 8); break;
        default: break;
    }
    (void)test_file(&b->model, row->file, all, bytes);
    free(all);
}

static void break_each(const char *golden_name, const char *layer, const broken *rows, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        bench b = bench_new(golden_name);
        damage(&b, &rows[i]);
        refused(run(&b, layer), 2, rows[i].what, rows[i].text, rows[i].more);
        refused(COMMAND(CLMOE_RUN_PROGRAM, b.path, "--list"), 2, rows[i].what, rows[i].text, rows[i].more);
        bench_free(&b);
    }
}

static void broken_files(void **state) {
    (void)state;
    break_each("mixtral", "0", mixtral_rows, sizeof mixtral_rows / sizeof *mixtral_rows);
    break_each("deepseek_v3", "1", deepseek_rows, sizeof deepseek_rows / sizeof *deepseek_rows);
}

/* Numbers are read when they are packed, so this one opens the device. */
static void not_finite(void **state) {
    (void)state;
    static const float values[] = {NAN, INFINITY};
    golden g = golden_open("mixtral");
    const golden_tensor *const router = golden_find(&g, BLOCK "gate.weight");
    for (size_t i = 0; i < sizeof values / sizeof *values; ++i) {
        bench b = bench_new("mixtral");
        size_t bytes = 0;
        char *const all = read_whole(test_path(&b.model, MODEL), &bytes);
        char *const place = memmem(all, bytes, router->data, 64);
        assert_non_null(place);
        memcpy(place + 4 * 100, &values[i], 4);
        (void)test_file(&b.model, MODEL, all, bytes);
        free(all);
        refused(run(&b, "0"), 2, "not finite", MODEL, BLOCK "gate.weight");
        bench_free(&b);
    }
    golden_close(&g);
}

static void wrong_layers(void **state) {
    (void)state;
    bench b = bench_new("deepseek_v3");
    refused(run(&b, "0"), 2, "a dense layer", b.path, "layer");
    refused(run(&b, "2"), 2, "past the end", b.path, "layer");
    refused(run(&b, "4294967295"), 2, "far past the end", b.path, "layer");
    refused(COMMAND(CLMOE_RUN_PROGRAM, test_path(&b.out, "none"), "--list"), 2, "no folder", "none", NULL);
    refused(COMMAND(CLMOE_RUN_PROGRAM, b.out.path, "--list"), 2, "an empty folder", b.out.path, NULL);
    bench_free(&b);
}

/* ------------------------------------------------------------------------------------- input and output */

#define X(name, type, shape, end) \
    "{\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[0," end "]}}"

static void wrong_inputs(void **state) {
    (void)state;
    static const struct {
        const char *header;
        size_t bytes;
        const char *text;
    } rows[] = {
        {X("hidden", "F32", "[2,96]", "768"), 768, "hidden_states is missing; the file holds hidden"},
        {X("a\\nb\\u001b", "F32", "[2,96]", "768"), 768, "holds a?b?"},
        {X("hidden_states", "I32", "[2,96]", "768"), 768, "hidden_states is I32"},
        {X("hidden_states", "F8_E4M3", "[2,96]", "192"), 192, "hidden_states is F8_E4M3"},
        {X("hidden_states", "F32", "[192]", "768"), 768, "[192]"},
        {X("hidden_states", "F32", "[1,1,2,96]", "768"), 768, "[1, 1, 2, 96]"},
        {X("hidden_states", "F32", "[2,95]", "760"), 760, "[2, 95]"},
        {X("hidden_states", "F32", "[2,96]", "768"), 767, "hidden_states"},
        {X("hidden_states", "F32", "[1152921504606846976,16,96]", "768"), 768, "hidden_states"},
        {"{}", 0, "hidden_states is missing"},
        {"[]", 0, "x.safetensors"},
    };
    bench b = bench_new("mixtral");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        (void)snprintf(b.input, sizeof b.input, "%s",
                       test_tensors(&b.model, "x.safetensors", rows[i].header, rows[i].bytes));
        refused(run(&b, "0"), 2, rows[i].header, "x.safetensors", rows[i].text);
    }
    (void)snprintf(b.input, sizeof b.input, "%s", test_path(&b.model, "none.safetensors"));
    refused(run(&b, "0"), 2, "no input", "none.safetensors", NULL);
    (void)snprintf(b.input, sizeof b.input, "%s", test_path(&b.model, MODEL));
    refused(run(&b, "0"), 2, "a model as input", MODEL, "hidden_states");
    bench_free(&b);
}

/* The file is as it was afterwards. */
static void keeps(bench *b, const char *output, const char *text) {
    size_t before = 0, after = 0;
    (void)snprintf(b->output, sizeof b->output, "%s", output);
    const size_t files = test_folder_count(&b->model);
    char *const old = read_whole(output, &before);
    refused(run(b, "0"), 2, output, text, "--output");
    char *const now = read_whole(output, &after);
    assert_int_equal(before, after);
    if (old != NULL) assert_memory_equal(old, now, before);
    assert_int_equal(test_folder_count(&b->model), files);
    free(old);
    free(now);
}

static void wrong_outputs(void **state) {
    (void)state;
    char path[600];
    bench b = bench_new("mixtral");
    keeps(&b, test_path(&b.model, "input.safetensors"), "--input");
    keeps(&b, test_path(&b.model, "./input.safetensors"), "--input");
    keeps(&b, test_path(&b.model, MODEL), "a file of the model");
    keeps(&b, test_path(&b.model, "config.json"), "a file of the model");
    assert_int_equal(symlink(b.input, test_path(&b.model, "link")), 0);
    keeps(&b, test_path(&b.model, "link"), "--input");
    const char *const bad[][2] = {{test_path(&b.out, "none/y.safetensors"), "not a folder"},
                                  {test_path(&b.model, "config.json/y"), "not a folder"},
                                  {test_path(&b.out, ""), "is a folder"},
                                  {b.out.path, "is a folder"},
                                  {"/dev/null", "not a regular file"},
                                  {"", "--output"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        (void)snprintf(path, sizeof path, "%s", bad[i][0]);
        refused(COMMAND(CLMOE_RUN_PROGRAM, b.path, "--layer", "0", "--input", b.input, "--output", path), 2, path,
                bad[i][1], path);
    }
    bench_free(&b);
}

/* -------------------------------------------------------------------------------------------- command line */

static void wrong_usage(void **state) {
    (void)state;
    static const struct {
        const char *arguments[8];
        const char *text;
    } rows[] = {
        {{NULL}, "MODEL"},
        {{"--list"}, "MODEL is missing"},
        {{"", "--list"}, "MODEL is empty"},
        {{"m"}, "--layer"},
        {{"m", "--layer", "0"}, "--input"},
        {{"m", "--layer", "0", "--input", "x"}, "--output"},
        {{"m", "--layer", "x"}, "--layer is 'x'"},
        {{"m", "--layer", "-1"}, "--layer is '-1'"},
        {{"m", "--layer", ""}, "--layer is ''"},
        {{"m", "--layer", "4294967296"}, "4294967295"},
        {{"m", "--layer"}, "layer"},
        {{"m", "--weights", "int9"}, "--weights is 'int9', expected f32, f16"},
        {{"m", "--weights"}, "weights"},
        {{"m", "n", "--list"}, "'n'"},
        {{"m", "--list", "--layer", "0"}, "--list"},
        {{"m", "--nonsense"}, "nonsense"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        refused(command_run(CLMOE_RUN_PROGRAM, rows[i].arguments), 2, rows[i].text, rows[i].text, NULL);
    }
    const command_result *const help = COMMAND(CLMOE_RUN_PROGRAM, "--help");
    assert_int_equal(help->status, 0);
    assert_non_null(strstr(help->out, "--weights=FORMAT"));
    assert_int_equal(COMMAND(CLMOE_RUN_PROGRAM, "--version")->status, 0);
}

/* Neither usage nor a file: status 1. */
static void no_device(void **state) {
    (void)state;
    bench b = bench_new("mixtral");
    const command_result *const got = COMMAND(CLMOE_RUN_PROGRAM, b.path, "--layer", "0", "--input", b.input, "--output",
                                              b.output, "--device", "no such device");
    refused(got, 1, "no such device", "no such device", NULL);
    bench_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_usage),  cmocka_unit_test(broken_files), cmocka_unit_test(not_finite),
        cmocka_unit_test(wrong_layers), cmocka_unit_test(wrong_inputs), cmocka_unit_test(wrong_outputs),
        cmocka_unit_test(no_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
