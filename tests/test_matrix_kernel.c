/* gemm_matrix.cl by itself, one small tile for every vendor's fragments: small enough for a device that checks every
 * access (tests/labels.cmake), where a self-test's shapes take minutes. Numbers are small integers, so sums are exact.
 * */
#include <stdio.h>

#include "support.h"

/* K is enough for mma and wgmma, whose copies are asynchronous, to have runs in the steady loop
 * (cl/matrix_steady.clh) and some behind it. */
enum { ROWS = 21, K = 104, N = 45, PANELS = 2, STRIDE = 112 };

static const struct {
    const char *name;
    uint32_t matrix, lanes, k_run, stages, across, panels_each;
} units[] = {{"mma", 1, 32, 16, 4, 2, 1},    {"mfma", 2, 64, 32, 2, 2, 1},   {"wmma", 3, 32, 32, 2, 2, 1},
             {"wmma12", 4, 32, 32, 2, 2, 1}, {"dpas16", 5, 16, 32, 2, 2, 1}, {"dpas8", 6, 8, 32, 2, 2, 1},
             {"wgmma", 7, 128, 16, 3, 1, 2}};

static double x_value(uint32_t row, uint32_t k) { return (double)((row * 7 + k * 5) % 9) - 4; }
static double w_value(uint32_t column, uint32_t k) { return (double)((column * 3 + k * 11) % 7) - 3; }

static cl_mem buffer_of(test_device *device, size_t bytes, void *from) {
    cl_int code = CL_SUCCESS;
    cl_mem mem = clCreateBuffer(device->cl, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bytes, from, &code);
    assert_int_equal(code, CL_SUCCESS);
    return mem;
}

/* x as bf16 rows, and the weights packed as cl/panel.clh says. */
static cl_mem x_new(test_device *device) {
    uint16_t rows[ROWS][STRIDE] = {{0}};
    for (uint32_t r = 0; r < ROWS; r++)
        for (uint32_t k = 0; k < K; k++) test_store(rows[r], CLMOE_BF16, k, x_value(r, k));
    return buffer_of(device, sizeof rows, rows);
}

static cl_mem panels_new(test_device *device) {
    static uint16_t panels[PANELS][K / 2][32][2];
    for (uint32_t c = 0; c < 32 * PANELS; c++)
        for (uint32_t k = 0; k < K; k++)
            test_store(panels[c / 32][k / 2][c % 32], CLMOE_BF16, k % 2, c < N ? w_value(c, k) : 0);
    return buffer_of(device, sizeof panels, panels);
}

static cl_uint arg;
static void set(cl_kernel kernel, size_t size, const void *value) {
    assert_int_equal(clSetKernelArg(kernel, arg++, size, value), CL_SUCCESS);
}
static void set_mem(cl_kernel kernel, cl_mem mem) { set(kernel, sizeof mem, mem != NULL ? &mem : NULL); }
static void set_u64(cl_kernel kernel, cl_ulong value) { set(kernel, sizeof value, &value); }
static void set_u32(cl_kernel kernel, cl_uint value) { set(kernel, sizeof value, &value); }

static void set_arguments(cl_kernel kernel, cl_mem x, cl_mem panels, cl_mem y) {
    arg = 0;
    set_mem(kernel, x), set_u64(kernel, 0), set_u64(kernel, STRIDE);
    set_mem(kernel, panels);
    for (int i = 1; i < 8; i++) set_mem(kernel, NULL);
    set_u64(kernel, PANELS);
    for (int i = 0; i < 3; i++) set_mem(kernel, NULL); /* bias and factors */
    set_mem(kernel, y), set_u64(kernel, 0), set_u64(kernel, N);
    for (int i = 0; i < 2; i++) set_mem(kernel, NULL), set_u64(kernel, 0); /* plan and token count */
    set_u32(kernel, ROWS), set_u32(kernel, 1), set_u32(kernel, PANELS), set_u32(kernel, K), set_u32(kernel, N);
    set_u64(kernel, 0), set_u64(kernel, 0);
}

static cl_kernel build(test_device *device, uint32_t u, cl_program *program) {
    const char *text = "#include \"gemm_matrix.cl\"\n";
    char options[512], log[2048] = "";
    cl_int code = CL_SUCCESS;
    (void)snprintf(options, sizeof options,
                   "-cl-std=CL1.2 -I %s -DMATRIX=%u -DEMULATED=1 -DTILE_ROWS=32 -DWARPS_DOWN=2"
                   " -DWARPS_ACROSS=%u -DPANELS_EACH=%u -DK_RUN=%u -DSTAGES=%u",
                   CLMOE_KERNEL_FOLDER, units[u].matrix, units[u].across, units[u].panels_each, units[u].k_run,
                   units[u].stages);
    *program = clCreateProgramWithSource(device->cl, 1, &text, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    code = clBuildProgram(*program, 1, &device->id, options, NULL, NULL);
    (void)clGetProgramBuildInfo(*program, device->id, CL_PROGRAM_BUILD_LOG, sizeof log, log, NULL);
    if (code != CL_SUCCESS) fail_msg("%s, \"%s\": %d: %s", units[u].name, options, code, log);
    cl_kernel kernel = clCreateKernel(*program, "gemm_matrix", &code);
    assert_int_equal(code, CL_SUCCESS);
    return kernel;
}

static void check(uint32_t u, const float *y) {
    for (uint32_t r = 0; r < ROWS; r++)
        for (uint32_t c = 0; c < N; c++) {
            double sum = 0;
            for (uint32_t k = 0; k < K; k++) sum += x_value(r, k) * w_value(c, k);
            if ((double)y[r * N + c] != sum)
                fail_msg("%s: y[%u][%u] is %g, expected %g", units[u].name, r, c, (double)y[r * N + c], sum);
        }
}

static void test_every_unit(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    static float y[ROWS * N];
    cl_mem x = x_new(&device), panels = panels_new(&device), result = buffer_of(&device, sizeof y, y);
    for (uint32_t u = 0; u < sizeof units / sizeof *units; u++) {
        const size_t items = (size_t)2 * units[u].across * units[u].lanes;
        cl_program program = NULL;
        cl_kernel kernel = build(&device, u, &program);
        set_arguments(kernel, x, panels, result);
        memset(y, 0xff, sizeof y);
        assert_int_equal(clEnqueueWriteBuffer(device.queue, result, CL_TRUE, 0, sizeof y, y, 0, NULL, NULL),
                         CL_SUCCESS);
        assert_int_equal(clEnqueueNDRangeKernel(device.queue, kernel, 1, NULL, &items, &items, 0, NULL, NULL),
                         CL_SUCCESS);
        assert_int_equal(clEnqueueReadBuffer(device.queue, result, CL_TRUE, 0, sizeof y, y, 0, NULL, NULL), CL_SUCCESS);
        check(u, y);
        (void)clReleaseKernel(kernel);
        (void)clReleaseProgram(program);
    }
    (void)clReleaseMemObject(x);
    (void)clReleaseMemObject(panels);
    (void)clReleaseMemObject(result);
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_unit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
