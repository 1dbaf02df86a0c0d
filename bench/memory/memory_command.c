/* `clmoe-bench memory`: what layers take of the device's memory, predicted and measured, beside what a layer from
 * separate kernels would take. Where the weights do not fit, or with --predict, nothing is allocated. See
 * memory_row.h. */
#include <stdio.h>

#include "commands.h"
#include "common/args_parts.h"
#include "common/tool.h"
#include "common/weight_formats.h"
#include "device/json_report.h"
#include "memory_report.h"
#include "progress.h"

#define STAGING_BYTES ((uint64_t)64 << 20) /* what the library takes while it packs */
#define AGREED        0.01                 /* prediction and measurement may differ by */

enum { KEY_PREDICT = KEY_OWN };

typedef struct memory_bench {
    const tool_args *args;
    session s;
    json_t *rows; /* NULL: no file is wanted */
    int failed;
} memory_bench;

/* --------------------------------------------------------------------------------------------------- running */

/* Whether there is room to make it; a line if not. */
static int fits(const memory_bench *b, const memory_row *row) {
    const uint64_t usable = memory_available(&b->s) / 10 * 9;
    const uint64_t needed = predicted_total(row) + pool_bytes(row->shape, row->format) + STAGING_BYTES;
    if (b->args->predict) return 0;
    if (usable == 0 || needed <= usable) return 1;
    progress_clear();
    printf("%s %s: needs %.1f GiB, %.1f GiB can be had: predicted only\n", row->shape->name, format_name(row->format),
           (double)needed / 0x1p30, (double)usable / 0x1p30);
    return 0;
}

static int run_row(memory_bench *b, const model *m, uint32_t format, uint32_t tokens) {
    memory_row row = {
        .shape = m, .format = format, .arithmetic = b->args->arithmetic, .tokens = tokens, .seed = b->args->seed};
    progress("%s %s, %u tokens", m->name, format_name(format), tokens);
    if (memory_row_predict(&b->s, &row)) return 1;
    if (fits(b, &row) && memory_row_measure(b->args->device, &row)) return 1;
    progress_clear();
    memory_print(&row);
    if (b->rows != NULL) memory_add_json(b->rows, &row);
    if (memory_deviation(&row) <= AGREED) return 0;
    return complain("%s %s, %u tokens: prediction and measurement differ by %.1f%%, expected at most %.0f%%", m->name,
                    format_name(format), tokens, 100 * memory_deviation(&row), 100 * AGREED);
}

/* Whether these weights can exist; 0 and a line if not. */
static int is_possible(const memory_bench *b, const model *m, uint32_t format) {
    const uint32_t lengths[] = {m->hidden_size, m->intermediate_size, m->shared_size};
    char why[160];
    if (weight_format_allows(format, b->args->arithmetic, lengths, COUNT_OF(lengths), why, sizeof why)) return 1;
    printf("%s %s: %s: skipped\n", m->name, format_name(format), why);
    return 0;
}

static void run_all(memory_bench *b) {
    const tool_args *args = b->args;
    for (size_t m = 0; m < args->model_count; m++) {
        for (size_t f = 0; f < args->format_count; f++) {
            if (!is_possible(b, args->models[m], args->formats[f])) continue;
            for (size_t t = 0; t < args->token_count; t++)
                b->failed |= run_row(b, args->models[m], args->formats[f], args->tokens[t]);
        }
    }
}

int memory_command(const tool_args *args) {
    memory_bench b = {.args = args};
    progress_start(args->quiet);
    const int refused = session_open(args->device, &b.s);
    if (refused) return refused;
    json_t *root = args->json != NULL ? json_report_start("memory", &b.s, NULL) : NULL;
    if (root != NULL) b.rows = put_list(root, "rows");
    printf("%s\n", b.s.name);
    run_all(&b);
    progress_clear();
    if (args->json != NULL) b.failed |= json_report_write(args->json, root);
    session_close(&b.s);
    return b.failed;
}

/* ------------------------------------------------------------------------------------------- command line */

static error_t parse(int key, char *text, struct argp_state *state) {
    tool_args *args = state->input;
    switch (key) {
        case KEY_PREDICT: args->predict = 1; return 0;
        default: return parse_layer(key, text, state);
    }
}

int memory_args(int argc, char **argv, tool_args *args) {
    static const struct argp_option options[] = {
        SHAPE_OPTIONS,
        {"tokens", 't', "LIST", 0, "tokens of a forward (default 512)", 0},
        {"weights", 'w', "LIST", 0, "formats of the weights (default bf16), or all:", 0},
        ARITHMETIC_OPTION,
        {"predict", KEY_PREDICT, NULL, 0, "predict only; nothing is allocated", 0},
        SEED_OPTION,
        {0}};
    static const struct argp argp = {
        options,
        parse,
        NULL,
        "What layers take of the device's memory: weights, padding, workspace by buffer. Predicted from the "
        "description, measured beside it where there is room, and compared with a layer from separate kernels, which "
        "gathers its inputs and keeps both projections.\v"
        "Example: clmoe-bench memory --model olmoe,deepseek-v3 --weights bf16,q4_K --tokens 1,4096 --json memory.json",
        common_child,
        layer_help,
        NULL};
    *args = (tool_args){.seed = 1, .custom = model_by_numbers(), .tokens = {512}, .token_count = 1};
    args->formats[0] = CLMOE_BF16;
    args->format_count = 1;
    return argp_parse(&argp, argc, argv, 0, NULL, args) != 0 ? 2 : 0;
}
