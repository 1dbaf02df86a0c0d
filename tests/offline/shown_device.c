/* See shown_device.h. Stands between the library and OpenCL, and passes on what is not about the device or its
 * programs. */
#include "shown_device.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "opencl/cl_table.h"

#define COMPUTE_CAPABILITY_MAJOR_NV     0x4000
#define COMPUTE_CAPABILITY_MINOR_NV     0x4001
#define SUB_GROUP_SIZES_INTEL           0x4108
#define DOT_PRODUCT_ACCELERATION_PACKED 0x1075

#define NVIDIA "NVIDIA Corporation"
#define AMD    "Advanced Micro Devices, Inc."
#define INTEL  "Intel(R) Corporation"

#define NVIDIA_EXTENSIONS "cl_khr_global_int32_base_atomics cl_nv_device_attribute_query"
#define AMD_EXTENSIONS    "cl_khr_fp16 cl_khr_subgroups"
#define INTEL_EXTENSIONS  "cl_khr_fp16 cl_khr_subgroups cl_intel_subgroups cl_intel_required_subgroup_size"
#define INTEL_MATRIX      INTEL_EXTENSIONS " cl_intel_subgroup_matrix_multiply_accumulate"

static const shown_device devices[] = {
    {"sm_80", "NVIDIA A100-SXM4-80GB", NVIDIA, NVIDIA_EXTENSIONS, 1024, 49152, {8, 0}, {0}, 0, 0, NULL},
    {"sm_90", "NVIDIA H100 80GB HBM3", NVIDIA, NVIDIA_EXTENSIONS, 1024, 49152, {9, 0}, {0}, 0, 0, "matrix/wgmma"},
    {"sm_90a", "NVIDIA H100 80GB HBM3", NVIDIA, NVIDIA_EXTENSIONS, 1024, 49152, {9, 0}, {0}, 0, 1, NULL},
    {"gfx90a", "gfx90a:sramecc+:xnack-", AMD, AMD_EXTENSIONS, 256, 65536, {0}, {0}, 0, 1, NULL},
    {"gfx942", "gfx942:sramecc+:xnack-", AMD, AMD_EXTENSIONS, 256, 65536, {0}, {0}, 0, 0, NULL},
    {"gfx1030", "gfx1030", AMD, AMD_EXTENSIONS, 256, 65536, {0}, {0}, 0, 0, NULL},
    {"gfx1100", "gfx1100", AMD, AMD_EXTENSIONS, 256, 65536, {0}, {0}, 0, 1, NULL},
    {"gfx1200", "gfx1200", AMD, AMD_EXTENSIONS, 256, 65536, {0}, {0}, 0, 0, NULL},
    {"skl", "Intel(R) HD Graphics 530", INTEL, INTEL_EXTENSIONS, 256, 65536, {0}, {8, 16, 32}, 0, 0, NULL},
    {"tgllp", "Intel(R) Iris(R) Xe Graphics", INTEL, INTEL_EXTENSIONS, 512, 65536, {0}, {8, 16, 32}, 0, 0, NULL},
    {"dg2-g10", "Intel(R) Arc(TM) A770 Graphics", INTEL, INTEL_MATRIX, 1024, 65536, {0}, {8, 16, 32}, 0, 1, NULL},
    {"pvc", "Intel(R) Data Center GPU Max 1550", INTEL, INTEL_MATRIX, 1024, 131072, {0}, {16, 32}, 0, 1, NULL},
    {"spirv", "any small GPU", "any", "", 64, 16384, {0}, {0}, 0, 1, NULL},
};

const shown_device *shown_device_at(size_t i) { return i < sizeof devices / sizeof *devices ? &devices[i] : NULL; }

static struct {
    const shown_device *device;
    shown_program *program;
    void *user;
    char *source;      /* of the program created last */
    cl_context context;
    cl_program nothing; /* every program of the context */
} shown;

void shown_device_begin(const shown_device *device, shown_program *program, void *user) {
    memset(&shown, 0, sizeof shown);
    shown.device = device;
    shown.program = program;
    shown.user = user;
}

void shown_device_end(void) {
    if (shown.nothing != NULL) (void)clReleaseProgram(shown.nothing);
    free(shown.source);
    memset(&shown, 0, sizeof shown);
}

/* ----------------------------------------------------------------------------------------------- facts */

static cl_int answer(const void *value, size_t bytes, size_t capacity, void *to, size_t *size) {
    if (size != NULL) *size = bytes;
    if (to == NULL) return CL_SUCCESS;
    if (capacity < bytes) return CL_INVALID_VALUE;
    memcpy(to, value, bytes);
    return CL_SUCCESS;
}

static cl_int text(const char *value, size_t capacity, void *to, size_t *size) {
    return answer(value, strlen(value) + 1, capacity, to, size);
}

/* Not this machine's driver: what the library does for that one alone, it would not do there. */
static cl_int CL_API_CALL platform_info(cl_platform_id id, cl_platform_info what, size_t capacity, void *to,
                                        size_t *size) {
    if (what == CL_PLATFORM_NAME) return text(shown.device->vendor, capacity, to, size);
    return clGetPlatformInfo(id, what, capacity, to, size);
}

static cl_int CL_API_CALL device_info(cl_device_id id, cl_device_info what, size_t capacity, void *to, size_t *size) {
    const shown_device *d = shown.device;
    const cl_device_type gpu = CL_DEVICE_TYPE_GPU;
    const cl_uint one = 1, units = 64; /* more than a few work-groups fill */
    const cl_bool no = CL_FALSE, dots[6] = {d->dot_is_accelerated, d->dot_is_accelerated, d->dot_is_accelerated,
                                            d->dot_is_accelerated, d->dot_is_accelerated, d->dot_is_accelerated};
    const cl_device_local_mem_type dedicated = CL_LOCAL;
    const size_t sizes[3] = {d->max_group, d->max_group, 64};
    size_t sub_groups = 0;
    while (sub_groups < 4 && d->sub_groups[sub_groups] != 0) sub_groups++;
    switch (what) {
    case CL_DEVICE_TYPE: return answer(&gpu, sizeof gpu, capacity, to, size);
    case CL_DEVICE_NAME: return text(d->name, capacity, to, size);
    case CL_DEVICE_VENDOR: return text(d->vendor, capacity, to, size);
    case CL_DEVICE_EXTENSIONS: return text(d->extensions, capacity, to, size);
    case CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT:
    case CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT: return answer(&one, sizeof one, capacity, to, size);
    case CL_DEVICE_HOST_UNIFIED_MEMORY: return answer(&no, sizeof no, capacity, to, size);
    case CL_DEVICE_LOCAL_MEM_TYPE: return answer(&dedicated, sizeof dedicated, capacity, to, size);
    case CL_DEVICE_LOCAL_MEM_SIZE: return answer(&d->local_bytes, sizeof d->local_bytes, capacity, to, size);
    case CL_DEVICE_MAX_COMPUTE_UNITS: return answer(&units, sizeof units, capacity, to, size);
    case CL_DEVICE_MAX_WORK_GROUP_SIZE: return answer(&d->max_group, sizeof d->max_group, capacity, to, size);
    case CL_DEVICE_MAX_WORK_ITEM_SIZES: return answer(sizes, sizeof sizes, capacity, to, size);
    case COMPUTE_CAPABILITY_MAJOR_NV: return answer(&d->capability[0], sizeof(cl_uint), capacity, to, size);
    case COMPUTE_CAPABILITY_MINOR_NV: return answer(&d->capability[1], sizeof(cl_uint), capacity, to, size);
    case SUB_GROUP_SIZES_INTEL: return answer(d->sub_groups, sub_groups * sizeof(size_t), capacity, to, size);
    case DOT_PRODUCT_ACCELERATION_PACKED: return answer(dots, sizeof dots, capacity, to, size);
    default: return clGetDeviceInfo(id, what, capacity, to, size);
    }
}

/* -------------------------------------------------------------------------------------------- programs */

static cl_program CL_API_CALL create_program(cl_context context, cl_uint count, const char **texts,
                                             const size_t *lengths, cl_int *code) {
    static const char *nothing = "__kernel void nothing(void) {}";
    size_t length = 0;
    free(shown.source);
    shown.source = calloc(1, 1);
    *code = CL_OUT_OF_HOST_MEMORY;
    for (cl_uint i = 0; i < count; i++) {
        const size_t piece = lengths != NULL && lengths[i] != 0 ? lengths[i] : strlen(texts[i]);
        char *grown = realloc(shown.source, length + piece + 1);
        if (grown == NULL) return NULL;
        shown.source = grown;
        memcpy(grown + length, texts[i], piece);
        grown[length += piece] = '\0';
    }
    if (shown.source == NULL) return NULL;
    *code = CL_SUCCESS;
    if (shown.nothing == NULL) {
        shown.nothing = clCreateProgramWithSource(context, 1, &nothing, NULL, code);
        if (*code == CL_SUCCESS) *code = clBuildProgram(shown.nothing, 0, NULL, "", NULL, NULL);
    }
    if (*code == CL_SUCCESS) *code = clRetainProgram(shown.nothing);
    return *code == CL_SUCCESS ? shown.nothing : NULL;
}

static cl_int CL_API_CALL build_program(cl_program program, cl_uint n, const cl_device_id *ids, const char *options,
                                        void(CL_CALLBACK *notify)(cl_program, void *), void *user) {
    (void)program, (void)n, (void)ids, (void)notify, (void)user;
    shown.program(shown.user, shown.source, options);
    return CL_SUCCESS;
}

/* NVIDIA's binaries are PTX, which comes back patched where a program asks for that (src/opencl/ptx.h). */
static cl_int CL_API_CALL program_info(cl_program program, cl_program_info what, size_t capacity, void *to,
                                       size_t *size) {
    static const char ptx[] = ".version 8.0\n.target sm_90\n//@sm_90a ret;\n";
    const size_t bytes = sizeof ptx;
    if (what == CL_PROGRAM_BINARY_SIZES) return answer(&bytes, sizeof bytes, capacity, to, size);
    if (what != CL_PROGRAM_BINARIES) return clGetProgramInfo(program, what, capacity, to, size);
    memcpy(*(unsigned char **)to, ptx, bytes);
    return CL_SUCCESS;
}

static cl_program CL_API_CALL create_from_binary(cl_context context, cl_uint n, const cl_device_id *ids,
                                                 const size_t *bytes, const unsigned char **binaries, cl_int *status,
                                                 cl_int *code) {
    (void)context, (void)n, (void)ids, (void)bytes, (void)binaries;
    *code = clRetainProgram(shown.nothing);
    if (status != NULL) *status = *code;
    return *code == CL_SUCCESS ? shown.nothing : NULL;
}

static cl_kernel CL_API_CALL create_kernel(cl_program program, const char *name, cl_int *code) {
    (void)name;
    return clCreateKernel(program, "nothing", code);
}

static cl_int CL_API_CALL set_argument(cl_kernel kernel, cl_uint index, size_t size, const void *value) {
    (void)kernel, (void)index, (void)size, (void)value;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL launch(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *offset,
                                 const size_t *global, const size_t *local, cl_uint n, const cl_event *wait,
                                 cl_event *event) {
    (void)kernel, (void)dimensions, (void)offset, (void)global, (void)local;
    return clEnqueueMarkerWithWaitList(queue, n, wait, event);
}

void *shown_symbol(void *user, const char *name) {
    (void)user;
#define SHOWN(entry, own) \
    if (strcmp(name, #entry) == 0) return (void *)(uintptr_t)&own;
    SHOWN(clGetDeviceInfo, device_info)
    SHOWN(clGetPlatformInfo, platform_info)
    SHOWN(clCreateProgramWithSource, create_program)
    SHOWN(clCreateProgramWithBinary, create_from_binary)
    SHOWN(clGetProgramInfo, program_info)
    SHOWN(clBuildProgram, build_program)
    SHOWN(clCreateKernel, create_kernel)
    SHOWN(clSetKernelArg, set_argument)
    SHOWN(clEnqueueNDRangeKernel, launch)
#define AS_IT_IS(entry) SHOWN(entry, entry)
    CLMOE__CL_LIST(AS_IT_IS)
    return NULL;
}
