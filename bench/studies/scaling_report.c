/* The table and the JSON of `clmoe-bench scaling`; see scaling.h. Calls json_report. */
#include <stdio.h>

#include "common/tool.h"
#include "common/weight_formats.h"
#include "layer/row_json.h"
#include "scaling.h"

const char *scaling_axis_name(scaling_axis axis) {
    static const char *const names[SCALING_AXES] = {"tokens", "experts", "top_k", "compute_units"};
    return names[axis];
}

void print_scaling_heading(void) {
    printf("%-14s %-6s %-5s %-13s %7s %9s %9s %10s %15s %10s %6s %10s %8s %7s %8s\n", "model", "w", "in", "growing",
           "value", "work", "time", "median ms", "95% interval", "roofline", "share", "tokens/s", "GFLOPS", "GB/s",
           "experts");
    fflush(stdout);
}

void print_scaling_row(const scaling_result *result) {
    const layer_result *row = &result->row;
    char interval[32];
    snprintf(interval, sizeof interval, "%.4g..%.4g", row->low_ms, row->high_ms);
    printf("%-14s %-6s %-5s %-13s %7u %9.2f %9.2f %10.3f %15s %10.3f %6.2f %10.0f %8.1f %7.1f %8.1f%s\n",
           row->shape->name, format_name(row->format), arithmetic_name(row->arithmetic),
           scaling_axis_name(result->axis), result->value, result->work, result->time, row->median_ms, interval,
           row->roofline_ms, row->roofline_share, row->tokens_per_s, row->gflops, row->weight_gbps, row->active_experts,
           row->unsteady ? " ~" : "");
    fflush(stdout);
}

static void add_row(json_t *rows, const scaling_result *result) {
    const layer_result *row = &result->row;
    json_t *object = put_layer_row(rows, row->shape, row->format);
    put_text(object, "arithmetic", arithmetic_name(row->arithmetic));
    put_count(object, "tokens", row->tokens);
    put_count(object, "seed", row->seed);
    put_text(object, "axis", scaling_axis_name(result->axis));
    put_count(object, "value", result->value);
    put_count(object, "compute_units", result->compute_units);
    put_number(object, "work", result->work);
    put_number(object, "time", result->time);
    put_times(object, row);
    put_number(object, "tokens_per_s", row->tokens_per_s);
    put_number(object, "gflops", row->gflops);
    put_number(object, "weight_gbps", row->weight_gbps);
    put_limits(object, row);
    put_number(object, "active_experts", row->active_experts);
    put_number(object, "max_over_mean", row->max_over_mean);
    put_count(object, "weight_copies", row->copies);
    put_count(object, "launches", row->launches);
    put_number(object, "host_us", row->host_us);
    put_number(object, "max_rel_error", row->max_rel_error);
    put_number(object, "nmse", row->nmse);
    put_flops(object, row->shape, row->tokens);
}

int write_scaling_json(const char *path, const session *s, const peaks *limits, const scaling_result *results,
                       size_t count) {
    json_t *root = json_report_start("scaling", s, limits);
    json_t *environment = json_object_get(root, "environment");
    put_method(environment);
    put_text(environment, "routes", "the model's own router with random weights, random tokens");
    json_t *rows = put_list(root, "rows");
    for (size_t i = 0; i < count; i++) add_row(rows, &results[i]);
    return json_report_write(path, root);
}
