/* Buffers on the caller's memory. Calls clCreateBuffer and clReleaseMemObject through the table, and src/os. */
#include "host_view.h"

cl_mem clmoe__host_view(clmoe_context *context, const void *memory, uint64_t bytes) {
    union {
        const void *given;
        void *taken; /* OpenCL's parameter is not const; a read-only buffer is */
    } pointer = {memory};
    cl_int code = CL_SUCCESS;
    if (!context->device.is_this_host || bytes == 0 || bytes > context->device.max_alloc_bytes) return NULL;
    clmoe__os_pages_expect(memory, (size_t)bytes);
    return context->cl.clCreateBuffer(context->opencl, CL_MEM_READ_ONLY | CL_MEM_USE_HOST_PTR, (size_t)bytes,
                                      pointer.taken, &code);
}

void clmoe__host_view_release(clmoe_context *context, cl_mem view) {
    if (view != NULL) (void)context->cl.clReleaseMemObject(view);
}
