/* The macro-kernel for matrix units, with every vendor's fragments emulated: the whole of its indexing against the
 * oracle, on devices that have no matrix unit. What is left to prove on a device that has one is the instruction
 * itself, which its self-test does. */
#include <math.h>
#include <stdio.h>

#include "block_weights.h"
#include "oracle.h"

static clmoe_error error = {.struct_size = sizeof error};

static const char *const units[] = {"mma", "mfma", "wmma", "wmma12", "dpas16", "dpas8", "wgmma"};
enum { UNITS = sizeof units / sizeof *units };

/* A grouped GEMM and its data. Rows of x and y are `gap` elements further apart than they must be. */
typedef struct job {
    uint32_t groups, n, k, tokens, slots; /* slots 0: no plan, one group */
    uint32_t x_format, y_format, gap;
    int gated, bias, weighted;
    int aligned;                /* x and y begin at multiples of 64 bytes */
    const block_format *blocks; /* of the weights; NULL: bf16 */
    uint32_t columns;           /* of the matrix: n, or 2 n where gated, gate first */
    void *weights, *x;
    float *bias_values, *factor;
    double *weight_values, *x_values; /* as they are stored */
    int32_t *index;                   /* [tokens, slots] */
} job;

static void *array(size_t count, size_t size) {
    void *p = calloc(count, size);
    assert_non_null(p);
    return p;
}

static double rounded_to_bf16(double value) {
    uint16_t bits;
    test_store(&bits, CLMOE_BF16, 0, value);
    return test_load(&bits, CLMOE_BF16, 0);
}

static job job_new(job j, uint64_t stream) {
    test_random random = test_random_new(stream);
    j.columns = j.gated ? 2 * j.n : j.n;
    const size_t weights = (size_t)j.groups * j.columns * j.k, stride = j.k + j.gap;
    j.weights = array(weights, 4);
    j.weight_values = array(weights, sizeof(double));
    j.x = array(j.tokens * stride, test_format_bytes(j.x_format));
    j.x_values = array((size_t)j.tokens * j.k, sizeof(double));
    j.bias_values = array((size_t)j.groups * j.columns, sizeof(float));
    j.factor = array((size_t)j.tokens * (j.slots + 1), sizeof(float));
    j.index = array((size_t)j.tokens * (j.slots + 1), sizeof(int32_t));
    for (size_t i = 0; i < weights && j.blocks == NULL; i++) {
        test_store(j.weights, CLMOE_BF16, i, test_random_normal(&random) / sqrt((double)j.k));
        j.weight_values[i] = test_load(j.weights, CLMOE_BF16, i);
    }
    if (j.blocks != NULL) {
        block_tame_many(j.blocks, j.weights, weights, 1 / sqrt((double)j.k), &random);
        block_decode_many(j.blocks, j.weights, weights, j.weight_values);
        for (size_t i = 0; i < weights; i++) j.weight_values[i] = rounded_to_bf16(j.weight_values[i]);
    }
    for (size_t t = 0; t < j.tokens; t++)
        for (size_t k = 0; k < stride; k++) { /* what lies between the rows must not be read as x */
            test_store(j.x, j.x_format, t * stride + k, k < j.k ? test_random_normal(&random) : NAN);
            if (k < j.k) j.x_values[t * j.k + k] = test_load(j.x, j.x_format, t * stride + k);
        }
    for (size_t i = 0; i < (size_t)j.groups * j.columns; i++) j.bias_values[i] = (float)test_random_normal(&random);
    for (size_t i = 0; i < (size_t)j.tokens * j.slots; i++) {
        j.factor[i] = (float)(1 + test_random_below(&random, 8)) / 8.0f;
        j.index[i] =
            (int32_t)((test_random_below(&random, 4) == 0) ? test_random_below(&random, j.groups) : 0); /* uneven */
        if (test_random_below(&random, 8) == 0) j.index[i] = -1;
    }
    return j;
}

static void job_free(job *j) {
    void *const all[] = {j->weights, j->weight_values, j->x, j->x_values, j->bias_values, j->factor, j->index};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static test_device open_unit(uint32_t unit) {
    char name[32];
    (void)snprintf(name, sizeof name, "emulated/%s", units[unit]);
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.prefer = name;
    return test_open(&d);
}

static clmoe_grouped_gemm *gemm_new(test_device *device, const job *j, uint32_t unit) {
    clmoe_grouped_gemm_desc d;
    clmoe_grouped_gemm_desc_default(&d, sizeof d);
    d.num_groups = j->groups;
    d.in_features = j->k;
    d.out_features = j->n;
    d.weight_format = j->blocks != NULL ? j->blocks->format : (uint32_t)CLMOE_BF16;
    d.arithmetic = CLMOE_ARITHMETIC_BF16;
    d.gate_up = CLMOE_GATE_UP_CONCATENATED;
    d.weight = (clmoe_tensor){.format = d.weight_format, .host = j->weights};
    if (j->bias) d.bias = (clmoe_tensor){.format = CLMOE_F32, .host = j->bias_values};
    d.activate = (uint32_t)j->gated;
    d.x_format = j->x_format;
    d.y_format = j->y_format;
    d.slots = j->slots;
    clmoe_grouped_gemm *gemm = NULL;
    OK(clmoe_grouped_gemm_create(device->context, &d, &gemm, &error));
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "emulated/%s (bf16 arithmetic)", units[unit]);
    assert_string_equal(clmoe_grouped_gemm_variant(gemm), wanted);
    return gemm;
}

/* A buffer for rows, and where in it they begin: at a multiple of 64 bytes, or only at one of the element. */
static test_buffer rows_new(test_device *device, size_t bytes, const void *from, int aligned, clmoe_buffer *at) {
    test_buffer buffer = test_buffer_new(device, bytes + (aligned ? 64 : 0), aligned ? NULL : from);
    *at = buffer.at;
    if (!aligned) return buffer;
    at->offset = (at->offset + 63) / 64 * 64;
    if (from != NULL)
        assert_int_equal(
            clEnqueueWriteBuffer(device->queue, buffer.mem, CL_TRUE, at->offset, bytes, from, 0, NULL, NULL), 0);
    return buffer;
}

/* The plan of j->index, in device memory; *layout says where its parts are. */
static test_buffer plan_new(test_device *device, const job *j, uint32_t tile_rows, clmoe_plan_layout *layout) {
    clmoe_dispatch_desc d;
    clmoe_dispatch_desc_default(&d, sizeof d);
    d.num_classes = d.local_experts = j->groups;
    d.slots = j->slots;
    d.tile_rows = tile_rows;
    clmoe_dispatch *dispatch = NULL;
    OK(clmoe_dispatch_create(device->context, &d, &dispatch, &error));
    OK(clmoe_dispatch_plan_layout(dispatch, j->tokens, 0, layout, &error));
    test_buffer index = test_buffer_new(device, (size_t)j->tokens * j->slots * 4, j->index);
    test_buffer plan = test_buffer_new(device, (size_t)layout->total * 4, NULL);
    clmoe_dispatch_io io;
    clmoe_dispatch_io_default(&io, sizeof io);
    io.tokens = j->tokens;
    io.index = index.at;
    io.plan = plan.at;
    OK(clmoe_dispatch_enqueue(dispatch, NULL, device->queue, &io, 0, NULL, NULL, &error));
    assert_int_equal(clFinish(device->queue), CL_SUCCESS);
    test_buffer_free(device, &index);
    clmoe_dispatch_destroy(dispatch);
    return plan;
}

/* Row `token` of x through `group` against the oracle. */
static void check_row(const job *j, uint32_t unit, uint32_t group, uint32_t token, double factor, const void *y,
                      size_t at) {
    double *sums = array((size_t)2 * j->columns + j->k, sizeof *sums), *size = sums + j->columns,
           *x = size + j->columns;
    const clmoe_activation silu = {.kind = CLMOE_SILU, .gated = 1, .alpha = 1};
    for (uint32_t k = 0; k < j->k; k++) x[k] = (double)((float)j->x_values[(size_t)token * j->k + k] * (float)factor);
    oracle_product(j->weight_values + (size_t)group * j->columns * j->k, j->columns, j->k, ORACLE_BF16, x, sums, size);
    for (uint32_t i = 0; i < j->columns && j->bias; i++) {
        sums[i] += (double)j->bias_values[(size_t)group * j->columns + i];
        size[i] += fabs((double)j->bias_values[(size_t)group * j->columns + i]);
    }
    for (uint32_t i = 0; i < j->n; i++) {
        const uint32_t up = j->gated ? i + j->n : i;
        const double wanted = j->gated ? oracle_activation(&silu, sums[i], sums[up]) : sums[i];
        const double magnitude = j->gated ? (size[i] + fabs(sums[i])) * 1.1 * (size[up] + fabs(sums[up])) : size[i];
        const double got = test_load(y, j->y_format, at + i);
        if (!(fabs(got - wanted) <= oracle_tolerance(wanted, magnitude, j->k, 0, j->y_format)))
            fail_msg("%s: y[%u] of token %u, group %u is %.9g, the oracle says %.9g", units[unit], i, token, group, got,
                     wanted);
    }
    free(sums);
}

/* Runs the first `tokens` tokens and returns y, rows n + gap apart; with a plan, every row is checked. */
static void *run(test_device *device, const job *j, uint32_t unit, clmoe_grouped_gemm *gemm, uint32_t tokens,
                 size_t *bytes) {
    job part = *j;
    part.tokens = tokens;
    const uint32_t slots = j->slots > 0 ? j->slots : 1;
    const size_t rows = (size_t)tokens * slots, stride = j->n + j->gap, x_bytes = test_format_bytes(j->x_format);
    clmoe_plan_layout layout = {.struct_size = sizeof layout};
    clmoe_grouped_gemm_io io;
    clmoe_grouped_gemm_io_default(&io, sizeof io);
    *bytes = rows * stride * test_format_bytes(j->y_format);
    test_buffer x = rows_new(device, tokens * (j->k + j->gap) * x_bytes, j->x, j->aligned, &io.x), plan = {0};
    test_buffer y = rows_new(device, *bytes, NULL, j->aligned, &io.y);
    test_buffer factor = test_buffer_new(device, rows * 4, j->factor);
    io.tokens = tokens;
    io.x_stride = j->k + j->gap;
    io.y_stride = stride;
    if (j->weighted) io.weight = factor.at;
    if (j->slots > 0) plan = plan_new(device, &part, clmoe_grouped_gemm_tile_rows(gemm), &layout);
    if (j->slots > 0) io.plan = plan.at;
    OK(clmoe_grouped_gemm_enqueue(gemm, NULL, device->queue, &io, 0, NULL, NULL, &error));
    void *result = array(*bytes, 1);
    assert_int_equal(clFinish(device->queue), CL_SUCCESS);
    assert_int_equal(
        clEnqueueReadBuffer(device->queue, y.mem, CL_TRUE, (size_t)io.y.offset, *bytes, result, 0, NULL, NULL), 0);
    if (j->slots > 0) {
        int32_t *map = array((size_t)layout.total, sizeof *map);
        test_buffer_read(device, &plan, map);
        for (uint32_t s = 0; s < rows; s++)
            if (j->index[s] >= 0)
                check_row(j, unit, (uint32_t)j->index[s], s / slots, j->weighted ? (double)j->factor[s] : 1, result,
                          (size_t)map[layout.slot_row + s] * stride);
        free(map);
        test_buffer_free(device, &plan);
    }
    test_buffer_free(device, &x);
    test_buffer_free(device, &y);
    test_buffer_free(device, &factor);
    return result;
}

/* ------------------------------------------------------------------------------------------------------ tests */

/* One group: k, columns and rows that fill no run, panel or tile; the same bits whatever the number of rows. */
static void test_one_group(void **state) {
    (void)state;
    static const uint32_t fewer[] = {1, 7, 17, 65};
    for (uint32_t u = 0; u < UNITS; u++) {
        test_device device = open_unit(u);
        job j = job_new(
            (job){.groups = 1, .n = 77, .k = 105, .tokens = 131, .x_format = CLMOE_F32, .y_format = CLMOE_F32}, 3000);
        clmoe_grouped_gemm *gemm = gemm_new(&device, &j, u);
        size_t bytes = 0, part = 0;
        float *y = run(&device, &j, u, gemm, j.tokens, &bytes);
        for (uint32_t t = 0; t < j.tokens; t++) check_row(&j, u, 0, t, 1, y, (size_t)t * j.n);
        for (uint32_t i = 0; i < sizeof fewer / sizeof *fewer; i++) {
            float *few = run(&device, &j, u, gemm, fewer[i], &part);
            assert_memory_equal(few, y, part);
            free(few);
        }
        free(y);
        clmoe_grouped_gemm_destroy(gemm);
        job_free(&j);
        test_close(&device);
    }
}

/* Gathered rows in x's own format, at any alignment and at the best; gated, with a bias; y in bf16. With copies as they
 * are where they run by themselves, and with one of the others in turn: kernels take long to compile. */
static void test_gathered(void **state) {
    (void)state;
    test_random random = test_random_new(3101);
    const uint32_t chosen[] = {0, 1 + test_random_below(&random, UNITS - 1)};
    for (int c = 0; c < 2; c++) {
        const uint32_t u = chosen[c];
        test_device device = open_unit(u);
        job j = job_new((job){.groups = 3,
                              .n = 45,
                              .k = u == 0 ? 216 : 104, /* mma walks 160 at a time */
                              .tokens = 67,
                              .slots = 2,
                              .x_format = CLMOE_BF16,
                              .y_format = CLMOE_BF16,
                              .gap = 8,
                              .gated = 1,
                              .bias = 1},
                        3100);
        clmoe_grouped_gemm *gemm = gemm_new(&device, &j, u);
        size_t bytes = 0;
        for (int i = 0; i < 4; i++) {
            j.aligned = i % 2;
            j.weighted = i / 2;
            free(run(&device, &j, u, gemm, j.tokens, &bytes)); /* which checks every row */
        }
        clmoe_grouped_gemm_destroy(gemm);
        job_free(&j);
        test_close(&device);
    }
}

/* Weights in blocks, decoded while they are loaded: one format by one unit, in their turns. Rows of f16 become operands
 * before, once for both slots of a token. */
static void test_blocks(void **state) {
    (void)state;
    test_random random = test_random_new(3300);
    const uint32_t u = test_random_below(&random, UNITS);
    const block_format *f = NULL;
    while (f == NULL || f->super_blocks == 0)
        f = block_format_at(test_random_below(&random, 16)); /* NULL past the last */
    test_device device = open_unit(u);
    job j = job_new((job){.groups = 2,
                          .n = 37,
                          .k = f->values == 32 ? 224 : 3 * f->values,
                          .tokens = 21,
                          .slots = 2,
                          .x_format = CLMOE_F16,
                          .y_format = CLMOE_F32,
                          .blocks = f},
                    3301);
    clmoe_grouped_gemm *gemm = gemm_new(&device, &j, u);
    size_t bytes = 0;
    print_message("%s by %s\n", f->name, units[u]);
    free(run(&device, &j, u, gemm, j.tokens, &bytes));
    clmoe_grouped_gemm_destroy(gemm);
    job_free(&j);
    test_close(&device);
}

/* The real units are refused for what they are, and nothing emulated is chosen unasked. */
static void test_choice(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    char text[8192];
    job j =
        job_new((job){.groups = 1, .n = 16, .k = 16, .tokens = 1, .x_format = CLMOE_F32, .y_format = CLMOE_F32}, 3200);
    clmoe_grouped_gemm_desc d;
    clmoe_grouped_gemm_desc_default(&d, sizeof d);
    d.in_features = d.out_features = 16;
    d.weight_format = CLMOE_BF16;
    d.arithmetic = CLMOE_ARITHMETIC_BF16;
    d.weight = (clmoe_tensor){.format = CLMOE_BF16, .host = j.weights};
    clmoe_grouped_gemm *gemm = NULL;
    OK(clmoe_grouped_gemm_create(device.context, &d, &gemm, &error));
    assert_null(strstr(clmoe_grouped_gemm_variant(gemm), "emulated"));
    OK(clmoe_context_describe(device.context, text, sizeof text, NULL, &error));
    assert_null(strstr(text, "emulated"));
    clmoe_grouped_gemm_destroy(gemm);
    job_free(&j);
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_group), cmocka_unit_test(test_gathered),
                                       cmocka_unit_test(test_blocks), cmocka_unit_test(test_choice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
