/* Which matrix units a device says it has. */
#ifndef CLMOE_OPENCL_DEVICE_MATRIX_H
#define CLMOE_OPENCL_DEVICE_MATRIX_H

#include "device.h"

/* Sets device->matrix_units from id, and from the name that is already there. Returns OpenCL's code. */
cl_int clmoe__device_matrix_units(const clmoe__cl *cl, clmoe__device *device);

#endif
