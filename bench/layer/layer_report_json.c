/* The results as JSON; see layer_report.h. Calls cJSON and json_report. */
#include "check.h"
#include "common/tool.h"
#include "common/weight_formats.h"
#include "device/json_report.h"
#include "layer_report.h"
#include "row_json.h"

static void add_result(cJSON *results, const layer_result *row) {
    cJSON *object = json_row(results, row->shape, row->format);
    cJSON_AddStringToObject(object, "arithmetic", arithmetic_name(row->arithmetic));
    cJSON_AddNumberToObject(object, "weight_bytes", (double)row->weight_bytes);
    cJSON_AddNumberToObject(object, "source_bytes", (double)row->source_bytes);
    json_number(object, "packed_ratio", packed_ratio(row));
    cJSON_AddNumberToObject(object, "tokens", row->tokens);
    json_number(object, "active_experts", row->active_experts);
    json_number(object, "max_over_mean", row->max_over_mean);
    json_u64(object, "seed", row->seed);
    json_times(object, row);
    json_number(object, "tokens_per_s", row->tokens_per_s);
    json_number(object, "gflops", row->gflops);
    json_number(object, "weight_gbps", row->weight_gbps);
    json_number(object, "roofline_share", row->roofline_share);
    json_number(object, "host_us", row->host_us);
    cJSON_AddNumberToObject(object, "launches", row->launches);
    json_number(object, "max_rel_error", row->max_rel_error);
    json_number(object, "nmse", row->nmse);
    cJSON *stages = cJSON_AddObjectToObject(object, "stages");
    for (size_t i = 0; i < row->stage_count; i++) json_number(stages, row->stages[i].name, row->stages[i].us);
}

/* How the figures came about, and each row's own limits, in the order of the results. */
static void add_method(cJSON *environment, const layer_result *rows, size_t count) {
    cJSON *list = cJSON_AddArrayToObject(environment, "rows");
    for (size_t i = 0; i < count; i++) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddItemToArray(list, object);
        cJSON_AddNumberToObject(object, "weight_copies", rows[i].copies);
        cJSON_AddStringToObject(object, "peak", peak_name(rows[i].peak));
        json_number(object, "peak_gflops", rows[i].peak_gflops);
        json_number(object, "read_gbps", rows[i].read_gbps);
        json_number(object, "roofline_ms", rows[i].roofline_ms);
        json_number(object, "tolerance", rows[i].tolerance);
        json_number(object, "nmse_limit", nmse_limit(rows[i].arithmetic));
        json_number(object, "cpu_share", rows[i].cpu_share);
        cJSON_AddBoolToObject(object, "unsteady", rows[i].unsteady);
    }
    cJSON_AddStringToObject(
        environment, "method",
        "a forward is timed from the call to the end of clFinish; every forward has other tokens; "
        "multiply-add peaks are the best of several medians of five launches, measured before, between "
        "and after the rows; a row's read_gbps is the median of launches among its forwards, "
        "peak.read_gbps the mean of what was measured between rows; weight_gbps counts the packed bytes of the "
        "experts hit; nmse is that of sampled tokens' outputs against double precision on the decoded weights; "
        "stages are microseconds of device time from separate, profiled forwards");
    cJSON_AddStringToObject(environment, "routes", "the model's own router with random weights, random tokens");
}

int write_layer_json(const char *path, const session *s, const peaks *limits, const layer_result *rows, size_t count) {
    cJSON *root = json_report_start("layer", s, limits);
    cJSON *results = cJSON_AddArrayToObject(root, "results");
    for (size_t i = 0; i < count; i++) add_result(results, &rows[i]);
    add_method(cJSON_GetObjectItem(root, "environment"), rows, count);
    return json_report_write(path, root);
}

static void add_load(cJSON *results, const load_result *row) {
    cJSON *object = json_row(results, row->shape, row->format);
    cJSON_AddNumberToObject(object, "source_bytes", (double)row->source_bytes);
    cJSON_AddNumberToObject(object, "packed_bytes", (double)row->packed_bytes);
    json_number(object, "first_seconds", row->first_s);
    json_number(object, "median_seconds", row->median_s);
    json_number(object, "median_cpu_seconds", row->cpu_s);
    json_numbers(object, "samples_seconds", row->samples_s, row->sample_count);
    json_number(object, "gbps", row->gbps);
    json_number(object, "read_gbps", row->read_gbps);
    json_number(object, "read_share", row->share);
    cJSON_AddNumberToObject(object, "extra_host_bytes", row->extra_bytes);
    json_number(object, "max_rel_error", row->max_rel_error);
}

int write_load_json(const char *path, const session *s, const peaks *limits, const load_result *rows, size_t count) {
    cJSON *root = json_report_start("load", s, limits);
    cJSON *results = cJSON_AddArrayToObject(root, "results");
    for (size_t i = 0; i < count; i++) add_load(results, &rows[i]);
    cJSON_AddStringToObject(
        cJSON_GetObjectItem(root, "environment"), "method",
        "a load is timed from opening the model to the return of clmoe_model_weights_create, the file being in the page cache; "
        "the first load, which also sets up kernels, is not among the samples; gbps counts source bytes read and packed "
        "bytes written; read_gbps is the median of launches of the read probe between the loads; extra_host_bytes is the "
        "peak of anonymous memory in a load of its own, sampled, less the packed weights");
    return json_report_write(path, root);
}

int write_roofline_json(const char *path, const session *s, const peaks *limits) {
    return json_report_write(path, json_report_start("roofline", s, limits));
}
