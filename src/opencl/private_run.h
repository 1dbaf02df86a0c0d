/* A run on a queue of the library's own, for work at creation time that the call waits for: filling small buffers,
 * reading sources, launching kernels once so that the driver compiles them. What it launched is then fit for the
 * cache.
 *
 * The queues are kept by the context, one as a rule, more where threads create objects at the same time: a driver may
 * use a queue for a moment after the last command is complete (POCL 3.1 does), so none is released before the context
 * is. */
#ifndef CLMOE_OPENCL_PRIVATE_RUN_H
#define CLMOE_OPENCL_PRIVATE_RUN_H

#include "run.h"

typedef struct clmoe__private_run {
    clmoe__run run;
    struct clmoe__private_queue *queue;
} clmoe__private_run;

/* After success, end must be called. */
clmoe_status clmoe__private_run_begin(clmoe__private_run *private_run, clmoe_context *context, clmoe_error *error);
/* Waits for everything and returns the run's status. */
clmoe_status clmoe__private_run_end(clmoe__private_run *private_run);

/* When the context is destroyed. */
void clmoe__private_queues_destroy(clmoe_context *context);

#endif
