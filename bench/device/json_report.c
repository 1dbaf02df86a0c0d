/* What the JSON of every subcommand has in common; see json_report.h. Calls Jansson, the library and POSIX. */
#define _POSIX_C_SOURCE 200809L
#include "json_report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/tool.h"
#include "common/whole_file.h"
#include "json_any_text.h"
#include "json_layout.h"

#ifndef CLMOE_BENCH_COMMIT
#define CLMOE_BENCH_COMMIT "unknown"
#endif

/* Six digits are more than a measurement has; medians stay equal to a sample. */
static json_t *rounded(double value) {
    char text[32];
    if (!isfinite(value)) return json_null();
    snprintf(text, sizeof text, "%.6g", value);
    return json_real(strtod(text, NULL));
}

void put_text(json_t *object, const char *name, const char *value) {
    json_object_set_new(object, name, json_any_text(value));
}

void put_bool(json_t *object, const char *name, int value) { json_object_set_new(object, name, json_boolean(value)); }

void put_null(json_t *object, const char *name) { json_object_set_new(object, name, json_null()); }

json_t *put_list(json_t *object, const char *name) {
    json_object_set_new(object, name, json_array());
    return json_object_get(object, name);
}

json_t *put_object(json_t *object, const char *name) {
    json_object_set_new(object, name, json_object());
    return json_object_get(object, name);
}

json_t *put_row(json_t *list) {
    json_array_append_new(list, json_object());
    return json_array_get(list, json_array_size(list) - 1);
}

void put_number(json_t *object, const char *name, double value) { json_object_set_new(object, name, rounded(value)); }

void put_number_or_null(json_t *object, const char *name, double value) {
    if (value > 0)
        put_number(object, name, value);
    else
        put_null(object, name);
}

void put_numbers(json_t *object, const char *name, const double *values, size_t count) {
    json_t *samples = put_list(object, name);
    for (size_t i = 0; i < count; i++) json_array_append_new(samples, rounded(values[i]));
}

void put_count(json_t *object, const char *name, uint64_t value) {
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

static void add_peaks(json_t *root, const peaks *limits) {
    json_t *peak = put_object(root, "peak");
    put_number_or_null(peak, "f32_gflops", limits->rate[PEAK_F32]);
    put_number_or_null(peak, "bf16_gflops", limits->rate[PEAK_BF16]);
    put_number_or_null(peak, "int8_gops", limits->rate[PEAK_INT8]);
    put_number_or_null(peak, "read_gbps", limits->rate[PEAK_READ]);
}

static void add_device(json_t *environment, const session *s) {
    char text[256];
    platform_text(s->device, CL_PLATFORM_NAME, text, sizeof text);
    put_text(environment, "platform", text);
    platform_text(s->device, CL_PLATFORM_VERSION, text, sizeof text);
    put_text(environment, "platform_version", text);
    device_text(s->device, CL_DEVICE_VERSION, text, sizeof text);
    put_text(environment, "device_version", text);
    device_text(s->device, CL_DRIVER_VERSION, text, sizeof text);
    put_text(environment, "driver", text);
    put_count(environment, "compute_units", s->compute_units);
}

/* The moment of the measurement, as ISO 8601 has it. */
static void add_date(json_t *environment) {
    const time_t now = time(NULL);
    char date[32] = "";
    struct tm utc;
    if (gmtime_r(&now, &utc) != NULL) strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    put_text(environment, "date", date);
}

static void add_environment(json_t *root, const session *s, const peaks *limits) {
    char text[256];
    json_t *environment = put_object(root, "environment");
    add_date(environment);
    if (s != NULL) add_device(environment, s);
    cpu_name(text, sizeof text);
    put_text(environment, "cpu", text);
    put_text(environment, "clmoe", clmoe_version_string());
    put_text(environment, "commit", CLMOE_BENCH_COMMIT);
    put_text(environment, "compiler", __VERSION__);
    json_t *variables = put_object(environment, "variables");
    for (size_t i = 0; environment_variable(i) != NULL; i++) {
        const char *value = getenv(environment_variable(i));
        if (value != NULL) put_text(variables, environment_variable(i), value);
    }
    if (limits == NULL) return;
    json_t *notes = put_object(environment, "peak_notes");
    for (int kind = 0; kind < PEAK_KINDS; kind++) {
        if (limits->note[kind][0] != '\0')
            put_text(notes, peak_name((peak_kind)kind), limits->note[kind]);
    }
}

json_t *json_report_start(const char *command, const session *s, const peaks *limits) {
    json_t *root = json_object();
    put_text(root, "command", command);
    put_text(root, "device", s != NULL ? s->name : "none");
    if (limits != NULL) add_peaks(root, limits);
    add_environment(root, s, limits);
    return root;
}

json_t *put_layer_row(json_t *rows, const model *m, uint32_t format) {
    json_t *object = put_row(rows);
    put_text(object, "model", m->name);
    put_count(object, "hidden_size", m->hidden_size);
    put_count(object, "intermediate_size", m->intermediate_size);
    put_count(object, "num_experts", m->num_experts);
    put_count(object, "top_k", m->top_k);
    put_text(object, "weights", format_name(format));
    return object;
}

int json_report_write(const char *path, json_t *root) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *file = root != NULL ? open_memstream(&text, &bytes) : NULL;
    if (file != NULL) json_layout_write(file, root);
    json_decref(root);
    const int failed = file == NULL || fclose(file) != 0 ? complain("out of memory") : write_whole_file(path, text);
    free(text);
    return failed;
}
