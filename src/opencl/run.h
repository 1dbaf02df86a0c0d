/* A run: a sequence of launches on one queue, the only place that enqueues kernels. The first launch waits for the
 * caller's events, later ones for the one before (by event on out-of-order queues); the workspace remembers the last.
 *
 *     clmoe__run run;
 *     TRY(clmoe__run_begin(&run, context, workspace, queue, n_wait, wait, error));   locks the workspace
 *     clmoe__run_arena(&run, bytes, &arena);                                         optional
 *     clmoe__run_kernel(&run, &stage->kernel);  clmoe__run_buffer(&run, ...);  clmoe__run_u32(&run, ...);
 *     clmoe__run_launch(&run, 1, global, local);  ...
 *     return clmoe__run_end(&run, done);                                             flushes, unlocks, reports
 *
 * Errors stick: after the first, calls do nothing and run_end returns it (having waited for what was enqueued). */
#ifndef CLMOE_OPENCL_RUN_H
#define CLMOE_OPENCL_RUN_H

#include "pool.h"
#include "program.h"

typedef struct clmoe__run {
    clmoe_context *context;
    clmoe_workspace *workspace;
    clmoe_status status;
    clmoe_error *error;
    cl_uint n_wait; /* the caller's events, until the first launch has taken them */
    const cl_event *wait;
    int warm; /* 1: creation-time launches with nothing to do; stages launch at least one group with tokens = 0 */
    clmoe__kernel *kernel; /* current */
    cl_kernel cl_kernel;
    cl_uint arg;
    const char *stage; /* overrides the kernel's stage name while not NULL, for example "shared" */
    struct clmoe__recording *recording; /* where launches go in place of the queue; NULL: to the queue (recording.h) */
} clmoe__run;

/* workspace NULL: the context's own for this queue. Checks that the queue belongs to the context and workspace, and
 * n_wait against wait. Reuse of a workspace on another queue waits for its last event. */
clmoe_status clmoe__run_begin(clmoe__run *run, clmoe_context *context, clmoe_workspace *workspace,
                              cl_command_queue queue, cl_uint n_wait, const cl_event *wait, clmoe_error *error);
/* The workspace's arena, grown to `bytes` if need be (the caller's own memory is not grown: OUT_OF_DEVICE_MEMORY). */
void clmoe__run_arena(clmoe__run *run, uint64_t bytes, clmoe_buffer *arena);
/* How large an arena may become: device.max_workspace_bytes or the caller's memory. */
uint64_t clmoe__run_arena_limit(const clmoe__run *run);

/* Starts setting up a kernel; the setters below then fill its arguments from the first to the last, in order. */
void clmoe__run_kernel(clmoe__run *run, clmoe__kernel *kernel);
/* Two arguments: the cl_mem, and a ulong with the offset in elements of element_size bytes. Absent: NULL and 0. */
void clmoe__run_buffer(clmoe__run *run, const clmoe_buffer *buffer, size_t element_size);
void clmoe__run_mem(clmoe__run *run, cl_mem mem); /* one argument; mem may be NULL */
void clmoe__run_u32(clmoe__run *run, uint32_t value);
void clmoe__run_u64(clmoe__run *run, uint64_t value);
void clmoe__run_f32(clmoe__run *run, float value);
/* Enqueues it. A global size of 0 is skipped unless run->warm, then it is one work-group. Global sizes are multiples of
 * the local ones and at most 65535 groups a dimension. */
void clmoe__run_launch(clmoe__run *run, cl_uint dimensions, const size_t *global, const size_t *local);
/* Other commands in the same order; a recording refuses them. `enqueue` puts one into the queue, behind these events,
 * and returns OpenCL's code; `call` is what an error calls it. */
typedef cl_int clmoe__run_enqueue(void *user, cl_command_queue queue, cl_uint n_wait, const cl_event *wait,
                                  cl_event *event);
void clmoe__run_command(clmoe__run *run, const char *call, clmoe__run_enqueue *enqueue, void *user);
/* Counts the command just enqueued among the run's launches: two sizes, and its event. Names are static. */
void clmoe__run_note(clmoe__run *run, const char *stage, const char *name, const size_t *sizes, cl_event event);
void clmoe__run_write(clmoe__run *run, const clmoe_buffer *to, const void *from, uint64_t bytes); /* blocking */
void clmoe__run_read(clmoe__run *run, void *to, const clmoe_buffer *from, uint64_t bytes);        /* blocking */
void clmoe__run_wait(clmoe__run *run); /* until everything enqueued on the queue is complete */
void clmoe__run_fail(clmoe__run *run, clmoe_status status); /* error detail already written by the caller */
clmoe_status clmoe__run_end(clmoe__run *run, cl_event *done);

/* A queue of the library's own, in order. (queue.c) */
clmoe_status clmoe__queue_create(clmoe_context *context, cl_command_queue *queue, clmoe_error *error);
void clmoe__queue_destroy(clmoe_context *context, cl_command_queue queue);

/* Checks a clmoe_buffer argument: kind, handle, context, alignment of the offset, and that `bytes` from the offset on
 * lie inside it. `required` 0 allows absence. */
clmoe_status clmoe__buffer_check(const clmoe_context *context, const clmoe_buffer *buffer, uint64_t bytes,
                                 size_t element_size, int required, const char *name, clmoe_error *error);

#endif
