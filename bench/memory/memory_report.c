/* What `clmoe-bench memory` prints and writes of a row; see memory_report.h. Calls Jansson. */
#include "memory_report.h"

#include <stdio.h>

#include "common/tool.h"
#include "common/weight_formats.h"
#include "device/json_report.h"

/* ------------------------------------------------------------------------------------------------- the table */

/* The unit in which the smallest of a row's larger figures can be read. */
typedef struct unit {
    const char *name;
    double bytes;
} unit;

static unit unit_of(const memory_row *row) {
    return row->predicted.arena < 1u << 20 ? (unit){"KiB", 0x1p10} : (unit){"MiB", 0x1p20};
}

static void line(const memory_row *row, const char *name, uint64_t predicted, uint64_t measured) {
    printf("  %-36s %14.2f", name, (double)predicted / unit_of(row).bytes);
    if (row->is_measured && measured != 0) printf(" %14.2f", (double)measured / unit_of(row).bytes);
    printf("\n");
}

static void detail(const memory_row *row, const char *name, uint64_t bytes) {
    if (bytes != 0) printf("    %-34s %14.2f\n", name, (double)bytes / unit_of(row).bytes);
}

static void print_parts(const memory_row *row) {
    const clmoe_layer_memory *p = &row->predicted;
    line(row, "weights", p->weights, row->measured_weights);
    detail(row, "experts", p->experts);
    detail(row, "shared expert", p->shared);
    detail(row, "router", p->router);
    detail(row, "biases and factors of the routing", p->others);
    detail(row, "of these: padding", p->padding);
    line(row, "workspace", p->arena, row->measured_workspace);
    detail(row, "plan of the dispatch", p->plan);
    detail(row, "logits", p->logits);
    detail(row, "routes", p->routes);
    detail(row, "gathered inputs", p->inputs);
    detail(row, "hidden rows", p->hidden);
    detail(row, "rows of the experts", p->rows);
    line(row, "x and out", row->io_bytes, 0);
    line(row, "in all", predicted_total(row), row->measured_weights + row->measured_workspace + row->io_bytes);
}

static void print_pool(const memory_row *row) {
    printf("  pool: high-water mark %.2f %s, packing and self-tests included; %llu of %llu requests served from what "
           "was kept (%.0f%%)\n",
           (double)row->high_water / unit_of(row).bytes, unit_of(row).name, (unsigned long long)row->hits,
           (unsigned long long)row->requests, row->requests != 0 ? 100 * (double)row->hits / (double)row->requests : 0);
    printf(
        "  a second forward asked for %llu blocks; one with a new workspace for %llu, of which %llu were kept ones\n",
        (unsigned long long)row->later_requests, (unsigned long long)row->reuse_requests,
        (unsigned long long)row->reuse_hits);
    printf("  prediction and measurement differ by %.3f%% at most\n", 100 * memory_deviation(row));
}

void memory_print(const memory_row *row) {
    const double fused = (double)activation_sum(&row->fused), unfused = (double)activation_sum(&row->unfused);
    const unit u = unit_of(row);
    printf("%s, %s weights, %s arithmetic, %u tokens", row->shape->name, format_name(row->format),
           arithmetic_name(row->arithmetic), row->tokens);
    if (row->passes > 1) printf(" in %u passes", row->passes);
    printf("\n  %.0f%% less memory for activations than an unfused layer: %.2f instead of %.2f %s\n",
           100 * (1 - fused / unfused), fused / u.bytes, unfused / u.bytes, u.name);
    printf("  %-36s %14s%s\n", u.name, "predicted", row->is_measured ? "       measured" : "");
    print_parts(row);
    printf("  the weights take %.3f of what a file takes\n",
           (double)row->predicted.weights / (double)row->source_bytes);
    if (row->is_measured) print_pool(row);
    fflush(stdout);
}

/* --------------------------------------------------------------------------------------------------- JSON */

static void add_bytes(json_t *object, const char *name, uint64_t bytes) {
    put_count(object, name, bytes);
}

static void add_predicted(json_t *object, const memory_row *row) {
    const clmoe_layer_memory *p = &row->predicted;
    add_bytes(object, "source_bytes", row->source_bytes);
    add_bytes(object, "weight_bytes", p->weights);
    add_bytes(object, "experts_bytes", p->experts);
    add_bytes(object, "shared_bytes", p->shared);
    add_bytes(object, "router_bytes", p->router);
    add_bytes(object, "others_bytes", p->others);
    add_bytes(object, "padding_bytes", p->padding);
    add_bytes(object, "workspace_bytes", p->workspace);
    add_bytes(object, "plan_bytes", p->plan);
    add_bytes(object, "logits_bytes", p->logits);
    add_bytes(object, "routes_bytes", p->routes);
    add_bytes(object, "inputs_bytes", p->inputs);
    add_bytes(object, "hidden_bytes", p->hidden);
    add_bytes(object, "rows_bytes", p->rows);
    add_bytes(object, "io_bytes", row->io_bytes);
    add_bytes(object, "arena_bytes", p->arena);
    add_bytes(object, "total_bytes", predicted_total(row));
}

static void add_unfused(json_t *object, const memory_row *row) {
    const uint64_t fused = activation_sum(&row->fused), unfused = activation_sum(&row->unfused);
    add_bytes(object, "activation_bytes", fused);
    add_bytes(object, "unfused_activation_bytes", unfused);
    add_bytes(object, "unfused_inputs_bytes", row->unfused.inputs);
    add_bytes(object, "unfused_projections_bytes", row->unfused.projections);
    add_bytes(object, "saved_bytes", unfused - fused);
    put_number(object, "saved_share", 1 - (double)fused / (double)unfused);
}

static void add_measured(json_t *object, const memory_row *row) {
    put_bool(object, "measured", row->is_measured);
    if (!row->is_measured) return;
    add_bytes(object, "measured_weight_bytes", row->measured_weights);
    add_bytes(object, "measured_workspace_bytes", row->measured_workspace);
    put_number(object, "deviation", memory_deviation(row));
    add_bytes(object, "pool_high_water_bytes", row->high_water);
    add_bytes(object, "pool_requests", row->requests);
    add_bytes(object, "pool_hits", row->hits);
    put_number(object, "pool_hit_rate", row->requests != 0 ? (double)row->hits / (double)row->requests : 0);
    add_bytes(object, "second_forward_requests", row->later_requests);
    add_bytes(object, "reuse_requests", row->reuse_requests);
    add_bytes(object, "reuse_hits", row->reuse_hits);
}

void memory_add_json(json_t *rows, const memory_row *row) {
    json_t *object = put_layer_row(rows, row->shape, row->format);
    put_text(object, "arithmetic", arithmetic_name(row->arithmetic));
    put_count(object, "tokens", row->tokens);
    put_count(object, "passes", row->passes);
    add_predicted(object, row);
    add_unfused(object, row);
    add_measured(object, row);
}
