/* The numeric self-test of a GEMM variant: drivers miscompile ordinary kernels, and inline assembly may build and be
 * wrong. Edges are included: columns and k that fill no panel, two tiles of unequal height.
 *
 * Wide formats: weights and rows are small multiples of 1/8, so every product and sum is exact in f32 and the result
 * must match to the last bit, in any order of summation. Block formats: random blocks, decoded by the packing kernels
 * into an f32 matrix whose variant was tested before, against which double precision says what is right to rounding. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gemm_clblast.h"
#include "opencl/private_run.h"

#define TEST_N          45
#define TEST_K          71  /* of wide formats */
#define MATRIX_K        199 /* of those, more than all stages of gemm_matrix.cl hold */
#define SPLIT_K         768 /* where k is split: whole supers, more than the parts of a step */
#define BLOCKS_K        192 /* of block formats, or two blocks: no multiple of a super of 128 */
#define TEST_ROWS_EXTRA 3   /* beyond one full tile */
#define TOLERANCE       1e-5
#define E4M3_K          199 /* of e4m3 codes, which need be no whole blocks */

/* A product to be made: x [rows, k], source the weights [TEST_N, k]. */
typedef struct product {
    uint32_t format, arithmetic, rows, k;
    const clmoe__gemm_choice *choice;
    clmoe_tensor source;
    const float *x;
    int x_is_bf16; /* 1: rows are bf16 at multiples of 16 bytes, which matrix units take as they are */
} product;

/* Scales of 128 x 128 blocks for a source of e4m3 codes. */
static const float e4m3_scales[(E4M3_K + 127) / 128] = {0.375f, 1.0f / 3.0f};
static const clmoe_scales e4m3_source = {
    .format = CLMOE_F32, .block_rows = 128, .block_columns = 128, .host = e4m3_scales};

typedef struct fixture {
    clmoe__packer packer;
    clmoe__matrix matrix;
    clmoe__gemm gemm;
    clmoe__block memory;
} fixture;

static uint32_t scrambled(uint32_t i) { return (i * 2654435761u) >> 16; }
static float small_value(uint32_t i) { return (float)((int)(scrambled(i) % 33u) - 16) / 8.0f; }

/* ------------------------------------------------------------------------------------------ one product */

static clmoe_status prepare(clmoe_context *context, const product *p, fixture *f, clmoe_error *error) {
    static const clmoe__matrix_names names = {"gate", "gate_bias", "up", "up_bias"};
    const clmoe_tensor none = {0};
    f->matrix = (clmoe__matrix){.groups = 1,
                                .in_features = p->k,
                                .out_features = TEST_N,
                                .format = p->format,
                                .arithmetic = p->arithmetic,
                                .lanes = p->choice->lanes};
    if (f->matrix.lanes == 0) f->matrix.lanes = clmoe__clblast_lanes(&f->matrix);
    TRY(clmoe__projection_create(&f->packer, &f->matrix, 0, &none, &p->source, &none, &none, &names, error));
    const clmoe__gemm_spec spec = {.matrix = &f->matrix,
                                   .choice = p->choice,
                                   .x_format = p->x_is_bf16 ? CLMOE_BF16 : CLMOE_F32,
                                   .y_format = CLMOE_F32,
                                   .stage = "self-test"};
    return clmoe__gemm_create(context, &spec, &f->gemm, error);
}

static uint64_t bf16_stride(const product *p) { return clmoe__round_up(p->k, 8); }

/* Writes x; as bf16 it is the upper halves, for its values have no more digits. */
static void write_x(clmoe__run *run, const product *p, const clmoe_buffer *to, clmoe_error *error) {
    if (!p->x_is_bf16) {
        clmoe__run_write(run, to, p->x, sizeof(float) * p->rows * p->k);
        return;
    }
    const size_t stride = (size_t)bf16_stride(p);
    uint16_t *rows = calloc(p->rows * stride, sizeof *rows);
    if (rows == NULL) {
        clmoe__run_fail(run, clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a kernel self-test"));
        return;
    }
    for (uint32_t r = 0; r < p->rows; r++)
        for (uint32_t k = 0; k < p->k; k++) {
            uint32_t bits;
            memcpy(&bits, &p->x[r * p->k + k], sizeof bits);
            rows[r * stride + k] = (uint16_t)(bits >> 16);
        }
    clmoe__run_write(run, to, rows, sizeof *rows * p->rows * stride);
    free(rows);
}

static clmoe_status execute(clmoe_context *context, const product *p, fixture *f, float *y, clmoe_error *error) {
    const uint64_t x_used = sizeof(float) * p->rows * bf16_stride(p), y_used = sizeof(float) * p->rows * TEST_N;
    const uint64_t x_bytes = clmoe__round_up(x_used, 256), y_bytes = clmoe__round_up(y_used, 256);
    const uint64_t operand_bytes = clmoe__gemm_operand_bytes(&f->gemm, p->rows, p->rows);
    TRY(clmoe__pool_alloc(context, x_bytes + y_bytes + operand_bytes, &f->memory, error));
    clmoe__gemm_io io = {0};
    io.tokens = io.max_rows = p->rows;
    io.x = clmoe_cl_mem(f->memory.mem, 0);
    io.x_stride = p->x_is_bf16 ? bf16_stride(p) : p->k;
    io.y = clmoe_cl_mem(f->memory.mem, x_bytes);
    io.y_stride = TEST_N;
    io.operand = clmoe_cl_mem(f->memory.mem, x_bytes + y_bytes);
    clmoe__private_run private_run;
    TRY(clmoe__private_run_begin(&private_run, context, error));
    write_x(&private_run.run, p, &io.x, error);
    clmoe__gemm_launch(&private_run.run, &f->gemm, &io);
    clmoe__run_read(&private_run.run, y, &io.y, y_used);
    return clmoe__private_run_end(&private_run);
}

/* y [rows, TEST_N] = x . W^T on the device. */
static clmoe_status multiply(clmoe_context *context, const product *p, float *y, clmoe_error *error) {
    fixture f = {.packer = {.context = context}};
    clmoe_status status = prepare(context, p, &f, error);
    if (status == CLMOE_OK) status = execute(context, p, &f, y, error);
    clmoe__packer_destroy(&f.packer);
    clmoe__gemm_destroy(context, &f.gemm);
    clmoe__matrix_destroy(context, &f.matrix);
    clmoe__pool_free(context, &f.memory, NULL);
    return status;
}

/* ----------------------------------------------------------------------------------------- what is right */

/* weights[n * k_step + k * n_step] is W[n][k]. */
static int agrees(const product *p, const float *weights, uint32_t n_step, uint32_t k_step, const float *y,
                  double tolerance) {
    const float row_scale = p->arithmetic == CLMOE_ARITHMETIC_INT8 ? 127.0f * (1.0f / 127.0f) : 1.0f;
    for (uint32_t r = 0; r < p->rows; r++)
        for (uint32_t n = 0; n < TEST_N; n++) {
            double sum = 0, size = 0;
            for (uint32_t k = 0; k < p->k; k++) {
                const double term = (double)p->x[r * p->k + k] * row_scale * weights[n * n_step + k * k_step];
                sum += term;
                size += fabs(term);
            }
            if (!(fabs((double)y[r * TEST_N + n] - sum) <= tolerance * size)) return 0;
        }
    return 1;
}

static float rounded_to_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

/* Wide formats hold the test's weights exactly. */
static clmoe_status test_wide(clmoe_context *context, product *p, float *weights, float *x, float *y, int *passed,
                              clmoe_error *error) {
    for (uint32_t i = 0; i < TEST_N * p->k; i++) weights[i] = small_value(i);
    for (uint32_t i = 0; i < p->rows * p->k; i++) x[i] = small_value(i + 77777u);
    p->source.format = CLMOE_F32;
    p->source.host = weights;
    TRY(multiply(context, p, y, error));
    *passed = agrees(p, weights, p->k, 1, y, 0);
    return CLMOE_OK;
}

/* weights [k, TEST_N] as the packing kernels decode them: the products of the unit matrix. */
static clmoe_status decode(clmoe_context *context, const product *p, float *weights, clmoe_error *error) {
    clmoe__gemm_choice choice;
    char refused[512];
    product unit = *p;
    TRY(clmoe__gemm_choose(context, CLMOE_F32, CLMOE_ARITHMETIC_F32, &choice, refused, sizeof refused, error));
    float *x = calloc((size_t)p->k * p->k, sizeof *x);
    if (x == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a kernel self-test");
    for (uint32_t k = 0; k < p->k; k++) x[k * p->k + k] = 1.0f;
    unit.format = CLMOE_F32;
    unit.arithmetic = CLMOE_ARITHMETIC_F32;
    unit.choice = &choice;
    unit.rows = p->k;
    unit.x = x;
    unit.x_is_bf16 = 0;
    const clmoe_status status = multiply(context, &unit, weights, error);
    free(x);
    return status;
}

/* Rows that rounding to 8 bits does not change: integers, 127 the largest of each run. */
static void fill_rows(const product *p, float *x) {
    for (uint32_t i = 0; i < p->rows * p->k; i++) {
        x[i] = small_value(i + 77777u);
        if (p->arithmetic == CLMOE_ARITHMETIC_INT8) x[i] = i % 32 == 0 ? 127.0f : 8.0f * x[i];
    }
}

/* Bytes below 64 make halves, exponents and scales of moderate size. */
static clmoe_status test_blocks(clmoe_context *context, product *p, float *weights, float *x, float *y, int *passed,
                                clmoe_error *error) {
    const int is_e4m3 = clmoe__format_is_e4m3(p->format);
    const uint32_t source = is_e4m3 ? CLMOE_F8_E4M3 : p->format;
    const size_t bytes = (size_t)clmoe__format_span(source, (uint64_t)TEST_N * p->k);
    unsigned char *blocks = malloc(bytes);
    if (blocks == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a kernel self-test");
    for (size_t i = 0; i < bytes; i++) blocks[i] = (unsigned char)(scrambled((uint32_t)i) & 63u);
    for (size_t i = 0; i < bytes && is_e4m3; i++) blocks[i] |= (unsigned char)(i % 3 == 0 ? 0x80u : 0u);
    p->source.format = source;
    p->source.scales = is_e4m3 ? &e4m3_source : NULL;
    p->source.host = blocks;
    fill_rows(p, x);
    clmoe_status status = decode(context, p, weights, error);
    for (uint32_t i = 0; i < TEST_N * p->k && p->arithmetic == CLMOE_ARITHMETIC_BF16; i++)
        weights[i] = rounded_to_bf16(weights[i]);
    if (status == CLMOE_OK) status = multiply(context, p, y, error);
    *passed = status == CLMOE_OK && agrees(p, weights, 1, TEST_N, y, TOLERANCE);
    free(blocks);
    return status;
}

clmoe_status clmoe__gemm_self_test(clmoe_context *context, const clmoe__gemm_choice *choice, uint32_t format,
                                   uint32_t arithmetic, int *passed, clmoe_error *error) {
    const int is_block = clmoe__format_is_block(format), is_matrix = choice->variant->macro == CLMOE__MACRO_MATRIX;
    product p = {.format = format, .arithmetic = arithmetic, .choice = choice};
    p.rows = choice->tile_rows + TEST_ROWS_EXTRA;
    p.k = is_block ? (uint32_t)clmoe__max(BLOCKS_K, 2 * clmoe__format_values(format)) : is_matrix ? MATRIX_K : TEST_K;
    if (clmoe__format_is_e4m3(format)) p.k = E4M3_K;
    if (choice->variant->macro == CLMOE__MACRO_GPU && choice->shape.few.split > 1) p.k = SPLIT_K;
    *passed = 0;
    float *weights = malloc(sizeof(float) * TEST_N * p.k), *x = malloc(sizeof(float) * p.rows * p.k);
    float *y = calloc(p.rows, sizeof(float) * TEST_N);
    p.x = x;
    clmoe_status status = CLMOE_OK;
    if (weights == NULL || x == NULL || y == NULL)
        status = clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a kernel self-test");
    else
        status = (is_block ? test_blocks : test_wide)(context, &p, weights, x, y, passed, error);
    if (status == CLMOE_OK && *passed && is_matrix) {
        p.x_is_bf16 = 1;
        memset(y, 0, sizeof(float) * p.rows * TEST_N);
        status = (is_block ? test_blocks : test_wide)(context, &p, weights, x, y, passed, error);
    }
    if (status == CLMOE_OK && *passed && choice->variant->macro == CLMOE__MACRO_GPU) {
        p.rows = TEST_ROWS_EXTRA; /* another kernel's */
        status = (is_block ? test_blocks : test_wide)(context, &p, weights, x, y, passed, error);
    }
    free(weights);
    free(x);
    free(y);
    return status;
}
