/* The device a subcommand works on; see session.h. Calls the library, OpenCL and Linux. */
#define _GNU_SOURCE
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

int complain_clmoe(const char *what, const clmoe_error *error) {
    return complain("%s: %s: %s%s%s", what, clmoe_status_name(error->status), error->message,
                    error->log[0] != '\0' ? "\n" : "", error->log);
}

static int session_from(const clmoe_context_desc *desc, session *s) {
    memset(s, 0, sizeof *s);
    clmoe_error error = {.struct_size = sizeof error};
    const clmoe_status status = clmoe_context_create(desc, &s->context, &error);
    if (status == CLMOE_NO_DEVICE && (desc->device != NULL || getenv("CLMOE_DEVICE") != NULL)) {
        complain("%s: %s", desc->device != NULL ? "--device" : "CLMOE_DEVICE", error.message);
        return 2;
    }
    if (status != CLMOE_OK) return complain_clmoe("no device", &error);
    clmoe_context_opencl(s->context, &s->cl, &s->device, NULL);
    cl_device_type type = 0;
    cl_int code = clGetDeviceInfo(s->device, CL_DEVICE_TYPE, sizeof type, &type, NULL);
    if (code == CL_SUCCESS)
        code =
            clGetDeviceInfo(s->device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof s->compute_units, &s->compute_units, NULL);
    s->is_cpu = (type & CL_DEVICE_TYPE_CPU) != 0;
    device_text(s->device, CL_DEVICE_NAME, s->name, sizeof s->name);
    if (code == CL_SUCCESS) s->queue = clCreateCommandQueue(s->cl, s->device, 0, &code);
    if (code == CL_SUCCESS) s->profiled = clCreateCommandQueue(s->cl, s->device, CL_QUEUE_PROFILING_ENABLE, &code);
    if (code != CL_SUCCESS) {
        session_close(s);
        return complain_cl("opening the device", code);
    }
    return 0;
}

int session_open(const char *device, session *s) {
    clmoe_context_desc desc;
    clmoe_context_desc_default(&desc, sizeof desc);
    desc.device = device;
    return session_from(&desc, s);
}

int session_open_for_pack(const char *device, session *s) {
    clmoe_context_desc desc;
    clmoe_context_desc_default(&desc, sizeof desc);
    desc.device = device;
    desc.keep_for_pack = 1;
    return session_from(&desc, s);
}

int session_open_untuned(const char *device, session *s) {
    clmoe_context_desc desc;
    clmoe_context_desc_default(&desc, sizeof desc);
    desc.device = device;
    desc.tuning = "off";
    return session_from(&desc, s);
}

int session_adopt(cl_context context, cl_device_id device, session *s) {
    clmoe_context_desc desc;
    clmoe_context_desc_default(&desc, sizeof desc);
    desc.adopt_context = context;
    desc.adopt_device = device;
    return session_from(&desc, s);
}

void session_close(session *s) {
    if (s->queue != NULL) clReleaseCommandQueue(s->queue);
    if (s->profiled != NULL) clReleaseCommandQueue(s->profiled);
    clmoe_context_destroy(s->context);
    memset(s, 0, sizeof *s);
}

/* ------------------------------------------------------------------------------------------------- memory */

/* A number from a file of one number; `otherwise` if there is none ("max" for example). */
static uint64_t number_in(const char *path, uint64_t otherwise) {
    unsigned long long value;
    FILE *file = fopen(path, "r");
    if (file == NULL) return otherwise;
    const int found = fscanf(file, "%llu", &value);
    fclose(file);
    return found == 1 ? value : otherwise;
}

static uint64_t host_available(void) {
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL && sscanf(line, "MemAvailable: %llu kB", &kib) != 1) {}
    fclose(file);
    const uint64_t bytes = (uint64_t)kib * 1024;
    const uint64_t limit = number_in("/sys/fs/cgroup/memory.max", UINT64_MAX); /* of a container */
    const uint64_t used = number_in("/sys/fs/cgroup/memory.current", 0);
    const uint64_t rest = limit > used ? limit - used : 0;
    return limit != UINT64_MAX && rest < bytes ? rest : bytes;
}

uint64_t memory_available(const session *s) {
    cl_ulong bytes = 0;
    if (s->is_cpu) return host_available(); /* CPU drivers report less than can be had */
    clGetDeviceInfo(s->device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof bytes, &bytes, NULL);
    return bytes;
}

/* -------------------------------------------------------------------------------------------------- names */

void device_text(cl_device_id device, cl_device_info what, char *text, size_t capacity) {
    if (clGetDeviceInfo(device, what, capacity, text, NULL) != CL_SUCCESS) text[0] = '\0';
    text[capacity - 1] = '\0';
}

void platform_text(cl_device_id device, cl_platform_info what, char *text, size_t capacity) {
    cl_platform_id platform;
    text[0] = '\0';
    if (clGetDeviceInfo(device, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL) != CL_SUCCESS) return;
    if (clGetPlatformInfo(platform, what, capacity, text, NULL) != CL_SUCCESS) text[0] = '\0';
    text[capacity - 1] = '\0';
}

void cpu_name(char *text, size_t capacity) {
    char line[512];
    text[0] = '\0';
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (file == NULL) return;
    while (fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || colon == NULL) continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(text, capacity, "%s", colon + 1 + (colon[1] == ' '));
        break;
    }
    fclose(file);
}

const char *environment_variable(size_t i) {
    static const char *const names[] = {"POCL_AFFINITY",     "POCL_MAX_PTHREAD_COUNT",   "POCL_MEMORY_LIMIT",
                                        "POCL_DEVICES",      "POCL_MAX_WORK_GROUP_SIZE", "POCL_WORK_GROUP_METHOD",
                                        "POCL_KERNEL_CACHE", "OCL_ICD_VENDORS",          "CLMOE_DEVICE",
                                        "CLMOE_DISABLE",     "CLMOE_KERNEL_DIR"};
    return i < COUNT_OF(names) ? names[i] : NULL;
}
