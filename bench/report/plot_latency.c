/* latency_comparison.png: the rungs of `variants`, median and interval, side by side for each number of tokens. Points
 * on a logarithmic axis, for the rungs lie an order of magnitude apart. Calls plot. */
#include <math.h>
#include <string.h>

#include "common/tool.h"
#include "plot.h"

#define MAX_GROUPS 8

/* A group of rows that differ by the rung alone. */
typedef struct group {
    const char *model, *weights;
    double tokens;
} group;

typedef struct groups {
    group list[MAX_GROUPS];
    size_t count;
    const char *rungs[PLOT_COLOURS];
    size_t rung_count;
} groups;

static size_t group_of(groups *g, const json_t *row) {
    const group wanted = {result_text(row, "model"), result_text(row, "weights"), result_number(row, "tokens", 0)};
    size_t i = 0;
    while (i < g->count &&
           (strcmp(g->list[i].model, wanted.model) != 0 || strcmp(g->list[i].weights, wanted.weights) != 0 ||
            g->list[i].tokens < wanted.tokens || g->list[i].tokens > wanted.tokens))
        i++;
    if (i == g->count && i < MAX_GROUPS) g->list[g->count++] = wanted;
    return i;
}

static size_t rung_of(groups *g, const json_t *row) {
    const char *name = result_text(row, "rung");
    size_t i = 0;
    while (i < g->rung_count && strcmp(g->rungs[i], name) != 0) i++;
    if (i == g->rung_count && i < PLOT_COLOURS) g->rungs[g->rung_count++] = name;
    return i;
}

static void write_rung(groups *g, const json_t *rows, size_t rung, FILE *script) {
    fprintf(script, "$rung%zu << EOD\n", rung);
    for (size_t n = 0; n < json_array_size(rows); n++) {
        const json_t *row = json_array_get(rows, n);
        const size_t at = group_of(g, row);
        const double median = result_number(row, "median_ms", 0);
        if (at == MAX_GROUPS || rung_of(g, row) != rung || median <= 0) continue;
        const double x = (double)at + 0.7 * (((double)rung + 0.5) / (double)g->rung_count - 0.5);
        fprintf(script, "%.4f %.6g %.6g %.6g\n", x, median, result_number(row, "low_ms", median),
                result_number(row, "high_ms", median));
    }
    fprintf(script, "EOD\n");
}

static void set_groups(const groups *g, FILE *script) {
    fprintf(script, "set xtics (");
    for (size_t i = 0; i < g->count; i++) {
        fprintf(script, "%s\"%.0f token%s\\n%s %s\" %zu", i == 0 ? "" : ", ", g->list[i].tokens,
                g->list[i].tokens > 1 ? "s" : "", g->list[i].model, g->list[i].weights, i);
    }
    fprintf(script, ")\nset xrange [-0.5:%zu.5]\n", g->count - 1);
}

int draw_latency(const result_set *set, const json_t *document, FILE *script) {
    static const int marks[PLOT_COLOURS] = {7, 5, 9, 11, 13, 6, 4, 8};
    const json_t *rows = result_rows(document);
    groups g = {.count = 0};
    double low = INFINITY, high = 0;
    (void)set;
    for (size_t n = 0; n < json_array_size(rows); n++) {
        const json_t *row = json_array_get(rows, n);
        const double median = result_number(row, "median_ms", 0);
        if (median <= 0) continue;
        (void)group_of(&g, row);
        (void)rung_of(&g, row);
        low = fmin(low, result_number(row, "low_ms", median));
        high = fmax(high, result_number(row, "high_ms", median));
    }
    if (g.count == 0) return 1;
    for (size_t i = 0; i < g.rung_count; i++) write_rung(&g, rows, i, script);
    set_groups(&g, script);
    plot_title(script, "Latency of a forward, one optimisation after another", document);
    plot_logarithmic(script, "y", low / 1.5, high * 1.5);
    fprintf(script, "set ylabel 'median latency (ms)'\nset bmargin 4\nset key outside right top Left reverse\n"
                    "set xtics scale 0\nset grid noxtics\nplot ");
    for (size_t i = 0; i < g.rung_count; i++) {
        fprintf(script, "%s$rung%zu using 1:2:3:4 with yerrorbars pt %d ps 1.5 lw 1.5 lc rgb '%s' title ",
                i == 0 ? "" : ", \\\n  ", i, marks[i], plot_colour(i));
        plot_quote(script, g.rungs[i]);
    }
    fprintf(script, "\n");
    return 0;
}
