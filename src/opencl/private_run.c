/* A run with queue and workspace of its own. Calls queue functions of the table. */
#include "private_run.h"

#include <string.h>

static void close_private(clmoe__private_run *private_run, clmoe_context *context) {
    clmoe_workspace_destroy(private_run->workspace);
    clmoe__queue_destroy(context, private_run->queue);
}

clmoe_status clmoe__private_run_begin(clmoe__private_run *private_run, clmoe_context *context, clmoe_error *error) {
    memset(private_run, 0, sizeof *private_run);
    TRY(clmoe__queue_create(context, &private_run->queue, error));
    clmoe_status status = clmoe_workspace_create(context, private_run->queue, NULL, &private_run->workspace, error);
    if (status == CLMOE_OK) {
        status =
            clmoe__run_begin(&private_run->run, context, private_run->workspace, private_run->queue, 0, NULL, error);
    }
    if (status != CLMOE_OK) close_private(private_run, context);
    return status;
}

clmoe_status clmoe__private_run_end(clmoe__private_run *private_run) {
    clmoe_context *context = private_run->run.context;
    clmoe_error *error = private_run->run.error;
    clmoe_status status = clmoe__run_end(&private_run->run, NULL);
    const cl_int code = context->cl.clFinish(private_run->queue);
    if (status == CLMOE_OK && code != CL_SUCCESS) status = clmoe__fail_cl(error, code, "clFinish");
    close_private(private_run, context);
    return status;
}
