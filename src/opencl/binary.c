/* See binary.h. Calls clGetProgramInfo, clCreateProgramWithBinary and what goes with it, through the table. */
#include "binary.h"

#include <stdlib.h>

/* A list that clGetProgramInfo fills, malloc'd; NULL on failure. */
static void *read_list(const clmoe_context *context, cl_program program, cl_program_info what, size_t *bytes,
                       cl_int *code) {
    const clmoe__cl *cl = &context->cl;
    *code = cl->clGetProgramInfo(program, what, 0, NULL, bytes);
    if (*code != CL_SUCCESS) return NULL;
    void *list = malloc(*bytes + 1);
    *code = list != NULL ? cl->clGetProgramInfo(program, what, *bytes, list, NULL) : CL_OUT_OF_HOST_MEMORY;
    if (*code == CL_SUCCESS) return list;
    free(list);
    return NULL;
}

/* Copies the binary of the program's device number `at` of `count`; the others' places stay NULL, which skips them. */
static unsigned char *copy_binary(const clmoe_context *context, cl_program program, size_t at, size_t count,
                                  size_t bytes, cl_int *code) {
    unsigned char **places = calloc(count, sizeof *places), *binary = malloc(bytes);
    *code = CL_OUT_OF_HOST_MEMORY;
    if (places != NULL && binary != NULL) {
        places[at] = binary;
        *code = context->cl.clGetProgramInfo(program, CL_PROGRAM_BINARIES, count * sizeof *places, places, NULL);
    }
    free(places);
    if (*code == CL_SUCCESS) return binary;
    free(binary);
    return NULL;
}

/* An adopted context may have several devices, and a program then has a place for each. */
unsigned char *clmoe__binary_take(const clmoe_context *context, cl_program program, size_t *bytes, cl_int *code) {
    size_t device_bytes = 0, size_bytes = 0, count = 0, at = 0;
    unsigned char *binary = NULL;
    cl_device_id *devices = read_list(context, program, CL_PROGRAM_DEVICES, &device_bytes, code);
    size_t *sizes = devices != NULL ? read_list(context, program, CL_PROGRAM_BINARY_SIZES, &size_bytes, code) : NULL;
    if (sizes != NULL) {
        count = device_bytes / sizeof *devices;
        while (at < count && devices[at] != context->device.id) at++;
        if (at < count && at < size_bytes / sizeof *sizes && sizes[at] > 0) {
            *bytes = sizes[at];
            binary = copy_binary(context, program, at, count, sizes[at], code);
        }
    }
    free(sizes);
    free(devices);
    return binary;
}

static int has_kernel(const clmoe_context *context, cl_program program, const char *name) {
    cl_int code = CL_SUCCESS;
    cl_kernel kernel = context->cl.clCreateKernel(program, name, &code);
    if (kernel != NULL) (void)context->cl.clReleaseKernel(kernel);
    return kernel != NULL;
}

cl_program clmoe__binary_load(const clmoe_context *context, const unsigned char *binary, size_t bytes,
                              const char *options, const char *kernel) {
    const clmoe__cl *cl = &context->cl;
    cl_int status = CL_SUCCESS, code = CL_SUCCESS;
    cl_program program =
        cl->clCreateProgramWithBinary(context->opencl, 1, &context->device.id, &bytes, &binary, &status, &code);
    if (program == NULL) return NULL;
    if (status == CL_SUCCESS &&
        cl->clBuildProgram(program, 1, &context->device.id, options, NULL, NULL) == CL_SUCCESS &&
        has_kernel(context, program, kernel))
        return program;
    (void)cl->clReleaseProgram(program);
    return NULL;
}
