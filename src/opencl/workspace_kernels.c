/* A workspace's own cl_kernels, because clSetKernelArg on a shared one is a race: an open-addressed table by kernel id.
 * Ids never repeat, so the entries of programs that are gone are harmless; they leave when the table is full. Calls
 * clGetKernelWorkGroupInfo and clReleaseKernel of the table. */
#include <stdlib.h>
#include <string.h>

#include "os/size.h"
#include "workspace.h"

#define FIRST_CAPACITY 64
#define SWEEP_COUNT 512 /* with so many kernels, those the current run does not use are given up */

/* The slot that holds the id, or the empty one where it belongs. The table is never more than half full. */
static clmoe__kernel_slot *probe(clmoe__kernel_slot *slots, size_t capacity, uint64_t id) {
    size_t at = (size_t)id & (capacity - 1);
    while (slots[at].id != 0 && slots[at].id != id) at = (at + 1) & (capacity - 1);
    return &slots[at];
}

/* Moves everything to a new table; kernels not used since the run `keep_from` are released. */
static clmoe_status rebuild(clmoe_workspace *w, size_t capacity, uint64_t keep_from, clmoe_error *error) {
    clmoe__kernel_slot *slots = calloc(capacity, sizeof *slots);
    if (slots == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a table of kernels");
    size_t count = 0;
    for (size_t i = 0; i < w->slot_capacity; i++) {
        const clmoe__kernel_slot *old = &w->slots[i];
        if (old->id == 0) continue;
        if (old->run < keep_from) {
            (void)w->context->cl.clReleaseKernel(old->opencl);
            continue;
        }
        *probe(slots, capacity, old->id) = *old;
        count++;
    }
    free(w->slots);
    w->slots = slots;
    w->slot_capacity = capacity;
    w->slot_count = count;
    return CLMOE_OK;
}

static clmoe_status make_room(clmoe_workspace *w, clmoe_error *error) {
    if (2 * (w->slot_count + 1) <= w->slot_capacity) return CLMOE_OK;
    if (w->slot_count >= SWEEP_COUNT) TRY(rebuild(w, w->slot_capacity, w->run, error));
    if (4 * (w->slot_count + 1) <= w->slot_capacity) return CLMOE_OK;
    return rebuild(w, w->slot_capacity == 0 ? FIRST_CAPACITY : 2 * w->slot_capacity, 0, error);
}

/* Work-items a group of this kernel may have. A size the kernel itself requires is what the driver compiled it for,
 * whatever else it answers: Mesa 22.3's rusticl always gives 32, and runs groups of 64. */
static cl_int group_limit(const clmoe_context *context, cl_kernel kernel, size_t *items) {
    const clmoe__cl *cl = &context->cl;
    const cl_device_id device = context->device.id;
    size_t required[3] = {0};
    cl_int code = cl->clGetKernelWorkGroupInfo(kernel, device, CL_KERNEL_WORK_GROUP_SIZE, sizeof *items, items, NULL);
    if (code != CL_SUCCESS) return code;
    code = cl->clGetKernelWorkGroupInfo(kernel, device, CL_KERNEL_COMPILE_WORK_GROUP_SIZE, sizeof required, required,
                                        NULL);
    if (code != CL_SUCCESS) return code;
    const uint64_t needed = clmoe__mul(clmoe__mul(required[0], required[1]), required[2]);
    *items = (size_t)clmoe__min(clmoe__max(*items, needed), context->device.max_work_group_size);
    return CL_SUCCESS;
}

clmoe_status clmoe__kernel_slot_fill(clmoe_workspace *w, const clmoe__kernel *kernel, clmoe__kernel_slot *slot,
                                     clmoe_error *error) {
    size_t group_size = 0;
    cl_int code = CL_SUCCESS;
    cl_kernel made = clmoe__kernel_instance(w->context, kernel, &code);
    if (made == NULL) return clmoe__fail_cl(error, code, "clCreateKernel");
    code = group_limit(w->context, made, &group_size);
    if (code != CL_SUCCESS) {
        (void)w->context->cl.clReleaseKernel(made);
        return clmoe__fail_cl(error, code, "clGetKernelWorkGroupInfo");
    }
    memset(slot, 0, sizeof *slot);
    slot->id = kernel->id;
    slot->opencl = made;
    slot->group_size = group_size;
    return CLMOE_OK;
}

clmoe_status clmoe__workspace_kernel(clmoe_workspace *w, const clmoe__kernel *kernel, clmoe__kernel_slot **slot,
                                     clmoe_error *error) {
    clmoe__kernel_slot *found = w->slot_capacity != 0 ? probe(w->slots, w->slot_capacity, kernel->id) : NULL;
    if (found == NULL || found->id == 0) {
        TRY(make_room(w, error));
        found = probe(w->slots, w->slot_capacity, kernel->id);
        TRY(clmoe__kernel_slot_fill(w, kernel, found, error));
        w->slot_count++;
    }
    found->run = w->run;
    *slot = found;
    return CLMOE_OK;
}

void clmoe__workspace_drop_kernels(clmoe_workspace *w, void (*each)(void *user, uint64_t id), void *user) {
    for (size_t i = 0; i < w->slot_capacity; i++) {
        clmoe__kernel_slot *slot = &w->slots[i];
        if (slot->id == 0) continue;
        if (each != NULL && slot->run == w->run) each(user, slot->id);
        (void)w->context->cl.clReleaseKernel(slot->opencl);
    }
    if (w->slot_capacity != 0) memset(w->slots, 0, w->slot_capacity * sizeof *w->slots);
    w->slot_count = 0;
    w->slot = NULL;
}
