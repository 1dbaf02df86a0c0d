/* The variant clblast/gemm on a machine that has CLBlast: layers of several kinds against the oracle, large products
 * against the library's own, queues of both kinds, and who has to allow it. Without CLBlast the tests say so and are
 * skipped; test_clblast_faults.c needs none. */
#include <math.h>
#include <stdio.h>

#include "layer_case.h"
#include "opencl/clblast.h"

static clmoe_error error = {.struct_size = sizeof error};
static test_device device; /* which prefers clblast */

static test_device open_preferring(const char *prefer) {
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.prefer = prefer;
    return test_open(&d);
}

static int open_device(void **state) {
    (void)state;
    device = open_preferring("clblast");
    return 0;
}

static int close_device(void **state) {
    (void)state;
    test_close(&device);
    return 0;
}

static void needs_clblast(void) {
    const char *missing = clmoe__clblast_missing(device.context);
    if (missing == NULL) return;
    print_message("CLBlast is not tested: %s\n", missing);
    skip();
}

static void expect_variant(const clmoe_layer *layer, const char *line, int is_there) {
    char text[8192];
    OK(clmoe_layer_describe(layer, text, sizeof text, NULL, &error));
    if ((strstr(text, line) != NULL) != is_there) fail_msg("\"%s\" %s in:\n%s", line, is_there ? "is not" : "is", text);
}

/* ------------------------------------------------------------------------------------------- right results */

static case_options everything(void) {
    case_options o = case_default(52, 37, 7, 3);
    o.with = CASE_UP_BIAS | CASE_DOWN_BIAS | CASE_OUTPUT_BIAS | CASE_SHARED_GATE | CASE_FACTORS;
    o.shared_intermediate = 45;
    o.latent = 27;
    o.gate_up = CLMOE_GATE_UP_INTERLEAVED;
    o.source_format = CLMOE_BF16;
    o.source = CASE_HOST_LIST;
    return o;
}

static case_options plain_sixteen_bits(void) {
    case_options o = case_default(45, 33, 5, 2);
    o.layer.activation = (clmoe_activation){.kind = CLMOE_RELU2, .alpha = 1};
    o.layer.x_format = CLMOE_BF16;
    o.layer.out_format = CLMOE_F16;
    o.layer.y_format = CLMOE_BF16;
    o.layout = CLMOE_IN_OUT;
    o.source = CASE_BUFFER;
    o.layer.routing.weight_on = CLMOE_WEIGHT_ON_INPUT;
    return o;
}

/* Up has a variant of the library's own, for CLBlast multiplies f32 only. */
static case_options up_in_blocks(void) {
    case_options o = case_default(64, 64, 4, 2);
    o.format = CLMOE_FORMAT_NONE;
    o.blocks[CASE_UP] = CLMOE_Q8_0;
    o.with = CASE_DOWN_BIAS;
    o.layer.y_format = CLMOE_F16;
    return o;
}

static const struct {
    case_options (*options)(void);
    const char *line;
    uint32_t tokens[3];
} kinds[] = {{everything, "latent out   clblast/gemm", {1, 40, 0}},
             {plain_sixteen_bits, "up           clblast/gemm", {33, 0, 0}},
             {up_in_blocks, "down         clblast/gemm", {9, 0, 0}},
             {up_in_blocks, "refused      clblast/gemm: multiplies weights in f32 only", {0, 0, 0}}};

static void test_oracle(void **state) {
    (void)state;
    needs_clblast();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        case_options o = kinds[i].options();
        o.stream = 3100 + i;
        layer_case *c = case_new(&device, &o);
        test_random random = test_random_new(3200 + i);
        expect_variant(c->layer, kinds[i].line, 1);
        expect_variant(c->layer, "logits       clblast", 0);
        for (const uint32_t *tokens = kinds[i].tokens; *tokens != 0; tokens++) {
            void *x = case_input(c, *tokens, &random);
            case_result r = case_forward(c, NULL, x, *tokens);
            case_check(c, x, *tokens, &r);
            case_result_free(&r);
            free(x);
        }
        case_free(c);
    }
}

/* So large that CLBlast takes other kernels of its own; too large for the oracle, but not for the library. */
static void test_large(void **state) {
    (void)state;
    enum { H = 768, I = 512, T = 1200 };
    needs_clblast();
    test_device own = test_open(NULL);
    case_options o = case_default(H, I, 2, 1);
    o.stream = 3300;
    layer_case *a = case_new(&device, &o), *b = case_new(&own, &o);
    test_random random = test_random_new(3301);
    void *x = case_input(a, T, &random);
    case_result with = case_forward(a, NULL, x, T), without = case_forward(b, NULL, x, T);
    expect_variant(b->layer, "clblast", 0);
    case_same_bits("routes", with.index, without.index, sizeof(int32_t) * T);
    double error_squares = 0, squares = 0;
    for (size_t i = 0; i < (size_t)T * H; i++) {
        const double p = ((float *)with.out)[i], q = ((float *)without.out)[i];
        error_squares += (p - q) * (p - q);
        squares += q * q;
    }
    if (!(error_squares < 1e-11 * squares))
        fail_msg("mean square of the difference %g of the result", error_squares / squares);
    case_result_free(&with);
    case_result_free(&without);
    free(x);
    case_free(a);
    case_free(b);
    test_close(&own);
}

/* ------------------------------------------------------------------------------------------------- queues */

static void on_queue(layer_case *c, cl_command_queue queue, const void *x, uint32_t tokens, const case_result *wanted) {
    clmoe_workspace *workspace = NULL;
    clmoe_launch_time launches[64];
    cl_event done = NULL;
    cl_int code = CL_SUCCESS;
    uint32_t count = 0, products = 0;
    OK(clmoe_workspace_create(device.context, queue, NULL, &workspace, &error));
    OK(clmoe_workspace_set_profiling(workspace, 1, &error));
    case_buffers b = case_buffers_new(c, x, tokens);
    const cl_event before = clCreateUserEvent(device.cl, &code);
    assert_int_equal(code, CL_SUCCESS);
    assert_int_equal(clSetUserEventStatus(before, CL_COMPLETE), CL_SUCCESS);
    OK(clmoe_forward(c->layer, workspace, queue, &b.io, 1, &before, &done, &error));
    assert_int_equal(clWaitForEvents(1, &done), CL_SUCCESS);
    OK(clmoe_workspace_launches(workspace, launches, 64, &count, &error));
    for (uint32_t i = 0; i < count && i < 64; i++) products += strcmp(launches[i].kernel, "CLBlastSgemm") == 0;
    case_result r = case_buffers_take(c, &b);
    uint32_t active = 0;
    for (uint32_t e = 0; e < c->oracle.classes; e++) active += r.load[e] > 0;
    assert_int_equal(products, 2 * active);
    case_same(c, "another queue", &r, wanted, tokens);
    case_result_free(&r);
    assert_int_equal(clReleaseEvent(done), CL_SUCCESS);
    assert_int_equal(clReleaseEvent(before), CL_SUCCESS);
    clmoe_workspace_destroy(workspace);
}

static void test_queues(void **state) {
    (void)state;
    enum { T = 23 };
    const cl_command_queue_properties kinds_of_queues[] = {
        CL_QUEUE_PROFILING_ENABLE, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE | CL_QUEUE_PROFILING_ENABLE};
    needs_clblast();
    case_options o = case_default(40, 24, 5, 2);
    o.with = CASE_UP_BIAS | CASE_DOWN_BIAS;
    layer_case *c = case_new(&device, &o);
    test_random random = test_random_new(3400);
    void *x = case_input(c, T, &random);
    case_result wanted = case_forward(c, NULL, x, T);
    case_check(c, x, T, &wanted);
    for (int i = 0; i < 2; i++) {
        cl_int code = CL_SUCCESS;
        cl_command_queue queue = clCreateCommandQueue(device.cl, device.id, kinds_of_queues[i], &code);
        if (code != CL_SUCCESS) continue; /* the device has no such queues */
        on_queue(c, queue, x, T, &wanted);
        assert_int_equal(clReleaseCommandQueue(queue), CL_SUCCESS);
    }
    case_result_free(&wanted);
    free(x);
    case_free(c);
}

/* -------------------------------------------------------------------------------------------- who allows it */

static clmoe_weights *make_weights(test_device *on, const clmoe_weights_desc *desc, uint32_t allow) {
    clmoe_weights_desc changed = *desc;
    clmoe_weights *weights = NULL;
    changed.allow_variance = allow;
    OK(clmoe_weights_create(on->context, &changed, &weights, &error));
    return weights;
}

static void set_row(clmoe_context *context, const char *class, unsigned own_percent) {
    char name[256], driver[256], row[1024];
    cl_device_id id = NULL;
    OK(clmoe_context_opencl(context, NULL, &id, &error));
    assert_int_equal(clGetDeviceInfo(id, CL_DEVICE_NAME, sizeof name, name, NULL), CL_SUCCESS);
    assert_int_equal(clGetDeviceInfo(id, CL_DRIVER_VERSION, sizeof driver, driver, NULL), CL_SUCCESS);
    snprintf(row, sizeof row, "\"%s\" \"%s\" clblast/gemm f32 f32 %s tile_rows=32 own_percent=%u", name, driver, class,
             own_percent);
    OK(clmoe_context_tune(context, row, &error));
}

/* A layer whose description allows variance; the line is in its description, or is not. */
static void expect_layer(test_device *on, const case_options *o, clmoe_weights *weights, const char *line,
                         int is_there) {
    clmoe_layer_desc desc = o->layer;
    clmoe_layer *layer = NULL;
    desc.allow_variance = 1;
    OK(clmoe_layer_create(on->context, weights, &desc, &layer, &error));
    expect_variant(layer, line, is_there);
    clmoe_layer_destroy(layer);
}

static void test_allowance(void **state) {
    (void)state;
    needs_clblast();
    test_device on = test_open(NULL);
    case_options o = case_default(96, 100, 3, 2);
    clmoe_weights_desc desc;
    layer_case *c = case_describe(&on, &o, &desc);
    clmoe_layer *layer = NULL;
    clmoe_weights *weights = make_weights(&on, &desc, 1); /* nobody measured anything */
    expect_layer(&on, &o, weights, "clblast/gemm, f32", 0);
    expect_layer(&on, &o, weights, "refused      clblast/gemm: not measured here", 1);
    clmoe_weights_destroy(weights);
    set_row(on.context, "any", 140); /* somebody did, and it was slower */
    weights = make_weights(&on, &desc, 1);
    expect_layer(&on, &o, weights, "clblast/gemm, f32", 0);
    expect_layer(&on, &o, weights, "refused      clblast/gemm: measured, and not faster: 140% of the time", 1);
    clmoe_weights_destroy(weights);
    set_row(on.context, "k128,n256", 70); /* of up, not of down */
    weights = make_weights(&on, &desc, 0);
    expect_layer(&on, &o, weights, "clblast", 0);
    clmoe_weights_destroy(weights);
    weights = make_weights(&on, &desc, 1);
    expect_layer(&on, &o, weights, "up           clblast/gemm, f32 weights, f32 arithmetic", 1);
    expect_layer(&on, &o, weights, "(set by the program)\n  varies", 1);
    expect_layer(&on, &o, weights, "down         clblast", 0);
    FAILS(clmoe_layer_create(on.context, weights, &o.layer, &layer, &error), CLMOE_INVALID_ARGUMENT, "clblast/gemm");
    FAILS(clmoe_layer_create(on.context, weights, &o.layer, &layer, &error), CLMOE_INVALID_ARGUMENT, "allow_variance");
    assert_null(layer);
    clmoe_weights_destroy(weights);
    desc.allow_variance = 2;
    FAILS(clmoe_weights_create(on.context, &desc, &weights, &error), CLMOE_INVALID_ARGUMENT, "allow_variance");
    desc.allow_variance = 1;
    desc.format = CLMOE_F16;
    weights = make_weights(&on, &desc, 1);
    expect_layer(&on, &o, weights, "refused      clblast/gemm: multiplies weights in f32 only", 1);
    clmoe_weights_destroy(weights);
    case_free(c);
    test_close(&on);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_oracle), cmocka_unit_test(test_large),
                                       cmocka_unit_test(test_queues), cmocka_unit_test(test_allowance)};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
