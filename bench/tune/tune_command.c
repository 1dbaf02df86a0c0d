/* `clmoe-bench tune`: looks for the numbers with which a device multiplies a layer's experts fastest, proves each
 * setting before it is timed, keeps the best in the user's file and prints its row. Calls the library. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common/args_parts.h"
#include "common/tool.h"
#include "common/weight_formats.h"
#include "device/json_report.h"
#include "layer/layer_row.h"
#include "layer/possible.h"
#include "progress.h"
#include "tune.h"

#define CLBLAST_SHARE 0.2 /* of the time, where CLBlast can be called */
#define SEARCH_SHARE  0.8 /* of what is left; the rest proves what was found against the shipped row */

/* -------------------------------------------------------------------------------------------- command line */

static error_t parse(int key, char *text, struct argp_state *state) { return parse_layer(key, text, state); }

int tune_args(int argc, char **argv, tool_args *args) {
    static const struct argp_option options[] = {
        SHAPE_OPTIONS,
        {"tokens", 't', "LIST", 0,
         "tokens of a forward (default 1,16,64,512); each counts the same, one named twice counts twice", 0},
        {"weights", 'w', "LIST", 0, "formats of the weights (default bf16), or all:", 0},
        ARITHMETIC_OPTION,
        {"seconds", 's', "S", 0, "seconds of searching for each model and format (default 60)", 0},
        SEED_OPTION,
        {0}};
    static const struct argp argp = {
        options,
        parse,
        NULL,
        "Looks for the tile sizes and prefetch distances with which this device multiplies the experts of these layers "
        "fastest. Each setting is checked first: against sums in double precision, and bit for bit against the shipped "
        "one. "
        "What is faster beyond doubt is kept in the file that every program of this user reads (CLMOE_TUNING, else "
        "~/.config/clmoe/tuning), for matrices of the same size class, and printed as a row to contribute. Weights in "
        "f32 are multiplied by CLBlast too, where this machine has it, and what that took is kept for layers that "
        "allow variance.\v"
        "Example: clmoe-bench tune --model olmoe --weights bf16,q4_0 --seconds 120",
        common_child,
        layer_help,
        NULL};
    static const uint32_t tokens[] = {1, 16, 64, 512};
    *args =
        (tool_args){.seconds = 60, .seed = 1, .custom = model_by_numbers(), .formats = {CLMOE_BF16}, .format_count = 1};
    memcpy(args->tokens, tokens, sizeof tokens);
    args->token_count = COUNT_OF(tokens);
    return argp_parse(&argp, argc, argv, 0, NULL, args) != 0 ? 2 : 0;
}

/* ------------------------------------------------------------------------------------------------ results */

/* What became of one layer. */
typedef struct result {
    tune_setting shipped, best;
    int is_better[TUNE_GEMMS];
    tune_ratio
        ratios[TUNE_TIMES]; /* of the best over the shipped setting; rounds 0: nothing else was better in the search */
    double seconds;
    tune_rival rivals[TUNE_GEMMS];
} result;

static int differs(const result *r, size_t g) {
    return memcmp(r->shipped.values[g], r->best.values[g], sizeof r->best.values[g]) != 0;
}

static int plan_differs(const tuner *t, const result *r) {
    int differ = 0;
    for (size_t g = 0; g < TUNE_GEMMS; g++)
        for (uint32_t i = 0; i < t->gemms[g].count; i++)
            differ |= t->gemms[g].numbers[i].of_plan && r->shipped.values[g][i] != r->best.values[g][i];
    return differ;
}

/* The best against the shipped setting, on fresh rounds: what won a search has been lucky too. Numbers of the plan stay
 * with both GEMMs or none. */
static int confirm(tuner *t, result *r) {
    tune_layers shipped = {0}, best = {0};
    if (!differs(r, TUNE_UP) && !differs(r, TUNE_DOWN)) return 0;
    progress("%s %s: comparing the best row with the shipped one", t->host->shape->name, format_name(t->host->format));
    int failed = tune_layers_make(t, &r->shipped, &shipped) || tune_layers_make(t, &r->best, &best) ||
                 tune_compare(t, &shipped, &best, TUNE_ROUNDS, t->started + t->seconds, r->ratios);
    const int together = plan_differs(t, r) || tune_is_one_row(t);
    const int all = tune_is_faster(&r->ratios[TUNE_BOTH]) || tune_is_faster(&r->ratios[TUNE_CPU]);
    for (size_t g = 0; g < TUNE_GEMMS && !failed; g++)
        r->is_better[g] = differs(r, g) && (all || (!together && tune_is_faster(&r->ratios[g])));
    tune_layers_free(&shipped);
    tune_layers_free(&best);
    return failed;
}

static void print_ratio(const tuner *t, const char *of, const char *than, const tune_ratio *ratio) {
    printf("  %-10s %.3f of %s time (%.3f to %.3f, %zu rounds); by tokens", of, ratio->median, than, ratio->low,
           ratio->high, ratio->rounds);
    for (size_t i = 0; i < t->run_count; i++)
        printf("%s %u: %.3f", i == 0 ? "" : ",", t->rows[i].tokens, ratio->at_tokens[i]);
    printf("%s\n", tune_is_faster(ratio) ? ", faster" : "");
}

static void print_rivals(const tuner *t, const result *r) {
    if (t->no_clblast[0] != '\0') printf("  CLBlast    not timed: %s\n", t->no_clblast);
    for (size_t g = 0; g < TUNE_GEMMS; g++) {
        const tune_rival *rival = &r->rivals[g];
        if (rival->ratio.rounds == 0) continue;
        printf("  CLBlast    in place of %s:\n", tune_is_one_row(t) ? "up and down" : t->gemms[g].stage);
        print_ratio(t, "", "a forward's", &rival->ratio);
        printf("  %-10s %s\n", "", rival->row[0] != '\0' ? rival->row : "too few rounds for a row");
    }
}

/* Ratios of the best found over the shipped setting, then a row for each GEMM. */
static void print_result(const tuner *t, const result *r) {
    static const char shipped[] = "the shipped rows'";
    const int compared = r->ratios[0].rounds > 0;
    progress_clear();
    printf("%s %s, tokens", t->host->shape->name, format_name(t->host->format));
    for (size_t i = 0; i < t->run_count; i++) printf("%s %u", i == 0 ? "" : ",", t->rows[i].tokens);
    printf(": %u settings timed in %.1f s, %u that the device cannot run, %u that compute something else\n", t->tried,
           r->seconds, t->impossible, t->wrong);
    for (size_t g = 0; g < TUNE_GEMMS && compared; g++) print_ratio(t, t->gemms[g].stage, shipped, &r->ratios[g]);
    if (compared) print_ratio(t, "both", shipped, &r->ratios[TUNE_BOTH]);
    if (compared && t->s.is_cpu) print_ratio(t, "CPU time", shipped, &r->ratios[TUNE_CPU]);
    if (compared) print_ratio(t, "layer", shipped, &r->ratios[TUNE_WALL]);
    for (size_t g = 0; g < TUNE_GEMMS; g++) {
        char row[1024];
        tune_row(t, g, r->is_better[g] ? &r->best : &r->shipped, row, sizeof row);
        printf("  %-10s %s: %s\n", t->gemms[g].stage,
               r->is_better[g] ? "row to contribute"
                               : "nothing that was tried is faster beyond doubt, the shipped row stays",
               row);
    }
    print_rivals(t, r);
}

static void add_json(json_t *rows, const tuner *t, const result *r) {
    for (size_t g = 0; g < TUNE_GEMMS; g++) {
        json_t *row = put_layer_row(rows, t->host->shape, t->host->format);
        const tune_ratio *ratio = &r->ratios[g];
        char text[1024];
        double tokens[MAX_TOKEN_COUNTS];
        for (size_t i = 0; i < t->run_count; i++) tokens[i] = t->rows[i].tokens;
        put_text(row, "stage", t->gemms[g].stage);
        put_numbers(row, "token_counts", tokens, t->run_count);
        tune_row(t, g, &r->shipped, text, sizeof text);
        put_text(row, "shipped", text);
        tune_row(t, g, &r->best, text, sizeof text);
        put_text(row, "best", text);
        put_bool(row, "is_better", r->is_better[g]);
        put_number_or_null(row, "ratio", ratio->median);
        put_number_or_null(row, "ratio_low", ratio->low);
        put_number_or_null(row, "ratio_high", ratio->high);
        put_numbers(row, "ratio_at_tokens", ratio->at_tokens, ratio->rounds > 0 ? t->run_count : 0);
        put_number(row, "rounds", (double)ratio->rounds);
        put_number(row, "tried", t->tried);
        put_number(row, "impossible", t->impossible);
        put_number(row, "wrong", t->wrong);
        put_number(row, "seconds", r->seconds);
        const tune_rival *rival = &r->rivals[tune_is_one_row(t) ? TUNE_UP : g];
        put_number_or_null(row, "clblast_ratio", rival->ratio.median);
        put_number(row, "clblast_rounds", (double)rival->ratio.rounds);
        put_text(row, "clblast_row", rival->row);
        put_text(row, "clblast_refused", t->no_clblast);
    }
}

/* -------------------------------------------------------------------------------------------------- one layer */

static int open_runs(tuner *t) {
    for (size_t i = 0; i < t->args->token_count; i++) {
        clmoe_error error = {.struct_size = sizeof error};
        row_run *run = &t->runs[i];
        t->rows[i] = (layer_result){.shape = t->host->shape,
                                    .format = t->host->format,
                                    .tokens = t->args->tokens[i],
                                    .seed = t->host->seed,
                                    .copies = t->shipped.copies};
        *run = (row_run){.s = &t->s, .host = t->host, .device = &t->shipped, .row = &t->rows[i]};
        t->run_count++;
        if (row_run_open(run)) return 1;
        if (clmoe_workspace_set_profiling(run->profiled, 1, &error) != CLMOE_OK)
            return complain_clmoe("clmoe_workspace_set_profiling", &error);
    }
    return 0;
}

static int describe(tuner *t) {
    clmoe_error error = {.struct_size = sizeof error};
    for (uint32_t g = 0; g < TUNE_GEMMS; g++) {
        clmoe_tuning_default(&t->gemms[g], sizeof t->gemms[g]);
        if (clmoe_layer_tuning(t->shipped.layers[0], g, &t->gemms[g], &error) != CLMOE_OK)
            return complain_clmoe("clmoe_layer_tuning", &error);
    }
    return 0;
}

/* Copies of the weights that a device's cache asks for. */
static uint32_t copies_wanted(const tuner *t, const model *m, uint32_t format) {
    const uint64_t cache = last_level_cache(t->s.device);
    uint32_t copies = 1;
    for (size_t i = 0; i < t->args->token_count; i++) {
        const uint32_t needed = copies_needed(m, format, t->args->tokens[i], cache);
        copies = needed > copies ? needed : copies;
    }
    return copies;
}

static int search(tuner *t, const host_layer *host, uint32_t copies, result *r) {
    int failed = 0;
    t->host = host;
    for (uint32_t i = 0; i < copies && !failed; i++)
        failed = device_layer_add(&t->s, host, t->args->arithmetic, &t->shipped);
    if (!failed) failed = open_runs(t) || describe(t) || tune_take_wanted(t) || tune_find_clblast(t);
    const int has_rival = t->no_clblast[0] == '\0';
    t->seconds = t->args->seconds * (has_rival ? 1 - CLBLAST_SHARE : 1);
    t->started = now_seconds();
    t->ends = t->started + SEARCH_SHARE * t->seconds;
    tune_shipped(t, &r->shipped);
    if (!failed) failed = tune_search(t, &r->best) || confirm(t, r);
    r->seconds = now_seconds() - t->started;
    if (failed || !has_rival) return failed;
    tune_setting own = r->shipped;
    for (size_t g = 0; g < TUNE_GEMMS; g++)
        if (r->is_better[g]) memcpy(own.values[g], r->best.values[g], sizeof own.values[g]);
    return tune_time_clblast(t, &own, CLBLAST_SHARE * t->args->seconds, r->rivals);
}

static void close_layer(tuner *t) {
    for (size_t i = 0; i < t->run_count; i++) {
        row_run_close(&t->runs[i]);
        free(t->wanted[i]);
        t->wanted[i] = NULL;
    }
    t->run_count = 0;
    t->tried = t->impossible = t->wrong = 0;
    device_layer_free(&t->shipped);
}

static int keep(tuner *t, const char *stage, const char *row, const char *path) {
    clmoe_error error = {.struct_size = sizeof error};
    if (path[0] == '\0')
        printf("  %-10s not kept: CLMOE_TUNING is off, or this user has no folder for settings\n", stage);
    else if (clmoe_context_save_tuning(t->s.context, path, row, &error) != CLMOE_OK)
        return complain_clmoe("the row was not kept", &error);
    else
        printf("  %-10s kept in %s\n", stage, path);
    return 0;
}

/* What is better, and what CLBlast took, goes to the user's file; path "": there is none. */
static int save(tuner *t, const result *r, const char *path) {
    for (size_t g = 0; g < TUNE_GEMMS; g++) {
        char row[1024];
        tune_row(t, g, &r->best, row, sizeof row);
        if (r->is_better[g] && keep(t, t->gemms[g].stage, row, path)) return 1;
        if (r->rivals[g].row[0] != '\0' && keep(t, "CLBlast's", r->rivals[g].row, path)) return 1;
    }
    return 0;
}

static int tune_layer(tuner *t, const model *m, uint32_t format, const char *path, json_t *rows) {
    host_layer host = {0};
    result r = {.seconds = 0};
    uint64_t extra = 0;
    char why[160];
    for (size_t i = 0; i < t->args->token_count; i++) extra += row_bytes(m, t->args->tokens[i]);
    const uint32_t copies =
        possible_copies(&t->s, m, format, t->args->arithmetic, copies_wanted(t, m, format), extra, why, sizeof why);
    if (copies == 0) return printf("%s %s: %s: skipped\n", m->name, format_name(format), why) < 0;
    progress("%s %s: making the weights", m->name, format_name(format));
    int failed = host_layer_make(m, format, t->args->seed, &host) || search(t, &host, copies, &r);
    if (!failed) {
        print_result(t, &r);
        add_json(rows, t, &r);
        failed = save(t, &r, path) || t->wrong != 0;
    }
    fflush(stdout);
    close_layer(t);
    host_layer_free(&host);
    return failed;
}

/* ---------------------------------------------------------------------------------------------- the command */

/* The user's file; the rows in it are not what is compared with, so a context without them follows. */
static int open_sessions(tuner *t, char *path, size_t capacity) {
    session s;
    path[0] = '\0';
    const int refused = session_open(t->args->device, &s);
    if (refused) return refused;
    const char *own = clmoe_context_tuning_path(s.context);
    int failed = 0;
    if (own != NULL && (size_t)snprintf(path, capacity, "%s", own) >= capacity)
        failed = complain("CLMOE_TUNING is too long");
    session_close(&s);
    return failed || session_open_untuned(t->args->device, &t->s);
}

int tune_command(const tool_args *args) {
    static tuner t;
    char path[4096];
    t.args = args;
    progress_start(args->quiet);
    if (open_sessions(&t, path, sizeof path)) return 1;
    json_t *root = json_report_start("tune", &t.s, NULL), *rows = put_list(root, "rows");
    int failed = 0;
    for (size_t m = 0; m < args->model_count; m++)
        for (size_t f = 0; f < args->format_count; f++)
            failed |= tune_layer(&t, args->models[m], args->formats[f], path, rows);
    if (args->json != NULL)
        failed |= json_report_write(args->json, root);
    else
        json_decref(root);
    session_close(&t.s);
    return failed;
}
