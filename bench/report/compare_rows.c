/* Rows of two results; see compare_rows.h. Calls Jansson. */
#include "compare_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/timing.h"
#include "common/tool.h"

#define EIGHTHS 8

const measure measures[] = {
    {"median_ms", "samples_ms", "low_ms", "high_ms", 0},
    {"median_seconds", "samples_seconds", NULL, NULL, 0},
    {"total_bytes", NULL, NULL, NULL, 0},
    {"activation_bytes", NULL, NULL, NULL, 0},
};
const size_t measure_count = COUNT_OF(measures);

/* ---------------------------------------------------------------------------------------------------- noise */

static void widen(figure *f, double low, double high) {
    f->low = fmin(f->low, low);
    f->high = fmax(f->high, high);
}

/* The samples as numbers, to be freed; NULL without any. */
static double *samples_of(const json_t *list, size_t *count) {
    const size_t size = json_array_size(list);
    double *values = size > 0 ? malloc(size * sizeof *values) : NULL;
    *count = 0;
    if (values == NULL) return NULL;
    for (; *count < size; ++*count) values[*count] = json_number_value(json_array_get(list, *count));
    return values;
}

static void widen_by_samples(figure *f, double *values, size_t count, int has_interval) {
    double low = 0, high = 0;
    for (size_t part = 0; count >= 2 * EIGHTHS && part < EIGHTHS; part++) {
        const size_t from = part * count / EIGHTHS, to = (part + 1) * count / EIGHTHS;
        const double middle = median(values + from, to - from);
        widen(f, middle, middle);
    }
    if (has_interval) return;
    (void)quantile(values, count, 0.5); /* sorts */
    (void)median_interval(values, count, &low, &high);
    widen(f, low, high);
}

int figure_take(const json_t *row, const measure *m, figure *out) {
    const double value = result_number(row, m->name, NAN);
    size_t count = 0;
    if (!(value > 0)) return 1;
    *out = (figure){value, value, value};
    const double low = m->low != NULL ? result_number(row, m->low, NAN) : NAN;
    const double high = m->high != NULL ? result_number(row, m->high, NAN) : NAN;
    const int has_interval = low > 0 && high >= low;
    if (has_interval) widen(out, low, high);
    double *values = m->samples != NULL ? samples_of(result_get(row, m->samples), &count) : NULL;
    if (values != NULL) widen_by_samples(out, values, count, has_interval);
    free(values);
    return 0;
}

/* ------------------------------------------------------------------------------------------------- same rows */

/* Numbers that say what is measured; all other numbers are results. */
static const char *const sizes[] = {"hidden_size", "intermediate_size", "num_experts", "top_k",  "tokens",
                                    "value",       "compute_units",     "layers",      "devices"};

static int same_sizes(const json_t *a, const json_t *b) {
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        const double left = result_number(a, sizes[i], -1), right = result_number(b, sizes[i], -1);
        if (left < right || left > right) return 0;
    }
    return 1;
}

/* Sentences, which may change without a change of what is measured. */
static int is_remark(const char *name) { return strcmp(name, "brings") == 0; }

/* Names that a row may leave out, and what it then means: results of before there was a choice. */
static const struct {
    const char *name, *value;
} defaults[] = {{"y", "f32"}};

static const char *name_of(const json_t *row, const char *name) {
    const char *text = result_text(row, name);
    for (size_t i = 0; i < COUNT_OF(defaults) && text[0] == '\0'; i++)
        if (strcmp(defaults[i].name, name) == 0) return defaults[i].value;
    return text;
}

/* Every name of a is in b. */
static int has_names(json_t *a, const json_t *b) {
    const char *name;
    const json_t *item;
    json_object_foreach(a, name, item) {
        if (json_is_string(item) && !is_remark(name) && strcmp(json_string_value(item), name_of(b, name)) != 0)
            return 0;
    }
    return 1;
}

int same_row(json_t *a, json_t *b) { return same_sizes(a, b) && has_names(a, b) && has_names(b, a); }

void row_label(json_t *row, char *text, size_t capacity) {
    const char *name;
    const json_t *item;
    size_t used = 0;
    text[0] = '\0';
    json_object_foreach(row, name, item) {
        if (!json_is_string(item) || is_remark(name)) continue;
        const int added = snprintf(text + used, capacity - used, "%s%s", used == 0 ? "" : " ", json_string_value(item));
        if (added < 0 || (size_t)added >= capacity - used) return;
        used += (size_t)added;
    }
    if (json_object_get(row, "tokens") != NULL)
        snprintf(text + used, capacity - used, "%s%.0f tokens", used == 0 ? "" : " ", result_number(row, "tokens", 0));
}
