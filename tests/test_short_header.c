/* The short header that goes before programs in place of some drivers' own: the library's kernels need nothing that it
 * lacks, other people's get the driver's. Drivers that have none pass by themselves. */
#include "bed.h"

#include <stdio.h>

#include "opencl/kernels.h"
#include "opencl/program_make.h"
#include "opencl/short_header.h"

/* How often the log told that the short header did not do. */
static void count_long(void *user, const char *line) {
    if (strstr(line, "needs more than the short header") != NULL) ++*(int *)user;
}

static test_device open_counting(const char *folder, int *count) {
    clmoe_context_desc desc = bed_defaults();
    desc.kernel_dir = folder;
    desc.cache = CLMOE_CACHE_OFF;
    desc.log = count_long;
    desc.log_user = count;
    *count = 0;
    return test_open(&desc);
}

static clmoe_status make(clmoe_context *context, const char *file, const char *options, clmoe_error *error) {
    clmoe__made made;
    const clmoe_status status = clmoe__program_make(context, file, options, "", &made, error);
    if (status == CLMOE_OK) assert_int_equal(context->cl.clReleaseProgram(made.opencl), CL_SUCCESS);
    return status;
}

static void other_functions_come_from_the_driver(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    int count = 0;
    bed_write_file("few.cl", "__kernel void f(__global float *y) { y[0] = fma(y[1], y[2], y[3]); }\n");
    bed_write_file("more.cl", "__kernel void f(__global float *y) { y[0] = sinpi(y[1]); }\n");
    bed_write_file("wrong.cl", "__kernel void f(__global float *y) { y[0] = no_such_function(y[1]); }\n");
    test_device device = open_counting(bed_folder, &count);
    const int has_header = clmoe__short_header_for(&device.context->device).option != NULL;
    OK(make(device.context, "few.cl", "", &error));
    assert_int_equal(count, 0);
    OK(make(device.context, "more.cl", "", &error));
    assert_int_equal(count, has_header);
    FAILS(make(device.context, "wrong.cl", "", &error), CLMOE_BUILD_FAILED, "wrong.cl");
    assert_non_null(strstr(error.log, "no_such_function"));
    assert_non_null(strstr(error.log, "wrong.cl:1"));
    test_close(&device);
}

/* What each file is by itself, and some of what options bring into it. test_close looks after the rest: no test's
 * context may have needed more. */
static void the_kernels_need_no_more(void **state) {
    (void)state;
    static const struct {
        const char *file, *options;
    } more[] = {
        {"gemm_cpu.cl", "-DLANES=8 -DWEIGHT_FORMAT=2 -DY_FORMAT=2 -DACTIVATE=1 -DACT_KIND=1"},
        {"gemm_cpu.cl", "-DLANES=4 -DWEIGHT_FORMAT=3 -DARITHMETIC=2 -DACTIVATE=1 -DACT_KIND=2 -DACT_GATED=1"},
        {"gather.cl", "-DX_FORMAT=2 -DVECTOR_WIDTH=8"},
        {"gather.cl", "-DX_FORMAT=3 -DVECTOR_WIDTH=4 -DARITHMETIC=2"},
        {"combine.cl", "-DX_FORMAT=2 -DOUT_FORMAT=3 -DVECTOR_WIDTH=8 -DHAS_SHARED=1 -DSHARED_GATE=1"},
        {"select.cl", "-DSPARSEMIXER=1 -DTOP_K=2 -DLANES=8"},
        {"select.cl", "-DLANES=1 -DTEAM=16 -DLOCAL_SIZE=16"},
        {"quantize.cl", "-DBLOCK_FORMAT=21"},
        {"quantize.cl", "-DBLOCK_FORMAT=25 -DSOURCE_FORMAT=3"},
        {"pack_blocks.cl", "-DSOURCE_FORMAT=21 -DWEIGHT_FORMAT=21 -DARITHMETIC=3"},
        {"pack_blocks.cl", "-DSOURCE_FORMAT=25 -DWEIGHT_FORMAT=25 -DARITHMETIC=3"},
    };
    int count = 0, built = 0;
    test_device device = open_counting(NULL, &count);
    for (size_t i = 0; i < clmoe__embedded_count; i++) {
        const char *file = clmoe__embedded_kernels[i].name;
        if (strstr(file, ".clh") != NULL || strchr(file, '/') != NULL) continue;
        count = 0;
        if (make(device.context, file, "", NULL) != CLMOE_OK) continue; /* not by itself, or not on this device */
        if (count != 0) fail_msg("cl/%s needs what cl/builtins.clh lacks", file);
        built++;
    }
    assert_true(built > 10);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        clmoe_error error = {.struct_size = sizeof error};
        count = 0;
        OK(make(device.context, more[i].file, more[i].options, &error));
        if (count != 0) fail_msg("cl/%s with %s needs what cl/builtins.clh lacks", more[i].file, more[i].options);
    }
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_functions_come_from_the_driver),
        cmocka_unit_test(the_kernels_need_no_more),
    };
    return cmocka_run_group_tests(tests, bed_make_folder, bed_remove_folder);
}
