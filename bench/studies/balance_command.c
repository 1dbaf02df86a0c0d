/* `clmoe-bench balance`: how evenly experts are used under several distributions of routes, and what unevenness
 * costs in time. The layer is one and the same; only the logits that it is given differ. Calls the library through
 * session and device_layer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance.h"
#include "commands.h"
#include "common/args_parts.h"
#include "common/tool.h"
#include "common/weight_formats.h"
#include "device/device_limits.h"
#include "layer/layer_row.h"
#include "layer/possible.h"
#include "layer/row_json.h"
#include "progress.h"

enum { KEY_ZIPF = KEY_OWN, KEY_LOGITS };

#define MOST_LOGIT_BYTES ((uint64_t)256 << 20)

static error_t add_zipf(struct argp_state *state, char *part) {
    tool_args *args = state->input;
    if (args->balance.zipf_count == MAX_ZIPFS) return wrong(state, "--zipf takes at most %d numbers", MAX_ZIPFS);
    return real(state, "--zipf", part, 0.01, 10, &args->balance.zipf[args->balance.zipf_count++]);
}

static error_t parse(int key, char *text, struct argp_state *state) {
    tool_args *args = state->input;
    switch (key) {
        case KEY_ZIPF: args->balance.zipf_count = 0; return each(state, text, add_zipf);
        case KEY_LOGITS: args->balance.logits = text; return 0;
        default: return parse_layer(key, text, state);
    }
}

int balance_args(int argc, char **argv, tool_args *args) {
    static const struct argp_option options[] = {
        SHAPE_OPTIONS,
        {"zipf", KEY_ZIPF, "LIST", 0, "exponents of Zipf's law, 0.01 to 10 (default 0.5,1,2)", 0},
        {"logits", KEY_LOGITS, "FILE", 0,
         "router logits [rows, experts] beside these: safetensors (the tensor logits, or the only one), or bare f32",
         0},
        {"tokens", 't', "LIST", 0, "tokens of a forward (default 512)", 0},
        {"weights", 'w', "LIST", 0, "formats of the weights (default bf16), or all:", 0},
        ARITHMETIC_OPTION,
        {"seconds", 's', "S", 0, "seconds a row is timed for at most (default 2)", 0},
        SEED_OPTION,
        {0}};
    static const struct argp argp = {options,
                                     parse,
                                     NULL,
                                     "Counts how a layer's experts are used when routes are uniform, follow Zipf's law "
                                     "or a file's logits, and times what "
                                     "unevenness costs. max/mean, active and idle are of single forwards, `overall` "
                                     "and entropy of all timed ones together.\v"
                                     "Example: clmoe-bench balance --tokens 64,512 --zipf 1 --json balance.json",
                                     common_child,
                                     layer_help,
                                     NULL};
    static const double zipf[] = {0.5, 1, 2};
    *args = (tool_args){.seconds = 2, .seed = 1, .custom = model_by_numbers()};
    args->tokens[0] = 512;
    args->token_count = 1;
    args->formats[0] = CLMOE_BF16;
    args->format_count = 1;
    memcpy(args->balance.zipf, zipf, sizeof zipf);
    args->balance.zipf_count = COUNT_OF(zipf);
    return argp_parse(&argp, argc, argv, 0, NULL, args) != 0 ? 2 : 0;
}

typedef struct balance_bench {
    const tool_args *args;
    session s;
    limits limits;
    balance_result *results;
    size_t count;
} balance_bench;

/* -------------------------------------------------------------------------------------------------- one row */

static int run_row(balance_bench *b, const host_layer *host, const device_layer *device, const logit_set *set,
                   uint32_t tokens, const balance_result **uniform) {
    balance_result *result = &b->results[b->count];
    *result = (balance_result){.zipf = set->zipf};
    memcpy(result->distribution, set->name, sizeof set->name);
    result->row = (layer_result){.shape = host->shape, .format = host->format, .tokens = tokens, .seed = host->seed};
    result->row.copies = device->copies;
    result->row.loads = calloc(host->shape->num_experts, sizeof *result->row.loads);
    if (result->row.loads == NULL) return complain("out of host memory");
    if (measure_row_with_logits(&b->s, b->limits.roof, host, device, b->args->seconds, set->logits, set->rows,
                                &result->row) ||
        limits_refresh(&b->limits)) {
        free(result->row.loads);
        free(result->row.samples_ms);
        return 1;
    }
    compare_with_limits(&result->row, &b->limits.best);
    balance_statistics(result);
    if (set->zipf <= 0 && set->zipf >= 0) *uniform = result;
    if (*uniform != NULL) result->slowdown = result->row.median_ms / (*uniform)->row.median_ms;
    b->count++;
    progress_clear();
    print_balance_row(result);
    print_balance_loads(result);
    return 0;
}

/* Uniform, each exponent, then the file. */
static int make_set(const balance_bench *b, const model *m, size_t i, uint32_t tokens, logit_set *set) {
    const size_t zipfs = b->args->balance.zipf_count;
    const uint64_t row = (uint64_t)m->num_experts * sizeof(float);
    uint64_t rows = 8 * (uint64_t)tokens > 4096 ? 8 * (uint64_t)tokens : 4096;
    if (rows * row > MOST_LOGIT_BYTES) rows = MOST_LOGIT_BYTES / row > tokens ? MOST_LOGIT_BYTES / row : tokens;
    if (i <= zipfs)
        return logits_random(m, i == 0 ? 0 : b->args->balance.zipf[i - 1], (size_t)rows, b->args->seed + i, set);
    return logits_read(b->args->balance.logits, m->num_experts, set);
}

/* The file must do for every shape and number of tokens before anything is measured. 0, or 2 after a complaint. */
static int check_file(const tool_args *args) {
    int failed = 0;
    for (size_t m = 0; m < args->model_count && args->balance.logits != NULL && !failed; m++) {
        logit_set set = {.logits = NULL};
        failed = logits_read(args->balance.logits, args->models[m]->num_experts, &set);
        for (size_t i = 0; i < args->token_count && !failed; i++) {
            if (set.rows >= args->tokens[i]) continue;
            complain("--logits: %s has %zu rows, expected at least --tokens, which is %u", args->balance.logits,
                     set.rows, args->tokens[i]);
            failed = 2;
        }
        free(set.logits);
    }
    return failed;
}

static int run_tokens(balance_bench *b, const host_layer *host, const device_layer *device, uint32_t tokens) {
    const balance_result *uniform = NULL;
    const size_t sets = 1 + b->args->balance.zipf_count + (b->args->balance.logits != NULL);
    int status = 0;
    for (size_t i = 0; i < sets; i++) {
        logit_set set = {.logits = NULL};
        int failed = make_set(b, host->shape, i, tokens, &set);
        if (failed == 0) failed = run_row(b, host, device, &set, tokens, &uniform);
        free(set.logits);
        status = failed > status ? failed : status;
    }
    return status;
}

static int run_layer(balance_bench *b, const model *m, uint32_t format) {
    host_layer host = {0};
    device_layer device = {0};
    uint32_t wanted = 1;
    uint64_t extra = 0;
    char why[160];
    for (size_t i = 0; i < b->args->token_count; i++) {
        const uint32_t needed = copies_needed(m, format, b->args->tokens[i], last_level_cache(b->s.device));
        const uint64_t bytes = row_bytes(m, b->args->tokens[i]) + 2 * MOST_LOGIT_BYTES;
        wanted = needed > wanted ? needed : wanted;
        extra = bytes > extra ? bytes : extra;
    }
    const uint32_t copies = possible_copies(&b->s, m, format, b->args->arithmetic, wanted, extra, why, sizeof why);
    progress_clear();
    if (copies == 0) return printf("%-14s %-6s %s: skipped\n", m->name, format_name(format), why) < 0;
    progress("%s %s: making weights", m->name, format_name(format));
    int failed = host_layer_make(m, format, b->args->seed, &host), status = 0;
    for (uint32_t i = 0; i < copies && !failed; i++)
        failed = device_layer_add(&b->s, &host, b->args->arithmetic, &device);
    for (size_t i = 0; i < b->args->token_count && !failed; i++) {
        const int row = run_tokens(b, &host, &device, b->args->tokens[i]);
        status = row > status ? row : status;
    }
    device_layer_free(&device);
    host_layer_free(&host);
    return failed ? 1 : status;
}

static int run_all(balance_bench *b) {
    const tool_args *args = b->args;
    size_t unsteady = 0;
    int status = 0;
    if (limits_open(&b->s, &b->limits)) return 1;
    progress_clear();
    print_peaks(&b->s, &b->limits.best);
    print_balance_heading();
    for (size_t m = 0; m < args->model_count; m++) {
        for (size_t f = 0; f < args->format_count; f++) {
            const int failed = run_layer(b, args->models[m], args->formats[f]);
            status = failed > status ? failed : status;
        }
    }
    progress_clear();
    for (size_t i = 0; i < b->count; i++) unsteady += b->results[i].row.unsteady != 0;
    print_unsteady_note(unsteady, b->count);
    if (args->json != NULL && write_balance_json(args->json, &b->s, &b->limits.best, b->results, b->count)) return 1;
    return status;
}

/* 0; 1 after a failure; 2 if the file of logits is wrong. */
int balance_command(const tool_args *args) {
    balance_bench b = {.args = args};
    const size_t sets = 2 + args->balance.zipf_count;
    progress_start(args->quiet);
    if (check_file(args)) return 2;
    const int refused = session_open(args->device, &b.s);
    if (refused) return refused;
    b.results = calloc(args->model_count * args->format_count * args->token_count * sets, sizeof *b.results);
    const int status = b.results == NULL ? complain("out of host memory") : run_all(&b);
    for (size_t i = 0; i < b.count; i++) {
        free(b.results[i].row.loads);
        free(b.results[i].row.samples_ms);
    }
    free(b.results);
    limits_close(&b.limits);
    session_close(&b.s);
    return status;
}
