/* See ptx.h. The driver's part: calls clGetProgramInfo (binary.h), clCreateProgramWithBinary, clBuildProgram and what
 * goes with them, through the table. */
#include <stdlib.h>

#include "binary.h"
#include "ptx.h"

/* What a driver answers to a text it does not like is not an error of the caller's: the program just does not build. */
static clmoe_status refuse(clmoe_error *error, cl_int code, const char *target, const char *call) {
    if (code == CL_OUT_OF_HOST_MEMORY) return clmoe__fail_cl(error, code, call);
    return clmoe__fail(error, CLMOE_BUILD_FAILED, NULL, "the driver refuses a program for %s: %s answers %d", target,
                       call, (int)code);
}

static void add_log(const clmoe_context *context, cl_program program, clmoe_error *error) {
    const clmoe__cl *cl = &context->cl;
    const cl_device_id id = context->device.id;
    size_t size = 0;
    if (error == NULL) return;
    if (cl->clGetProgramBuildInfo(program, id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) != CL_SUCCESS) return;
    char *log = calloc(size + 1, 1);
    if (log == NULL) return;
    if (cl->clGetProgramBuildInfo(program, id, CL_PROGRAM_BUILD_LOG, size, log, NULL) == CL_SUCCESS)
        clmoe__error_log(error, log);
    free(log);
}

static clmoe_status assemble(const clmoe_context *context, const char *target, const char *options, const char *ptx,
                             size_t bytes, cl_program *assembled, clmoe_error *error) {
    const clmoe__cl *cl = &context->cl;
    const unsigned char *binary = (const unsigned char *)ptx;
    cl_int status = CL_SUCCESS, code = CL_SUCCESS;
    cl_program program =
        cl->clCreateProgramWithBinary(context->opencl, 1, &context->device.id, &bytes, &binary, &status, &code);
    if (program == NULL) return refuse(error, code, target, "clCreateProgramWithBinary");
    const char *call = "clCreateProgramWithBinary";
    code = status;
    if (code == CL_SUCCESS) {
        call = "clBuildProgram";
        code = cl->clBuildProgram(program, 1, &context->device.id, options, NULL, NULL);
    }
    if (code == CL_SUCCESS) {
        *assembled = program;
        return CLMOE_OK;
    }
    const clmoe_status failed = refuse(error, code, target, call);
    add_log(context, program, error);
    (void)cl->clReleaseProgram(program);
    return failed;
}

clmoe_status clmoe__ptx_retarget(const clmoe_context *context, const char *target, const char *options,
                                 cl_program *program, clmoe_error *error) {
    size_t bytes = 0, patched_bytes = 0;
    cl_int code = CL_SUCCESS;
    char *patched = NULL;
    unsigned char *binary = clmoe__binary_take(context, *program, &bytes, &code);
    if (binary == NULL && code != CL_SUCCESS) return refuse(error, code, target, "clGetProgramInfo");
    if (binary == NULL)
        return clmoe__fail(error, CLMOE_BUILD_FAILED, NULL, "the driver gives no binary to assemble for %s", target);
    clmoe_status status = clmoe__ptx_patch((const char *)binary, bytes, target, &patched, &patched_bytes, error);
    free(binary);
    if (status != CLMOE_OK) return status;
    cl_program assembled = NULL;
    status = assemble(context, target, options, patched, patched_bytes, &assembled, error);
    free(patched);
    if (status != CLMOE_OK) return status;
    (void)context->cl.clReleaseProgram(*program);
    *program = assembled;
    return CLMOE_OK;
}
