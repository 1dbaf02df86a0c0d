/* What a layer takes of the device's memory: planned, asked of the layer, counted by the pool and by OpenCL's own
 * calls. */
#include <clmoe/clmoe_stages.h>
#include <time.h>

#include "cl_entry.h"
#include "layer_case.h"

/* ----------------------------------------------------------------------------------- buffers that exist, by OpenCL */

/* Bytes of the library's cl_mem objects that are alive. Contexts are used by one thread here; the callback may come
 * from another. */
static volatile int64_t live_bytes;

static void CL_CALLBACK count_gone(cl_mem mem, void *user) {
    (void)mem;
    __atomic_sub_fetch(&live_bytes, (int64_t)(intptr_t)user, __ATOMIC_SEQ_CST);
}

static cl_mem CL_API_CALL count_create(cl_context context, cl_mem_flags flags, size_t bytes, void *host, cl_int *code) {
    cl_mem mem = clCreateBuffer(context, flags, bytes, host, code);
    if (mem == NULL) return NULL;
    assert_int_equal(clSetMemObjectDestructorCallback(mem, count_gone, (void *)(intptr_t)bytes), CL_SUCCESS);
    __atomic_add_fetch(&live_bytes, (int64_t)bytes, __ATOMIC_SEQ_CST);
    return mem;
}

static void *counting_symbol(void *user, const char *name) {
    (void)user;
    if (strcmp(name, "clCreateBuffer") == 0) return (void *)(uintptr_t)&count_create;
    return cl_entry(name);
}

static test_device open_counting(void) {
    clmoe_context_desc desc;
    clmoe_context_desc_default(&desc, sizeof desc);
    desc.get_symbol = counting_symbol;
    return test_open(&desc);
}

static clmoe_memory_stats stats_of(test_device *device) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_memory_stats stats = {.struct_size = sizeof stats};
    OK(clmoe_context_memory(device->context, &stats, &error));
    return stats;
}

/* Fails unless this is what there is, spares given back. OpenCL lets go of a buffer when it likes, after its last
 * command. */
static void assert_live(test_device *device, uint64_t wanted) {
    clmoe_error error = {.struct_size = sizeof error};
    const struct timespec moment = {0, 1000000};
    OK(clmoe_context_trim(device->context, &error));
    assert_int_equal(clFinish(device->queue), CL_SUCCESS);
    assert_int_equal(stats_of(device).bytes_in_use, wanted);
    assert_int_equal(stats_of(device).bytes_reserved, wanted);
    for (int i = 0; i < 10000 && __atomic_load_n(&live_bytes, __ATOMIC_SEQ_CST) > (int64_t)wanted; i++)
        (void)nanosleep(&moment, NULL);
    assert_int_equal(__atomic_load_n(&live_bytes, __ATOMIC_SEQ_CST), wanted);
}

static clmoe_layer_memory memory_of(const clmoe_layer *layer, uint32_t tokens) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_layer_memory memory;
    clmoe_layer_memory_default(&memory, sizeof memory);
    OK(clmoe_layer_memory_query(layer, tokens, &memory, &error));
    return memory;
}

/* ------------------------------------------------------------------------------------------------------ shapes */

static const struct planned_shape {
    uint32_t hidden, intermediate, experts, top_k, shared, latent, format, source, with, tokens;
} shapes[] = {
    {64, 48, 4, 2, 0, 0, CLMOE_F32, CLMOE_F32, 0, 1},
    {512, 512, 16, 2, 0, 0, CLMOE_F32, CLMOE_F32, 0, 2048}, /* blocks of more than 4 MiB lie in lent pages */
    {96, 40, 7, 3, 56, 0, CLMOE_BF16, CLMOE_BF16, CASE_SHARED_GATE | CASE_SELECT_BIAS | CASE_UP_BIAS | CASE_DOWN_BIAS,
     33},
    {64, 32, 6, 2, 0, 32, CLMOE_F32, CLMOE_F32, CASE_OUTPUT_BIAS | CASE_EXPERT_SCALE | CASE_ROUTER_BIAS, 17},
    {320, 288, 9, 2, 0, 0, CLMOE_Q4_0, CLMOE_F32, CASE_FACTORS, 300},
};

static case_options options_of(const struct planned_shape *s) {
    case_options o = case_default(s->hidden, s->intermediate, s->experts, s->top_k);
    o.shared_intermediate = s->shared;
    o.latent = s->latent;
    o.format = s->format;
    o.source_format = s->source;
    o.with = s->with;
    return o;
}

/* The planned layer of these options; its weights are kept by it. */
static clmoe_layer *plan_layer(test_device *device, const clmoe_weights_desc *desc,
                               const clmoe_layer_desc *layer_desc) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_weights *weights = NULL;
    clmoe_layer *layer = NULL;
    OK(clmoe_weights_plan(device->context, desc, &weights, &error));
    OK(clmoe_layer_create(device->context, weights, layer_desc, &layer, &error));
    clmoe_weights_destroy(weights);
    return layer;
}

static void assert_same_memory(const clmoe_layer_memory *a, const clmoe_layer_memory *b) {
    assert_memory_equal(a, b, sizeof *a);
    assert_true(a->weights == a->experts + a->shared + a->router + a->others);
    assert_true(a->workspace == a->plan + a->logits + a->routes + a->inputs + a->hidden + a->rows);
}

/* A plan takes nothing, and says what the layer takes when it is made, byte by byte. */
static void plans_say_what_layers_take(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        clmoe_error error = {.struct_size = sizeof error};
        const case_options o = options_of(&shapes[i]);
        test_device device = open_counting();
        clmoe_weights_desc desc;
        const uint64_t empty = stats_of(&device).bytes_in_use;
        assert_live(&device, empty);
        layer_case *described = case_describe(&device, &o, &desc);
        clmoe_layer *planned = plan_layer(&device, &desc, &o.layer);
        assert_live(&device, empty);
        const clmoe_layer_memory memory = memory_of(planned, shapes[i].tokens);
        clmoe_layer_destroy(planned);
        case_free(described);

        layer_case *c = case_new(&device, &o);
        assert_live(&device, empty + memory.weights);
        assert_int_equal(clmoe_weights_bytes(c->weights), memory.weights);
        const clmoe_layer_memory made = memory_of(c->layer, shapes[i].tokens);
        assert_same_memory(&made, &memory);

        clmoe_workspace *workspace = NULL;
        test_random random = test_random_new(i);
        void *x = case_input(c, shapes[i].tokens, &random);
        OK(clmoe_workspace_create(device.context, device.queue, NULL, &workspace, &error));
        case_result result = case_forward(c, workspace, x, shapes[i].tokens);
        assert_live(&device, empty + memory.weights + memory.arena);
        const uint64_t requests = stats_of(&device).requests;
        case_result again = case_forward(c, workspace, x, shapes[i].tokens);
        assert_int_equal(stats_of(&device).requests, requests);
        case_result_free(&result);
        case_result_free(&again);
        free(x);
        clmoe_workspace_destroy(workspace);
        case_free(c);
        assert_live(&device, empty);
        test_close(&device);
    }
}

/* What can be said without knowing the layout. */
static void plans_agree_with_arithmetic(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    const case_options o = options_of(&shapes[0]);
    clmoe_weights_desc desc;
    layer_case *c = case_describe(&device, &o, &desc);
    clmoe_layer *layer = plan_layer(&device, &desc, &o.layer);
    const clmoe_layer_memory one = memory_of(layer, 1), many = memory_of(layer, 1000);
    assert_int_equal(one.weights - one.padding, (4 * 3 * 64 * 48 + 4 * 64) * 4);
    assert_true(one.padding < one.weights / 2);
    assert_int_equal(one.shared, 0);
    assert_int_equal(one.others, 0);
    assert_int_equal(one.max_rows, 2);
    assert_int_equal(many.max_rows, 2000);
    assert_int_equal(many.weights, one.weights);
    assert_int_equal(many.rows, 2000 * 64 * 4);
    assert_int_equal(many.logits, (1000 * 4 * 4 + 255) / 256 * 256);
    assert_in_range(many.routes, 2000 * 8, 2000 * 8 + 3 * 256);
    assert_true(many.arena >= many.workspace && many.arena - many.workspace < 4096);
    assert_int_equal(many.pass_tokens, 1000);
    clmoe_layer_destroy(layer);
    case_free(c);
    test_close(&device);
}

/* A layer that no device here holds. Its sources are not there at all: reading one would end the test. */
static void plans_have_no_limits(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_context_desc small;
    clmoe_context_desc_default(&small, sizeof small);
    small.max_alloc_bytes = 64 << 20;
    test_device device = test_open(&small);
    const clmoe_tensor matrix = {.format = CLMOE_BF16, .host = (const void *)(uintptr_t)64};
    clmoe_weights_desc desc;
    clmoe_layer_desc layer_desc;
    clmoe_weights *weights = NULL;
    clmoe_weights_desc_default(&desc, sizeof desc);
    clmoe_layer_desc_default(&layer_desc, sizeof layer_desc);
    desc.hidden_size = 7168;
    desc.num_classes = desc.experts.num_experts = layer_desc.routing.num_experts = 256;
    desc.experts.intermediate_size = 2048;
    layer_desc.routing.top_k = 8;
    desc.experts.gate = desc.experts.up = desc.experts.down = desc.router = matrix;
    clmoe_layer *layer = plan_layer(&device, &desc, &layer_desc);
    const clmoe_layer_memory memory = memory_of(layer, 4096);
    assert_int_equal(memory.weights - memory.padding, (uint64_t)256 * 3 * 7168 * 2048 * 2 + (uint64_t)256 * 7168 * 4);
    assert_in_range(memory.padding, 0, memory.weights / 1000);
    assert_int_equal(memory.max_rows, 8 * 4096);
    assert_in_range(memory.pass_tokens, 1, 4095); /* an arena is one buffer */
    FAILS(clmoe_weights_create(device.context, &desc, &weights, &error), CLMOE_OUT_OF_DEVICE_MEMORY, "8 buffers");
    clmoe_layer_destroy(layer);
    test_close(&device);
}

static void planned_layers_run_nothing(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    test_device device = test_open(NULL);
    const case_options o = options_of(&shapes[0]);
    clmoe_weights_desc desc;
    layer_case *c = case_describe(&device, &o, &desc);
    clmoe_layer *layer = plan_layer(&device, &desc, &o.layer);
    float x[64] = {0}, y[64];
    test_buffer in = test_buffer_new(&device, sizeof x, x), out = test_buffer_new(&device, sizeof y, NULL);
    clmoe_io io;
    clmoe_io_default(&io, sizeof io);
    io.tokens = 1;
    io.x = in.at;
    io.out = out.at;
    FAILS(clmoe_forward(layer, NULL, device.queue, &io, 0, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "planned");
    FAILS(clmoe_forward_host(layer, x, 1, y, &error), CLMOE_INVALID_ARGUMENT, "planned");
    test_buffer_untouched(&device, &out);
    test_buffer_free(&device, &in);
    test_buffer_free(&device, &out);
    clmoe_layer_destroy(layer);
    case_free(c);
    test_close(&device);
}

static void wrong_arguments_are_named(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    test_device device = test_open(NULL);
    const case_options o = options_of(&shapes[0]);
    clmoe_weights_desc desc;
    layer_case *c = case_describe(&device, &o, &desc);
    clmoe_layer *layer = plan_layer(&device, &desc, &o.layer);
    clmoe_weights *weights = NULL;
    clmoe_layer_memory memory;
    clmoe_layer_memory_default(&memory, sizeof memory);
    FAILS(clmoe_layer_memory_query(NULL, 1, &memory, &error), CLMOE_INVALID_ARGUMENT, "layer");
    FAILS(clmoe_layer_memory_query(layer, 1, NULL, &error), CLMOE_INVALID_ARGUMENT, "memory");
    FAILS(clmoe_layer_memory_query(layer, UINT32_MAX, &memory, &error), CLMOE_INVALID_ARGUMENT, "tokens");
    memory.struct_size = 1;
    FAILS(clmoe_layer_memory_query(layer, 1, &memory, &error), CLMOE_INVALID_ARGUMENT, "struct_size");
    FAILS(clmoe_context_trim(NULL, &error), CLMOE_INVALID_ARGUMENT, "context");
    FAILS(clmoe_weights_plan(NULL, &desc, &weights, &error), CLMOE_INVALID_ARGUMENT, "context");
    FAILS(clmoe_weights_plan(device.context, NULL, &weights, &error), CLMOE_INVALID_ARGUMENT, "desc");
    FAILS(clmoe_weights_plan(device.context, &desc, NULL, &error), CLMOE_INVALID_ARGUMENT, "weights");
    desc.hidden_size = 0;
    FAILS(clmoe_weights_plan(device.context, &desc, &weights, &error), CLMOE_INVALID_ARGUMENT, "hidden_size");
    assert_null(weights);
    clmoe_layer_destroy(layer);
    case_free(c);
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_say_what_layers_take), cmocka_unit_test(plans_agree_with_arithmetic),
        cmocka_unit_test(plans_have_no_limits), cmocka_unit_test(planned_layers_run_nothing),
        cmocka_unit_test(wrong_arguments_are_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
