/* See fault_cl.h. A failing call does nothing but return its code, with these exceptions: a release releases and a wait
 * waits before they fail, because a program cannot do more about those than go on. May call OpenCL. */
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "fault_cl_parts.h"

static atomic_int live[KINDS];
static atomic_uint calls[FAULT_ENTRIES], all_calls;
static fault_entry planned_entry = FAULT_ENTRIES;
static unsigned planned_call;
static atomic_int happened; /* the entry that failed, plus 1 */
static cl_context shared_context;

int fault_fails(fault_entry entry) {
    const unsigned of_entry = atomic_fetch_add(&calls[entry], 1) + 1, of_all = atomic_fetch_add(&all_calls, 1) + 1;
    const int now =
        planned_entry == FAULT_ENTRIES ? of_all == planned_call : planned_entry == entry && of_entry == planned_call;
    if (now) atomic_store(&happened, (int)entry + 1);
    return now;
}

void fault_made(fault_kind kind) { atomic_fetch_add(&live[kind], 1); }
void fault_dropped(fault_kind kind) { atomic_fetch_sub(&live[kind], 1); }

void *fault_refuse(cl_int *code, cl_int value) {
    if (code != NULL) *code = value;
    return NULL;
}

/* ------------------------------------------------------------------------------- platform, device, context */

cl_int CL_API_CALL fault_clGetPlatformIDs(cl_uint n, cl_platform_id *platforms, cl_uint *count) {
    REFUSE(clGetPlatformIDs);
    return clGetPlatformIDs(n, platforms, count);
}

cl_int CL_API_CALL fault_clGetPlatformInfo(cl_platform_id p, cl_platform_info what, size_t n, void *to, size_t *size) {
    REFUSE(clGetPlatformInfo);
    return clGetPlatformInfo(p, what, n, to, size);
}

cl_int CL_API_CALL fault_clGetDeviceIDs(cl_platform_id p, cl_device_type type, cl_uint n, cl_device_id *devices,
                                        cl_uint *count) {
    REFUSE(clGetDeviceIDs);
    return clGetDeviceIDs(p, type, n, devices, count);
}

cl_int CL_API_CALL fault_clGetDeviceInfo(cl_device_id d, cl_device_info what, size_t n, void *to, size_t *size) {
    REFUSE(clGetDeviceInfo);
    return clGetDeviceInfo(d, what, n, to, size);
}

cl_int CL_API_CALL fault_clRetainDevice(cl_device_id device) {
    REFUSE(clRetainDevice);
    fault_made(DEVICE);
    return clRetainDevice(device);
}

cl_int CL_API_CALL fault_clReleaseDevice(cl_device_id device) {
    fault_dropped(DEVICE);
    const cl_int code = clReleaseDevice(device);
    REFUSE(clReleaseDevice);
    return code;
}

cl_context CL_API_CALL fault_clCreateContext(const cl_context_properties *properties, cl_uint n,
                                             const cl_device_id *devices,
                                             void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *),
                                             void *user, cl_int *code) {
    (void)notify;
    (void)user;
    if (fault_fails(ENTRY_clCreateContext)) return fault_refuse(code, CL_OUT_OF_HOST_MEMORY);
    if (shared_context == NULL) shared_context = clCreateContext(properties, n, devices, NULL, NULL, code);
    if (shared_context == NULL) return NULL;
    if (code != NULL) *code = CL_SUCCESS;
    (void)clRetainContext(shared_context);
    fault_made(CONTEXT);
    return shared_context;
}

cl_int CL_API_CALL fault_clGetContextInfo(cl_context c, cl_context_info what, size_t n, void *to, size_t *size) {
    REFUSE(clGetContextInfo);
    return clGetContextInfo(c, what, n, to, size);
}

cl_int CL_API_CALL fault_clRetainContext(cl_context context) {
    REFUSE(clRetainContext);
    fault_made(CONTEXT);
    return clRetainContext(context);
}

cl_int CL_API_CALL fault_clReleaseContext(cl_context context) {
    fault_dropped(CONTEXT);
    const cl_int code = clReleaseContext(context);
    REFUSE(clReleaseContext);
    return code;
}

/* --------------------------------------------------------------------------------------- queue and memory */

cl_command_queue CL_API_CALL fault_clCreateCommandQueue(cl_context c, cl_device_id d,
                                                        cl_command_queue_properties properties, cl_int *code) {
    if (fault_fails(ENTRY_clCreateCommandQueue)) return fault_refuse(code, CL_OUT_OF_RESOURCES);
    cl_command_queue queue = clCreateCommandQueue(c, d, properties, code);
    if (queue != NULL) fault_made(QUEUE);
    return queue;
}

cl_int CL_API_CALL fault_clGetCommandQueueInfo(cl_command_queue q, cl_command_queue_info what, size_t n, void *to,
                                               size_t *size) {
    REFUSE(clGetCommandQueueInfo);
    return clGetCommandQueueInfo(q, what, n, to, size);
}

cl_int CL_API_CALL fault_clRetainCommandQueue(cl_command_queue queue) {
    REFUSE(clRetainCommandQueue);
    fault_made(QUEUE);
    return clRetainCommandQueue(queue);
}

cl_int CL_API_CALL fault_clReleaseCommandQueue(cl_command_queue queue) {
    fault_dropped(QUEUE);
    const cl_int code = clReleaseCommandQueue(queue);
    REFUSE(clReleaseCommandQueue);
    return code;
}

cl_mem CL_API_CALL fault_clCreateBuffer(cl_context c, cl_mem_flags flags, size_t bytes, void *host, cl_int *code) {
    if (fault_fails(ENTRY_clCreateBuffer)) return fault_refuse(code, CL_MEM_OBJECT_ALLOCATION_FAILURE);
    cl_mem mem = clCreateBuffer(c, flags, bytes, host, code);
    if (mem != NULL) fault_made(MEM);
    return mem;
}

cl_int CL_API_CALL fault_clGetMemObjectInfo(cl_mem m, cl_mem_info what, size_t n, void *to, size_t *size) {
    REFUSE(clGetMemObjectInfo);
    return clGetMemObjectInfo(m, what, n, to, size);
}

cl_int CL_API_CALL fault_clRetainMemObject(cl_mem mem) {
    REFUSE(clRetainMemObject);
    fault_made(MEM);
    return clRetainMemObject(mem);
}

cl_int CL_API_CALL fault_clReleaseMemObject(cl_mem mem) {
    fault_dropped(MEM);
    const cl_int code = clReleaseMemObject(mem);
    REFUSE(clReleaseMemObject);
    return code;
}

cl_int CL_API_CALL fault_clSetMemObjectDestructorCallback(cl_mem mem, void(CL_CALLBACK *call)(cl_mem, void *),
                                                          void *user) {
    REFUSE(clSetMemObjectDestructorCallback);
    return clSetMemObjectDestructorCallback(mem, call, user);
}

/* ----------------------------------------------------------------------------------------------- control */

static const char *const names[FAULT_ENTRIES] = {
#define FAULT_NAME(name) #name,
    CLMOE__CL_LIST(FAULT_NAME) CLMOE__COMMAND_BUFFER_LIST(FAULT_NAME)
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
int fault_happened(void) { return atomic_load(&happened) != 0; }
int fault_happened_in(fault_entry entry) { return atomic_load(&happened) == (int)entry + 1; }
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
    return (fault_live){atomic_load(&live[DEVICE]), atomic_load(&live[CONTEXT]),       atomic_load(&live[QUEUE]),
                        atomic_load(&live[MEM]),    atomic_load(&live[PROGRAM]),       atomic_load(&live[KERNEL]),
                        atomic_load(&live[EVENT]),  atomic_load(&live[COMMAND_BUFFER])};
}

void fault_release_event(cl_event event) {
    fault_dropped(EVENT);
    (void)clReleaseEvent(event);
}

void fault_finish(void) {
    fault_finish_programs();
    if (shared_context != NULL) (void)clReleaseContext(shared_context);
    shared_context = NULL;
}
