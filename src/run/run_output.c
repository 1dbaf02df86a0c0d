/* The output file: checked before any work, written at the end, whole or not at all. Calls src/model and POSIX. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run.h"

static int same_file(const struct stat *a, const char *path) {
    struct stat b;
    return stat(path, &b) == 0 && a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

static int holds(const clmoe__checkpoint *files, const struct stat *output) {
    const char *last = "";
    if (same_file(output, clmoe__checkpoint_path(files))) return 1;
    for (uint64_t i = 0; i < clmoe__checkpoint_count(files); i++) {
        const char *file = clmoe__checkpoint_at(files, i)->file;
        if (strcmp(file, last) != 0 && same_file(output, file)) return 1;
        last = file;
    }
    return 0;
}

/* Writing over a file that is being read would take it from the user. */
static const char *is_read(const struct stat *output, const run_input *input, const clmoe_model *model) {
    if (holds(input->file, output)) return "--input";
    return holds(model->checkpoint, output) || same_file(output, model->config_path) ? "a file of the model" : NULL;
}

static int check_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    struct stat stats;
    if (folder == NULL) return complain("out of memory");
    int status = 0;
    if (slash != NULL && slash[1] == '\0') {
        status = run_refused(path, "--output is a folder, expected a file");
    } else if (stat(folder, &stats) != 0 || !S_ISDIR(stats.st_mode)) {
        status = run_refused(path, "--output is to be written into %s, which is not a folder", folder);
    } else if (access(folder, W_OK | X_OK) != 0) {
        status = run_refused(path, "--output is to be written into %s, which is not writable", folder);
    }
    free(folder);
    return status;
}

int run_output_check(const run_args *args, const run_input *input, const clmoe_model *model) {
    struct stat stats;
    if (args->output[0] == '\0') return run_refused("--output", "the name is empty");
    const int status = check_folder(args->output);
    if (status != 0 || stat(args->output, &stats) != 0) return status;
    if (S_ISDIR(stats.st_mode)) return run_refused(args->output, "--output is a folder, expected a file");
    if (!S_ISREG(stats.st_mode))
        return run_refused(args->output, "--output is not a regular file, expected one or a new name");
    const char *what = is_read(&stats, input, model);
    if (what != NULL) return run_refused(args->output, "--output is %s as well, expected another file", what);
    return 0;
}

void run_result_free(run_result *result) {
    free(result->out);
    free(result->index);
    free(result->weight);
    free(result->load);
    *result = (run_result){0};
}

int run_output_write(const char *path, const run_input *input, const run_result *result) {
    const clmoe__file_tensor *x = input->x;
    clmoe__out_tensor tensors[] = {
        {.name = "output", .dtype = "F32", .rank = x->rank, .data = result->out},
        {.name = "expert_index",
         .dtype = "I32",
         .rank = 2,
         .shape = {result->tokens, result->slots},
         .data = result->index},
        {.name = "expert_weight",
         .dtype = "F32",
         .rank = 2,
         .shape = {result->tokens, result->slots},
         .data = result->weight},
        {.name = "expert_load", .dtype = "I32", .rank = 1, .shape = {result->classes}, .data = result->load},
    };
    memcpy(tensors[0].shape, x->shape, sizeof tensors[0].shape);
    clmoe_error error = {.struct_size = sizeof error};
    if (clmoe__safetensors_write(path, tensors, COUNT_OF(tensors), &error) == CLMOE_OK) return 0;
    run_failed(path, &error);
    return 1; /* a full disk is no mistake of the user's files */
}
