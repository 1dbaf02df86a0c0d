/* The limits of one OpenCL device, measured: multiply-adds a second and bytes read a second. */
#ifndef CLMOE_BENCH_ROOFLINE_H
#define CLMOE_BENCH_ROOFLINE_H

#include <CL/cl.h>
#include <stddef.h>
#include <stdint.h>

typedef enum peak_kind { PEAK_F32, PEAK_BF16, PEAK_INT8, PEAK_READ, PEAK_KINDS } peak_kind;

#define PEAK_NOTE 128
/* In billions a second: flops (two a multiply-add), int8 operations (two a multiply-add), bytes. 0 = no instruction for
 * it is known on this device; CPUs without one for bf16 have the f32 figure there. note says so; empty = nothing to
 * add. */
typedef struct peaks {
    double rate[PEAK_KINDS];
    char note[PEAK_KINDS][PEAK_NOTE];
} peaks;

typedef struct roofline roofline;

/* Compiles the kernels and makes a buffer of 1 GiB (less if the device allows no such buffer), in huge pages on CPUs.
 * 0 or 1, having complained. */
int roofline_open(cl_context context, cl_device_id device, roofline **out);
void roofline_close(roofline *roof);
/* Whether a kind is measured here at all; bf16 without an instruction is not. */
int roofline_has(const roofline *roof, peak_kind kind);
/* One launch of some 10 ms (the whole buffer for PEAK_READ), checked: billions a second. */
int roofline_launch(roofline *roof, peak_kind kind, double *rate);
/* Every kind: the best of `rounds` medians of five launches, kinds taking turns, so that a neighbour's burst spoils one
 * round and not the figure. */
int roofline_measure(roofline *roof, int rounds, peaks *out);
/* Takes over what is higher in `now`, and its notes: a neighbour can only lower a figure. */
void peaks_improve(peaks *best, const peaks *now);
/* What the reading buffer holds on to. */
uint64_t roofline_bytes(const roofline *roof);

const char *peak_name(peak_kind kind); /* "f32", "bf16", "int8", "read" */
const char *peak_unit(peak_kind kind); /* "GFLOPS", "GOPS", "GB/s" */

/* The last-level cache a benchmark has to leave behind, in bytes, as far as device and system tell. */
uint64_t last_level_cache(cl_device_id device);

#endif
