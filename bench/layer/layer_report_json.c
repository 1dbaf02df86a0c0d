/* The results as JSON; see layer_report.h. Calls Jansson and json_report. */
#include "check.h"
#include "common/tool.h"
#include "common/weight_formats.h"
#include "device/json_report.h"
#include "layer_report.h"
#include "row_json.h"

static void add_result(json_t *results, const layer_result *row) {
    json_t *object = put_layer_row(results, row->shape, row->format);
    put_text(object, "arithmetic", arithmetic_name(row->arithmetic));
    put_text(object, "y", format_name(row->y_format));
    put_count(object, "weight_bytes", row->weight_bytes);
    put_count(object, "source_bytes", row->source_bytes);
    put_number(object, "packed_ratio", packed_ratio(row));
    put_count(object, "tokens", row->tokens);
    put_number(object, "active_experts", row->active_experts);
    put_number(object, "max_over_mean", row->max_over_mean);
    put_count(object, "seed", row->seed);
    put_times(object, row);
    put_number(object, "tokens_per_s", row->tokens_per_s);
    put_number(object, "gflops", row->gflops);
    put_number(object, "weight_gbps", row->weight_gbps);
    put_number(object, "roofline_share", row->roofline_share);
    put_number(object, "host_us", row->host_us);
    put_count(object, "launches", row->launches);
    put_number(object, "max_rel_error", row->max_rel_error);
    put_number(object, "nmse", row->nmse);
    json_t *stages = put_object(object, "stages");
    for (size_t i = 0; i < row->stage_count; i++) put_number(stages, row->stages[i].name, row->stages[i].us);
}

/* How the figures came about, and each row's own limits, in the order of the results. */
static void add_method(json_t *environment, const layer_result *rows, size_t count) {
    json_t *list = put_list(environment, "rows");
    for (size_t i = 0; i < count; i++) {
        json_t *object = put_row(list);
        put_count(object, "weight_copies", rows[i].copies);
        put_text(object, "peak", peak_name(rows[i].peak));
        put_number(object, "peak_gflops", rows[i].peak_gflops);
        put_number(object, "read_gbps", rows[i].read_gbps);
        put_number(object, "roofline_ms", rows[i].roofline_ms);
        put_number(object, "tolerance", rows[i].tolerance);
        put_number(object, "nmse_limit", nmse_limit(rows[i].arithmetic, rows[i].y_format));
        put_number(object, "cpu_share", rows[i].cpu_share);
        put_bool(object, "unsteady", rows[i].unsteady);
    }
    put_text(
        environment, "method",
        "a forward is timed from the call to the end of clFinish; every forward has other tokens; "
        "multiply-add peaks are the best of several medians of five launches, measured before, between "
        "and after the rows; a row's read_gbps is the median of launches among its forwards, "
        "peak.read_gbps the mean of what was measured between rows; weight_gbps counts the packed bytes of the "
        "experts hit; nmse is that of sampled tokens' outputs against double precision on the decoded weights; "
        "stages are microseconds of device time from separate, profiled forwards");
    put_text(environment, "routes", "the model's own router with random weights, random tokens");
}

int write_layer_json(const char *path, const session *s, const peaks *limits, const layer_result *rows, size_t count) {
    json_t *root = json_report_start("layer", s, limits);
    json_t *results = put_list(root, "results");
    for (size_t i = 0; i < count; i++) add_result(results, &rows[i]);
    add_method(json_object_get(root, "environment"), rows, count);
    return json_report_write(path, root);
}

static void add_load(json_t *results, const load_result *row) {
    json_t *object = put_layer_row(results, row->shape, row->format);
    put_count(object, "source_bytes", row->source_bytes);
    put_count(object, "packed_bytes", row->packed_bytes);
    put_number(object, "first_seconds", row->first_s);
    put_number(object, "median_seconds", row->median_s);
    put_number(object, "median_cpu_seconds", row->cpu_s);
    put_numbers(object, "samples_seconds", row->samples_s, row->sample_count);
    put_number(object, "gbps", row->gbps);
    put_number(object, "read_gbps", row->read_gbps);
    put_number(object, "read_share", row->share);
    put_count(object, "extra_host_bytes", (uint64_t)row->extra_bytes);
    put_number(object, "max_rel_error", row->max_rel_error);
}

int write_load_json(const char *path, const session *s, const peaks *limits, const load_result *rows, size_t count) {
    json_t *root = json_report_start("load", s, limits);
    json_t *results = put_list(root, "results");
    for (size_t i = 0; i < count; i++) add_load(results, &rows[i]);
    put_text(json_object_get(root, "environment"), "method",
             "a load is timed from opening the model to the return of clmoe_model_weights_create, the file being in "
             "the page cache; "
             "the first load, which also sets up kernels, is not among the samples; gbps counts source bytes read and "
             "packed "
             "bytes written; read_gbps is the median of launches of the read probe between the loads; extra_host_bytes "
             "is the "
             "peak of anonymous memory in a load of its own, sampled, less the packed weights");
    return json_report_write(path, root);
}

int write_roofline_json(const char *path, const session *s, const peaks *limits) {
    return json_report_write(path, json_report_start("roofline", s, limits));
}
