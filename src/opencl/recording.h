/* Recordings: the launches of a run put into a command buffer in place of a queue, to be enqueued again and again as
 * one command. A stage does not see the difference: the run it gets records.
 *
 *     clmoe__recording r;  clmoe__run run;
 *     TRY(clmoe__recording_begin(&r, context, queue, desc, &run, error));
 *     stages launch with &run; transfers and waits are refused
 *     TRY(clmoe__recording_end(&r, &run));                                    r is empty again if this fails
 *     TRY(clmoe__recording_replay(&r, n_wait, wait, done, error)); ...
 *     clmoe__recording_close(&r);
 *
 * Every command has a cl_kernel of its own: arguments are those at the time of recording, but POCL 3.1 reads them from
 * the cl_kernel at each replay. What commands use must outlive the recording; its own are workspace and cl_kernels, and
 * with clmoe__recording_keep buffers of the caller. */
#ifndef CLMOE_OPENCL_RECORDING_H
#define CLMOE_OPENCL_RECORDING_H

#include "command_buffer.h"
#include "workspace.h"

typedef struct clmoe__recording {
    clmoe_workspace *workspace; /* of its own, with the queue; NULL: the recording is empty */
    clmoe__command_buffers api;
    clmoe__command_buffer buffer;
    uint32_t commands;
    clmoe__kernel_slot slot; /* of the kernel being set up */
    cl_kernel *kernels;      /* of the commands */
    size_t kernel_count, kernel_capacity;
    cl_mem *kept; /* retained */
    uint32_t kept_count;
} clmoe__recording;

/* desc as for clmoe_workspace_create; may be NULL. After success, end must be called. */
clmoe_status clmoe__recording_begin(clmoe__recording *recording, clmoe_context *context, cl_command_queue queue,
                                    const clmoe_workspace_desc *desc, clmoe__run *run, clmoe_error *error);
/* Retains those buffers that are there until the recording is closed. Once a recording. */
clmoe_status clmoe__recording_keep(clmoe__recording *recording, const clmoe_buffer *buffers, uint32_t count,
                                   clmoe_error *error);
clmoe_status clmoe__recording_end(clmoe__recording *recording, clmoe__run *run);
/* As the end of a run: flushes, never waits, unless the device takes a command buffer only once at a time. */
clmoe_status clmoe__recording_replay(clmoe__recording *recording, cl_uint n_wait, const cl_event *wait, cl_event *done,
                                     clmoe_error *error);
/* Waits for the last replay first: drivers differ in what becomes of a command buffer released while it runs. */
void clmoe__recording_close(clmoe__recording *recording);

/* For run.c and run_arguments.c: a new cl_kernel, in a slot valid until the next call; and the run's kernel, its
 * arguments set, as the recording's next command. */
clmoe_status clmoe__recording_kernel(clmoe__run *run, const clmoe__kernel *kernel, clmoe__kernel_slot **slot);
void clmoe__recording_launch(clmoe__run *run, cl_uint dimensions, const size_t *global, const size_t *local);

#endif
