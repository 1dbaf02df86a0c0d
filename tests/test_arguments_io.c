/* Each argument of a forward and of the other functions that run things invalid once: the exact status, a message that
 * names it, no event, and outputs untouched. */
#include <stdio.h>

#include "layer_case.h"
#include "poke.h"

enum { H = 12, I = 10, E = 4, K = 2, T = 3 };

static test_device device;
static layer_case *c;
static float x[T * H];
static clmoe_error error = {.struct_size = sizeof error};

#define F clmoe_io
static const poke io_pokes[] = {
    POKE32(F, tokens, 1u << 30, "tokens"),
    POKE32(F, tokens, T + 3, "x"), /* more than the buffers hold */
    POKE32(F, accumulate, 2, "accumulate"),
    POKE32(F, x.kind, 0, "x"),
    POKE32(F, x.kind, 2, "x"),
    POKE32(F, x.kind, 77, "x"),
    POKE_NULL(F, x.handle, "x"),
    POKE64(F, x.offset, 2, "x"),
    POKE64(F, x.offset, UINT64_MAX - 3, "x"),
    POKE64(F, x_stride, H - 1, "x_stride"),
    POKE64(F, x_stride, UINT64_MAX / 2, "x"),
    POKE64(F, x_stride, UINT64_MAX, "expected 0 or 12..1152921504606846975"),
    POKE32(F, out.kind, 0, "out"),
    POKE_NULL(F, out.handle, "out"),
    POKE64(F, out.offset, 1, "out"),
    POKE64(F, out.offset, 1 << 20, "out"),
    POKE64(F, out_stride, H - 1, "out_stride"),
    POKE64(F, out_stride, H * 100, "out"),
    POKE64(F, router_input_stride, H - 1, "router_input_stride"),
    POKE64(F, router_input.offset, 2, "router_input"),
    POKE_NULL(F, router_input.handle, "router_input"),
    POKE64(F, out_index.offset, 2, "out_index"),
    POKE64(F, out_index.offset, 1 << 20, "out_index"),
    POKE64(F, out_weight.offset, 1, "out_weight"),
    POKE64(F, out_load.offset, 1 << 20, "out_load"),
    POKE32(F, out_load.kind, 9, "out_load"),
    POKE32(F, sequence_offsets.kind, 1, "sequence_offsets"),
    POKE32(F, saved_activations.kind, 1, "saved_activations"),
};
#undef F

static void forward_fails(const clmoe_io *io, clmoe_status status, const char *contains) {
    cl_event done = (cl_event)(void *)&error;
    FAILS(clmoe_forward(c->layer, NULL, device.queue, io, 0, NULL, &done, &error), status, contains);
    assert_true(done == (cl_event)(void *)&error || done == NULL);
}

static void check_untouched(case_buffers *b) {
    const test_buffer *outputs[] = {&b->out, &b->index, &b->weight, &b->load};
    for (int i = 0; i < 4; i++) test_buffer_untouched(&device, outputs[i]);
    case_result r = case_buffers_take(c, b);
    case_result_free(&r);
}

static void test_io(void **state) {
    (void)state;
    case_buffers b = case_buffers_new(c, x, T);
    b.io.router_input = b.x.at;
    for (size_t i = 0; i < sizeof io_pokes / sizeof *io_pokes; i++) {
        clmoe_io io = b.io;
        poke_apply(&io, &io_pokes[i]);
        if (getenv("CLMOE_TEST_VERBOSE") != NULL) print_message("%s %zu\n", io_pokes[i].contains, io_pokes[i].offset);
        forward_fails(&io, io_pokes[i].status, io_pokes[i].contains);
    }
    check_untouched(&b);
}

/* What takes two fields to be wrong. */
static void test_io_pairs(void **state) {
    (void)state;
    case_buffers b = case_buffers_new(c, x, T);
    test_buffer routes = test_buffer_new(&device, T * K * 4, NULL), logits = test_buffer_new(&device, T * E * 4, NULL);
    clmoe_io io = b.io;
    io.index = routes.at; /* without weight */
    forward_fails(&io, CLMOE_INVALID_ARGUMENT, "weight");
    io = b.io;
    io.weight = routes.at;
    forward_fails(&io, CLMOE_INVALID_ARGUMENT, "index");
    io.index = routes.at;
    io.logits = logits.at; /* both ways of routing */
    forward_fails(&io, CLMOE_INVALID_ARGUMENT, "logits");
    io = b.io;
    io.index = io.weight = routes.at;
    forward_fails(&io, CLMOE_INVALID_ARGUMENT, "out_index"); /* there is no routing to report */
    io = b.io;
    io.logits = logits.at;
    io.router_input = b.x.at; /* there is no router */
    forward_fails(&io, CLMOE_INVALID_ARGUMENT, "router_input");
    io = b.io;
    io.logits = logits.at;
    io.logits.offset += 64 + 64;
    forward_fails(&io, CLMOE_INVALID_ARGUMENT, "logits");
    io = b.io;
    io.token_count = routes.at;
    io.token_count.offset += 1;
    forward_fails(&io, CLMOE_INVALID_ARGUMENT, "token_count");
    io = b.io;
    io.out = io.x;
    forward_fails(&io, CLMOE_INVALID_ARGUMENT, "out");
    io.out.offset += (T - 1) * H * 4; /* the last row of x is the first of out */
    forward_fails(&io, CLMOE_INVALID_ARGUMENT, "out");
    test_device other = test_open(NULL); /* a buffer of another context */
    test_buffer foreign = test_buffer_new(&other, T * H * 4, x);
    io = b.io;
    io.x = foreign.at;
    forward_fails(&io, CLMOE_INVALID_ARGUMENT, "x");
    test_buffer_free(&other, &foreign);
    test_close(&other);
    test_buffer_free(&device, &routes);
    test_buffer_free(&device, &logits);
    check_untouched(&b);
}

/* A router with an input of its own is never given x. */
static void test_router_input(void **state) {
    (void)state;
    float y[T * H] = {0};
    clmoe_layer *shared = c->layer, *own = NULL;
    clmoe_layer_desc desc = c->options.layer;
    desc.router_input = 1;
    OK(clmoe_layer_create(device.context, c->weights, &desc, &own, &error));
    c->layer = own; /* what forward_fails takes */
    case_buffers b = case_buffers_new(c, x, T);
    forward_fails(&b.io, CLMOE_INVALID_ARGUMENT, "io.router_input");
    FAILS(clmoe_forward_host(own, x, T, y, &error), CLMOE_INVALID_ARGUMENT, "io.router_input");
    test_buffer logits = test_buffer_new(&device, T * E * 4, NULL);
    check_untouched(&b);
    b = case_buffers_new(c, x, T);
    b.io.tokens = 0;
    OK(clmoe_forward(own, NULL, device.queue, &b.io, 0, NULL, NULL, &error));
    b.io.tokens = T;
    b.io.logits = logits.at; /* the router is not used */
    OK(clmoe_forward(own, NULL, device.queue, &b.io, 0, NULL, NULL, &error));
    case_result r = case_buffers_take(c, &b);
    case_result_free(&r);
    test_buffer_free(&device, &logits);
    c->layer = shared;
    clmoe_layer_destroy(own);
}

static void test_forward_arguments(void **state) {
    (void)state;
    case_buffers b = case_buffers_new(c, x, T);
    cl_event none = NULL;
    clmoe_workspace *workspace = NULL;
    cl_int code = 0;
    cl_command_queue second = clCreateCommandQueue(device.cl, device.id, 0, &code);
    assert_int_equal(code, CL_SUCCESS);
    OK(clmoe_workspace_create(device.context, second, NULL, &workspace, &error));
    FAILS(clmoe_forward(NULL, NULL, device.queue, &b.io, 0, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "layer");
    FAILS(clmoe_forward(c->layer, NULL, NULL, &b.io, 0, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "queue");
    FAILS(clmoe_forward(c->layer, NULL, device.queue, NULL, 0, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "io");
    FAILS(clmoe_forward(c->layer, NULL, device.queue, &b.io, 1, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "wait");
    FAILS(clmoe_forward(c->layer, NULL, device.queue, &b.io, 0, &none, NULL, &error), CLMOE_INVALID_ARGUMENT, "wait");
    test_device other = test_open(NULL);
    FAILS(clmoe_forward(c->layer, NULL, other.queue, &b.io, 0, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "queue");
    clmoe_workspace *foreign = NULL;
    OK(clmoe_workspace_create(other.context, other.queue, NULL, &foreign, &error));
    FAILS(clmoe_forward(c->layer, foreign, device.queue, &b.io, 0, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT,
          "workspace");
    clmoe_workspace_destroy(foreign);
    test_close(&other);
    clmoe_workspace_destroy(workspace);
    assert_int_equal(clReleaseCommandQueue(second), CL_SUCCESS);
    check_untouched(&b);
}

static void test_other_functions(void **state) {
    (void)state;
    float y[T * H];
    memset(y, 0xCD, sizeof y);
    FAILS(clmoe_forward_host(NULL, x, T, y, &error), CLMOE_INVALID_ARGUMENT, "layer");
    FAILS(clmoe_forward_host(c->layer, NULL, T, y, &error), CLMOE_INVALID_ARGUMENT, "x");
    FAILS(clmoe_forward_host(c->layer, x, T, NULL, &error), CLMOE_INVALID_ARGUMENT, "y");
    FAILS(clmoe_forward_host(c->layer, x, 1u << 30, y, &error), CLMOE_INVALID_ARGUMENT, "tokens");
    for (size_t i = 0; i < sizeof y; i++) assert_int_equal(((uint8_t *)y)[i], 0xCD);
    uint64_t bytes = 77;
    FAILS(clmoe_layer_workspace_bytes(NULL, T, &bytes, &error), CLMOE_INVALID_ARGUMENT, "layer");
    FAILS(clmoe_layer_workspace_bytes(c->layer, T, NULL, &error), CLMOE_INVALID_ARGUMENT, "bytes");
    FAILS(clmoe_layer_workspace_bytes(c->layer, 1u << 30, &bytes, &error), CLMOE_INVALID_ARGUMENT, "tokens");
    assert_int_equal(bytes, 77);
    FAILS(clmoe_workspace_set_profiling(NULL, 1, &error), CLMOE_INVALID_ARGUMENT, "workspace");
    FAILS(clmoe_workspace_launches(NULL, NULL, 0, NULL, &error), CLMOE_INVALID_ARGUMENT, "workspace");
    clmoe_workspace *workspace = NULL;
    OK(clmoe_workspace_create(device.context, device.queue, NULL, &workspace, &error));
    FAILS(clmoe_workspace_launches(workspace, NULL, 3, NULL, &error), CLMOE_INVALID_ARGUMENT, "launches");
    clmoe_workspace_destroy(workspace);
}

/* A short clmoe_error of an older caller is not written past its end; without one nothing is. */
static void test_error_sizes(void **state) {
    (void)state;
    union {
        clmoe_error error;
        uint8_t bytes[sizeof(clmoe_error)];
    } small;
    memset(&small, 0xCD, sizeof small);
    const size_t size = offsetof(clmoe_error, message) + 16;
    small.error.struct_size = size;
    assert_int_equal(clmoe_forward_host(NULL, x, T, x, &small.error), CLMOE_INVALID_ARGUMENT);
    assert_int_equal(small.error.status, CLMOE_INVALID_ARGUMENT);
    assert_int_equal(small.bytes[size - 1], 0); /* text is ended where it is cut */
    for (size_t i = size; i < sizeof small; i++) assert_int_equal(small.bytes[i], 0xCD);
    assert_int_equal(clmoe_forward_host(NULL, x, T, x, NULL), CLMOE_INVALID_ARGUMENT);
}

static int setup(void **state) {
    (void)state;
    device = test_open(NULL);
    const case_options o = case_default(H, I, E, K);
    c = case_new(&device, &o);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    case_free(c);
    test_close(&device);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_io),
        cmocka_unit_test(test_io_pairs),
        cmocka_unit_test(test_router_input),
        cmocka_unit_test(test_forward_arguments),
        cmocka_unit_test(test_other_functions),
        cmocka_unit_test(test_error_sizes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
