/* Every field of clmoe_io, the ways to start and wait for a forward, and workspaces. */
#include <math.h>

#include "layer_case.h"

static test_device device;
static layer_case *c; /* f32, with shared experts and a zero expert, or a latent space in its place */
static float *x;      /* [T, H] */
static case_result whole;
enum { T = 23, H = 36, K = 3, CLASSES = 8 };

static clmoe_error error = {.struct_size = sizeof error};

static void forward(const case_buffers *b) {
    OK(clmoe_forward(c->layer, NULL, device.queue, &b->io, 0, NULL, NULL, &error));
}

/* --------------------------------------------------------------------------------------------- io fields */

static void test_token_count(void **state) {
    (void)state;
    static const int32_t counts[] = {-3, 0, 1, 9, T, T + 9};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const size_t valid = counts[i] < 0 ? 0 : counts[i] > T ? T : (size_t)counts[i];
        case_buffers b = case_buffers_new(c, x, T);
        test_buffer count = test_buffer_new(&device, 4, &counts[i]);
        b.io.token_count = count.at;
        forward(&b);
        case_result r = case_buffers_take(c, &b);
        case_same_bits("valid rows", r.out, whole.out, valid * H * 4);
        case_same_bits("valid routes", r.index, whole.index, valid * K * 4);
        int64_t routes = 0;
        for (int e = 0; e < CLASSES; e++) routes += r.load[e];
        assert_int_equal(routes, valid * K);
        for (size_t n = valid * H * 4; n < T * H * 4; n++) {
            if (((uint8_t *)r.out)[n] != 0xCD)
                fail_msg("count %d: byte %zu behind the valid rows was written", counts[i], n);
        }
        for (size_t n = valid * K * 4; n < T * K * 4; n++) assert_int_equal(((uint8_t *)r.index)[n], 0xCD);
        test_buffer_free(&device, &count);
        case_result_free(&r);
    }
}

static void test_accumulate(void **state) {
    (void)state;
    float before[T * H];
    test_random random = test_random_new(31);
    for (int i = 0; i < T * H; i++) before[i] = (float)test_random_normal(&random);
    case_buffers b = case_buffers_new(c, x, T);
    test_buffer out = test_buffer_new(&device, sizeof before, before);
    b.io.out = out.at;
    b.io.accumulate = 1;
    forward(&b);
    float got[T * H];
    test_buffer_read(&device, &out, got);
    case_check_output(c, x, T, whole.index, whole.weight, before, got);
    test_buffer_free(&device, &out);
    case_result r = case_buffers_take(c, &b);
    case_result_free(&r);
}

static void test_strides(void **state) {
    (void)state;
    enum { X = H + 3, OUT = H + 5 };
    static float wide[(T - 1) * X + H], got[(T - 1) * OUT + H];
    for (int i = 0; i < (T - 1) * X + H; i++) wide[i] = NAN;
    for (int t = 0; t < T; t++) memcpy(wide + t * X, x + t * H, H * sizeof *x);
    case_buffers b = case_buffers_new(c, x, T);
    test_buffer in = test_buffer_new(&device, sizeof wide, wide), out = test_buffer_new(&device, sizeof got, NULL);
    b.io.x = in.at;
    b.io.x_stride = X;
    b.io.out = out.at;
    b.io.out_stride = OUT;
    forward(&b);
    test_buffer_read(&device, &out, got);
    for (int t = 0; t < T; t++) {
        case_same_bits("a row of strided out", got + t * OUT, (float *)whole.out + t * H, H * sizeof *x);
        for (int j = H; j < OUT && t < T - 1; j++) {
            const uint8_t *gap = (const uint8_t *)&got[t * OUT + j];
            assert_true(gap[0] == 0xCD && gap[1] == 0xCD && gap[2] == 0xCD && gap[3] == 0xCD);
        }
    }
    test_buffer_free(&device, &in);
    test_buffer_free(&device, &out);
    case_result r = case_buffers_take(c, &b);
    case_result_free(&r);
}

static void test_router_input(void **state) {
    (void)state;
    enum { STRIDE = H + 1 };
    test_random random = test_random_new(32);
    float *other = case_input(c, T, &random);
    static float wide[(T - 1) * STRIDE + H];
    for (int t = 0; t < T; t++) memcpy(wide + t * STRIDE, other + t * H, H * sizeof *other);
    case_result routed = case_forward(c, NULL, other, T);
    case_buffers b = case_buffers_new(c, x, T);
    test_buffer in = test_buffer_new(&device, sizeof wide, wide);
    b.io.router_input = in.at;
    b.io.router_input_stride = STRIDE;
    forward(&b);
    case_result r = case_buffers_take(c, &b);
    case_same_bits("routes of router_input", r.index, routed.index, T * K * 4);
    case_same_bits("weights of router_input", r.weight, routed.weight, T * K * 4);
    case_check(c, x, T, &r);
    test_buffer_free(&device, &in);
    case_result_free(&r);
    case_result_free(&routed);
    free(other);
}

/* The caller's logits in a layer without a router: the routes are those of a select stage on the same logits. */
static void test_logits(void **state) {
    (void)state;
    test_random random = test_random_new(33);
    case_options o = c->options;
    o.with |= CASE_NO_ROUTER;
    layer_case *bare = case_new(&device, &o);
    float logits[T * CLASSES];
    for (int i = 0; i < T * CLASSES; i++) logits[i] = (float)test_random_normal(&random);
    test_buffer given = test_buffer_new(&device, sizeof logits, logits);
    case_buffers b = case_buffers_new(bare, x, T);
    FAILS(clmoe_forward(bare->layer, NULL, device.queue, &b.io, 0, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT,
          "logits");
    b.io.logits = given.at;
    OK(clmoe_forward(bare->layer, NULL, device.queue, &b.io, 0, NULL, NULL, &error));
    case_result r = case_buffers_take(bare, &b);
    case_check(bare, x, T, &r);
    for (int t = 0; t < T; t++) {
        const float *row = logits + t * CLASSES;
        int best = 0;
        for (int e = 1; e < CLASSES; e++) best = row[e] > row[best] ? e : best;
        assert_int_equal(r.index[t * K], best);
    }
    test_buffer_free(&device, &given);
    case_result_free(&r);
    case_free(bare);
}

static void test_given_routes(void **state) {
    (void)state;
    test_random random = test_random_new(34);
    static const int32_t odd[] = {-1, CLASSES, CLASSES + 1, INT32_MAX, INT32_MIN, -2};
    int32_t index[T * K], load[CLASSES] = {0};
    float weight[T * K];
    for (int i = 0; i < T * K; i++) {
        index[i] = test_random_below(&random, 3) == 0 ? odd[test_random_below(&random, 6)]
                                                      : (int32_t)(((unsigned)i / K + (unsigned)i % K * 3) % CLASSES);
        weight[i] = index[i] >= 0 && index[i] < CLASSES ? (float)test_random_normal(&random) : (float)NAN;
        if (index[i] >= 0 && index[i] < CLASSES) load[index[i]]++;
    }
    case_buffers b = case_buffers_new(c, x, T);
    test_buffer ib = test_buffer_new(&device, sizeof index, index),
                wb = test_buffer_new(&device, sizeof weight, weight);
    b.io.index = ib.at;
    b.io.weight = wb.at;
    b.io.out_index = b.io.out_weight = (clmoe_buffer){0};
    forward(&b);
    case_result r = case_buffers_take(c, &b);
    case_check_output(c, x, T, index, weight, NULL, r.out);
    assert_memory_equal(r.load, load, sizeof load);
    int32_t index_after[T * K];
    test_buffer_read(&device, &ib, index_after);
    assert_memory_equal(index_after, index, sizeof index);
    test_buffer_free(&device, &ib);
    test_buffer_free(&device, &wb);
    case_result_free(&r);
}

/* Each optional output alone, and none. */
static void test_outputs_alone(void **state) {
    (void)state;
    for (int only = 0; only < 4; only++) {
        case_buffers b = case_buffers_new(c, x, T);
        const clmoe_buffer none = {0};
        if (only != 1) b.io.out_index = none;
        if (only != 2) b.io.out_weight = none;
        if (only != 3) b.io.out_load = none;
        forward(&b);
        case_result r = case_buffers_take(c, &b);
        case_same_bits("out", r.out, whole.out, T * H * 4);
        if (only == 1) case_same_bits("index alone", r.index, whole.index, T * K * 4);
        if (only == 2) case_same_bits("weight alone", r.weight, whole.weight, T * K * 4);
        if (only == 3) case_same_bits("load alone", r.load, whole.load, CLASSES * 4);
        case_result_free(&r);
    }
}

/* ----------------------------------------------------------------------------------- queues and workspaces */

static cl_int event_status(cl_event event) {
    cl_int status = CL_COMPLETE;
    assert_int_equal(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL),
                     CL_SUCCESS);
    return status;
}

/* A forward starts after the caller's events and says when it is done, also without tokens. */
static void waits_and_reports(cl_command_queue queue, uint32_t tokens) {
    cl_int code = 0;
    cl_event gate = clCreateUserEvent(device.cl, &code), done = NULL;
    assert_int_equal(code, CL_SUCCESS);
    case_buffers b = case_buffers_new(c, x, tokens);
    OK(clmoe_forward(c->layer, NULL, queue, &b.io, 1, &gate, &done, &error));
    assert_non_null(done);
    assert_int_not_equal(event_status(done), CL_COMPLETE);
    assert_int_equal(clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
    assert_int_equal(clWaitForEvents(1, &done), CL_SUCCESS);
    assert_int_equal(event_status(done), CL_COMPLETE);
    assert_int_equal(clReleaseEvent(done), CL_SUCCESS);
    assert_int_equal(clReleaseEvent(gate), CL_SUCCESS);
    case_result r = case_buffers_take(c, &b);
    case_same_bits("out behind a wait list", r.out, whole.out, (size_t)tokens * H * 4);
    if (tokens == 0) {
        for (int e = 0; e < CLASSES; e++) assert_int_equal(r.load[e], 0);
    }
    case_result_free(&r);
}

static void test_events(void **state) {
    (void)state;
    waits_and_reports(device.queue, T);
    waits_and_reports(device.queue, 0);
}

static void test_out_of_order(void **state) {
    (void)state;
    cl_int code = 0;
    cl_command_queue queue = clCreateCommandQueue(device.cl, device.id, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &code);
    if (code == CL_INVALID_QUEUE_PROPERTIES) skip();
    assert_int_equal(code, CL_SUCCESS);
    waits_and_reports(queue, T);
    waits_and_reports(queue, 0);
    case_buffers b[4]; /* one after the other without waiting, on one arena */
    for (int i = 0; i < 4; i++) {
        b[i] = case_buffers_new(c, x, T);
        OK(clmoe_forward(c->layer, NULL, queue, &b[i].io, 0, NULL, NULL, &error));
    }
    assert_int_equal(clFinish(queue), CL_SUCCESS);
    for (int i = 0; i < 4; i++) {
        case_result r = case_buffers_take(c, &b[i]);
        case_same(c, "an out-of-order queue", &r, &whole, T);
        case_result_free(&r);
    }
    assert_int_equal(clReleaseCommandQueue(queue), CL_SUCCESS);
}

static void test_forward_host(void **state) {
    (void)state;
    float y[T * H];
    OK(clmoe_forward_host(c->layer, x, T, y, &error));
    case_same_bits("forward_host", y, whole.out, sizeof y);
    OK(clmoe_forward_host(c->layer, x, 2, y, &error));
    case_same_bits("forward_host, fewer", y, whole.out, 2 * H * 4);
    OK(clmoe_forward_host(c->layer, x, 0, y, &error));
    OK(clmoe_forward_host(c->layer, NULL, 0, NULL, &error));
}

/* Two layers share a workspace; another has the caller's memory, at an odd place, and no byte more than it asked
 * for. */
static void test_workspaces(void **state) {
    (void)state;
    case_options o = case_default(20, 60, 5, 2);
    layer_case *other = case_new(&device, &o);
    test_random random = test_random_new(35);
    void *in = case_input(other, 9, &random);
    case_result alone = case_forward(other, NULL, in, 9);
    clmoe_workspace *own = NULL;
    OK(clmoe_workspace_create(device.context, device.queue, NULL, &own, &error));
    uint64_t bytes = 0;
    OK(clmoe_layer_workspace_bytes(c->layer, T, &bytes, &error));
    test_buffer memory = test_buffer_new(&device, (size_t)bytes, NULL);
    clmoe_workspace_desc d;
    clmoe_workspace_desc_default(&d, sizeof d);
    d.memory = memory.at;
    d.memory_bytes = bytes;
    clmoe_workspace *lent = NULL;
    OK(clmoe_workspace_create(device.context, device.queue, &d, &lent, &error));
    for (int i = 0; i < 3; i++) {
        case_result r = case_forward(c, i == 2 ? lent : own, x, T), s = case_forward(other, own, in, 9);
        case_same(c, "the first of two layers", &r, &whole, T);
        case_same(other, "the second of two layers", &s, &alone, 9);
        case_result_free(&r);
        case_result_free(&s);
    }
    clmoe_workspace_destroy(own);
    clmoe_workspace_destroy(lent);
    test_buffer_free(&device, &memory);
    case_result_free(&alone);
    free(in);
    case_free(other);
}

static void open_case(uint32_t latent) {
    device = test_open(NULL);
    case_options o = case_default(H, 28, latent == 0 ? CLASSES - 1 : CLASSES, K);
    o.latent = latent;
    o.shared_intermediate = 17;
    o.with = CASE_SHARED_GATE | CASE_DOWN_BIAS;
    o.layer.routing.zero_experts = latent == 0;
    c = case_new(&device, &o);
    test_random random = test_random_new(30);
    x = case_input(c, T, &random);
    whole = case_forward(c, NULL, x, T);
    case_check(c, x, T, &whole);
}

static int setup(void **state) {
    (void)state;
    open_case(0);
    return 0;
}

static int setup_latent(void **state) {
    (void)state;
    open_case(7);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    case_result_free(&whole);
    free(x);
    case_free(c);
    test_close(&device);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token_count),   cmocka_unit_test(test_accumulate),    cmocka_unit_test(test_strides),
        cmocka_unit_test(test_router_input),  cmocka_unit_test(test_logits),        cmocka_unit_test(test_given_routes),
        cmocka_unit_test(test_outputs_alone), cmocka_unit_test(test_events),        cmocka_unit_test(test_out_of_order),
        cmocka_unit_test(test_forward_host),  cmocka_unit_test(test_workspaces),
    };
    const int failed = cmocka_run_group_tests(tests, setup, teardown);
    return failed + cmocka_run_group_tests_name("latent", tests, setup_latent, teardown);
}
