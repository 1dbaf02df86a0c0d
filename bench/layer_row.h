/* One row of the table: a layer at one number of tokens, checked, then timed, then profiled. */
#ifndef CLMOE_BENCH_LAYER_ROW_H
#define CLMOE_BENCH_LAYER_ROW_H

#include "device_layer.h"
#include "report.h"

/* Fills everything of *row that needs no limits (peaks), except median-derived shares. row->samples_ms is to be freed.
 * shape, format, tokens, seed and copies are set by the caller. 0, or 1 after a complaint (wrong results are one). */
int measure_row(session *s, const host_layer *host, const device_layer *device, double seconds, layer_result *row);
/* Adds roofline time and share. */
void compare_with_limits(layer_result *row, const peaks *before, const peaks *after);
/* Device memory that a row needs beyond the weights, about. */
uint64_t row_bytes(const model *shape, uint32_t tokens);

#endif
