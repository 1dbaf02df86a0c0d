/* Replacing a stage without touching the library: a select kernel of the user's own between logits and the experts.
 *
 * The rule here is hash routing: a token's experts come from a table by token id, their weights from the router's
 * logits (sigmoid, normalised). Everything is enqueued on one in-order queue; nothing comes back to the host in
 * between. The program checks itself: it repeats the choice on the host and compares one token with clmoe_forward given
 * those routes. */
#include <clmoe/clmoe.h>
#include <clmoe/clmoe_stages.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { H = 96, I = 64, E = 16, K = 2, T = 33, VOCABULARY = 100 };

static const char *const select_source =
    "__kernel void hash_select(__global const int *token_id, __global const int *table, __global const float *logits,\n"
    "                          __global int *index, __global float *weight, int classes, int top_k) {\n"
    "    const int t = get_global_id(0);\n"
    "    float sum = 0.0f;\n"
    "    for (int k = 0; k < top_k; k++) {\n"
    "        const int expert = table[token_id[t] * top_k + k];\n"
    "        const float p = 1.0f / (1.0f + exp(-logits[t * classes + expert]));\n"
    "        index[t * top_k + k] = expert;\n"
    "        weight[t * top_k + k] = p;\n"
    "        sum += p;\n"
    "    }\n"
    "    for (int k = 0; k < top_k; k++) weight[t * top_k + k] /= sum;\n"
    "}\n";

static clmoe_error error;

static void need(int ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "%s failed: %s\n", what, error.message);
    exit(1);
}

static float *random_values(size_t count) {
    float *values = malloc(count * sizeof *values);
    need(values != NULL, "malloc");
    for (size_t i = 0; i < count; i++) values[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    return values;
}

static cl_mem device_buffer(cl_context cl, size_t bytes, void *from) {
    cl_int code;
    cl_mem mem = clCreateBuffer(cl, from != NULL ? CL_MEM_COPY_HOST_PTR : 0, bytes, from, &code);
    need(code == CL_SUCCESS, "clCreateBuffer");
    return mem;
}

static clmoe_tensor host_tensor(const float *values) {
    clmoe_tensor tensor = {0};
    tensor.format = CLMOE_F32;
    tensor.host = values;
    return tensor;
}

/* The user's kernel, ready to run on these buffers. */
static cl_kernel make_select(cl_context cl, cl_device_id device, cl_mem *buffers) {
    cl_int code, classes = E, top_k = K;
    const char *source = select_source;
    cl_program program = clCreateProgramWithSource(cl, 1, &source, NULL, &code);
    need(code == CL_SUCCESS && clBuildProgram(program, 1, &device, "", NULL, NULL) == CL_SUCCESS, "clBuildProgram");
    cl_kernel kernel = clCreateKernel(program, "hash_select", &code);
    for (cl_uint i = 0; i < 5; i++) code |= clSetKernelArg(kernel, i, sizeof(cl_mem), &buffers[i]);
    code |= clSetKernelArg(kernel, 5, sizeof classes, &classes) | clSetKernelArg(kernel, 6, sizeof top_k, &top_k);
    need(code == CL_SUCCESS, "clSetKernelArg");
    clReleaseProgram(program);
    return kernel;
}

int main(void) {
    clmoe_context *context;
    cl_context cl;
    cl_device_id device;
    cl_int code;
    need(clmoe_context_create(NULL, &context, &error) == CLMOE_OK, "clmoe_context_create");
    clmoe_context_opencl(context, &cl, &device, NULL);
    cl_command_queue queue = clCreateCommandQueue(cl, device, 0, &code);

    float *router = random_values(E * H), *gate = random_values(E * I * H), *up = random_values(E * I * H);
    float *down = random_values(E * H * I), *x = random_values(T * H);
    int token_id[T], table[VOCABULARY * K];
    for (int t = 0; t < T; t++) token_id[t] = rand() % VOCABULARY;
    for (int v = 0; v < VOCABULARY; v++) table[v * K] = v % E, table[v * K + 1] = (v + 5) % E;

    /* The layer has no router of its own: the logits stage is a separate object. */
    clmoe_logits_desc logits_desc;
    clmoe_logits *logits;
    clmoe_logits_desc_default(&logits_desc, sizeof logits_desc);
    logits_desc.hidden_size = H;
    logits_desc.num_classes = E;
    logits_desc.router = host_tensor(router);
    need(clmoe_logits_create(context, &logits_desc, &logits, &error) == CLMOE_OK, "clmoe_logits_create");
    clmoe_weights_desc weights_desc;
    clmoe_weights *weights;
    clmoe_weights_desc_default(&weights_desc, sizeof weights_desc);
    weights_desc.hidden_size = H;
    weights_desc.experts.num_experts = E;
    weights_desc.experts.intermediate_size = I;
    weights_desc.experts.gate = host_tensor(gate);
    weights_desc.experts.up = host_tensor(up);
    weights_desc.experts.down = host_tensor(down);
    need(clmoe_weights_create(context, &weights_desc, &weights, &error) == CLMOE_OK, "clmoe_weights_create");
    clmoe_layer_desc layer_desc;
    clmoe_layer *layer;
    clmoe_layer_desc_default(&layer_desc, sizeof layer_desc);
    layer_desc.routing.num_experts = E;
    layer_desc.routing.top_k = K;
    need(clmoe_layer_create(context, weights, &layer_desc, &layer, &error) == CLMOE_OK, "clmoe_layer_create");

    cl_mem x_mem = device_buffer(cl, sizeof(float) * T * H, x),
           out_mem = device_buffer(cl, sizeof(float) * T * H, NULL);
    cl_mem select_buffers[5] = {device_buffer(cl, sizeof token_id, token_id), device_buffer(cl, sizeof table, table),
                                device_buffer(cl, sizeof(float) * T * E, NULL),
                                device_buffer(cl, sizeof(int) * T * K, NULL),
                                device_buffer(cl, sizeof(float) * T * K, NULL)};
    cl_kernel select = make_select(cl, device, select_buffers);

    clmoe_logits_io logits_io;
    clmoe_logits_io_default(&logits_io, sizeof logits_io);
    logits_io.tokens = T;
    logits_io.x = clmoe_cl_mem(x_mem, 0);
    logits_io.logits = clmoe_cl_mem(select_buffers[2], 0);
    need(clmoe_logits_enqueue(logits, NULL, queue, &logits_io, 0, NULL, NULL, &error) == CLMOE_OK,
         "clmoe_logits_enqueue");
    const size_t tokens = T;
    need(clEnqueueNDRangeKernel(queue, select, 1, NULL, &tokens, NULL, 0, NULL, NULL) == CL_SUCCESS, "hash_select");
    clmoe_io io;
    clmoe_io_default(&io, sizeof io);
    io.tokens = T;
    io.x = clmoe_cl_mem(x_mem, 0);
    io.out = clmoe_cl_mem(out_mem, 0);
    io.index = clmoe_cl_mem(select_buffers[3], 0);
    io.weight = clmoe_cl_mem(select_buffers[4], 0);
    need(clmoe_forward(layer, NULL, queue, &io, 0, NULL, NULL, &error) == CLMOE_OK, "clmoe_forward");

    float out[T * H];
    need(clEnqueueReadBuffer(queue, out_mem, CL_TRUE, 0, sizeof out, out, 0, NULL, NULL) == CL_SUCCESS,
         "clEnqueueReadBuffer");

    /* The last token again, on the host. */
    const int t = T - 1;
    double worst = 0, largest = 0, p[K], sum = 0, wanted[H] = {0};
    for (int k = 0; k < K; k++) {
        double l = 0;
        for (int h = 0; h < H; h++) l += (double)x[t * H + h] * router[table[token_id[t] * K + k] * H + h];
        sum += p[k] = 1 / (1 + exp(-l));
    }
    for (int k = 0; k < K; k++) {
        const int e = table[token_id[t] * K + k];
        for (int i = 0; i < I; i++) {
            double g = 0, u = 0;
            for (int h = 0; h < H; h++) {
                g += (double)x[t * H + h] * gate[(e * I + i) * H + h];
                u += (double)x[t * H + h] * up[(e * I + i) * H + h];
            }
            for (int h = 0; h < H; h++) wanted[h] += p[k] / sum * g / (1 + exp(-g)) * u * down[(e * H + h) * I + i];
        }
    }
    for (int h = 0; h < H; h++) {
        worst = fmax(worst, fabs(wanted[h] - (double)out[t * H + h]));
        largest = fmax(largest, fabs(wanted[h]));
    }
    printf("hash routing through a kernel of our own: largest error %.1e of %.1e\n", worst, largest);

    for (int i = 0; i < 5; i++) clReleaseMemObject(select_buffers[i]);
    clReleaseMemObject(x_mem);
    clReleaseMemObject(out_mem);
    clReleaseKernel(select);
    clReleaseCommandQueue(queue);
    clmoe_layer_destroy(layer);
    clmoe_weights_destroy(weights);
    clmoe_logits_destroy(logits);
    clmoe_context_destroy(context);
    free(router), free(gate), free(up), free(down), free(x);
    return worst <= 1e-5 * largest ? 0 : 1;
}
