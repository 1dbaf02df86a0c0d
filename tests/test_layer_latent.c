/* Experts that work in a smaller space: latent_in in front of them, latent_out behind their weighted sum. Against the
 * oracle on both macro-kernels, against the same layer without a latent space where the two matrices are the identity,
 * and what the layer says of itself. What holds of every layer is tested with a latent space where it is tested
 * without. */
#include "layer_case.h"

static clmoe_error error = {.struct_size = sizeof error};

static test_device open_without(const char *disable) {
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.disable = disable;
    return test_open(&d);
}

/* Nemotron-H's block: no gate, relu squared, sigmoid scores with a bias for selection, one shared expert. */
static case_options nemotron(uint32_t format) {
    case_options o = case_default(76, 41, 9, 3);
    o.latent = 28;
    o.stream = 900;
    o.format = o.source_format = format;
    OK(clmoe_routing_preset(&o.layer.routing, "nemotron_h", &error));
    o.layer.routing.scale = 2.5f;
    o.layer.activation = o.layer.shared_activation = (clmoe_activation){.kind = CLMOE_RELU2, .alpha = 1};
    o.shared_intermediate = 50;
    o.with = CASE_SELECT_BIAS;
    return o;
}

static void run(test_device *device, const case_options *o, uint32_t tokens) {
    case_result r = case_run(device, o, tokens, 901);
    case_result_free(&r);
}

/* Formats, gated and not, with shared experts and without, weights on either side; L below, at and above H. */
static case_options sixteen_bits(void) {
    case_options o = nemotron(CLMOE_BF16);
    o.layer.x_format = o.layer.out_format = CLMOE_BF16;
    return o;
}

static case_options as_wide(void) {
    case_options o = nemotron(CLMOE_F16);
    o.layer.activation = (clmoe_activation){.kind = CLMOE_SILU, .gated = 1, .alpha = 1};
    o.shared_intermediate = 0;
    o.latent = o.hidden;
    o.layout = CLMOE_IN_OUT;
    o.source = CASE_BUFFER;
    o.with = CASE_UP_BIAS | CASE_DOWN_BIAS | CASE_OUTPUT_BIAS;
    o.layer.routed_scale = 0.5f;
    return o;
}

static case_options wider(void) {
    case_options o = nemotron(CLMOE_F32);
    o.latent = 131;
    o.layer.x_format = CLMOE_F16;
    o.layer.routing.weight_on = CLMOE_WEIGHT_ON_INPUT;
    o.layer.routed_scale = -1.5f;
    o.layer.shared_scale = 0.25f;
    o.with |= CASE_SHARED_GATE;
    return o;
}

static case_options without_shared(void) {
    case_options o = nemotron(CLMOE_BF16);
    o.arithmetic = CLMOE_ARITHMETIC_BF16;
    o.latent = 33;
    o.layer.omit_shared = 1;
    o.with |= CASE_OUTPUT_BIAS;
    return o;
}

static const struct {
    case_options (*options)(void);
    uint32_t tokens;
} kinds[] = {{sixteen_bits, 33}, {as_wide, 17}, {wider, 1}, {without_shared, 40}};

static void run_kinds(const char *disable, uint32_t first, uint32_t step) {
    test_device device = open_without(disable);
    for (uint32_t i = first; i < sizeof kinds / sizeof *kinds; i += step) {
        const case_options o = kinds[i].options();
        run(&device, &o, kinds[i].tokens);
    }
    test_close(&device);
}

static void test_first_choice(void **state) {
    (void)state;
    run_kinds(NULL, 0, 1);
}

/* Half of them, by turns: every one is kernels to compile. */
static void test_tiles_in_local_memory(void **state) {
    (void)state;
    test_random random = test_random_new(904);
    run_kinds("cpu", test_random_below(&random, 2), 2);
}

static layer_case *make(test_device *device, const case_options *o, const float *latent) {
    clmoe_weights_desc desc;
    layer_case *c = case_describe(device, o, &desc);
    if (latent != NULL) desc.latent_in.host = desc.latent_out.host = latent;
    OK(clmoe_weights_create(device->context, &desc, &c->weights, &error));
    OK(clmoe_layer_create(device->context, c->weights, &o->layer, &c->layer, &error));
    return c;
}

/* With the identity on either side it is the layer without a latent space, to the bit. */
static void test_identity(void **state) {
    (void)state;
    enum { H = 52, T = 19 };
    static float identity[H * H];
    for (int i = 0; i < H; i++) identity[i * H + i] = 1;
    test_device device = test_open(NULL);
    case_options o = case_default(H, 30, 6, 2);
    o.shared_intermediate = 20;
    o.with = CASE_OUTPUT_BIAS | CASE_SHARED_GATE | CASE_DOWN_BIAS;
    o.layer.routed_scale = 1.75f;
    layer_case *plain = make(&device, &o, NULL);
    o.latent = H;
    layer_case *latent = make(&device, &o, identity);
    test_random random = test_random_new(902);
    void *x = case_input(plain, T, &random);
    case_result a = case_forward(plain, NULL, x, T), b = case_forward(latent, NULL, x, T);
    case_check(plain, x, T, &a);
    case_same(plain, "identities around the experts", &a, &b, T);
    case_result_free(&a);
    case_result_free(&b);
    free(x);
    case_free(plain);
    case_free(latent);
    test_close(&device);
}

/* What one expert a token needs in a narrow latent space is less than x itself: the arena's regions are as large as the
 * steps from and to x want them, in memory that has no byte to spare. */
static void test_narrow(void **state) {
    (void)state;
    static const char *const disable[] = {NULL, "cpu"};
    for (int i = 0; i < 2; i++) {
        test_device device = open_without(disable[i]);
        case_options o = case_default(700, 3, 5, 1);
        o.latent = 140;
        layer_case *c = case_new(&device, &o);
        test_random random = test_random_new(903);
        case_run_exactly(c, 45, &random);
        case_free(c);
        test_close(&device);
    }
}

/* Every stage is named, with its shape. */
static void test_described(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    const case_options o = nemotron(CLMOE_F32);
    layer_case *c = case_new(&device, &o);
    char text[4096];
    OK(clmoe_layer_describe(c->layer, text, sizeof text, NULL, &error));
    static const char *const wanted[] = {"latent in", "[28, 76]", "latent sum", "latent out", "[76, 28]", "[41, 28]"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (strstr(text, wanted[i]) == NULL) fail_msg("\"%s\" is not in:\n%s", wanted[i], text);
    }
    case_free(c);
    test_close(&device);
}

/* Identity experts add x, which has another size than the experts' sum. */
static void test_zero_experts(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    case_options o = nemotron(CLMOE_F32);
    o.layer.routing.zero_experts = 2;
    clmoe_weights_desc desc;
    layer_case *c = case_describe(&device, &o, &desc);
    OK(clmoe_weights_create(device.context, &desc, &c->weights, &error));
    FAILS(clmoe_layer_create(device.context, c->weights, &o.layer, &c->layer, &error), CLMOE_INVALID_ARGUMENT,
          "zero_experts");
    assert_null(c->layer);
    case_free(c);
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_choice), cmocka_unit_test(test_tiles_in_local_memory),
        cmocka_unit_test(test_identity),     cmocka_unit_test(test_narrow),
        cmocka_unit_test(test_described),    cmocka_unit_test(test_zero_experts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
