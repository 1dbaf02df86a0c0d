/* What a layer promises whatever its weights are, where they are in block formats: neighbours, order, limits on memory
 * and the device's kind change no bit; a number that is none spoils its own token only; kernels touch no byte that is
 * not theirs. */
#include <math.h>

#include "layer_case.h"
#include "layer_order.h"

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof *(array)))

static clmoe_error error = {.struct_size = sizeof error};

/* Scales of 32 neighbours and of 16, minima, a table; supers partly filled; panels too. */
static const struct kind {
    uint32_t format, arithmetic, hidden, intermediate;
} kinds[] = {{CLMOE_Q8_0, CLMOE_ARITHMETIC_INT8, 96, 96},
             {CLMOE_MXFP4, CLMOE_ARITHMETIC_INT8, 96, 160},
             {CLMOE_Q4_K, CLMOE_ARITHMETIC_INT8, 256, 256},
             {CLMOE_Q6_K, CLMOE_ARITHMETIC_F32, 256, 256},
             {CLMOE_Q5_1, CLMOE_ARITHMETIC_BF16, 160, 96}};

/* Shared experts in the same format: what they compile is what the experts do. */
static case_options options_of(const struct kind *kind) {
    case_options o = case_default(kind->hidden, kind->intermediate, 6, 2);
    o.format = CLMOE_FORMAT_NONE;
    o.arithmetic = kind->arithmetic;
    for (int i = 0; i < CASE_MATRICES; i++) o.blocks[i] = kind->format;
    o.shared_intermediate = kind->intermediate;
    o.stream = 3000 + kind->format;
    return o;
}

/* ------------------------------------------------------------------------------------- order and batches */

static void test_order_and_batch(void **state) {
    (void)state;
    static const uint32_t batches[] = {7, 64, 200};
    test_device device = test_open(NULL);
    test_random random = test_random_new(31);
    for (uint32_t i = 0; i < COUNT(kinds); i++) {
        const case_options o = options_of(&kinds[i]);
        layer_case *c = case_new(&device, &o);
        case_check_order(c, &random);
        case_check_batches(c, batches, COUNT(batches), &random);
        case_free(c);
    }
    test_close(&device);
}

/* ------------------------------------------------------------------------------------------------ limits */

/* The result of the same layer and input in a context of this kind, checked against the oracle. */
static case_result run_with(const clmoe_context_desc *desc, const case_options *o, uint32_t tokens) {
    test_device device = test_open(desc);
    const case_result r = case_run(&device, o, tokens, 32);
    test_close(&device);
    return r;
}

static void same_out(const char *what, const clmoe_context_desc *desc, const case_options *o, uint32_t tokens,
                     const case_result *wanted) {
    case_result r = run_with(desc, o, tokens);
    case_same_bits(what, r.out, wanted->out, (size_t)tokens * o->hidden * test_format_bytes(o->layer.out_format));
    case_result_free(&r);
}

/* Other devices' variants, of two kinds in their turn; several passes. */
static void test_limits(void **state) {
    (void)state;
    enum { T = 33 };
    test_random random = test_random_new(36);
    const uint32_t turn = test_random_below(&random, COUNT(kinds));
    for (uint32_t i = 0; i < COUNT(kinds); i++) {
        const case_options o = options_of(&kinds[i]);
        clmoe_context_desc d;
        clmoe_context_desc_default(&d, sizeof d);
        case_result whole = run_with(&d, &o, T);
        d.disable = "cpu";
        if ((i + turn) % COUNT(kinds) < 2) same_out("without the variants for CPUs", &d, &o, T, &whole);
        d.disable = NULL;
        d.max_workspace_bytes = 64 << 10;
        same_out("in several passes", &d, &o, T, &whole);
        case_result_free(&whole);
    }
}

/* Buffers of the experts' up matrices. */
static uint32_t buffers_of(const layer_case *c) {
    char text[4096];
    OK(clmoe_layer_describe(c->layer, text, sizeof text, NULL, &error));
    const char *up = strstr(text, "\nup ");
    assert_non_null(up);
    const char *count = strstr(up, "] in ");
    assert_non_null(count);
    return (uint32_t)strtoul(count + 5, NULL, 10);
}

/* Weights cut at panels: in more than one buffer, the last of them shorter. */
static void test_shards(void **state) {
    (void)state;
    enum { T = 21 };
    static const struct {
        struct kind kind;
        uint32_t experts;
        uint64_t limit; /* no less than what self-tests take */
    } cuts[] = {{{CLMOE_Q8_0, CLMOE_ARITHMETIC_INT8, 256, 128}, 31, 350 << 10},
                {{CLMOE_MXFP4, CLMOE_ARITHMETIC_F32, 224, 128}, 31, 350 << 10},
                {{CLMOE_Q4_K, CLMOE_ARITHMETIC_INT8, 256, 256}, 41, 2300 << 10}};
    for (uint32_t i = 0; i < COUNT(cuts); i++) {
        case_options o = options_of(&cuts[i].kind);
        o.layer.routing.num_experts = cuts[i].experts;
        clmoe_context_desc d;
        clmoe_context_desc_default(&d, sizeof d);
        case_result whole = run_with(&d, &o, T);
        d.max_alloc_bytes = cuts[i].limit;
        same_out("in several buffers", &d, &o, T, &whole);
        case_result_free(&whole);
        test_device device = test_open(&d);
        layer_case *c = case_new(&device, &o);
        assert_in_range(buffers_of(c), 2, 8);
        case_free(c);
        test_close(&device);
    }
}

/* A workspace that has no byte to spare, for kinds of every size of a packed row. */
static void test_exact_workspace(void **state) {
    (void)state;
    static const uint32_t batches[] = {1, 45};
    test_device device = test_open(NULL);
    test_random random = test_random_new(33);
    for (uint32_t i = 0; i < COUNT(kinds) * COUNT(batches); i++) {
        const case_options o = options_of(&kinds[i / COUNT(batches)]);
        layer_case *c = case_new(&device, &o);
        case_run_exactly(c, batches[i % COUNT(batches)], &random);
        case_free(c);
    }
    test_close(&device);
}

/* ------------------------------------------------------------------------------------- what is no number */

enum { N = 23, SLOTS = 2 };

static case_result with_routes(layer_case *c, const void *x, const int32_t *index, const float *weight) {
    case_buffers b = case_buffers_new(c, x, N);
    test_buffer ib = test_buffer_new(c->device, sizeof(int32_t) * N * SLOTS, index);
    test_buffer wb = test_buffer_new(c->device, sizeof(float) * N * SLOTS, weight);
    b.io.index = ib.at;
    b.io.weight = wb.at;
    b.io.out_index = b.io.out_weight = (clmoe_buffer){0};
    OK(clmoe_forward(c->layer, NULL, c->device->queue, &b.io, 0, NULL, NULL, &error));
    case_result r = case_buffers_take(c, &b);
    test_buffer_free(c->device, &ib);
    test_buffer_free(c->device, &wb);
    return r;
}

/* x [N, H] with one element replaced: its token has no finite output left, the others have the bits they had. */
static void spoil(layer_case *c, float *x, uint32_t token, uint32_t column, float with, const case_result *before,
                  const int32_t *index, const float *weight) {
    const uint32_t H = c->options.hidden;
    const float kept = x[token * H + column];
    x[token * H + column] = with;
    case_result r = with_routes(c, x, index, weight);
    x[token * H + column] = kept;
    for (uint32_t t = 0; t < N; t++) {
        if (t != token) case_same_row(c, "another token's", &r, t, before, t);
        for (uint32_t j = 0; j < H && t == token; j++) {
            const float out = ((const float *)r.out)[t * H + j];
            if (isfinite(out))
                fail_msg("out[%u][%u] is %g, but x[%u][%u] was %g", t, j, (double)out, t, column, (double)with);
        }
    }
    case_result_free(&r);
}

static void test_not_finite(void **state) {
    (void)state;
    static const float spoilers[] = {NAN, INFINITY, -INFINITY};
    test_device device = test_open(NULL);
    test_random random = test_random_new(34);
    for (uint32_t i = 0; i < COUNT(kinds); i++) {
        const case_options o = options_of(&kinds[i]);
        layer_case *c = case_new(&device, &o);
        float *x = case_input(c, N, &random), weight[N * SLOTS];
        int32_t index[N * SLOTS];
        for (int32_t s = 0; s < N * SLOTS; s++) {
            index[s] = (s * 5 + s / 12) % 6;
            weight[s] = 0.5f;
        }
        case_result before = with_routes(c, x, index, weight);
        case_check_output(c, x, N, index, weight, NULL, before.out);
        for (uint32_t k = 0; k < COUNT(spoilers); k++)
            spoil(c, x, test_random_below(&random, N), test_random_below(&random, o.hidden), spoilers[k], &before,
                  index, weight);
        case_result_free(&before);
        free(x);
        case_free(c);
    }
    test_close(&device);
}

/* Rows of zeros, and runs of zeros or of numbers at the ends of f32's range, are numbers too. */
static void test_extremes(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    test_random random = test_random_new(35);
    for (uint32_t i = 0; i < COUNT(kinds); i++) {
        case_options o = options_of(&kinds[i]);
        o.layer.activation = o.layer.shared_activation = (clmoe_activation){.kind = CLMOE_IDENTITY, .alpha = 1};
        layer_case *c = case_new(&device, &o);
        float *x = case_input(c, N, &random), weight[N * SLOTS];
        int32_t index[N * SLOTS];
        for (int32_t s = 0; s < N * SLOTS; s++) {
            index[s] = s % 6;
            weight[s] = 1;
        }
        for (uint32_t k = 0; k < o.hidden; k++) {
            x[k] = 0;
            x[o.hidden + k] = k / 32 == 1 ? 0 : x[o.hidden + k];
            x[2 * o.hidden + k] *= 1e30f;
            x[3 * o.hidden + k] *= k / 32 == 0 ? 1e-42f : 1e-30f;
            x[4 * o.hidden + k] *= 1e-42f;
        }
        case_result r = with_routes(c, x, index, weight);
        case_check_output(c, x, N, index, weight, NULL, r.out);
        case_result_free(&r);
        free(x);
        case_free(c);
    }
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_batch), cmocka_unit_test(test_limits),     cmocka_unit_test(test_shards),
        cmocka_unit_test(test_exact_workspace), cmocka_unit_test(test_not_finite), cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
