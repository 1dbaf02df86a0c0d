/* Makes OpenCL programs; see program_make.h. Calls clCreateProgramWithSource, clBuildProgram and what goes with them,
 * through the table. */
#include "program_make.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "binary.h"
#include "program.h"
#include "ptx.h"
#include "short_header.h"
#include "source.h"

/* What every kernel file is compiled with. */
#define COMPILER_OPTIONS "-cl-std=CL1.2 "
#define MAX_OPTIONS      (sizeof(((clmoe__options *)0)->text) + 64)

static void add_build_log(clmoe_context *context, cl_program opencl, clmoe_error *error) {
    const clmoe__cl *cl = &context->cl;
    size_t size = 0;
    if (error == NULL) return;
    if (cl->clGetProgramBuildInfo(opencl, context->device.id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) != CL_SUCCESS)
        return;
    char *log = calloc(size + 1, 1);
    if (log == NULL) return;
    if (cl->clGetProgramBuildInfo(opencl, context->device.id, CL_PROGRAM_BUILD_LOG, size, log, NULL) == CL_SUCCESS) {
        clmoe__error_log(error, log);
    }
    free(log);
}

/* A program's text behind its header, if it has one. */
typedef struct program_text {
    const char *parts[2];
    size_t lengths[2];
} program_text;

/* Builds the text of cl/<file> for the context's device; options: all of them. */
static clmoe_status build(clmoe_context *context, const char *file, program_text text, const char *options,
                          cl_program *built, clmoe_error *error) {
    const clmoe__cl *cl = &context->cl;
    const cl_uint first = text.parts[0] == NULL; /* without a header, the text alone */
    cl_int code = CL_SUCCESS;
    cl_program opencl =
        cl->clCreateProgramWithSource(context->opencl, 2 - first, text.parts + first, text.lengths + first, &code);
    if (opencl == NULL) return clmoe__fail_cl(error, code, "clCreateProgramWithSource");
    code = cl->clBuildProgram(opencl, 1, &context->device.id, options, NULL, NULL);
    if (code != CL_SUCCESS) {
        char call[320];
        (void)snprintf(call, sizeof call, "clBuildProgram of cl/%s with \"%.200s\"", file, options);
        const clmoe_status status = clmoe__fail_cl(error, code, call);
        add_build_log(context, opencl, error);
        (void)cl->clReleaseProgram(opencl);
        return status;
    }
    char target[32];
    if (clmoe__ptx_target(options, target, sizeof target)) {
        const clmoe_status status = clmoe__ptx_retarget(context, target, options, &opencl, error);
        if (status != CLMOE_OK) {
            (void)cl->clReleaseProgram(opencl);
            return status;
        }
    }
    *built = opencl;
    return CLMOE_OK;
}

/* With a short header where the driver gets one, and with the driver's own where that lacks something. */
static clmoe_status compile(clmoe_context *context, const char *file, const char *text, size_t length,
                            const char *options, cl_program *built, clmoe_error *error) {
    const clmoe__short_header header = clmoe__short_header_for(&context->device);
    if (header.option != NULL) {
        char more[MAX_OPTIONS];
        (void)snprintf(more, sizeof more, "%s%s", header.option, options);
        const program_text both = {{header.text, text}, {header.length, length}};
        const clmoe_status status = build(context, file, both, more, built, error);
        if (status != CLMOE_BUILD_FAILED) return status;
    }
    TRY(build(context, file, (program_text){{NULL, text}, {0, length}}, options, built, error));
    if (header.option != NULL) clmoe__log(context, "cl/%s needs more than the short header declares", file);
    return CLMOE_OK;
}

/* The program from the cache; NULL: it is not there, or of no use. */
static cl_program load(clmoe_context *context, const clmoe__key *key, const char *options, const char *kernel) {
    size_t bytes = 0;
    unsigned char *binary = clmoe__cache_get(context, CLMOE__ENTRY_PROGRAM, key, &bytes);
    if (binary == NULL) return NULL;
    cl_program opencl = clmoe__binary_load(context, binary, bytes, options, kernel);
    free(binary);
    if (opencl == NULL) clmoe__cache_reject(context, "is refused by the driver");
    return opencl;
}

static void make_key(const clmoe_context *context, const char *text, const char *options, clmoe__key *key) {
    const clmoe__short_header header = clmoe__short_header_for(&context->device);
    clmoe__sha256 hash;
    clmoe__key_begin(context, CLMOE__ENTRY_PROGRAM, &hash);
    clmoe__key_text(&hash, options);
    clmoe__key_text(&hash, header.text != NULL ? header.text : "");
    clmoe__key_text(&hash, text);
    clmoe__key_end(&hash, key);
}

clmoe_status clmoe__program_make(clmoe_context *context, const char *file, const char *options, const char *kernel,
                                 clmoe__made *made, clmoe_error *error) {
    char all[MAX_OPTIONS];
    char *text = NULL;
    size_t length = 0;
    const int writes = clmoe__cache_writes(context, CLMOE__ENTRY_PROGRAM);
    (void)snprintf(all, sizeof all, COMPILER_OPTIONS "%s", options);
    *made = (clmoe__made){0};
    TRY(clmoe__source_read(context, file, &text, &length, error));
    if (writes || clmoe__cache_reads(context)) {
        make_key(context, text, all, &made->key);
        made->opencl = load(context, &made->key, all, kernel);
    }
    const int is_loaded = made->opencl != NULL;
    const clmoe_status status = is_loaded ? CLMOE_OK : compile(context, file, text, length, all, &made->opencl, error);
    free(text);
    if (status != CLMOE_OK) return status;
    made->is_unsaved = writes && !is_loaded;
    clmoe__log(context, "%s cl/%s %s", is_loaded ? "loaded" : "built", file, options);
    return CLMOE_OK;
}
