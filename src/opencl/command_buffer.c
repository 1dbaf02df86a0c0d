/* Finds cl_khr_command_buffer. Calls device, queue and extension queries of the table. */
#include "command_buffer.h"

#include <stdlib.h>
#include <string.h>

#include "info.h"

#define EXTENSION "cl_khr_command_buffer"

/* Of the extension, and of cl_khr_extended_versioning, which OpenCL 3.0 took over. */
enum {
    EXTENSIONS_WITH_VERSION = 0x1060,
    CAPABILITIES = 0x12A9,
    REQUIRED_QUEUE_PROPERTIES = 0x12AA,
    SUPPORTED_QUEUE_PROPERTIES = 0x129A, /* in versions after 0.9.0 */
    SIMULTANEOUS_USE = 1 << 2
};

typedef struct name_version {
    cl_uint version; /* 10 bits major, 10 bits minor, 12 bits patch */
    char name[64];
} name_version;

/* The extension's version; 0 where the device does not tell versions, as OpenCL 1.2 devices need not. */
static cl_int read_version(const clmoe_context *context, cl_uint *version) {
    const clmoe__cl *cl = &context->cl;
    const cl_device_id device = context->device.id;
    size_t size = 0;
    *version = 0;
    cl_int code = cl->clGetDeviceInfo(device, EXTENSIONS_WITH_VERSION, 0, NULL, &size);
    if (code == CL_INVALID_VALUE) return CL_SUCCESS;
    if (code != CL_SUCCESS) return code;
    name_version *all = malloc(size + sizeof *all);
    if (all == NULL) return CL_OUT_OF_HOST_MEMORY;
    code = cl->clGetDeviceInfo(device, EXTENSIONS_WITH_VERSION, size, all, NULL);
    for (size_t i = 0; code == CL_SUCCESS && i < size / sizeof *all; i++) {
        if (strncmp(all[i].name, EXTENSION, sizeof all[i].name) == 0) *version = all[i].version;
    }
    free(all);
    return code;
}

static clmoe_status check_version(const clmoe_context *context, clmoe_error *error) {
    cl_uint version = 0;
    int has = 0;
    cl_int code = clmoe__device_extension(&context->cl, context->device.id, EXTENSION, &has);
    if (code == CL_SUCCESS && has) code = read_version(context, &version);
    if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clGetDeviceInfo");
    if (!has)
        return clmoe__fail(error, CLMOE_UNSUPPORTED, "layer", "%s has no " EXTENSION ", which recording needs",
                           context->device.name);
    const unsigned major = version >> 22, minor = version >> 12 & 0x3ff, patch = version & 0xfff;
    if (version != 0 && major != 1 && !(major == 0 && minor == 9))
        return clmoe__fail(error, CLMOE_UNSUPPORTED, "layer",
                           "%s has version %u.%u.%u of " EXTENSION ", known are 0.9 and 1.x", context->device.name,
                           major, minor, patch);
    return CLMOE_OK;
}

/* Properties that a queue must have, and those it may have. */
static cl_int read_queue_rules(const clmoe_context *context, cl_bitfield *required, cl_bitfield *supported) {
    const clmoe__cl *cl = &context->cl;
    const cl_device_id device = context->device.id;
    cl_int code = cl->clGetDeviceInfo(device, REQUIRED_QUEUE_PROPERTIES, sizeof *required, required, NULL);
    if (code != CL_SUCCESS) return code;
    code = cl->clGetDeviceInfo(device, SUPPORTED_QUEUE_PROPERTIES, sizeof *supported, supported, NULL);
    if (code != CL_INVALID_VALUE) return code;
    *supported = CL_QUEUE_PROFILING_ENABLE;
    return CL_SUCCESS;
}

/* Commands of an out-of-order queue's buffer would need sync points between them, and Intel's runtime for CPUs (2026.2)
 * runs them in any order all the same. */
static clmoe_status check_queue(const clmoe_context *context, cl_command_queue queue, clmoe_error *error) {
    cl_bitfield has = 0, required = 0, supported = 0;
    cl_int code = context->cl.clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof has, &has, NULL);
    if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clGetCommandQueueInfo");
    REQUIRE((has & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) == 0, error, "queue",
            "queue is out of order, expected one in order: recordings go there, and events tie them to other queues");
    code = read_queue_rules(context, &required, &supported);
    if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clGetDeviceInfo");
    if ((required & ~has) == 0 && (has & CL_QUEUE_PROFILING_ENABLE & ~supported) == 0) return CLMOE_OK;
    return clmoe__fail(error, CLMOE_UNSUPPORTED, "queue",
                       "queue has the properties 0x%llx, but " EXTENSION " of %s requires 0x%llx and supports 0x%llx",
                       (unsigned long long)has, context->device.name, (unsigned long long)required,
                       (unsigned long long)supported);
}

static clmoe_status find_calls(const clmoe_context *context, clmoe__command_buffer_calls *calls, clmoe_error *error) {
    const clmoe__cl *cl = &context->cl;
    cl_platform_id platform = NULL;
    void *function = NULL;
    const cl_int code = cl->clGetDeviceInfo(context->device.id, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL);
    if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clGetDeviceInfo");
#define FIND(entry)                                                                                                 \
    function = cl->clGetExtensionFunctionAddressForPlatform(platform, #entry);                                      \
    if (function == NULL)                                                                                           \
        return clmoe__fail(error, CLMOE_UNSUPPORTED, "layer", "%s has " EXTENSION ", but not its function " #entry, \
                           context->device.name);                                                                   \
    memcpy(&calls->entry, &function, sizeof function);
    CLMOE__COMMAND_BUFFER_LIST(FIND)
#undef FIND
    return CLMOE_OK;
}

clmoe_status clmoe__command_buffers_find(const clmoe_context *context, cl_command_queue queue,
                                         clmoe__command_buffers *found, clmoe_error *error) {
    cl_bitfield capabilities = 0;
    TRY(check_version(context, error));
    const cl_int code =
        context->cl.clGetDeviceInfo(context->device.id, CAPABILITIES, sizeof capabilities, &capabilities, NULL);
    if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clGetDeviceInfo");
    TRY(check_queue(context, queue, error));
    found->simultaneous = (capabilities & SIMULTANEOUS_USE) != 0;
    return find_calls(context, &found->calls, error);
}
