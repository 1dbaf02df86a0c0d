/* Programs and kernels of fault_cl: every source is compiled once for each set of options and kept for the process. See
 * fault_cl.h. May call OpenCL. */
#include <stdlib.h>
#include <string.h>

#include "fault_cl_parts.h"

/* What the library sees as a cl_program: the source until it is built, then a program of the cache. */
typedef struct fake_program {
    char *source;
    struct built *built;
} fake_program;

typedef struct built {
    struct built *next;
    char *source, *options;
    cl_program program;
    cl_int code;
} built;
static built *cache;

static char *copy(const char *text) {
    const size_t bytes = strlen(text) + 1;
    return memcpy(malloc(bytes), text, bytes);
}

cl_program CL_API_CALL fault_clCreateProgramWithSource(cl_context c, cl_uint n, const char **strings,
                                                       const size_t *lengths, cl_int *code) {
    (void)c;
    if (fault_fails(ENTRY_clCreateProgramWithSource)) return fault_refuse(code, CL_OUT_OF_HOST_MEMORY);
    size_t bytes = 0;
    for (cl_uint i = 0; i < n; i++) bytes += lengths != NULL && lengths[i] != 0 ? lengths[i] : strlen(strings[i]);
    fake_program *fake = calloc(1, sizeof *fake);
    char *to = fake->source = malloc(bytes + 1);
    for (cl_uint i = 0; i < n; i++) {
        const size_t length = lengths != NULL && lengths[i] != 0 ? lengths[i] : strlen(strings[i]);
        memcpy(to, strings[i], length);
        to += length;
    }
    *to = 0;
    if (code != NULL) *code = CL_SUCCESS;
    fault_made(PROGRAM);
    return (cl_program)(void *)fake;
}

cl_int CL_API_CALL fault_clBuildProgram(cl_program p, cl_uint n, const cl_device_id *devices, const char *options,
                                        void(CL_CALLBACK *notify)(cl_program, void *), void *user) {
    (void)notify;
    (void)user;
    fake_program *fake = (fake_program *)(void *)p;
    if (fault_fails(ENTRY_clBuildProgram)) return CL_BUILD_PROGRAM_FAILURE;
    if (options == NULL) options = "";
    for (fake->built = cache; fake->built != NULL; fake->built = fake->built->next) {
        if (strcmp(fake->built->source, fake->source) == 0 && strcmp(fake->built->options, options) == 0) break;
    }
    if (fake->built == NULL) {
        built *entry = fake->built = calloc(1, sizeof *entry);
        const char *source = fake->source;
        entry->source = copy(source);
        entry->options = copy(options);
        entry->program = clCreateProgramWithSource(fault_shared_context(), 1, &source, NULL, &entry->code);
        if (entry->code == CL_SUCCESS) entry->code = clBuildProgram(entry->program, n, devices, options, NULL, NULL);
        entry->next = cache;
        cache = entry;
    }
    return fake->built->code;
}

/* A binary, for the library: how to find the program it was taken from. A driver's own would cost seconds a kernel, and
 * has a test of its own. */
static const char binary_magic[] = "binary ";

cl_int CL_API_CALL fault_clGetProgramInfo(cl_program p, cl_program_info what, size_t n, void *to, size_t *size) {
    const fake_program *fake = (const fake_program *)(void *)p;
    REFUSE(clGetProgramInfo);
    if (what != CL_PROGRAM_BINARY_SIZES && what != CL_PROGRAM_BINARIES)
        return clGetProgramInfo(fake->built->program, what, n, to, size);
    const size_t options = strlen(fake->built->options) + 1, source = strlen(fake->built->source) + 1;
    const size_t bytes = sizeof binary_magic + options + source;
    if (size != NULL) *size = what == CL_PROGRAM_BINARIES ? sizeof(void *) : sizeof bytes;
    if (to == NULL) return CL_SUCCESS;
    if (what == CL_PROGRAM_BINARY_SIZES) {
        memcpy(to, &bytes, sizeof bytes);
        return CL_SUCCESS;
    }
    char *binary = *(char **)to;
    memcpy(binary, binary_magic, sizeof binary_magic);
    memcpy(binary + sizeof binary_magic, fake->built->options, options);
    memcpy(binary + sizeof binary_magic + options, fake->built->source, source);
    return CL_SUCCESS;
}

cl_program CL_API_CALL fault_clCreateProgramWithBinary(cl_context c, cl_uint n, const cl_device_id *devices,
                                                       const size_t *lengths, const unsigned char **binaries,
                                                       cl_int *status, cl_int *code) {
    (void)c;
    (void)n;
    (void)devices;
    if (fault_fails(ENTRY_clCreateProgramWithBinary)) return fault_refuse(code, CL_OUT_OF_HOST_MEMORY);
    if (lengths[0] <= sizeof binary_magic || memcmp(binaries[0], binary_magic, sizeof binary_magic) != 0)
        return fault_refuse(code, CL_INVALID_BINARY);
    const char *options = (const char *)binaries[0] + sizeof binary_magic;
    fake_program *fake = calloc(1, sizeof *fake);
    fake->source = copy(options + strlen(options) + 1);
    if (status != NULL) *status = CL_SUCCESS;
    if (code != NULL) *code = CL_SUCCESS;
    fault_made(PROGRAM);
    return (cl_program)(void *)fake;
}

cl_int CL_API_CALL fault_clGetProgramBuildInfo(cl_program p, cl_device_id d, cl_program_build_info what, size_t n,
                                               void *to, size_t *size) {
    const fake_program *fake = (const fake_program *)(void *)p;
    REFUSE(clGetProgramBuildInfo);
    if (fake->built != NULL) return clGetProgramBuildInfo(fake->built->program, d, what, n, to, size);
    static const char log[] = "made to fail"; /* a build that the plan refused */
    if (size != NULL) *size = sizeof log;
    if (to != NULL && n >= sizeof log) memcpy(to, log, sizeof log);
    return CL_SUCCESS;
}

cl_int CL_API_CALL fault_clReleaseProgram(cl_program p) {
    fake_program *fake = (fake_program *)(void *)p;
    fault_dropped(PROGRAM);
    free(fake->source);
    free(fake);
    REFUSE(clReleaseProgram);
    return CL_SUCCESS;
}

cl_kernel CL_API_CALL fault_clCreateKernel(cl_program p, const char *name, cl_int *code) {
    const fake_program *fake = (const fake_program *)(void *)p;
    if (fault_fails(ENTRY_clCreateKernel)) return fault_refuse(code, CL_OUT_OF_HOST_MEMORY);
    cl_kernel kernel = clCreateKernel(fake->built->program, name, code);
    if (kernel != NULL) fault_made(KERNEL);
    return kernel;
}

cl_int CL_API_CALL fault_clReleaseKernel(cl_kernel kernel) {
    fault_dropped(KERNEL);
    const cl_int code = clReleaseKernel(kernel);
    REFUSE(clReleaseKernel);
    return code;
}

cl_int CL_API_CALL fault_clSetKernelArg(cl_kernel k, cl_uint i, size_t bytes, const void *value) {
    REFUSE(clSetKernelArg);
    return clSetKernelArg(k, i, bytes, value);
}

cl_int CL_API_CALL fault_clGetKernelWorkGroupInfo(cl_kernel k, cl_device_id d, cl_kernel_work_group_info what, size_t n,
                                                  void *to, size_t *size) {
    REFUSE(clGetKernelWorkGroupInfo);
    return clGetKernelWorkGroupInfo(k, d, what, n, to, size);
}

void fault_finish_programs(void) {
    while (cache != NULL) {
        built *next = cache->next;
        if (cache->program != NULL) (void)clReleaseProgram(cache->program);
        free(cache->source);
        free(cache->options);
        free(cache);
        cache = next;
    }
}
