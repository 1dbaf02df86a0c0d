/* Kernel sources and programs: includes, build errors, limits, threads that want the same program. */
#include "bed.h"

#include <pthread.h>

#include "opencl/source.h"

static void includes_are_expanded(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    bed b = bed_open(NULL);
    char *text = NULL;
    size_t length = 0;
    OK(clmoe__source_read(b.device.context, "mix.cl", &text, &length, &error));
    assert_int_equal(length, strlen(text));
    assert_non_null(strstr(text, "#line 1 \"mix.cl\"\n"));
    assert_non_null(strstr(text, "#include \"mix.cl\"")); /* in a comment: left alone */
    assert_non_null(strstr(text, "#line 1 \"parts/step.clh\"\n#ifndef STEP"));
    assert_non_null(strstr(text, "#line 5 \"mix.cl\"\n#if 0"));
    assert_non_null(strstr(text, "#line 8 \"mix.cl\"\n__kernel void add"));
    free(text);
    OK(clmoe__source_read(b.device.context, "open.cl", &text, &length, &error));
    assert_int_equal(text[length - 1], '\n');
    free(text);
    FAILS(clmoe__source_read(b.device.context, "cycle.cl", &text, &length, &error), CLMOE_KERNEL_SOURCE,
          "\"cycle.cl\" includes itself");
    FAILS(clmoe__source_read(b.device.context, "lost.cl", &text, &length, &error), CLMOE_KERNEL_SOURCE, "nowhere.clh");
    bed_close(&b);
}

static void build_errors_name_file_and_line(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    bed b = bed_open(NULL);
    clmoe__kernel kernel;
    clmoe__options options = {{0}, 0};
    clmoe__options_add(&options, "-DFACTOR=1");
    clmoe__options_add(&options, "-DBROKEN=1");
    FAILS(clmoe__kernel_create(b.device.context, "mix.cl", "add", &options, "add", &kernel, &error), CLMOE_BUILD_FAILED,
          "mix.cl");
    assert_null(kernel.program);
    assert_non_null(strstr(error.log, "mix.cl:17"));
    assert_non_null(strstr(error.log, "undeclared_thing"));
    options = (clmoe__options){"-DFACTOR=1 -DBROKEN_PART=1", 0};
    FAILS(clmoe__kernel_create(b.device.context, "mix.cl", "add", &options, "add", &kernel, &error), CLMOE_BUILD_FAILED,
          "mix.cl");
    assert_non_null(strstr(error.log, "parts/step.clh:5"));
    options = (clmoe__options){"-DFACTOR=1", 0};
    FAILS(clmoe__kernel_create(b.device.context, "mix.cl", "multiply", &options, "add", &kernel, &error),
          CLMOE_BUILD_FAILED, "multiply");
    FAILS(clmoe__kernel_create(b.device.context, "absent.cl", "add", &options, "add", &kernel, &error),
          CLMOE_KERNEL_SOURCE, "absent.cl");
    for (int i = 0; i < 300; i++) clmoe__options_add(&options, "-DNAME%d=%d", i, i);
    FAILS(clmoe__kernel_create(b.device.context, "mix.cl", "add", &options, "add", &kernel, &error), CLMOE_UNSUPPORTED,
          "1023");
    bed_close(&b);
}

static void local_memory_is_limited(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    const clmoe_context_desc desc = {.struct_size = sizeof desc, .kernel_dir = bed_folder, .max_local_bytes = 16384};
    test_device device = test_open(&desc);
    clmoe__kernel kernel;
    const clmoe__options options = {"-DFACTOR=1 -DBIG_LOCAL=1", 0};
    FAILS(clmoe__kernel_create(device.context, "mix.cl", "big", &options, "big", &kernel, &error), CLMOE_UNSUPPORTED,
          "16384");
    OK(clmoe__kernel_create(device.context, "mix.cl", "add", &options, "add", &kernel, &error));
    clmoe__kernel_destroy(device.context, &kernel);
    test_close(&device);
}

static void floats_keep_their_bits(void **state) {
    (void)state;
    clmoe__options options = {{0}, 0};
    clmoe__options_add(&options, "-DA=%d", 1);
    clmoe__options_float(&options, "B", -0.0f);
    assert_string_equal(options.text, "-DA=1 -DB=as_float(0x80000000u)");
}

/* Counts the lines that tell of a build. */
static void count_builds(void *user, const char *line) {
    if (strncmp(line, "built ", 6) == 0) (void)clmoe__counter_add(user, 1);
}

static void *build_same(void *user) {
    clmoe_context *context = user;
    for (int i = 0; i < 20; i++) {
        clmoe__kernel one = bed_kernel(context, "add"), two = bed_kernel(context, "scale");
        assert_true(one.id != two.id && one.program == two.program);
        clmoe__kernel_destroy(context, &one);
        clmoe__kernel_destroy(context, &two);
    }
    return NULL;
}

static void threads_build_a_program_once(void **state) {
    (void)state;
    clmoe__counter builds = {0};
    const clmoe_context_desc desc = {
        .struct_size = sizeof desc, .kernel_dir = bed_folder, .log = count_builds, .log_user = &builds};
    test_device device = test_open(&desc);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, build_same, device.context), 0);
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(clmoe__counter_add(&builds, 0), 1);
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(includes_are_expanded),
        cmocka_unit_test(build_errors_name_file_and_line),
        cmocka_unit_test(local_memory_is_limited),
        cmocka_unit_test(floats_keep_their_bits),
        cmocka_unit_test(threads_build_a_program_once),
    };
    return cmocka_run_group_tests(tests, bed_make_folder, bed_remove_folder);
}
