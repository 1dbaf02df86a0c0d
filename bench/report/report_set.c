/* The measurements of `clmoe-bench report`; see report_set.h. Calls Linux. */
#define _POSIX_C_SOURCE 200809L
#include "report_set.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/tool.h"

#define MAX_ARGUMENTS 64

/* A step: the subcommand, its formats unless report has --weights, and its options beside its defaults. */
static const struct step {
    const char *command, *weights;
    int one_format; /* it takes the first of report's --weights */
    const char *options[8];
} full[] =
    {
        {"variants", "f32", 0, {"--tokens", "1,16,128,512"}},
        {"layer", "f32,bf16,q8_0,q4_0", 0, {"--tokens", "1,8,64,512"}},
        {"scaling", "f32,bf16", 0, {"--over", "tokens", "--tokens", "1,4,16,64,256,1024,4096"}},
        {"balance", "bf16", 0, {NULL}},
        {"memory", "f32,bf16", 0, {"--tokens", "64,2048"}},
        {"serve", "bf16", 1, {NULL}},
        {"cost", "bf16", 1, {NULL}},
},
  quick[] = {
      {"variants", "f32", 0, {"--tokens", "64", "--seconds", "0.1"}},
      {"layer", "f32,bf16", 0, {"--tokens", "1,64", "--seconds", "0.1"}},
      {"scaling", "f32", 0, {"--over", "tokens", "--tokens", "1,8,64", "--seconds", "0.05"}},
      {"balance", "f32", 0, {"--tokens", "64", "--seconds", "0.05"}},
      {"memory", "f32,bf16", 0, {"--tokens", "64,2048"}},
      {"serve", "bf16", 1, {"--requests", "60"}},
      {"cost", "bf16", 1, {"--tokens", "64", "--seconds", "0.1"}},
};

/* 0, or 1 after a complaint. */
static int run_program(const char *const *arguments) {
    const int status = child_run("/proc/self/exe", arguments, STDIN_FILENO);
    return status == 0 ? 0 : complain("%s ended with status %d", arguments[1], status);
}

/* Adds options up to the NULL. */
static size_t add_options(const char **arguments, size_t count, const char *const *options) {
    for (size_t i = 0; options[i] != NULL && count + 4 < MAX_ARGUMENTS; i++) arguments[count++] = options[i];
    return count;
}

static void note_command(report_run *run, const char *const *arguments, size_t count) {
    char *line = run->commands[run->count++];
    size_t used = 0;
    for (size_t i = 0; i < count && used < sizeof run->commands[0]; i++) {
        const int added =
            snprintf(line + used, sizeof run->commands[0] - used, "%s%s", i == 0 ? "" : " ", arguments[i]);
        used += added > 0 ? (size_t)added : 0;
    }
    printf("%s\n", line);
}

static int run_step(report_run *run, const struct step *step, result_set *set) {
    const char *arguments[MAX_ARGUMENTS] = {"clmoe-bench", step->command};
    char path[4096];
    const int length = snprintf(path, sizeof path, "%s/%s.json", run->folder, step->command);
    if (length < 0 || (size_t)length >= sizeof path) return complain("the path %.64s... is too long", run->folder);
    size_t count = add_options(arguments, add_options(arguments, 2, step->options), run->common);
    char weights[256];
    snprintf(weights, sizeof weights, "%s", run->weights != NULL ? run->weights : step->weights);
    if (step->one_format) weights[strcspn(weights, ",")] = '\0';
    arguments[count++] = "--weights";
    arguments[count++] = weights;
    note_command(run, arguments, count);
    arguments[count++] = "--json";
    arguments[count++] = path;
    if (unlink(path) != 0 && errno != ENOENT) return complain("%s: %s", path, strerror(errno));
    return run_program(arguments) || result_set_add(set, path);
}

int report_set_run(report_run *run, result_set *set) {
    int failed = 0;
    const struct step *steps = run->quick ? quick : full;
    const size_t count = run->quick ? COUNT_OF(quick) : COUNT_OF(full);
    for (size_t i = 0; i < count; i++) failed |= run_step(run, &steps[i], set);
    return failed;
}
