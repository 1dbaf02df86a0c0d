/* What `clmoe-bench variants` measures and how it is told. */
#ifndef CLMOE_BENCH_VARIANTS_H
#define CLMOE_BENCH_VARIANTS_H

#include "ladder.h"

/* One rung at one number of tokens. */
typedef struct variant_result {
    layer_result row; /* times, rates, errors; stages are empty */
    const rung *rung;
    char skipped[160]; /* why it was not run; empty: it was */
    double device_ms;  /* of all kernels together, from separate, profiled forwards; median */
    double speedup;    /* over the vanilla rung; 0: that one was not run */
    double moved_bytes;
    uint32_t transfers;
    double transferred_bytes;
    uint64_t activation_bytes; /* buffers, the library's workspace, what CLBlast takes meanwhile; without x and out */
} variant_result;

/* Checks, times and counts one rung; shape, format, tokens, seed of result->row and result->rung are set.
 * row.samples_ms is to be freed. 0; 1 after a complaint (wrong results are one). A rung that cannot be had says so
 * in `skipped`. */
int measure_rung(session *s, roofline *roof, const host_layer *host, uint32_t arithmetic, double seconds,
                 variant_result *result);

void print_variants_heading(void);
void print_variant(const variant_result *result);
int write_variants_json(const char *path, const session *s, const peaks *limits, const variant_result *results,
                        size_t count);

#endif
