/* throughput_scaling.png: tokens a second as tokens grow, measured beside the roofline. Calls plot. */
#include <math.h>
#include <string.h>

#include "plot.h"

/* A row of the sweep over tokens. */
static int is_of_tokens(const json_t *row) {
    const char *axis = result_text(row, "axis");
    return axis[0] == '\0' || strcmp(axis, "tokens") == 0;
}

static size_t formats_of(const json_t *rows, const char *names[PLOT_COLOURS / 2]) {
    size_t count = 0;
    for (size_t n = 0; n < json_array_size(rows); n++) {
        const json_t *row = json_array_get(rows, n);
        size_t i = 0;
        if (!is_of_tokens(row)) continue;
        while (i < count && strcmp(names[i], result_text(row, "weights")) != 0) i++;
        if (i == count && count < PLOT_COLOURS / 2) names[count++] = result_text(row, "weights");
    }
    return count;
}

static void write_format(const json_t *rows, const char *format, size_t series, FILE *script) {
    fprintf(script, "$sweep%zu << EOD\n", series);
    for (size_t n = 0; n < json_array_size(rows); n++) {
        const json_t *row = json_array_get(rows, n);
        const double tokens = result_number(row, "tokens", 0), roof = result_number(row, "roofline_ms", 0);
        if (!is_of_tokens(row) || strcmp(result_text(row, "weights"), format) != 0 || tokens <= 0) continue;
        fprintf(script, "%.0f %.6g ", tokens, result_number(row, "tokens_per_s", 0));
        if (roof > 0)
            fprintf(script, "%.6g\n", 1e3 * tokens / roof);
        else
            fprintf(script, "NaN\n");
    }
    fprintf(script, "EOD\n");
}

static void range_of(const json_t *rows, double *low, double *high) {
    *low = INFINITY;
    *high = 0;
    for (size_t n = 0; n < json_array_size(rows); n++) {
        const json_t *row = json_array_get(rows, n);
        const double rate = result_number(row, "tokens_per_s", 0), roof = result_number(row, "roofline_ms", 0);
        if (!is_of_tokens(row) || rate <= 0) continue;
        *low = fmin(*low, rate);
        *high = fmax(*high, roof > 0 ? fmax(rate, 1e3 * result_number(row, "tokens", 0) / roof) : rate);
    }
}

int draw_scaling(const result_set *set, const json_t *document, FILE *script) {
    static const int marks[PLOT_COLOURS / 2] = {7, 5, 9, 11};
    const char *names[PLOT_COLOURS / 2];
    const json_t *rows = result_rows(document);
    const size_t count = formats_of(rows, names);
    double low, high;
    (void)set;
    if (count == 0) return 1;
    for (size_t i = 0; i < count; i++) write_format(rows, names[i], i, script);
    range_of(rows, &low, &high);
    plot_title(script, "Throughput as the batch grows", document);
    plot_logarithmic(script, "y", low / 1.6, high * 1.6);
    fprintf(script, "set xlabel 'tokens of a forward'\nset ylabel 'tokens a second'\nset logscale x 2\n"
                    "set key bottom right Left reverse\nplot ");
    for (size_t i = 0; i < count; i++) {
        fprintf(script, "%s$sweep%zu using 1:2 with linespoints pt %d ps 1.3 lw 2 lc rgb '%s' title ",
                i == 0 ? "" : ", \\\n  ", i, marks[i], plot_colour(i));
        plot_quote(script, names[i]);
        fprintf(script, ", \\\n  $sweep%zu using 1:3 with lines lw 1.5 dt 2 lc rgb '%s' title ", i, plot_colour(i));
        char text[64];
        snprintf(text, sizeof text, "%.40s, roofline", names[i]);
        plot_quote(script, text);
    }
    fprintf(script, "\n");
    return 0;
}
