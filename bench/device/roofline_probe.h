/* The inside of a roofline, shared by the file that opens probes and the one that launches them. */
#ifndef CLMOE_BENCH_ROOFLINE_PROBE_H
#define CLMOE_BENCH_ROOFLINE_PROBE_H

#include "roofline.h"

#define READ_PATTERN 0x01010101u /* every word of the buffer that is read */

/* One measured kernel. */
typedef struct probe {
    cl_program program;
    cl_kernel kernel;
    cl_mem operands, start, sums;
    int32_t *result; /* what the launch wrote, as bits */
    uint32_t chains, steps;
    size_t global, local;
} probe;

struct roofline {
    cl_context context;
    cl_device_id device;
    cl_command_queue queue;
    int is_cpu;
    uint32_t units, width;
    probe probes[PEAK_KINDS];
    char note[PEAK_KINDS][PEAK_NOTE];
    void *pages; /* host memory lent to `data` on CPUs */
    size_t pages_bytes;
    cl_mem data;
    uint64_t read_bytes;
};

/* The value an accumulator starts from, as bits. */
void probe_start_value(peak_kind kind, uint32_t chain, int32_t *bits);
/* Operations of one launch of multiply_add: each lane of f32 multiplies one pair, of bf16 two, of int8 four. */
double probe_operations(const roofline *roof, const probe *p, peak_kind kind);
/* Seconds of one launch, from enqueue to finished; and the checked launches. 0 or 1, without a complaint. */
int probe_timed_launch(roofline *roof, probe *p, double *seconds);
int probe_multiply_add(roofline *roof, peak_kind kind, double *rate);
int probe_read(roofline *roof, double *rate);

#endif
