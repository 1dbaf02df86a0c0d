/* Every OpenCL entry point the library calls, in one table. Filled from the linked loader, a loader opened at run time,
 * or the caller's symbol function; tests fill it with functions that fail. Entries above OpenCL 1.2 may be NULL. */
#ifndef CLMOE_OPENCL_CL_TABLE_H
#define CLMOE_OPENCL_CL_TABLE_H

#include <clmoe/clmoe.h>

/* X(name): entry points of OpenCL 1.2, all required. */
#define CLMOE__CL_LIST(X)        \
    X(clGetPlatformIDs)          \
    X(clGetPlatformInfo)         \
    X(clGetDeviceIDs)            \
    X(clGetDeviceInfo)           \
    X(clGetExtensionFunctionAddressForPlatform) \
    X(clRetainDevice)            \
    X(clReleaseDevice)           \
    X(clCreateContext)           \
    X(clGetContextInfo)          \
    X(clRetainContext)           \
    X(clReleaseContext)          \
    X(clCreateCommandQueue)      \
    X(clGetCommandQueueInfo)     \
    X(clRetainCommandQueue)      \
    X(clReleaseCommandQueue)     \
    X(clCreateBuffer)            \
    X(clGetMemObjectInfo)        \
    X(clRetainMemObject)         \
    X(clReleaseMemObject)        \
    X(clSetMemObjectDestructorCallback) \
    X(clCreateProgramWithSource) \
    X(clCreateProgramWithBinary) \
    X(clBuildProgram)            \
    X(clGetProgramBuildInfo)     \
    X(clGetProgramInfo)          \
    X(clReleaseProgram)          \
    X(clCreateKernel)            \
    X(clReleaseKernel)           \
    X(clSetKernelArg)            \
    X(clGetKernelWorkGroupInfo)  \
    X(clEnqueueNDRangeKernel)    \
    X(clEnqueueReadBuffer)       \
    X(clEnqueueWriteBuffer)      \
    X(clEnqueueCopyBuffer)       \
    X(clEnqueueFillBuffer)       \
    X(clEnqueueMarkerWithWaitList) \
    X(clRetainEvent)             \
    X(clReleaseEvent)            \
    X(clGetEventInfo)            \
    X(clGetEventProfilingInfo)   \
    X(clWaitForEvents)           \
    X(clFlush)                   \
    X(clFinish)

typedef struct clmoe__cl {
#define CLMOE__CL_FIELD(name) __typeof__(&name) name;
    CLMOE__CL_LIST(CLMOE__CL_FIELD)
#undef CLMOE__CL_FIELD
} clmoe__cl;

/* NO_OPENCL names the first entry point that is missing. */
clmoe_status clmoe__cl_load(clmoe__cl *cl, const clmoe_context_desc *desc, clmoe_error *error);

#endif
