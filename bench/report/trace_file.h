/* Commands of a device, with the four moments of their events, in the trace format of chrome://tracing and Perfetto. */
#ifndef CLMOE_BENCH_TRACE_FILE_H
#define CLMOE_BENCH_TRACE_FILE_H

#include <clmoe/clmoe_stages.h>

#include "device/json_report.h"

typedef struct trace_event {
    clmoe_launch_time launch; /* stage and kernel are "write" or "read" for a transfer */
    uint64_t bytes;           /* of a transfer; 0 for a kernel */
} trace_event;

/* Puts displayTimeUnit and traceEvents into the object: "X" events with times in microseconds since the first command
 * was queued.
 *
 *     process "execution"    thread "kernels", thread "transfers"     started .. ended
 *     process "queue wait"   threads "lane 1", "lane 2" ...           queued .. started
 *
 * Commands wait side by side, but the slices of one thread must nest: each wait takes the first lane that is free. */
void trace_events_add(json_t *root, const trace_event *events, size_t count);

/* One microsecond figure of a command, from the first command's `queued` on. */
double trace_us(const trace_event *first, uint64_t moment);

#endif
