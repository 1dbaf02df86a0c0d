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

static void add_row(cJSON *rows, const variant_result *result) {
    const layer_result *row = &result->row;
    cJSON *object = json_row(rows, row->shape, row->format);
    cJSON_AddStringToObject(object, "arithmetic", arithmetic_name(row->arithmetic));
    cJSON_AddNumberToObject(object, "tokens", row->tokens);
    json_u64(object, "seed", row->seed);
    cJSON_AddStringToObject(object, "rung", result->rung->name);
    cJSON_AddStringToObject(object, "brings", result->rung->brings);
    json_times(object, row);
    json_number(object, "device_ms", result->device_ms);
    json_number_or_null(object, "speedup", result->speedup);
    json_number(object, "tokens_per_s", row->tokens_per_s);
    json_number(object, "gflops", row->gflops);
    json_limits(object, row);
    json_number(object, "moved_bytes", result->moved_bytes);
    cJSON_AddNumberToObject(object, "launches", row->launches);
    cJSON_AddNumberToObject(object, "transfers", result->transfers);
    json_number(object, "transferred_bytes", result->transferred_bytes);
    cJSON_AddNumberToObject(object, "activation_bytes", (double)result->activation_bytes);
    json_number(object, "active_experts", row->active_experts);
    json_number(object, "max_over_mean", row->max_over_mean);
    json_number(object, "max_rel_error", row->max_rel_error);
    json_number(object, "nmse", row->nmse);
    json_flops(object, row->shape, row->tokens);
}

static void add_skipped(cJSON *list, const variant_result *result) {
    cJSON *object = json_row(list, result->row.shape, result->row.format);
    cJSON_AddNumberToObject(object, "tokens", result->row.tokens);
    cJSON_AddStringToObject(object, "rung", result->rung->name);
    cJSON_AddStringToObject(object, "why", result->skipped);
}

int write_variants_json(const char *path, const session *s, const peaks *limits, const variant_result *results,
                        size_t count) {
    cJSON *root = json_report_start("variants", s, limits);
    cJSON *environment = cJSON_GetObjectItem(root, "environment");
    json_method(environment);
    cJSON_AddStringToObject(
        environment, "variants",
        "every rung sees the same tokens and is checked first; launches and transfers are counted at "
        "OpenCL's enqueue functions; moved_bytes counts each operand of each launch once; activation_bytes "
        "holds all buffers but weights, x and out; device_ms is kernel time of separate, profiled forwards");
    cJSON *rows = cJSON_AddArrayToObject(root, "rows"), *skipped = cJSON_AddArrayToObject(root, "skipped");
    for (size_t i = 0; i < count; i++) {
        if (results[i].skipped[0] != '\0')
            add_skipped(skipped, &results[i]);
        else
            add_row(rows, &results[i]);
    }
    return json_report_write(path, root);
}
