/* What clmoe-run takes and gives beyond the golden cases: inputs in bf16 and f16, of rank 3, without tokens; outputs
 * over an older file; what is printed when. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "files.h"
#include "golden.h"
#include "model/model.h"
#include "support.h"

#define MODEL CLMOE_TEST_DATA "/golden/hf/mixtral"
enum { TOKENS = 6, HIDDEN = 96, EXPERTS = 8, TOP_K = 2 };

/* A fresh folder, an input file of a shape and format, and the path of an output. Values are the golden input's,
 * rounded to bf16 and then to f16, so that all formats hold the same ones. */
typedef struct files {
    test_folder folder;
    char input[300], output[300];
} files;

static files files_new(const char *dtype, uint32_t format, uint32_t rank, uint64_t first, uint64_t second) {
    files f = {.folder = test_folder_new()};
    golden g = golden_open("mixtral");
    const float *const values = golden_find(&g, "hidden_states")->data;
    uint32_t x[TOKENS * HIDDEN] = {0};
    uint16_t pair[2];
    for (size_t i = 0; i < TOKENS * HIDDEN; ++i) {
        test_store(pair, CLMOE_BF16, 0, (double)values[i]);
        test_store(pair, CLMOE_F16, 1, test_load(pair, CLMOE_BF16, 0));
        test_store(pair, CLMOE_BF16, 0, test_load(pair, CLMOE_F16, 1));
        test_store(x, format, i, test_load(pair, CLMOE_BF16, 0));
    }
    golden_close(&g);
    clmoe_error error = {0};
    clmoe__out_tensor tensor = {"hidden_states", dtype, rank, {first, second, HIDDEN}, x};
    if (rank == 2) tensor.shape[1] = HIDDEN;
    (void)snprintf(f.input, sizeof f.input, "%s", test_path(&f.folder, "x.safetensors"));
    (void)snprintf(f.output, sizeof f.output, "%s", test_path(&f.folder, "y.safetensors"));
    OK(clmoe__safetensors_write(f.input, &tensor, 1, &error));
    return f;
}

static const command_result *run(const files *f, const char *option) {
    const command_result *const result =
        COMMAND(CLMOE_RUN_PROGRAM, MODEL, "--layer", "0", "--input", f->input, "--output", f->output, option);
    if (result->status != 0) fail_msg("status %d: %s", result->status, result->err);
    assert_string_equal(result->err, "");
    return result;
}

static clmoe__checkpoint *open_output(const files *f) {
    clmoe_error error = {0};
    clmoe__checkpoint *file = NULL;
    OK(clmoe__checkpoint_open(f->output, &file, &error));
    return file;
}

/* A tensor of the output, its leading dimensions checked (the list ends with the last of `rank`). */
static const void *tensor(const clmoe__checkpoint *file, const char *name, uint32_t rank, const uint64_t *shape) {
    const clmoe__file_tensor *const t = clmoe__checkpoint_find(file, name);
    assert_non_null(t);
    assert_int_equal(t->rank, rank);
    assert_memory_equal(t->shape, shape, rank * sizeof *shape);
    return t->data;
}

/* Every way to write the same tokens gives the same bits. */
static void formats_and_ranks(void **state) {
    (void)state;
    static const struct {
        const char *dtype;
        uint32_t format, rank;
        uint64_t first, second;
    } rows[] = {
        {"F32", CLMOE_F32, 2, TOKENS, 0}, {"BF16", CLMOE_BF16, 2, TOKENS, 0},     {"F16", CLMOE_F16, 2, TOKENS, 0},
        {"F32", CLMOE_F32, 3, 1, TOKENS}, {"BF16", CLMOE_BF16, 3, 2, TOKENS / 2},
    };
    float first[TOKENS * HIDDEN];
    int32_t index[TOKENS * TOP_K];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        files f = files_new(rows[i].dtype, rows[i].format, rows[i].rank, rows[i].first, rows[i].second);
        (void)run(&f, "--quiet");
        clmoe__checkpoint *const file = open_output(&f);
        const uint64_t flat[] = {TOKENS, HIDDEN}, deep[] = {rows[i].first, rows[i].second, HIDDEN};
        const uint64_t routes[] = {TOKENS, TOP_K};
        const float *const out = tensor(file, "output", rows[i].rank, rows[i].rank == 2 ? flat : deep);
        const int32_t *const chosen = tensor(file, "expert_index", 2, routes);
        (void)tensor(file, "expert_weight", 2, routes);
        if (i == 0) {
            memcpy(first, out, sizeof first);
            memcpy(index, chosen, sizeof index);
        }
        assert_memory_equal(out, first, sizeof first);
        assert_memory_equal(chosen, index, sizeof index);
        clmoe__checkpoint_close(file);
        test_folder_free(&f.folder);
    }
}

static void no_tokens(void **state) {
    (void)state;
    static const int32_t nothing[EXPERTS];
    files f = files_new("F32", CLMOE_F32, 2, 0, 0);
    (void)run(&f, "--quiet");
    clmoe__checkpoint *const file = open_output(&f);
    const uint64_t out[] = {0, HIDDEN}, routes[] = {0, TOP_K}, load[] = {EXPERTS};
    (void)tensor(file, "output", 2, out);
    (void)tensor(file, "expert_index", 2, routes);
    (void)tensor(file, "expert_weight", 2, routes);
    assert_memory_equal(tensor(file, "expert_load", 1, load), nothing, sizeof nothing);
    clmoe__checkpoint_close(file);
    test_folder_free(&f.folder);
}

static void replaces_older_files(void **state) {
    (void)state;
    files f = files_new("F32", CLMOE_F32, 2, TOKENS, 0);
    (void)test_file(&f.folder, "y.safetensors", "old", 3);
    assert_string_equal(run(&f, "--quiet")->out, "");
    clmoe__checkpoint_close(open_output(&f));
    assert_int_equal(test_folder_count(&f.folder), 2);
    test_folder_free(&f.folder);
}

static void says_what_it_did(void **state) {
    (void)state;
    files f = files_new("BF16", CLMOE_BF16, 2, TOKENS, 0);
    const char *const text = run(&f, NULL)->out; /* NULL ends the arguments early */
    assert_non_null(strstr(text, "mixtral layer 0: 8 experts"));
    assert_non_null(strstr(text, "6 tokens, f32 weights"));
    assert_non_null(strstr(text, f.output));
    const char *const json = run(&f, "--json")->out;
    assert_int_equal(json[0], '{');
    assert_non_null(strstr(json, "\"input_format\": \"bf16\""));
    test_folder_free(&f.folder);
}

/* A disk that is full: what fails is not a file of the user's, so the status is 1; nothing half-written stays. The
 * limit on the size of files, 3 or 6 MiB by the shell, leaves room for what the OpenCL driver keeps. */
static void full_disk(void **state) {
    (void)state;
    files f = files_new("F32", CLMOE_F32, 2, TOKENS, 0);
    enum { MANY = 20000 };
    char *const x = calloc(MANY, HIDDEN * 4);
    assert_non_null(x);
    clmoe_error error = {0};
    const clmoe__out_tensor many = {"hidden_states", "F32", 2, {MANY, HIDDEN}, x};
    OK(clmoe__safetensors_write(f.input, &many, 1, &error));
    free(x);
    char script[2048];
    (void)snprintf(script, sizeof script,
                   "trap '' XFSZ; ulimit -f 6144; exec '%s' '%s' --layer 0 --input '%s' --output '%s' --quiet",
                   CLMOE_RUN_PROGRAM, MODEL, f.input, f.output);
    const command_result *const result = COMMAND("/bin/sh", "-c", script);
    if (result->status != 1 || strstr(result->err, "y.safetensors") == NULL)
        fail_msg("status %d: %s", result->status, result->err);
    assert_int_equal(test_folder_count(&f.folder), 1);
    test_folder_free(&f.folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_and_ranks), cmocka_unit_test(no_tokens), cmocka_unit_test(replaces_older_files),
        cmocka_unit_test(says_what_it_did),  cmocka_unit_test(full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
