/* A layer's weights in several block formats at once, as GGUF files have them: what each matrix is kept in, that the
 * layer computes what it computes with the same values in f32, and what is refused. */
#include <math.h>
#include <stdio.h>

#include "block_trial.h"

#define H 256
#define I 512
#define E 5
#define T 7

/* Random blocks of [E or 1] matrices, and their values. */
typedef struct source {
    clmoe_tensor tensor, plain;
    uint8_t *blocks;
    float *values;
} source;

static source source_new(uint32_t format, uint32_t rows, uint32_t columns, uint64_t stream) {
    const block_format *f = block_format_of(format);
    const size_t count = (size_t)rows * columns, blocks = count / f->values;
    source s = {.blocks = malloc(blocks * f->bytes), .values = malloc(count * sizeof(float))};
    assert_true(s.blocks != NULL && s.values != NULL);
    test_random random = test_random_new(stream);
    for (size_t b = 0; b < blocks; b++) {
        uint8_t *block = s.blocks + b * f->bytes;
        block_random(f, block, &random);
        for (int i = 0; i < 2 && f->half_at[i] != UINT32_MAX; i++) { /* 2^-10 and around */
            block[f->half_at[i] + 1] = (uint8_t)((block[f->half_at[i] + 1] & 0x83) | 0x14);
        }
        if (format == CLMOE_MXFP4) block[0] = (uint8_t)(118 + b % 3);
        f->decode(block, s.values + b * f->values);
    }
    s.tensor = (clmoe_tensor){.format = format, .host = s.blocks};
    s.plain = (clmoe_tensor){.format = CLMOE_F32, .host = s.values};
    return s;
}

typedef struct released {
    char names[8][32];
    uint32_t experts[8], count;
} released;

static void on_release(void *user, const char *tensor, uint32_t expert) {
    released *r = user;
    for (uint32_t i = 0; i < r->count; i++)
        if (strcmp(r->names[i], tensor) == 0) {
            assert_int_equal(expert, r->experts[i]++);
            return;
        }
    assert_true(r->count < 8 && strlen(tensor) < 32 && expert == 0);
    memcpy(r->names[r->count], tensor, strlen(tensor) + 1);
    r->experts[r->count++] = 1;
}

enum { GATE, UP, DOWN, SHARED_UP, SHARED_DOWN, ROUTER, SOURCES };

static clmoe_weights_desc describe(const source *s, int plain) {
    clmoe_weights_desc d;
    clmoe_weights_desc_default(&d, sizeof d);
    const clmoe_tensor *t[SOURCES];
    for (int i = 0; i < SOURCES; i++) t[i] = plain ? &s[i].plain : &s[i].tensor;
    d.hidden_size = H;
    d.arithmetic = CLMOE_ARITHMETIC_F32;
    d.num_classes = E;
    d.experts = (clmoe_ffn){.num_experts = E, .intermediate_size = I, .gated = 1, .gate = *t[GATE], .up = *t[UP],
                            .down = *t[DOWN]};
    d.shared = (clmoe_ffn){.num_experts = 1, .intermediate_size = 64, .gated = 1, .gate_up = CLMOE_GATE_UP_CONCATENATED,
                           .up = *t[SHARED_UP], .down = *t[SHARED_DOWN]};
    d.router = *t[ROUTER];
    return d;
}

static clmoe_layer *layer_new(test_device *device, const clmoe_weights_desc *desc) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_weights *weights = NULL;
    clmoe_layer *layer = NULL;
    clmoe_layer_desc d;
    clmoe_layer_desc_default(&d, sizeof d);
    d.routing.num_experts = E;
    d.routing.top_k = 2;
    OK(clmoe_weights_create(device->context, desc, &weights, &error));
    OK(clmoe_layer_create(device->context, weights, &d, &layer, &error));
    clmoe_weights_destroy(weights);
    return layer;
}

static void kept_as(const clmoe_layer *layer, const char *stage, const char *format) {
    char text[4096], wanted[64];
    clmoe_error error = {.struct_size = sizeof error};
    OK(clmoe_layer_describe(layer, text, sizeof text, NULL, &error));
    (void)snprintf(wanted, sizeof wanted, "%s weights", format);
    for (const char *line = text; *line != 0; line += strcspn(line, "\n") + 1) {
        if (strncmp(line, stage, strlen(stage)) != 0 || line[strlen(stage)] != ' ') continue;
        const char *found = strstr(line, wanted);
        if (found == NULL || found > line + strcspn(line, "\n"))
            fail_msg("%s is not kept in %s: %s", stage, format, text);
        return;
    }
    fail_msg("no line %s: %s", stage, text);
}

static void test_mixed_formats_compute_what_their_values_do(void **state) {
    (void)state;
    static const uint32_t formats[][SOURCES] = {
        {CLMOE_Q4_K, CLMOE_Q4_K, CLMOE_Q6_K, CLMOE_Q8_0, CLMOE_Q5_0, CLMOE_Q8_0},
        {CLMOE_MXFP4, CLMOE_MXFP4, CLMOE_IQ4_NL, CLMOE_Q5_1, CLMOE_Q4_1, CLMOE_Q4_0},
        {CLMOE_IQ4_XS, CLMOE_IQ4_XS, CLMOE_Q5_K, CLMOE_Q4_0, CLMOE_NVFP4, CLMOE_Q6_K},
        {CLMOE_Q4_K, CLMOE_Q6_K, CLMOE_Q3_K, CLMOE_Q8_0, CLMOE_Q8_0, CLMOE_Q2_K},
    };
    static const char *const kept[][4] = {{"q4_K", "q6_K", "q8_0", "q5_0"},
                                          {"mxfp4", "iq4_nl", "q5_1", "q4_1"},
                                          {"f16", "q5_K", "q4_0", "nvfp4"},
                                          {"f32", "f16", "q8_0", "q8_0"}};
    static const uint32_t shapes[SOURCES][2] = {{E * I, H}, {E * I, H}, {E * H, I}, {128, H}, {H, 64}, {E, H}};
    test_device device = test_open(NULL);
    for (size_t c = 0; c < sizeof formats / sizeof formats[0]; c++) {
        source s[SOURCES];
        float x[T * H], y[T * H], wanted[T * H];
        released r = {.count = 0};
        clmoe_error error = {.struct_size = sizeof error};
        test_random random = test_random_new(c);
        for (uint32_t i = 0; i < SOURCES; i++) s[i] = source_new(formats[c][i], shapes[i][0], shapes[i][1], 10 * c + i);
        for (uint32_t i = 0; i < T * H; i++) x[i] = (float)test_random_normal(&random);
        clmoe_weights_desc desc = describe(s, 0), plain = describe(s, 1);
        desc.released = on_release;
        desc.released_user = &r;
        clmoe_layer *layer = layer_new(&device, &desc), *reference = layer_new(&device, &plain);
        assert_int_equal(r.count, 6);
        for (uint32_t i = 0; i < r.count; i++)
            assert_int_equal(r.experts[i], strncmp(r.names[i], "experts", 7) == 0 ? E : 1);
        kept_as(layer, "up", kept[c][0]);
        kept_as(layer, "down", kept[c][1]);
        kept_as(layer, "shared up", kept[c][2]);
        kept_as(layer, "shared down", kept[c][3]);
        kept_as(layer, "logits", "f32");
        OK(clmoe_forward_host(layer, x, T, y, &error));
        OK(clmoe_forward_host(reference, x, T, wanted, &error));
        double largest = 0, off = 0;
        for (uint32_t i = 0; i < T * H; i++) {
            largest = fmax(largest, fabs((double)wanted[i]));
            off = fmax(off, fabs((double)y[i] - (double)wanted[i]));
        }
        /* f16 keeps eleven bits of what it decodes */
        const double allowed = c < 2 ? 1e-5 : 2e-3;
        if (!(largest > 0 && off <= allowed * largest)) fail_msg("case %zu: off by %g of %g", c, off, largest);
        clmoe_layer_destroy(layer);
        clmoe_layer_destroy(reference);
        for (uint32_t i = 0; i < SOURCES; i++) free(s[i].blocks), free(s[i].values);
    }
    test_close(&device);
}

static void test_what_is_refused(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_weights *weights = NULL;
    static const uint32_t formats[SOURCES] = {CLMOE_Q4_K, CLMOE_Q4_K, CLMOE_Q6_K, CLMOE_Q8_0, CLMOE_Q8_0, CLMOE_Q8_0};
    static const uint32_t shapes[SOURCES][2] = {{E * I, H}, {E * I, H}, {E * H, I}, {128, H}, {H, 64}, {E, H}};
    source s[SOURCES];
    for (uint32_t i = 0; i < SOURCES; i++) s[i] = source_new(formats[i], shapes[i][0], shapes[i][1], i);
    const clmoe_weights_desc good = describe(s, 0), plain = describe(s, 1);
    clmoe_weights_desc d;
    const clmoe_scales scales = {.format = CLMOE_F32, .block_rows = 1, .block_columns = 1, .host = s[UP].values};
#define CREATE clmoe_weights_create(device.context, &d, &weights, &error)
    REFUSED(CREATE, d, good, "experts.up", d.experts.up.layout = CLMOE_IN_OUT);
    REFUSED(CREATE, d, good, "experts.up", d.experts.up.scales = &scales);
    REFUSED(CREATE, d, good, "row_stride is 300, expected a multiple of 256 with format q4_K",
            d.experts.up.row_stride = 300);
    REFUSED(CREATE, d, good, "expert_stride is 131200", d.experts.up.expert_stride = (uint64_t)I * H + 128);
    REFUSED(CREATE, d, good, "in_features 64, expected a multiple of 256", d.shared.down.format = CLMOE_Q4_K);
    REFUSED(CREATE, d, good, "experts.up.format is 6", d.experts.up.format = CLMOE_F8_E8M0);
    REFUSED(CREATE, d, good, "experts.up.format is 27", d.experts.up.format = 27);
    REFUSED(CREATE, d, good, "format is 32", d.format = CLMOE_Q2_K);
    REFUSED(CREATE, d, good, "format is 27", d.format = 27);
    REFUSED(CREATE, d, good, "arithmetic is 4", d.arithmetic = 4);
    REFUSED(CREATE, d, good, "shared_gate.format is 16", d.shared_gate = s[ROUTER].tensor);
    d = good, d.format = CLMOE_Q8_0;
    FAILS(CREATE, CLMOE_UNSUPPORTED, "experts.up is q4_K, which cannot be converted to q8_0");
    d = plain, d.format = CLMOE_Q5_K;
    FAILS(CREATE, CLMOE_UNSUPPORTED, "experts.up is f32, which cannot be converted to q5_K");
    d = plain, d.format = CLMOE_Q4_0, d.shared.intermediate_size = 48;
    FAILS(CREATE, CLMOE_UNSUPPORTED, "shared.down has 48 in_features, expected a multiple of 32");
    d = plain, d.arithmetic = CLMOE_ARITHMETIC_INT8;
    FAILS(CREATE, CLMOE_UNSUPPORTED, "int8 arithmetic");
    d = plain, d.format = CLMOE_F16, d.arithmetic = CLMOE_ARITHMETIC_BF16;
    FAILS(CREATE, CLMOE_UNSUPPORTED, "bf16 arithmetic");
    assert_null(weights);
    for (uint32_t i = 0; i < SOURCES; i++) free(s[i].blocks), free(s[i].values);
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mixed_formats_compute_what_their_values_do),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
