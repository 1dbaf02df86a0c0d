/* Whole layers whose experts are in block formats, in every arithmetic, against the double-precision oracle: which
 * rounds activations as the arithmetic says, so that nothing but f32's own rounding and bytes on a border are forgiven.
 *
 * Formats meet int8, f32 or bf16 arithmetic by turns (in test_block_gemm every format meets int8 every time); these,
 * shapes, arrangements, sources, options of the layer and numbers of tokens take turns from a random start. Then
 * mixtures of formats, as files have them. */
#include <math.h>
#include <stdio.h>

#include "block_oracle.h"
#include "layer_case.h"
#include "one_device.h"

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof *(array)))

/* What rounding activations to bytes may cost: as much as it does in llama.cpp. Of a few tokens alone it varies. */
static double most_nmse(uint32_t tokens) { return tokens >= 33 ? 4e-4 : 1.6e-3; }

static clmoe_error error = {.struct_size = sizeof error};
static const uint32_t token_counts[] = {1, 7, 33, 65, 130};

static double run_case(const case_options *o, uint32_t tokens, test_random *random) {
    layer_case *c = case_new(&device, o);
    void *x = case_input(c, tokens, random);
    case_result r = case_forward(c, NULL, x, tokens);
    case_check(c, x, tokens, &r);
    const double nmse = case_nmse(c, x, tokens, &r);
    const int is_int8 = c->plan[CASE_UP].arithmetic == CLMOE_ARITHMETIC_INT8;
    if (is_int8 && !(nmse <= most_nmse(tokens)))
        fail_msg("the error of int8 arithmetic is %.3g, allowed %.3g", nmse, most_nmse(tokens));
    case_result_free(&r);
    free(x);
    case_free(c);
    return nmse;
}

/* ----------------------------------------------------------------------------------------- every format */

/* Sizes that fill no panel, and no super of several blocks, where blocks are small; 3 to 16 supers where they are
 * large. */
static void choose_shape(const block_format *f, uint32_t turn, case_options *o) {
    static const uint32_t small[][2] = {{96, 96}, {32, 160}, {224, 64}, {64, 96}};
    static const uint32_t middle[][2] = {{192, 64}, {64, 320}, {320, 192}, {128, 64}};
    static const uint32_t large[][2] = {{256, 512}, {512, 256}, {256, 256}, {768, 256}};
    const uint32_t *shape = f->values == 32 ? small[turn % 4] : f->values == 64 ? middle[turn % 4] : large[turn % 4];
    o->hidden = shape[0];
    o->intermediate = shape[1];
}

static void choose_rest(uint32_t turn, case_options *o) {
    clmoe_layer_desc *l = &o->layer;
    o->source = turn % 3 == 0 ? CASE_BUFFER : turn % 3 == 1 ? CASE_HOST : CASE_HOST_LIST;
    if (turn % 7 == 6) o->source = CASE_BUFFER_LIST;
    o->gate_up = turn / 2 % 3;
    o->gaps = turn % 5 == 2;
    if (turn % 4 == 3) l->activation = (clmoe_activation){.kind = CLMOE_GELU_TANH, .gated = 0, .alpha = 1};
    if (turn % 5 == 1) o->with |= CASE_UP_BIAS | CASE_DOWN_BIAS;
    if (turn % 5 == 4) l->routing.weight_on = CLMOE_WEIGHT_ON_INPUT;
    if (turn % 4 == 2) o->with |= CASE_FACTORS;
    if (turn % 4 == 1) {
        l->first_expert = 1;
        l->local_experts = 3;
    }
    if (turn % 6 == 3) l->x_format = l->out_format = CLMOE_BF16;
    if (turn % 6 == 5) l->x_format = l->out_format = CLMOE_F16;
    if (turn % 3 != 2) return;
    o->shared_intermediate = o->intermediate;
    o->with |= CASE_SHARED_GATE | CASE_OUTPUT_BIAS;
    o->blocks[CASE_SHARED_UP] = o->blocks[CASE_SHARED_DOWN] = o->blocks[CASE_UP];
}

static case_options choose(const block_format *f, uint32_t arithmetic, uint32_t turn) {
    case_options o = case_default(0, 0, 5, 2);
    o.stream = 1000 + turn;
    o.format = turn % 2 ? CLMOE_FORMAT_NONE : f->format;
    o.arithmetic = arithmetic;
    o.blocks[CASE_UP] = o.blocks[CASE_DOWN] = f->format;
    choose_shape(f, turn, &o);
    choose_rest(turn, &o);
    if (o.with & CASE_SHARED_GATE || turn % 4 != 2) return o;
    o.latent = f->values == 32 ? 96 : f->values == 64 ? 128 : 256;
    o.blocks[CASE_LATENT_IN] = o.blocks[CASE_LATENT_OUT] = f->format;
    return o;
}

/* Every step-th format, for each costs compilations: f32, bf16 and int8 take what the others leave. */
static void every_format(uint32_t arithmetic, uint32_t first, uint32_t step) {
    test_random random = test_random_new(1100 + arithmetic), start = test_random_new(1100);
    uint32_t turn = first + test_random_below(&start, 840);
    for (uint32_t i = turn % step; block_format_at(i) != NULL; i += step) {
        const block_format *f = block_format_at(i);
        if (f->super_blocks == 0) continue;
        const uint32_t T = token_counts[(turn + i) % COUNT(token_counts)];
        const case_options o = choose(f, arithmetic, turn++);
        const double nmse = run_case(&o, T, &random);
        print_message(
            "%s, arithmetic %u: H %u L %u I %u T %u, gated %u gate_up %u source %u shared %u with %x: NMSE %.2e\n",
            f->name, arithmetic, o.hidden, o.latent, o.intermediate, T, o.layer.activation.gated, o.gate_up, o.source,
            o.shared_intermediate, o.with, nmse);
    }
}

static void test_f32(void **state) {
    (void)state;
    every_format(CLMOE_ARITHMETIC_F32, 1, 4);
}

static void test_bf16(void **state) {
    (void)state;
    every_format(CLMOE_ARITHMETIC_BF16, 3, 4);
}

static void test_int8(void **state) {
    (void)state;
    every_format(CLMOE_ARITHMETIC_INT8, 0, 2);
}

static void test_auto(void **state) {
    (void)state;
    every_format(CLMOE_ARITHMETIC_AUTO, 2, 8);
}

/* --------------------------------------------------------------------------------------------- mixtures */

/* What files mix, and what becomes of it without being told; half of these by turns. */
static void test_mixtures(void **state) {
    (void)state;
    static const struct mixture {
        uint32_t blocks[CASE_MATRICES], source_format, arithmetic;
    } mixtures[] = {
        {{CLMOE_Q4_K, CLMOE_Q6_K, CLMOE_Q8_0, CLMOE_Q8_0, 0, 0}, CLMOE_F32, CLMOE_ARITHMETIC_AUTO},
        {{CLMOE_Q4_K, CLMOE_Q6_K, 0, 0, CLMOE_Q8_0, 0}, CLMOE_F32, CLMOE_ARITHMETIC_INT8},
        {{CLMOE_Q5_K, CLMOE_Q4_0, CLMOE_Q5_1, 0, 0, CLMOE_Q4_1}, CLMOE_F16, CLMOE_ARITHMETIC_F32},
        {{CLMOE_MXFP4, CLMOE_Q8_0, 0, CLMOE_IQ4_NL, 0, 0}, CLMOE_BF16, CLMOE_ARITHMETIC_BF16},
        {{0, CLMOE_Q4_1, CLMOE_NVFP4, 0, 0, 0}, CLMOE_F32, CLMOE_ARITHMETIC_AUTO},
        {{CLMOE_Q5_0, 0, 0, CLMOE_Q8_0, 0, 0}, CLMOE_F16, CLMOE_ARITHMETIC_AUTO},
    };
    test_random random = test_random_new(1201);
    for (uint32_t i = test_random_below(&random, 2); i < COUNT(mixtures); i += 2) {
        case_options o = case_default(256, 256, 6, 3);
        memcpy(o.blocks, mixtures[i].blocks, sizeof o.blocks);
        o.stream = 1202 + i;
        o.format = CLMOE_FORMAT_NONE;
        o.source_format = mixtures[i].source_format;
        o.arithmetic = mixtures[i].arithmetic;
        o.shared_intermediate = 64;
        o.latent = i == 1 || i == 2 ? 256 : 0;
        o.gate_up = i % 3;
        print_message("mixture %u: NMSE %.2e\n", i, run_case(&o, token_counts[(i + 1) % COUNT(token_counts)], &random));
    }
}

/* Blocks of any kind that are decoded when packed: told so, or because panels cannot have them. Every third by turns:
 * test_formats has them all. */
static void test_decoded(void **state) {
    (void)state;
    static const uint32_t kept[] = {CLMOE_F32, CLMOE_F16, CLMOE_BF16};
    test_random random = test_random_new(1301);
    uint32_t turn = test_random_below(&random, 12);
    for (uint32_t i = test_random_below(&random, 3); block_format_at(i) != NULL; i += 3, turn++) {
        const block_format *f = block_format_at(i);
        case_options o = case_default(256, 256, 3, 2);
        o.stream = 1302 + i;
        o.format = f->super_blocks == 0 ? CLMOE_FORMAT_NONE : kept[turn % COUNT(kept)];
        o.blocks[CASE_UP] = o.blocks[CASE_DOWN] = f->format;
        o.source = turn % 4;
        o.gate_up = turn / 2 % 3;
        (void)run_case(&o, 9, &random);
    }
}

/* ------------------------------------------------------------------------------------------- accumulate */

static void test_accumulate(void **state) {
    (void)state;
    enum { T = 9 };
    test_random random = test_random_new(1401);
    case_options o = choose(block_format_of(CLMOE_Q8_0), CLMOE_ARITHMETIC_INT8, 8);
    o.layer.out_format = CLMOE_F16;
    layer_case *c = case_new(&device, &o);
    void *x = case_input(c, T, &random);
    const size_t n = (size_t)T * o.hidden;
    uint16_t *before = calloc(n, sizeof *before);
    assert_non_null(before);
    for (size_t i = 0; i < n; i++) test_store(before, CLMOE_F16, i, test_random_normal(&random));
    case_buffers b = case_buffers_new(c, x, T);
    test_buffer_free(&device, &b.out);
    b.out = test_buffer_new(&device, n * sizeof *before, before);
    b.io.out = b.out.at;
    b.io.accumulate = 1;
    OK(clmoe_forward(c->layer, NULL, device.queue, &b.io, 0, NULL, NULL, &error));
    case_result r = case_buffers_take(c, &b);
    case_check_output(c, x, T, r.index, r.weight, before, r.out);
    case_result_free(&r);
    free(before);
    free(x);
    case_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_int8),     cmocka_unit_test(test_f32),     cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_auto),     cmocka_unit_test(test_mixtures), cmocka_unit_test(test_decoded),
        cmocka_unit_test(test_accumulate),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
