/* The table on stdout; see layer_report.h. */
#include "layer_report.h"

#include <stdio.h>
#include <string.h>

#include "common/tool.h"
#include "common/weight_formats.h"

void print_peaks(const session *s, const peaks *limits) {
    printf("%s:", s->name);
    for (int kind = 0; kind < PEAK_KINDS; kind++) {
        const char *name = peak_name((peak_kind)kind);
        if (limits->rate[kind] > 0) {
            printf("%s %s %.1f %s", kind == 0 ? "" : ",", name, limits->rate[kind], peak_unit((peak_kind)kind));
        } else {
            printf("%s %s -", kind == 0 ? "" : ",", name);
        }
    }
    printf("\n");
    for (int kind = 0; kind < PEAK_KINDS; kind++) {
        if (limits->note[kind][0] != '\0') printf("  %s: %s\n", peak_name((peak_kind)kind), limits->note[kind]);
    }
    fflush(stdout);
}

double packed_ratio(const layer_result *row) { return (double)row->weight_bytes / (double)row->source_bytes; }

void print_layer_heading(void) {
    printf("%-14s %-6s %-5s %9s %6s %6s %7s %9s %9s %10s %8s %7s %6s %7s %8s %9s %8s\n", "model", "w", "in",
           "weight MB", "ratio", "tokens", "experts", "median ms", "p95 ms", "tokens/s", "GFLOPS", "GB/s", "share",
           "host us", "launches", "max error", "nmse");
    fflush(stdout);
}

void print_layer_row(const layer_result *row) {
    printf("%-14s %-6s %-5s %9.1f %6.3f %6u %7.1f %9.3f %9.3f %10.0f %8.1f %7.1f %6.2f %7.1f %8u %9.1e %8.1e%s\n",
           row->shape->name, format_name(row->format), arithmetic_name(row->arithmetic),
           1e-6 * (double)row->weight_bytes, packed_ratio(row), row->tokens, row->active_experts, row->median_ms,
           row->p95_ms, row->tokens_per_s, row->gflops, row->weight_gbps, row->roofline_share, row->host_us,
           row->launches, row->max_rel_error, row->nmse, row->unsteady ? " ~" : "");
    fflush(stdout);
}

void print_unsteady(const layer_result *rows, size_t count) {
    size_t unsteady = 0;
    for (size_t i = 0; i < count; i++) unsteady += rows[i].unsteady != 0;
    if (unsteady == 0) return;
    printf("~ %zu of %zu rows are unsteady (p95 beyond 1.4 medians, less than 0.85 of the CPU time, or a share above "
           "1.02): "
           "other work shares this machine, run again\n",
           unsteady, count);
}

void print_load_heading(void) {
    printf("%-14s %-4s %9s %9s %9s %10s %10s %8s %7s %10s %6s %10s %9s\n", "model", "w", "experts", "read MB",
           "packed MB", "first s", "median s", "CPU s", "GB/s", "probe GB/s", "share", "extra MiB", "max error");
    fflush(stdout);
}

void print_load_row(const load_result *row) {
    printf("%-14s %-4s %9u %9.1f %9.1f %10.4f %10.4f %8.4f %7.1f %10.1f %6.2f %10.1f %9.1e\n", row->shape->name,
           format_name(row->format), row->shape->num_experts, 1e-6 * (double)row->source_bytes,
           1e-6 * (double)row->packed_bytes, row->first_s, row->median_s, row->cpu_s, row->gbps, row->read_gbps,
           row->share, row->extra_bytes / 0x1p20, row->max_rel_error);
    fflush(stdout);
}

/* Stage names of all rows, in the order of first appearance. */
static size_t stage_names(const layer_result *rows, size_t count, const char *names[MAX_STAGES]) {
    size_t known = 0;
    for (size_t r = 0; r < count; r++) {
        for (size_t i = 0; i < rows[r].stage_count; i++) {
            size_t at = 0;
            while (at < known && strcmp(names[at], rows[r].stages[i].name) != 0) at++;
            if (at == known && known < MAX_STAGES) names[known++] = rows[r].stages[i].name;
        }
    }
    return known;
}

void print_stages(const layer_result *rows, size_t count) {
    const char *names[MAX_STAGES];
    const size_t columns = stage_names(rows, count, names);
    if (columns == 0) return;
    printf("\ntime by stage, microseconds of device time (from separate, profiled forwards)\n%-14s %-6s %-5s %6s",
           "model", "w", "in", "tokens");
    for (size_t i = 0; i < columns; i++) printf(" %10s", names[i]);
    printf("\n");
    for (size_t r = 0; r < count; r++) {
        printf("%-14s %-6s %-5s %6u", rows[r].shape->name, format_name(rows[r].format),
               arithmetic_name(rows[r].arithmetic), rows[r].tokens);
        for (size_t i = 0; i < columns; i++) {
            size_t at = 0;
            while (at < rows[r].stage_count && strcmp(rows[r].stages[at].name, names[i]) != 0) at++;
            if (at < rows[r].stage_count)
                printf(" %10.1f", rows[r].stages[at].us);
            else
                printf(" %10s", "-");
        }
        printf("\n");
    }
    fflush(stdout);
}
