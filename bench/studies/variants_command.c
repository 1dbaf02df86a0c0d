/* `clmoe-bench variants`: what each optimisation brings. Every rung of the ladder on every shape, format and number
 * of tokens, checked against the oracle before it is timed. Calls the library through the ladder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common/args_parts.h"
#include "common/tool.h"
#include "device/device_limits.h"
#include "layer/layer_row.h"
#include "layer/possible.h"
#include "layer/row_json.h"
#include "progress.h"
#include "variants.h"

int variants_args(int argc, char **argv, tool_args *args) {
    static const struct argp_option options[] = {
        SHAPE_OPTIONS,
        {"tokens", 't', "LIST", 0, "tokens of a forward (default 512)", 0},
        {"weights", 'w', "LIST", 0, "formats of the weights (default f32), or all:", 0},
        ARITHMETIC_OPTION,
        {"seconds", 's', "S", 0, "seconds a rung is timed for at most (default 3)", 0},
        SEED_OPTION,
        {0}};
    static const struct argp argp = {options,
                                     parse_layer,
                                     NULL,
                                     "Times one layer computed in several ways, each with one idea more than the one "
                                     "before, having checked every one "
                                     "against sums in double precision:\v"
                                     "  vanilla  a loop over experts: CLBlast's SGEMM, host round trips\n"
                                     "  grouped  all experts in one GEMM; gather and activation apart\n"
                                     "  fused    gate and up in one GEMM that gathers and activates\n"
                                     "  tiles    near-equal row tiles, not full ones and a rest\n"
                                     "  full     the library's forward: activations handed over packed\n\n"
                                     "Example: clmoe-bench variants --tokens 64,512 --json variants.json",
                                     common_child,
                                     layer_help,
                                     NULL};
    *args = (tool_args){.seconds = 3, .seed = 1, .custom = model_by_numbers()};
    args->tokens[0] = 512;
    args->token_count = 1;
    args->formats[0] = CLMOE_F32;
    args->format_count = 1;
    return argp_parse(&argp, argc, argv, 0, NULL, args) != 0 ? 2 : 0;
}

typedef struct variants_bench {
    const tool_args *args;
    session s;
    limits limits;
    variant_result *results;
    size_t count;
} variants_bench;

/* Whether a rung's copy of the layer fits, and the format can be; 0 and a line if not. */
static int is_possible(const variants_bench *b, const model *m, uint32_t format) {
    uint64_t most = 0;
    char why[160];
    for (size_t i = 0; i < b->args->token_count; i++) {
        const uint64_t bytes = 2 * row_bytes(m, b->args->tokens[i]); /* the lower rungs keep more */
        most = bytes > most ? bytes : most;
    }
    if (possible_copies(&b->s, m, format, b->args->arithmetic, 1, most, why, sizeof why) != 0) return 1;
    progress_clear();
    printf("%-14s %-6s %s: skipped\n", m->name, format_name(format), why);
    fflush(stdout);
    return 0;
}

/* All rungs at one number of tokens. A rung that fails does not keep the next from running. */
static int run_ladder(variants_bench *b, const host_layer *host, uint32_t tokens) {
    const variant_result *ground = &b->results[b->count];
    int failed = 0;
    for (size_t i = 0; ladder_rung(i) != NULL; i++) {
        variant_result *result = &b->results[b->count];
        *result = (variant_result){.rung = ladder_rung(i)};
        result->row.shape = host->shape;
        result->row.format = host->format;
        result->row.tokens = tokens;
        result->row.seed = host->seed;
        result->row.copies = 1;
        if (measure_rung(&b->s, b->limits.roof, host, b->args->arithmetic, b->args->seconds, result) ||
            limits_refresh(&b->limits)) {
            free(result->row.samples_ms);
            failed = 1;
            continue;
        }
        if (result->skipped[0] == '\0') {
            compare_with_limits(&result->row, &b->limits.best);
            if (ground->rung == ladder_rung(0) && ground->row.median_ms > 0)
                result->speedup = ground->row.median_ms / result->row.median_ms;
        }
        b->count++;
        progress_clear();
        print_variant(result);
    }
    const uint32_t copies = copies_needed(host->shape, host->format, tokens, last_level_cache(b->s.device));
    if (copies > 1) printf("  caches may hold some of these weights: %u copies would have to take turns\n", copies);
    return failed;
}

static int run_layer(variants_bench *b, const model *m, uint32_t format) {
    host_layer host = {0};
    if (!is_possible(b, m, format)) return 0;
    progress("%s %s: making weights", m->name, format_name(format));
    int failed = host_layer_make(m, format, b->args->seed, &host);
    for (size_t i = 0; i < b->args->token_count && !failed; i++) failed = run_ladder(b, &host, b->args->tokens[i]);
    host_layer_free(&host);
    return failed;
}

static int finish(variants_bench *b) {
    size_t unsteady = 0, timed = 0;
    for (size_t i = 0; i < b->count; i++) {
        if (b->results[i].skipped[0] != '\0') continue;
        compare_with_limits(&b->results[i].row, &b->limits.best);
        unsteady += b->results[i].row.unsteady != 0;
        timed++;
    }
    print_unsteady_note(unsteady, timed);
    for (size_t m = 0; m < b->args->model_count; m++) print_gating(b->args->models[m], b->args->tokens[0]);
    return b->args->json != NULL && write_variants_json(b->args->json, &b->s, &b->limits.best, b->results, b->count);
}

static int run_all(variants_bench *b) {
    const tool_args *args = b->args;
    int failed = 0;
    if (limits_open(&b->s, &b->limits)) return 1;
    progress_clear();
    print_peaks(&b->s, &b->limits.best);
    print_variants_heading();
    for (size_t m = 0; m < args->model_count; m++) {
        for (size_t f = 0; f < args->format_count; f++) failed |= run_layer(b, args->models[m], args->formats[f]);
    }
    progress_clear();
    return finish(b) || failed;
}

int variants_command(const tool_args *args) {
    variants_bench b = {.args = args};
    size_t rungs = 0;
    while (ladder_rung(rungs) != NULL) rungs++;
    progress_start(args->quiet);
    const int refused = session_open(args->device, &b.s);
    if (refused) return refused;
    b.results = calloc(args->model_count * args->format_count * args->token_count * rungs, sizeof *b.results);
    const int failed = b.results == NULL ? complain("out of host memory") : run_all(&b);
    for (size_t i = 0; i < b.count; i++) free(b.results[i].row.samples_ms);
    free(b.results);
    limits_close(&b.limits);
    session_close(&b.s);
    return failed;
}
