/* The results as JSON; see report.h. Calls cJSON. */
#define _POSIX_C_SOURCE 200809L
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "report.h"
#include "tool.h"
#include "weight_formats.h"

#ifndef CLMOE_BENCH_COMMIT
#define CLMOE_BENCH_COMMIT "unknown"
#endif

int write_whole_file(const char *path, const char *text) {
    const size_t length = strlen(path) + 32;
    char *temporary = malloc(length);
    if (temporary == NULL) return complain("out of memory");
    snprintf(temporary, length, "%s.%ld.tmp", path, (long)getpid());
    FILE *file = fopen(temporary, "w");
    int failed = file == NULL;
    if (!failed) {
        failed = fputs(text, file) == EOF || fputc('\n', file) == EOF;
        failed |= fflush(file) != 0 || fsync(fileno(file)) != 0;
        failed |= fclose(file) != 0;
        failed = failed || rename(temporary, path) != 0;
        if (failed) unlink(temporary);
    }
    free(temporary);
    return failed ? complain("cannot write %s", path) : 0;
}

/* Four significant digits are more than a measurement has; six keep medians equal to a sample. */
static void number(cJSON *object, const char *name, double value) {
    char text[32];
    snprintf(text, sizeof text, "%.6g", value);
    cJSON_AddNumberToObject(object, name, strtod(text, NULL));
}

static void number_or_null(cJSON *object, const char *name, double value) {
    if (value > 0)
        number(object, name, value);
    else
        cJSON_AddNullToObject(object, name);
}

static void add_peaks(cJSON *root, const peaks *limits) {
    cJSON *peak = cJSON_AddObjectToObject(root, "peak");
    number_or_null(peak, "f32_gflops", limits->rate[PEAK_F32]);
    number_or_null(peak, "bf16_gflops", limits->rate[PEAK_BF16]);
    number_or_null(peak, "int8_gops", limits->rate[PEAK_INT8]);
    number_or_null(peak, "read_gbps", limits->rate[PEAK_READ]);
}

/* A new object in the list that begins with the layer's sizes and format. */
static cJSON *add_row(cJSON *results, const model *m, uint32_t format) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToArray(results, object);
    cJSON_AddStringToObject(object, "model", m->name);
    cJSON_AddNumberToObject(object, "hidden_size", m->hidden_size);
    cJSON_AddNumberToObject(object, "intermediate_size", m->intermediate_size);
    cJSON_AddNumberToObject(object, "num_experts", m->num_experts);
    cJSON_AddNumberToObject(object, "top_k", m->top_k);
    cJSON_AddStringToObject(object, "weights", format_name(format));
    return object;
}

static void add_samples(cJSON *object, const char *name, const double *values, size_t count) {
    cJSON *samples = cJSON_AddArrayToObject(object, name);
    for (size_t i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "%.6g", values[i]);
        cJSON_AddItemToArray(samples, cJSON_CreateNumber(strtod(text, NULL)));
    }
}

static void add_result(cJSON *results, const layer_result *row) {
    cJSON *object = add_row(results, row->shape, row->format);
    cJSON_AddStringToObject(object, "arithmetic", arithmetic_name(row->arithmetic));
    cJSON_AddNumberToObject(object, "weight_bytes", (double)row->weight_bytes);
    cJSON_AddNumberToObject(object, "source_bytes", (double)row->source_bytes);
    number(object, "packed_ratio", packed_ratio(row));
    cJSON_AddNumberToObject(object, "tokens", row->tokens);
    number(object, "active_experts", row->active_experts);
    number(object, "max_over_mean", row->max_over_mean);
    char seed[32];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)row->seed);
    cJSON_AddRawToObject(object, "seed", seed); /* all 64 bits */
    number(object, "median_ms", row->median_ms);
    number(object, "p95_ms", row->p95_ms);
    add_samples(object, "samples_ms", row->samples_ms, row->sample_count);
    number(object, "tokens_per_s", row->tokens_per_s);
    number(object, "gflops", row->gflops);
    number(object, "weight_gbps", row->weight_gbps);
    number(object, "roofline_share", row->roofline_share);
    number(object, "host_us", row->host_us);
    cJSON_AddNumberToObject(object, "launches", row->launches);
    number(object, "max_rel_error", row->max_rel_error);
    number(object, "nmse", row->nmse);
    cJSON *stages = cJSON_AddObjectToObject(object, "stages");
    for (size_t i = 0; i < row->stage_count; i++) number(stages, row->stages[i].name, row->stages[i].us);
}

/* How the figures came about, and each row's own limits, in the order of the results. */
static void add_method(cJSON *environment, const layer_result *rows, size_t count) {
    cJSON *list = cJSON_AddArrayToObject(environment, "rows");
    for (size_t i = 0; i < count; i++) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddItemToArray(list, object);
        cJSON_AddNumberToObject(object, "weight_copies", rows[i].copies);
        cJSON_AddStringToObject(object, "peak", peak_name(rows[i].peak));
        number(object, "peak_gflops", rows[i].peak_gflops);
        number(object, "read_gbps", rows[i].read_gbps);
        number(object, "roofline_ms", rows[i].roofline_ms);
        number(object, "tolerance", rows[i].tolerance);
        number(object, "nmse_limit", nmse_limit(rows[i].arithmetic));
        number(object, "cpu_share", rows[i].cpu_share);
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

static void add_environment(cJSON *root, const session *s, const peaks *limits) {
    char text[256];
    cJSON *environment = cJSON_AddObjectToObject(root, "environment");
    platform_text(s->device, CL_PLATFORM_NAME, text, sizeof text);
    cJSON_AddStringToObject(environment, "platform", text);
    platform_text(s->device, CL_PLATFORM_VERSION, text, sizeof text);
    cJSON_AddStringToObject(environment, "platform_version", text);
    device_text(s->device, CL_DEVICE_VERSION, text, sizeof text);
    cJSON_AddStringToObject(environment, "device_version", text);
    device_text(s->device, CL_DRIVER_VERSION, text, sizeof text);
    cJSON_AddStringToObject(environment, "driver", text);
    cpu_name(text, sizeof text);
    cJSON_AddStringToObject(environment, "cpu", text);
    cJSON_AddNumberToObject(environment, "compute_units", s->compute_units);
    cJSON_AddStringToObject(environment, "clmoe", clmoe_version_string());
    cJSON_AddStringToObject(environment, "commit", CLMOE_BENCH_COMMIT);
    cJSON_AddStringToObject(environment, "compiler", __VERSION__);
    cJSON *variables = cJSON_AddObjectToObject(environment, "variables");
    for (size_t i = 0; environment_variable(i) != NULL; i++) {
        const char *value = getenv(environment_variable(i));
        if (value != NULL) cJSON_AddStringToObject(variables, environment_variable(i), value);
    }
    cJSON *notes = cJSON_AddObjectToObject(environment, "peak_notes");
    for (int kind = 0; kind < PEAK_KINDS; kind++) {
        if (limits->note[kind][0] != '\0')
            cJSON_AddStringToObject(notes, peak_name((peak_kind)kind), limits->note[kind]);
    }
}

static int finish(const char *path, cJSON *root) {
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    if (text == NULL) return complain("out of memory");
    const int failed = write_whole_file(path, text);
    cJSON_free(text);
    return failed;
}

int write_layer_json(const char *path, const session *s, const peaks *limits, const layer_result *rows, size_t count) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "device", s->name);
    add_peaks(root, limits);
    cJSON *results = cJSON_AddArrayToObject(root, "results");
    for (size_t i = 0; i < count; i++) add_result(results, &rows[i]);
    add_environment(root, s, limits);
    add_method(cJSON_GetObjectItem(root, "environment"), rows, count);
    return finish(path, root);
}

static void add_load(cJSON *results, const load_result *row) {
    cJSON *object = add_row(results, row->shape, row->format);
    cJSON_AddNumberToObject(object, "source_bytes", (double)row->source_bytes);
    cJSON_AddNumberToObject(object, "packed_bytes", (double)row->packed_bytes);
    number(object, "first_seconds", row->first_s);
    number(object, "median_seconds", row->median_s);
    number(object, "median_cpu_seconds", row->cpu_s);
    add_samples(object, "samples_seconds", row->samples_s, row->sample_count);
    number(object, "gbps", row->gbps);
    number(object, "read_gbps", row->read_gbps);
    number(object, "read_share", row->share);
    cJSON_AddNumberToObject(object, "extra_host_bytes", row->extra_bytes);
    number(object, "max_rel_error", row->max_rel_error);
}

int write_load_json(const char *path, const session *s, const peaks *limits, const load_result *rows, size_t count) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "device", s->name);
    add_peaks(root, limits);
    cJSON *results = cJSON_AddArrayToObject(root, "results");
    for (size_t i = 0; i < count; i++) add_load(results, &rows[i]);
    add_environment(root, s, limits);
    cJSON_AddStringToObject(
        cJSON_GetObjectItem(root, "environment"), "method",
        "a load is timed from opening the model to the return of clmoe_model_weights_create, the file being in the page cache; "
        "the first load, which also sets up kernels, is not among the samples; gbps counts source bytes read and packed "
        "bytes written; read_gbps is the median of launches of the read probe between the loads; extra_host_bytes is the "
        "peak of anonymous memory in a load of its own, sampled, less the packed weights");
    return finish(path, root);
}

int write_roofline_json(const char *path, const session *s, const peaks *limits) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "device", s->name);
    add_peaks(root, limits);
    add_environment(root, s, limits);
    return finish(path, root);
}
