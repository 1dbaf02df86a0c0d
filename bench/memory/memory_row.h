/* What one layer takes of the device's memory: predicted from its description alone, and measured by making it.
 *
 *   predicted   clmoe_weights_plan and clmoe_layer_memory_query; nothing is allocated, so any layer can be asked about
 *   measured    a context of its own; bytes_in_use of clmoe_context_memory behind each step less those before it. The
 *               pool is emptied after the weights, or the workspace could get a larger block that packing left behind.
 *               Its hits are those of all that was done, a forward with a second workspace, after the first was
 *               destroyed, being the last
 *   unfused     the same layer from separate kernels: gathered inputs, gate and up each in a buffer of its own (f32,
 *               as sums are), besides the hidden rows and the experts' rows that the fused layer has too, all in the
 *               same formats */
#ifndef CLMOE_BENCH_MEMORY_ROW_H
#define CLMOE_BENCH_MEMORY_ROW_H

#include <clmoe/clmoe_stages.h>

#include "layer/device_layer.h"

/* Bytes. */
typedef struct activation_bytes {
    uint64_t inputs, projections, hidden, rows;
} activation_bytes;

typedef struct memory_row {
    const model *shape;
    uint32_t format, arithmetic, tokens;
    uint64_t seed, source_bytes;
    uint32_t passes;
    clmoe_layer_memory predicted; /* workspace: of one pass */
    uint64_t io_bytes;            /* x and out, the caller's */
    activation_bytes fused, unfused;
    int is_measured;
    uint64_t measured_weights, measured_workspace;
    uint64_t high_water, requests, hits; /* of the pool, self-tests and packing included */
    uint64_t later_requests;             /* of a second forward */
    uint64_t reuse_requests, reuse_hits; /* of a third, with another workspace, the first being gone */
} memory_row;

uint64_t activation_sum(const activation_bytes *bytes);
/* The unfused layer beside a fused one that takes this. */
activation_bytes unfused_bytes(const model *shape, uint32_t arithmetic, const clmoe_layer_memory *fused);
/* Bytes that the layer takes, the caller's x and out included. */
uint64_t predicted_total(const memory_row *row);
/* Largest deviation of a measured figure from its prediction, as a share of it; 0 where nothing was measured. */
double memory_deviation(const memory_row *row);

/* Fills *row, whose shape, format, arithmetic (may be auto), tokens and seed are set. device as in clmoe_context_desc.
 * 0, or 1 after a complaint. */
int memory_row_predict(session *s, memory_row *row);
int memory_row_measure(const char *device, memory_row *row);

#endif
