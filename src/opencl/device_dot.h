/* Whether a device multiplies bytes in hardware. */
#ifndef CLMOE_OPENCL_DEVICE_DOT_H
#define CLMOE_OPENCL_DEVICE_DOT_H

#include "device.h"

/* Sets device->dp4a and integer_dot_fast, from id, is_gpu and integer_dot. Returns OpenCL's code. */
cl_int clmoe__device_dots(const clmoe__cl *cl, clmoe__device *device);

#endif
