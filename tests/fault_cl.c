/* See fault_cl.h. A failing call does nothing but return its code, with these exceptions: a release releases and a wait
 * waits before they fail, because a program cannot do more about those than go on. May call OpenCL. */
#include "fault_cl.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum kind { DEVICE, CONTEXT, QUEUE, MEM, PROGRAM, KERNEL, EVENT, COMMAND_BUFFER, KINDS };

static atomic_int live[KINDS];
static atomic_uint calls[FAULT_ENTRIES], all_calls;
static fault_entry planned_entry = FAULT_ENTRIES;
static unsigned planned_call;
static atomic_int happened;
static cl_context shared_context;

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

static int fails(fault_entry entry) {
    const unsigned of_entry = atomic_fetch_add(&calls[entry], 1) + 1, of_all = atomic_fetch_add(&all_calls, 1) + 1;
    const int now = planned_entry == FAULT_ENTRIES ? of_all == planned_call : planned_entry == entry && of_entry == planned_call;
    if (now) atomic_store(&happened, 1);
    return now;
}

static void made(enum kind kind) { atomic_fetch_add(&live[kind], 1); }
static void dropped(enum kind kind) { atomic_fetch_sub(&live[kind], 1); }

static void *refuse(cl_int *code, cl_int value) {
    if (code != NULL) *code = value;
    return NULL;
}

static char *copy(const char *text) {
    const size_t bytes = strlen(text) + 1;
    return memcpy(malloc(bytes), text, bytes);
}

static cl_int event_made(cl_int code, const cl_event *event) {
    if (code == CL_SUCCESS && event != NULL) made(EVENT);
    return code;
}

#define REFUSE(name) \
    if (fails(ENTRY_##name)) return CL_OUT_OF_RESOURCES

/* ------------------------------------------------------------------------------- platform, device, context */

static cl_int CL_API_CALL fault_clGetPlatformIDs(cl_uint n, cl_platform_id *platforms, cl_uint *count) {
    REFUSE(clGetPlatformIDs);
    return clGetPlatformIDs(n, platforms, count);
}

static cl_int CL_API_CALL fault_clGetPlatformInfo(cl_platform_id p, cl_platform_info what, size_t n, void *to, size_t *size) {
    REFUSE(clGetPlatformInfo);
    return clGetPlatformInfo(p, what, n, to, size);
}

static cl_int CL_API_CALL fault_clGetDeviceIDs(cl_platform_id p, cl_device_type type, cl_uint n, cl_device_id *devices,
                                               cl_uint *count) {
    REFUSE(clGetDeviceIDs);
    return clGetDeviceIDs(p, type, n, devices, count);
}

static cl_int CL_API_CALL fault_clGetDeviceInfo(cl_device_id d, cl_device_info what, size_t n, void *to, size_t *size) {
    REFUSE(clGetDeviceInfo);
    return clGetDeviceInfo(d, what, n, to, size);
}

static cl_int CL_API_CALL fault_clRetainDevice(cl_device_id device) {
    REFUSE(clRetainDevice);
    made(DEVICE);
    return clRetainDevice(device);
}

static cl_int CL_API_CALL fault_clReleaseDevice(cl_device_id device) {
    dropped(DEVICE);
    const cl_int code = clReleaseDevice(device);
    REFUSE(clReleaseDevice);
    return code;
}

static cl_context CL_API_CALL fault_clCreateContext(const cl_context_properties *properties, cl_uint n,
                                                    const cl_device_id *devices,
                                                    void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *),
                                                    void *user, cl_int *code) {
    (void)notify;
    (void)user;
    if (fails(ENTRY_clCreateContext)) return refuse(code, CL_OUT_OF_HOST_MEMORY);
    if (shared_context == NULL) shared_context = clCreateContext(properties, n, devices, NULL, NULL, code);
    if (shared_context == NULL) return NULL;
    if (code != NULL) *code = CL_SUCCESS;
    (void)clRetainContext(shared_context);
    made(CONTEXT);
    return shared_context;
}

static cl_int CL_API_CALL fault_clGetContextInfo(cl_context c, cl_context_info what, size_t n, void *to, size_t *size) {
    REFUSE(clGetContextInfo);
    return clGetContextInfo(c, what, n, to, size);
}

static cl_int CL_API_CALL fault_clRetainContext(cl_context context) {
    REFUSE(clRetainContext);
    made(CONTEXT);
    return clRetainContext(context);
}

static cl_int CL_API_CALL fault_clReleaseContext(cl_context context) {
    dropped(CONTEXT);
    const cl_int code = clReleaseContext(context);
    REFUSE(clReleaseContext);
    return code;
}

/* --------------------------------------------------------------------------------------- queue and memory */

static cl_command_queue CL_API_CALL fault_clCreateCommandQueue(cl_context c, cl_device_id d,
                                                               cl_command_queue_properties properties, cl_int *code) {
    if (fails(ENTRY_clCreateCommandQueue)) return refuse(code, CL_OUT_OF_RESOURCES);
    cl_command_queue queue = clCreateCommandQueue(c, d, properties, code);
    if (queue != NULL) made(QUEUE);
    return queue;
}

static cl_int CL_API_CALL fault_clGetCommandQueueInfo(cl_command_queue q, cl_command_queue_info what, size_t n, void *to,
                                                      size_t *size) {
    REFUSE(clGetCommandQueueInfo);
    return clGetCommandQueueInfo(q, what, n, to, size);
}

static cl_int CL_API_CALL fault_clRetainCommandQueue(cl_command_queue queue) {
    REFUSE(clRetainCommandQueue);
    made(QUEUE);
    return clRetainCommandQueue(queue);
}

static cl_int CL_API_CALL fault_clReleaseCommandQueue(cl_command_queue queue) {
    dropped(QUEUE);
    const cl_int code = clReleaseCommandQueue(queue);
    REFUSE(clReleaseCommandQueue);
    return code;
}

static cl_mem CL_API_CALL fault_clCreateBuffer(cl_context c, cl_mem_flags flags, size_t bytes, void *host, cl_int *code) {
    if (fails(ENTRY_clCreateBuffer)) return refuse(code, CL_MEM_OBJECT_ALLOCATION_FAILURE);
    cl_mem mem = clCreateBuffer(c, flags, bytes, host, code);
    if (mem != NULL) made(MEM);
    return mem;
}

static cl_int CL_API_CALL fault_clGetMemObjectInfo(cl_mem m, cl_mem_info what, size_t n, void *to, size_t *size) {
    REFUSE(clGetMemObjectInfo);
    return clGetMemObjectInfo(m, what, n, to, size);
}

static cl_int CL_API_CALL fault_clRetainMemObject(cl_mem mem) {
    REFUSE(clRetainMemObject);
    made(MEM);
    return clRetainMemObject(mem);
}

static cl_int CL_API_CALL fault_clReleaseMemObject(cl_mem mem) {
    dropped(MEM);
    const cl_int code = clReleaseMemObject(mem);
    REFUSE(clReleaseMemObject);
    return code;
}

static cl_int CL_API_CALL fault_clSetMemObjectDestructorCallback(cl_mem mem, void(CL_CALLBACK *call)(cl_mem, void *),
                                                                 void *user) {
    REFUSE(clSetMemObjectDestructorCallback);
    return clSetMemObjectDestructorCallback(mem, call, user);
}

/* ---------------------------------------------------------------------------------------------- programs */

static cl_program CL_API_CALL fault_clCreateProgramWithSource(cl_context c, cl_uint n, const char **strings,
                                                              const size_t *lengths, cl_int *code) {
    (void)c;
    if (fails(ENTRY_clCreateProgramWithSource)) return refuse(code, CL_OUT_OF_HOST_MEMORY);
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
    made(PROGRAM);
    return (cl_program)(void *)fake;
}

static cl_int CL_API_CALL fault_clBuildProgram(cl_program p, cl_uint n, const cl_device_id *devices, const char *options,
                                               void(CL_CALLBACK *notify)(cl_program, void *), void *user) {
    (void)notify;
    (void)user;
    fake_program *fake = (fake_program *)(void *)p;
    if (fails(ENTRY_clBuildProgram)) return CL_BUILD_PROGRAM_FAILURE;
    if (options == NULL) options = "";
    for (fake->built = cache; fake->built != NULL; fake->built = fake->built->next) {
        if (strcmp(fake->built->source, fake->source) == 0 && strcmp(fake->built->options, options) == 0) break;
    }
    if (fake->built == NULL) {
        built *entry = fake->built = calloc(1, sizeof *entry);
        const char *source = fake->source;
        entry->source = copy(source);
        entry->options = copy(options);
        entry->program = clCreateProgramWithSource(shared_context, 1, &source, NULL, &entry->code);
        if (entry->code == CL_SUCCESS) entry->code = clBuildProgram(entry->program, n, devices, options, NULL, NULL);
        entry->next = cache;
        cache = entry;
    }
    return fake->built->code;
}

/* A binary, for the library: how to find the program it was taken from. A driver's own would cost seconds a kernel, and has a test
 * of its own. */
static const char binary_magic[] = "binary ";

static cl_int CL_API_CALL fault_clGetProgramInfo(cl_program p, cl_program_info what, size_t n, void *to, size_t *size) {
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

static cl_program CL_API_CALL fault_clCreateProgramWithBinary(cl_context c, cl_uint n, const cl_device_id *devices,
                                                              const size_t *lengths, const unsigned char **binaries,
                                                              cl_int *status, cl_int *code) {
    (void)c;
    (void)n;
    (void)devices;
    if (fails(ENTRY_clCreateProgramWithBinary)) return refuse(code, CL_OUT_OF_HOST_MEMORY);
    if (lengths[0] <= sizeof binary_magic || memcmp(binaries[0], binary_magic, sizeof binary_magic) != 0)
        return refuse(code, CL_INVALID_BINARY);
    const char *options = (const char *)binaries[0] + sizeof binary_magic;
    fake_program *fake = calloc(1, sizeof *fake);
    fake->source = copy(options + strlen(options) + 1);
    if (status != NULL) *status = CL_SUCCESS;
    if (code != NULL) *code = CL_SUCCESS;
    made(PROGRAM);
    return (cl_program)(void *)fake;
}

static cl_int CL_API_CALL fault_clGetProgramBuildInfo(cl_program p, cl_device_id d, cl_program_build_info what, size_t n,
                                                      void *to, size_t *size) {
    const fake_program *fake = (const fake_program *)(void *)p;
    REFUSE(clGetProgramBuildInfo);
    if (fake->built != NULL) return clGetProgramBuildInfo(fake->built->program, d, what, n, to, size);
    static const char log[] = "made to fail"; /* a build that the plan refused */
    if (size != NULL) *size = sizeof log;
    if (to != NULL && n >= sizeof log) memcpy(to, log, sizeof log);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL fault_clReleaseProgram(cl_program p) {
    fake_program *fake = (fake_program *)(void *)p;
    dropped(PROGRAM);
    free(fake->source);
    free(fake);
    REFUSE(clReleaseProgram);
    return CL_SUCCESS;
}

static cl_kernel CL_API_CALL fault_clCreateKernel(cl_program p, const char *name, cl_int *code) {
    const fake_program *fake = (const fake_program *)(void *)p;
    if (fails(ENTRY_clCreateKernel)) return refuse(code, CL_OUT_OF_HOST_MEMORY);
    cl_kernel kernel = clCreateKernel(fake->built->program, name, code);
    if (kernel != NULL) made(KERNEL);
    return kernel;
}

static cl_int CL_API_CALL fault_clReleaseKernel(cl_kernel kernel) {
    dropped(KERNEL);
    const cl_int code = clReleaseKernel(kernel);
    REFUSE(clReleaseKernel);
    return code;
}

static cl_int CL_API_CALL fault_clSetKernelArg(cl_kernel k, cl_uint i, size_t bytes, const void *value) {
    REFUSE(clSetKernelArg);
    return clSetKernelArg(k, i, bytes, value);
}

static cl_int CL_API_CALL fault_clGetKernelWorkGroupInfo(cl_kernel k, cl_device_id d, cl_kernel_work_group_info what,
                                                         size_t n, void *to, size_t *size) {
    REFUSE(clGetKernelWorkGroupInfo);
    return clGetKernelWorkGroupInfo(k, d, what, n, to, size);
}

/* ---------------------------------------------------------------------------------------------- commands */

static cl_int CL_API_CALL fault_clEnqueueNDRangeKernel(cl_command_queue q, cl_kernel k, cl_uint dimensions,
                                                       const size_t *offset, const size_t *global, const size_t *local,
                                                       cl_uint n, const cl_event *wait, cl_event *event) {
    REFUSE(clEnqueueNDRangeKernel);
    return event_made(clEnqueueNDRangeKernel(q, k, dimensions, offset, global, local, n, wait, event), event);
}

static cl_int CL_API_CALL fault_clEnqueueReadBuffer(cl_command_queue q, cl_mem m, cl_bool blocking, size_t offset,
                                                    size_t bytes, void *to, cl_uint n, const cl_event *wait,
                                                    cl_event *event) {
    REFUSE(clEnqueueReadBuffer);
    return event_made(clEnqueueReadBuffer(q, m, blocking, offset, bytes, to, n, wait, event), event);
}

static cl_int CL_API_CALL fault_clEnqueueWriteBuffer(cl_command_queue q, cl_mem m, cl_bool blocking, size_t offset,
                                                     size_t bytes, const void *from, cl_uint n, const cl_event *wait,
                                                     cl_event *event) {
    REFUSE(clEnqueueWriteBuffer);
    return event_made(clEnqueueWriteBuffer(q, m, blocking, offset, bytes, from, n, wait, event), event);
}

static cl_int CL_API_CALL fault_clEnqueueCopyBuffer(cl_command_queue q, cl_mem from, cl_mem to, size_t from_offset,
                                                    size_t to_offset, size_t bytes, cl_uint n, const cl_event *wait,
                                                    cl_event *event) {
    REFUSE(clEnqueueCopyBuffer);
    return event_made(clEnqueueCopyBuffer(q, from, to, from_offset, to_offset, bytes, n, wait, event), event);
}

static cl_int CL_API_CALL fault_clEnqueueFillBuffer(cl_command_queue q, cl_mem m, const void *pattern, size_t pattern_bytes,
                                                    size_t offset, size_t bytes, cl_uint n, const cl_event *wait,
                                                    cl_event *event) {
    REFUSE(clEnqueueFillBuffer);
    return event_made(clEnqueueFillBuffer(q, m, pattern, pattern_bytes, offset, bytes, n, wait, event), event);
}

static cl_int CL_API_CALL fault_clEnqueueMarkerWithWaitList(cl_command_queue q, cl_uint n, const cl_event *wait,
                                                            cl_event *event) {
    REFUSE(clEnqueueMarkerWithWaitList);
    return event_made(clEnqueueMarkerWithWaitList(q, n, wait, event), event);
}

static cl_int CL_API_CALL fault_clRetainEvent(cl_event event) {
    REFUSE(clRetainEvent);
    made(EVENT);
    return clRetainEvent(event);
}

static cl_int CL_API_CALL fault_clReleaseEvent(cl_event event) {
    dropped(EVENT);
    const cl_int code = clReleaseEvent(event);
    REFUSE(clReleaseEvent);
    return code;
}

static cl_int CL_API_CALL fault_clGetEventInfo(cl_event e, cl_event_info what, size_t n, void *to, size_t *size) {
    REFUSE(clGetEventInfo);
    return clGetEventInfo(e, what, n, to, size);
}

static cl_int CL_API_CALL fault_clGetEventProfilingInfo(cl_event e, cl_profiling_info what, size_t n, void *to,
                                                        size_t *size) {
    REFUSE(clGetEventProfilingInfo);
    return clGetEventProfilingInfo(e, what, n, to, size);
}

static cl_int CL_API_CALL fault_clWaitForEvents(cl_uint n, const cl_event *events) {
    const cl_int code = clWaitForEvents(n, events);
    REFUSE(clWaitForEvents);
    return code;
}

static cl_int CL_API_CALL fault_clFlush(cl_command_queue queue) {
    const cl_int code = clFlush(queue);
    REFUSE(clFlush);
    return code;
}

static cl_int CL_API_CALL fault_clFinish(cl_command_queue queue) {
    const cl_int code = clFinish(queue);
    REFUSE(clFinish);
    return code;
}

/* --------------------------------------------------------------------------------------- command buffers */

static clmoe__command_buffer_calls command_buffers; /* the platform's own functions */

static clmoe__command_buffer CL_API_CALL fault_clCreateCommandBufferKHR(cl_uint n, const cl_command_queue *queues,
                                                                        const cl_ulong *properties, cl_int *code) {
    if (fails(ENTRY_clCreateCommandBufferKHR)) return refuse(code, CL_OUT_OF_HOST_MEMORY);
    clmoe__command_buffer buffer = command_buffers.clCreateCommandBufferKHR(n, queues, properties, code);
    if (buffer != NULL) made(COMMAND_BUFFER);
    return buffer;
}

static cl_int CL_API_CALL fault_clFinalizeCommandBufferKHR(clmoe__command_buffer buffer) {
    REFUSE(clFinalizeCommandBufferKHR);
    return command_buffers.clFinalizeCommandBufferKHR(buffer);
}

static cl_int CL_API_CALL fault_clReleaseCommandBufferKHR(clmoe__command_buffer buffer) {
    dropped(COMMAND_BUFFER);
    const cl_int code = command_buffers.clReleaseCommandBufferKHR(buffer);
    REFUSE(clReleaseCommandBufferKHR);
    return code;
}

static cl_int CL_API_CALL fault_clCommandNDRangeKernelKHR(clmoe__command_buffer buffer, cl_command_queue q,
                                                          const cl_ulong *properties, cl_kernel k, cl_uint dimensions,
                                                          const size_t *offset, const size_t *global, const size_t *local,
                                                          cl_uint n, const cl_uint *wait, cl_uint *point, void *handle) {
    REFUSE(clCommandNDRangeKernelKHR);
    return command_buffers.clCommandNDRangeKernelKHR(buffer, q, properties, k, dimensions, offset, global, local, n, wait,
                                                     point, handle);
}

static cl_int CL_API_CALL fault_clEnqueueCommandBufferKHR(cl_uint queues, cl_command_queue *q, clmoe__command_buffer buffer,
                                                          cl_uint n, const cl_event *wait, cl_event *event) {
    REFUSE(clEnqueueCommandBufferKHR);
    return event_made(command_buffers.clEnqueueCommandBufferKHR(queues, q, buffer, n, wait, event), event);
}

static void *CL_API_CALL fault_clGetExtensionFunctionAddressForPlatform(cl_platform_id platform, const char *name) {
    if (fails(ENTRY_clGetExtensionFunctionAddressForPlatform)) return NULL;
    void *real = clGetExtensionFunctionAddressForPlatform(platform, name);
#define FAULT_WRAP(entry)                                            \
    if (strcmp(name, #entry) == 0 && real != NULL) {                 \
        memcpy(&command_buffers.entry, &real, sizeof real);          \
        return (void *)(uintptr_t)&fault_##entry;                    \
    }
    CLMOE__COMMAND_BUFFER_LIST(FAULT_WRAP)
#undef FAULT_WRAP
    return real;
}

/* ----------------------------------------------------------------------------------------------- control */

static const char *const names[FAULT_ENTRIES] = {
#define FAULT_NAME(name) #name,
    CLMOE__CL_LIST(FAULT_NAME)
    CLMOE__COMMAND_BUFFER_LIST(FAULT_NAME)
#undef FAULT_NAME
};

void *fault_symbol(void *user, const char *name) {
    (void)user;
#define FAULT_FIND(entry) \
    if (strcmp(name, #entry) == 0) return (void *)(uintptr_t)&fault_##entry;
    CLMOE__CL_LIST(FAULT_FIND)
#undef FAULT_FIND
    return NULL;
}

const char *fault_name(fault_entry entry) { return entry < FAULT_ENTRIES ? names[entry] : "any call"; }
unsigned fault_calls(fault_entry entry) { return atomic_load(entry < FAULT_ENTRIES ? &calls[entry] : &all_calls); }
int fault_happened(void) { return atomic_load(&happened); }
cl_context fault_shared_context(void) { return shared_context; }

void fault_plan(fault_entry entry, unsigned nth) {
    planned_entry = entry;
    planned_call = nth;
    atomic_store(&happened, 0);
}

void fault_reset(void) {
    for (int i = 0; i < FAULT_ENTRIES; i++) atomic_store(&calls[i], 0);
    for (int i = 0; i < KINDS; i++) atomic_store(&live[i], 0);
    atomic_store(&all_calls, 0);
    fault_plan(FAULT_ENTRIES, 0);
}

fault_live fault_alive(void) {
    return (fault_live){atomic_load(&live[DEVICE]), atomic_load(&live[CONTEXT]), atomic_load(&live[QUEUE]),
                        atomic_load(&live[MEM]),    atomic_load(&live[PROGRAM]), atomic_load(&live[KERNEL]),
                        atomic_load(&live[EVENT]),  atomic_load(&live[COMMAND_BUFFER])};
}

void fault_release_event(cl_event event) {
    dropped(EVENT);
    (void)clReleaseEvent(event);
}

void fault_finish(void) {
    while (cache != NULL) {
        built *next = cache->next;
        if (cache->program != NULL) (void)clReleaseProgram(cache->program);
        free(cache->source);
        free(cache->options);
        free(cache);
        cache = next;
    }
    if (shared_context != NULL) (void)clReleaseContext(shared_context);
    shared_context = NULL;
}
