/* The swizzle of cl/matrix_tile.clh: no load of a fragment and no store of a piece needs a bank of local memory twice.
 * Tiles are filled with the numbers of their words, so that what a lane loads says where it read; then banks are
 * counted.
 *
 * A bank is 4 bytes wide and there are 32. What serves a load at once is 128 bytes: 32 lanes of a word, 16 of two, 8 of
 * four. ldmatrix reads a matrix of 8 rows of 16 bytes at once, which are 32 lanes of a word here. */
#include <stdio.h>

#include "support.h"

enum { BANKS = 32, ROWS = 64, MOST_HALVES = 64, MOST_LANES = 64, MOST_PIECES = 512 };

static const struct {
    const char *name;
    uint32_t matrix, lanes;
    uint32_t a_words, b_words;   /* that a lane loads at once */
    uint32_t a_halves, b_halves; /* of 16 bits in a lane's fragments */
    uint32_t fragment_k, weight_format;
} units[] = {
    {"mma", 1, 32, 1, 2, 8, 16, 16, CLMOE_BF16},
    {"mma", 1, 32, 1, 4, 8, 16, 16, CLMOE_Q4_0}, /* in fours, as its weights are decoded */
    {"mfma", 2, 64, 4, 2, 8, 16, 32, CLMOE_BF16},
    {"wmma", 3, 32, 4, 2, 16, 32, 16, CLMOE_BF16},
    {"wmma12", 4, 32, 4, 2, 8, 16, 16, CLMOE_BF16},
    {"dpas16", 5, 16, 1, 1, 8, 32, 16, CLMOE_BF16},
    {"dpas8", 6, 8, 1, 1, 16, 64, 16, CLMOE_BF16},
    {"wgmma", 7, 128, 1, 1, 0, 8, 16, CLMOE_BF16}, /* a: by the unit itself, see check_matrices */
};

static const char source[] =
    "#include \"common.clh\"\n"
    "#include \"micro/matrix.clh\"\n"
    "__kernel __attribute__((reqd_work_group_size(FRAGMENT_LANES, 1, 1)))\n"
    "void probe(__global ushort *a_read, __global ushort *b_read, uint row, uint step) {\n"
    "#ifndef FRAGMENT_PANELS\n"
    "#define FRAGMENT_PANELS 1\n"
    "#endif\n"
    "    __local uint4 a_tile[64 * A_PIECES], b_tile[FRAGMENT_PANELS * B_PIECES];\n"
    "    __local uint scratch[FRAGMENT_LANES * SCRATCH_WORDS];\n"
    "    const matrix_lane who = {get_local_id(0), scratch};\n"
    "    for (uint i = who.lane; i < 256 * A_PIECES; i += FRAGMENT_LANES) ((__local uint *)a_tile)[i] = i * 0x10001u;\n"
    "    for (uint i = who.lane; i < FRAGMENT_PANELS * 4 * B_PIECES; i += FRAGMENT_LANES) ((__local uint *)b_tile)[i] "
    "= i * 0x10001u;\n"
    "    barrier(CLK_LOCAL_MEM_FENCE);\n"
    "    union { fragment_a whole; ushort half_words[sizeof(fragment_a) / 2]; } a;\n"
    "    union { fragment_b whole; ushort half_words[sizeof(fragment_b) / 2]; } b;\n"
    "    load_a(&a.whole, a_tile, row, step, who);\n"
    "    load_b(&b.whole, b_tile, step, who);\n"
    "    for (uint i = 0; i < sizeof a / 2; i++) a_read[who.lane * (sizeof a / 2) + i] = a.half_words[i];\n"
    "    for (uint i = 0; i < sizeof b / 2; i++) b_read[who.lane * (sizeof b / 2) + i] = b.half_words[i];\n"
    "}\n"
    "__kernel void places(__global ushort *a_stored, __global ushort *b_stored) {\n"
    "    for (uint i = 0; i < 64 * A_PIECES; i++) a_stored[i] = 4 * a_place(i / A_PIECES, i % A_PIECES);\n"
    "#if DECODED_FOURS\n" /* neighbouring work-items have neighbouring columns */
    "    for (uint i = 0; i < B_PIECES; i++) b_stored[i] = 4 * b_four(i / 64 * 8 + i / 16 % 4, i % 16 * 2);\n"
    "#else\n"
    "    for (uint i = 0; i < B_PIECES; i++) b_stored[i] = 4 * b_place(i / 8, i % 8);\n"
    "#endif\n"
    "}\n";

/* The most words of one bank among `lanes` lanes that access `width` words each, of which word[lane * step] is one. */
static uint32_t worst_bank(const uint16_t *word, uint32_t lanes, uint32_t step, uint32_t width) {
    uint32_t count[BANKS] = {0}, seen[BANKS][MOST_LANES], worst = 0;
    for (uint32_t l = 0; l < lanes; l++)
        for (uint32_t w = 0; w < width; w++) {
            const uint32_t at = word[(size_t)l * step] / width * width + w, bank = at % BANKS;
            int known = 0; /* a word that several lanes want is read once */
            for (uint32_t i = 0; i < count[bank]; i++) known |= seen[bank][i] == at;
            if (!known) seen[bank][count[bank]++] = at;
            if (count[bank] > worst) worst = count[bank];
        }
    return worst;
}

/* Every register of a fragment: read[lanes][halves]. */
static void check_loads(const char *unit, const char *what, const uint16_t *read, uint32_t lanes, uint32_t halves,
                        uint32_t width, uint32_t k_run) {
    const uint32_t at_once = BANKS / width < lanes ? BANKS / width : lanes;
    for (uint32_t h = 0; h < halves; h++)
        for (uint32_t l = 0; l < lanes; l += at_once) {
            const uint32_t worst = worst_bank(read + (size_t)l * halves + h, at_once, halves, width);
            if (worst != 1)
                fail_msg("%s, runs of %u k: half %u of fragment %s, lanes %u to %u: %u words of one bank", unit, k_run,
                         h, what, l, l + at_once - 1, worst);
        }
}

static void check_stores(const char *what, const uint16_t *stored, uint32_t pieces, uint32_t k_run) {
    for (uint32_t i = 0; i < pieces; i += 8)
        if (worst_bank(stored + i, 8, 1, 4) != 1)
            fail_msg("runs of %u k: pieces %u to %u of tile %s share a bank", k_run, i, i + 7, what);
}

/* What a unit that reads the a tile itself takes at once: 8 rows of 16 bytes. */
static void check_matrices(const uint16_t *stored, uint32_t k_run) {
    const uint32_t pieces = k_run / 8;
    for (uint32_t row = 0; row < ROWS; row += 8)
        for (uint32_t piece = 0; piece < pieces; piece++)
            if (worst_bank(stored + (size_t)row * pieces + piece, 8, pieces, 4) != 1)
                fail_msg("runs of %u k: piece %u of rows %u to %u share a bank", k_run, piece, row, row + 7);
}

static cl_kernel kernel_of(cl_program program, const char *name, test_buffer buffers[2]) {
    cl_int code = CL_SUCCESS;
    cl_kernel kernel = clCreateKernel(program, name, &code);
    assert_int_equal(code, CL_SUCCESS);
    for (cl_uint i = 0; i < 2; i++)
        assert_int_equal(clSetKernelArg(kernel, i, sizeof(cl_mem), &buffers[i].mem), CL_SUCCESS);
    return kernel;
}

static void launch(test_device *device, cl_kernel kernel, size_t items, test_buffer buffers[2], uint16_t *read[2]) {
    assert_int_equal(clEnqueueNDRangeKernel(device->queue, kernel, 1, NULL, &items, &items, 0, NULL, NULL), CL_SUCCESS);
    for (int i = 0; i < 2; i++) test_buffer_read(device, &buffers[i], read[i]);
}

static void check_unit(test_device *device, uint32_t u, uint32_t k_run, test_buffer buffers[2], uint16_t *read[2]) {
    const char *text = source;
    char options[512];
    cl_int code = CL_SUCCESS;
    (void)snprintf(options, sizeof options, "-cl-std=CL1.2 -I %s -DMATRIX=%u -DEMULATED=1 -DK_RUN=%u -DWEIGHT_FORMAT=%u",
                   CLMOE_KERNEL_FOLDER, units[u].matrix, k_run, units[u].weight_format);
    cl_program program = clCreateProgramWithSource(device->cl, 1, &text, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    code = clBuildProgram(program, 1, &device->id, options, NULL, NULL);
    if (code != CL_SUCCESS) {
        char log[2048] = "";
        (void)clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, sizeof log, log, NULL);
        fail_msg("%s, \"%s\": %d: %s", units[u].name, options, code, log);
    }
    cl_kernel probe = kernel_of(program, "probe", buffers), places = kernel_of(program, "places", buffers);
    for (cl_uint row = 0; row < ROWS; row += 16)
        for (cl_uint step = 0; step < k_run / units[u].fragment_k; step++) {
            assert_int_equal(clSetKernelArg(probe, 2, sizeof row, &row), CL_SUCCESS);
            assert_int_equal(clSetKernelArg(probe, 3, sizeof step, &step), CL_SUCCESS);
            launch(device, probe, units[u].lanes, buffers, read);
            check_loads(units[u].name, "a", read[0], units[u].lanes, units[u].a_halves, units[u].a_words, k_run);
            check_loads(units[u].name, "b", read[1], units[u].lanes, units[u].b_halves, units[u].b_words, k_run);
        }
    launch(device, places, 1, buffers, read);
    check_stores("a", read[0], ROWS * k_run / 8, k_run);
    check_matrices(read[0], k_run);
    check_stores("b", read[1], 4 * k_run, k_run);
    (void)clReleaseKernel(probe);
    (void)clReleaseKernel(places);
    (void)clReleaseProgram(program);
}

static void test_no_conflicts(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    const size_t bytes = (size_t)MOST_LANES * MOST_HALVES * 2;
    test_buffer buffers[2];
    uint16_t *read[2];
    for (int i = 0; i < 2; i++) {
        cl_int code = CL_SUCCESS;
        buffers[i] =
            (test_buffer){.mem = clCreateBuffer(device.cl, CL_MEM_READ_WRITE, bytes, NULL, &code), .bytes = bytes};
        assert_int_equal(code, CL_SUCCESS);
        read[i] = malloc(bytes);
        assert_non_null(read[i]);
    }
    for (uint32_t u = 0; u < sizeof units / sizeof *units; u++)
        for (uint32_t k_run = units[u].fragment_k; k_run <= 64; k_run *= 2)
            check_unit(&device, u, k_run, buffers, read);
    for (int i = 0; i < 2; i++) {
        (void)clReleaseMemObject(buffers[i].mem);
        free(read[i]);
    }
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_conflicts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
