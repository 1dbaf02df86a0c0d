/* Opens and closes a clmoe_context: loads the table, finds or adopts the device, makes the OpenCL context and the pool.
 * Calls context queries and reference counts of the table. */
#include "context.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "clblast.h"
#include "pool.h"
#include "private_run.h"
#include "program.h"
#include "workspace.h"

void clmoe_context_desc_default(clmoe_context_desc *desc, size_t struct_size) {
    const clmoe_context_desc defaults = {0};
    if (desc != NULL) clmoe__give(desc, struct_size, &defaults, sizeof defaults);
}

void clmoe__log(const clmoe_context *context, const char *format, ...) {
    if (context->log == NULL) return;
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    context->log(context->log_user, line);
}

static char *copy_text(const char *text) {
    const size_t bytes = strlen(text) + 1;
    char *copy = malloc(bytes);
    if (copy != NULL) memcpy(copy, text, bytes);
    return copy;
}

/* The environment's list and the description's as one, malloc'd. */
static clmoe_status join_lists(const char *variable, const char *of_desc, char **list, clmoe_error *error) {
    const char *from_environment = clmoe__os_env(variable);
    const char *first = from_environment != NULL ? from_environment : "";
    const char *second = of_desc != NULL ? of_desc : "";
    const size_t bytes = strlen(first) + strlen(second) + 2;
    *list = malloc(bytes);
    if (*list == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a context");
    (void)snprintf(*list, bytes, "%s%s%s", first, first[0] != '\0' && second[0] != '\0' ? "," : "", second);
    return CLMOE_OK;
}

/* The lists of variants; kernel_dir from the description or the environment. */
static clmoe_status take_texts(clmoe_context *context, const clmoe_context_desc *desc, clmoe_error *error) {
    TRY(join_lists("CLMOE_DISABLE", desc->disable, &context->disable, error));
    TRY(join_lists("CLMOE_PREFER", desc->prefer, &context->prefer, error));

    const char *dir = desc->kernel_dir, *source = "kernel_dir";
    if (dir == NULL || dir[0] == '\0') dir = clmoe__os_env(source = "CLMOE_KERNEL_DIR");
    if (dir == NULL) return CLMOE_OK;
    REQUIRE(clmoe__os_is_folder(dir), error, source, "%s is \"%.300s\", expected a folder of kernels", source, dir);
    context->kernel_dir = copy_text(dir);
    if (context->kernel_dir == NULL) {
        return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a context");
    }
    return CLMOE_OK;
}

/* Whether the list has the device or what it is a part of: POCL lists the whole device for a context of its parts. */
static cl_int is_listed(const clmoe__cl *cl, cl_device_id device, const cl_device_id *list, size_t count, int *listed) {
    *listed = 0;
    while (device != NULL && !*listed) {
        for (size_t i = 0; i < count; i++) *listed |= list[i] == device;
        cl_device_id parent = NULL;
        const cl_int code = cl->clGetDeviceInfo(device, CL_DEVICE_PARENT_DEVICE, sizeof parent, &parent, NULL);
        if (code != CL_SUCCESS) return code;
        device = parent;
    }
    return CL_SUCCESS;
}

/* The adopted device must be one of the adopted context's. */
static clmoe_status check_adopted(const clmoe__cl *cl, const clmoe_context_desc *desc, clmoe_error *error) {
    size_t size = 0;
    cl_int code = cl->clGetContextInfo(desc->adopt_context, CL_CONTEXT_DEVICES, 0, NULL, &size);
    if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clGetContextInfo(desc.adopt_context)");
    cl_device_id *devices = malloc(size + sizeof *devices);
    if (devices == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a list of devices");
    const size_t count = size / sizeof *devices;
    int listed = 0;
    code = cl->clGetContextInfo(desc->adopt_context, CL_CONTEXT_DEVICES, size, devices, NULL);
    if (code == CL_SUCCESS) code = is_listed(cl, desc->adopt_device, devices, count, &listed);
    free(devices);
    if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clGetContextInfo(desc.adopt_context)");
    REQUIRE(listed, error, "adopt_device", "adopt_device is not one of the %zu devices of adopt_context", count);
    return CLMOE_OK;
}

/* Leaves context->opencl owning one reference, adopted or new. */
static clmoe_status open_opencl(clmoe_context *context, const clmoe_context_desc *desc, clmoe_error *error) {
    const clmoe__cl *cl = &context->cl;
    cl_int code;
    if (desc->adopt_context != NULL) {
        code = cl->clRetainContext(desc->adopt_context);
        if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clRetainContext(desc.adopt_context)");
        context->opencl = desc->adopt_context;
        return CLMOE_OK;
    }
    cl_platform_id platform = NULL;
    code = cl->clGetDeviceInfo(context->device.id, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL);
    if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clGetDeviceInfo");
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)platform, 0};
    context->opencl = cl->clCreateContext(properties, 1, &context->device.id, NULL, NULL, &code);
    if (context->opencl == NULL) return clmoe__fail_cl(error, code, "clCreateContext");
    return CLMOE_OK;
}

static clmoe_status open_device(clmoe_context *context, const clmoe_context_desc *desc, clmoe_error *error) {
    const clmoe__cl *cl = &context->cl;
    cl_device_id id = desc->adopt_device;
    if (id == NULL) {
        TRY(clmoe__device_find(cl, desc->device, &id, error));
    } else {
        TRY(check_adopted(cl, desc, error));
    }
    const cl_int code = cl->clRetainDevice(id); /* counts for sub-devices, which may be adopted */
    if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clRetainDevice");
    context->device.id = id;
    return clmoe__device_query(cl, id, desc, &context->device, error);
}

static clmoe_status open_context(clmoe_context *context, const clmoe_context_desc *desc, clmoe_error *error) {
    context->log = desc->log;
    context->log_user = desc->log_user;
    context->mutex = clmoe__mutex_create();
    if (context->mutex == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a context");
    TRY(clmoe__names_check(desc, error));
    TRY(take_texts(context, desc, error));
    TRY(clmoe__cl_load(&context->cl, desc, error));
    TRY(clmoe__clblast_open(context, desc, error));
    TRY(open_device(context, desc, error));
    TRY(open_opencl(context, desc, error));
    TRY(clmoe__cache_open(context, desc, error));
    TRY(clmoe__tuning_part.open(context, desc, error));
    return clmoe__pool_create(context, error);
}

/* Also of a context that was opened in part. */
static void close_context(clmoe_context *context) {
    if (context->free_verdicts != NULL) context->free_verdicts(context->verdicts);
    if (context->workspaces != NULL) clmoe__workspaces_destroy(context);
    clmoe__private_queues_destroy(context);
    clmoe__programs_destroy(context);
    clmoe__cache_close(context);
    clmoe__tuning_part.close(context);
    if (context->pool != NULL) clmoe__pool_destroy(context);
    clmoe__clblast_close(context);
    if (context->opencl != NULL) (void)context->cl.clReleaseContext(context->opencl);
    if (context->device.id != NULL) (void)context->cl.clReleaseDevice(context->device.id);
    if (context->mutex != NULL) clmoe__mutex_destroy(context->mutex);
    free(context->kernel_dir);
    free(context->disable);
    free(context->prefer);
    free(context);
}

clmoe_status clmoe_context_create(const clmoe_context_desc *desc, clmoe_context **context, clmoe_error *error) {
    REQUIRE(context != NULL, error, "context", "context is NULL");
    *context = NULL;
    clmoe_context_desc full;
    clmoe_context_desc_default(&full, sizeof full);
    if (desc != NULL) TRY(clmoe__take(&full, sizeof full, desc, "desc", error));
    REQUIRE((full.adopt_context == NULL) == (full.adopt_device == NULL), error, "adopt_device",
            "adopt_context is %s and adopt_device is %s, expected both or neither",
            full.adopt_context == NULL ? "NULL" : "given", full.adopt_device == NULL ? "NULL" : "given");

    clmoe_context *made = calloc(1, sizeof *made);
    if (made == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a context");
    made->references.value = 1;
    const clmoe_status status = open_context(made, &full, error);
    if (status != CLMOE_OK) {
        close_context(made);
        return status;
    }
    clmoe__log(made, "device: %s (%s, driver %s), %u compute units, vectors of %u", made->device.name,
               made->device.platform, made->device.driver_version, made->device.compute_units,
               made->device.vector_width);
    *context = made;
    return CLMOE_OK;
}

void clmoe__context_retain(clmoe_context *context) { (void)clmoe__counter_add(&context->references, 1); }

void clmoe__context_release(clmoe_context *context) {
    if (clmoe__counter_add(&context->references, -1) == 0) close_context(context);
}

void clmoe_context_destroy(clmoe_context *context) {
    if (context != NULL) clmoe__context_release(context);
}

clmoe_status clmoe_context_opencl(const clmoe_context *context, cl_context *cl, cl_device_id *device,
                                  clmoe_error *error) {
    REQUIRE(context != NULL, error, "context", "context is NULL");
    if (cl != NULL) *cl = context->opencl;
    if (device != NULL) *device = context->device.id;
    return CLMOE_OK;
}
