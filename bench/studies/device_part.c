/* Parts of OpenCL devices; see scaling.h. Calls OpenCL. */
#include <stdio.h>
#include <string.h>

#include "scaling.h"

int device_part_open(cl_device_id whole, uint32_t units, device_part *part, char *why, size_t capacity) {
    const cl_device_partition_property by_counts[] = {
        CL_DEVICE_PARTITION_BY_COUNTS, (cl_device_partition_property)units, CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0};
    cl_uint found = 0;
    memset(part, 0, sizeof *part);
    cl_int code = clCreateSubDevices(whole, by_counts, 1, &part->device, &found);
    if (code == CL_SUCCESS && found == 1) part->context = clCreateContext(NULL, 1, &part->device, NULL, NULL, &code);
    if (code == CL_SUCCESS && part->context != NULL) return 0;
    snprintf(why, capacity, "the device gives no part of %u compute units (OpenCL error %d)", units, (int)code);
    return 1;
}

void device_part_close(device_part *part) {
    if (part->context != NULL) clReleaseContext(part->context);
    if (part->device != NULL) clReleaseDevice(part->device);
    memset(part, 0, sizeof *part);
}
