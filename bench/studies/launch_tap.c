/* OpenCL's enqueue functions, counted; see launch_tap.h. Calls the loader's functions of the same names. */
#define _GNU_SOURCE
#include "launch_tap.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "common/tool.h"

static struct {
    cl_command_queue queue; /* NULL: nothing is counted */
    tap_counts counts;
    cl_event *events; /* [count] of kernels */
    size_t count, capacity;
    int failed;
} tap;

typedef cl_int (*kernel_call)(cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *, const size_t *,
                              cl_uint, const cl_event *, cl_event *);
typedef cl_int (*read_call)(cl_command_queue, cl_mem, cl_bool, size_t, size_t, void *, cl_uint, const cl_event *,
                            cl_event *);
typedef cl_int (*write_call)(cl_command_queue, cl_mem, cl_bool, size_t, size_t, const void *, cl_uint, const cl_event *,
                             cl_event *);

/* The function of this name behind the one in this program; a function pointer cannot be cast from dlsym's. */
static void next_function(const char *name, void *function, size_t size) {
    void *const found = dlsym(RTLD_NEXT, name);
    memcpy(function, &found, size);
}

static void keep_event(cl_event event) {
    if (tap.count == tap.capacity) {
        const size_t capacity = tap.capacity == 0 ? 256 : 2 * tap.capacity;
        cl_event *const grown = realloc(tap.events, capacity * sizeof *grown);
        if (grown == NULL) {
            tap.failed = 1;
            clReleaseEvent(event);
            return;
        }
        tap.events = grown;
        tap.capacity = capacity;
    }
    tap.events[tap.count++] = event;
}

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *offset,
                              const size_t *global, const size_t *local, cl_uint n_wait, const cl_event *wait,
                              cl_event *event) {
    static kernel_call next;
    cl_event own = NULL;
    if (next == NULL) next_function("clEnqueueNDRangeKernel", &next, sizeof next);
    if (next == NULL) return CL_INVALID_OPERATION;
    if (tap.queue == NULL || queue != tap.queue)
        return next(queue, kernel, dimensions, offset, global, local, n_wait, wait, event);
    const cl_int code = next(queue, kernel, dimensions, offset, global, local, n_wait, wait, &own);
    if (code != CL_SUCCESS) return code;
    tap.counts.launches++;
    if (event != NULL) {
        *event = own;
        clRetainEvent(own);
    }
    keep_event(own);
    return code;
}

static void count_transfer(cl_command_queue queue, size_t bytes, cl_int code) {
    if (tap.queue == NULL || queue != tap.queue || code != CL_SUCCESS) return;
    tap.counts.transfers++;
    tap.counts.transferred_bytes += bytes;
}

cl_int clEnqueueReadBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t offset, size_t size,
                           void *to, cl_uint n_wait, const cl_event *wait, cl_event *event) {
    static read_call next;
    if (next == NULL) next_function("clEnqueueReadBuffer", &next, sizeof next);
    if (next == NULL) return CL_INVALID_OPERATION;
    const cl_int code = next(queue, buffer, blocking, offset, size, to, n_wait, wait, event);
    count_transfer(queue, size, code);
    return code;
}

cl_int clEnqueueWriteBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t offset, size_t size,
                            const void *from, cl_uint n_wait, const cl_event *wait, cl_event *event) {
    static write_call next;
    if (next == NULL) next_function("clEnqueueWriteBuffer", &next, sizeof next);
    if (next == NULL) return CL_INVALID_OPERATION;
    const cl_int code = next(queue, buffer, blocking, offset, size, from, n_wait, wait, event);
    count_transfer(queue, size, code);
    return code;
}

void tap_start(cl_command_queue queue) {
    tap.counts = (tap_counts){0};
    tap.count = 0;
    tap.failed = 0;
    tap.queue = queue;
}

/* Device time of one kernel in nanoseconds; 0 where the queue does not tell. */
static cl_ulong nanoseconds(cl_event event) {
    cl_ulong start = 0, end = 0;
    if (clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL) != CL_SUCCESS ||
        clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL) != CL_SUCCESS)
        return 0;
    return end - start;
}

int tap_stop(tap_counts *counts) {
    const cl_int code = clFinish(tap.queue);
    tap.queue = NULL;
    for (size_t i = 0; i < tap.count; i++) {
        if (code == CL_SUCCESS) tap.counts.device_us += 1e-3 * (double)nanoseconds(tap.events[i]);
        clReleaseEvent(tap.events[i]);
    }
    free(tap.events);
    tap.events = NULL;
    tap.count = tap.capacity = 0;
    *counts = tap.counts;
    if (code != CL_SUCCESS) return complain_cl("clFinish", code);
    return tap.failed ? complain("out of host memory for events") : 0;
}
