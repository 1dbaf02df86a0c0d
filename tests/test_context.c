/* Contexts through the public API: descriptions, limits, symbol functions, kernel folders, texts. Runs on any device;
 * what needs the CPU's own says so. test_context_devices.c has the choice of a device. */
#include "bed.h"

#include <dlfcn.h>
#include <stdio.h>

static void versions_and_statuses_have_names(void **state) {
    (void)state;
    char text[32];
    (void)snprintf(text, sizeof text, "%u.%u.%u", clmoe_version() / 1000000, clmoe_version() / 1000 % 1000,
                   clmoe_version() % 1000);
    assert_string_equal(clmoe_version_string(), text);
    assert_string_equal(clmoe_status_name(CLMOE_NO_DEVICE), "CLMOE_NO_DEVICE");
    assert_string_equal(clmoe_status_text(CLMOE_NO_DEVICE), "no OpenCL device matches");
    assert_string_equal(clmoe_status_name((clmoe_status)99), "unknown status");
}

static void descriptions_are_checked(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_context *context = NULL;
    clmoe_context_desc desc = bed_defaults();
    FAILS(clmoe_context_create(&desc, NULL, &error), CLMOE_INVALID_ARGUMENT, "context");
    desc.struct_size = 3;
    FAILS(clmoe_context_create(&desc, &context, &error), CLMOE_INVALID_ARGUMENT, "struct_size");
    desc = bed_defaults();
    desc.struct_size = offsetof(clmoe_context_desc, adopt_context); /* an older caller: the rest is not read */
    desc.adopt_device = (cl_device_id)&desc;
    OK(clmoe_context_create(&desc, &context, &error));
    clmoe_context_destroy(context);
    desc = bed_defaults();
    desc.adopt_device = (cl_device_id)&desc;
    context = (clmoe_context *)&desc;
    FAILS(clmoe_context_create(&desc, &context, &error), CLMOE_INVALID_ARGUMENT, "adopt_context");
    assert_null(context);
    assert_int_equal(clmoe_context_create(&desc, &context, NULL), CLMOE_INVALID_ARGUMENT);
    clmoe_context_destroy(NULL);
}

static void limits_are_lowered_or_refused(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    test_device device = test_open(NULL);
    const clmoe__device own = device.context->device;
    test_close(&device);
    clmoe_context_desc desc = bed_defaults();
    desc.max_alloc_bytes = 1 << 20;
    desc.max_local_bytes = 1024;
    desc.max_work_group_size = 16;
    desc.vector_width = 4;
    device = test_open(&desc);
    const clmoe__device *lowered = &device.context->device;
    assert_int_equal(lowered->max_alloc_bytes, 1 << 20);
    assert_int_equal(lowered->max_workspace_bytes, 1 << 20);
    assert_int_equal(lowered->local_bytes, 1024);
    assert_int_equal(lowered->max_work_group_size, 16);
    assert_int_equal(lowered->max_work_item_size0, 16);
    assert_int_equal(lowered->vector_width, 4);
    test_close(&device);

    clmoe_context *context = NULL;
    const char *const names[] = {"max_alloc_bytes", "max_local_bytes", "max_work_group_size", "vector_width",
                                 "vector_width", "max_workspace_bytes"};
    for (int i = 0; i < 6; i++) {
        desc = bed_defaults();
        if (i == 0) desc.max_alloc_bytes = own.max_alloc_bytes + 1;
        if (i == 1) desc.max_local_bytes = own.local_bytes + 1;
        if (i == 2) desc.max_work_group_size = own.max_work_group_size + 1;
        if (i == 3) desc.vector_width = 5;
        if (i == 4) desc.vector_width = 32;
        if (i == 5) desc.max_workspace_bytes = own.max_alloc_bytes + 1;
        FAILS(clmoe_context_create(&desc, &context, &error), CLMOE_INVALID_ARGUMENT, names[i]);
        assert_null(context);
    }
}

static void the_environment_gives_a_vector_width(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_context_desc desc = bed_defaults();
    clmoe_context *context = NULL;
    static const char *const wrong[] = {"5", "64", "4x", "-4", "4294967300"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(setenv("CLMOE_VECTOR_WIDTH", wrong[i], 1), 0);
        FAILS(clmoe_context_create(&desc, &context, &error), CLMOE_INVALID_ARGUMENT, "CLMOE_VECTOR_WIDTH");
    }
    assert_int_equal(setenv("CLMOE_VECTOR_WIDTH", "4", 1), 0);
    test_device device = test_open(NULL);
    assert_int_equal(device.context->device.vector_width, 4);
    test_close(&device);
    assert_int_equal(unsetenv("CLMOE_VECTOR_WIDTH"), 0);
}

/* Symbols from the loader this test is linked to, except the one that `user` names. */
static void *all_but(void *user, const char *name) {
    if (user != NULL && strcmp(name, user) == 0) return NULL;
    return dlsym(RTLD_DEFAULT, name);
}

static void symbols_come_from_the_caller(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_context_desc desc = bed_defaults();
    clmoe_context *context = NULL;
    desc.get_symbol = all_but;
    OK(clmoe_context_create(&desc, &context, &error));
    clmoe_context_destroy(context);
    const char *const missing[] = {"clGetPlatformIDs", "clEnqueueFillBuffer", "clFinish"};
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%s", missing[i]);
        desc.get_symbol_user = name;
        FAILS(clmoe_context_create(&desc, &context, &error), CLMOE_NO_OPENCL, missing[i]);
        assert_null(context);
    }
}

static void describe_fits_any_capacity(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_context_desc desc = bed_defaults();
    desc.disable = "gpu,portable";
    test_device device = test_open(&desc);
    size_t length = 0, again = 0;
    OK(clmoe_context_describe(device.context, NULL, 0, &length, &error));
    assert_true(length > 100);
    char *whole = malloc(length + 1), *part = malloc(length + 1);
    assert_true(whole != NULL && part != NULL);
    OK(clmoe_context_describe(device.context, whole, length + 1, NULL, &error));
    assert_int_equal(strlen(whole), length);
    assert_non_null(strstr(whole, device.context->device.name));
    assert_non_null(strstr(whole, "gpu,portable"));
    for (size_t capacity = 1; capacity <= length; capacity += 7) {
        memset(part, 'x', length + 1);
        OK(clmoe_context_describe(device.context, part, capacity, &again, &error));
        assert_int_equal(again, length);
        assert_int_equal(strlen(part), capacity - 1);
        assert_memory_equal(part, whole, capacity - 1);
        assert_int_equal(part[capacity], 'x');
    }
    FAILS(clmoe_context_describe(device.context, NULL, 5, &length, &error), CLMOE_INVALID_ARGUMENT, "text");
    FAILS(clmoe_context_describe(NULL, part, 5, &length, &error), CLMOE_INVALID_ARGUMENT, "context");
    free(whole);
    free(part);
    test_close(&device);
}

static void statistics_respect_the_callers_struct(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    test_device device = test_open(NULL);
    clmoe_memory_stats stats;
    memset(&stats, 0xee, sizeof stats);
    stats.struct_size = offsetof(clmoe_memory_stats, high_water);
    OK(clmoe_context_memory(device.context, &stats, &error));
    assert_int_equal(stats.bytes_in_use, 0);
    assert_int_equal(stats.struct_size, offsetof(clmoe_memory_stats, high_water));
    assert_int_equal(stats.high_water, 0xeeeeeeeeeeeeeeee);
    stats.struct_size = 0;
    OK(clmoe_context_memory(device.context, &stats, &error));
    assert_int_equal(stats.requests, 0);
    FAILS(clmoe_context_memory(device.context, NULL, &error), CLMOE_INVALID_ARGUMENT, "stats");
    stats.struct_size = SIZE_MAX;
    FAILS(clmoe_context_memory(device.context, &stats, &error), CLMOE_INVALID_ARGUMENT, "struct_size");
    test_close(&device);
}

/* An edited kernel is used without a new build of the library, and the environment can say where it is. */
static void kernel_folders_replace_the_embedded(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    const clmoe__options options = {"", 0};
    clmoe__kernel kernel;
    bed_write_file("select.cl", "__kernel void edited(__global int *y) { y[0] = 1; }\n");
    assert_int_equal(setenv("CLMOE_KERNEL_DIR", bed_folder, 1), 0);
    test_device device = test_open(NULL);
    assert_int_equal(unsetenv("CLMOE_KERNEL_DIR"), 0);
    OK(clmoe__kernel_create(device.context, "select.cl", "edited", &options, "select", &kernel, &error));
    clmoe__kernel_destroy(device.context, &kernel);
    test_close(&device);

    clmoe_context_desc desc = bed_defaults();
    desc.kernel_dir = bed_folder;
    device = test_open(&desc);
    FAILS(clmoe__kernel_create(device.context, "dispatch.cl", "edited", &options, "dispatch", &kernel, &error),
          CLMOE_KERNEL_SOURCE, "/dispatch.cl");
    test_close(&device);
}

static void keep_line(void *user, const char *line) {
    if (strncmp(line, "device: ", 8) == 0) (void)snprintf(user, 512, "%s", line);
}

static void the_log_tells_the_device(void **state) {
    (void)state;
    char line[512] = "";
    clmoe_context_desc desc = bed_defaults();
    desc.log = keep_line;
    desc.log_user = line;
    test_device device = test_open(&desc);
    assert_non_null(strstr(line, device.context->device.name));
    assert_null(strchr(line, '\n'));
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_and_statuses_have_names),
        cmocka_unit_test(the_environment_gives_a_vector_width),
        cmocka_unit_test(descriptions_are_checked),
        cmocka_unit_test(limits_are_lowered_or_refused),
        cmocka_unit_test(symbols_come_from_the_caller),
        cmocka_unit_test(describe_fits_any_capacity),
        cmocka_unit_test(statistics_respect_the_callers_struct),
        cmocka_unit_test(kernel_folders_replace_the_embedded),
        cmocka_unit_test(the_log_tells_the_device),
    };
    return cmocka_run_group_tests(tests, bed_make_folder, bed_remove_folder);
}
