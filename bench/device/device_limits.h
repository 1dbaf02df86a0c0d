/* The limits of a device while rows are measured on it: multiply-adds are the best of all measurements, because a
 * neighbour can only lower them. Reading bandwidth is each row's own (read_watch.h). */
#ifndef CLMOE_BENCH_DEVICE_LIMITS_H
#define CLMOE_BENCH_DEVICE_LIMITS_H

#include "common/session.h"
#include "roofline.h"

typedef struct limits {
    roofline *roof;
    peaks best;
    double measured_at; /* the last time, by now_seconds() */
} limits;

/* Compiles the probes and measures. 0, or 1 after a complaint; to be closed in both cases. */
int limits_open(const session *s, limits *l);
/* Measures once more, unless it has just been done; for after each row. Likewise. */
int limits_refresh(limits *l);
void limits_close(limits *l);

#endif
