/* Experts' outputs that wait for combine in bf16 or f16: rounded once and to nearest even, within the bound that
 * clmoe_layer.h states, the same bits in every batch, and half of the bytes. Other tests have such layers too:
 * test_few_slots without dispatch, test_clblast where products become y in another launch. */
#include <stdio.h>

#include "layer_case.h"

enum { MOST = 40, EXPERTS = 5, SLOTS = 3 };

static clmoe_error error = {.struct_size = sizeof error};
static const uint32_t narrow[] = {CLMOE_BF16, CLMOE_F16};
enum { NARROW = sizeof narrow / sizeof *narrow };

/* A macro-kernel that multiplies the experts' matrices. */
typedef struct way {
    const char *disable;
    const char *variant; /* begins so; NULL: whichever this device has */
    uint32_t format, hidden;
} way;

static const way ways[] = {
    {NULL, NULL, CLMOE_F32, 77},
    {"cpu,matrix", "gpu", CLMOE_BF16, 64},
};

static test_device open_way(const way *w) {
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.disable = w->disable;
    return test_open(&d);
}

static case_options options_of(const way *w) {
    case_options o = case_default(w->hidden, 64, EXPERTS, SLOTS);
    o.format = o.source_format = w->format;
    o.arithmetic = CLMOE_ARITHMETIC_F32;
    return o;
}

static int says(const clmoe_layer *layer, const char *wanted) {
    char text[8192];
    OK(clmoe_layer_describe(layer, text, sizeof text, NULL, &error));
    return strstr(text, wanted) != NULL;
}

/* Another layer on the case's weights takes the place of its own. */
static void store_in(layer_case *c, uint32_t y_format) {
    clmoe_layer *layer = NULL;
    c->options.layer.y_format = y_format;
    OK(clmoe_layer_create(c->device->context, c->weights, &c->options.layer, &layer, &error));
    clmoe_layer_destroy(c->layer);
    c->layer = layer;
    assert_true(says(layer, y_format == CLMOE_BF16  ? "experts' rows in bf16"
                            : y_format == CLMOE_F16 ? "experts' rows in f16"
                                                    : "experts' rows in f32"));
}

/* One expert a token, whose weight is 1: out is y as it was stored. */
static float *forward_one(layer_case *c, const void *x, uint32_t tokens) {
    int32_t index[MOST * SLOTS];
    float weight[MOST * SLOTS];
    for (uint32_t i = 0; i < MOST * SLOTS; i++) {
        index[i] = i % SLOTS == i / SLOTS % SLOTS ? (int32_t)(i / SLOTS % EXPERTS) : -1;
        weight[i] = 1;
    }
    case_buffers b = case_buffers_new(c, x, tokens);
    test_buffer routes = test_buffer_new(c->device, (size_t)tokens * SLOTS * 4, index);
    test_buffer factors = test_buffer_new(c->device, (size_t)tokens * SLOTS * 4, weight);
    b.io.index = routes.at;
    b.io.weight = factors.at;
    b.io.out_index = b.io.out_weight = (clmoe_buffer){0};
    OK(clmoe_forward(c->layer, NULL, c->device->queue, &b.io, 0, NULL, NULL, &error));
    case_result r = case_buffers_take(c, &b);
    test_buffer_free(c->device, &routes);
    test_buffer_free(c->device, &factors);
    float *out = r.out;
    r.out = NULL;
    case_result_free(&r);
    return out;
}

static void is_rounded_once(layer_case *c, const void *x, uint32_t tokens, const float *exact) {
    const uint32_t format = c->options.layer.y_format;
    float *got = forward_one(c, x, tokens);
    for (size_t i = 0; i < (size_t)tokens * c->options.hidden; i++) {
        uint16_t stored;
        test_store(&stored, format, 0, (double)exact[i]);
        if ((double)got[i] != test_load(&stored, format, 0))
            fail_msg("format %u, %u tokens: out[%zu] is %.9g, not %.9g rounded once", format, tokens, i, (double)got[i],
                     (double)exact[i]);
    }
    free(got);
}

/* The oracle's bound, and the bits of a token whatever its batch and passes are. */
static void is_near_oracle(layer_case *c, const uint8_t *x) {
    test_device *device = c->device;
    case_result whole = case_forward(c, NULL, x, MOST);
    case_check(c, x, MOST, &whole);
    case_result one = case_forward(c, NULL, x + (size_t)13 * c->options.hidden * 4, 1);
    case_same_bits("a token alone", one.out, (uint8_t *)whole.out + 13 * case_row_bytes(c), case_row_bytes(c));
    clmoe_workspace_desc d;
    clmoe_workspace *workspace = NULL;
    clmoe_workspace_desc_default(&d, sizeof d);
    OK(clmoe_layer_workspace_bytes(c->layer, MOST / 4, &d.memory_bytes, &error));
    test_buffer memory = test_buffer_new(device, (size_t)d.memory_bytes, NULL);
    d.memory = memory.at;
    OK(clmoe_workspace_create(device->context, device->queue, &d, &workspace, &error));
    case_result passes = case_forward(c, workspace, x, MOST);
    case_same(c, "passes", &passes, &whole, MOST);
    case_result_free(&one);
    case_result_free(&passes);
    case_result_free(&whole);
    clmoe_workspace_destroy(workspace);
    test_buffer_free(device, &memory);
}

static void try_way(const way *w) {
    test_device device = open_way(w);
    const case_options o = options_of(w);
    layer_case *c = case_new(&device, &o);
    test_random random = test_random_new(71);
    void *x = case_input(c, MOST, &random);
    float *few = forward_one(c, x, 2), *many = forward_one(c, x, MOST);
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "down         %s", w->variant != NULL ? w->variant : "");
    assert_true(says(c->layer, wanted));
    for (size_t f = 0; f < (w->variant == NULL ? NARROW : 1); f++) {
        store_in(c, narrow[f]);
        is_rounded_once(c, x, 2, few);
        is_rounded_once(c, x, MOST, many);
        is_near_oracle(c, x);
    }
    free(few);
    free(many);
    free(x);
    case_free(c);
    test_close(&device);
}

static void test_ways(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) try_way(&ways[i]);
}

/* What the rows take of a workspace. */
static void test_bytes(void **state) {
    (void)state;
    enum { T = 100, K = SLOTS };
    test_device device = open_way(&ways[0]);
    const case_options o = options_of(&ways[0]);
    layer_case *c = case_new(&device, &o);
    clmoe_layer_memory wide, less;
    clmoe_layer_memory_default(&wide, sizeof wide);
    OK(clmoe_layer_memory_query(c->layer, T, &wide, &error));
    assert_int_equal(wide.rows, (T * K * 77 * 4 + 255) / 256 * 256);
    for (size_t f = 0; f < NARROW; f++) {
        clmoe_layer_memory_default(&less, sizeof less);
        store_in(c, narrow[f]);
        OK(clmoe_layer_memory_query(c->layer, T, &less, &error));
        assert_int_equal(less.rows, (T * K * 77 * 2 + 255) / 256 * 256);
        assert_int_equal(less.workspace, wide.workspace - wide.rows + less.rows);
    }
    case_free(c);
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ways), cmocka_unit_test(test_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
