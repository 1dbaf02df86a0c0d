/* Shapes of the gpu macro-kernel: that the shipped ones are what they promise, that those which do not go together are
 * refused, and that none changes a bit: every shipped shape, and some a tuner might try, against the first choice of
 * the device. Also experts named by slots without a dispatch. CLMOE_TEST_SHORT=1: of all that one small shape, for
 * devices that compile slowly. */
#include <math.h>
#include <stdio.h>

#include "cl_entry.h"
#include "layer/gemm.h"
#include "opencl/private_run.h"
#include "support.h"

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof *(array)))

enum { GROUPS = 3, N = 77, K_WIDE = 71, K_BLOCKS = 352, ROWS = 70, TOKENS = 9, SLOTS = 4, FIRST = 2 };

static clmoe_error error = {.struct_size = sizeof error};

/* Weights of all groups on a device, and a GEMM on them. */
typedef struct product {
    test_device *device;
    clmoe__packer packer;
    clmoe__matrix matrix;
    clmoe__gemm gemm;
    uint32_t format, k;
} product;

static uint32_t k_of(uint32_t format) { return clmoe__format_is_block(format) ? K_BLOCKS : K_WIDE; }

static float *values_new(size_t count, uint64_t stream) {
    test_random random = test_random_new(stream);
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < count; i++) values[i] = (float)test_random_normal(&random);
    return values;
}

static clmoe__gemm_choice choose(test_device *device, uint32_t format, uint32_t arithmetic) {
    clmoe__gemm_choice choice;
    char refused[1024];
    OK(clmoe__gemm_choose(device->context, format, arithmetic, &choice, refused, sizeof refused, &error));
    return choice;
}

static void product_open(product *p, test_device *device, const clmoe__gemm_choice *choice, uint32_t format,
                         uint32_t arithmetic, uint32_t groups, uint32_t slots, const float *weights) {
    static const clmoe__matrix_names names = {"gate", "gate_bias", "up", "up_bias"};
    const clmoe_tensor none = {0}, source = {.format = CLMOE_F32, .host = weights};
    memset(p, 0, sizeof *p);
    p->device = device;
    p->format = format;
    p->k = k_of(format);
    p->packer.context = device->context;
    p->matrix = (clmoe__matrix){.groups = groups, .in_features = p->k, .out_features = N, .format = format,
                                .arithmetic = arithmetic, .lanes = choice->lanes};
    OK(clmoe__projection_create(&p->packer, &p->matrix, 0, &none, &source, &none, &none, &names, &error));
    const clmoe__gemm_spec spec = {.matrix = &p->matrix, .choice = choice, .x_format = CLMOE_F32, .y_format = CLMOE_F32,
                                   .slots = slots, .stage = "gemm"};
    OK(clmoe__gemm_create(device->context, &spec, &p->gemm, &error));
}

static void product_close(product *p) {
    clmoe_context *context = p->device->context;
    clmoe__packer_destroy(&p->packer);
    clmoe__gemm_destroy(context, &p->gemm);
    clmoe__matrix_destroy(context, &p->matrix);
}

/* y of `rows` rows, poison where nothing was stored; index NULL: one group of all rows of x. */
static float *multiply(product *p, const float *x, uint32_t tokens, uint32_t rows, const int32_t *index) {
    test_device *device = p->device;
    const size_t bytes = (size_t)rows * N * sizeof(float);
    test_buffer xb = test_buffer_new(device, (size_t)tokens * p->k * sizeof *x, x),
                yb = test_buffer_new(device, bytes, NULL);
    test_buffer ib = test_buffer_new(device, (size_t)rows * 4, index);
    const size_t operand_bytes = (size_t)clmoe__gemm_operand_bytes(&p->gemm, tokens, rows) + 64;
    const cl_mem operand = clCreateBuffer(device->cl, CL_MEM_READ_WRITE, operand_bytes, NULL, NULL);
    assert_non_null(operand);
    clmoe__gemm_io io = {.tokens = tokens, .max_rows = rows, .x = xb.at, .x_stride = p->k, .y = yb.at, .y_stride = N};
    io.operand = clmoe_cl_mem(operand, 0);
    if (index != NULL) {
        io.index = ib.at;
        io.index_slots = rows / tokens;
        io.first_expert = FIRST;
    }
    clmoe__private_run private_run;
    OK(clmoe__private_run_begin(&private_run, device->context, &error));
    clmoe__gemm_launch(&private_run.run, &p->gemm, &io);
    OK(clmoe__private_run_end(&private_run));
    float *y = malloc(bytes);
    assert_non_null(y);
    test_buffer_read(device, &yb, y);
    test_buffer_free(device, &xb);
    test_buffer_free(device, &yb);
    test_buffer_free(device, &ib);
    clReleaseMemObject(operand);
    return y;
}

static void same_row(const char *what, uint32_t row, const float *y, const float *wanted) {
    for (uint32_t i = 0; i < N; i++)
        if (memcmp(&y[i], &wanted[i], sizeof *y) != 0)
            fail_msg("%s: y[%u][%u] is %.9g, expected %.9g", what, row, i, (double)y[i], (double)wanted[i]);
}

/* ---------------------------------------------------------------------------------------------- the rows */

static clmoe__device limits(uint32_t items, uint64_t local_bytes) {
    return (clmoe__device){.max_work_group_size = items, .max_work_item_size0 = items, .local_bytes = local_bytes};
}

static void test_rows(void **state) {
    (void)state;
    const clmoe__device large = limits(256, 48 << 10), small = limits(64, 16 << 10), smaller = limits(63, 16 << 10);
    char reason[128];
    for (uint32_t arithmetic = CLMOE_ARITHMETIC_F32; arithmetic <= CLMOE_ARITHMETIC_INT8; arithmetic++) {
        const clmoe__gpu_shape *first = clmoe__gpu_shape_for(&large, 16, arithmetic, reason, sizeof reason);
        assert_non_null(first);
        assert_null(strstr(first->name, "portable"));
        assert_in_range(clmoe__gpu_tile_group(&first->tile), 128, 256);
        const clmoe__gpu_shape *portable = clmoe__gpu_shape_for(&small, 16, arithmetic, reason, sizeof reason);
        assert_non_null(portable);
        assert_non_null(strstr(portable->name, "portable"));
        assert_null(clmoe__gpu_shape_for(&smaller, 16, arithmetic, reason, sizeof reason));
        assert_string_equal(reason, "needs work-groups of 64, the device allows 63");
        for (uint32_t lanes = 4; lanes <= 16; lanes *= 2)
            assert_int_equal(clmoe__gpu_shape_fits(portable, &small, lanes, arithmetic, reason, sizeof reason), 1);
    }
}

/* Sub-groups are asked for by size only where no smaller ones are. */
static void test_sub_groups(void **state) {
    (void)state;
    static const uint32_t least[] = {0, 8, 16, 32};
    clmoe__device device = limits(256, 48 << 10);
    char reason[128];
    for (uint32_t arithmetic = CLMOE_ARITHMETIC_F32; arithmetic <= CLMOE_ARITHMETIC_INT8; arithmetic++)
        for (uint32_t i = 0; i < COUNT(least); i++) {
            device.least_sub_group = least[i];
            const clmoe__gpu_shape *shape = clmoe__gpu_shape_for(&device, 16, arithmetic, reason, sizeof reason);
            assert_non_null(shape);
            assert_int_equal(shape->sub_group, least[i] == 16 ? 16 : 0);
        }
    clmoe__gpu_shape shape = *clmoe__gpu_shape_at(0);
    shape.sub_group = 16;
    assert_int_equal(clmoe__gpu_shape_fits(&shape, &device, 16, CLMOE_ARITHMETIC_F32, reason, sizeof reason), 0);
    assert_string_equal(reason, "needs a device whose smallest sub-group is of 16");
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        clmoe__gpu_tile tile;
        const char *why;
    } wrong[] = {{{64, 128, 16, 2, 4, 4, 2, 1}, "lanes"},   {{64, 100, 16, 4, 4, 4, 2, 1}, "columns"},
                 {{64, 128, 18, 4, 4, 4, 2, 1}, "k must"},  {{64, 128, 16, 4, 4, 3, 2, 1}, "row_vector"},
                 {{64, 128, 16, 4, 6, 4, 2, 1}, "item_rows"}, {{62, 128, 16, 4, 4, 4, 2, 1}, "rows must"},
                 {{64, 128, 16, 4, 4, 4, 3, 1}, "buffers"}, {{4, 128, 16, 4, 4, 4, 2, 1}, "fraction"},
                 {{8, 128, 16, 4, 4, 4, 2, 1}, "two rows"}, {{64, 128, 64, 4, 4, 4, 2, 1}, "local memory"},
                 {{64, 128, 16, 4, 4, 4, 2, 0}, "split must"}, {{64, 128, 128, 4, 4, 4, 1, 2}, "only sums of int8"}};
    const clmoe__device device = limits(1024, 48 << 10);
    clmoe__gpu_shape shape = *clmoe__gpu_shape_at(0);
    char reason[128];
    shape.sub_group = 0;
    for (uint32_t i = 0; i < COUNT(wrong); i++) {
        shape.tile = wrong[i].tile;
        assert_int_equal(clmoe__gpu_shape_fits(&shape, &device, 16, CLMOE_ARITHMETIC_F32, reason, sizeof reason), 0);
        if (strstr(reason, wrong[i].why) == NULL) fail_msg("tile %u: \"%s\", expected \"%s\"", i, reason, wrong[i].why);
    }
}

/* Parts of k of work-items with four rows: POCL 3.1 compiles them wrongly. */
static void test_refused_parts(void **state) {
    (void)state;
    const clmoe__device device = limits(1024, 48 << 10);
    clmoe__gpu_shape shape = *clmoe__gpu_shape_at(4);
    char reason[128];
    shape.few = (clmoe__gpu_tile){16, 64, 128, 4, 2, 1, 1, 2};
    assert_int_equal(clmoe__gpu_shape_fits(&shape, &device, 16, CLMOE_ARITHMETIC_INT8, reason, sizeof reason), 1);
    shape.few.item_rows = 4;
    assert_int_equal(clmoe__gpu_shape_fits(&shape, &device, 16, CLMOE_ARITHMETIC_INT8, reason, sizeof reason), 0);
    assert_string_equal(reason, "tile: where parts of k are split, item_rows must be 1 to 3");
}

/* Many units get split rows, where those have room. */
static void test_split(void **state) {
    (void)state;
    static const struct {
        uint32_t units, items, kib, arithmetic, split;
    } wanted[] = {{31, 256, 48, CLMOE_ARITHMETIC_INT8, 1}, {32, 256, 48, CLMOE_ARITHMETIC_INT8, 2},
                  {132, 256, 48, CLMOE_ARITHMETIC_F32, 1}, {132, 64, 48, CLMOE_ARITHMETIC_INT8, 2},
                  {132, 256, 16, CLMOE_ARITHMETIC_INT8, 1}};
    for (uint32_t i = 0; i < COUNT(wanted); i++) {
        clmoe__device device = limits(wanted[i].items, wanted[i].kib << 10);
        char reason[128];
        device.compute_units = wanted[i].units;
        const clmoe__gpu_shape *row = clmoe__gpu_shape_for(&device, 16, wanted[i].arithmetic, reason, sizeof reason);
        assert_non_null(row);
        clmoe__gpu_shape shape = *row;
        clmoe__gpu_split_few(&shape, &device, 16, wanted[i].arithmetic);
        assert_int_equal(shape.few.split, wanted[i].split);
        assert_int_equal(clmoe__gpu_tile_group(&shape.few), clmoe__gpu_tile_group(&row->few));
        assert_int_equal(clmoe__gpu_shape_fits(&shape, &device, 16, wanted[i].arithmetic, reason, sizeof reason), 1);
    }
}

/* ---------------------------------------------------------------------------------------------- equal bits */

static const clmoe__gpu_shape tried[] = {
    {"several parts, wide vectors", 0, {32, 64, 8, 8, 4, 1, 1, 1}, {8, 64, 64, 4, 2, 1, 2, 1}, 64, 0},
    {"several parts", 0, {16, 64, 32, 4, 4, 2, 2, 1}, {8, 64, 64, 4, 2, 1, 2, 1}, 64, 0},
    {"k in two parts", 0, {16, 64, 128, 4, 2, 2, 1, 2}, {8, 64, 128, 4, 1, 1, 1, 2}, 64, 0},
    {"k in four parts", 0, {16, 64, 128, 4, 1, 1, 1, 4}, {8, 64, 128, 4, 1, 1, 1, 4}, 64, 0},
};

static void compare(test_device *cpu, test_device *gpu, uint32_t format, uint32_t arithmetic) {
    static const uint32_t counts[] = {1, 8, 9, ROWS};
    const uint32_t k = k_of(format);
    float *weights = values_new((size_t)N * k, 71), *x = values_new((size_t)ROWS * k, 72);
    const clmoe__gemm_choice best = choose(cpu, format, arithmetic);
    product p;
    product_open(&p, cpu, &best, format, arithmetic, 1, 0, weights);
    float *wanted = multiply(&p, x, ROWS, ROWS, NULL);
    product_close(&p);
    clmoe__gemm_choice choice = choose(gpu, format, arithmetic);
    assert_int_equal(choice.variant->macro, CLMOE__MACRO_GPU);
    for (uint32_t s = 0; s < COUNT(tried) || clmoe__gpu_shape_at(s - COUNT(tried)) != NULL; s++) {
        const clmoe__gpu_shape *shape = s < COUNT(tried) ? &tried[s] : clmoe__gpu_shape_at(s - COUNT(tried));
        char reason[128];
        if (s >= COUNT(tried) && (shape->arithmetics >> arithmetic & 1u) == 0) continue;
        if (!clmoe__gpu_shape_fits(shape, &gpu->context->device, choice.lanes, arithmetic, reason, sizeof reason))
            continue;
        choice.shape = *shape;
        choice.tile_rows = shape->tile.rows;
        product_open(&p, gpu, &choice, format, arithmetic, 1, 0, weights);
        for (uint32_t i = 0; i < COUNT(counts); i++) {
            float *y = multiply(&p, x, counts[i], counts[i], NULL);
            for (uint32_t r = 0; r < counts[i]; r++)
                same_row(shape->name, r, y + (size_t)r * N, wanted + (size_t)r * N);
            free(y);
        }
        product_close(&p);
    }
    free(wanted);
    free(weights);
    free(x);
}

/* What rusticl does: arrays in local memory count twice. */
static cl_int CL_API_CALL count_twice(cl_kernel kernel, cl_device_id id, cl_kernel_work_group_info what, size_t size,
                                      void *value, size_t *given) {
    const cl_int code = clGetKernelWorkGroupInfo(kernel, id, what, size, value, given);
    if (code == CL_SUCCESS && what == CL_KERNEL_LOCAL_MEM_SIZE && value != NULL) *(cl_ulong *)value *= 2;
    return code;
}

static void *twice_symbol(void *user, const char *name) {
    (void)user;
    if (strcmp(name, "clGetKernelWorkGroupInfo") == 0) return (void *)(uintptr_t)&count_twice;
    return cl_entry(name);
}

/* A shape that fits by the device's word and not by its driver's: the next one takes its place. */
static void test_next(void **state) {
    (void)state;
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.disable = "cpu";
    d.max_local_bytes = 32 << 10;
    d.cache = CLMOE_CACHE_OFF; /* where the first verdict would be kept for the second */
    for (int twice = 0; twice < 2; twice++) {
        if (twice) d.get_symbol = twice_symbol;
        test_device gpu = test_open(&d);
        const clmoe__gemm_choice choice = choose(&gpu, CLMOE_F32, CLMOE_ARITHMETIC_F32);
        assert_int_equal(choice.variant->macro, CLMOE__MACRO_GPU);
        assert_string_equal(choice.shape.name, twice ? "portable float" : "float");
        assert_int_equal(choice.tile_rows, choice.shape.tile.rows);
        test_close(&gpu);
    }
}

/* Small integers, whose sums are exact in any order: no second kernel is needed to judge the first. */
static void test_small(void **state) {
    (void)state;
    static const clmoe__gpu_shape small = {"small", 0, {8, 32, 8, 4, 2, 1, 2, 1}, {8, 32, 8, 4, 1, 1, 1, 1}, 32, 0};
    float *weights = values_new((size_t)N * K_WIDE, 77), *x = values_new((size_t)ROWS * K_WIDE, 78);
    for (uint32_t i = 0; i < N * K_WIDE; i++) weights[i] = roundf(4 * weights[i]);
    for (uint32_t i = 0; i < ROWS * K_WIDE; i++) x[i] = roundf(4 * x[i]);
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.disable = "cpu";
    test_device gpu = test_open(&d);
    char reason[128];
    clmoe__gemm_choice choice;
    char refused[1024];
    OK(clmoe__gemm_choose(gpu.context, CLMOE_F32, CLMOE_ARITHMETIC_F32, &choice, refused, sizeof refused, &error));
    if (choice.variant->macro != CLMOE__MACRO_GPU) fail_msg("%s", refused);
    if (!clmoe__gpu_shape_fits(&small, &gpu.context->device, choice.lanes, CLMOE_ARITHMETIC_F32, reason, sizeof reason))
        fail_msg("%s", reason);
    choice.shape = small;
    choice.tile_rows = small.tile.rows;
    product p;
    product_open(&p, &gpu, &choice, CLMOE_F32, CLMOE_ARITHMETIC_F32, 1, 0, weights);
    float *y = multiply(&p, x, ROWS, ROWS, NULL);
    for (uint32_t r = 0; r < ROWS; r++)
        for (uint32_t n = 0; n < N; n++) {
            float sum = 0;
            for (uint32_t k = 0; k < K_WIDE; k++) sum += x[r * K_WIDE + k] * weights[n * K_WIDE + k];
            if (y[r * N + n] != sum)
                fail_msg("y[%u][%u] is %g, expected %g", r, n, (double)y[r * N + n], (double)sum);
        }
    product_close(&p);
    test_close(&gpu);
    free(y);
    free(x);
    free(weights);
}

/* Experts that slots name: each slot's row is that of its expert alone. */
static void compare_direct(test_device *gpu, uint32_t format, uint32_t arithmetic) {
    const uint32_t k = k_of(format), slots = TOKENS * SLOTS;
    float *weights = values_new((size_t)GROUPS * N * k, 73), *x = values_new((size_t)TOKENS * k, 74);
    int32_t index[TOKENS * SLOTS];
    test_random random = test_random_new(75);
    for (uint32_t i = 0; i < slots; i++)
        index[i] = (int32_t)test_random_below(&random, GROUPS + 4) - 1; /* -1 .. 5; 2 .. 4 here */
    for (uint32_t i = 0; i < slots; i += 2) index[i] = FIRST + 1; /* more rows than a tile has */
    const clmoe__gemm_choice choice = choose(gpu, format, arithmetic);
    product all, one;
    product_open(&all, gpu, &choice, format, arithmetic, GROUPS, SLOTS, weights);
    float *y = multiply(&all, x, TOKENS, slots, index);
    for (int32_t e = 0; e < GROUPS; e++) {
        product_open(&one, gpu, &choice, format, arithmetic, 1, 0, weights + (size_t)e * N * k);
        float *wanted = multiply(&one, x, TOKENS, TOKENS, NULL);
        for (uint32_t i = 0; i < slots; i++)
            if (index[i] == FIRST + e) same_row("direct", i, y + (size_t)i * N, wanted + (size_t)(i / SLOTS) * N);
        free(wanted);
        product_close(&one);
    }
    for (uint32_t i = 0; i < slots; i++)
        if (index[i] < FIRST || index[i] >= FIRST + GROUPS)
            for (size_t b = 0; b < N * sizeof *y; b++) assert_int_equal(((uint8_t *)(y + (size_t)i * N))[b], 0xCD);
    product_close(&all);
    free(y);
    free(weights);
    free(x);
}

static const struct {
    uint32_t format, arithmetic;
} kinds[] = {{CLMOE_BF16, CLMOE_ARITHMETIC_BF16}, {CLMOE_F16, CLMOE_ARITHMETIC_F32},
             {CLMOE_Q4_0, CLMOE_ARITHMETIC_INT8}, {CLMOE_Q5_1, CLMOE_ARITHMETIC_INT8},
             {CLMOE_Q8_0, CLMOE_ARITHMETIC_BF16}, {CLMOE_F32, CLMOE_ARITHMETIC_F32}};

static void each_kind(int direct) {
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    test_device cpu = test_open(&d);
    d.disable = "cpu";
    test_device gpu = test_open(&d);
    test_random random = test_random_new(76);
    for (uint32_t i = (uint32_t)test_random_below(&random, 2); i < COUNT(kinds); i += direct ? 3 : 2) { /* in turns */
        if (direct)
            compare_direct(&gpu, kinds[i].format, kinds[i].arithmetic);
        else
            compare(&cpu, &gpu, kinds[i].format, kinds[i].arithmetic);
    }
    test_close(&gpu);
    test_close(&cpu);
}

static void test_bits(void **state) {
    (void)state;
    each_kind(0);
}

static void test_direct(void **state) {
    (void)state;
    each_kind(1);
}

int main(void) {
    const struct CMUnitTest quick[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_sub_groups),
                                       cmocka_unit_test(test_refused), cmocka_unit_test(test_small),
                                       cmocka_unit_test(test_refused_parts), cmocka_unit_test(test_split)};
    const struct CMUnitTest slow[] = {cmocka_unit_test(test_next), cmocka_unit_test(test_bits),
                                      cmocka_unit_test(test_direct)};
    const int failed = cmocka_run_group_tests(quick, NULL, NULL);
    return getenv("CLMOE_TEST_SHORT") != NULL ? failed : failed + cmocka_run_group_tests(slow, NULL, NULL);
}
