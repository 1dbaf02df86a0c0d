/* The numeric self-test of a GEMM variant: drivers miscompile ordinary kernels, and inline assembly may build and be wrong.
 * Inputs are small multiples of 1/8, so every product and sum is exact in f32 and the result must match to the last bit,
 * in any order of summation. Edges are included: columns and k that fill no panel, two tiles of unequal height. */
#include <stdlib.h>

#include "gemm.h"
#include "opencl/private_run.h"

#define TEST_K          71
#define TEST_N          45
#define TEST_ROWS_EXTRA 3 /* beyond one full tile */

typedef struct fixture {
    clmoe__packer packer;
    clmoe__matrix matrix;
    clmoe__gemm gemm;
    clmoe__block memory;
    uint32_t rows;
    float *weight, *x, *y; /* [TEST_N, TEST_K], [rows, TEST_K], [rows, TEST_N] */
} fixture;

static float small_value(uint32_t i) {
    i = (i * 2654435761u) >> 16;
    return (float)((int)(i % 33u) - 16) / 8.0f;
}

static clmoe_status prepare(clmoe_context *context, const clmoe__gemm_choice *choice, uint32_t format,
                            uint32_t arithmetic, fixture *f, clmoe_error *error) {
    f->rows = choice->tile_rows + TEST_ROWS_EXTRA;
    f->weight = malloc(sizeof(float) * TEST_N * TEST_K);
    f->x = malloc(sizeof(float) * f->rows * TEST_K);
    f->y = calloc(f->rows, sizeof(float) * TEST_N);
    if (f->weight == NULL || f->x == NULL || f->y == NULL)
        return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a kernel self-test");
    for (uint32_t i = 0; i < TEST_N * TEST_K; i++) f->weight[i] = small_value(i);
    for (uint32_t i = 0; i < f->rows * TEST_K; i++) f->x[i] = small_value(i + 77777u);
    f->matrix = (clmoe__matrix){1, TEST_K, TEST_N, 0, format, arithmetic, choice->lanes, 0, 0, 0, 0, {{0}}, {0}};
    static const clmoe__matrix_names names = {"gate", "gate_bias", "up", "up_bias"};
    clmoe_tensor tensor = {0}, none = {0};
    tensor.format = CLMOE_F32;
    tensor.host = f->weight;
    TRY(clmoe__projection_create(&f->packer, &f->matrix, 0, &none, &tensor, &none, &none, &names, error));
    const clmoe__gemm_spec spec = {&f->matrix, NULL, choice, CLMOE_F32, CLMOE_F32, 0, 0, 0, 0, "self-test"};
    return clmoe__gemm_create(context, &spec, &f->gemm, error);
}

static clmoe_status execute(clmoe_context *context, fixture *f, clmoe_error *error) {
    const uint64_t x_bytes = clmoe__round_up(sizeof(float) * f->rows * TEST_K, 256);
    const uint64_t y_bytes = clmoe__round_up(sizeof(float) * f->rows * TEST_N, 256);
    TRY(clmoe__pool_alloc(context, x_bytes + y_bytes + clmoe__gemm_operand_bytes(&f->gemm, f->rows), &f->memory,
                          error));
    clmoe__gemm_io io = {0};
    io.tokens = io.max_rows = f->rows;
    io.x = clmoe_cl_mem(f->memory.mem, 0);
    io.x_stride = TEST_K;
    io.y = clmoe_cl_mem(f->memory.mem, x_bytes);
    io.y_stride = TEST_N;
    io.operand = clmoe_cl_mem(f->memory.mem, x_bytes + y_bytes);
    clmoe__private_run private_run;
    TRY(clmoe__private_run_begin(&private_run, context, error));
    clmoe__run_write(&private_run.run, &io.x, f->x, sizeof(float) * f->rows * TEST_K);
    clmoe__gemm_launch(&private_run.run, &f->gemm, &io);
    clmoe__run_read(&private_run.run, f->y, &io.y, sizeof(float) * f->rows * TEST_N);
    return clmoe__private_run_end(&private_run);
}

static int is_exact(const fixture *f) {
    for (uint32_t r = 0; r < f->rows; r++)
        for (uint32_t n = 0; n < TEST_N; n++) {
            double sum = 0;
            for (uint32_t k = 0; k < TEST_K; k++) sum += (double)f->x[r * TEST_K + k] * f->weight[n * TEST_K + k];
            if ((double)f->y[r * TEST_N + n] != sum) return 0;
        }
    return 1;
}

clmoe_status clmoe__gemm_self_test(clmoe_context *context, const clmoe__gemm_choice *choice, uint32_t format,
                                   uint32_t arithmetic, int *passed, clmoe_error *error) {
    fixture f = {0};
    f.packer.context = context;
    clmoe_status status = prepare(context, choice, format, arithmetic, &f, error);
    if (status == CLMOE_OK) status = execute(context, &f, error);
    *passed = status == CLMOE_OK && is_exact(&f);
    clmoe__packer_destroy(&f.packer);
    clmoe__gemm_destroy(context, &f.gemm);
    clmoe__matrix_destroy(context, &f.matrix);
    clmoe__pool_free(context, &f.memory, NULL);
    free(f.weight);
    free(f.x);
    free(f.y);
    return status;
}
