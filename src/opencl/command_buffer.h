/* What the library uses of cl_khr_command_buffer. Its functions belong to a platform and are not in the table
 * (cl_table.h); the types here are those of the extension under names of their own, because headers of different years
 * disagree.
 *
 * Versions 0.9.x and 1.x: the functions below have had the same parameters from 0.9.0 on (0.9.5 changed those that
 * record copies, fills and barriers, which a forward does not need). */
#ifndef CLMOE_OPENCL_COMMAND_BUFFER_H
#define CLMOE_OPENCL_COMMAND_BUFFER_H

#include "context.h"

typedef struct clmoe__command_buffer_object *clmoe__command_buffer;

/* X(name), a field of clmoe__command_buffer_calls each. */
#define CLMOE__COMMAND_BUFFER_LIST(X) \
    X(clCreateCommandBufferKHR)       \
    X(clFinalizeCommandBufferKHR)     \
    X(clReleaseCommandBufferKHR)      \
    X(clCommandNDRangeKernelKHR)      \
    X(clEnqueueCommandBufferKHR)

typedef struct clmoe__command_buffer_calls {
    clmoe__command_buffer(CL_API_CALL *clCreateCommandBufferKHR)(cl_uint queue_count, const cl_command_queue *queues,
                                                                 const cl_ulong *properties, cl_int *code);
    cl_int(CL_API_CALL *clFinalizeCommandBufferKHR)(clmoe__command_buffer buffer);
    cl_int(CL_API_CALL *clReleaseCommandBufferKHR)(clmoe__command_buffer buffer);
    cl_int(CL_API_CALL *clCommandNDRangeKernelKHR)(clmoe__command_buffer buffer, cl_command_queue queue,
                                                   const cl_ulong *properties, cl_kernel kernel, cl_uint dimensions,
                                                   const size_t *offset, const size_t *global, const size_t *local,
                                                   cl_uint wait_count, const cl_uint *wait_points, cl_uint *point,
                                                   void *mutable_handle);
    cl_int(CL_API_CALL *clEnqueueCommandBufferKHR)(cl_uint queue_count, cl_command_queue *queues,
                                                   clmoe__command_buffer buffer, cl_uint wait_count,
                                                   const cl_event *wait, cl_event *event);
} clmoe__command_buffer_calls;

/* What a device offers. */
typedef struct clmoe__command_buffers {
    clmoe__command_buffer_calls calls;
    int simultaneous; /* one buffer may be in a queue several times */
} clmoe__command_buffers;

/* Finds them for the context's device. UNSUPPORTED names the device and says what is missing: the extension, a version
 * this library knows, one of its functions, or support for the queue's properties; the queue must be in order. */
clmoe_status clmoe__command_buffers_find(const clmoe_context *context, cl_command_queue queue,
                                         clmoe__command_buffers *found, clmoe_error *error);

#endif
