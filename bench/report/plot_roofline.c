/* roofline.png: each timed row of `layer` as a point under the limits of the device. Calls plot. */
#include <math.h>
#include <string.h>

#include "common/tool.h"
#include "plot.h"

/* The roofs of a document: rate of multiply-adds and the "peak" that names it. */
static const struct {
    const char *key, *name, *unit;
} roofs[] = {
    {"peak.f32_gflops", "f32", "GFLOPS"}, {"peak.bf16_gflops", "bf16", "GFLOPS"}, {"peak.int8_gops", "int8", "GOPS"}};

/* Series are formats, in the order of first appearance. */
static size_t formats_of(const json_t *rows, const char *names[PLOT_COLOURS]) {
    size_t count = 0;
    for (size_t n = 0; n < json_array_size(rows); n++) {
        const json_t *row = json_array_get(rows, n);
        size_t i = 0;
        while (i < count && strcmp(names[i], result_text(row, "weights")) != 0) i++;
        if (i == count && count < PLOT_COLOURS) names[count++] = result_text(row, "weights");
    }
    return count;
}

/* Flops a byte: both rates are over the same time. */
static double intensity(const json_t *row) {
    return result_number(row, "gflops", 0) / result_number(row, "weight_gbps", 1);
}

static void write_points(const json_t *rows, const char *format, size_t series, FILE *script) {
    fprintf(script, "$points%zu << EOD\n", series);
    for (size_t n = 0; n < json_array_size(rows); n++) {
        const json_t *row = json_array_get(rows, n);
        if (strcmp(result_text(row, "weights"), format) != 0) continue;
        fprintf(script, "%.6g %.6g %.0f\n", intensity(row), result_number(row, "gflops", 0),
                result_number(row, "tokens", 0));
    }
    fprintf(script, "EOD\n");
}

static void range_of(const json_t *rows, double *low, double *high, double *least) {
    *low = *least = INFINITY;
    *high = 0;
    for (size_t n = 0; n < json_array_size(rows); n++) {
        const json_t *row = json_array_get(rows, n);
        *low = fmin(*low, intensity(row));
        *high = fmax(*high, intensity(row));
        *least = fmin(*least, result_number(row, "gflops", INFINITY));
    }
}

/* The best rate of reading that was seen: rows are measured one after another, and neighbours share the memory. */
static double best_bandwidth(const json_t *document) {
    const json_t *const lists[] = {result_get(document, "environment.rows"), result_rows(document)};
    double best = result_number(document, "peak.read_gbps", 0);
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        for (size_t n = 0; n < json_array_size(lists[i]); n++)
            best = fmax(best, result_number(json_array_get(lists[i], n), "read_gbps", 0));
    }
    return best;
}

/* The slope that all formats share, and the ceilings from their ridge on. Their rates stand in the legend: beside the
 * lines they would lie on points. */
static void plot_roofs(const json_t *document, double bandwidth, double top, FILE *script) {
    fprintf(
        script,
        "plot x * bandwidth < %.6g ? x * bandwidth : NaN with lines lw 2 lc rgb '#777777' title 'memory: %.3g GB/s'",
        top, bandwidth);
    for (size_t i = COUNT_OF(roofs); i-- > 0;) {
        const double peak = result_number(document, roofs[i].key, 0);
        if (peak > 0)
            fprintf(script,
                    ", \\\n  x * bandwidth < %.6g ? NaN : %.6g with lines lw 2 dt %zu lc rgb '#777777' title "
                    "'%s: %.3g %s'",
                    peak, peak, i + 2, roofs[i].name, peak, roofs[i].unit);
    }
}

int draw_roofline(const result_set *set, const json_t *document, FILE *script) {
    static const int marks[PLOT_COLOURS] = {7, 5, 9, 11, 13, 6, 4, 8};
    const json_t *rows = result_rows(document);
    const char *names[PLOT_COLOURS];
    const double bandwidth = best_bandwidth(document);
    double low, high, least, top = 0;
    (void)set;
    if (json_array_size(rows) == 0 || bandwidth <= 0) return 1;
    const size_t count = formats_of(rows, names);
    range_of(rows, &low, &high, &least);
    for (size_t i = 0; i < COUNT_OF(roofs); i++) top = fmax(top, result_number(document, roofs[i].key, 0));
    high = 1.6 * fmax(high, 2 * top / bandwidth); /* the ridge is in the picture */
    for (size_t i = 0; i < count; i++) write_points(rows, names[i], i, script);
    plot_title(script, "Layers under the roofline of the device", document);
    plot_logarithmic(script, "x", low / 2, high);
    plot_logarithmic(script, "y", least / 2, top * 2);
    fprintf(script,
            "set xlabel 'arithmetic intensity (FLOP per byte of weights)'\nset ylabel 'GFLOPS (int8: GOPS)'\n"
            "set key outside right top Left reverse\nbandwidth = %.6g\nset samples 800\n",
            bandwidth);
    plot_roofs(document, bandwidth, top, script);
    for (size_t i = 0; i < count; i++) {
        fprintf(script, ", \\\n  $points%zu using 1:2 with linespoints pt %d ps 1.4 lw 1 lc rgb '%s' title ", i,
                marks[i], plot_colour(i));
        plot_quote(script, names[i]);
    }
    fprintf(script, "\n");
    return 0;
}
