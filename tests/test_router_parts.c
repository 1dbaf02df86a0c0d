/* A router in two bf16 matrices (clmoe_weights_desc.router_arithmetic): its logits against the double oracle in every
 * macro-kernel, those for matrix units with emulated fragments; within the error that clmoe_weights.h states, exact
 * products where the source is bf16, the same bits in every batch; and layers whose router is kept so. */
#include <math.h>
#include <stdio.h>

#include "layer_case.h"

enum { HIDDEN = 1000, CLASSES = 150, TOKENS = 37 };

static clmoe_error error = {.struct_size = sizeof error};

/* A macro-kernel, by the name its variant begins with; NULL: whichever this device has. */
typedef struct way {
    const char *prefer, *disable, *variant;
} way;

static const way ways[] = {
    {NULL, NULL, NULL},
    {NULL, "cpu,matrix", "gpu"},
    {"emulated/mma", NULL, "emulated/mma"},
    {"emulated/wgmma", NULL, "emulated/wgmma"},
};

static test_device open_way(const way *w) {
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.prefer = w->prefer;
    d.disable = w->disable;
    return test_open(&d);
}

/* ---------------------------------------------------------------------------------------------- the logits */

/* What a router multiplies, and its exact logits with the sums of their terms' magnitudes. */
typedef struct problem {
    uint32_t format; /* of the router's source */
    void *router, *x; /* [CLASSES, HIDDEN]; bf16 [TOKENS, HIDDEN] */
    float bias[CLASSES];
    double *logits, *magnitude; /* [TOKENS, CLASSES] */
} problem;

static problem problem_new(uint32_t format, uint64_t stream) {
    const size_t weights = (size_t)CLASSES * HIDDEN, values = (size_t)TOKENS * HIDDEN;
    const size_t results = (size_t)TOKENS * CLASSES;
    test_random random = test_random_new(stream);
    problem p = {format, calloc(weights, 4), calloc(values, 2), {0}, calloc(results, 8), calloc(results, 8)};
    double *w = calloc(weights, sizeof *w), *x = calloc(values, sizeof *x), bias[CLASSES];
    for (size_t i = 0; i < weights; i++) {
        test_store(p.router, format, i, test_random_normal(&random) / sqrt(HIDDEN));
        w[i] = test_load(p.router, format, i);
    }
    for (size_t i = 0; i < values; i++) {
        test_store(p.x, CLMOE_BF16, i, test_random_normal(&random));
        x[i] = test_load(p.x, CLMOE_BF16, i);
    }
    for (size_t i = 0; i < CLASSES; i++) bias[i] = (double)(p.bias[i] = (float)test_random_normal(&random));
    const oracle_layer layer = {.hidden = HIDDEN, .classes = CLASSES, .router = w, .router_bias = bias};
    oracle_logits(&layer, x, TOKENS, p.logits, p.magnitude);
    free(w);
    free(x);
    return p;
}

static void problem_free(problem *p) {
    free(p->router);
    free(p->x);
    free(p->logits);
    free(p->magnitude);
}

static clmoe_logits *stage_new(test_device *device, const problem *p, uint32_t arithmetic) {
    clmoe_logits_desc d;
    clmoe_logits *stage = NULL;
    clmoe_logits_desc_default(&d, sizeof d);
    d.hidden_size = HIDDEN;
    d.num_classes = CLASSES;
    d.x_format = CLMOE_BF16;
    d.router = (clmoe_tensor){.format = p->format, .host = p->router};
    d.bias = (clmoe_tensor){.format = CLMOE_F32, .host = p->bias};
    d.arithmetic = arithmetic;
    OK(clmoe_logits_create(device->context, &d, &stage, &error));
    return stage;
}

/* Logits of `tokens` tokens from `first` on. */
static void run(test_device *device, clmoe_logits *stage, const problem *p, uint32_t first, uint32_t tokens,
                float *to) {
    clmoe_logits_io io;
    clmoe_logits_io_default(&io, sizeof io);
    test_buffer x = test_buffer_new(device, (size_t)tokens * HIDDEN * 2, (uint16_t *)p->x + (size_t)first * HIDDEN);
    test_buffer logits = test_buffer_new(device, (size_t)tokens * CLASSES * 4, NULL);
    io.tokens = tokens;
    io.x = x.at;
    io.logits = logits.at;
    OK(clmoe_logits_enqueue(stage, NULL, device->queue, &io, 0, NULL, NULL, &error));
    test_buffer_read(device, &logits, to);
    test_buffer_free(device, &x);
    test_buffer_free(device, &logits);
}

/* The largest error, relative to the sum of the terms' magnitudes. */
static double worst(const problem *p, const float *logits) {
    double most = 0;
    for (size_t i = 0; i < (size_t)TOKENS * CLASSES; i++) {
        const double off = fabs((double)logits[i] - p->logits[i]) / p->magnitude[i];
        if (!(off <= most)) most = off;
    }
    return most;
}

static void judge(test_device *device, const way *w, uint32_t format, float *logits) {
    problem p = problem_new(format, 81);
    clmoe_logits *parts = stage_new(device, &p, CLMOE_ARITHMETIC_BF16);
    clmoe_logits *whole = stage_new(device, &p, CLMOE_ARITHMETIC_F32);
    if (w->variant != NULL) assert_memory_equal(clmoe_logits_variant(parts), w->variant, strlen(w->variant));
    assert_non_null(strstr(clmoe_logits_variant(parts), "(bf16 arithmetic)"));
    assert_non_null(strstr(clmoe_logits_variant(whole), "(f32 arithmetic)"));
    run(device, whole, &p, 0, TOKENS, logits);
    const double f32 = worst(&p, logits);
    run(device, parts, &p, 0, TOKENS, logits);
    const double bf16 = worst(&p, logits);
    print_message("%s, router of format %u: error %.2g of the magnitude, in f32 %.2g\n", clmoe_logits_variant(parts),
                  format, bf16, f32);
    assert_true(bf16 < (format == CLMOE_BF16 ? 0x1p-22 : 0x1p-20));
    for (uint32_t t = 0; t < TOKENS; t += 9) {
        float one[CLASSES];
        run(device, parts, &p, t, 1, one);
        case_same_bits("a token alone", one, logits + (size_t)t * CLASSES, sizeof one);
    }
    clmoe_logits_destroy(parts);
    clmoe_logits_destroy(whole);
    problem_free(&p);
}

static void test_logits(void **state) {
    (void)state;
    float *logits = calloc((size_t)TOKENS * CLASSES, sizeof *logits);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        test_device device = open_way(&ways[i]);
        judge(&device, &ways[i], CLMOE_F32, logits);
        if (i == 0) judge(&device, &ways[i], CLMOE_F16, logits);
        if (i != 1) judge(&device, &ways[i], CLMOE_BF16, logits);
        test_close(&device);
    }
    free(logits);
}

/* ------------------------------------------------------------------------------------------------- layers */

static case_options layer_options(uint32_t experts) {
    case_options o = case_default(64, 32, experts, 4);
    o.format = o.source_format = CLMOE_BF16;
    o.with = CASE_ROUTER_BIAS;
    o.layer.x_format = CLMOE_BF16;
    return o;
}

/* The layer whose router is kept in parts in place of the case's. */
static void keep_in_parts(layer_case *c, const clmoe_weights_desc *desc) {
    clmoe_weights_desc d = *desc;
    d.router_arithmetic = CLMOE_ARITHMETIC_BF16;
    OK(clmoe_weights_create(c->device->context, &d, &c->weights, &error));
    OK(clmoe_layer_create(c->device->context, c->weights, &c->options.layer, &c->layer, &error));
}

static void try_layer(const way *w) {
    enum { T = 70 }; /* more than go without a dispatch */
    test_device device = open_way(w);
    const case_options o = layer_options(40);
    clmoe_weights_desc desc;
    layer_case *c = case_describe(&device, &o, &desc);
    char text[8192], wanted[64];
    test_random random = test_random_new(82);
    keep_in_parts(c, &desc);
    OK(clmoe_layer_describe(c->layer, text, sizeof text, NULL, &error));
    (void)snprintf(wanted, sizeof wanted, "logits       %s", w->variant != NULL ? w->variant : "");
    if (strstr(text, wanted) == NULL) fail_msg("no \"%s\" in:\n%s", wanted, text);
    uint8_t *x = case_input(c, T, &random);
    case_result all = case_forward(c, NULL, x, T);
    case_check(c, x, T, &all);
    for (uint32_t t = 0; t < T; t += 23) {
        case_result one = case_forward(c, NULL, x + (size_t)t * o.hidden * 2, 1);
        case_same_bits("routes of a token alone", one.index, all.index + (size_t)t * 4, 16);
        case_same_bits("weights of a token alone", one.weight, all.weight + (size_t)t * 4, 16);
        case_same_bits("a token alone", one.out, (uint8_t *)all.out + t * case_row_bytes(c), case_row_bytes(c));
        case_result_free(&one);
    }
    case_result_free(&all);
    free(x);
    case_free(c);
    test_close(&device);
}

static void test_layers(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) try_layer(&ways[i]);
}

/* What cannot be so is refused by name; the bytes are those of f32. */
static void test_arguments(void **state) {
    (void)state;
    test_device device = open_way(&ways[0]);
    const case_options o = layer_options(40);
    clmoe_weights_desc desc;
    layer_case *c = case_describe(&device, &o, &desc);
    clmoe_weights *weights = NULL;
    clmoe_layer *layer = NULL;
    clmoe_layer_memory whole, parts;
    desc.router_arithmetic = CLMOE_ARITHMETIC_INT8;
    FAILS(clmoe_weights_create(device.context, &desc, &weights, &error), CLMOE_INVALID_ARGUMENT, "router_arithmetic");
    desc.router_arithmetic = CLMOE_ARITHMETIC_BF16;
    const uint32_t format = desc.router.format;
    desc.router.format = CLMOE_Q8_0;
    FAILS(clmoe_weights_create(device.context, &desc, &weights, &error), CLMOE_UNSUPPORTED, "router");
    desc.router.format = format;
    clmoe_layer_desc bad = o.layer;
    keep_in_parts(c, &desc);
    bad.x_format = CLMOE_F32;
    FAILS(clmoe_layer_create(device.context, c->weights, &bad, &layer, &error), CLMOE_INVALID_ARGUMENT, "x_format");
    clmoe_layer_memory_default(&parts, sizeof parts);
    clmoe_layer_memory_default(&whole, sizeof whole);
    OK(clmoe_layer_memory_query(c->layer, 1, &parts, &error));
    desc.router_arithmetic = CLMOE_ARITHMETIC_F32;
    OK(clmoe_weights_plan(device.context, &desc, &weights, &error));
    OK(clmoe_layer_create(device.context, weights, &o.layer, &layer, &error));
    OK(clmoe_layer_memory_query(layer, 1, &whole, &error));
    assert_in_range(parts.router, 40 * 64 * 4 + 40 * 4, whole.router * 3 / 2);
    clmoe_layer_destroy(layer);
    clmoe_weights_destroy(weights);
    case_free(c);
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_logits), cmocka_unit_test(test_layers),
                                       cmocka_unit_test(test_arguments)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
