/* Runs on queues that the context keeps. Calls queue functions of the table. */
#include "private_run.h"

#include <stdlib.h>
#include <string.h>

#include "workspace.h"

typedef struct clmoe__private_queue {
    struct clmoe__private_queue *next;
    cl_command_queue opencl;
} clmoe__private_queue;

static clmoe_status new_queue(clmoe_context *context, clmoe__private_queue **queue, clmoe_error *error) {
    clmoe__private_queue *made = calloc(1, sizeof *made);
    if (made == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a queue");
    const clmoe_status status = clmoe__queue_create(context, &made->opencl, error);
    if (status != CLMOE_OK) {
        free(made);
        return status;
    }
    *queue = made;
    return CLMOE_OK;
}

/* One that nobody uses, or a new one. */
static clmoe_status take_queue(clmoe_context *context, clmoe__private_queue **queue, clmoe_error *error) {
    clmoe__mutex_lock(context->mutex);
    *queue = context->private_queues;
    if (*queue != NULL) context->private_queues = (*queue)->next;
    clmoe__mutex_unlock(context->mutex);
    return *queue != NULL ? CLMOE_OK : new_queue(context, queue, error);
}

static void give_back(clmoe_context *context, clmoe__private_queue *queue) {
    clmoe__mutex_lock(context->mutex);
    queue->next = context->private_queues;
    context->private_queues = queue;
    clmoe__mutex_unlock(context->mutex);
}

clmoe_status clmoe__private_run_begin(clmoe__private_run *private_run, clmoe_context *context, clmoe_error *error) {
    memset(private_run, 0, sizeof *private_run);
    TRY(take_queue(context, &private_run->queue, error));
    const clmoe_status status =
        clmoe__run_begin(&private_run->run, context, NULL, private_run->queue->opencl, 0, NULL, error);
    if (status != CLMOE_OK) give_back(context, private_run->queue);
    return status;
}

static void launched(void *user, uint64_t kernel) { clmoe__program_launched(user, kernel); }

clmoe_status clmoe__private_run_end(clmoe__private_run *private_run) {
    clmoe__run *run = &private_run->run;
    clmoe_context *context = run->context;
    clmoe__run_wait(run);
    clmoe__workspace_drop_kernels(run->workspace, run->status == CLMOE_OK ? launched : NULL, context);
    const clmoe_status status = clmoe__run_end(run, NULL);
    give_back(context, private_run->queue);
    if (status == CLMOE_OK) clmoe__programs_save(context);
    return status;
}

void clmoe__private_queues_destroy(clmoe_context *context) {
    while (context->private_queues != NULL) {
        clmoe__private_queue *queue = context->private_queues;
        context->private_queues = queue->next;
        clmoe__queue_destroy(context, queue->opencl);
        free(queue);
    }
}
