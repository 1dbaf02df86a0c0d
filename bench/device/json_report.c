/* What the JSON of every subcommand has in common; see json_report.h. Calls cJSON, the library and POSIX. */
#define _POSIX_C_SOURCE 200809L
#include "json_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/tool.h"
#include "common/whole_file.h"

#ifndef CLMOE_BENCH_COMMIT
#define CLMOE_BENCH_COMMIT "unknown"
#endif

void json_number(cJSON *object, const char *name, double value) {
    char text[32];
    snprintf(text, sizeof text, "%.6g", value); /* more than a measurement has; medians stay equal to a sample */
    cJSON_AddNumberToObject(object, name, strtod(text, NULL));
}

void json_number_or_null(cJSON *object, const char *name, double value) {
    if (value > 0)
        json_number(object, name, value);
    else
        cJSON_AddNullToObject(object, name);
}

void json_numbers(cJSON *object, const char *name, const double *values, size_t count) {
    cJSON *samples = cJSON_AddArrayToObject(object, name);
    for (size_t i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "%.6g", values[i]);
        cJSON_AddItemToArray(samples, cJSON_CreateNumber(strtod(text, NULL)));
    }
}

void json_u64(cJSON *object, const char *name, uint64_t value) {
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    cJSON_AddRawToObject(object, name, text);
}

static void add_peaks(cJSON *root, const peaks *limits) {
    cJSON *peak = cJSON_AddObjectToObject(root, "peak");
    json_number_or_null(peak, "f32_gflops", limits->rate[PEAK_F32]);
    json_number_or_null(peak, "bf16_gflops", limits->rate[PEAK_BF16]);
    json_number_or_null(peak, "int8_gops", limits->rate[PEAK_INT8]);
    json_number_or_null(peak, "read_gbps", limits->rate[PEAK_READ]);
}

static void add_device(cJSON *environment, const session *s) {
    char text[256];
    platform_text(s->device, CL_PLATFORM_NAME, text, sizeof text);
    cJSON_AddStringToObject(environment, "platform", text);
    platform_text(s->device, CL_PLATFORM_VERSION, text, sizeof text);
    cJSON_AddStringToObject(environment, "platform_version", text);
    device_text(s->device, CL_DEVICE_VERSION, text, sizeof text);
    cJSON_AddStringToObject(environment, "device_version", text);
    device_text(s->device, CL_DRIVER_VERSION, text, sizeof text);
    cJSON_AddStringToObject(environment, "driver", text);
    cJSON_AddNumberToObject(environment, "compute_units", s->compute_units);
}

/* The moment of the measurement, as ISO 8601 has it. */
static void add_date(cJSON *environment) {
    const time_t now = time(NULL);
    char date[32] = "";
    struct tm utc;
    if (gmtime_r(&now, &utc) != NULL) strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    cJSON_AddStringToObject(environment, "date", date);
}

static void add_environment(cJSON *root, const session *s, const peaks *limits) {
    char text[256];
    cJSON *environment = cJSON_AddObjectToObject(root, "environment");
    add_date(environment);
    if (s != NULL) add_device(environment, s);
    cpu_name(text, sizeof text);
    cJSON_AddStringToObject(environment, "cpu", text);
    cJSON_AddStringToObject(environment, "clmoe", clmoe_version_string());
    cJSON_AddStringToObject(environment, "commit", CLMOE_BENCH_COMMIT);
    cJSON_AddStringToObject(environment, "compiler", __VERSION__);
    cJSON *variables = cJSON_AddObjectToObject(environment, "variables");
    for (size_t i = 0; environment_variable(i) != NULL; i++) {
        const char *value = getenv(environment_variable(i));
        if (value != NULL) cJSON_AddStringToObject(variables, environment_variable(i), value);
    }
    if (limits == NULL) return;
    cJSON *notes = cJSON_AddObjectToObject(environment, "peak_notes");
    for (int kind = 0; kind < PEAK_KINDS; kind++) {
        if (limits->note[kind][0] != '\0')
            cJSON_AddStringToObject(notes, peak_name((peak_kind)kind), limits->note[kind]);
    }
}

cJSON *json_report_start(const char *command, const session *s, const peaks *limits) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "command", command);
    cJSON_AddStringToObject(root, "device", s != NULL ? s->name : "none");
    if (limits != NULL) add_peaks(root, limits);
    add_environment(root, s, limits);
    return root;
}

cJSON *json_row(cJSON *rows, const model *m, uint32_t format) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToArray(rows, object);
    cJSON_AddStringToObject(object, "model", m->name);
    cJSON_AddNumberToObject(object, "hidden_size", m->hidden_size);
    cJSON_AddNumberToObject(object, "intermediate_size", m->intermediate_size);
    cJSON_AddNumberToObject(object, "num_experts", m->num_experts);
    cJSON_AddNumberToObject(object, "top_k", m->top_k);
    cJSON_AddStringToObject(object, "weights", format_name(format));
    return object;
}

int json_report_write(const char *path, cJSON *root) {
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    if (text == NULL) return complain("out of memory");
    const int failed = write_whole_file(path, text);
    cJSON_free(text);
    return failed;
}
