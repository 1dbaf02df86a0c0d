/* Compiled programs as bytes, and back. */
#ifndef CLMOE_OPENCL_BINARY_H
#define CLMOE_OPENCL_BINARY_H

#include "context.h"

/* The program's binary for the context's device, malloc'd. NULL: the driver gives none; *code is its answer, or
 * CL_SUCCESS where it has a binary of no bytes. */
unsigned char *clmoe__binary_take(const clmoe_context *context, cl_program program, size_t *bytes, cl_int *code);
/* A program built from a binary that has this kernel. NULL: the driver refuses. */
cl_program clmoe__binary_load(const clmoe_context *context, const unsigned char *binary, size_t bytes,
                              const char *options, const char *kernel);

#endif
