/* What every file of the tool shares: clocks, statistics, random numbers, and one way to complain. */
#ifndef CLMOE_BENCH_TOOL_H
#define CLMOE_BENCH_TOOL_H

#include <CL/cl.h>
#include <stddef.h>
#include <stdint.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* Prints "clmoe-bench: ..." as one line on stderr and returns 1, the exit status of a failure. */
__attribute__((format(printf, 1, 2))) int complain(const char *format, ...);
/* The same for a failed OpenCL call. */
int complain_cl(const char *call, cl_int code);

/* Seconds of a clock that only moves forward. */
double now_seconds(void);
/* Seconds of CPU time that all threads of this process have had. */
double cpu_seconds(void);

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
const char *format_name(uint32_t format);
void format_store(void *array, uint32_t format, size_t index, float value); /* rounds to nearest even */
/* out[i] = array[start + i] for i < count. */
void format_load_run(const void *array, uint32_t format, size_t start, size_t count, double *out);
float round_to_bf16(float value);

#endif
