/* Quantising: ggml's own bytes from ggml's own sources, and the same from every arrangement of the same values. Panels
 * are compared whole: test_formats.c shows that they hold every bit of the blocks. */
#include "block_trial.h"
#include "golden.h"

static const uint32_t quantised[] = {CLMOE_Q8_0, CLMOE_Q4_0, CLMOE_Q4_1, CLMOE_Q5_0, CLMOE_Q5_1, CLMOE_Q4_K, CLMOE_Q6_K,
                                     CLMOE_MXFP4};
#define FORMATS (sizeof quantised / sizeof quantised[0])

/* A matrix of one group, packed. */
typedef struct packed {
    clmoe__matrix matrix;
    uint8_t *bytes;
} packed;

static packed pack(test_device *device, uint32_t format, uint32_t outs, uint32_t features, int gated, uint32_t gate_up,
                   const clmoe_tensor *gate, const clmoe_tensor *up) {
    static const clmoe__matrix_names names = {"gate", "gate_bias", "up", "up_bias"};
    static const clmoe_tensor absent;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe__packer packer = {.context = device->context};
    packed p = {{.groups = 1, .in_features = features, .out_features = outs, .gated = gated, .format = format,
                 .arithmetic = CLMOE_ARITHMETIC_F32, .lanes = device->context->device.vector_width}, NULL};
    if (gate == NULL) gate = &absent;
    OK(clmoe__projection_check(device->context, 1, features, outs, gated, gate_up, gate, up, &absent, &absent, &names,
                               &error));
    OK(clmoe__projection_create(&packer, &p.matrix, gate_up, gate, up, &absent, &absent, &names, &error));
    p.bytes = block_matrix_read(device, &p.matrix);
    clmoe__packer_destroy(&packer);
    return p;
}

static void packed_free(test_device *device, packed *p) {
    clmoe__matrix_destroy(device->context, &p->matrix);
    free(p->bytes);
}

/* Frees both. */
static void same_panels(test_device *device, const block_format *f, packed got, packed wanted, const char *what) {
    const uint32_t columns = 2 * got.matrix.lanes;
    assert_int_equal(got.matrix.panel_bytes, wanted.matrix.panel_bytes);
    for (uint32_t p = 0; p < got.matrix.panels; p++) {
        const uint8_t *a = got.bytes + p * got.matrix.panel_bytes, *b = wanted.bytes + p * wanted.matrix.panel_bytes;
        if (memcmp(a, b, got.matrix.panel_bytes) == 0) continue;
        for (uint32_t c = 0; c < columns; c++)
            for (uint32_t k = 0; k < got.matrix.in_features; k++) {
                const block_packed x = block_packed_at(f, a, columns, k, c), y = block_packed_at(f, b, columns, k, c);
                if (x.code == y.code && memcmp(x.halves, y.halves, 4) == 0 && memcmp(x.sub_bytes, y.sub_bytes, 2) == 0)
                    continue;
                fail_msg("%s %s: panel %u column %u k %u has code %u of %x %x %u, expected %u of %x %x %u", f->name,
                         what, p, c, k, x.code, x.halves[0], x.halves[1], x.sub_bytes[0], y.code, y.halves[0],
                         y.halves[1], y.sub_bytes[0]);
            }
    }
    packed_free(device, &got);
    packed_free(device, &wanted);
}

static void test_bytes_are_those_of_ggml(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    for (uint32_t i = 0; i < FORMATS; i++) {
        const block_format *f = block_format_of(quantised[i]);
        golden g = golden_open_format(f->name);
        const clmoe_tensor values = {.format = CLMOE_F32, .host = golden_find(&g, "source")->data};
        const clmoe_tensor blocks = {.format = f->format, .host = golden_find(&g, "blocks")->data};
        same_panels(&device, f, pack(&device, f->format, 4, 512, 0, 0, NULL, &values),
                    pack(&device, f->format, 4, 512, 0, 0, NULL, &blocks), "from f32");
        golden_close(&g);
    }
    test_close(&device);
}

/* The values of [rows, columns] as `format`, turned around if IN_OUT, in memory to be freed. */
static void *stored(const float *values, uint32_t rows, uint32_t columns, uint32_t format, uint32_t layout) {
    char *memory = malloc((size_t)rows * columns * 4);
    assert_non_null(memory);
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < columns; c++)
            test_store(memory, format, layout == CLMOE_IN_OUT ? (size_t)c * rows + r : (size_t)r * columns + c,
                       (double)values[r * columns + c]);
    return memory;
}

/* Values that every wide format holds exactly. */
static float *coarse_values(size_t count, uint64_t stream) {
    test_random random = test_random_new(stream);
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < count; i++) values[i] = (float)((int)test_random_below(&random, 255) - 127) / 64.0f;
    return values;
}

static void test_arrangements_agree(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    const uint32_t outs = 37;
    float *values = coarse_values((size_t)2 * outs * 512, 7);
    for (uint32_t i = 0; i < FORMATS; i++) {
        const block_format *f = block_format_of(quantised[i]);
        const uint32_t features = f->values == 256 ? 512 : 96;
        for (uint32_t format = CLMOE_F32; format <= CLMOE_BF16; format++)
            for (uint32_t layout = 0; layout <= 1; layout++) {
                void *all = stored(values, 2 * outs, features, format, layout);
                void *gate = stored(values, outs, features, format, layout);
                void *up = stored(values + (size_t)outs * features, outs, features, format, layout);
                test_buffer on_device =
                    test_buffer_new(&device, (size_t)2 * outs * features * test_format_bytes(format), all);
                const clmoe_tensor whole = {.format = format, .layout = layout, .host = all};
                const clmoe_tensor held = {.format = format, .layout = layout, .buffer = on_device.at};
                const clmoe_tensor first = {.format = format, .layout = layout, .host = gate};
                const clmoe_tensor second = {.format = format, .layout = layout, .host = up};
                const clmoe_tensor plain = {.format = CLMOE_F32, .host = values};
                const uint32_t apart = CLMOE_GATE_UP_SEPARATE, together = CLMOE_GATE_UP_CONCATENATED;
                same_panels(&device, f, pack(&device, f->format, outs, features, 1, together, NULL, &whole),
                            pack(&device, f->format, outs, features, 1, together, NULL, &plain), "concatenated");
                same_panels(&device, f, pack(&device, f->format, outs, features, 1, apart, &first, &second),
                            pack(&device, f->format, outs, features, 1, together, NULL, &held), "separate");
                same_panels(&device, f, pack(&device, f->format, 2 * outs, features, 0, 0, NULL, &held),
                            pack(&device, f->format, 2 * outs, features, 0, 0, NULL, &plain), "plain");
                test_buffer_free(&device, &on_device);
                free(all), free(gate), free(up);
            }
    }
    free(values);
    test_close(&device);
}

/* Values next to or halfway between two levels, where the scale is 1. */
static void test_ties(void **state) {
    (void)state;
    static const struct {
        uint32_t format;
        float from[8], to[8]; /* the first decides the scale */
    } cases[] = {
        {CLMOE_Q8_0, {127, 0.5f, 1.5f, 2.5f, -0.5f, -2.5f, 126.5f, 0.49f}, {127, 1, 2, 3, -1, -3, 127, 0}},
        {CLMOE_Q4_0, {-8, 0.5f, 1.5f, -0.5f, -7.5f, 7.4f, 7.6f, 8}, {-8, 1, 2, 0, -7, 7, 7, 7}},
        {CLMOE_Q5_0, {-16, 0.5f, 1.5f, -0.5f, -15.5f, 15.4f, 15.6f, 16}, {-16, 1, 2, 0, -15, 15, 15, 15}},
        {CLMOE_MXFP4, {7.9f, 5, 2.5f, -5, 0.25f, 0.75f, -1.75f, 3.5f}, {6, 4, 2, -4, 0, 0.5f, -1.5f, 3}},
    };
    test_device device = test_open(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const block_format *f = block_format_of(cases[i].format);
        float values[64] = {0};
        for (int k = 0; k < 64; k++) values[k] = cases[i].from[k % 8];
        const clmoe_tensor source = {.format = CLMOE_F32, .host = values};
        packed p = pack(&device, f->format, 1, 64, 0, 0, NULL, &source);
        for (uint32_t k = 0; k < 64; k++) {
            const float got = block_packed_at(f, p.bytes, 2 * p.matrix.lanes, k, 0).value;
            if (got != cases[i].to[k % 8])
                fail_msg("%s: %g becomes %g, expected %g", f->name, (double)values[k], (double)got,
                         (double)cases[i].to[k % 8]);
        }
        packed_free(&device, &p);
    }
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_are_those_of_ggml),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_arrangements_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
