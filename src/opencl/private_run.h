/* A run on a queue of its own, for work at creation time that the call waits for: filling small buffers, reading sources,
 * launching kernels once so that the driver compiles them. */
#ifndef CLMOE_OPENCL_PRIVATE_RUN_H
#define CLMOE_OPENCL_PRIVATE_RUN_H

#include "run.h"

typedef struct clmoe__private_run {
    clmoe__run run;
    cl_command_queue queue;
    clmoe_workspace *workspace;
} clmoe__private_run;

/* After success, end must be called. */
clmoe_status clmoe__private_run_begin(clmoe__private_run *private_run, clmoe_context *context, clmoe_error *error);
/* Waits for everything, frees queue and workspace and returns the run's status. */
clmoe_status clmoe__private_run_end(clmoe__private_run *private_run);

#endif
