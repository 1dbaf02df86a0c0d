/* Counts what is enqueued on one queue, whoever does it: the library, the bench, or another library such as CLBlast,
 * whose launches its interface does not tell. launch_tap.c defines OpenCL's enqueue functions in this program, in
 * front of the loader's, so that all calls of the process pass through it. */
#ifndef CLMOE_BENCH_LAUNCH_TAP_H
#define CLMOE_BENCH_LAUNCH_TAP_H

#include <CL/cl.h>
#include <stdint.h>

typedef struct tap_counts {
    uint32_t launches;  /* of kernels */
    uint32_t transfers; /* between host and device, either way */
    uint64_t transferred_bytes;
    double device_us; /* of the kernels, summed; 0 unless the queue has CL_QUEUE_PROFILING_ENABLE */
} tap_counts;

/* From here on counts what is enqueued on this queue, which one thread uses. */
void tap_start(cl_command_queue queue);
/* Waits for the queue and stops counting. 0, or 1 after a complaint. */
int tap_stop(tap_counts *counts);

#endif
