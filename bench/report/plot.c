/* Pictures by gnuplot; see plot.h. gnuplot reads its commands, data included, from a nameless file and writes one PNG
 * to a temporary file that takes its name when it is complete. Calls POSIX. */
#define _POSIX_C_SOURCE 200809L
#include "plot.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/child.h"
#include "common/tool.h"
#include "common/whole_file.h"

const plot plots[] = {
    {"latency_comparison.png", "variants", 540, "Latency",
     "Median latency of a forward for each rung of the ladder of optimisations; whiskers hold 95% of the confidence.",
     draw_latency},
    {"throughput_scaling.png", "scaling", 540, "Throughput",
     "Tokens a second as the number of tokens grows, beside what the roofline of the device allows.", draw_scaling},
    {"roofline.png", "layer", 540, "Roofline",
     "Each timed row between the limits of the device: the slope is memory bandwidth, the ceilings are multiply-adds.",
     draw_roofline},
    {"memory_breakdown.png", "memory", 760, "Memory", "Where the bytes of a layer go, beside a layer without fusion.",
     draw_memory},
    {"expert_load_distribution.png", "balance", 540, "Expert load",
     "Share of the rows that each expert received, relative to an even share, for each distribution of routes.",
     draw_expert_load},
};
const size_t plot_count = COUNT_OF(plots);

const char *plot_colour(size_t i) {
    static const char *const colours[PLOT_COLOURS] = {"#0072b2", "#e69f00", "#009e73", "#cc79a7",
                                                      "#56b4e9", "#d55e00", "#000000", "#999999"};
    return colours[i % PLOT_COLOURS];
}

void plot_quote(FILE *script, const char *text) {
    fputc('\'', script);
    for (; *text != '\0'; text++) {
        if (*text == '\'') fputc('\'', script);
        fputc((unsigned char)*text < ' ' ? ' ' : *text, script);
    }
    fputc('\'', script);
}

void plot_title(FILE *script, const char *title, const json_t *document) {
    const json_t *rows = result_rows(document);
    const char *model = result_text(json_array_get(rows, 0), "model");
    char text[160];
    for (size_t n = 0; n < json_array_size(rows); n++) {
        const json_t *row = json_array_get(rows, n);
        if (strcmp(result_text(row, "model"), model) != 0) model = "";
    }
    if (strcmp(model, "custom") == 0) model = "";
    snprintf(text, sizeof text, "%s%s%.60s", title, model[0] != '\0' ? ": " : "", model);
    fprintf(script, "set title ");
    plot_quote(script, text);
    fprintf(script, "\n");
}

void plot_logarithmic(FILE *script, const char *axis, double low, double high) {
    static const char *const prefixes[] = {"", "k", "M", "G", "T"};
    static const double digits[] = {1, 2, 5};
    const double decades = log10(high / low);
    const size_t a_decade = decades < 3.5 ? COUNT_OF(digits) : 1;
    size_t count = 0;
    fprintf(script, "set logscale %s\nset %srange [%.6g:%.6g]\nset %stics (", axis, axis, low, high, axis);
    for (int power = (int)floor(log10(low)); power <= (int)ceil(log10(high)); power++) {
        for (size_t i = 0; i < a_decade; i++) {
            const double at = digits[i] * pow(10, power);
            const int thousands = power >= 15 ? 4 : power >= 3 ? power / 3 : 0;
            if (at < low || at > high) continue;
            fprintf(script, "%s'%g%s' %.6g", count++ == 0 ? "" : ", ", at / pow(1000, thousands), prefixes[thousands],
                    at);
        }
    }
    fprintf(script, ")\n");
}

/* --------------------------------------------------------------------------------------------------- gnuplot */

int plot_ready(void) {
    static const char *const arguments[] = {"gnuplot", "-e", "set terminal pngcairo", NULL};
    const int status = child_run("gnuplot", arguments, STDIN_FILENO);
    if (status == 0) return 0;
    if (status == 127) return complain("gnuplot is not installed, and it draws the pictures (Debian: gnuplot-nox)");
    return complain("gnuplot has no terminal pngcairo (Debian: install gnuplot-nox)");
}

/* Hands the script to a gnuplot; 0, or 1 after a complaint. */
static int run(const char *script, size_t bytes) {
    static const char *const arguments[] = {"gnuplot", "-", NULL};
    FILE *file = tmpfile();
    if (file == NULL) return complain("no temporary file for gnuplot: %s", strerror(errno));
    int failed = fwrite(script, 1, bytes, file) != bytes || fflush(file) != 0 || fseek(file, 0, SEEK_SET) != 0;
    failed = failed || child_run("gnuplot", arguments, fileno(file)) != 0;
    fclose(file);
    return failed ? complain("gnuplot failed") : 0;
}

/* ------------------------------------------------------------------------------------------------- a picture */

/* What all pictures have in common. */
static void begin(FILE *script, const char *path, int height) {
    fprintf(script, "set terminal pngcairo size 880,%d font 'DejaVu Sans,12' background '#ffffff'\nset output ",
            height);
    plot_quote(script, path);
    fprintf(script, "\nset encoding utf8\nset termoption noenhanced\nset grid lc rgb '#dddddd' lt 1 lw 1\n"
                    "set border 3 lc rgb '#444444'\nset tics nomirror out\nset key spacing 1.2\n");
}

/* The file at `path` holds a picture: gnuplot leaves an empty one where it stumbles late. */
static int is_picture(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && info.st_size > 0;
}

static int draw_to(const plot *p, const result_set *set, const json_t *document, const char *temporary,
                   const char *path) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *script = open_memstream(&text, &bytes);
    if (script == NULL) return complain("out of memory");
    begin(script, temporary, p->height);
    const int nothing = p->draw(set, document, script);
    const int broken = fclose(script) != 0;
    int result = nothing ? 2 : broken ? complain("out of memory") : 0;
    if (result == 0) result = run(text, bytes);
    free(text);
    if (result == 0 && (!is_picture(temporary) || rename(temporary, path) != 0))
        result = complain("cannot write %s", path);
    if (result != 0) (void)unlink(temporary);
    return result;
}

int plot_draw(const plot *p, const result_set *set, const char *folder) {
    char path[4096], temporary[4200];
    const json_t *document = result_find(set, p->command);
    if (document == NULL) return 2;
    const int length = snprintf(path, sizeof path, "%s/%s", folder, p->file);
    if (length < 0 || (size_t)length >= sizeof path) return complain("the path %.64s... is too long", folder);
    snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid());
    if (remove_at_end(temporary)) return 1;
    const int result = draw_to(p, set, document, temporary, path);
    keep_at_end(temporary);
    return result;
}
