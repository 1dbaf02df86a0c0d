/* Every OpenCL call made to fail once, where groups of integers are packed and run on (emulated) matrix units: from the
 * host and from device memory, planned first, the routing of one token and of few in one launch, programs into a pack
 * and out of it. */
#include <math.h>

#include "fault_trial.h"
#include "files.h"

enum { H = 32, I = 32, E = 3, K = 2, T = 5, WORDS = E * H * I / 8, SCALES = E * I, ZEROS = E * I / 8, ROOM = 1 << 16 };
enum { AT_CODES = 0, AT_SCALES = 4096, AT_ZEROS = 8192, AT_X = 16384, AT_OUT = 20480 };

static cl_command_queue queue;
static cl_mem memory;
static uint32_t codes[WORDS], zeros[ZEROS];
static uint16_t f16_scales[SCALES], bf16_scales[SCALES];
static float router[E * H], x[T * H], expected[T * H];
static int have_expected;
static test_folder folder;
static const char *pack;

static clmoe_buffer at(uint64_t offset) { return clmoe_cl_mem(memory, offset); }

static void write_at(size_t offset, const void *from, size_t bytes) {
    assert_int_equal(clEnqueueWriteBuffer(queue, memory, CL_TRUE, offset, bytes, from, 0, NULL, NULL), CL_SUCCESS);
}

/* What the test itself owns, in the context that all runs share. */
static void make_own(void) {
    cl_context cl = fault_shared_context();
    cl_device_id device = NULL;
    cl_int code = clGetContextInfo(cl, CL_CONTEXT_DEVICES, sizeof device, &device, NULL);
    assert_int_equal(code, CL_SUCCESS);
    queue = clCreateCommandQueue(cl, device, 0, &code);
    assert_int_equal(code, CL_SUCCESS);
    memory = clCreateBuffer(cl, CL_MEM_READ_WRITE, ROOM, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    write_at(AT_CODES, codes, sizeof codes);
    write_at(AT_SCALES, bf16_scales, sizeof bf16_scales);
    write_at(AT_ZEROS, zeros, sizeof zeros);
    write_at(AT_X, x, sizeof x);
}

static size_t nothing_kept(void *user, const void *key, size_t key_bytes, void *value, size_t capacity) {
    return (void)user, (void)key, (void)key_bytes, (void)value, (void)capacity, (size_t)0;
}

static int nothing_taken(void *user, const void *key, size_t key_bytes, const void *value, size_t bytes) {
    return (void)user, (void)key, (void)key_bytes, (void)value, (void)bytes, 1;
}

static clmoe_context *open_context(void) {
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.get_symbol = fault_symbol;
    d.prefer = "emulated/mma";
    d.cache = CLMOE_CACHE_ALWAYS;
    d.keep_for_pack = 1;
    d.cache_get = nothing_kept;
    d.cache_put = nothing_taken;
    clmoe_context *context = NULL;
    STEP(clmoe_context_create(&d, &context, &fault_error));
    assert_non_null(context);
    return context;
}

/* The layer's weights, and the same only planned: both say the same sizes. */
static clmoe_weights *make_weights(clmoe_context *context, clmoe_weights **planned) {
    const clmoe_groups of_host = {.order = CLMOE_CODES_GPTQ, .group_size = 32, .scale_format = CLMOE_F16,
                                  .scales.host = f16_scales, .zeros.host = zeros};
    const clmoe_groups of_device = {.order = CLMOE_CODES_AWQ, .scale_format = CLMOE_BF16, .zeros_less_1 = 1,
                                    .scales.buffer = at(AT_SCALES), .zeros.buffer = at(AT_ZEROS)};
    clmoe_weights_desc d;
    clmoe_weights_desc_default(&d, sizeof d);
    d.hidden_size = H;
    d.arithmetic = CLMOE_ARITHMETIC_BF16;
    d.num_classes = E;
    d.experts = (clmoe_ffn){.num_experts = E, .intermediate_size = I, .gated = 1};
    d.experts.gate = d.experts.up = (clmoe_tensor){.format = CLMOE_U4_G32, .host = codes, .groups = &of_host};
    d.experts.down = (clmoe_tensor){.format = CLMOE_U4_G32, .buffer = at(AT_CODES), .groups = &of_device};
    d.router = (clmoe_tensor){.format = CLMOE_F32, .host = router};
    clmoe_weights *weights = NULL;
    STEP(clmoe_weights_plan(context, &d, planned, &fault_error));
    STEP(clmoe_weights_create(context, &d, &weights, &fault_error));
    assert_non_null(weights);
    assert_int_equal(clmoe_weights_bytes(weights), clmoe_weights_bytes(*planned));
    return weights;
}

static clmoe_layer *make_layer(clmoe_context *context, clmoe_weights *weights) {
    clmoe_layer_desc d;
    clmoe_layer_desc_default(&d, sizeof d);
    d.routing.num_experts = E;
    d.routing.top_k = K;
    clmoe_layer *layer = NULL;
    STEP(clmoe_layer_create(context, weights, &d, &layer, &fault_error));
    assert_non_null(layer);
    return layer;
}

static void run_planned(clmoe_context *context, clmoe_weights *planned) {
    clmoe_layer *layer = make_layer(context, planned);
    clmoe_layer_memory need;
    clmoe_layer_memory_default(&need, sizeof need);
    STEP(clmoe_layer_memory_query(layer, T, &need, &fault_error));
    assert_int_equal(need.weights, clmoe_weights_bytes(planned));
    clmoe_layer_destroy(layer);
    STEP(clmoe_context_trim(context, &fault_error));
}

/* A variant whose kernel does not build gives way to another, whose sums of bf16 products have other roundings. */
static void check_out(const float *out, uint64_t tokens) {
    if (!have_expected) memcpy(expected, out, sizeof expected);
    have_expected = 1;
    if (!fault_happened_in(ENTRY_clBuildProgram)) {
        assert_memory_equal(out, expected, tokens * H * sizeof *out);
        return;
    }
    double largest = 0;
    for (size_t i = 0; i < T * H; i++) largest = fmax(largest, fabs(expected[i]));
    for (size_t i = 0; i < tokens * H; i++) assert_true(fabs(out[i] - expected[i]) <= largest / 64);
}

static void run_forwards(clmoe_layer *layer) {
    clmoe_io io;
    clmoe_io_default(&io, sizeof io);
    io.x = at(AT_X);
    io.out = at(AT_OUT);
    float outs[2][T * H];
    for (int i = 0; i < 2; i++) { /* a token's result is the same in any company */
        io.tokens = i == 0 ? T : 1;
        const size_t bytes = io.tokens * H * sizeof **outs;
        STEP(clmoe_forward(layer, NULL, queue, &io, 0, NULL, NULL, &fault_error));
        assert_int_equal(clEnqueueReadBuffer(queue, memory, CL_TRUE, AT_OUT, bytes, outs[i], 0, NULL, NULL), CL_SUCCESS);
        check_out(outs[i], io.tokens);
    }
    assert_memory_equal(outs[1], outs[0], H * sizeof **outs);
}

/* What one context built, another takes from the pack; a pack that cannot be used costs only time. */
static void run_pack(clmoe_context *maker) {
    STEP(clmoe_context_write_pack(maker, pack, &fault_error));
    clmoe_context *context = open_context();
    STEP(clmoe_context_add_pack(context, pack, &fault_error));
    clmoe_dispatch_desc d;
    clmoe_dispatch_desc_default(&d, sizeof d);
    d.num_classes = d.local_experts = E;
    d.slots = K;
    d.tile_rows = 4;
    clmoe_dispatch *dispatch = NULL;
    STEP(clmoe_dispatch_create(context, &d, &dispatch, &fault_error));
    assert_non_null(dispatch);
    clmoe_dispatch_destroy(dispatch);
    clmoe_context_destroy(context);
}

static void scenario(void) {
    clmoe_context *context = open_context();
    if (memory == NULL) make_own();
    clmoe_weights *planned = NULL, *weights = make_weights(context, &planned);
    run_planned(context, planned);
    clmoe_weights_destroy(planned);
    clmoe_layer *layer = make_layer(context, weights);
    run_forwards(layer);
    run_pack(context);
    clmoe_layer_destroy(layer);
    clmoe_weights_destroy(weights);
    clmoe_context_destroy(context);
    assert_int_equal(clFinish(queue), CL_SUCCESS);
}

static void test_every_call(void **state) {
    (void)state;
    test_random random = test_random_new(61);
    folder = test_folder_new();
    pack = test_path(&folder, "all.pack");
    for (size_t i = 0; i < WORDS; i++) codes[i] = test_random_below(&random, 1u << 31);
    for (size_t i = 0; i < ZEROS; i++) zeros[i] = test_random_below(&random, 1u << 31);
    for (size_t i = 0; i < SCALES; i++) {
        f16_scales[i] = (uint16_t)(0x2800 + test_random_below(&random, 0x800)); /* 1/32 to 1/8 */
        bf16_scales[i] = (uint16_t)(0x3d00 + test_random_below(&random, 0x100));
    }
    for (size_t i = 0; i < E * H; i++) router[i] = (float)test_random_normal(&random);
    for (size_t i = 0; i < T * H; i++) x[i] = (float)test_random_normal(&random);
    fault_trial(scenario, 15, &random);
    assert_int_equal(clReleaseMemObject(memory), CL_SUCCESS);
    assert_int_equal(clReleaseCommandQueue(queue), CL_SUCCESS);
    fault_finish();
    test_folder_free(&folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(test_every_call, fault_say_which)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
