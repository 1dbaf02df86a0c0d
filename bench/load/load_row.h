/* One row of `clmoe-bench load`: a checkpoint written, loaded, checked, watched, timed. */
#ifndef CLMOE_BENCH_LOAD_ROW_H
#define CLMOE_BENCH_LOAD_ROW_H

#include "layer/layer_report.h"

/* Fills *row, whose samples_s is to be freed in any case. The shape is routed as the checkpoint says. 0, or 1 after a
 * complaint; no file remains. */
int load_row_measure(session *s, roofline *roof, const model *shape, uint32_t format, uint64_t seed, uint32_t loads,
                     load_result *row);
/* The shape as a checkpoint of kind "olmoe" can have it: no shared experts, no biases, softmax. */
model load_row_shape(const model *shape);

#endif
