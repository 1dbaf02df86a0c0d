/* The table and the JSON of `clmoe-bench balance`; see balance.h. Calls json_report. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance.h"
#include "common/tool.h"
#include "common/weight_formats.h"
#include "layer/row_json.h"

#define BARS 8

void balance_statistics(balance_result *result) {
    const uint32_t experts = result->row.shape->num_experts;
    const uint64_t *loads = result->row.loads;
    uint64_t largest = 0;
    result->total = 0;
    result->entropy = 0;
    for (uint32_t e = 0; e < experts; e++) {
        result->total += loads[e];
        largest = loads[e] > largest ? loads[e] : largest;
    }
    for (uint32_t e = 0; e < experts && result->total != 0; e++) {
        const double share = (double)loads[e] / (double)result->total;
        if (share > 0) result->entropy -= share * log(share);
    }
    result->max_over_mean = result->total != 0 ? (double)largest * experts / (double)result->total : 0;
    result->idle_experts = (double)experts - result->row.active_experts;
}

static double entropy_share(const balance_result *result) {
    const uint32_t experts = result->row.shape->num_experts;
    return experts > 1 ? result->entropy / log((double)experts) : 1;
}

void print_balance_heading(void) {
    printf("%-14s %-6s %-5s %6s %-10s %8s %7s %7s %6s %7s %9s %10s %15s %9s %8s %6s\n", "model", "w", "in", "tokens",
           "routes", "max/mean", "overall", "active", "idle", "entropy", "of even", "median ms", "95% interval",
           "x uniform", "GFLOPS", "share");
    fflush(stdout);
}

void print_balance_row(const balance_result *result) {
    const layer_result *row = &result->row;
    char interval[32], slowdown[16] = "-";
    snprintf(interval, sizeof interval, "%.4g..%.4g", row->low_ms, row->high_ms);
    if (result->slowdown > 0) snprintf(slowdown, sizeof slowdown, "%.3f", result->slowdown);
    printf("%-14s %-6s %-5s %6u %-10s %8.2f %7.2f %7.1f %6.1f %7.3f %9.3f %10.3f %15s %9s %8.1f %6.2f%s\n",
           row->shape->name, format_name(row->format), arithmetic_name(row->arithmetic), row->tokens,
           result->distribution, row->max_over_mean, result->max_over_mean, row->active_experts, result->idle_experts,
           result->entropy, entropy_share(result), row->median_ms, interval, slowdown, row->gflops, row->roofline_share,
           row->unsteady ? " ~" : "");
    fflush(stdout);
}

static int falling(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

void print_balance_loads(const balance_result *result) {
    const uint32_t experts = result->row.shape->num_experts, bars = experts < BARS ? experts : BARS;
    uint64_t *sorted = malloc(experts * sizeof *sorted);
    if (sorted == NULL || result->total == 0) {
        free(sorted);
        return;
    }
    memcpy(sorted, result->row.loads, experts * sizeof *sorted);
    qsort(sorted, experts, sizeof *sorted, falling);
    printf("  rows by experts, the busiest first:");
    for (uint32_t i = 0; i < bars; i++) {
        const uint32_t begin = experts * i / bars, end = experts * (i + 1) / bars;
        uint64_t sum = 0;
        for (uint32_t e = begin; e < end; e++) sum += sorted[e];
        printf(" %.1f%%", 100 * (double)sum / (double)result->total);
    }
    printf(" (an %uth of the experts each)\n", bars);
    fflush(stdout);
    free(sorted);
}

static void add_row(json_t *rows, const balance_result *result) {
    const layer_result *row = &result->row;
    const model *m = row->shape;
    json_t *object = put_layer_row(rows, m, row->format);
    put_text(object, "arithmetic", arithmetic_name(row->arithmetic));
    put_count(object, "tokens", row->tokens);
    put_count(object, "seed", row->seed);
    put_text(object, "distribution", result->distribution);
    if (result->zipf >= 0)
        put_number(object, "zipf", result->zipf);
    else
        put_null(object, "zipf");
    json_t *load = put_list(object, "load");
    for (uint32_t e = 0; e < m->num_experts; e++) json_array_append_new(load, json_integer((json_int_t)row->loads[e]));
    put_count(object, "forwards", row->sample_count);
    put_count(object, "load_total", result->total);
    put_number(object, "load_max_over_mean", result->max_over_mean);
    put_number(object, "entropy", result->entropy);
    put_number(object, "entropy_share", entropy_share(result));
    put_number(object, "max_over_mean", row->max_over_mean);
    put_number(object, "active_experts", row->active_experts);
    put_number(object, "idle_experts", result->idle_experts);
    put_times(object, row);
    put_number_or_null(object, "slowdown", result->slowdown);
    put_number(object, "tokens_per_s", row->tokens_per_s);
    put_number(object, "gflops", row->gflops);
    put_number(object, "weight_gbps", row->weight_gbps);
    put_limits(object, row);
    put_number(object, "max_rel_error", row->max_rel_error);
    put_number(object, "nmse", row->nmse);
    put_flops(object, m, row->tokens);
}

int write_balance_json(const char *path, const session *s, const peaks *limits, const balance_result *results,
                       size_t count) {
    json_t *root = json_report_start("balance", s, limits);
    json_t *environment = json_object_get(root, "environment");
    put_method(environment);
    put_text(
        environment, "routes",
        "logits given in place of the router's: ln(1 / rank^s) plus Gumbel noise, ranks dealt to experts by the "
        "seed; load sums the timed forwards; max_over_mean, active_experts and idle_experts are means of "
        "single forwards, load_max_over_mean and entropy are of the sums");
    json_t *rows = put_list(root, "rows");
    for (size_t i = 0; i < count; i++) add_row(rows, &results[i]);
    return json_report_write(path, root);
}
