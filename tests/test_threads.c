/* Threads: sharing a context to create layers and to run them on queues of their own; one layer and one workspace's
 * worth of calls from many threads at once. Results are compared bit for bit with those of a single thread. Assertions
 * stay in the main thread: a thread only reports. */
#include <pthread.h>

#include "layer_case.h"

enum { THREADS = 4, ROUNDS = 6, T = 17, H = 24 };

typedef struct worker {
    pthread_t thread;
    test_device *device;
    clmoe_layer *layer; /* shared, or NULL: make an own one */
    clmoe_workspace *workspace;
    cl_command_queue queue; /* shared, or NULL: an own one */
    const clmoe_weights_desc *weights;
    const clmoe_layer_desc *desc;
    const float *x, *expected;
    int host;         /* 1: forward_host */
    const char *what; /* what went wrong */
    clmoe_error error;
} worker;

static int forward_once(worker *w, clmoe_layer *layer, cl_command_queue queue) {
    float out[T * H];
    if (w->host) {
        if (clmoe_forward_host(layer, w->x, T, out, &w->error) != CLMOE_OK) return 0;
        return memcmp(out, w->expected, sizeof out) == 0;
    }
    cl_int code = 0;
    clmoe_io io;
    clmoe_io_default(&io, sizeof io);
    cl_mem x = clCreateBuffer(w->device->cl, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, sizeof out,
                              (void *)(uintptr_t)w->x, &code);
    if (code != CL_SUCCESS) return 0;
    cl_mem y = clCreateBuffer(w->device->cl, CL_MEM_WRITE_ONLY, sizeof out, NULL, &code);
    if (code != CL_SUCCESS) return 0;
    io.tokens = T;
    io.x = clmoe_cl_mem(x, 0);
    io.out = clmoe_cl_mem(y, 0);
    cl_event done = NULL;
    int good = clmoe_forward(layer, w->workspace, queue, &io, 0, NULL, &done, &w->error) == CLMOE_OK;
    good = good && clEnqueueReadBuffer(queue, y, CL_TRUE, 0, sizeof out, out, 1, &done, NULL) == CL_SUCCESS;
    good = good && memcmp(out, w->expected, sizeof out) == 0;
    if (done != NULL) (void)clReleaseEvent(done);
    (void)clReleaseMemObject(x);
    (void)clReleaseMemObject(y);
    return good;
}

static void *work(void *argument) {
    worker *w = argument;
    cl_int code = CL_SUCCESS;
    cl_command_queue queue = w->queue;
    if (queue == NULL) queue = clCreateCommandQueue(w->device->cl, w->device->id, 0, &code);
    if (code != CL_SUCCESS) w->what = "no queue";
    for (int round = 0; round < ROUNDS && w->what == NULL; round++) {
        clmoe_weights *weights = NULL;
        clmoe_layer *layer = w->layer;
        if (w->layer == NULL) {
            if (clmoe_weights_create(w->device->context, w->weights, &weights, &w->error) != CLMOE_OK ||
                clmoe_layer_create(w->device->context, weights, w->desc, &layer, &w->error) != CLMOE_OK) {
                w->what = "no layer";
            }
        }
        if (w->what == NULL && !forward_once(w, layer, queue)) w->what = "forward";
        if (w->layer == NULL) clmoe_layer_destroy(layer);
        clmoe_weights_destroy(weights);
    }
    if (w->queue == NULL && queue != NULL) (void)clReleaseCommandQueue(queue);
    return NULL;
}

static test_device device;
static layer_case *c;
static clmoe_weights_desc weights_desc;
static float *x;
static case_result expected;

static void run(const worker *common) {
    worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = *common;
        workers[i].device = &device;
        workers[i].weights = &weights_desc;
        workers[i].desc = &c->options.layer;
        workers[i].x = x;
        workers[i].expected = expected.out;
        workers[i].error.struct_size = sizeof workers[i].error;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        if (workers[i].what != NULL) fail_msg("thread %d: %s: %s", i, workers[i].what, workers[i].error.message);
    }
}

static void test_own_layers(void **state) {
    (void)state;
    run(&(worker){.layer = NULL});
}

static void test_one_layer_many_queues(void **state) {
    (void)state;
    run(&(worker){.layer = c->layer});
}

static void test_one_queue(void **state) {
    (void)state;
    run(&(worker){.layer = c->layer, .queue = device.queue});
}

static void test_one_workspace(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_workspace *workspace = NULL;
    OK(clmoe_workspace_create(device.context, device.queue, NULL, &workspace, &error));
    run(&(worker){.layer = c->layer, .queue = device.queue, .workspace = workspace});
    clmoe_workspace_destroy(workspace);
}

static void test_forward_host(void **state) {
    (void)state;
    run(&(worker){.layer = c->layer, .host = 1});
}

/* Two queues kept busy with one layer from one thread. */
static void test_two_queues(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    cl_int code = 0;
    cl_command_queue queues[2] = {device.queue, clCreateCommandQueue(device.cl, device.id, 0, &code)};
    assert_int_equal(code, CL_SUCCESS);
    enum { RUNS = 20 };
    case_buffers b[RUNS];
    for (int i = 0; i < RUNS; i++) b[i] = case_buffers_new(c, x, T);
    for (int i = 0; i < RUNS; i++) OK(clmoe_forward(c->layer, NULL, queues[i % 2], &b[i].io, 0, NULL, NULL, &error));
    assert_int_equal(clFinish(queues[1]), CL_SUCCESS);
    for (int i = 0; i < RUNS; i++) {
        case_result r = case_buffers_take(c, &b[i]);
        case_same(c, "two queues", &r, &expected, T);
        case_result_free(&r);
    }
    assert_int_equal(clReleaseCommandQueue(queues[1]), CL_SUCCESS);
}

static int setup(void **state) {
    (void)state;
    device = test_open(NULL);
    case_options o = case_default(H, 20, 6, 2);
    o.shared_intermediate = 10;
    c = case_describe(&device, &o, &weights_desc);
    clmoe_error error = {.struct_size = sizeof error};
    OK(clmoe_weights_create(device.context, &weights_desc, &c->weights, &error));
    OK(clmoe_layer_create(device.context, c->weights, &o.layer, &c->layer, &error));
    test_random random = test_random_new(61);
    x = case_input(c, T, &random);
    expected = case_forward(c, NULL, x, T);
    case_check(c, x, T, &expected);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    case_result_free(&expected);
    free(x);
    case_free(c);
    test_close(&device);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_layers),   cmocka_unit_test(test_one_layer_many_queues),
        cmocka_unit_test(test_one_queue),    cmocka_unit_test(test_one_workspace),
        cmocka_unit_test(test_forward_host), cmocka_unit_test(test_two_queues),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
