/* Integer dot products: NVIDIA says its compute capability, others which forms of the extension's are accelerated. What
 * a device says only decides which kernels are tried. Calls clGetDeviceInfo through the table. */
#include "device_dot.h"

#include "info.h"

/* Of extensions whose headers not every machine has. */
#define COMPUTE_CAPABILITY_MAJOR_NV      0x4000
#define COMPUTE_CAPABILITY_MINOR_NV      0x4001
#define DOT_PRODUCT_ACCELERATION_PACKED  0x1075 /* six cl_bool: signed, unsigned, mixed; the same accumulating */
#define MIXED                            2

static cl_int nvidia(const clmoe__cl *cl, clmoe__device *d) {
    int has = 0;
    cl_uint major = 0, minor = 0;
    cl_int code = clmoe__device_extension(cl, d->id, "cl_nv_device_attribute_query", &has);
    if (code != CL_SUCCESS || !has) return code;
    code = cl->clGetDeviceInfo(d->id, COMPUTE_CAPABILITY_MAJOR_NV, sizeof major, &major, NULL);
    if (code == CL_SUCCESS) code = cl->clGetDeviceInfo(d->id, COMPUTE_CAPABILITY_MINOR_NV, sizeof minor, &minor, NULL);
    d->dp4a = code == CL_SUCCESS && (major > 6 || (major == 6 && minor >= 1));
    return code;
}

cl_int clmoe__device_dots(const clmoe__cl *cl, clmoe__device *device) {
    cl_bool accelerated[6] = {0};
    device->dp4a = device->integer_dot_fast = 0;
    if (!device->is_gpu) return CL_SUCCESS;
    /* A driver with an early form of the extension may not know the question. */
    if (device->integer_dot && cl->clGetDeviceInfo(device->id, DOT_PRODUCT_ACCELERATION_PACKED, sizeof accelerated,
                                                   accelerated, NULL) == CL_SUCCESS)
        device->integer_dot_fast = accelerated[MIXED] != CL_FALSE;
    return nvidia(cl, device);
}
