/* `clmoe-bench compare`: two results, row by row, as ratios with the bounds that noise sets them. Calls Jansson. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "common/args_parts.h"
#include "device/json_report.h"
#include "common/tool.h"
#include "compare_rows.h"

enum { KEY_TOLERANCE = KEY_OWN };

static struct {
    const char *files[2];
    size_t file_count;
    double tolerance; /* percent */
} given;

static const struct argp_option options[] = {
    {"tolerance", KEY_TOLERANCE, "PERCENT", 0, "how much worse beyond noise is still no regression (default 2)", 0},
    {"json", 'j', "FILE", 0, "write the comparison to FILE as JSON", 0},
    {0}};

static error_t parse(int key, char *text, struct argp_state *state) {
    tool_args *args = state->input;
    switch (key) {
        case ARGP_KEY_INIT: state->err_stream = NULL; return 0;
        case KEY_TOLERANCE: return real(state, "--tolerance", text, 0, 1000, &given.tolerance);
        case 'j': args->json = text; return writable(state, "--json", text);
        case ARGP_KEY_ARG:
            if (given.file_count == 2) return wrong(state, "unexpected argument '%s', expected two files", text);
            given.files[given.file_count++] = text;
            return 0;
        case ARGP_KEY_END:
            if (given.file_count != 2)
                return wrong(state, "%zu files, expected two, the earlier first", given.file_count);
            return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

int compare_args(int argc, char **argv, tool_args *args) {
    static const struct argp argp = {options,
                                     parse,
                                     "A.json B.json",
                                     "Compares two results of the same subcommand, or two results.json of report: B "
                                     "over A for every figure, with the "
                                     "bounds that the noise of both runs sets that ratio. Noise is the confidence "
                                     "interval of each median, widened by "
                                     "the medians of eighths of each run, in which a drifting machine shows. Exits "
                                     "with 1 if a figure is worse by more "
                                     "than noise and tolerance explain, with 2 if there is nothing to compare."
                                     "\vExample: clmoe-bench compare before.json after.json --tolerance 3",
                                     NULL,
                                     NULL,
                                     NULL};
    *args = (tool_args){.seed = 1};
    memset(&given, 0, sizeof given);
    given.tolerance = 2;
    return argp_parse(&argp, argc, argv, 0, NULL, args) != 0 ? 2 : 0;
}

/* -------------------------------------------------------------------------------------------------- comparing */

typedef struct comparison {
    json_t *rows; /* NULL: no file is wanted */
    size_t compared, better, worse, alone;
} comparison;

static const char *verdict_of(const measure *m, double low, double high) {
    const double tolerance = 1 + given.tolerance / 100;
    const int rose = low > tolerance, fell = high < 1 / tolerance;
    if (!rose && !fell) return "same";
    return rose == m->more_is_better ? "better" : "worse";
}

static void add_row(json_t *rows, const char *command, const char *label, const measure *m, const figure *a,
                    const figure *b, const double ratio[3], const char *verdict) {
    json_t *row = put_row(rows);
    put_text(row, "of", command);
    put_text(row, "row", label);
    put_text(row, "figure", m->name);
    put_number(row, "a", a->value);
    put_number(row, "b", b->value);
    put_number(row, "ratio", ratio[0]);
    put_number(row, "ratio_low", ratio[1]);
    put_number(row, "ratio_high", ratio[2]);
    put_text(row, "verdict", verdict);
}

static void compare_figure(comparison *c, const char *command, json_t *left, const json_t *right,
                           const measure *m) {
    figure a, b;
    char label[160];
    if (figure_take(left, m, &a) || figure_take(right, m, &b)) return;
    const double ratio[3] = {b.value / a.value, b.low / a.high, b.high / a.low};
    const char *verdict = verdict_of(m, ratio[1], ratio[2]);
    row_label(left, label, sizeof label);
    if (c->compared++ == 0)
        printf("%-9s %-44s %-24s %10s %10s %7s %15s\n", "command", "row", "figure", "A", "B", "B / A", "noise bounds");
    printf("%-9s %-44s %-24s %10.4g %10.4g %7.3f   %5.3f .. %5.3f%s%s\n", command, label, m->name, a.value, b.value,
           ratio[0], ratio[1], ratio[2], strcmp(verdict, "same") == 0 ? "" : "  ",
           strcmp(verdict, "same") == 0 ? "" : verdict);
    c->better += strcmp(verdict, "better") == 0;
    c->worse += strcmp(verdict, "worse") == 0;
    if (c->rows != NULL) add_row(c->rows, command, label, m, &a, &b, ratio, verdict);
}

/* The nth of the rows that measure the same as this one; NULL if there are fewer. */
static const json_t *find_row(const json_t *rows, json_t *wanted, size_t nth) {
    for (size_t n = 0; n < json_array_size(rows); n++) {
        json_t *row = json_array_get(rows, n);
        if (same_row(row, wanted) && nth-- == 0) return row;
    }
    return NULL;
}

static size_t count_before(const json_t *rows, json_t *end) {
    size_t count = 0;
    for (size_t n = 0; n < json_array_size(rows); n++) {
        json_t *row = json_array_get(rows, n);
        if (row == end) break;
        count += same_row(row, end) != 0;
    }
    return count;
}

static void compare_documents(comparison *c, const json_t *a, const json_t *b) {
    const json_t *rows = result_rows(a), *others = result_rows(b);
    char label[160];
    for (size_t n = 0; n < json_array_size(rows); n++) {
        json_t *row = json_array_get(rows, n);
        const json_t *other = find_row(others, row, count_before(rows, row));
        for (size_t i = 0; other != NULL && i < measure_count; i++)
            compare_figure(c, result_command(a), row, other, &measures[i]);
        if (other != NULL) continue;
        row_label(row, label, sizeof label);
        printf("%-9s %-44s only in %s\n", result_command(a), label, given.files[0]);
        c->alone++;
    }
    for (size_t n = 0; n < json_array_size(others); n++) {
        json_t *row = json_array_get(others, n);
        if (find_row(rows, row, count_before(others, row)) != NULL) continue;
        row_label(row, label, sizeof label);
        printf("%-9s %-44s only in %s\n", result_command(b), label, given.files[1]);
        c->alone++;
    }
}

/* A ratio between two machines says little of the library. */
static void compare_machines(const json_t *a, const json_t *b) {
    static const char *const names[] = {"device", "environment.cpu", "environment.driver"};
    static const char *const rates[] = {"peak.f32_gflops", "peak.read_gbps"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *left = result_text(a, names[i]), *right = result_text(b, names[i]);
        if (strcmp(left, right) != 0)
            printf("%s: %s differs: '%s' and '%s'\n", result_command(a), names[i], left, right);
    }
    for (size_t i = 0; i < COUNT_OF(rates); i++) {
        const double ratio = result_number(b, rates[i], 0) / result_number(a, rates[i], 0);
        if (ratio > 0 && (ratio < 0.9 || ratio > 1.1))
            printf("%s: the machine itself changed, %s is %.2f times what it was\n", result_command(a), rates[i],
                   ratio);
    }
}

static void compare_sets(comparison *c, const result_set *a, const result_set *b) {
    for (size_t i = 0; i < a->count; i++) {
        const json_t *other = result_find(b, result_command(a->documents[i]));
        if (other == NULL) continue;
        compare_machines(a->documents[i], other);
        compare_documents(c, a->documents[i], other);
    }
}

static int write_json(const char *path, const comparison *c, json_t *root) {
    put_text(root, "a", given.files[0]);
    put_text(root, "b", given.files[1]);
    put_number(root, "tolerance_percent", given.tolerance);
    put_count(root, "worse", c->worse);
    return json_report_write(path, root);
}

int compare_command(const tool_args *args) {
    result_set a = {.count = 0}, b = {.count = 0};
    comparison c = {.compared = 0};
    if (result_set_add(&a, given.files[0]) || result_set_add(&b, given.files[1])) {
        result_set_free(&a);
        result_set_free(&b);
        return 2;
    }
    json_t *root = args->json != NULL ? json_report_start("compare", NULL, NULL) : NULL;
    if (root != NULL) c.rows = put_list(root, "rows");
    compare_sets(&c, &a, &b);
    int status = c.worse > 0;
    if (c.compared == 0) {
        complain("%s and %s have no figure in common", given.files[0], given.files[1]);
        status = 2;
    } else {
        printf("%zu figures: %zu worse, %zu better, %zu the same within noise and %g%%\n", c.compared, c.worse,
               c.better, c.compared - c.worse - c.better, given.tolerance);
    }
    if (root != NULL && write_json(args->json, &c, root)) status = 2;
    result_set_free(&a);
    result_set_free(&b);
    return status;
}
