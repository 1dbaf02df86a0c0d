/* Runs: the only place that enqueues. Calls the enqueue functions of the table.
 *
 *     in-order queue        the queue itself orders the launches; events only for profiling and for `done`
 *     out-of-order queue    each command waits for the one before by its event, the first for the run before
 *
 * The first command of a run also waits for the caller's events. */
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/size.h"
#include "recording.h"
#include "workspace.h"

#define GROUPS_MAX 65535 /* a dimension: POCL compiles again beyond, some drivers refuse */

/* Keeps the first error. */
static void stick(clmoe__run *run, clmoe_status status) {
    if (run->status == CLMOE_OK) run->status = status;
}

static void stick_cl(clmoe__run *run, cl_int code, const char *call) {
    if (code != CL_SUCCESS && run->status == CLMOE_OK) run->status = clmoe__fail_cl(run->error, code, call);
}

void clmoe__run_fail(clmoe__run *run, clmoe_status status) { stick(run, status); }

/* ---------------------------------------------------------------------------------------- begin and end */

static clmoe_status check_waits(cl_uint n_wait, const cl_event *wait, clmoe_error *error) {
    REQUIRE((n_wait == 0) == (wait == NULL), error, "wait", "wait is %s with n_wait %u, expected both or neither",
            wait == NULL ? "NULL" : "given", n_wait);
    for (cl_uint i = 0; i < n_wait; i++) REQUIRE(wait[i] != NULL, error, "wait", "wait[%u] is NULL", i);
    return CLMOE_OK;
}

/* Lets go of a `last` that is complete, also of one that failed: its failure must not reach the next run. */
static void forget_if_complete(clmoe_workspace *w) {
    const clmoe__cl *cl = &w->context->cl;
    cl_int status = CL_QUEUED;
    if (w->last == NULL || w->unmarked) return;
    const cl_int code = cl->clGetEventInfo(w->last, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL);
    if (code != CL_SUCCESS || status > CL_COMPLETE) return;
    (void)cl->clReleaseEvent(w->last);
    w->last = NULL;
    w->chained = 0;
}

/* Takes the workspace's lock, and leaves it locked only if all is well. */
static clmoe_status open_workspace(clmoe_workspace *w, cl_command_queue queue, clmoe_error *error) {
    clmoe_status status = CLMOE_OK;
    clmoe__mutex_lock(w->mutex);
    if (queue != w->queue) status = clmoe__workspace_move(w, queue, error);
    if (status != CLMOE_OK) {
        clmoe__mutex_unlock(w->mutex);
        return status;
    }
    if (w->out_of_order) w->chained = w->last != NULL;
    if (w->chained) forget_if_complete(w);
    clmoe__workspace_forget_launches(w);
    w->enqueued = 0;
    w->run++;
    return CLMOE_OK;
}

clmoe_status clmoe__run_begin(clmoe__run *run, clmoe_context *context, clmoe_workspace *workspace,
                              cl_command_queue queue, cl_uint n_wait, const cl_event *wait, clmoe_error *error) {
    memset(run, 0, sizeof *run);
    REQUIRE(queue != NULL, error, "queue", "queue is NULL");
    TRY(check_waits(n_wait, wait, error));
    if (workspace == NULL) {
        TRY(clmoe__workspace_of_queue(context, queue, &workspace, error));
    } else {
        REQUIRE(workspace->context == context, error, "workspace", "workspace belongs to another context");
    }
    const clmoe_status status = open_workspace(workspace, queue, error);
    if (status != CLMOE_OK) {
        if (workspace->is_contexts) (void)clmoe__counter_add(&workspace->users, -1);
        return status;
    }
    run->context = context;
    run->workspace = workspace;
    run->error = error;
    run->n_wait = n_wait;
    run->wait = wait;
    return CLMOE_OK;
}

/* The wait list of the next command: the caller's events, and `last` where it must be waited for. */
static void next_waits(clmoe__run *run, cl_uint *count, const cl_event **list) {
    clmoe_workspace *w = run->workspace;
    *count = run->n_wait;
    *list = run->wait;
    if (!w->chained || run->status != CLMOE_OK) return;
    if (run->n_wait == 0) {
        *count = 1;
        *list = &w->last;
        return;
    }
    const size_t wanted = (size_t)run->n_wait + 1;
    if (w->wait_capacity < wanted) {
        cl_event *grown = realloc(w->waits, wanted * sizeof *grown);
        if (grown == NULL) {
            stick(run, clmoe__fail(run->error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for %zu events", wanted));
            return;
        }
        w->waits = grown;
        w->wait_capacity = wanted;
    }
    memcpy(w->waits, run->wait, run->n_wait * sizeof *run->wait);
    w->waits[run->n_wait] = w->last;
    *count = (cl_uint)wanted;
    *list = w->waits;
}

/* A command with this event (or none) is in the queue. */
static void enqueued(clmoe__run *run, cl_event event) {
    run->n_wait = 0;
    run->wait = NULL;
    clmoe__workspace_enqueued(run->workspace, event);
}

/* Makes `last` the event of the whole run, by a marker if need be, and retains it for the caller. */
static void make_done(clmoe__run *run, cl_event *done) {
    clmoe_workspace *w = run->workspace;
    const clmoe__cl *cl = &run->context->cl;
    if (!w->enqueued || w->unmarked) {
        cl_uint count = 0;
        const cl_event *list = NULL;
        cl_event event = NULL;
        next_waits(run, &count, &list);
        if (run->status != CLMOE_OK) return;
        const cl_int code = cl->clEnqueueMarkerWithWaitList(w->queue, count, list, &event);
        stick_cl(run, code, "clEnqueueMarkerWithWaitList");
        if (code != CL_SUCCESS) return;
        enqueued(run, event);
    }
    const cl_int code = cl->clRetainEvent(w->last);
    stick_cl(run, code, "clRetainEvent");
    if (code == CL_SUCCESS) *done = w->last;
}

clmoe_status clmoe__run_end(clmoe__run *run, cl_event *done) {
    clmoe_workspace *w = run->workspace;
    const clmoe__cl *cl = &run->context->cl;
    cl_event made = NULL;
    if (run->status == CLMOE_OK && done != NULL) make_done(run, &made);
    if (run->status == CLMOE_OK && w->enqueued) stick_cl(run, cl->clFlush(w->queue), "clFlush");
    if (run->status != CLMOE_OK) {
        if (w->enqueued) (void)cl->clFinish(w->queue);
        if (made != NULL) (void)cl->clReleaseEvent(made);
    } else if (done != NULL) {
        *done = made;
    }
    const int is_contexts = w->is_contexts;
    clmoe__mutex_unlock(w->mutex);
    if (is_contexts) (void)clmoe__counter_add(&w->users, -1); /* from here on it may be gone */
    run->workspace = NULL;
    return run->status;
}

/* ------------------------------------------------------------------------------------------------- arena */

uint64_t clmoe__run_arena_limit(const clmoe__run *run) {
    const clmoe_workspace *w = run->workspace;
    return w->memory.handle != NULL ? w->memory_bytes : run->context->device.max_workspace_bytes;
}

void clmoe__run_arena(clmoe__run *run, uint64_t bytes, clmoe_buffer *arena) {
    clmoe_workspace *w = run->workspace;
    const uint64_t limit = clmoe__run_arena_limit(run);
    memset(arena, 0, sizeof *arena);
    if (run->status != CLMOE_OK) return;
    if (bytes > limit) {
        stick(run, clmoe__fail(run->error, CLMOE_OUT_OF_DEVICE_MEMORY, "workspace",
                               "the arena needs %llu bytes, at most %llu are allowed (%s)", (unsigned long long)bytes,
                               (unsigned long long)limit,
                               w->memory.handle != NULL ? "memory_bytes" : "max_workspace_bytes"));
        return;
    }
    if (w->memory.handle != NULL) {
        *arena = w->memory;
        return;
    }
    if (bytes > w->arena.bytes) {
        /* OpenCL keeps the old one until the commands that use it are done; given up first, the two count as one. */
        clmoe__pool_drop(run->context, &w->arena);
        stick(run, clmoe__pool_alloc(run->context, bytes, &w->arena, run->error));
        if (run->status != CLMOE_OK) return;
    }
    if (w->arena.mem != NULL) *arena = clmoe_cl_mem(w->arena.mem, 0);
}

/* ---------------------------------------------------------------------------------------------- commands */

static clmoe_status check_launch(const clmoe__run *run, cl_uint dimensions, const size_t *global, const size_t *local) {
    const char *name = run->kernel->name;
    uint64_t items = 1;
    REQUIRE(dimensions >= 1 && dimensions <= 3, run->error, NULL, "launch of %s: %u dimensions, expected 1..3", name,
            dimensions);
    for (cl_uint i = 0; i < dimensions; i++) {
        REQUIRE(local[i] > 0 && global[i] % local[i] == 0 && global[i] / local[i] <= GROUPS_MAX, run->error, NULL,
                "launch of %s: global size %zu in dimension %u, expected a multiple of %zu and at most %d groups", name,
                global[i], i, local[i], GROUPS_MAX);
        items = clmoe__mul(items, local[i]);
    }
    REQUIRE(items <= run->workspace->group_size && local[0] <= run->context->device.max_work_item_size0, run->error,
            NULL, "launch of %s: %llu work-items in a group, expected at most %zu", name, (unsigned long long)items,
            run->workspace->group_size);
    return CLMOE_OK;
}

/* Room for one more launch, its name and sizes. */
static clmoe__launch *add_launch(clmoe__run *run, const char *stage, const char *name, cl_uint dimensions,
                                 const size_t *global, const size_t *local) {
    clmoe_workspace *w = run->workspace;
    if (w->launch_count == w->launch_capacity) {
        const size_t capacity = w->launch_capacity == 0 ? 64 : 2 * w->launch_capacity;
        clmoe__launch *grown = realloc(w->launches, capacity * sizeof *grown);
        if (grown == NULL) {
            stick(run, clmoe__fail(run->error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for %zu launches", capacity));
            return NULL;
        }
        w->launches = grown;
        w->launch_capacity = capacity;
    }
    clmoe__launch *launch = &w->launches[w->launch_count];
    launch->stage = run->stage != NULL ? run->stage : stage;
    launch->kernel = name;
    launch->event = NULL;
    for (cl_uint i = 0; i < 3; i++) {
        launch->global[i] = i < dimensions ? global[i] : 1;
        launch->local[i] = i < dimensions ? local[i] : 1;
    }
    return launch;
}

/* A launch is enqueued; `event` is its own, retained where launches are kept. */
static void keep_launch(clmoe__run *run, clmoe__launch *launch, cl_event event) {
    clmoe_workspace *w = run->workspace;
    w->launch_count++;
    if (!w->profiling) return;
    const cl_int retained = run->context->cl.clRetainEvent(event);
    stick_cl(run, retained, "clRetainEvent");
    if (retained == CL_SUCCESS) launch->event = event;
}

static void enqueue_kernel(clmoe__run *run, cl_uint dimensions, const size_t *global, const size_t *local) {
    clmoe_workspace *w = run->workspace;
    const clmoe__cl *cl = &run->context->cl;
    const int wants_event = w->out_of_order || w->profiling;
    cl_uint count = 0;
    const cl_event *list = NULL;
    cl_event event = NULL;
    clmoe__launch *launch = add_launch(run, run->kernel->stage, run->kernel->name, dimensions, global, local);
    next_waits(run, &count, &list);
    if (run->status != CLMOE_OK) return;
    const cl_int code = cl->clEnqueueNDRangeKernel(w->queue, run->cl_kernel, dimensions, NULL, global, local, count,
                                                   list, wants_event ? &event : NULL);
    if (code != CL_SUCCESS) {
        char call[160];
        (void)snprintf(call, sizeof call, "clEnqueueNDRangeKernel(%s)", run->kernel->name);
        stick_cl(run, code, call);
        return;
    }
    enqueued(run, event);
    keep_launch(run, launch, event);
}

void clmoe__run_launch(clmoe__run *run, cl_uint dimensions, const size_t *global, const size_t *local) {
    if (run->status != CLMOE_OK) return;
    if (run->cl_kernel == NULL) {
        stick(run, clmoe__fail(run->error, CLMOE_INVALID_ARGUMENT, NULL, "a launch without a kernel"));
        return;
    }
    int empty = 0;
    for (cl_uint i = 0; i < dimensions && i < 3; i++) empty |= global[i] == 0;
    if (!empty || run->warm) {
        const size_t *sizes = empty ? local : global; /* warm: one group */
        stick(run, check_launch(run, dimensions, sizes, local));
        if (run->status == CLMOE_OK) {
            (run->recording != NULL ? clmoe__recording_launch : enqueue_kernel)(run, dimensions, sizes, local);
        }
    }
    run->cl_kernel = NULL; /* each launch sets all its arguments */
}

/* Fails the run if it records: a replay repeats launches, nothing else. */
static void refuse_recording(clmoe__run *run, const char *what) {
    if (run->recording == NULL || run->status != CLMOE_OK) return;
    stick(run, clmoe__fail(run->error, CLMOE_UNSUPPORTED, "layer", "%s cannot be recorded", what));
}

void clmoe__run_command(clmoe__run *run, const char *call, clmoe__run_enqueue *enqueue, void *user) {
    cl_uint count = 0;
    const cl_event *list = NULL;
    cl_event event = NULL;
    refuse_recording(run, call);
    if (run->status != CLMOE_OK) return;
    next_waits(run, &count, &list);
    if (run->status != CLMOE_OK) return;
    const cl_int code = enqueue(user, run->workspace->queue, count, list, &event);
    stick_cl(run, code, call);
    if (code == CL_SUCCESS) enqueued(run, event);
}

void clmoe__run_note(clmoe__run *run, const char *stage, const char *name, const size_t *sizes, cl_event event) {
    const size_t local[2] = {1, 1};
    if (run->status != CLMOE_OK) return;
    clmoe__launch *launch = add_launch(run, stage, name, 2, sizes, local);
    if (launch != NULL) keep_launch(run, launch, event);
}

/* A transfer that is complete when it returns, after everything enqueued before. */
static void transfer(clmoe__run *run, const clmoe_buffer *buffer, void *to, const void *from, uint64_t bytes) {
    clmoe_workspace *w = run->workspace;
    const clmoe__cl *cl = &run->context->cl;
    cl_uint count = 0;
    const cl_event *list = NULL;
    cl_event event = NULL;
    refuse_recording(run, "a transfer between host and device");
    if (run->status != CLMOE_OK || bytes == 0) return;
    next_waits(run, &count, &list);
    if (run->status != CLMOE_OK) return;
    cl_mem mem = (cl_mem)buffer->handle;
    const size_t offset = (size_t)buffer->offset, size = (size_t)bytes;
    cl_event *wanted = w->out_of_order ? &event : NULL;
    const cl_int code =
        from != NULL ? cl->clEnqueueWriteBuffer(w->queue, mem, CL_TRUE, offset, size, from, count, list, wanted)
                     : cl->clEnqueueReadBuffer(w->queue, mem, CL_TRUE, offset, size, to, count, list, wanted);
    stick_cl(run, code, from != NULL ? "clEnqueueWriteBuffer" : "clEnqueueReadBuffer");
    if (code == CL_SUCCESS) enqueued(run, event);
}

void clmoe__run_wait(clmoe__run *run) {
    refuse_recording(run, "a wait of the host");
    if (run->status == CLMOE_OK) stick_cl(run, run->context->cl.clFinish(run->workspace->queue), "clFinish");
}

void clmoe__run_write(clmoe__run *run, const clmoe_buffer *to, const void *from, uint64_t bytes) {
    transfer(run, to, NULL, from, bytes);
}

void clmoe__run_read(clmoe__run *run, void *to, const clmoe_buffer *from, uint64_t bytes) {
    transfer(run, from, to, NULL, bytes);
}
