/* `clmoe-bench report`: runs the set of measurements, or reads earlier ones, and writes tables, pictures and a page.
 * Calls POSIX; the measurements are processes of their own (report_set.c). */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "common/args_parts.h"
#include "common/tool.h"
#include "plot.h"
#include "report_files.h"
#include "report_set.h"

#define MAX_FILES 64
#define MAX_WORDS 16 /* of the options for all steps; twice as many fit */

/* ---------------------------------------------------------------------------------------------- command line */

enum { KEY_FROM = KEY_OWN, KEY_QUICK };

/* What the steps are given, word by word. */
static struct {
    const char *folder, *weights;
    const char *files[MAX_FILES];
    size_t file_count;
    int quick;
    const char *words[2 * MAX_WORDS];
    size_t word_count;
} given;

static const struct argp_option options[] = {
    SHAPE_OPTIONS,
    {"weights", 'w', "LIST", 0, "formats of the weights in every measurement (default: each one's own), or all:", 0},
    {"quick", KEY_QUICK, NULL, 0, "a small shape and short times: under a minute, to see that all works", 0},
    {"from", KEY_FROM, "FILE[,FILE]", 0, "measure nothing, read these results; may be given more than once", 0},
    SEED_OPTION,
    {0}};

static error_t add_file(struct argp_state *state, char *part) {
    if (given.file_count == MAX_FILES) return wrong(state, "--from takes at most %d files", MAX_FILES);
    if (part[0] == '\0') return wrong(state, "--from has an empty name, expected files");
    given.files[given.file_count++] = part;
    return 0;
}

/* An option that every step gets as it is. */
static error_t pass_on(int key, const char *option, char *text, struct argp_state *state) {
    if (given.word_count + 2 > MAX_WORDS) return wrong(state, "%s is one option too many, expected each once", option);
    given.words[given.word_count++] = option;
    given.words[given.word_count++] = strdup(text); /* the parser cuts lists up */
    return parse_layer(key, text, state);
}

static error_t finish(struct argp_state *state) {
    static const char *const quick[] = {"--hidden-size", "256", "--intermediate-size", "128", "--experts", "16",
                                        "--top-k",       "4"};
    const tool_args *args = state->input;
    const int no_shape = args->model_count == 0 && args->custom.hidden_size == 0;
    const error_t error = parse_layer(ARGP_KEY_END, NULL, state);
    if (error != 0) return error;
    if (args->model_count != 1) return wrong(state, "--model has %zu names, expected one", args->model_count);
    if (given.folder == NULL) return wrong(state, "no folder, expected the name of one to write");
    for (size_t i = 0; given.quick && no_shape && i < COUNT_OF(quick); i++) given.words[given.word_count++] = quick[i];
    return 0;
}

static error_t parse(int key, char *text, struct argp_state *state) {
    switch (key) {
        case ARGP_KEY_ARG:
            if (given.folder != NULL) return wrong(state, "unexpected argument '%s', expected one folder", text);
            given.folder = text;
            return 0;
        case KEY_FROM: return each(state, text, add_file);
        case KEY_QUICK: given.quick = 1; return 0;
        case 'w': given.weights = strdup(text); return parse_layer(key, text, state);
        case 'm': return pass_on(key, "--model", text, state);
        case KEY_HIDDEN: return pass_on(key, "--hidden-size", text, state);
        case KEY_INTERMEDIATE: return pass_on(key, "--intermediate-size", text, state);
        case KEY_EXPERTS: return pass_on(key, "--experts", text, state);
        case KEY_TOP_K: return pass_on(key, "--top-k", text, state);
        case KEY_SEED: return pass_on(key, "--seed", text, state);
        case ARGP_KEY_END: return finish(state);
        default: return parse_layer(key, text, state);
    }
}

int report_args(int argc, char **argv, tool_args *args) {
    static const struct argp argp = {
        options,
        parse,
        "DIR",
        "Measures latency, memory, scaling, expert load and the limits of the device, each by the subcommand of that "
        "name, and writes into DIR: results.json, results.csv, pictures (PNG, by gnuplot) and report.html, one file "
        "with everything in it."
        "\vExample: clmoe-bench report out --model olmoe\n"
        "         clmoe-bench report out --from layer.json,scaling.json",
        common_child,
        layer_help,
        NULL};
    *args = (tool_args){.seed = 1, .custom = model_by_numbers()};
    memset(&given, 0, sizeof given);
    return argp_parse(&argp, argc, argv, 0, NULL, args) != 0 ? 2 : 0;
}

/* --------------------------------------------------------------------------------------------------- the work */

static int make_folder(const char *folder) {
    struct stat info;
    if (mkdir(folder, 0777) == 0) return 0;
    if (errno == EEXIST && stat(folder, &info) == 0 && S_ISDIR(info.st_mode)) return 0;
    return complain("%s: %s", folder, strerror(errno));
}

static int draw_all(const result_set *set, const char *folder) {
    int failed = 0;
    for (size_t i = 0; i < plot_count; i++) {
        const int result = plot_draw(&plots[i], set, folder);
        if (result == 2) printf("%s: not drawn, no results of clmoe-bench %s\n", plots[i].file, plots[i].command);
        failed |= result == 1;
    }
    return failed;
}

static int measure(const tool_args *args, report_run *run, result_set *set) {
    const char **words = given.words;
    if (args->device != NULL) {
        words[given.word_count++] = "--device";
        words[given.word_count++] = args->device;
    }
    if (args->quiet) words[given.word_count++] = "--quiet";
    run->folder = given.folder;
    run->quick = given.quick;
    run->weights = given.weights;
    run->common = words;
    return report_set_run(run, set);
}

static int read_files(result_set *set) {
    for (size_t i = 0; i < given.file_count; i++) {
        if (result_set_add(set, given.files[i])) return 1;
    }
    return 0;
}

int report_command(const tool_args *args) {
    static report_run run;
    const char *commands[MAX_STEPS + 1] = {NULL};
    char json[4096];
    result_set set = {.count = 0};
    if (plot_ready() || make_folder(given.folder)) return 1;
    int failed = given.file_count != 0 ? read_files(&set) : measure(args, &run, &set);
    if (set.count == 0) return complain("no results, no report");
    snprintf(json, sizeof json, "%s/results.json", given.folder);
    for (size_t i = 0; i < run.count; i++) commands[i] = run.commands[i];
    failed |= draw_all(&set, given.folder);
    failed |= write_results_json(&set, json) || write_results_csv(&set, given.folder) ||
              write_report_page(&set, given.folder, commands);
    if (args->json != NULL) failed |= write_results_json(&set, args->json);
    if (!failed) printf("%s/report.html\n", given.folder);
    result_set_free(&set);
    return failed;
}
