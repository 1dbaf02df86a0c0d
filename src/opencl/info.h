/* Texts of OpenCL's clGet*Info functions, which refuse a buffer that is too small: read whole, kept truncated. */
#ifndef CLMOE_OPENCL_INFO_H
#define CLMOE_OPENCL_INFO_H

#include "cl_table.h"

/* Store at most capacity bytes with a terminating 0, leading and trailing blanks removed. Return OpenCL's code. */
cl_int clmoe__device_text(const clmoe__cl *cl, cl_device_id device, cl_device_info what, char *text, size_t capacity);
cl_int clmoe__platform_text(const clmoe__cl *cl, cl_platform_id platform, cl_platform_info what, char *text,
                            size_t capacity);
/* Sets *has to whether the device announces the extension, compared as a whole word. */
cl_int clmoe__device_extension(const clmoe__cl *cl, cl_device_id device, const char *extension, int *has);

#endif
