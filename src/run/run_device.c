/* The device and the forward pass on it. Calls the library and OpenCL. */
#include <stdlib.h>

#include "run.h"

int run_device_open(const char *name, run_device *device) {
    *device = (run_device){0};
    clmoe_context_desc desc;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_context_desc_default(&desc, sizeof desc);
    desc.device = name;
    if (clmoe_context_create(&desc, &device->context, &error) != CLMOE_OK) return run_failed(NULL, &error);
    clmoe_context_opencl(device->context, &device->cl, &device->id, NULL);
    if (clGetDeviceInfo(device->id, CL_DEVICE_NAME, sizeof device->name, device->name, NULL) != CL_SUCCESS)
        device->name[0] = '\0';
    device->name[sizeof device->name - 1] = '\0';
    cl_int code;
    device->queue = clCreateCommandQueue(device->cl, device->id, 0, &code);
    return code == CL_SUCCESS ? 0 : complain_cl("clCreateCommandQueue", code);
}

void run_device_close(run_device *device) {
    if (device->queue != NULL) clReleaseCommandQueue(device->queue);
    clmoe_context_destroy(device->context);
    *device = (run_device){0};
}

/* One array of a forward, on host and device. bytes may be 0. */
typedef struct array {
    const void *from; /* copied to the device first; NULL: nothing */
    void *to;         /* gets the result; NULL: nothing */
    size_t bytes;
    cl_mem mem;
} array;

enum { X, ROUTER, OUT, INDEX, WEIGHT, LOAD, ARRAYS };

static cl_int upload(const run_device *device, array arrays[ARRAYS]) {
    cl_int code = CL_SUCCESS;
    for (int i = 0; i < ARRAYS && code == CL_SUCCESS; i++) {
        array *a = &arrays[i];
        a->mem = clCreateBuffer(device->cl, CL_MEM_READ_WRITE, a->bytes != 0 ? a->bytes : 1, NULL, &code);
        if (code == CL_SUCCESS && a->from != NULL && a->bytes != 0)
            code = clEnqueueWriteBuffer(device->queue, a->mem, CL_TRUE, 0, a->bytes, a->from, 0, NULL, NULL);
    }
    return code;
}

static cl_int download(const run_device *device, const array arrays[ARRAYS]) {
    cl_int code = CL_SUCCESS;
    for (int i = 0; i < ARRAYS && code == CL_SUCCESS; i++) {
        const array *a = &arrays[i];
        if (a->to != NULL && a->bytes != 0)
            code = clEnqueueReadBuffer(device->queue, a->mem, CL_TRUE, 0, a->bytes, a->to, 0, NULL, NULL);
    }
    return code;
}

static int forward(const run_device *device, clmoe_layer *layer, uint32_t tokens, const array arrays[ARRAYS]) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_io io;
    clmoe_io_default(&io, sizeof io);
    io.tokens = tokens;
    io.x = clmoe_cl_mem(arrays[X].mem, 0);
    if (arrays[ROUTER].from != NULL) io.router_input = clmoe_cl_mem(arrays[ROUTER].mem, 0);
    io.out = clmoe_cl_mem(arrays[OUT].mem, 0);
    io.out_index = clmoe_cl_mem(arrays[INDEX].mem, 0);
    io.out_weight = clmoe_cl_mem(arrays[WEIGHT].mem, 0);
    io.out_load = clmoe_cl_mem(arrays[LOAD].mem, 0);
    if (clmoe_forward(layer, NULL, device->queue, &io, 0, NULL, NULL, &error) != CLMOE_OK)
        return run_failed(NULL, &error);
    const cl_int code = clFinish(device->queue);
    return code == CL_SUCCESS ? 0 : complain_cl("clFinish", code);
}

/* Host memory for the results; with zero tokens some of it is empty. */
static int allocate(const clmoe_model_layer *info, uint32_t tokens, run_result *result) {
    const size_t rows = tokens != 0 ? tokens : 1;
    result->tokens = tokens;
    result->slots = clmoe_routing_slots(&info->desc.routing);
    result->classes = clmoe_routing_classes(&info->desc.routing);
    result->out = calloc(rows, (size_t)info->hidden_size * 4);
    result->index = calloc(rows, (size_t)result->slots * 4);
    result->weight = calloc(rows, (size_t)result->slots * 4);
    result->load = calloc(result->classes, 4);
    if (result->out != NULL && result->index != NULL && result->weight != NULL && result->load != NULL) return 0;
    return complain("out of host memory for the results of %u tokens", tokens);
}

int run_forward(const run_device *device, clmoe_layer *layer, const clmoe_model_layer *info, const run_input *input,
                run_result *result, double seconds[PARTS]) {
    const uint32_t tokens = (uint32_t)input->tokens; /* run_input_fits has seen it */
    const clmoe__file_tensor *router = input->router_input;
    if (allocate(info, tokens, result) != 0) return 1;
    array arrays[ARRAYS] = {
        [X] = {.from = input->x->data, .bytes = (size_t)input->x->bytes},
        [ROUTER] = {.from = router != NULL ? router->data : NULL, .bytes = router != NULL ? (size_t)router->bytes : 0},
        [OUT] = {.to = result->out, .bytes = (size_t)tokens * info->hidden_size * 4},
        [INDEX] = {.to = result->index, .bytes = (size_t)tokens * result->slots * 4},
        [WEIGHT] = {.to = result->weight, .bytes = (size_t)tokens * result->slots * 4},
        [LOAD] = {.to = result->load, .bytes = (size_t)result->classes * 4},
    };
    const double begin = now_seconds();
    cl_int code = upload(device, arrays);
    int status = code == CL_SUCCESS ? 0 : complain_cl("copying the tokens to the device", code);
    const double started = now_seconds();
    if (status == 0) status = forward(device, layer, tokens, arrays);
    const double done = now_seconds();
    if (status == 0 && (code = download(device, arrays)) != CL_SUCCESS)
        status = complain_cl("copying the results from the device", code);
    seconds[PART_FORWARD] += done - started;
    seconds[PART_COPY] += started - begin + now_seconds() - done;
    for (int i = 0; i < ARRAYS; i++) {
        if (arrays[i].mem != NULL) clReleaseMemObject(arrays[i].mem);
    }
    return status;
}
