/* The table and the JSON of `clmoe-bench variants`; see variants.h. Calls json_report. */
#include <stdio.h>

#include "common/tool.h"
#include "common/weight_formats.h"
#include "layer/row_json.h"
#include "variants.h"

void print_variants_heading(void) {
    printf("%-14s %-6s %6s %-8s %-5s %9s %15s %9s %8s %8s %6s %9s %8s %9s %8s %9s\n", "model", "w", "tokens", "rung",
           "in", "median ms", "95% interval", "device ms", "speed-up", "GFLOPS", "share", "moved MB", "launches",
           "transfers", "acts MB", "max error");
    fflush(stdout);
}

void print_variant(const variant_result *result) {
    const layer_result *row = &result->row;
    char interval[32], speedup[16] = "-";
    if (result->skipped[0] != '\0') {
        printf("%-14s %-6s %6u %-8s skipped: %s\n", row->shape->name, format_name(row->format), row->tokens,
               result->rung->name, result->skipped);
        fflush(stdout);
        return;
    }
    snprintf(interval, sizeof interval, "%.4g..%.4g", row->low_ms, row->high_ms);
    if (result->speedup > 0) snprintf(speedup, sizeof speedup, "%.2f", result->speedup);
    printf("%-14s %-6s %6u %-8s %-5s %9.3f %15s %9.3f %8s %8.1f %6.2f %9.1f %8u %9u %8.2f %9.1e%s\n", row->shape->name,
           format_name(row->format), row->tokens, result->rung->name, arithmetic_name(row->arithmetic), row->median_ms,
           interval, result->device_ms, speedup, row->gflops, row->roofline_share, 1e-6 * result->moved_bytes,
           row->launches, result->transfers, 1e-6 * (double)result->activation_bytes, row->max_rel_error,
           row->unsteady ? " ~" : "");
    fflush(stdout);
}

static void add_row(json_t *rows, const variant_result *result) {
    const layer_result *row = &result->row;
    json_t *object = put_layer_row(rows, row->shape, row->format);
    put_text(object, "arithmetic", arithmetic_name(row->arithmetic));
    put_count(object, "tokens", row->tokens);
    put_count(object, "seed", row->seed);
    put_text(object, "rung", result->rung->name);
    put_text(object, "brings", result->rung->brings);
    put_times(object, row);
    put_number(object, "device_ms", result->device_ms);
    put_number_or_null(object, "speedup", result->speedup);
    put_number(object, "tokens_per_s", row->tokens_per_s);
    put_number(object, "gflops", row->gflops);
    put_limits(object, row);
    put_number(object, "moved_bytes", result->moved_bytes);
    put_count(object, "launches", row->launches);
    put_count(object, "transfers", result->transfers);
    put_number(object, "transferred_bytes", result->transferred_bytes);
    put_count(object, "activation_bytes", result->activation_bytes);
    put_number(object, "active_experts", row->active_experts);
    put_number(object, "max_over_mean", row->max_over_mean);
    put_number(object, "max_rel_error", row->max_rel_error);
    put_number(object, "nmse", row->nmse);
    put_flops(object, row->shape, row->tokens);
}

static void add_skipped(json_t *list, const variant_result *result) {
    json_t *object = put_layer_row(list, result->row.shape, result->row.format);
    put_count(object, "tokens", result->row.tokens);
    put_text(object, "rung", result->rung->name);
    put_text(object, "why", result->skipped);
}

int write_variants_json(const char *path, const session *s, const peaks *limits, const variant_result *results,
                        size_t count) {
    json_t *root = json_report_start("variants", s, limits);
    json_t *environment = json_object_get(root, "environment");
    put_method(environment);
    put_text(
        environment, "variants",
        "every rung sees the same tokens and is checked first; launches and transfers are counted at "
        "OpenCL's enqueue functions; moved_bytes counts each operand of each launch once; activation_bytes "
        "holds all buffers but weights, x and out; device_ms is kernel time of separate, profiled forwards");
    json_t *rows = put_list(root, "rows"), *skipped = put_list(root, "skipped");
    for (size_t i = 0; i < count; i++) {
        if (results[i].skipped[0] != '\0')
            add_skipped(skipped, &results[i]);
        else
            add_row(rows, &results[i]);
    }
    return json_report_write(path, root);
}
