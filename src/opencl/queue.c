/* Queues of the library's own. */
#include "run.h"

clmoe_status clmoe__queue_create(clmoe_context *context, cl_command_queue *queue, clmoe_error *error) {
    cl_int code = CL_SUCCESS;
    *queue = context->cl.clCreateCommandQueue(context->opencl, context->device.id, 0, &code);
    if (*queue == NULL || code != CL_SUCCESS) {
        *queue = NULL;
        return clmoe__fail_cl(error, code, "clCreateCommandQueue");
    }
    return CLMOE_OK;
}

void clmoe__queue_destroy(clmoe_context *context, cl_command_queue queue) {
    if (queue != NULL) context->cl.clReleaseCommandQueue(queue);
}
