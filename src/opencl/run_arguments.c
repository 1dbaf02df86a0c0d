/* The kernel of a run's next launch and its arguments. Calls clSetKernelArg of the table. */
#include <stdio.h>
#include <string.h>

#include "recording.h"
#include "workspace.h"

void clmoe__run_kernel(clmoe__run *run, clmoe__kernel *kernel) {
    clmoe__kernel_slot *slot = NULL;
    run->kernel = kernel;
    run->cl_kernel = NULL;
    run->arg = 0;
    if (run->status != CLMOE_OK) return;
    if (kernel->program == NULL) {
        clmoe__run_fail(run, clmoe__fail(run->error, CLMOE_INVALID_ARGUMENT, NULL, "a kernel was not created"));
        return;
    }
    clmoe__run_fail(run, run->recording != NULL ? clmoe__recording_kernel(run, kernel, &slot)
                                                : clmoe__workspace_kernel(run->workspace, kernel, &slot, run->error));
    if (run->status != CLMOE_OK) return;
    run->cl_kernel = slot->opencl;
    run->workspace->group_size = slot->group_size;
    run->workspace->slot = slot;
}

static void set_argument(clmoe__run *run, size_t size, const void *value) {
    if (run->status != CLMOE_OK || run->cl_kernel == NULL) return;
    const cl_int code = run->context->cl.clSetKernelArg(run->cl_kernel, run->arg, size, value);
    if (code != CL_SUCCESS) {
        char call[160];
        (void)snprintf(call, sizeof call, "clSetKernelArg(%s, %u)", run->kernel->name, run->arg);
        clmoe__run_fail(run, clmoe__fail_cl(run->error, code, call));
    }
    run->arg++;
}

void clmoe__run_mem(clmoe__run *run, cl_mem mem) { set_argument(run, sizeof mem, &mem); }

/* A number whose bits are `bits`. An argument never changes its type, so equal bits are the same value. */
static void set_number(clmoe__run *run, size_t size, const void *value, uint64_t bits) {
    if (run->status != CLMOE_OK || run->cl_kernel == NULL) return;
    clmoe__kernel_slot *slot = run->workspace->slot;
    const cl_uint i = run->arg;
    if (i < CLMOE__KNOWN_ARGUMENTS && (slot->known >> i & 1) != 0 && slot->values[i] == bits) {
        run->arg++;
        return;
    }
    set_argument(run, size, value);
    if (i >= CLMOE__KNOWN_ARGUMENTS || run->status != CLMOE_OK) return;
    slot->known |= (uint64_t)1 << i;
    slot->values[i] = bits;
}

void clmoe__run_u64(clmoe__run *run, uint64_t value) {
    const cl_ulong converted = value;
    set_number(run, sizeof converted, &converted, value);
}

void clmoe__run_buffer(clmoe__run *run, const clmoe_buffer *buffer, size_t element_size) {
    const int present = buffer->kind != CLMOE_BUFFER_NONE;
    clmoe__run_mem(run, present ? (cl_mem)buffer->handle : NULL);
    clmoe__run_u64(run, present ? buffer->offset / element_size : 0);
}

void clmoe__run_u32(clmoe__run *run, uint32_t value) {
    const cl_uint converted = value;
    set_number(run, sizeof converted, &converted, value);
}

void clmoe__run_f32(clmoe__run *run, float value) {
    const cl_float converted = value;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    set_number(run, sizeof converted, &converted, bits);
}
