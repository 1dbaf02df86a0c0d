/* Groups of figures that rows of several subcommands have, and the timing method in words. */
#ifndef CLMOE_BENCH_ROW_JSON_H
#define CLMOE_BENCH_ROW_JSON_H

#include "device/json_report.h"
#include "layer_report.h"

/* median_ms with its interval, p95_ms, samples_ms; what else was going on, and whether it disturbed. */
void put_times(json_t *object, const layer_result *row);
/* What the row is compared with, and the share of it. */
void put_limits(json_t *object, const layer_result *row);
/* Operations of a forward by stage (flops.h), gating as literature counts it too. */
void put_flops(json_t *object, const model *shape, uint32_t tokens);
/* The sentences of timing.h, under "method". */
void put_method(json_t *environment);

/* The same for people: one line on gating; and what the mark of unsteady rows means, if there are any. */
void print_gating(const model *shape, uint32_t tokens);
void print_unsteady_note(size_t unsteady, size_t count);

#endif
