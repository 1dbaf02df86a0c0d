/* What the JSON of every subcommand has in common:
 *
 *     {"command": "scaling", "device": "...", "peak": {...} or absent, "environment": {...}, "rows": [{...}, ...]}
 *
 * A row is a flat object; a figure that was sampled has its samples beside it ("median_ms", "samples_ms"), so that
 * `clmoe-bench compare` can tell a change from noise. ("layer" and "load" call their rows "results".) */
#ifndef CLMOE_BENCH_JSON_REPORT_H
#define CLMOE_BENCH_JSON_REPORT_H

#include <jansson.h>
#include <stddef.h>

#include "common/models.h"
#include "common/session.h"
#include "roofline.h"

/* An object with command, device, the peaks and the environment; s and limits may be NULL where there are none. It
 * and the functions below take NULL for want of memory, as Jansson's do, so that only json_report_write complains. */
json_t *json_report_start(const char *command, const session *s, const peaks *limits);
/* Writes all of it to the file or nothing, and deletes it. 0, or 1 after a complaint. */
int json_report_write(const char *path, json_t *root);

/* Put a member into an object; lists and objects are new, empty and the object's own. */
void put_text(json_t *object, const char *name, const char *value);
void put_bool(json_t *object, const char *name, int value);
void put_null(json_t *object, const char *name);
json_t *put_list(json_t *object, const char *name);
json_t *put_object(json_t *object, const char *name);
/* Below 2^63. */
void put_count(json_t *object, const char *name, uint64_t value);
/* Six significant digits; null unless it is finite. */
void put_number(json_t *object, const char *name, double value);
/* The same, and null unless value > 0. */
void put_number_or_null(json_t *object, const char *name, double value);
void put_numbers(json_t *object, const char *name, const double *values, size_t count);

/* A new object at the end of a list. */
json_t *put_row(json_t *list);
/* One in a list of rows that begins with the layer's sizes and the clmoe_format of its weights. */
json_t *put_layer_row(json_t *rows, const model *shape, uint32_t format);

#endif
