/* What every file of the bench shares: statistics, random numbers, storage formats; and what all programs share. */
#ifndef CLMOE_BENCH_TOOL_H
#define CLMOE_BENCH_TOOL_H

#include <stddef.h>
#include <stdint.h>

#include "common.h"

/* Sorts the values. p in 0..1, linear between neighbours; 0 values give 0. */
double quantile(double *values, size_t count, double p);
double median(double *values, size_t count);

/* splitmix64: fast, good enough for weights and tokens, any seed. */
typedef struct random_state {
    uint64_t state;
} random_state;
uint64_t random_next(random_state *random);
/* Uniform in -limit..limit. */
float random_uniform(random_state *random, float limit);

/* Storage formats, by the values of clmoe_format; written apart from the library's own code. */
size_t format_bytes(uint32_t format);
/* Rounds to nearest even. Halves may be at any address. */
void format_store(void *array, uint32_t format, size_t index, float value);
/* out[i] = array[start + i] for i < count. */
void format_load_run(const void *array, uint32_t format, size_t start, size_t count, double *out);
float round_to_bf16(float value);

#endif
