/* Every OpenCL call made to fail once. One scenario goes through the whole library; each step that fails is tried
 * again, the fault being over, and must then succeed with the right result: nothing is left half done. In the end no
 * OpenCL object is alive (fault_trial.h). What has formats and variants of its own is in test_faults_groups.c. */
#include "fault_trial.h"

enum { H = 8, I = 8, E = 3, K = 2, T = 5, ROOM = 1 << 18 };
enum { MANY = 700 }; /* tokens for which select and dispatch are launched apart */

static cl_command_queue queue, other_queue; /* in order, and out of order */
static cl_mem memory;
static float up[E * 2 * I * H], down[E * H * I], router[E * H], bias[E * I * 2], x[T * H], expected[T * H];
static int have_expected, has_command_buffers;

static clmoe_buffer place(uint64_t kilobytes) { return clmoe_cl_mem(memory, kilobytes * 1024 + 4); }

static clmoe_weights *make_weights(clmoe_context *context) {
    clmoe_weights_desc d;
    clmoe_weights_desc_default(&d, sizeof d);
    d.hidden_size = H;
    d.format = CLMOE_F32;
    d.num_classes = E;
    d.experts =
        (clmoe_ffn){.num_experts = E, .intermediate_size = I, .gated = 1, .gate_up = CLMOE_GATE_UP_CONCATENATED};
    d.experts.up = (clmoe_tensor){.format = CLMOE_F32, .host = up};
    d.experts.up_bias = (clmoe_tensor){.format = CLMOE_F32, .host = bias};
    d.experts.down = (clmoe_tensor){.format = CLMOE_F32, .buffer = place(64)};
    d.shared = (clmoe_ffn){.num_experts = 1, .intermediate_size = I, .gated = 1};
    d.shared.gate = d.shared.up = d.shared.down = (clmoe_tensor){.format = CLMOE_F32, .host = down};
    d.shared_gate = (clmoe_tensor){.format = CLMOE_F32, .host = router};
    d.router = (clmoe_tensor){.format = CLMOE_F32, .host = router};
    d.output_bias = (clmoe_tensor){.format = CLMOE_F32, .host = bias};
    d.latent_size = H;
    d.latent_in = d.latent_out = (clmoe_tensor){.format = CLMOE_F32, .host = up};
    clmoe_weights *weights = NULL;
    STEP(clmoe_weights_create(context, &d, &weights, &fault_error));
    assert_non_null(weights);
    return weights;
}

static void check_out(uint64_t kilobytes) {
    float out[T * H];
    assert_int_equal(clEnqueueReadBuffer(queue, memory, CL_TRUE, kilobytes * 1024 + 4, sizeof out, out, 0, NULL, NULL),
                     0);
    if (!have_expected) memcpy(expected, out, sizeof out);
    have_expected = 1;
    assert_memory_equal(out, expected, sizeof out);
}

/* One token, whose row the routing's kernel makes, and many: a token's result is the same in any company. */
static void run_other_counts(clmoe_layer *layer) {
    clmoe_io io;
    clmoe_io_default(&io, sizeof io);
    io.x = place(1);
    io.out = place(6);
    float out[T * H];
    for (io.tokens = 1; io.tokens <= MANY; io.tokens += MANY - 1) {
        if (io.tokens == MANY) io.x = place(128), io.out = place(160);
        STEP(clmoe_forward(layer, NULL, queue, &io, 0, NULL, NULL, &fault_error));
        const size_t bytes = (io.tokens == 1 ? 1u : T) * H * sizeof *out;
        assert_int_equal(clEnqueueReadBuffer(queue, memory, CL_TRUE, io.out.offset, bytes, out, 0, NULL, NULL), 0);
        assert_memory_equal(out, expected, bytes);
    }
}

static void run_forwards(clmoe_context *context, clmoe_layer *layer) {
    clmoe_io io;
    clmoe_io_default(&io, sizeof io);
    io.tokens = T;
    io.x = place(1);
    io.out = place(2);
    io.out_index = place(3);
    io.out_load = place(4);
    clmoe_workspace *workspace = NULL;
    STEP(clmoe_workspace_create(context, queue, NULL, &workspace, &fault_error));
    STEP(clmoe_workspace_set_profiling(workspace, 1, &fault_error));
    cl_event done = NULL, second = NULL;
    STEP(clmoe_forward(layer, workspace, queue, &io, 0, NULL, &done, &fault_error));
    assert_non_null(done);
    clmoe_launch_time launches[64];
    uint32_t count = 0;
    STEP(clmoe_workspace_launches(workspace, launches, 64, &count, &fault_error));
    for (uint32_t i = 0; i < count; i++) {
        assert_true(launches[i].kernel[0] != 0 && launches[i].queued > 0 && launches[i].ended >= launches[i].started);
    }
    io.out = place(5);
    STEP(clmoe_forward(layer, NULL, other_queue, &io, 1, &done, &second, &fault_error));
    assert_int_equal(clWaitForEvents(1, &second), CL_SUCCESS);
    io.tokens = 0;
    STEP(clmoe_forward(layer, NULL, other_queue, &io, 1, &second, NULL, &fault_error));
    assert_int_equal(clFinish(other_queue), CL_SUCCESS);
    check_out(2);
    check_out(5);
    fault_release_event(done);
    fault_release_event(second);
    clmoe_workspace_destroy(workspace);
    float y[T * H];
    STEP(clmoe_forward_host(layer, x, T, y, &fault_error));
    assert_memory_equal(y, expected, sizeof y);
    run_other_counts(layer);
}

/* Recorded, replayed twice, given up while it runs; where the device has command buffers. */
static void run_recording(clmoe_layer *layer) {
    clmoe_io io;
    clmoe_io_default(&io, sizeof io);
    io.tokens = T;
    io.x = place(1);
    io.out = place(7);
    if (!has_command_buffers) return;
    clmoe_recording *recording = NULL;
    cl_event done = NULL;
    STEP(clmoe_record(layer, NULL, queue, &io, &recording, &fault_error));
    assert_non_null(recording);
    STEP(clmoe_replay(recording, 0, NULL, &done, &fault_error));
    STEP(clmoe_replay(recording, 1, &done, NULL, &fault_error));
    clmoe_recording_destroy(recording);
    check_out(7);
    fault_release_event(done);
}

static void run_logits_and_select(clmoe_context *context) {
    clmoe_logits_desc ld;
    clmoe_logits_desc_default(&ld, sizeof ld);
    ld.hidden_size = H;
    ld.num_classes = E;
    ld.router = (clmoe_tensor){.format = CLMOE_F32, .host = router};
    ld.bias = (clmoe_tensor){.format = CLMOE_F32, .host = bias};
    clmoe_logits *logits = NULL;
    STEP(clmoe_logits_create(context, &ld, &logits, &fault_error));
    clmoe_logits_io li;
    clmoe_logits_io_default(&li, sizeof li);
    li.tokens = T;
    li.x = place(1);
    li.logits = place(8);
    STEP(clmoe_logits_enqueue(logits, NULL, queue, &li, 0, NULL, NULL, &fault_error));
    clmoe_select_desc sd;
    clmoe_select_desc_default(&sd, sizeof sd);
    sd.routing.num_experts = E;
    sd.routing.top_k = K;
    sd.select_bias = (clmoe_tensor){.format = CLMOE_F32, .host = bias};
    clmoe_select *select = NULL;
    STEP(clmoe_select_create(context, &sd, &select, &fault_error));
    clmoe_select_io si;
    clmoe_select_io_default(&si, sizeof si);
    si.tokens = T;
    si.logits = li.logits;
    si.index = place(9);
    si.weight = place(10);
    STEP(clmoe_select_enqueue(select, NULL, queue, &si, 0, NULL, NULL, &fault_error));
    clmoe_logits_destroy(logits);
    clmoe_select_destroy(select);
}

static void run_experts(clmoe_context *context) {
    clmoe_grouped_gemm_desc gd;
    clmoe_grouped_gemm_desc_default(&gd, sizeof gd);
    gd.num_groups = E;
    gd.in_features = gd.out_features = H;
    gd.weight_format = CLMOE_F32;
    gd.weight = (clmoe_tensor){.format = CLMOE_F32, .host = down};
    gd.slots = K;
    clmoe_grouped_gemm *gemm = NULL;
    STEP(clmoe_grouped_gemm_create(context, &gd, &gemm, &fault_error));
    clmoe_dispatch_desc dd;
    clmoe_dispatch_desc_default(&dd, sizeof dd);
    dd.num_classes = dd.local_experts = E;
    dd.slots = K;
    dd.tile_rows = clmoe_grouped_gemm_tile_rows(gemm);
    clmoe_dispatch *dispatch = NULL;
    STEP(clmoe_dispatch_create(context, &dd, &dispatch, &fault_error));
    clmoe_plan_layout layout = {.struct_size = sizeof layout};
    STEP(clmoe_dispatch_plan_layout(dispatch, T, 0, &layout, &fault_error));
    clmoe_dispatch_io di;
    clmoe_dispatch_io_default(&di, sizeof di);
    di.tokens = T;
    di.index = place(9);
    di.plan = place(100);
    di.load = place(11);
    STEP(clmoe_dispatch_enqueue(dispatch, NULL, queue, &di, 0, NULL, NULL, &fault_error));
    clmoe_grouped_gemm_io gi;
    clmoe_grouped_gemm_io_default(&gi, sizeof gi);
    gi.tokens = T;
    gi.plan = di.plan;
    gi.x = place(1);
    gi.y = place(12);
    STEP(clmoe_grouped_gemm_enqueue(gemm, NULL, queue, &gi, 0, NULL, NULL, &fault_error));
    clmoe_combine_desc cd;
    clmoe_combine_desc_default(&cd, sizeof cd);
    cd.hidden_size = H;
    cd.slots = K;
    cd.num_experts = E;
    cd.output_bias = (clmoe_tensor){.format = CLMOE_F32, .host = bias};
    clmoe_combine *combine = NULL;
    STEP(clmoe_combine_create(context, &cd, &combine, &fault_error));
    clmoe_combine_io ci;
    clmoe_combine_io_default(&ci, sizeof ci);
    ci.tokens = T;
    ci.y = gi.y;
    ci.slot_row = di.plan;
    ci.slot_row.offset += layout.slot_row * 4;
    ci.weight = place(10);
    ci.out = place(14);
    STEP(clmoe_combine_enqueue(combine, NULL, queue, &ci, 0, NULL, NULL, &fault_error));
    clmoe_combine_destroy(combine);
    clmoe_dispatch_destroy(dispatch);
    clmoe_grouped_gemm_destroy(gemm);
}

/* What the test itself owns, in the context that all scenarios share. */
static void make_own(void) {
    cl_context cl = fault_shared_context();
    cl_device_id device = NULL;
    cl_int code = clGetContextInfo(cl, CL_CONTEXT_DEVICES, sizeof device, &device, NULL);
    assert_int_equal(code, CL_SUCCESS);
    char extensions[8192] = {0};
    assert_int_equal(clGetDeviceInfo(device, CL_DEVICE_EXTENSIONS, sizeof extensions - 1, extensions, NULL),
                     CL_SUCCESS);
    has_command_buffers = strstr(extensions, "cl_khr_command_buffer") != NULL;
    queue = clCreateCommandQueue(cl, device, CL_QUEUE_PROFILING_ENABLE, &code);
    assert_int_equal(code, CL_SUCCESS);
    other_queue = clCreateCommandQueue(cl, device, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &code);
    if (code != CL_SUCCESS) other_queue = clCreateCommandQueue(cl, device, 0, &code);
    assert_int_equal(code, CL_SUCCESS);
    memory = clCreateBuffer(cl, CL_MEM_READ_WRITE, ROOM, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    const float zero = 0;
    assert_int_equal(clEnqueueFillBuffer(queue, memory, &zero, sizeof zero, 0, ROOM, 0, NULL, NULL), CL_SUCCESS);
    for (size_t at = 1; at <= 128; at += 127) { /* for T tokens, and the first of many */
        assert_int_equal(clEnqueueWriteBuffer(queue, memory, CL_TRUE, at * 1024 + 4, sizeof x, x, 0, NULL, NULL),
                         CL_SUCCESS);
    }
    assert_int_equal(clEnqueueWriteBuffer(queue, memory, CL_TRUE, 64 * 1024 + 4, sizeof down, down, 0, NULL, NULL),
                     CL_SUCCESS);
}

static void scenario(void) {
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.get_symbol = fault_symbol;
    clmoe_context *context = NULL;
    STEP(clmoe_context_create(&d, &context, &fault_error));
    assert_non_null(context);
    if (memory == NULL) make_own();
    clmoe_weights *weights = make_weights(context);
    clmoe_layer_desc ld;
    clmoe_layer_desc_default(&ld, sizeof ld);
    ld.routing.num_experts = E;
    ld.routing.top_k = K;
    clmoe_layer *layer = NULL;
    STEP(clmoe_layer_create(context, weights, &ld, &layer, &fault_error));
    assert_non_null(layer);
    run_forwards(context, layer);
    run_recording(layer);
    run_logits_and_select(context);
    run_experts(context);
    clmoe_context_destroy(context); /* in an order that leans on the reference counts */
    clmoe_weights_destroy(weights);
    clmoe_layer_destroy(layer);
    assert_int_equal(clFinish(queue), CL_SUCCESS);
}

static void test_every_call(void **state) {
    (void)state;
    test_random random = test_random_new(51);
    for (size_t i = 0; i < E * 2 * I * H; i++) up[i] = (float)test_random_normal(&random);
    for (size_t i = 0; i < E * H * I; i++) down[i] = (float)test_random_normal(&random);
    for (size_t i = 0; i < E * H; i++) router[i] = (float)test_random_normal(&random);
    for (size_t i = 0; i < E * I * 2; i++) bias[i] = (float)test_random_normal(&random);
    for (size_t i = 0; i < T * H; i++) x[i] = (float)test_random_normal(&random);
    fault_trial(scenario, 30, &random);
    assert_int_equal(clReleaseMemObject(memory), CL_SUCCESS);
    assert_int_equal(clReleaseCommandQueue(queue), CL_SUCCESS);
    assert_int_equal(clReleaseCommandQueue(other_queue), CL_SUCCESS);
    fault_finish();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(test_every_call, fault_say_which)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
