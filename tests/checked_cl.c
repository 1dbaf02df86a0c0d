/* See checked_cl.h. May call OpenCL. One thread at a time. */
#include "checked_cl.h"

#include <stdint.h>
#include <string.h>

#include <clmoe/clmoe.h>

#include "cl_entry.h"

/* The copying kernel of the context asked for last. */
static struct {
    cl_context context;
    cl_program program;
    cl_kernel kernel;
} copier;

static cl_int make_copier(cl_command_queue queue) {
    /* 16 bytes an item: the simulator's time goes by instructions. */
    static const char *source =
        "__kernel void copy(__global const uchar *from, __global uchar *to, ulong offset, ulong bytes) {\n"
        "    const ulong begin = get_global_id(0) * 16;\n"
        "    if (begin + 16 <= bytes) vstore16(vload16(0, from + begin), 0, to + offset + begin);\n"
        "    else for (ulong i = begin; i < bytes; i++) to[offset + i] = from[i];\n"
        "}\n";
    cl_context context = NULL;
    cl_int code = clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof context, &context, NULL);
    if (code != CL_SUCCESS || context == copier.context) return code;
    if (copier.kernel != NULL) (void)clReleaseKernel(copier.kernel);
    if (copier.program != NULL) (void)clReleaseProgram(copier.program); /* which kept the context before */
    copier.context = context;
    copier.kernel = NULL;
    copier.program = clCreateProgramWithSource(context, 1, &source, NULL, &code);
    if (code == CL_SUCCESS) code = clBuildProgram(copier.program, 0, NULL, "-cl-std=CL1.2", NULL, NULL);
    if (code == CL_SUCCESS) copier.kernel = clCreateKernel(copier.program, "copy", &code);
    return code;
}

static cl_int CL_API_CALL checked_write(cl_command_queue queue, cl_mem to, cl_bool blocking, size_t offset,
                                        size_t bytes, const void *from, cl_uint n, const cl_event *wait,
                                        cl_event *event) {
    const cl_ulong start = offset, length = bytes;
    const size_t items = (bytes + 15) / 16;
    cl_int code = make_copier(queue);
    (void)blocking; /* always: the source is released below */
    if (code != CL_SUCCESS) return code;
    cl_mem source = clCreateBuffer(copier.context, CL_MEM_COPY_HOST_PTR, bytes, (void *)(uintptr_t)from, &code);
    if (code != CL_SUCCESS) return code;
    code = clSetKernelArg(copier.kernel, 0, sizeof source, &source);
    if (code == CL_SUCCESS) code = clSetKernelArg(copier.kernel, 1, sizeof to, &to);
    if (code == CL_SUCCESS) code = clSetKernelArg(copier.kernel, 2, sizeof start, &start);
    if (code == CL_SUCCESS) code = clSetKernelArg(copier.kernel, 3, sizeof length, &length);
    if (code == CL_SUCCESS) code = clEnqueueNDRangeKernel(queue, copier.kernel, 1, NULL, &items, NULL, n, wait, event);
    if (code == CL_SUCCESS) code = clFinish(queue);
    return code;
}

static cl_int CL_API_CALL checked_release(cl_mem mem) {
    (void)mem;
    return CL_SUCCESS;
}

void *checked_symbol(void *user, const char *name) {
    (void)user;
    if (strcmp(name, "clReleaseMemObject") == 0) return (void *)(uintptr_t)&checked_release;
    if (strcmp(name, "clEnqueueWriteBuffer") == 0) return (void *)(uintptr_t)&checked_write;
    return cl_entry(name);
}
