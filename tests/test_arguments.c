/* Each argument of the functions that create things invalid once: the exact status, a message that names it, NULL where
 * the object would have been, no device memory kept. test_arguments_io.c does the same for the functions that run
 * them. */
#include <stdio.h>

#include "layer_case.h"
#include "one_device.h"
#include "poke.h"

enum { H = 12, I = 10, E = 4, K = 2, LATENT = 7 };

static clmoe_error error = {.struct_size = sizeof error};

static uint64_t bytes_in_use(void) {
    clmoe_memory_stats s = {.struct_size = sizeof s};
    assert_int_equal(clmoe_context_memory(device.context, &s, NULL), CLMOE_OK);
    return s.bytes_in_use;
}

static const char *show(const poke *p) {
    static char text[96];
    (void)snprintf(text, sizeof text, "%s (offset %zu)", p->contains, p->offset);
    return text;
}

/* ---------------------------------------------------------------------------------------------- context */

static void context_fails(const clmoe_context_desc *d, clmoe_status wanted, const char *contains) {
    clmoe_context *context = (clmoe_context *)(void *)&error;
    memset(&error, 0, sizeof error);
    FAILS(clmoe_context_create(d, &context, &error), wanted, contains);
    assert_null(context);
    assert_int_not_equal(clmoe_context_create(d, &context, NULL), CLMOE_OK); /* the detail is optional */
}

static void *no_symbol(void *user, const char *name) {
    (void)user;
    (void)name;
    return NULL;
}

static void test_context(void **state) {
    (void)state;
    clmoe_context_desc d, good;
    clmoe_context_desc_default(&good, sizeof good);
    FAILS(clmoe_context_create(&good, NULL, &error), CLMOE_INVALID_ARGUMENT, "context");
    d = good;
    d.device = "a device that does not exist";
    context_fails(&d, CLMOE_NO_DEVICE, "a device that does not exist");
    d.device = "97:0";
    context_fails(&d, CLMOE_NO_DEVICE, "97");
    d = good;
    d.get_symbol = no_symbol;
    context_fails(&d, CLMOE_NO_OPENCL, "cl");
    d = good;
    d.adopt_device = device.id;
    context_fails(&d, CLMOE_INVALID_ARGUMENT, "adopt_context");
    d = good;
    d.adopt_context = device.cl;
    context_fails(&d, CLMOE_INVALID_ARGUMENT, "adopt_device");
    static const poke pokes[] = {
        POKE32(clmoe_context_desc, vector_width, 5, "vector_width"),
        POKE32(clmoe_context_desc, vector_width, 32, "vector_width"),
        POKE64(clmoe_context_desc, max_alloc_bytes, UINT64_MAX, "max_alloc_bytes"),
        POKE64(clmoe_context_desc, max_local_bytes, UINT64_MAX, "max_local_bytes"),
        POKE32(clmoe_context_desc, max_work_group_size, UINT32_MAX, "max_work_group_size"),
    };
    for (size_t i = 0; i < sizeof pokes / sizeof *pokes; i++) {
        d = good;
        poke_apply(&d, &pokes[i]);
        context_fails(&d, CLMOE_INVALID_ARGUMENT, pokes[i].contains);
    }
    FAILS(clmoe_context_opencl(NULL, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "context");
    OK(clmoe_context_opencl(device.context, NULL, NULL, &error));
    clmoe_memory_stats stats = {.struct_size = sizeof stats};
    FAILS(clmoe_context_memory(NULL, &stats, &error), CLMOE_INVALID_ARGUMENT, "context");
    FAILS(clmoe_context_memory(device.context, NULL, &error), CLMOE_INVALID_ARGUMENT, "stats");
    clmoe_context_destroy(NULL);
}

static void test_describe(void **state) {
    (void)state;
    char text[8192];
    size_t length = 0;
    FAILS(clmoe_context_describe(NULL, text, sizeof text, &length, &error), CLMOE_INVALID_ARGUMENT, "context");
    FAILS(clmoe_context_describe(device.context, NULL, 10, &length, &error), CLMOE_INVALID_ARGUMENT, "text");
    OK(clmoe_context_describe(device.context, NULL, 0, &length, &error));
    assert_true(length > 0 && length < sizeof text);
    memset(text, 'x', sizeof text);
    OK(clmoe_context_describe(device.context, text, length / 2, NULL, &error)); /* truncated, ended, nothing behind */
    assert_int_equal(strlen(text), length / 2 - 1);
    assert_int_equal(text[length / 2], 'x');
    OK(clmoe_context_describe(device.context, text, sizeof text, NULL, &error));
    assert_int_equal(strlen(text), length);
    const case_options o = case_default(H, I, E, K);
    layer_case *c = case_new(&device, &o);
    OK(clmoe_layer_describe(c->layer, text, sizeof text, &length, &error));
    assert_int_equal(strlen(text), length);
    FAILS(clmoe_layer_describe(NULL, text, sizeof text, &length, &error), CLMOE_INVALID_ARGUMENT, "layer");
    FAILS(clmoe_layer_describe(c->layer, NULL, 10, &length, &error), CLMOE_INVALID_ARGUMENT, "text");
    case_free(c);
}

/* ---------------------------------------------------------------------------------------------- weights */

#define W clmoe_weights_desc
static const poke weights_pokes[] = {
    POKE32(W, hidden_size, 0, "hidden_size"),
    POKE32(W, format, 9, "format"),
    POKE32(W, arithmetic, 7, "arithmetic"),
    POKE32(W, num_classes, 0, "num_classes"),
    POKE32(W, num_classes, 1025, "num_classes"),
    POKE32(W, experts.num_experts, 0, "num_experts"),
    POKE32(W, experts.num_experts, 1025, "num_experts"),
    POKE32(W, experts.intermediate_size, 0, "intermediate_size"),
    POKE32(W, experts.gated, 2, "gated"),
    POKE32(W, experts.gated, 0, "gate"),
    POKE32(W, experts.gate_up, 3, "gate_up"),
    POKE32(W, experts.gate_up, CLMOE_GATE_UP_CONCATENATED, "gate"),
    POKE32(W, experts.up.format, 9, "experts.up"),
    POKE32(W, experts.up.format, CLMOE_FORMAT_NONE, "experts.up"),
    POKE32(W, experts.up.layout, 2, "experts.up"),
    POKE64(W, experts.up.row_stride, LATENT - 1, "experts.up"),
    POKE64(W, experts.up.expert_stride, 3, "experts.up"),
    POKE64(W, experts.up.reserved, 1, "experts.up"),
    POKE_NULL(W, experts.up.host, "experts.up"),
    POKE_NULL(W, experts.gate.host, "experts.gate"),
    POKE_NULL(W, experts.down.host, "experts.down"),
    POKE32(W, experts.up_bias.format, 9, "experts.up_bias"),
    POKE32(W, experts.gate_bias.format, 9, "experts.gate_bias"),
    POKE32(W, experts.down_bias.format, 9, "experts.down_bias"),
    POKE32(W, shared.num_experts, 2, "shared.num_experts"),
    POKE32(W, shared.gated, 5, "shared"),
    POKE64(W, shared.up.row_stride, H - 1, "shared.up"),
    POKE_NULL(W, shared.up.host, "shared.up"),
    POKE_NULL(W, shared.gate.host, "shared.gate"),
    POKE_NULL(W, shared.down.host, "shared.down"),
    POKE32(W, shared.intermediate_size, 0, "shared"),
    POKE32(W, shared_gate.format, 9, "shared_gate"),
    POKE32(W, router.format, 9, "router"),
    POKE32(W, router.layout, 2, "router"),
    POKE32(W, router_bias.format, 9, "router_bias"),
    POKE32(W, select_bias.format, 9, "select_bias"),
    POKE32(W, expert_scale.format, 9, "expert_scale"),
    POKE32(W, output_bias.format, 9, "output_bias"),
    POKE32(W, latent_size, (1u << 20) + 1, "latent_size"),
    POKE32(W, latent_size, 0, "latent_in"), /* which is given */
    POKE32(W, latent_in.format, 9, "latent_in"),
    POKE32(W, latent_in.layout, 2, "latent_in"),
    POKE64(W, latent_in.row_stride, H - 1, "latent_in"),
    POKE_NULL(W, latent_in.host, "latent_in"),
    POKE32(W, latent_in.buffer.kind, 3, "latent_in"),
    POKE32(W, latent_out.format, 9, "latent_out"),
    POKE64(W, latent_out.row_stride, LATENT - 1, "latent_out"),
    POKE64(W, latent_out.reserved, 1, "latent_out"),
    POKE_NULL(W, latent_out.host, "latent_out"),
    POKE64(W, experts.down.row_stride, I - 1, "experts.down"),
    POKE32(W, experts.up.buffer.kind, 1, "experts.up"), /* a second source, and without a handle */
    POKE32(W, experts.up.buffer.kind, 3, "experts.up"),
};
#undef W

static case_options full_case(void) {
    case_options o = case_default(H, I, E, K);
    o.latent = LATENT;
    o.shared_intermediate = 6;
    o.with = CASE_UP_BIAS | CASE_DOWN_BIAS | CASE_ROUTER_BIAS | CASE_SELECT_BIAS | CASE_EXPERT_SCALE |
             CASE_OUTPUT_BIAS | CASE_SHARED_GATE;
    return o;
}

static void weights_fail(const clmoe_weights_desc *d, clmoe_status status, const char *contains) {
    clmoe_weights *weights = (clmoe_weights *)(void *)&error;
    FAILS(clmoe_weights_create(device.context, d, &weights, &error), status, contains);
    assert_null(weights);
    weights = (clmoe_weights *)(void *)&error;
    FAILS(clmoe_weights_plan(device.context, d, &weights, &error), status, contains); /* a plan is as strict */
    assert_null(weights);
}

static void test_weights(void **state) {
    (void)state;
    const case_options o = full_case();
    clmoe_weights_desc good, d;
    layer_case *c = case_describe(&device, &o, &good);
    const uint64_t before = bytes_in_use();
    clmoe_weights *weights = NULL;
    FAILS(clmoe_weights_create(NULL, &good, &weights, &error), CLMOE_INVALID_ARGUMENT, "context");
    FAILS(clmoe_weights_create(device.context, NULL, &weights, &error), CLMOE_INVALID_ARGUMENT, "desc");
    FAILS(clmoe_weights_create(device.context, &good, NULL, &error), CLMOE_INVALID_ARGUMENT, "weights");
    for (size_t i = 0; i < sizeof weights_pokes / sizeof *weights_pokes; i++) {
        d = good;
        poke_apply(&d, &weights_pokes[i]);
        if (getenv("CLMOE_TEST_VERBOSE") != NULL) print_message("weights: %s\n", show(&weights_pokes[i]));
        weights_fail(&d, weights_pokes[i].status, weights_pokes[i].contains);
    }
    d = good;
    d.arithmetic = CLMOE_ARITHMETIC_BF16; /* of f32 weights */
    weights_fail(&d, CLMOE_UNSUPPORTED, "arithmetic");
    d = good;
    const void *list[E] = {d.experts.up.host, d.experts.up.host, NULL, d.experts.up.host};
    d.experts.up.host_list = list;
    weights_fail(&d, CLMOE_INVALID_ARGUMENT, "experts.up");
    d.experts.up.host = NULL; /* one source now, with a hole */
    weights_fail(&d, CLMOE_INVALID_ARGUMENT, "experts.up");
    d = good;
    test_buffer small = test_buffer_new(&device, E * I * LATENT * 4, NULL);
    d.experts.up.host = NULL;
    d.experts.up.buffer = small.at;
    d.experts.up.buffer.offset += 4 * 64; /* the last expert ends behind the buffer */
    weights_fail(&d, CLMOE_INVALID_ARGUMENT, "experts.up");
    d.experts.up.buffer.offset = small.at.offset + 2;
    weights_fail(&d, CLMOE_INVALID_ARGUMENT, "experts.up");
    test_buffer_free(&device, &small);
    d = good;
    d.latent_size = 0;
    d.latent_in = (clmoe_tensor){0}; /* latent_out alone */
    weights_fail(&d, CLMOE_INVALID_ARGUMENT, "latent_out");
    d = good;
    d.latent_in.layout = CLMOE_IN_OUT;
    d.latent_in.row_stride = LATENT - 1; /* of [H, L] */
    weights_fail(&d, CLMOE_INVALID_ARGUMENT, "latent_in");
    assert_int_equal(bytes_in_use(), before);
    assert_int_equal(clmoe_weights_bytes(NULL), 0);
    clmoe_weights_destroy(NULL);
    case_free(c);
}

/* ------------------------------------------------------------------------------------------------ layer */

#define L clmoe_layer_desc
static const poke layer_pokes[] = {
    POKE32(L, routing.num_experts, 0, "num_experts"),
    POKE32(L, routing.num_experts, E + 1, "num_experts"),
    POKE32(L, routing.num_experts, 1025, "num_experts"),
    POKE32(L, routing.top_k, 0, "top_k"),
    POKE32(L, routing.top_k, E + 1, "top_k"),
    POKE32(L, routing.method, 9, "method"),
    POKE32(L, routing.score, 9, "score"),
    POKE32(L, routing.score_position, 9, "score_position"),
    POKE32(L, routing.bias_on, 9, "bias_on"),
    POKE32(L, routing.logit_scale, POKE_NAN, "logit_scale"),
    POKE32(L, routing.logit_softcap, POKE_MINUS_ONE, "logit_softcap"),
    POKE32(L, routing.n_group, 3, "n_group"),
    POKE32(L, routing.group_score, 9, "group_score"),
    POKE32(L, routing.group_mask, 9, "group_mask"),
    POKE32(L, routing.normalize, 9, "normalize"),
    POKE32(L, routing.norm_eps, POKE_MINUS_ONE, "norm_eps"),
    POKE32(L, routing.norm_floor, POKE_NAN, "norm_floor"),
    POKE32(L, routing.scale, POKE_INFINITY, "scale"),
    POKE32(L, routing.weight_on, 9, "weight_on"),
    POKE32(L, routing.zero_experts, 1, "classes"), /* the weights have E rows of router */
    POKE32(L, routing.always_experts, E, "always_experts"),
    POKE32(L, activation.kind, 9, "activation"),
    POKE32(L, activation.gated, 0, "gated"),
    POKE32(L, activation.gated, 2, "gated"),
    POKE32(L, activation.alpha, POKE_NAN, "alpha"),
    POKE32(L, activation.up_offset, POKE_NAN, "up_offset"),
    POKE32(L, activation.limit, POKE_MINUS_ONE, "limit"),
    POKE32(L, activation.limit_position, 9, "limit_position"),
    POKE32(L, activation.gate_softcap, POKE_MINUS_ONE, "gate_softcap"),
    POKE32(L, activation.up_softcap, POKE_NAN, "up_softcap"),
    POKE32(L, activation.reserved[2], 1, "activation"),
    POKE32(L, shared_activation.kind, 9, "shared_activation"),
    POKE32(L, shared_activation.gated, 0, "shared_activation"),
    POKE32(L, x_format, 9, "x_format"),
    POKE32(L, x_format, CLMOE_FORMAT_NONE, "x_format"),
    POKE32(L, out_format, 9, "out_format"),
    POKE32(L, routed_scale, POKE_NAN, "routed_scale"),
    POKE32(L, shared_scale, POKE_NAN, "shared_scale"),
    POKE32(L, first_expert, 1, "first_expert"),
    POKE32(L, local_experts, E + 1, "local_experts"),
    POKE32(L, local_experts, 1, "local_experts"), /* the weights hold E */
    POKE32(L, omit_shared, 2, "omit_shared"),
    POKE32(L, allow_variance, 2, "allow_variance"),
    POKE32(L, y_format, CLMOE_FORMAT_NONE, "y_format"),
    POKE32(L, y_format, CLMOE_F8_E4M3, "y_format"),
    POKE32(L, router_input, 2, "router_input"),
};
#undef L

static void test_layer(void **state) {
    (void)state;
    const case_options o = full_case();
    layer_case *c = case_new(&device, &o);
    const uint64_t before = bytes_in_use();
    clmoe_layer *layer = NULL;
    FAILS(clmoe_layer_create(NULL, c->weights, &o.layer, &layer, &error), CLMOE_INVALID_ARGUMENT, "context");
    FAILS(clmoe_layer_create(device.context, NULL, &o.layer, &layer, &error), CLMOE_INVALID_ARGUMENT, "weights");
    FAILS(clmoe_layer_create(device.context, c->weights, NULL, &layer, &error), CLMOE_INVALID_ARGUMENT, "desc");
    FAILS(clmoe_layer_create(device.context, c->weights, &o.layer, NULL, &error), CLMOE_INVALID_ARGUMENT, "layer");
    for (size_t i = 0; i < sizeof layer_pokes / sizeof *layer_pokes; i++) {
        clmoe_layer_desc d = o.layer;
        poke_apply(&d, &layer_pokes[i]);
        layer = (clmoe_layer *)(void *)&error;
        if (getenv("CLMOE_TEST_VERBOSE") != NULL) print_message("layer: %s\n", show(&layer_pokes[i]));
        FAILS(clmoe_layer_create(device.context, c->weights, &d, &layer, &error), layer_pokes[i].status,
              layer_pokes[i].contains);
        assert_null(layer);
    }
    assert_int_equal(bytes_in_use(), before);
    test_device other = test_open(NULL); /* weights of another context */
    FAILS(clmoe_layer_create(other.context, c->weights, &o.layer, &layer, &error), CLMOE_INVALID_ARGUMENT, "weights");
    test_close(&other);
    clmoe_layer_destroy(NULL);
    case_free(c);
}

/* ------------------------------------------------------------------------------- workspace, sizes, structs */

static void test_workspace(void **state) {
    (void)state;
    clmoe_workspace *workspace = NULL;
    clmoe_workspace_desc d;
    clmoe_workspace_desc_default(&d, sizeof d);
    FAILS(clmoe_workspace_create(NULL, device.queue, NULL, &workspace, &error), CLMOE_INVALID_ARGUMENT, "context");
    FAILS(clmoe_workspace_create(device.context, NULL, NULL, &workspace, &error), CLMOE_INVALID_ARGUMENT, "queue");
    FAILS(clmoe_workspace_create(device.context, device.queue, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT,
          "workspace");
    test_device other = test_open(NULL);
    FAILS(clmoe_workspace_create(device.context, other.queue, NULL, &workspace, &error), CLMOE_INVALID_ARGUMENT,
          "queue");
    test_close(&other);
    test_buffer memory = test_buffer_new(&device, 4096, NULL);
    d.memory = memory.at;
    d.memory_bytes = 1 << 20;
    FAILS(clmoe_workspace_create(device.context, device.queue, &d, &workspace, &error), CLMOE_INVALID_ARGUMENT,
          "memory");
    d.memory.kind = 2;
    d.memory_bytes = 4096;
    FAILS(clmoe_workspace_create(device.context, device.queue, &d, &workspace, &error), CLMOE_INVALID_ARGUMENT,
          "memory");
    assert_null(workspace);
    test_buffer_free(&device, &memory);
    clmoe_workspace_destroy(NULL);
}

/* Callers of other ages: a struct that ends early gets defaults; one that goes on must go on with zeros. */
static void test_struct_sizes(void **state) {
    (void)state;
    struct {
        clmoe_layer_desc desc;
        uint32_t future[4];
    } newer;
    const case_options o = full_case();
    layer_case *c = case_new(&device, &o);
    clmoe_layer *layer = NULL;
    memset(&newer, 0, sizeof newer);
    newer.desc = o.layer;
    newer.desc.struct_size = sizeof newer;
    OK(clmoe_layer_create(device.context, c->weights, &newer.desc, &layer, &error));
    clmoe_layer_destroy(layer);
    newer.future[3] = 1;
    FAILS(clmoe_layer_create(device.context, c->weights, &newer.desc, &layer, &error), CLMOE_INVALID_ARGUMENT, "desc");
    clmoe_layer_desc older = o.layer;
    older.struct_size = offsetof(clmoe_layer_desc, first_expert);
    older.first_expert = 12345;
    OK(clmoe_layer_create(device.context, c->weights, &older, &layer, &error));
    clmoe_layer_destroy(layer);
    older.struct_size = 0;
    FAILS(clmoe_layer_create(device.context, c->weights, &older, &layer, &error), CLMOE_INVALID_ARGUMENT,
          "struct_size");
    case_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context), cmocka_unit_test(test_describe),  cmocka_unit_test(test_weights),
        cmocka_unit_test(test_layer),   cmocka_unit_test(test_workspace), cmocka_unit_test(test_struct_sizes),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
