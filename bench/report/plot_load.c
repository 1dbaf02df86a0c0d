/* expert_load_distribution.png: a heat map, a row for each distribution of routes, a column for each expert.
 * Calls plot. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plot.h"

#define MAX_LINES 24

/* Rows of the expert's count over the mean of all. */
static void write_line(const json_t *counts, size_t line, FILE *script) {
    const size_t experts = json_array_size(counts);
    double sum = 0;
    for (size_t n = 0; n < experts; n++) sum += json_number_value(json_array_get(counts, n));
    const double mean = sum / (double)experts;
    for (size_t n = 0; n < experts; n++)
        fprintf(script, "%zu %zu %.5g\n", n, line, mean > 0 ? json_number_value(json_array_get(counts, n)) / mean : 0);
    fprintf(script, "\n");
}

/* The largest share of a row's experts. */
static double largest_share(const json_t *counts) {
    double sum = 0, most = 0;
    for (size_t n = 0; n < json_array_size(counts); n++) {
        const double count = json_number_value(json_array_get(counts, n));
        sum += count;
        most = fmax(most, count);
    }
    return sum > 0 ? most * (double)json_array_size(counts) / sum : 0;
}

/* Colours fork at an even share: blue below, orange above. Experts without a row are at the lower end of the scale. */
static void plot_map(double most, size_t experts, size_t lines, const char *ticks, FILE *script) {
    plot_logarithmic(script, "cb", 1 / most, most);
    fprintf(
        script,
        "set xlabel 'expert'\n"
        "set xrange [-0.5:%zu.5]\nset yrange [%zu.5:-0.5]\nset ytics (%s) scale 0\nset grid noxtics noytics\n"
        "set cblabel 'rows of the expert / mean (lowest: few or none)' offset 1,0\nset rmargin 10\n"
        "unset key\nset border 15\nset palette defined (0 '#053061', 0.25 '#4393c3', 0.5 '#f7f7f7', 0.75 '#e08214', "
        "1 '#7f3b08')\nleast = %.5g\nplot $load using 1:2:($3 < least ? least : $3) with image pixels\n",
        experts - 1, lines - 1, ticks, 1 / most);
}

int draw_expert_load(const result_set *set, const json_t *document, FILE *script) {
    const json_t *rows = result_rows(document);
    char ticks[4096] = "";
    size_t lines = 0, used = 0;
    size_t experts = 0;
    double most = 4;
    (void)set;
    fprintf(script, "$load << EOD\n");
    for (size_t n = 0; n < json_array_size(rows); n++) {
        const json_t *row = json_array_get(rows, n);
        const json_t *counts = result_get(row, "load");
        if (json_array_size(counts) == 0 || lines == MAX_LINES) continue;
        experts = json_array_size(counts) > experts ? json_array_size(counts) : experts;
        most = fmax(most, largest_share(counts));
        write_line(counts, lines, script);
        const int added =
            snprintf(ticks + used, sizeof ticks - used, "%s\"%.40s\\n%.0f tokens\" %zu", lines == 0 ? "" : ", ",
                     result_text(row, "distribution"), result_number(row, "tokens", 0), lines);
        used += added > 0 ? (size_t)added : 0;
        lines++;
    }
    fprintf(script, "EOD\n");
    if (lines == 0) return 1;
    plot_title(script, "Load of each expert, relative to an even share", document);
    plot_map(most, experts, lines, ticks, script);
    return 0;
}
