/* The same layers on other devices: two sub-devices with the caller's context, forced vector widths, lowered limits,
 * and every variant of the grouped GEMM in turn by disabling those before it. All are held against the oracle; variants
 * of one device and arithmetic also against each other, bit for bit. */
#include <math.h>
#include <stdio.h>

#include "layer_case.h"

enum { CASES = 4, T = 29 };

/* What runs (the first and the last everywhere): f32, bf16 with f32 arithmetic, f16 with 16-bit activations, bf16 by
 * bf16; the second and the last with a latent space. */
static case_options option(int i) {
    case_options o = case_default(i == 1 ? 100 : 68, i == 2 ? 33 : 47, 10, 3);
    static const uint32_t formats[CASES] = {CLMOE_F32, CLMOE_BF16, CLMOE_F16, CLMOE_BF16};
    o.format = o.source_format = formats[i];
    o.arithmetic = i == 3 ? CLMOE_ARITHMETIC_BF16 : CLMOE_ARITHMETIC_F32;
    if (i == 2) o.layer.x_format = o.layer.out_format = CLMOE_F16;
    o.shared_intermediate = 35;
    o.with = CASE_UP_BIAS | CASE_SHARED_GATE;
    o.gate_up = (uint32_t)i % 3;
    o.stream = 70 + (uint64_t)i;
    if (i % 2 == 1) o.latent = i == 1 ? 37 : 24;
    return o;
}

static case_result run_options(test_device *device, const case_options *o) {
    layer_case *c = case_new(device, o);
    test_random random = test_random_new(10 + o->stream);
    void *x = case_input(c, T, &random);
    case_result r = case_forward(c, NULL, x, T);
    case_check(c, x, T, &r);
    free(x);
    case_free(c);
    return r;
}

static case_result run_one(test_device *device, int i) {
    const case_options o = option(i);
    return run_options(device, &o);
}

static void same(int i, const char *what, const case_result *a, const case_result *b) {
    const case_options o = option(i);
    char text[128];
    (void)snprintf(text, sizeof text, "%s, case %d", what, i);
    case_same_bits(text, a->index, b->index, (size_t)T * 3 * 4);
    case_same_bits(text, a->weight, b->weight, (size_t)T * 3 * 4);
    case_same_bits(text, a->out, b->out, (size_t)T * o.hidden * test_format_bytes(o.layer.out_format));
}

/* Sets of the cases, bits: every one costs compilations. */
enum { FIRST = 1, LAST = 8, FIRST_AND_LAST = 9, EVEN = 5, ODD = 10, ALL = 15 };

/* One of two sets, by turns. */
static int either(int a, int b) {
    test_random random = test_random_new(69);
    return test_random_below(&random, 2) == 0 ? a : b;
}

/* Runs a set of cases; with `reference`, results must equal it, or are stored there if `keep`. */
static void run_all(const clmoe_context_desc *desc, int set, const char *what, case_result reference[CASES], int keep) {
    test_device device = test_open(desc);
    for (int i = 0; i < CASES; i++) {
        if ((set >> i & 1) == 0) continue;
        case_result r = run_one(&device, i);
        if (keep) {
            reference[i] = r;
            continue;
        }
        if (reference != NULL) same(i, what, &r, &reference[i]);
        case_result_free(&r);
    }
    test_close(&device);
}

static clmoe_context_desc plain(void) {
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    return d;
}

static void test_variants(void **state) {
    (void)state;
    static const char *const disabled[] = {"avx512_bf16", "cpu", "cpu/avx512_bf16,cpu/avx512_fma,cpu/fma,gpu/tile"};
    case_result reference[CASES];
    clmoe_context_desc d = plain();
    run_all(&d, ALL, "", reference, 1);
    for (size_t i = 0; i < sizeof disabled / sizeof *disabled; i++) {
        d.disable = disabled[i];
        run_all(&d, i == 1 ? either(EVEN, ODD) : FIRST_AND_LAST, disabled[i], reference, 0);
    }
    for (int i = 0; i < CASES; i++) case_result_free(&reference[i]);
}

static void test_vector_widths(void **state) {
    (void)state;
    for (uint32_t width = 4; width <= 8; width *= 2) {
        clmoe_context_desc d = plain();
        d.vector_width = width;
        run_all(&d, width == 4 ? either(FIRST, LAST) : either(LAST, FIRST), "", NULL, 0);
    }
}

static void test_small_limits(void **state) {
    (void)state;
    clmoe_context_desc d = plain();
    d.max_local_bytes = 16 << 10;
    d.max_work_group_size = 64;
    d.max_alloc_bytes = 128 << 20;
    run_all(&d, FIRST_AND_LAST, "", NULL, 0);
    d.disable = "cpu"; /* so that local memory and work-items are used */
    run_all(&d, either(LAST, FIRST), "", NULL, 0);
}

/* Everything disabled is said so, not ignored. */
static void test_none_left(void **state) {
    (void)state;
    clmoe_context_desc d = plain();
    d.disable = "cpu,gpu,portable";
    test_device device = test_open(&d);
    const case_options o = option(0);
    clmoe_weights_desc w;
    clmoe_error error = {.struct_size = sizeof error};
    layer_case *c = case_describe(&device, &o, &w);
    clmoe_status status = clmoe_weights_create(device.context, &w, &c->weights, &error);
    if (status == CLMOE_OK) status = clmoe_layer_create(device.context, c->weights, &o.layer, &c->layer, &error);
    test_fails(status, &error, CLMOE_NO_VARIANT, "disabled");
    case_free(c);
    test_close(&device);
}

/* Each device has its share of the experts, the second also what is not an expert's: their outputs add up. */
static void share_experts(test_device devices[2], int i, const case_result *whole) {
    case_options o = option(i);
    const size_t n = (size_t)T * o.hidden;
    double *sum = calloc(n, sizeof *sum);
    assert_non_null(sum);
    for (uint32_t part = 0; part < 2; part++) {
        o.layer.first_expert = part == 0 ? 0 : 4;
        o.layer.local_experts = part == 0 ? 4 : 6;
        o.layer.omit_shared = part == 0;
        case_result r = run_options(&devices[part], &o);
        case_same_bits("routes of a share", r.index, whole->index, (size_t)T * 3 * 4);
        for (size_t k = 0; k < n; k++) sum[k] += test_load(r.out, o.layer.out_format, k);
        case_result_free(&r);
    }
    /* In bf16 the sum in the latent space is rounded in parts. */
    const double allowed = o.arithmetic == CLMOE_ARITHMETIC_BF16 ? 0x1p-5 : 1e-5;
    for (size_t k = 0; k < n; k++) {
        const double wanted = test_load(whole->out, o.layer.out_format, k);
        if (!(fabs(sum[k] - wanted) <= allowed * (1 + fabs(wanted))))
            fail_msg("case %d: the shares' out[%zu] add up to %.9g, not %.9g", i, k, sum[k], wanted);
    }
    free(sum);
}

static void test_sub_devices(void **state) {
    (void)state;
    test_device parent = test_open(NULL);
    cl_uint units = 0, count = 0;
    assert_int_equal(clGetDeviceInfo(parent.id, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL), CL_SUCCESS);
    const cl_device_partition_property equally[] = {CL_DEVICE_PARTITION_EQUALLY,
                                                    (cl_device_partition_property)(units / 2), 0};
    cl_device_id halves[2] = {NULL, NULL};
    if (units < 2 || clCreateSubDevices(parent.id, equally, 2, halves, &count) != CL_SUCCESS || count < 2) {
        print_message("this device has no two halves\n");
        test_close(&parent);
        skip();
    }
    cl_int code = 0;
    cl_context shared = clCreateContext(NULL, 2, halves, NULL, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    test_device devices[2];
    for (int i = 0; i < 2; i++) {
        clmoe_context_desc d = plain();
        d.adopt_context = shared;
        d.adopt_device = halves[i];
        devices[i] = test_open(&d);
        assert_true(devices[i].cl == shared && devices[i].id == halves[i]);
    }
    for (int i = 0; i < CASES; i += CASES - 1) {
        case_result a = run_one(&devices[0], i), b = run_one(&devices[1], i);
        same(i, "the two halves", &a, &b);
        share_experts(devices, i, &a);
        case_result_free(&a);
        case_result_free(&b);
    }
    for (int i = 0; i < 2; i++) {
        test_close(&devices[i]);
        (void)clReleaseDevice(halves[i]);
    }
    assert_int_equal(clReleaseContext(shared), CL_SUCCESS);
    test_close(&parent);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variants),  cmocka_unit_test(test_vector_widths), cmocka_unit_test(test_small_limits),
        cmocka_unit_test(test_none_left), cmocka_unit_test(test_sub_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
