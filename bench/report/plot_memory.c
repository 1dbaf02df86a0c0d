/* memory_breakdown.png: above where the bytes of each layer go, below its activations beside those of a layer
 * without fusion. Calls plot. */
#include <math.h>
#include <string.h>

#include "common/tool.h"
#include "plot.h"

#define MAX_BARS  6
#define MAX_PAIRS 4
#define PAIR      2.5 /* from one pair of bars to the next */

/* Parts of a bar, from the bottom up: names and JSON keys (an absent one counts as 0). */
typedef struct part {
    const char *name, *key;
} part;

static const part whole[] = {{"experts", "experts_bytes"},
                             {"shared expert", "shared_bytes"},
                             {"router, biases", "router_bytes"},
                             {"workspace", "workspace_bytes"},
                             {"x and out", "io_bytes"}};

static const char *unit_of(double bytes, double *divisor) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB"};
    size_t i = 0;
    *divisor = 1;
    while (i + 1 < COUNT_OF(units) && bytes / *divisor >= 1024) {
        *divisor *= 1024;
        i++;
    }
    return units[i];
}

static int has_models(const json_t *rows) {
    for (size_t n = 0; n < json_array_size(rows); n++) {
        const json_t *row = json_array_get(rows, n);
        if (strcmp(result_text(row, "model"), result_text(json_array_get(rows, 0), "model")) != 0) return 1;
    }
    return 0;
}

/* The nth row's name, centred below the axis at x: "bf16", "512 tokens", the model where there are several. */
static void set_name(FILE *script, const json_t *row, int with_model, double x, int number) {
    char text[160];
    snprintf(text, sizeof text, "%s%s%s, %.0f token%s", with_model ? result_text(row, "model") : "",
             with_model ? " " : "", result_text(row, "weights"), result_number(row, "tokens", 0),
             result_number(row, "tokens", 0) > 1 ? "s" : "");
    fprintf(script, "set label %d ", number + 1);
    plot_quote(script, text);
    fprintf(script, " at first %g, graph 0 offset 0,-2 center font ',10'\n", x);
}

/* How much less the activations take than those of separate kernels, above their bar. */
static void set_saving(FILE *script, const json_t *row, double x, double divisor, int number) {
    const double fused = result_number(row, "activation_bytes", 0);
    const double share = result_number(row, "saved_share", 0);
    if (share > 0)
        fprintf(script, "set label %d '%.0f%% less' at first %g, first %.6g offset 0,0.6 center font ',10'\n",
                number + 1, 100 * share, x, fused / divisor);
}

/* A bar: its place and the tops of its parts, each upon the one below. */
static void put_bar(FILE *script, double x, const char *name, const double *parts, size_t count) {
    double top = 0;
    fprintf(script, "%g \"%s\"", x, name);
    for (size_t i = 0; i < count; i++) fprintf(script, " %.0f", top += parts[i]);
    fprintf(script, "\n");
}

static void write_whole(const json_t *rows, int bars, FILE *script) {
    int i = 0;
    fprintf(script, "$whole << EOD\n");
    for (size_t n = 0; n < json_array_size(rows); n++) {
        const json_t *row = json_array_get(rows, n);
        double bytes[COUNT_OF(whole)];
        if (i == bars) break;
        for (size_t p = 0; p < COUNT_OF(whole); p++) bytes[p] = result_number(row, whole[p].key, 0);
        put_bar(script, i++, "", bytes, COUNT_OF(whole));
    }
    fprintf(script, "EOD\n");
}

/* Two bars a row: gathered inputs, projections, hidden rows, rows of the experts. */
static void write_activations(const json_t *rows, int pairs, FILE *script) {
    int i = 0;
    fprintf(script, "$activations << EOD\n");
    for (size_t n = 0; n < json_array_size(rows); n++) {
        const json_t *row = json_array_get(rows, n);
        if (i == pairs) break;
        const double hidden = result_number(row, "hidden_bytes", 0),
                     inputs = result_number(row, "unfused_inputs_bytes", 0);
        const double apart = result_number(row, "unfused_projections_bytes", 0);
        const double rest = result_number(row, "unfused_activation_bytes", 0) - inputs - apart - hidden;
        const double fused[] = {result_number(row, "inputs_bytes", 0), 0, hidden, result_number(row, "rows_bytes", 0)};
        const double separate[] = {inputs, apart, hidden, rest};
        put_bar(script, PAIR * i, "clmoe", fused, COUNT_OF(fused));
        put_bar(script, PAIR * i++ + 1, "separate", separate, COUNT_OF(separate));
    }
    fprintf(script, "EOD\n");
}

/* Largest value of a key over the rows that are drawn. */
static double largest(const json_t *rows, int bars, const char *key) {
    double most = 1;
    int i = 0;
    for (size_t n = 0; n < json_array_size(rows); n++) {
        const json_t *row = json_array_get(rows, n);
        if (i++ < bars) most = fmax(most, result_number(row, key, 0));
    }
    return most;
}

/* From the highest part down, so that each covers what is below its top. */
static void plot_stack(FILE *script, const char *data, const char *const *names, size_t count, double divisor) {
    for (size_t i = count; i-- > 0;) {
        fprintf(script,
                "%s$%s using 1:($%zu/%.0f):xtic(2) with boxes fs solid 1 border rgb '#ffffff' lc rgb '%s' title '%s'",
                i + 1 == count ? "plot " : ", \\\n  ", data, i + 3, divisor, plot_colour(i), names[i]);
    }
    fprintf(script, "\n");
}

static void plot_whole(const json_t *rows, int bars, FILE *script) {
    const char *names[COUNT_OF(whole)];
    double divisor;
    int i = 0;
    for (size_t p = 0; p < COUNT_OF(whole); p++) names[p] = whole[p].name;
    for (size_t n = 0; n < json_array_size(rows); n++) {
        const json_t *row = json_array_get(rows, n);
        if (i < bars) set_name(script, row, has_models(rows), i, i);
        i++;
    }
    fprintf(script, "set ylabel 'whole layer (%s)'\nset xrange [-0.7:%g]\n",
            unit_of(largest(rows, bars, "total_bytes"), &divisor), bars - 0.3);
    plot_stack(script, "whole", names, COUNT_OF(names), divisor);
    fprintf(script, "unset label\n");
}

static void plot_activations(const json_t *rows, int pairs, FILE *script) {
    static const char *const buffers[] = {"gathered inputs", "gate and up apart", "hidden rows", "rows of the experts"};
    double divisor;
    int i = 0;
    fprintf(script, "set ylabel 'activations (%s)'\nset xrange [-0.9:%g]\n",
            unit_of(largest(rows, pairs, "unfused_activation_bytes"), &divisor), PAIR * (pairs - 1) + 1.9);
    for (size_t n = 0; n < json_array_size(rows); n++) {
        const json_t *row = json_array_get(rows, n);
        if (i == pairs) break;
        set_name(script, row, has_models(rows), PAIR * i + 0.5, i);
        set_saving(script, row, PAIR * i, divisor, pairs + i);
        i++;
    }
    plot_stack(script, "activations", buffers, COUNT_OF(buffers), divisor);
}

int draw_memory(const result_set *set, const json_t *document, FILE *script) {
    const json_t *rows = result_rows(document);
    const int count = (int)json_array_size(rows), bars = count < MAX_BARS ? count : MAX_BARS;
    const int pairs = bars < MAX_PAIRS ? bars : MAX_PAIRS;
    (void)set;
    if (count == 0) return 1;
    write_whole(rows, bars, script);
    write_activations(rows, pairs, script);
    const char *model = has_models(rows) ? "" : result_text(json_array_get(rows, 0), "model");
    if (strcmp(model, "custom") == 0) model = "";
    char title[128];
    snprintf(title, sizeof title, "Memory of a layer%s%.60s, beside one of separate kernels",
             model[0] != '\0' ? " of " : "", model);
    fprintf(script, "set multiplot layout 2,1 title ");
    plot_quote(script, title);
    fprintf(script, " font ',13'\nset boxwidth 0.7\nset key outside right top Left reverse\nset grid noxtics\n"
                    "set yrange [0:*]\nset xtics scale 0 font ',9'\nset lmargin 9\nset rmargin 27\nset bmargin 4\nset "
                    "tmargin 2.5\n");
    plot_whole(rows, bars, script);
    plot_activations(rows, pairs, script);
    fprintf(script, "unset multiplot\n");
    return 0;
}
