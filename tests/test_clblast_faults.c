/* The variant clblast/gemm with a CLBlast of the test's own, through clmoe_context_desc.get_symbol: every OpenCL call
 * around its products made to fail, and every way in which CLBlast itself can be missing or fail. Needs no CLBlast. */
#include <math.h>
#include <stdio.h>

#include "fault_trial.h"

enum { H = 12, I = 8, E = 3, K = 2, T = 9, ROOM = 1 << 14 };

static cl_command_queue queues[2]; /* in order, and out of order */
static cl_mem memory;
static float up[E * 2 * I * H], down[E * H * I], bias[E * 2 * I], router[E * H], x[T * H], expected[T * H];
static int have_expected;
static int sgemm_calls, sgemm_fails_at, sgemm_code; /* the n-th call from 1 gives this code */

static clmoe_buffer place(uint64_t kilobytes) { return clmoe_cl_mem(memory, kilobytes * 1024 + 4); }

/* ------------------------------------------------------------------------------------- a CLBlast of our own */

/* Its event comes from the entry points that count, where a failure can be planned. */
static cl_int make_event(cl_command_queue queue, cl_event *event) {
    void *found = fault_symbol(NULL, "clEnqueueMarkerWithWaitList");
    __typeof__(&clEnqueueMarkerWithWaitList) mark;
    memcpy(&mark, &found, sizeof mark);
    return mark(queue, 0, NULL, event);
}

static void transfer(cl_command_queue queue, cl_mem mem, size_t offset, size_t stride, size_t rows, size_t columns,
                     float *at, int writes) {
    for (size_t r = 0; r < rows; r++) {
        const size_t from = 4 * (offset + r * stride), bytes = 4 * columns;
        const cl_int code =
            writes ? clEnqueueWriteBuffer(queue, mem, CL_TRUE, from, bytes, at + r * columns, 0, NULL, NULL)
                   : clEnqueueReadBuffer(queue, mem, CL_TRUE, from, bytes, at + r * columns, 0, NULL, NULL);
        assert_int_equal(code, CL_SUCCESS);
    }
}

static int own_sgemm(unsigned layout, unsigned transpose_a, unsigned transpose_b, size_t m, size_t n, size_t k,
                     float alpha, cl_mem a, size_t a_offset, size_t a_stride, cl_mem b, size_t b_offset,
                     size_t b_stride, float beta, cl_mem c, size_t c_offset, size_t c_stride, cl_command_queue *queue,
                     cl_event *event) {
    assert_true(layout == 101 && transpose_a == 111 && transpose_b == 111 && m > 0 && alpha == 1 && beta == 0);
    if (++sgemm_calls == sgemm_fails_at) return sgemm_code;
    float *p = malloc(4 * m * k), *q = malloc(4 * k * n), *y = calloc(m * n, 4);
    assert_true(p != NULL && q != NULL && y != NULL);
    transfer(*queue, a, a_offset, a_stride, m, k, p, 0);
    transfer(*queue, b, b_offset, b_stride, k, n, q, 0);
    for (size_t r = 0; r < m; r++)
        for (size_t i = 0; i < k; i++)
            for (size_t j = 0; j < n; j++) y[r * n + j] += p[r * k + i] * q[i * n + j];
    transfer(*queue, c, c_offset, c_stride, m, n, y, 1);
    free(p);
    free(q);
    free(y);
    return make_event(*queue, event);
}

static int cleared;
static int own_clear(void) { return cleared++, 0; }

static void *symbol(void *user, const char *name) {
    int (*const clear)(void) = own_clear;
    __typeof__(&own_sgemm) const sgemm = own_sgemm;
    void *found = NULL;
    if (strcmp(name, "CLBlastSgemm") == 0) return memcpy(&found, &sgemm, sizeof found), found;
    if (strcmp(name, "CLBlastClearCache") == 0) return memcpy(&found, &clear, sizeof found), found;
    return fault_symbol(user, name);
}

/* ------------------------------------------------------------------------------------------------ scenario */

static void make_own(void) {
    cl_context cl = fault_shared_context();
    cl_device_id device = NULL;
    cl_int code = clGetContextInfo(cl, CL_CONTEXT_DEVICES, sizeof device, &device, NULL);
    assert_int_equal(code, CL_SUCCESS);
    queues[0] = clCreateCommandQueue(cl, device, CL_QUEUE_PROFILING_ENABLE, &code);
    assert_int_equal(code, CL_SUCCESS);
    queues[1] = clCreateCommandQueue(cl, device, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &code);
    if (code != CL_SUCCESS) queues[1] = clCreateCommandQueue(cl, device, 0, &code);
    assert_int_equal(code, CL_SUCCESS);
    memory = clCreateBuffer(cl, CL_MEM_READ_WRITE, ROOM, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    assert_int_equal(clEnqueueWriteBuffer(queues[0], memory, CL_TRUE, place(1).offset, sizeof x, x, 0, NULL, NULL),
                     CL_SUCCESS);
}

static clmoe_context *open_context(void *(*get_symbol)(void *user, const char *name)) {
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.get_symbol = get_symbol;
    d.prefer = "clblast";
    clmoe_context *context = NULL;
    STEP(clmoe_context_create(&d, &context, &fault_error));
    assert_non_null(context);
    if (memory == NULL) make_own();
    return context;
}

static clmoe_weights_desc describe_weights(void) {
    clmoe_weights_desc d;
    clmoe_weights_desc_default(&d, sizeof d);
    d.hidden_size = H;
    d.num_classes = E;
    d.experts =
        (clmoe_ffn){.num_experts = E, .intermediate_size = I, .gated = 1, .gate_up = CLMOE_GATE_UP_CONCATENATED};
    d.experts.up = (clmoe_tensor){.format = CLMOE_F32, .host = up};
    d.experts.up_bias = (clmoe_tensor){.format = CLMOE_F32, .host = bias};
    d.experts.down = (clmoe_tensor){.format = CLMOE_F32, .host = down};
    d.router = (clmoe_tensor){.format = CLMOE_F32, .host = router};
    return d;
}

static clmoe_layer_desc describe_layer(void) {
    clmoe_layer_desc d;
    clmoe_layer_desc_default(&d, sizeof d);
    d.routing.num_experts = E;
    d.routing.top_k = K;
    return d;
}

static clmoe_io describe_io(uint64_t out) {
    clmoe_io io;
    clmoe_io_default(&io, sizeof io);
    io.tokens = T;
    io.x = place(1);
    io.out = place(out);
    return io;
}

static void check_out(uint64_t kilobytes) {
    float out[T * H];
    assert_int_equal(
        clEnqueueReadBuffer(queues[0], memory, CL_TRUE, place(kilobytes).offset, sizeof out, out, 0, NULL, NULL), 0);
    if (!have_expected) memcpy(expected, out, sizeof out);
    have_expected = 1;
    for (size_t i = 0; i < T * H; i++) {
        if (!(fabsf(out[i] - expected[i]) < 1e-4f)) fail_msg("out[%zu] is %g, expected %g", i, out[i], expected[i]);
    }
}

static void scenario(void) {
    const clmoe_weights_desc wd = describe_weights();
    const clmoe_layer_desc ld = describe_layer();
    clmoe_context *context = open_context(symbol);
    clmoe_weights *weights = NULL;
    clmoe_layer *layer = NULL;
    STEP(clmoe_weights_create(context, &wd, &weights, &fault_error));
    STEP(clmoe_layer_create(context, weights, &ld, &layer, &fault_error));
    assert_non_null(layer);
    for (int i = 0; i < 2; i++) {
        clmoe_workspace *workspace = NULL;
        const clmoe_io io = describe_io(2 + (uint64_t)i);
        STEP(clmoe_workspace_create(context, queues[i], NULL, &workspace, &fault_error));
        STEP(clmoe_workspace_set_profiling(workspace, 1, &fault_error));
        const int before = sgemm_calls;
        STEP(clmoe_forward(layer, workspace, queues[i], &io, 0, NULL, NULL, &fault_error));
        assert_true(sgemm_calls > before || fault_happened()); /* a build that fails refuses the variant */
        assert_int_equal(clFinish(queues[i]), CL_SUCCESS);
        check_out(2 + (uint64_t)i);
        clmoe_workspace_destroy(workspace);
    }
    const int before = cleared;
    clmoe_layer_destroy(layer);
    clmoe_weights_destroy(weights);
    clmoe_context_destroy(context);
    assert_int_equal(cleared, before + 1);
}

static void fill(float *values, size_t count, test_random *random) {
    for (size_t i = 0; i < count; i++) values[i] = (float)test_random_normal(random);
}

static void test_every_call(void **state) {
    (void)state;
    test_random random = test_random_new(61);
    fill(up, sizeof up / sizeof *up, &random);
    fill(down, sizeof down / sizeof *down, &random);
    fill(bias, sizeof bias / sizeof *bias, &random);
    fill(router, sizeof router / sizeof *router, &random);
    fill(x, sizeof x / sizeof *x, &random);
    fault_trial(scenario, 6, &random);
}

/* ------------------------------------------------------------------------------- CLBlast itself fails or lacks */

/* A context whose layer says why CLBlast was not taken. */
static void expect_refusal(void *(*get_symbol)(void *user, const char *name), const char *why) {
    const clmoe_weights_desc wd = describe_weights();
    const clmoe_layer_desc ld = describe_layer();
    char text[8192];
    fault_reset();
    clmoe_context *context = open_context(get_symbol);
    clmoe_weights *weights = NULL;
    clmoe_layer *layer = NULL;
    test_ok(clmoe_weights_create(context, &wd, &weights, &fault_error), &fault_error);
    test_ok(clmoe_layer_create(context, weights, &ld, &layer, &fault_error), &fault_error);
    test_ok(clmoe_layer_describe(layer, text, sizeof text, NULL, &fault_error), &fault_error);
    if (strstr(text, why) == NULL) fail_msg("\"%s\" is not in:\n%s", why, text);
    clmoe_layer_destroy(layer);
    clmoe_weights_destroy(weights);
    clmoe_context_destroy(context);
    assert_int_equal(fault_alive().events, 0);
}

static void test_refusals(void **state) {
    (void)state;
    expect_refusal(fault_symbol, "refused      clblast/gemm: desc.get_symbol has no CLBlast");
    sgemm_calls = 0;
    sgemm_fails_at = 1; /* the self-test's */
    sgemm_code = -2046;
    expect_refusal(symbol, "refused      clblast/gemm: does not build");
    sgemm_fails_at = 0;
}

static void expect_failure(clmoe_layer *layer, int nth, int code, clmoe_status wanted, const char *contains) {
    const clmoe_io io = describe_io(2);
    sgemm_calls = 0;
    sgemm_fails_at = nth;
    sgemm_code = code;
    test_fails(clmoe_forward(layer, NULL, queues[0], &io, 0, NULL, NULL, &fault_error), &fault_error, wanted, contains);
    assert_int_equal(fault_error.cl_code, code);
    sgemm_fails_at = 0;
}

/* In the middle of a forward; the next one is well. */
static void test_errors(void **state) {
    (void)state;
    const clmoe_weights_desc wd = describe_weights();
    const clmoe_layer_desc ld = describe_layer();
    const clmoe_io io = describe_io(3);
    fault_reset();
    clmoe_context *context = open_context(symbol);
    clmoe_weights *weights = NULL;
    clmoe_layer *layer = NULL;
    test_ok(clmoe_weights_create(context, &wd, &weights, &fault_error), &fault_error);
    test_ok(clmoe_layer_create(context, weights, &ld, &layer, &fault_error), &fault_error);
    expect_failure(layer, 1, -2039, CLMOE_OPENCL_ERROR, "columns, k 12): -2039 (CLBlastUnexpectedError)");
    expect_failure(layer, 4, -4, CLMOE_OUT_OF_DEVICE_MEMORY, "CLBlastSgemm");
    expect_failure(layer, 2, -2046, CLMOE_UNSUPPORTED, "CLBlastInvalidLocalMemUsage");
    test_ok(clmoe_forward(layer, NULL, queues[0], &io, 0, NULL, NULL, &fault_error), &fault_error);
    assert_int_equal(clFinish(queues[0]), CL_SUCCESS);
    check_out(3);
    clmoe_layer_destroy(layer);
    clmoe_weights_destroy(weights);
    clmoe_context_destroy(context);
    const fault_live alive = fault_alive();
    assert_true(alive.contexts == 0 && alive.queues == 0 && alive.mems == 0 && alive.kernels == 0 && alive.events == 0);
}

static int release_own(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++)
        if (queues[i] != NULL) (void)clReleaseCommandQueue(queues[i]);
    if (memory != NULL) (void)clReleaseMemObject(memory);
    fault_finish();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(test_every_call, fault_say_which),
                                       cmocka_unit_test(test_refusals), cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, NULL, release_own);
}
