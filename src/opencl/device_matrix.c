/* Matrix units: NVIDIA says its compute capability, AMD's drivers name the architecture, Intel has an extension. What a
 * device says only decides which kernels are tried. Calls clGetDeviceInfo through the table. */
#include "device_matrix.h"

#include <stdio.h>
#include <string.h>

#include "info.h"

/* Of cl_nv_device_attribute_query and cl_intel_required_subgroup_size, whose headers not every machine has. */
#define COMPUTE_CAPABILITY_MAJOR_NV 0x4000
#define COMPUTE_CAPABILITY_MINOR_NV 0x4001
#define SUB_GROUP_SIZES_INTEL       0x4108

static cl_int nvidia(const clmoe__cl *cl, clmoe__device *d) {
    int has = 0;
    cl_uint major = 0, minor = 0;
    cl_int code = clmoe__device_extension(cl, d->id, "cl_nv_device_attribute_query", &has);
    if (code != CL_SUCCESS || !has) return code;
    code = cl->clGetDeviceInfo(d->id, COMPUTE_CAPABILITY_MAJOR_NV, sizeof major, &major, NULL);
    if (code == CL_SUCCESS)
        code = cl->clGetDeviceInfo(d->id, COMPUTE_CAPABILITY_MINOR_NV, sizeof minor, &minor, NULL);
    if (code == CL_SUCCESS && major == 9 && minor == 0) d->matrix_units |= 1u << CLMOE__MATRIX_WGMMA;
    if (code == CL_SUCCESS && major >= 8) d->matrix_units |= 1u << CLMOE__MATRIX_MMA;
    return code;
}

/* "gfx90a:sramecc+:xnack-": ROCm's name of a device begins with its architecture. */
static void amd(clmoe__device *d) {
    static const struct {
        const char *architecture;
        int unit;
    } rows[] = {{"gfx90a", CLMOE__MATRIX_MFMA}, {"gfx94", CLMOE__MATRIX_MFMA},  {"gfx950", CLMOE__MATRIX_MFMA},
                {"gfx110", CLMOE__MATRIX_WMMA}, {"gfx115", CLMOE__MATRIX_WMMA}, {"gfx120", CLMOE__MATRIX_WMMA12}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strncmp(d->name, rows[i].architecture, strlen(rows[i].architecture)) == 0)
            d->matrix_units |= 1u << rows[i].unit;
}

static cl_int sub_groups(const clmoe__cl *cl, clmoe__device *d) {
    int has = 0;
    size_t sizes[16] = {0}, bytes = 0;
    cl_int code = clmoe__device_extension(cl, d->id, "cl_intel_required_subgroup_size", &has);
    if (code != CL_SUCCESS || !has) return code;
    code = cl->clGetDeviceInfo(d->id, SUB_GROUP_SIZES_INTEL, sizeof sizes, sizes, &bytes);
    for (size_t i = 0; i < bytes / sizeof *sizes && code == CL_SUCCESS; i++)
        if (d->least_sub_group == 0 || sizes[i] < d->least_sub_group) d->least_sub_group = (uint32_t)sizes[i];
    return code;
}

/* dpas works in sub-groups of the device's smallest size. */
static cl_int intel(const clmoe__cl *cl, clmoe__device *d) {
    int has = 0;
    cl_int code = clmoe__device_extension(cl, d->id, "cl_intel_subgroup_matrix_multiply_accumulate", &has);
    if (code == CL_SUCCESS) code = sub_groups(cl, d);
    if (!has) return code;
    if (d->least_sub_group == 16) d->matrix_units |= 1u << CLMOE__MATRIX_DPAS16;
    if (d->least_sub_group == 8) d->matrix_units |= 1u << CLMOE__MATRIX_DPAS8;
    return code;
}

cl_int clmoe__device_matrix_units(const clmoe__cl *cl, clmoe__device *device) {
    device->matrix_units = device->least_sub_group = 0;
    if (!device->is_gpu) return CL_SUCCESS;
    amd(device);
    cl_int code = nvidia(cl, device);
    if (code == CL_SUCCESS) code = intel(cl, device);
    return code;
}
