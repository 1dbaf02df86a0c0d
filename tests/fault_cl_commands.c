/* Commands, events and command buffers of fault_cl. See fault_cl.h. May call OpenCL. */
#include <stdint.h>
#include <string.h>

#include "fault_cl_parts.h"

static cl_int event_made(cl_int code, const cl_event *event) {
    if (code == CL_SUCCESS && event != NULL) fault_made(EVENT);
    return code;
}

cl_int CL_API_CALL fault_clEnqueueNDRangeKernel(cl_command_queue q, cl_kernel k, cl_uint dimensions,
                                                const size_t *offset, const size_t *global, const size_t *local,
                                                cl_uint n, const cl_event *wait, cl_event *event) {
    REFUSE(clEnqueueNDRangeKernel);
    return event_made(clEnqueueNDRangeKernel(q, k, dimensions, offset, global, local, n, wait, event), event);
}

cl_int CL_API_CALL fault_clEnqueueReadBuffer(cl_command_queue q, cl_mem m, cl_bool blocking, size_t offset,
                                             size_t bytes, void *to, cl_uint n, const cl_event *wait, cl_event *event) {
    REFUSE(clEnqueueReadBuffer);
    return event_made(clEnqueueReadBuffer(q, m, blocking, offset, bytes, to, n, wait, event), event);
}

cl_int CL_API_CALL fault_clEnqueueWriteBuffer(cl_command_queue q, cl_mem m, cl_bool blocking, size_t offset,
                                              size_t bytes, const void *from, cl_uint n, const cl_event *wait,
                                              cl_event *event) {
    REFUSE(clEnqueueWriteBuffer);
    return event_made(clEnqueueWriteBuffer(q, m, blocking, offset, bytes, from, n, wait, event), event);
}

cl_int CL_API_CALL fault_clEnqueueCopyBuffer(cl_command_queue q, cl_mem from, cl_mem to, size_t from_offset,
                                             size_t to_offset, size_t bytes, cl_uint n, const cl_event *wait,
                                             cl_event *event) {
    REFUSE(clEnqueueCopyBuffer);
    return event_made(clEnqueueCopyBuffer(q, from, to, from_offset, to_offset, bytes, n, wait, event), event);
}

cl_int CL_API_CALL fault_clEnqueueFillBuffer(cl_command_queue q, cl_mem m, const void *pattern, size_t pattern_bytes,
                                             size_t offset, size_t bytes, cl_uint n, const cl_event *wait,
                                             cl_event *event) {
    REFUSE(clEnqueueFillBuffer);
    return event_made(clEnqueueFillBuffer(q, m, pattern, pattern_bytes, offset, bytes, n, wait, event), event);
}

cl_int CL_API_CALL fault_clEnqueueMarkerWithWaitList(cl_command_queue q, cl_uint n, const cl_event *wait,
                                                     cl_event *event) {
    REFUSE(clEnqueueMarkerWithWaitList);
    return event_made(clEnqueueMarkerWithWaitList(q, n, wait, event), event);
}

cl_int CL_API_CALL fault_clRetainEvent(cl_event event) {
    REFUSE(clRetainEvent);
    fault_made(EVENT);
    return clRetainEvent(event);
}

cl_int CL_API_CALL fault_clReleaseEvent(cl_event event) {
    fault_dropped(EVENT);
    const cl_int code = clReleaseEvent(event);
    REFUSE(clReleaseEvent);
    return code;
}

cl_int CL_API_CALL fault_clGetEventInfo(cl_event e, cl_event_info what, size_t n, void *to, size_t *size) {
    REFUSE(clGetEventInfo);
    return clGetEventInfo(e, what, n, to, size);
}

cl_int CL_API_CALL fault_clGetEventProfilingInfo(cl_event e, cl_profiling_info what, size_t n, void *to, size_t *size) {
    REFUSE(clGetEventProfilingInfo);
    return clGetEventProfilingInfo(e, what, n, to, size);
}

cl_int CL_API_CALL fault_clWaitForEvents(cl_uint n, const cl_event *events) {
    const cl_int code = clWaitForEvents(n, events);
    REFUSE(clWaitForEvents);
    return code;
}

cl_int CL_API_CALL fault_clFlush(cl_command_queue queue) {
    const cl_int code = clFlush(queue);
    REFUSE(clFlush);
    return code;
}

cl_int CL_API_CALL fault_clFinish(cl_command_queue queue) {
    const cl_int code = clFinish(queue);
    REFUSE(clFinish);
    return code;
}

/* --------------------------------------------------------------------------------------- command buffers */

static clmoe__command_buffer_calls command_buffers; /* the platform's own functions */

static clmoe__command_buffer CL_API_CALL fault_clCreateCommandBufferKHR(cl_uint n, const cl_command_queue *queues,
                                                                        const cl_ulong *properties, cl_int *code) {
    if (fault_fails(ENTRY_clCreateCommandBufferKHR)) return fault_refuse(code, CL_OUT_OF_HOST_MEMORY);
    clmoe__command_buffer buffer = command_buffers.clCreateCommandBufferKHR(n, queues, properties, code);
    if (buffer != NULL) fault_made(COMMAND_BUFFER);
    return buffer;
}

static cl_int CL_API_CALL fault_clFinalizeCommandBufferKHR(clmoe__command_buffer buffer) {
    REFUSE(clFinalizeCommandBufferKHR);
    return command_buffers.clFinalizeCommandBufferKHR(buffer);
}

static cl_int CL_API_CALL fault_clReleaseCommandBufferKHR(clmoe__command_buffer buffer) {
    fault_dropped(COMMAND_BUFFER);
    const cl_int code = command_buffers.clReleaseCommandBufferKHR(buffer);
    REFUSE(clReleaseCommandBufferKHR);
    return code;
}

static cl_int CL_API_CALL fault_clCommandNDRangeKernelKHR(clmoe__command_buffer buffer, cl_command_queue q,
                                                          const cl_ulong *properties, cl_kernel k, cl_uint dimensions,
                                                          const size_t *offset, const size_t *global,
                                                          const size_t *local, cl_uint n, const cl_uint *wait,
                                                          cl_uint *point, void *handle) {
    REFUSE(clCommandNDRangeKernelKHR);
    return command_buffers.clCommandNDRangeKernelKHR(buffer, q, properties, k, dimensions, offset, global, local, n,
                                                     wait, point, handle);
}

static cl_int CL_API_CALL fault_clEnqueueCommandBufferKHR(cl_uint queues, cl_command_queue *q,
                                                          clmoe__command_buffer buffer, cl_uint n, const cl_event *wait,
                                                          cl_event *event) {
    REFUSE(clEnqueueCommandBufferKHR);
    return event_made(command_buffers.clEnqueueCommandBufferKHR(queues, q, buffer, n, wait, event), event);
}

void *CL_API_CALL fault_clGetExtensionFunctionAddressForPlatform(cl_platform_id platform, const char *name) {
    if (fault_fails(ENTRY_clGetExtensionFunctionAddressForPlatform)) return NULL;
    void *real = clGetExtensionFunctionAddressForPlatform(platform, name);
#define FAULT_WRAP(entry)                                   \
    if (strcmp(name, #entry) == 0 && real != NULL) {        \
        memcpy(&command_buffers.entry, &real, sizeof real); \
        return (void *)(uintptr_t)&fault_##entry;           \
    }
    CLMOE__COMMAND_BUFFER_LIST(FAULT_WRAP)
#undef FAULT_WRAP
    return real;
}
