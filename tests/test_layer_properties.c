/* What a layer promises whatever its weights are: the order of tokens, the size of the batch and the number of the run
 * change no bit; counts add up; identical experts are a dense network; ties go to the lower index. */
#include <math.h>

#include "layer_case.h"
#include "layer_order.h"
#include "one_device.h"

/* One layer of each storage format, with everything that adds to the sum; two of them with a latent space. */
static layer_case *rich_case(uint32_t format, uint32_t arithmetic, uint32_t latent) {
    case_options o = case_default(52, 39, 9, 3);
    o.format = o.source_format = format;
    o.arithmetic = arithmetic;
    o.with = CASE_UP_BIAS | CASE_DOWN_BIAS | CASE_SHARED_GATE | CASE_OUTPUT_BIAS;
    o.shared_intermediate = 21;
    o.latent = latent;
    o.layer.routing.zero_experts = latent == 0;
    if (format == CLMOE_F16) o.layer.x_format = o.layer.out_format = CLMOE_F16;
    return case_new(&device, &o);
}

static const struct format_row {
    uint32_t format, arithmetic, latent;
} format_rows[] = {{CLMOE_F32, CLMOE_ARITHMETIC_AUTO, 0},  {CLMOE_F16, CLMOE_ARITHMETIC_AUTO, 0},
                   {CLMOE_BF16, CLMOE_ARITHMETIC_F32, 0},  {CLMOE_BF16, CLMOE_ARITHMETIC_AUTO, 0},
                   {CLMOE_F32, CLMOE_ARITHMETIC_AUTO, 20}, {CLMOE_BF16, CLMOE_ARITHMETIC_AUTO, 35}};
enum { FORMAT_ROWS = sizeof format_rows / sizeof *format_rows };

static void test_order_and_batch(void **state) {
    (void)state;
    static const uint32_t batches[] = {1, 7, 64, 512};
    test_random random = test_random_new(21);
    for (int i = 0; i < FORMAT_ROWS; i++) {
        layer_case *c = rich_case(format_rows[i].format, format_rows[i].arithmetic, format_rows[i].latent);
        case_check_order(c, &random);
        case_check_batches(c, batches, sizeof batches / sizeof *batches, &random);
        case_free(c);
    }
}

static void test_identical_experts(void **state) {
    (void)state;
    enum { T = 19, H = 45 };
    test_random random = test_random_new(22);
    case_options o = case_default(H, 50, 12, 5);
    o.with = CASE_IDENTICAL | CASE_UP_BIAS | CASE_DOWN_BIAS;
    layer_case *c = case_new(&device, &o);
    float *x = case_input(c, T, &random);
    case_result r = case_forward(c, NULL, x, T);
    for (uint32_t t = 0; t < T; t++) {
        double in[H], y[H], magnitude[H];
        for (int j = 0; j < H; j++) in[j] = (double)x[t * H + (uint32_t)j];
        oracle_ffn_row(&c->oracle.experts, 0, in, y, magnitude);
        for (int j = 0; j < H; j++) {
            const double got = test_load(r.out, CLMOE_F32, t * H + (size_t)j);
            assert_true(fabs(got - y[j]) <= oracle_tolerance(y[j], magnitude[j], 50, 0, CLMOE_F32));
        }
    }
    case_result_free(&r);
    free(x);
    case_free(c);
}

static void test_ties(void **state) {
    (void)state;
    enum { T = 6, E = 40, K = 7 };
    test_random random = test_random_new(23);
    case_options o = case_default(16, 16, E, K);
    layer_case *c = case_new(&device, &o);
    void *x = case_input(c, T, &random);
    float logits[T][E];
    for (uint32_t t = 0; t < T; t++) {
        for (uint32_t e = 0; e < E; e++) logits[t][e] = t % 2 ? -0.5f : 1e30f;
    }
    logits[2][31] = INFINITY; /* one winner, the rest tie */
    logits[3][5] = NAN;       /* behind everything */
    logits[3][0] = -INFINITY;
    case_buffers b = case_buffers_new(c, x, T);
    test_buffer given = test_buffer_new(&device, sizeof logits, logits);
    clmoe_error error = {.struct_size = sizeof error};
    b.io.logits = given.at;
    OK(clmoe_forward(c->layer, NULL, device.queue, &b.io, 0, NULL, NULL, &error));
    case_result r = case_buffers_take(c, &b);
    static const int32_t wanted[T][K] = {{0, 1, 2, 3, 4, 5, 6},  {0, 1, 2, 3, 4, 5, 6}, {31, 0, 1, 2, 3, 4, 5},
                                         {1, 2, 3, 4, 6, 7, 8},  {0, 1, 2, 3, 4, 5, 6}, {0, 1, 2, 3, 4, 5, 6}};
    for (uint32_t t = 0; t < T; t++) {
        for (uint32_t s = 0; s < K; s++) assert_int_equal(r.index[t * K + s], wanted[t][s]);
    }
    test_buffer_free(&device, &given);
    case_result_free(&r);
    free(x);
    case_free(c);
}

/* The row tile's height, from a grouped GEMM of the same kind. */
static uint32_t tile_rows(uint32_t format) {
    static const float weight[16 * 16];
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_grouped_gemm_desc d;
    clmoe_grouped_gemm_desc_default(&d, sizeof d);
    d.num_groups = 1;
    d.in_features = d.out_features = 16;
    d.weight_format = format;
    d.weight = (clmoe_tensor){.format = CLMOE_F32, .host = weight};
    clmoe_grouped_gemm *gemm = NULL;
    OK(clmoe_grouped_gemm_create(device.context, &d, &gemm, &error));
    const uint32_t rows = clmoe_grouped_gemm_tile_rows(gemm);
    clmoe_grouped_gemm_destroy(gemm);
    return rows;
}

/* All tokens to one expert, around the tile's height; and no token at all. */
static void test_tile_edges(void **state) {
    (void)state;
    test_random random = test_random_new(24);
    const uint32_t rows = tile_rows(CLMOE_F32);
    assert_true(rows > 0);
    const uint32_t batches[] = {0, 1, rows - 1, rows, rows + 1, 2 * rows + 1, 11, 12, 13};
    layer_case *c = rich_case(CLMOE_F32, CLMOE_ARITHMETIC_AUTO, 0);
    const uint32_t slots = c->oracle.slots;
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        const uint32_t T = batches[i];
        int32_t *index = malloc((T * slots + 1) * sizeof *index);
        float *weight = malloc((T * slots + 1) * sizeof *weight);
        for (uint32_t n = 0; n < T * slots; n++) {
            index[n] = n % slots == 1 ? 7 : -1;
            weight[n] = (float)test_random_normal(&random);
        }
        void *x = case_input(c, T, &random);
        case_buffers b = case_buffers_new(c, x, T);
        test_buffer ib = test_buffer_new(&device, (size_t)T * slots * 4, index);
        test_buffer wb = test_buffer_new(&device, (size_t)T * slots * 4, weight);
        clmoe_error error = {.struct_size = sizeof error};
        b.io.index = ib.at;
        b.io.weight = wb.at;
        b.io.out_index = b.io.out_weight = (clmoe_buffer){0};
        OK(clmoe_forward(c->layer, NULL, device.queue, &b.io, 0, NULL, NULL, &error));
        case_result r = case_buffers_take(c, &b);
        case_check_output(c, x, T, index, weight, NULL, r.out);
        for (uint32_t e = 0; e < c->oracle.classes; e++) assert_int_equal(r.load[e], e == 7 ? T : 0);
        case_result_free(&r);
        test_buffer_free(&device, &ib);
        test_buffer_free(&device, &wb);
        free(index);
        free(weight);
        free(x);
    }
    case_free(c);
}

static void test_expert_choice(void **state) {
    (void)state;
    test_random random = test_random_new(25);
    case_options o = case_default(40, 24, 6, 1);
    o.layer.routing.method = CLMOE_EXPERT_CHOICE;
    o.layer.routing.normalize = CLMOE_NORM_NONE;
    o.layer.routing.capacity_factor = 1.5f;
    layer_case *c = case_new(&device, &o);
    static const uint32_t batches[] = {1, 5, 48, 131};
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        const uint32_t T = batches[i];
        const int32_t capacity = (int32_t)((T * 3 + 11) / 12); /* ceil(T * 1.5 / 6) */
        void *x = case_input(c, T, &random);
        case_result r = case_forward(c, NULL, x, T), again = case_forward(c, NULL, x, T);
        case_check(c, x, T, &r);
        case_same(c, "expert choice's second run", &r, &again, T);
        for (uint32_t e = 0; e < 6; e++) assert_int_equal(r.load[e], capacity);
        case_result_free(&r);
        case_result_free(&again);
        free(x);
    }
    case_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_batch), cmocka_unit_test(test_identical_experts), cmocka_unit_test(test_ties),
        cmocka_unit_test(test_tile_edges),      cmocka_unit_test(test_expert_choice),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
