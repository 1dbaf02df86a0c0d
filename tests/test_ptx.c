/* Programs for an architecture's own instructions (src/opencl/ptx.h): what becomes of the text, and a driver that gives
 * PTX, played by functions in front of the real one, each of whose answers may be a refusal. */
#include <stdio.h>

#include "cl_entry.h"
#include "opencl/program.h"
#include "opencl/ptx.h"
#include "support.h"

static clmoe_error error = {.struct_size = sizeof error};

/* -------------------------------------------------------------------------------------------------- the text */

static const char plain[] = "// sm_90 //@sm_90a not at the start\n"
                            ".version 8.5\n"
                            ".target sm_90, texmode_independent // sm_90\n"
                            ".address_size 64\n"
                            "\t//@sm_90a wgmma.fence.sync.aligned;\n"
                            "\t//@sm_90ab other;\n"
                            "//@sm_90a {a; } //@sm_90a b;\r\n"
                            " //@sm_90a\n"
                            "\tmov.u32 %r1, 0; //@sm_90a no\n"
                            "//@sm_90a last";
static const char wanted[] = "// sm_90 //@sm_90a not at the start\n"
                             ".version 8.5\n"
                             ".target sm_90a, texmode_independent // sm_90\n"
                             ".address_size 64\n"
                             "wgmma.fence.sync.aligned;\n"
                             "\t//@sm_90ab other;\n"
                             "{a; } //@sm_90a b;\r\n"
                             " //@sm_90a\n"
                             "\tmov.u32 %r1, 0; //@sm_90a no\n"
                             "last";

/* From memory of just this size, so that a checker sees what reads behind it. */
static clmoe_status patch(const char *text, size_t bytes, const char *target, char **patched, size_t *patched_bytes) {
    char *exact = malloc(bytes > 0 ? bytes : 1);
    assert_non_null(exact);
    memcpy(exact, text, bytes);
    const clmoe_status status = clmoe__ptx_patch(exact, bytes, target, patched, patched_bytes, &error);
    free(exact);
    return status;
}

static void patches_to(const char *text, size_t bytes, const char *to, size_t to_bytes) {
    char *patched = NULL;
    size_t patched_bytes = 0;
    OK(patch(text, bytes, "sm_90a", &patched, &patched_bytes));
    assert_int_equal(patched_bytes, to_bytes);
    assert_memory_equal(patched, to, to_bytes);
    free(patched);
}

static void test_text(void **state) {
    (void)state;
    static const char second[] = ".version 8.0\n.target\tsm_90a\n//@sm_90a x";
    static const char its[] = ".version 8.0\n.target\tsm_90a\nx";
    patches_to(plain, sizeof plain - 1, wanted, sizeof wanted - 1);
    patches_to(plain, sizeof plain, wanted, sizeof wanted); /* with the string's end */
    patches_to(second, sizeof second - 1, its, sizeof its - 1);
}

static void test_refused_text(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t bytes; /* 0: of the string */
        const char *why;
    } rows[] = {
        {"", 0, "no PTX"},
        {"\0\0\0", 3, "no PTX"},
        {".version 8.0\n.target sm_90\n\0//@sm_90a x\n", 41, "no PTX"},
        {"\x7f" "ELF//@sm_90a", 0, "no PTX"},
        {".version", 0, "no PTX"},
        {".target sm_90\n//@sm_90a x", 0, "no PTX"},
        {".version 8.0\n.target", 0, "no PTX"},
        {".version 8.0\n.target ", 0, "another target"},
        {".version 8.0\n.target sm_9", 0, "another target"},
        {".version 8.0\n.target sm_90b\n//@sm_90a x", 0, "another target"},
        {".version 8.0\n.target sm_90aa\n//@sm_90a x", 0, "another target"},
        {".version 8.0\n.target sm_100\n//@sm_90a x", 0, "another target"},
        {".version 8.0\n.target sm_90\n.target sm_90\n//@sm_90a x", 0, "several"},
        {".version 8.0\n.target sm_90\nret;\n", 0, "no line"},
        {".version 8.0\n.target sm_90\n//@", 0, "no line"},
        {".version 8.0\n.target sm_90\n//@sm_90a", 0, "no line"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *patched = NULL;
        size_t bytes = 0;
        FAILS(patch(rows[i].text, rows[i].bytes > 0 ? rows[i].bytes : strlen(rows[i].text), "sm_90a", &patched, &bytes),
              CLMOE_BUILD_FAILED, rows[i].why);
        assert_null(patched);
    }
    for (size_t n = 0; n < sizeof plain; n++) { /* cut anywhere */
        char *patched = NULL;
        size_t bytes = 0;
        if (patch(plain, n, "sm_90a", &patched, &bytes) == CLMOE_OK) assert_true(bytes <= n + 1);
        free(patched);
    }
}

static void test_target(void **state) {
    (void)state;
    char target[8] = "";
    assert_false(clmoe__ptx_target("-DMATRIX=7 -DK_RUN=16", target, sizeof target));
    assert_true(clmoe__ptx_target("-DMATRIX=7 -DPTX_TARGET=sm_90a -DX=1", target, sizeof target));
    assert_string_equal(target, "sm_90a");
    assert_true(clmoe__ptx_target("-DPTX_TARGET=sm_123456789a", target, sizeof target));
    assert_string_equal(target, "sm_1234");
}

/* ------------------------------------------------------------------------------------------------ the driver */

enum { SIZES, BINARIES, CREATE, STATUS, BUILD, ANSWERS };

static struct {
    int refuses;       /* which answer; ANSWERS: none */
    cl_int code;
    const char *ptx;
    cl_program last;   /* made from the source: what the patched one stands for too */
    int builds, alive; /* of programs */
    int sources;       /* programs made from source */
    int is_patched;    /* the text that came back was right */
} driver;

static cl_program CL_API_CALL from_source(cl_context context, cl_uint n, const char **text, const size_t *bytes,
                                          cl_int *code) {
    driver.last = clCreateProgramWithSource(context, n, text, bytes, code);
    driver.alive += driver.last != NULL;
    driver.sources++;
    driver.builds = 0;
    return driver.last;
}

static cl_program CL_API_CALL from_binary(cl_context context, cl_uint n, const cl_device_id *ids, const size_t *bytes,
                                          const unsigned char **binary, cl_int *status, cl_int *code) {
    (void)context, (void)n, (void)ids;
    driver.is_patched = bytes[0] == sizeof wanted && memcmp(binary[0], wanted, sizeof wanted) == 0;
    *status = driver.refuses == STATUS ? driver.code : CL_SUCCESS;
    *code = driver.refuses == CREATE ? driver.code : CL_SUCCESS;
    if (*code != CL_SUCCESS) return NULL;
    driver.alive++;
    (void)clRetainProgram(driver.last);
    return driver.last;
}

static cl_int CL_API_CALL build(cl_program program, cl_uint n, const cl_device_id *ids, const char *options,
                                void(CL_CALLBACK *notify)(cl_program, void *), void *user) {
    if (driver.builds++ == 0) return clBuildProgram(program, n, ids, options, notify, user);
    return driver.refuses == BUILD ? driver.code : CL_SUCCESS;
}

/* The same for each device of the program. */
static cl_int CL_API_CALL info(cl_program program, cl_program_info what, size_t bytes, void *to, size_t *size) {
    const size_t length = strlen(driver.ptx) + 1;
    if (driver.refuses == SIZES && what == CL_PROGRAM_BINARY_SIZES) return driver.code;
    if (driver.refuses == BINARIES && what == CL_PROGRAM_BINARIES) return driver.code;
    if (what == CL_PROGRAM_BINARY_SIZES) {
        const cl_int code = clGetProgramInfo(program, what, bytes, to, size);
        for (size_t i = 0; to != NULL && i < bytes / sizeof length; i++) ((size_t *)to)[i] = length;
        return code;
    }
    if (what != CL_PROGRAM_BINARIES) return clGetProgramInfo(program, what, bytes, to, size);
    for (size_t i = 0; i < bytes / sizeof(unsigned char *); i++)
        if (((unsigned char **)to)[i] != NULL) memcpy(((unsigned char **)to)[i], driver.ptx, length);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL release(cl_program program) {
    driver.alive--;
    return clReleaseProgram(program);
}

static void *symbol(void *user, const char *name) {
    (void)user;
#define PLAYED(entry, own) \
    if (strcmp(name, #entry) == 0) return (void *)(uintptr_t)&own;
    PLAYED(clCreateProgramWithSource, from_source)
    PLAYED(clCreateProgramWithBinary, from_binary)
    PLAYED(clBuildProgram, build)
    PLAYED(clGetProgramInfo, info)
    PLAYED(clReleaseProgram, release)
#undef PLAYED
    return cl_entry(name);
}

static clmoe_status create(clmoe_context *context, clmoe__kernel *kernel) {
    clmoe__options options = {"", 0};
    clmoe__options_add(&options, "-DPTX_TARGET=sm_90a");
    return clmoe__kernel_create(context, "token_count.cl", "token_count", &options, "token count", kernel, &error);
}

/* Each refusal is an error that names the target, leaves nothing behind, and does not stand in the way of another
 * try. */
static void test_driver(void **state) {
    (void)state;
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.get_symbol = symbol;
    d.cache = CLMOE_CACHE_OFF;
    driver.ptx = plain;
    test_device device = test_open(&d);
    if (device.halves[0] != NULL) { /* no binaries of these */
        test_close(&device);
        skip();
    }
    clmoe__kernel kernel = {0};
    for (driver.refuses = 0; driver.refuses < ANSWERS; driver.refuses++) {
        driver.code = CL_INVALID_BINARY;
        FAILS(create(device.context, &kernel), CLMOE_BUILD_FAILED, "sm_90a");
        assert_int_equal(driver.alive, 0);
        driver.code = CL_OUT_OF_HOST_MEMORY;
        FAILS(create(device.context, &kernel), CLMOE_OUT_OF_HOST_MEMORY, "");
        assert_int_equal(driver.alive, 0);
    }
    driver.ptx = "no PTX";
    FAILS(create(device.context, &kernel), CLMOE_BUILD_FAILED, "no PTX");
    driver.ptx = "";
    FAILS(create(device.context, &kernel), CLMOE_BUILD_FAILED, "no PTX");
    assert_int_equal(driver.alive, 0);
    driver.ptx = plain;
    OK(create(device.context, &kernel));
    assert_true(driver.is_patched);
    assert_int_equal(driver.alive, 1); /* the patched one; the plain one is gone */
    clmoe__kernel_destroy(device.context, &kernel);
    test_close(&device);
    assert_int_equal(driver.alive, 0);
}

/* A cache of one entry. */
static unsigned char kept[sizeof wanted + 4096];
static size_t kept_bytes;

static size_t cache_get(void *user, const void *key, size_t key_bytes, void *value, size_t capacity) {
    (void)user, (void)key, (void)key_bytes;
    if (kept_bytes > 0 && kept_bytes <= capacity) memcpy(value, kept, kept_bytes);
    return kept_bytes;
}

static int cache_put(void *user, const void *key, size_t key_bytes, const void *value, size_t bytes) {
    (void)user, (void)key, (void)key_bytes;
    assert_true(bytes <= sizeof kept);
    memcpy(kept, value, kept_bytes = bytes);
    return 1;
}

/* What is kept is the patched program: the next context makes none from source. */
static void test_cache(void **state) {
    (void)state;
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.get_symbol = symbol;
    d.cache = CLMOE_CACHE_ALWAYS;
    d.cache_get = cache_get;
    d.cache_put = cache_put;
    driver.refuses = ANSWERS;
    for (int again = 0; again < 2; again++) {
        clmoe__kernel kernel = {0};
        test_device device = test_open(&d);
        if (device.halves[0] != NULL) { /* whose programs are not kept */
            test_close(&device);
            skip();
        }
        driver.ptx = plain;
        driver.sources = 0;
        driver.is_patched = 0;
        OK(create(device.context, &kernel));
        assert_true(driver.is_patched);
        assert_int_equal(driver.sources, !again);
        driver.ptx = wanted; /* as of now the driver has the patched program */
        clmoe__program_launched(device.context, kernel.id);
        clmoe__programs_save(device.context);
        assert_true(kept_bytes > sizeof wanted);
        clmoe__kernel_destroy(device.context, &kernel);
        if (again) (void)clReleaseProgram(driver.last);
        else (void)clRetainProgram(driver.last); /* which from_binary gives out again */
        test_close(&device);
    }
    assert_int_equal(driver.alive, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text), cmocka_unit_test(test_refused_text),
                                       cmocka_unit_test(test_target), cmocka_unit_test(test_driver),
                                       cmocka_unit_test(test_cache)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
