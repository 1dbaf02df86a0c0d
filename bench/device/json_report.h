/* What the JSON of every subcommand has in common:
 *
 *     {"command": "scaling", "device": "...", "peak": {...} or absent, "environment": {...}, "rows": [{...}, ...]}
 *
 * A row is a flat object; a figure that was sampled has its samples beside it ("median_ms", "samples_ms"), so that
 * `clmoe-bench compare` can tell a change from noise. ("layer" and "load" call their rows "results".) */
#ifndef CLMOE_BENCH_JSON_REPORT_H
#define CLMOE_BENCH_JSON_REPORT_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "common/models.h"
#include "common/session.h"
#include "roofline.h"

/* An object with command, device, the peaks and the environment; s and limits may be NULL where there are none. cJSON's
 * functions take NULL, so that only json_report_write complains of memory. */
cJSON *json_report_start(const char *command, const session *s, const peaks *limits);
/* Writes all of it to the file or nothing, and deletes it. 0, or 1 after a complaint. */
int json_report_write(const char *path, cJSON *root);

/* A new object in a list of rows that begins with the layer's sizes and the clmoe_format of its weights. */
cJSON *json_row(cJSON *rows, const model *shape, uint32_t format);

/* Six significant digits. */
void json_number(cJSON *object, const char *name, double value);
/* null unless value > 0. */
void json_number_or_null(cJSON *object, const char *name, double value);
void json_numbers(cJSON *object, const char *name, const double *values, size_t count);
/* All 64 bits. */
void json_u64(cJSON *object, const char *name, uint64_t value);

#endif
