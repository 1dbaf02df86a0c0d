/* The caller's memory read by kernels where it lies, on devices whose memory is the host's: no copy, no staging. */
#ifndef CLMOE_OPENCL_HOST_VIEW_H
#define CLMOE_OPENCL_HOST_VIEW_H

#include "context.h"

/* A buffer for reading that lies on memory[0, bytes), or NULL: the device has memory of its own, or the driver will
 * not. Nothing is written there, and the memory may be read-only. It has to stay until the commands that read the
 * buffer are complete; views that exist at the same time must not overlap. */
cl_mem clmoe__host_view(clmoe_context *context, const void *memory, uint64_t bytes);
/* To be called when the commands are enqueued; OpenCL keeps the buffer for them. NULL: nothing. */
void clmoe__host_view_release(clmoe_context *context, cl_mem view);

#endif
