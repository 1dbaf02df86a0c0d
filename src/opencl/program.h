/* Kernel programs: finds the source (embedded, or in the context's kernel folder), builds it with options, keeps it in
 * the context by (file, options). */
#ifndef CLMOE_OPENCL_PROGRAM_H
#define CLMOE_OPENCL_PROGRAM_H

#include "context.h"

typedef struct clmoe__program clmoe__program;

/* One kernel of one program. A workspace keeps its own cl_kernel for it, by id. */
typedef struct clmoe__kernel {
    clmoe__program *program; /* retained; NULL = empty */
    uint64_t id;
    const char *name;  /* of the __kernel function; static storage */
    const char *stage; /* what the launch is called in measurements; static storage */
} clmoe__kernel;

/* Options are space separated -D definitions, 1023 characters at most, built with clmoe__options_add. */
typedef struct clmoe__options {
    char text[1024];
    int overflow; /* clmoe__kernel_create fails if set */
} clmoe__options;
void clmoe__options_add(clmoe__options *options, const char *format, ...) CLMOE__PRINTF(2, 3);
/* " -DNAME=as_float(0x...u)": the exact bits. */
void clmoe__options_float(clmoe__options *options, const char *name, float value);

/* Gets or builds cl/<file> ("select.cl") with the options (always with -cl-std=CL1.2 too) and checks that it has the
 * kernel. BUILD_FAILED carries the log; KERNEL_SOURCE names the file. */
clmoe_status clmoe__kernel_create(clmoe_context *context, const char *file, const char *name,
                                  const clmoe__options *options, const char *stage, clmoe__kernel *kernel,
                                  clmoe_error *error);
void clmoe__kernel_destroy(clmoe_context *context, clmoe__kernel *kernel);
/* A new cl_kernel of it, for one workspace; NULL and OpenCL's code on failure. */
cl_kernel clmoe__kernel_instance(clmoe_context *context, const clmoe__kernel *kernel, cl_int *code);

/* Tells that the kernel with this id was launched and is through: its program's binary has all that the driver makes
 * of it. */
void clmoe__program_launched(clmoe_context *context, uint64_t id);
/* Puts the programs of which that was told into the cache. */
void clmoe__programs_save(clmoe_context *context);

/* Frees what the context cached. */
void clmoe__programs_destroy(clmoe_context *context);

#endif
