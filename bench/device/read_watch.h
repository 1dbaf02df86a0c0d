/* Reading bandwidth drifts within seconds where neighbours share the memory, so launches of the read probe now and
 * then between timed runs (timing_task's `between`) say what there was while they ran. */
#ifndef CLMOE_BENCH_READ_WATCH_H
#define CLMOE_BENCH_READ_WATCH_H

#include "roofline.h"

#define READ_WATCH_PROBES 15

typedef struct read_watch {
    roofline *roof;
    double rates[READ_WATCH_PROBES];
    size_t count;
} read_watch;

/* One launch whenever its share of the time has come. `watch` is a read_watch. 0, or 1 after a complaint. */
int read_watch_between(void *watch, double share);
/* The median, in GB/s; sorts. */
double read_watch_gbps(read_watch *watch);

#endif
