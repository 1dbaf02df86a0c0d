/* Reads what a device can do and applies the limits of the context's description. Calls clGetDeviceInfo through the
 * table, and the operating system for the CPU's features. */
#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device_dot.h"
#include "device_matrix.h"
#include "info.h"
#include "os/error.h"
#include "os/os.h"
#include "os/size.h"

/* Everything in OpenCL's own types; sizes that OpenCL counts in size_t come as such. */
typedef struct raw_facts {
    cl_device_type type;
    cl_platform_id platform;
    cl_device_id parent;
    cl_uint compute_units, dimensions, native_float, preferred_float;
    cl_ulong max_alloc, global, local;
    cl_bool unified, compiler;
    cl_device_local_mem_type local_type;
    size_t max_group;
} raw_facts;

static cl_int read_raw(const clmoe__cl *cl, cl_device_id id, raw_facts *raw) {
    const struct {
        cl_device_info what;
        size_t size;
        void *to;
    } wanted[] = {
        {CL_DEVICE_TYPE, sizeof raw->type, &raw->type},
        {CL_DEVICE_PLATFORM, sizeof raw->platform, &raw->platform},
        {CL_DEVICE_PARENT_DEVICE, sizeof raw->parent, &raw->parent},
        {CL_DEVICE_MAX_COMPUTE_UNITS, sizeof raw->compute_units, &raw->compute_units},
        {CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS, sizeof raw->dimensions, &raw->dimensions},
        {CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, sizeof raw->native_float, &raw->native_float},
        {CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT, sizeof raw->preferred_float, &raw->preferred_float},
        {CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof raw->max_alloc, &raw->max_alloc},
        {CL_DEVICE_GLOBAL_MEM_SIZE, sizeof raw->global, &raw->global},
        {CL_DEVICE_LOCAL_MEM_SIZE, sizeof raw->local, &raw->local},
        {CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof raw->unified, &raw->unified},
        {CL_DEVICE_COMPILER_AVAILABLE, sizeof raw->compiler, &raw->compiler},
        {CL_DEVICE_LOCAL_MEM_TYPE, sizeof raw->local_type, &raw->local_type},
        {CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof raw->max_group, &raw->max_group},
    };
    memset(raw, 0, sizeof *raw);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        const cl_int code = cl->clGetDeviceInfo(id, wanted[i].what, wanted[i].size, wanted[i].to, NULL);
        if (code != CL_SUCCESS) return code;
    }
    return CL_SUCCESS;
}

/* Work-items a group may have along the first dimension. */
static cl_int read_item_size(const clmoe__cl *cl, cl_device_id id, cl_uint dimensions, uint32_t *size0) {
    size_t *sizes = calloc((size_t)dimensions + 1, sizeof *sizes);
    if (sizes == NULL) return CL_OUT_OF_HOST_MEMORY;
    const cl_int code = cl->clGetDeviceInfo(id, CL_DEVICE_MAX_WORK_ITEM_SIZES, dimensions * sizeof *sizes, sizes, NULL);
    *size0 = (uint32_t)clmoe__min(sizes[0], UINT32_MAX);
    free(sizes);
    return code;
}

static cl_int read_texts(const clmoe__cl *cl, cl_platform_id platform, clmoe__device *d) {
    cl_int code = clmoe__device_text(cl, d->id, CL_DEVICE_NAME, d->name, sizeof d->name);
    if (code == CL_SUCCESS) code = clmoe__device_text(cl, d->id, CL_DEVICE_VENDOR, d->vendor, sizeof d->vendor);
    if (code == CL_SUCCESS) {
        code = clmoe__device_text(cl, d->id, CL_DEVICE_VERSION, d->device_version, sizeof d->device_version);
    }
    if (code == CL_SUCCESS) {
        code = clmoe__device_text(cl, d->id, CL_DRIVER_VERSION, d->driver_version, sizeof d->driver_version);
    }
    if (code == CL_SUCCESS) {
        code = clmoe__platform_text(cl, platform, CL_PLATFORM_NAME, d->platform, sizeof d->platform);
    }
    if (code == CL_SUCCESS) {
        code = clmoe__platform_text(cl, platform, CL_PLATFORM_VERSION, d->platform_version, sizeof d->platform_version);
    }
    if (code == CL_SUCCESS) code = clmoe__device_extension(cl, d->id, "cl_khr_fp16", &d->fp16);
    if (code == CL_SUCCESS) {
        code = clmoe__device_extension(cl, d->id, "cl_khr_integer_dot_product", &d->integer_dot);
    }
    return code;
}

/* Whether kernels run on this process's own CPU. A simulator claims to be every type of device at once (oclgrind), and
 * POCL can show the CPU of another machine, calling it remote. Mesa's llvmpipe is no CPU either as far as kernels are
 * concerned: they get there through SPIR-V, and the translator dies of inline assembly. */
static int runs_here(const clmoe__device *d, cl_device_type type) {
    const cl_device_type others = CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_ACCELERATOR | CL_DEVICE_TYPE_CUSTOM;
    if ((type & CL_DEVICE_TYPE_CPU) == 0 || (type & others) != 0 || !d->host_unified) return 0;
    if (strncmp(d->name, "llvmpipe", 8) == 0) return 0;
    return strstr(d->name, "remote") == NULL && strstr(d->device_version, "remote") == NULL;
}

static void derive(const raw_facts *raw, clmoe__device *d) {
    const cl_uint lanes = raw->native_float > raw->preferred_float ? raw->native_float : raw->preferred_float;
    d->is_cpu = (raw->type & CL_DEVICE_TYPE_CPU) != 0;
    d->is_gpu = (raw->type & CL_DEVICE_TYPE_GPU) != 0;
    d->is_sub_device = raw->parent != NULL;
    d->host_unified = raw->unified != CL_FALSE;
    d->is_this_host = runs_here(d, raw->type);
    d->compute_units = raw->compute_units;
    d->vector_width = lanes >= 16 ? 16 : lanes >= 8 ? 8 : 4;
    d->max_work_group_size = (uint32_t)clmoe__min(raw->max_group, UINT32_MAX);
    d->max_alloc_bytes = clmoe__min(raw->max_alloc, SIZE_MAX);
    d->global_bytes = raw->global;
    d->local_bytes = raw->local;
    d->local_is_dedicated = raw->local_type == CL_LOCAL;
    if (d->is_this_host) {
        clmoe__cpu cpu;
        clmoe__os_cpu(&cpu);
        d->avx2_fma = cpu.avx2_fma;
        d->avx_vnni = cpu.avx_vnni;
        d->avx512f = cpu.avx512f;
        d->avx512_bf16 = cpu.avx512_bf16;
        d->avx512_vbmi = cpu.avx512_vbmi;
        d->avx512_vnni = cpu.avx512_vnni;
    }
}

static clmoe_status check_usable(const clmoe__device *d, const raw_facts *raw, clmoe_error *error) {
    int major = 0, minor = 0;
    if (sscanf(d->device_version, "OpenCL %d.%d", &major, &minor) != 2 || major < 1 || (major == 1 && minor < 2)) {
        return clmoe__fail(error, CLMOE_UNSUPPORTED, "device", "%s has \"%s\", expected OpenCL 1.2 or newer", d->name,
                           d->device_version);
    }
    if (raw->compiler == CL_FALSE) {
        return clmoe__fail(error, CLMOE_UNSUPPORTED, "device", "%s has no compiler for kernels", d->name);
    }
    return CLMOE_OK;
}

/* Lowers *limit to `wanted`; 0 leaves it. */
static clmoe_status lower(uint64_t *limit, uint64_t wanted, const char *name, clmoe_error *error) {
    REQUIRE(wanted <= *limit, error, name, "%s is %llu, expected 0 (the device's own) or 1..%llu", name,
            (unsigned long long)wanted, (unsigned long long)*limit);
    if (wanted != 0) *limit = wanted;
    return CLMOE_OK;
}

/* 0: what CLMOE_VECTOR_WIDTH says. */
static clmoe_status lower_width(uint32_t width, clmoe__device *d, clmoe_error *error) {
    const char *text = clmoe__os_env("CLMOE_VECTOR_WIDTH");
    const char *name = "vector_width";
    if (width == 0 && text != NULL && text[0] != '\0') {
        char *end = NULL;
        const unsigned long value = strtoul(text, &end, 10);
        name = "CLMOE_VECTOR_WIDTH";
        width = *end == '\0' && value <= 16 ? (uint32_t)value : UINT32_MAX;
        REQUIRE(width != UINT32_MAX, error, name, "%s is \"%s\", expected 4, 8 or 16", name, text);
    }
    REQUIRE(width == 0 || ((width == 4 || width == 8 || width == 16) && width <= d->vector_width), error, name,
            "%s is %u, expected 0, 4, 8 or 16 and at most the device's %u", name, width, d->vector_width);
    if (width != 0) d->vector_width = width;
    return CLMOE_OK;
}

static clmoe_status apply_limits(const clmoe_context_desc *desc, clmoe__device *d, clmoe_error *error) {
    uint64_t group = d->max_work_group_size;
    TRY(lower(&d->max_alloc_bytes, desc->max_alloc_bytes, "max_alloc_bytes", error));
    TRY(lower(&d->local_bytes, desc->max_local_bytes, "max_local_bytes", error));
    TRY(lower(&group, desc->max_work_group_size, "max_work_group_size", error));
    d->max_work_group_size = (uint32_t)group;
    d->max_work_item_size0 = (uint32_t)clmoe__min(d->max_work_item_size0, group);
    d->max_workspace_bytes = d->max_alloc_bytes; /* an arena is one buffer */
    TRY(lower(&d->max_workspace_bytes, desc->max_workspace_bytes, "max_workspace_bytes", error));

    return lower_width(desc->vector_width, d, error);
}

clmoe_status clmoe__device_query(const clmoe__cl *cl, cl_device_id id, const clmoe_context_desc *desc,
                                 clmoe__device *device, clmoe_error *error) {
    clmoe__device d;
    raw_facts raw;
    memset(&d, 0, sizeof d);
    d.id = id;
    cl_int code = read_raw(cl, id, &raw);
    if (code == CL_SUCCESS) code = read_item_size(cl, id, raw.dimensions, &d.max_work_item_size0);
    if (code == CL_SUCCESS) code = read_texts(cl, raw.platform, &d);
    if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clGetDeviceInfo");
    derive(&raw, &d);
    code = clmoe__device_matrix_units(cl, &d);
    if (code == CL_SUCCESS) code = clmoe__device_dots(cl, &d);
    if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clGetDeviceInfo");
    TRY(check_usable(&d, &raw, error));
    TRY(apply_limits(desc, &d, error));
    *device = d;
    return CLMOE_OK;
}
