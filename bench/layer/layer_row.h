/* One row of the table: a layer at one number of tokens, checked, then timed, then profiled. */
#ifndef CLMOE_BENCH_LAYER_ROW_H
#define CLMOE_BENCH_LAYER_ROW_H

#include "common/timing.h"
#include "device_layer.h"
#include "layer_report.h"

/* Fills everything of *row but the comparison with limits. shape, format, tokens, seed and copies are set by the
 * caller; row->samples_ms is to be freed. Reading bandwidth drifts within seconds where neighbours share the memory, so
 * a launch of the read probe now and then between the timed forwards gives row->read_gbps, their median. 0, or 1 after
 * a complaint (wrong results are one). */
int measure_row(session *s, roofline *roof, const host_layer *host, const device_layer *device, double seconds,
                layer_result *row);
/* The same with logits given, [rows, E] with at least as many rows as row->tokens, in place of the router's. */
int measure_row_with_logits(session *s, roofline *roof, const host_layer *host, const device_layer *device,
                            double seconds, const float *logits, size_t logit_rows, layer_result *row);
/* Two parts of it: takes over the times, samples included; rates, from the row's median and active experts. */
void row_take_times(layer_result *row, const session *s, const timing *times);
void row_rates(layer_result *row);
/* Roofline time and share, by the row's own read_gbps and these multiply-add peaks. */
void compare_with_limits(layer_result *row, const peaks *limits);
/* Device memory that a row needs beyond the weights, about. */
uint64_t row_bytes(const model *shape, uint32_t tokens);

#endif
