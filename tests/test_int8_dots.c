/* Integer dot products of every micro-kernel that this device takes, against plain integers: codes and bytes at their
 * extremes, where sums of 16 bits would overflow, and random ones. The kernel here stands behind gemm_cpu.cl's own
 * files; everything is exact, so every variant of the grouped GEMM has the same bits. */
#include <stdio.h>

#include "layer/gemm.h"
#include "opencl/source.h"
#include "support.h"

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof *(array)))

enum { CASES = 64, MOST_LANES = 16, MOST_QUADS = 8 };

static clmoe_error error = {.struct_size = sizeof error};

/* Formats that differ for a micro-kernel: by their largest code or by the number of quads that share a scale. */
static const struct {
    uint32_t format, code_most, quads;
} kinds[] = {{CLMOE_Q8_0, 255, 8}, {CLMOE_IQ4_NL, 241, 8}, {CLMOE_Q6_K, 63, 4}, {CLMOE_Q5_1, 31, 8},
             {CLMOE_MXFP4, 24, 8}, {CLMOE_NVFP4, 24, 4},   {CLMOE_Q4_K, 15, 8}};

/* The halves of a panel take turns of sixteen cases; the other one multiplies zeroes meanwhile. */
static const char kernel_text[] =
    "\n__kernel void dots(__global const uint *codes, __global const uint *rows, __global int *out, uint cases) {\n"
    "    for (uint c = 0; c < cases; c++, codes += SUB_QUADS * LANES, rows += SUB_QUADS, out += LANES) {\n"
    "        const uint turn = c / 16 % 2;\n"
    "        bits quad[2][SUB_QUADS];\n"
    "        integer dot[2];\n"
    "        for (uint q = 0; q < SUB_QUADS; q++) {\n"
    "            quad[turn][q] = REAL_LOAD(codes + q * LANES);\n"
    "            quad[1 - turn][q] = (bits)(0u);\n"
    "        }\n"
    "        dot[0] = dot[1] = (integer)((int)cases - 5);\n"
    "        dot_subs(dot, quad[0], quad[1], rows, 5);\n"
    "        REAL_STORE(dot[turn], out);\n"
    "    }\n"
    "}\n";

typedef struct numbers {
    uint8_t codes[CASES * MOST_QUADS * MOST_LANES * 4];
    int8_t rows[CASES * MOST_QUADS * 4];
    int32_t wanted[CASES * MOST_LANES];
} numbers;

/* The first cases are extremes: all codes largest, bytes all 127, all -127, and both in every pattern over four. */
static void fill(numbers *n, uint32_t lanes, uint32_t quads, uint32_t code_most, test_random *random) {
    for (uint32_t c = 0; c < CASES; c++)
        for (uint32_t k = 0; k < quads * 4; k++) {
            const int extreme = (c >> k % 4 & 1u) != 0 ? -127 : 127;
            n->rows[c * quads * 4 + k] = (int8_t)(c < CASES / 2 ? extreme : (int)test_random_below(random, 255) - 127);
            for (uint32_t lane = 0; lane < lanes; lane++)
                n->codes[((c * quads + k / 4) * lanes + lane) * 4 + k % 4] =
                    (uint8_t)(c < CASES / 4 ? code_most : test_random_below(random, code_most + 1));
        }
    for (uint32_t c = 0; c < CASES; c++)
        for (uint32_t lane = 0; lane < lanes; lane++) {
            int32_t sum = CASES;
            for (uint32_t k = 0; k < quads * 4; k++)
                sum += n->codes[((c * quads + k / 4) * lanes + lane) * 4 + k % 4] * n->rows[c * quads * 4 + k];
            n->wanted[c * lanes + lane] = sum;
        }
}

/* The files that gemm_cpu.cl includes before block_int8.clh, that one, and the kernel. */
static cl_program make_program(test_device *device) {
    static const char *const files[] = {"lanes.clh", "panel.clh", "micro/prefetch.clh", "block_int8.clh"};
    const char *texts[COUNT(files) + 1];
    char *read[COUNT(files)];
    cl_int code = CL_SUCCESS;
    for (uint32_t i = 0; i < COUNT(files); i++) {
        size_t length = 0;
        OK(clmoe__source_read(device->context, files[i], &read[i], &length, &error));
        texts[i] = read[i];
    }
    texts[COUNT(files)] = kernel_text;
    cl_program program = clCreateProgramWithSource(device->cl, COUNT(texts), texts, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    for (uint32_t i = 0; i < COUNT(files); i++) free(read[i]);
    return program;
}

/* NULL if the driver refuses it. */
static cl_program build(test_device *device, const clmoe__gemm_choice *choice, uint32_t format) {
    char options[256];
    cl_program program = make_program(device);
    (void)snprintf(
        options, sizeof options,
        "-cl-std=%s -DARITHMETIC=3 -DTILE_ROWS=1 -DWEIGHT_FORMAT=%u -DLANES=%u -DPANEL_LANES=%u -DMICRO=%d "
        "-DNIBBLE_TABLE=%d",
        choice->variant->need == CLMOE__INTEGER_DOT ? "CL3.0" : "CL1.2", format, choice->lanes, choice->lanes,
        choice->variant->micro, choice->nibble_table);
    if (clBuildProgram(program, 1, &device->id, options, NULL, NULL) == CL_SUCCESS) return program;
    char log[2000] = "";
    (void)clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, sizeof log - 1, log, NULL);
    print_message("%s: does not build: %.200s\n", choice->variant->name, log);
    assert_int_equal(clReleaseProgram(program), CL_SUCCESS);
    return NULL;
}

static void run(test_device *device, cl_program program, numbers *n, size_t lanes, size_t quads, int32_t *out) {
    const cl_uint cases = CASES;
    const size_t one = 1, row_bytes = CASES * quads * 4, out_bytes = CASES * lanes * sizeof *out;
    cl_int code[5];
    cl_mem codes = clCreateBuffer(device->cl, CL_MEM_COPY_HOST_PTR, row_bytes * lanes, n->codes, &code[0]);
    cl_mem rows = clCreateBuffer(device->cl, CL_MEM_COPY_HOST_PTR, row_bytes, n->rows, &code[1]);
    cl_mem sums = clCreateBuffer(device->cl, CL_MEM_READ_WRITE, out_bytes, NULL, &code[2]);
    cl_kernel kernel = clCreateKernel(program, "dots", &code[3]);
    for (int i = 0; i < 4; i++) assert_int_equal(code[i], CL_SUCCESS);
    code[0] = clSetKernelArg(kernel, 0, sizeof codes, &codes);
    code[1] = clSetKernelArg(kernel, 1, sizeof rows, &rows);
    code[2] = clSetKernelArg(kernel, 2, sizeof sums, &sums);
    code[3] = clSetKernelArg(kernel, 3, sizeof cases, &cases);
    code[4] = clEnqueueNDRangeKernel(device->queue, kernel, 1, NULL, &one, &one, 0, NULL, NULL);
    for (int i = 0; i < 5; i++) assert_int_equal(code[i], CL_SUCCESS);
    assert_int_equal(clEnqueueReadBuffer(device->queue, sums, CL_TRUE, 0, out_bytes, out, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(clReleaseKernel(kernel), CL_SUCCESS);
    assert_int_equal(clReleaseMemObject(codes) | clReleaseMemObject(rows) | clReleaseMemObject(sums), CL_SUCCESS);
}

/* What does not build here, the library must refuse. */
static void expect_refusal(test_device *device, const clmoe__gemm_choice *choice, uint32_t format) {
    int passed = 0;
    const clmoe_status status =
        clmoe__gemm_self_test(device->context, choice, format, CLMOE_ARITHMETIC_INT8, &passed, &error);
    assert_true(status == CLMOE_BUILD_FAILED || (status == CLMOE_OK && !passed));
}

static void check(test_device *device, const clmoe__gemm_choice *choice, test_random *random) {
    static numbers n;
    static int32_t out[CASES * MOST_LANES];
    for (uint32_t i = 0; i < COUNT(kinds); i++) {
        cl_program program = build(device, choice, kinds[i].format);
        if (program == NULL) {
            expect_refusal(device, choice, kinds[i].format);
            return;
        }
        fill(&n, choice->lanes, kinds[i].quads, kinds[i].code_most, random);
        run(device, program, &n, choice->lanes, kinds[i].quads, out);
        for (uint32_t at = 0; at < CASES * choice->lanes; at++)
            if (out[at] != n.wanted[at])
                fail_msg("%s, format %u, case %u, lane %u: %d, expected %d", choice->variant->name, kinds[i].format,
                         at / choice->lanes, at % choice->lanes, out[at], n.wanted[at]);
        assert_int_equal(clReleaseProgram(program), CL_SUCCESS);
    }
    print_message("%s with %u lanes: exact\n", choice->variant->name, choice->lanes);
}

static void every_micro_kernel_is_exact(void **state) {
    (void)state;
    test_random random = test_random_new(2301);
    test_device whole = test_open(NULL);
    const uint32_t own = whole.context->device.vector_width;
    test_close(&whole);
    for (uint32_t width = 4; width <= own; width *= 2) {
        clmoe_context_desc d;
        clmoe_context_desc_default(&d, sizeof d);
        d.vector_width = width;
        test_device device = test_open(&d);
        for (uint32_t i = 0; clmoe__gemm_variant_at(i) != NULL; i++) {
            const clmoe__gemm_variant *variant = clmoe__gemm_variant_at(i);
            clmoe__gemm_choice choice = {0};
            char reason[128];
            if (variant->macro == CLMOE__MACRO_CPU &&
                clmoe__gemm_refusal(device.context, variant, 1, CLMOE_ARITHMETIC_INT8, &choice, reason,
                                    sizeof reason) == NULL)
                check(&device, &choice, &random);
        }
        test_close(&device);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_micro_kernel_is_exact)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
