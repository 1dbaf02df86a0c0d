/* Workspaces: made for a queue by the caller, or by the context itself for callers who bring none. Calls queue, event
 * and kernel functions of the table. */
#include "workspace.h"

#include <stdlib.h>
#include <string.h>

#include <clmoe/clmoe_stages.h>

#define OWN_WORKSPACES_MAX 32 /* the context's own beyond this are given up, idle ones, the longest unused first */

void clmoe_workspace_desc_default(clmoe_workspace_desc *desc, size_t struct_size) {
    const clmoe_workspace_desc defaults = {0};
    if (desc != NULL) clmoe__give(desc, struct_size, &defaults, sizeof defaults);
}

/* Checks that the queue is one of the context's and reads its properties. */
static clmoe_status read_queue(const clmoe_context *context, cl_command_queue queue,
                               cl_command_queue_properties *properties, clmoe_error *error) {
    const clmoe__cl *cl = &context->cl;
    cl_context opencl = NULL;
    cl_device_id device = NULL;
    REQUIRE(queue != NULL, error, "queue", "queue is NULL");
    cl_int code = cl->clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof opencl, &opencl, NULL);
    if (code == CL_SUCCESS) code = cl->clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof device, &device, NULL);
    if (code == CL_SUCCESS) {
        code = cl->clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof *properties, properties, NULL);
    }
    REQUIRE(code != CL_INVALID_COMMAND_QUEUE, error, "queue", "queue is not a command queue");
    if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clGetCommandQueueInfo");
    REQUIRE(opencl == context->opencl, error, "queue", "queue belongs to another cl_context than the context's");
    REQUIRE(device == context->device.id, error, "queue", "queue belongs to another device than the context's");
    return CLMOE_OK;
}

static clmoe_status set_queue(clmoe_workspace *w, cl_command_queue queue, clmoe_error *error) {
    const clmoe__cl *cl = &w->context->cl;
    cl_command_queue_properties properties = 0;
    TRY(read_queue(w->context, queue, &properties, error));
    const cl_int code = cl->clRetainCommandQueue(queue);
    if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clRetainCommandQueue");
    if (w->queue != NULL) (void)cl->clReleaseCommandQueue(w->queue);
    w->queue = queue;
    w->out_of_order = (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) != 0;
    w->queue_profiles = (properties & CL_QUEUE_PROFILING_ENABLE) != 0;
    return CLMOE_OK;
}

cl_int clmoe__workspace_mark(clmoe_workspace *w) {
    const clmoe__cl *cl = &w->context->cl;
    cl_event event = NULL;
    if (!w->unmarked) return CL_SUCCESS;
    cl_int code = cl->clEnqueueMarkerWithWaitList(w->queue, 0, NULL, &event);
    if (code != CL_SUCCESS) return code;
    clmoe__workspace_enqueued(w, event);
    code = cl->clFlush(w->queue);
    return code;
}

void clmoe__workspace_enqueued(clmoe_workspace *w, cl_event event) {
    w->enqueued = 1;
    w->unmarked = event == NULL;
    w->chained = event != NULL && w->out_of_order;
    if (event == NULL) return;
    if (w->last != NULL) (void)w->context->cl.clReleaseEvent(w->last);
    w->last = event;
}

clmoe_status clmoe__workspace_move(clmoe_workspace *w, cl_command_queue queue, clmoe_error *error) {
    const cl_int code = clmoe__workspace_mark(w);
    if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clEnqueueMarkerWithWaitList");
    TRY(set_queue(w, queue, error));
    w->chained = w->last != NULL;
    return CLMOE_OK;
}

void clmoe__workspace_forget_launches(clmoe_workspace *w) {
    for (size_t i = 0; i < w->launch_count; i++) {
        if (w->launches[i].event != NULL) (void)w->context->cl.clReleaseEvent(w->launches[i].event);
    }
    w->launch_count = 0;
}

/* Frees a workspace, also one made in part. Kernels, buffers and queues that commands still use live on in OpenCL. */
static void free_workspace(clmoe_workspace *w) {
    clmoe_context *context = w->context;
    const clmoe__cl *cl = &context->cl;
    clmoe__workspace_forget_launches(w);
    for (size_t i = 0; i < w->slot_capacity; i++) {
        if (w->slots[i].id != 0) (void)cl->clReleaseKernel(w->slots[i].opencl);
    }
    if (w->arena.mem != NULL && clmoe__workspace_mark(w) == CL_SUCCESS) {
        clmoe__pool_free(context, &w->arena, w->last);
    }
    clmoe__pool_drop(context, &w->arena);
    if (w->memory.handle != NULL) (void)cl->clReleaseMemObject((cl_mem)w->memory.handle);
    if (w->last != NULL) (void)cl->clReleaseEvent(w->last);
    if (w->queue != NULL) (void)cl->clReleaseCommandQueue(w->queue);
    if (w->mutex != NULL) clmoe__mutex_destroy(w->mutex);
    free(w->slots);
    free(w->waits);
    free(w->launches);
    const int is_contexts = w->is_contexts;
    free(w);
    if (!is_contexts) clmoe__context_release(context);
}

static clmoe_status adopt_memory(clmoe_workspace *w, const clmoe_workspace_desc *desc, clmoe_error *error) {
    if (desc->memory.kind == CLMOE_BUFFER_NONE) {
        REQUIRE(desc->memory_bytes == 0, error, "memory_bytes", "memory_bytes is %llu without memory, expected 0",
                (unsigned long long)desc->memory_bytes);
        return CLMOE_OK;
    }
    REQUIRE(desc->memory_bytes > 0, error, "memory_bytes", "memory_bytes is 0, expected the size of memory");
    TRY(clmoe__buffer_check(w->context, &desc->memory, desc->memory_bytes, sizeof(float), 1, "memory", error));
    const cl_int code = w->context->cl.clRetainMemObject((cl_mem)desc->memory.handle);
    if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clRetainMemObject");
    w->memory = desc->memory;
    w->memory_bytes = desc->memory_bytes;
    return CLMOE_OK;
}

static clmoe_status make_workspace(clmoe_context *context, cl_command_queue queue, const clmoe_workspace_desc *desc,
                                   int is_contexts, clmoe_workspace **workspace, clmoe_error *error) {
    clmoe_workspace *w = calloc(1, sizeof *w);
    if (w == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a workspace");
    w->context = context;
    w->is_contexts = is_contexts;
    if (!is_contexts) clmoe__context_retain(context);
    w->mutex = clmoe__mutex_create();
    clmoe_status status = w->mutex != NULL
                              ? set_queue(w, queue, error)
                              : clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a workspace");
    if (status == CLMOE_OK && desc != NULL) status = adopt_memory(w, desc, error);
    if (status != CLMOE_OK) {
        free_workspace(w);
        return status;
    }
    *workspace = w;
    return CLMOE_OK;
}

clmoe_status clmoe_workspace_create(clmoe_context *context, cl_command_queue queue, const clmoe_workspace_desc *desc,
                                    clmoe_workspace **workspace, clmoe_error *error) {
    REQUIRE(workspace != NULL, error, "workspace", "workspace is NULL");
    *workspace = NULL;
    REQUIRE(context != NULL, error, "context", "context is NULL");
    clmoe_workspace_desc full;
    clmoe_workspace_desc_default(&full, sizeof full);
    if (desc != NULL) TRY(clmoe__take(&full, sizeof full, desc, "desc", error));
    return make_workspace(context, queue, &full, 0, workspace, error);
}

void clmoe_workspace_destroy(clmoe_workspace *workspace) {
    if (workspace != NULL) free_workspace(workspace);
}

/* Unlinks the longest unused of the context's own workspaces that no run has, if there are too many. */
static clmoe_workspace *unlink_surplus(clmoe_context *context) {
    size_t count = 0;
    clmoe_workspace **oldest = NULL;
    for (clmoe_workspace **link = &context->workspaces; *link != NULL; link = &(*link)->next) {
        count++;
        if (clmoe__counter_add(&(*link)->users, 0) != 0) continue;
        if (oldest == NULL || (*link)->last_use < (*oldest)->last_use) oldest = link;
    }
    if (count <= OWN_WORKSPACES_MAX || oldest == NULL) return NULL;
    clmoe_workspace *surplus = *oldest;
    *oldest = surplus->next;
    return surplus;
}

clmoe_status clmoe__workspace_of_queue(clmoe_context *context, cl_command_queue queue, clmoe_workspace **workspace,
                                       clmoe_error *error) {
    clmoe_status status = CLMOE_OK;
    clmoe_workspace *surplus = NULL;
    clmoe__mutex_lock(context->mutex);
    clmoe_workspace *w = context->workspaces;
    while (w != NULL && w->queue != queue) w = w->next;
    if (w == NULL) {
        status = make_workspace(context, queue, NULL, 1, &w, error);
        if (status == CLMOE_OK) {
            w->next = context->workspaces;
            context->workspaces = w;
        }
    }
    if (status == CLMOE_OK) {
        (void)clmoe__counter_add(&w->users, 1);
        w->last_use = (uint64_t)clmoe__counter_add(&context->next_id, 1);
        surplus = unlink_surplus(context);
    }
    clmoe__mutex_unlock(context->mutex);
    if (surplus != NULL) free_workspace(surplus);
    *workspace = w;
    return status;
}

void clmoe__workspaces_destroy(clmoe_context *context) {
    while (context->workspaces != NULL) {
        clmoe_workspace *w = context->workspaces;
        context->workspaces = w->next;
        clmoe__pool_drop(context, &w->arena); /* the pool goes as well: no need to wait for the device */
        free_workspace(w);
    }
}

clmoe_status clmoe_workspace_set_profiling(clmoe_workspace *workspace, int enable, clmoe_error *error) {
    REQUIRE(workspace != NULL, error, "workspace", "workspace is NULL");
    REQUIRE(enable == 0 || enable == 1, error, "enable", "enable is %d, expected 0 or 1", enable);
    clmoe__mutex_lock(workspace->mutex);
    workspace->profiling = enable;
    clmoe__mutex_unlock(workspace->mutex);
    return CLMOE_OK;
}

/* Waits for everything enqueued. */
static clmoe_status wait_for_last(clmoe_workspace *w, clmoe_error *error) {
    cl_int code = clmoe__workspace_mark(w);
    if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clEnqueueMarkerWithWaitList");
    if (w->last == NULL) return CLMOE_OK;
    code = w->context->cl.clWaitForEvents(1, &w->last);
    return code == CL_SUCCESS ? CLMOE_OK : clmoe__fail_cl(error, code, "clWaitForEvents");
}

static clmoe_status read_times(const clmoe_workspace *w, cl_event event, clmoe_launch_time *to, clmoe_error *error) {
    const struct {
        cl_profiling_info moment;
        uint64_t *at;
    } moments[] = {{CL_PROFILING_COMMAND_QUEUED, &to->queued},
                   {CL_PROFILING_COMMAND_SUBMIT, &to->submitted},
                   {CL_PROFILING_COMMAND_START, &to->started},
                   {CL_PROFILING_COMMAND_END, &to->ended}};
    if (event == NULL || !w->queue_profiles) return CLMOE_OK;
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        cl_ulong at = 0;
        const cl_int code = w->context->cl.clGetEventProfilingInfo(event, moments[i].moment, sizeof at, &at, NULL);
        if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clGetEventProfilingInfo");
        *moments[i].at = at;
    }
    to->nanoseconds = to->ended > to->started ? to->ended - to->started : 0;
    return CLMOE_OK;
}

/* Copies a name, cut to fit; `to` is zeroed. */
static void copy_name(char *to, size_t capacity, const char *from) {
    for (size_t i = 0; i + 1 < capacity && from[i] != '\0'; i++) to[i] = from[i];
}

static clmoe_status read_launches(clmoe_workspace *w, clmoe_launch_time *launches, uint32_t capacity,
                                  clmoe_error *error) {
    TRY(wait_for_last(w, error));
    for (size_t i = 0; i < w->launch_count && i < capacity; i++) {
        const clmoe__launch *from = &w->launches[i];
        clmoe_launch_time *to = &launches[i];
        memset(to, 0, sizeof *to);
        copy_name(to->stage, sizeof to->stage, from->stage);
        copy_name(to->kernel, sizeof to->kernel, from->kernel);
        for (size_t k = 0; k < 3; k++) {
            to->global_size[k] = from->global[k];
            to->local_size[k] = from->local[k];
        }
        TRY(read_times(w, from->event, to, error));
    }
    return CLMOE_OK;
}

clmoe_status clmoe_workspace_launches(clmoe_workspace *workspace, clmoe_launch_time *launches, uint32_t capacity,
                                      uint32_t *count, clmoe_error *error) {
    REQUIRE(workspace != NULL, error, "workspace", "workspace is NULL");
    REQUIRE(launches != NULL || capacity == 0, error, "launches", "launches is NULL with a capacity of %u", capacity);
    clmoe__mutex_lock(workspace->mutex);
    const clmoe_status status = read_launches(workspace, launches, capacity, error);
    const size_t had = workspace->launch_count;
    clmoe__mutex_unlock(workspace->mutex);
    if (status == CLMOE_OK && count != NULL) *count = (uint32_t)had;
    return status;
}
