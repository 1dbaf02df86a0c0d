/* Recordings of a forward: what clmoe_forward would enqueue, put into a command buffer. Calls src/opencl's recordings,
 * no OpenCL function itself. */
#include <stdlib.h>

#include "layer.h"
#include "opencl/recording.h"

struct clmoe_recording {
    clmoe_layer *layer; /* retained: weights, kernels and the context */
    clmoe__recording opencl;
};

/* The caller may release his handles; the commands go on naming the buffers. */
static clmoe_status keep_io(clmoe_recording *r, const clmoe_io *io, clmoe_error *error) {
    const clmoe_buffer buffers[] = {io->x,      io->out,   io->token_count, io->router_input, io->logits,
                                    io->index,  io->weight, io->out_index,  io->out_weight,   io->out_load};
    return clmoe__recording_keep(&r->opencl, buffers, sizeof buffers / sizeof *buffers, error);
}

static clmoe_status record(clmoe_recording *r, const clmoe_workspace_desc *memory, cl_command_queue queue,
                           const clmoe_io *io, clmoe_error *error) {
    clmoe__run run;
    TRY(clmoe__recording_begin(&r->opencl, r->layer->context, queue, memory, &run, error));
    const clmoe_status status = keep_io(r, io, error);
    if (status != CLMOE_OK) clmoe__run_fail(&run, status);
    clmoe__forward_launch(&run, r->layer, io);
    return clmoe__recording_end(&r->opencl, &run);
}

clmoe_status clmoe_record(clmoe_layer *layer, const clmoe_workspace_desc *memory, cl_command_queue queue,
                          const clmoe_io *io, clmoe_recording **recording, clmoe_error *error) {
    REQUIRE(recording != NULL, error, "recording", "recording is NULL");
    *recording = NULL;
    REQUIRE(layer != NULL, error, "layer", "layer is NULL");
    clmoe_io taken;
    clmoe_io_default(&taken, sizeof taken);
    TRY(clmoe__take(&taken, sizeof taken, io, "io", error));
    TRY(clmoe__forward_check(layer, &taken, error));
    clmoe_recording *made = calloc(1, sizeof *made);
    if (made == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a recording");
    made->layer = layer;
    clmoe__layer_retain(layer);
    const clmoe_status status = record(made, memory, queue, &taken, error);
    if (status != CLMOE_OK) {
        clmoe_recording_destroy(made);
        return status;
    }
    *recording = made;
    return CLMOE_OK;
}

clmoe_status clmoe_replay(clmoe_recording *recording, cl_uint n_wait, const cl_event *wait, cl_event *done,
                          clmoe_error *error) {
    REQUIRE(recording != NULL, error, "recording", "recording is NULL");
    return clmoe__recording_replay(&recording->opencl, n_wait, wait, done, error);
}

void clmoe_recording_destroy(clmoe_recording *recording) {
    if (recording == NULL) return;
    clmoe__recording_close(&recording->opencl);
    clmoe_layer_destroy(recording->layer);
    free(recording);
}
