/* See recording.h. Calls the functions of cl_khr_command_buffer, and reference counts and waits of the table. */
#include "recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLAGS_KEY 0x1293 /* CL_COMMAND_BUFFER_FLAGS_KHR */
#define FLAG_SIMULTANEOUS 1

/* An empty command buffer for the workspace's queue. */
static clmoe_status open_buffer(clmoe__recording *r, clmoe_error *error) {
    const clmoe_workspace *w = r->workspace;
    const cl_ulong properties[] = {FLAGS_KEY, r->api.simultaneous ? FLAG_SIMULTANEOUS : 0, 0};
    cl_int code = CL_SUCCESS;
    r->buffer = r->api.calls.clCreateCommandBufferKHR(1, &w->queue, properties, &code);
    return r->buffer != NULL ? CLMOE_OK : clmoe__fail_cl(error, code, "clCreateCommandBufferKHR");
}

clmoe_status clmoe__recording_begin(clmoe__recording *r, clmoe_context *context, cl_command_queue queue,
                                    const clmoe_workspace_desc *desc, clmoe__run *run, clmoe_error *error) {
    memset(r, 0, sizeof *r);
    TRY(clmoe_workspace_create(context, queue, desc, &r->workspace, error));
    clmoe_status status = clmoe__command_buffers_find(context, queue, &r->api, error);
    if (status == CLMOE_OK) status = open_buffer(r, error);
    if (status == CLMOE_OK) status = clmoe__run_begin(run, context, r->workspace, queue, 0, NULL, error);
    if (status != CLMOE_OK) {
        clmoe__recording_close(r);
        return status;
    }
    run->recording = r;
    return CLMOE_OK;
}

clmoe_status clmoe__recording_keep(clmoe__recording *r, const clmoe_buffer *buffers, uint32_t count,
                                   clmoe_error *error) {
    const clmoe__cl *cl = &r->workspace->context->cl;
    r->kept = calloc((size_t)count + 1, sizeof *r->kept);
    if (r->kept == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a recording");
    for (uint32_t i = 0; i < count; i++) {
        if (buffers[i].kind == CLMOE_BUFFER_NONE) continue;
        const cl_int code = cl->clRetainMemObject((cl_mem)buffers[i].handle);
        if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clRetainMemObject");
        r->kept[r->kept_count++] = (cl_mem)buffers[i].handle;
    }
    return CLMOE_OK;
}

clmoe_status clmoe__recording_kernel(clmoe__run *run, const clmoe__kernel *kernel, clmoe__kernel_slot **slot) {
    clmoe__recording *r = run->recording;
    if (r->kernel_count == r->kernel_capacity) {
        const size_t capacity = r->kernel_capacity == 0 ? 16 : 2 * r->kernel_capacity;
        cl_kernel *grown = realloc(r->kernels, capacity * sizeof *grown);
        if (grown == NULL)
            return clmoe__fail(run->error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for %zu kernels", capacity);
        r->kernels = grown;
        r->kernel_capacity = capacity;
    }
    TRY(clmoe__kernel_slot_fill(run->workspace, kernel, &r->slot, run->error));
    r->kernels[r->kernel_count++] = r->slot.opencl;
    *slot = &r->slot;
    return CLMOE_OK;
}

void clmoe__recording_launch(clmoe__run *run, cl_uint dimensions, const size_t *global, const size_t *local) {
    clmoe__recording *r = run->recording;
    const cl_int code = r->api.calls.clCommandNDRangeKernelKHR(r->buffer, NULL, NULL, run->cl_kernel, dimensions, NULL,
                                                               global, local, 0, NULL, NULL, NULL);
    if (code != CL_SUCCESS) {
        char call[160];
        (void)snprintf(call, sizeof call, "clCommandNDRangeKernelKHR(%s)", run->kernel->name);
        clmoe__run_fail(run, clmoe__fail_cl(run->error, code, call));
        return;
    }
    r->commands++;
}

clmoe_status clmoe__recording_end(clmoe__recording *r, clmoe__run *run) {
    clmoe_error *error = run->error;
    clmoe_status status = clmoe__run_end(run, NULL);
    if (status == CLMOE_OK) {
        const cl_int code = r->api.calls.clFinalizeCommandBufferKHR(r->buffer);
        if (code != CL_SUCCESS) status = clmoe__fail_cl(error, code, "clFinalizeCommandBufferKHR");
    }
    if (status != CLMOE_OK) clmoe__recording_close(r);
    return status;
}

/* Waits for what the workspace remembers as its last command. */
static cl_int wait_for_last(clmoe_workspace *w) {
    const cl_int code = clmoe__workspace_mark(w);
    if (code != CL_SUCCESS || w->last == NULL) return code;
    return w->context->cl.clWaitForEvents(1, &w->last);
}

static cl_int enqueue(void *user, cl_command_queue queue, cl_uint n_wait, const cl_event *wait, cl_event *event) {
    const clmoe__recording *r = user;
    return r->api.calls.clEnqueueCommandBufferKHR(1, &queue, r->buffer, n_wait, wait, event);
}

clmoe_status clmoe__recording_replay(clmoe__recording *r, cl_uint n_wait, const cl_event *wait, cl_event *done,
                                     clmoe_error *error) {
    clmoe_workspace *w = r->workspace;
    clmoe__run run;
    TRY(clmoe__run_begin(&run, w->context, w, w->queue, n_wait, wait, error));
    if (!r->api.simultaneous) (void)wait_for_last(w); /* a replay that failed does not fail the next one */
    if (r->commands > 0) clmoe__run_command(&run, "clEnqueueCommandBufferKHR", enqueue, r);
    return clmoe__run_end(&run, done);
}

void clmoe__recording_close(clmoe__recording *r) {
    clmoe_workspace *w = r->workspace;
    if (w == NULL) return;
    (void)wait_for_last(w);
    if (r->buffer != NULL) (void)r->api.calls.clReleaseCommandBufferKHR(r->buffer);
    for (uint32_t i = 0; i < r->kept_count; i++) (void)w->context->cl.clReleaseMemObject(r->kept[i]);
    for (size_t i = 0; i < r->kernel_count; i++) (void)w->context->cl.clReleaseKernel(r->kernels[i]);
    free(r->kernels);
    free(r->kept);
    clmoe_workspace_destroy(w);
    memset(r, 0, sizeof *r);
}
