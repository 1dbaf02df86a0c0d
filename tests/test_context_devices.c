/* Which device a context is on: chosen by every form of a text, named by the environment, adopted from the caller; and
 * what is said where there is none. */
#include "bed.h"

#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>

/* The device that a text chooses, NULL with the error written if none. */
static cl_device_id chosen(const char *text, clmoe_error *error) {
    clmoe_context_desc desc = bed_defaults();
    clmoe_context *context = NULL;
    cl_device_id device = NULL;
    desc.device = text;
    if (clmoe_context_create(&desc, &context, error) != CLMOE_OK) {
        assert_null(context);
        return NULL;
    }
    assert_int_equal(clmoe_context_opencl(context, NULL, &device, error), CLMOE_OK);
    clmoe_context_destroy(context);
    return device;
}

static void devices_are_found_by_every_form(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    cl_platform_id platforms[16];
    cl_uint platform_count = 0;
    assert_int_equal(clGetPlatformIDs(16, platforms, &platform_count), CL_SUCCESS);
    for (cl_uint p = 0; p < platform_count; p++) {
        cl_device_id devices[16];
        cl_uint device_count = 0;
        if (clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, 16, devices, &device_count) != CL_SUCCESS) continue;
        for (cl_uint d = 0; d < device_count; d++) {
            char text[256], part[256];
            (void)snprintf(text, sizeof text, "%u:%u", p, d);
            assert_ptr_equal(chosen(text, &error), devices[d]);
            if (platform_count > 1 || device_count > 1) continue;
            assert_int_equal(clGetDeviceInfo(devices[d], CL_DEVICE_NAME, sizeof text, text, NULL), CL_SUCCESS);
            assert_ptr_equal(chosen(text, &error), devices[d]);
            (void)snprintf(part, sizeof part, "%s", text + 2); /* from the middle, and the other case */
            for (char *c = part; *c != '\0'; c++) *c = (char)(islower((unsigned char)*c) ? toupper(*c) : tolower(*c));
            assert_ptr_equal(chosen(part, &error), devices[d]);
            assert_int_equal(clGetPlatformInfo(platforms[p], CL_PLATFORM_NAME, sizeof text, text, NULL), CL_SUCCESS);
            assert_ptr_equal(chosen(text, &error), devices[d]);
            assert_ptr_equal(chosen(NULL, &error), devices[d]);
            assert_ptr_equal(chosen("", &error), devices[d]);
        }
    }
    const struct {
        const char *text;
        cl_device_type type;
    } kinds[] = {{"gpu", CL_DEVICE_TYPE_GPU},
                 {"GPU", CL_DEVICE_TYPE_GPU},
                 {"cpu", CL_DEVICE_TYPE_CPU},
                 {"Cpu", CL_DEVICE_TYPE_CPU}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        cl_device_type type = 0;
        cl_device_id device = chosen(kinds[i].text, &error);
        if (device == NULL) {
            assert_int_equal(error.status, CLMOE_NO_DEVICE);
        } else {
            assert_int_equal(clGetDeviceInfo(device, CL_DEVICE_TYPE, sizeof type, &type, NULL), CL_SUCCESS);
            assert_true((type & kinds[i].type) != 0);
        }
    }
}

static void unknown_devices_list_what_there_is(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    const char *const wrong[] = {"no such device", "0:77", "77:0", "99999999999:0", "0:0x", "0:", ":0",
                                 "0:-1",           "0: 0", "%s%n"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        error.status = CLMOE_OK;
        assert_null(chosen(wrong[i], &error));
        test_fails(error.status, &error, CLMOE_NO_DEVICE, wrong[i]);
        assert_string_equal(error.argument, "device");
        assert_non_null(strstr(error.message, "there is 0:0 "));
    }
}

/* A loader without a driver: what it says, or an answer of no platforms. */
static cl_int CL_API_CALL no_platforms(cl_uint n, cl_platform_id *platforms, cl_uint *count) {
    (void)n;
    (void)platforms;
    if (count != NULL) *count = 0;
    return CL_SUCCESS;
}

static void *of_no_driver(void *user, const char *name) {
    cl_int(CL_API_CALL * none)(cl_uint, cl_platform_id *, cl_uint *) = no_platforms;
    void *symbol = dlsym(RTLD_DEFAULT, name);
    (void)user;
    if (strcmp(name, "clGetPlatformIDs") == 0) memcpy(&symbol, &none, sizeof symbol);
    return symbol;
}

static void no_driver_is_said_to_be_missing(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_context_desc desc = bed_defaults();
    clmoe_context *context = (clmoe_context *)&desc;
    desc.get_symbol = of_no_driver;
    FAILS(clmoe_context_create(&desc, &context, &error), CLMOE_NO_DEVICE, "there is no OpenCL device");
    assert_null(context);
}

static void the_environment_names_a_device(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    const char *before = getenv("CLMOE_DEVICE");
    char kept[128] = "";
    if (before != NULL) (void)snprintf(kept, sizeof kept, "%s", before);
    assert_int_equal(setenv("CLMOE_DEVICE", "nothing of the kind", 1), 0);
    assert_null(chosen(NULL, &error));
    test_fails(error.status, &error, CLMOE_NO_DEVICE, "CLMOE_DEVICE=\"nothing of the kind\"");
    assert_string_equal(error.argument, "CLMOE_DEVICE");
    assert_non_null(chosen("0:0", &error)); /* the description comes first */
    assert_int_equal(before != NULL ? setenv("CLMOE_DEVICE", kept, 1) : unsetenv("CLMOE_DEVICE"), 0);
}

static cl_uint references_of(cl_context cl) {
    cl_uint count = 0;
    assert_int_equal(clGetContextInfo(cl, CL_CONTEXT_REFERENCE_COUNT, sizeof count, &count, NULL), CL_SUCCESS);
    return count;
}

static void contexts_are_adopted(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    test_device device = test_open(NULL);
    clmoe_context_desc desc = bed_defaults();
    clmoe_context *context = NULL;
    cl_context cl = NULL;
    cl_device_id id = NULL;
    const cl_uint before = references_of(device.cl);
    desc.adopt_context = device.cl;
    desc.adopt_device = device.id;
    desc.device = "ignored"; /* as the header says */
    OK(clmoe_context_create(&desc, &context, &error));
    OK(clmoe_context_opencl(context, &cl, &id, &error));
    assert_ptr_equal(cl, device.cl);
    assert_ptr_equal(id, device.id);
    assert_int_equal(references_of(device.cl), before + 1);
    clmoe_context_destroy(context);
    assert_int_equal(references_of(device.cl), before);

    cl_device_id parts[8];
    cl_uint count = 0;
    const cl_device_partition_property halves[] = {CL_DEVICE_PARTITION_EQUALLY, 1, 0};
    if (clCreateSubDevices(device.id, halves, 8, parts, &count) == CL_SUCCESS) {
        desc.adopt_context = clCreateContext(NULL, count, parts, NULL, NULL, NULL);
        desc.adopt_device = parts[0];
        assert_non_null(desc.adopt_context);
        bed b = bed_open(&desc);
        assert_true(b.device.context->device.is_sub_device);
        OK(mix(&b, NULL, b.device.queue, &b.y, 5, 0, NULL, NULL, &error));
        bed_expect(&b, &b.y, mixed(0, 5));
        bed_close(&b);
        assert_int_equal(clReleaseContext(desc.adopt_context), CL_SUCCESS);
        for (cl_uint i = 0; i < count; i++) assert_int_equal(clReleaseDevice(parts[i]), CL_SUCCESS);
    }
    test_close(&device);
}

/* Stands for a context that has one device, another one. */
static cl_int CL_API_CALL other_devices(cl_context context, cl_context_info what, size_t size, void *value,
                                        size_t *needed) {
    (void)context;
    assert_int_equal(what, CL_CONTEXT_DEVICES);
    if (value != NULL) memset(value, 0x77, size);
    if (needed != NULL) *needed = sizeof(cl_device_id);
    return CL_SUCCESS;
}

static void *with_other_devices(void *user, const char *name) {
    void *symbol = dlsym(RTLD_DEFAULT, name);
    cl_int(CL_API_CALL * other)(cl_context, cl_context_info, size_t, void *, size_t *) = other_devices;
    (void)user;
    if (strcmp(name, "clGetContextInfo") == 0) memcpy(&symbol, &other, sizeof symbol);
    return symbol;
}

static void adopted_devices_must_be_the_contexts(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    test_device device = test_open(NULL);
    clmoe_context_desc desc = bed_defaults();
    clmoe_context *context = NULL;
    const cl_uint before = references_of(device.cl);
    desc.adopt_context = device.cl;
    desc.adopt_device = device.id;
    desc.get_symbol = with_other_devices;
    FAILS(clmoe_context_create(&desc, &context, &error), CLMOE_INVALID_ARGUMENT, "adopt_device");
    assert_null(context);
    assert_int_equal(references_of(device.cl), before);
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_are_found_by_every_form),
        cmocka_unit_test(unknown_devices_list_what_there_is),
        cmocka_unit_test(no_driver_is_said_to_be_missing),
        cmocka_unit_test(the_environment_names_a_device),
        cmocka_unit_test(contexts_are_adopted),
        cmocka_unit_test(adopted_devices_must_be_the_contexts),
    };
    return cmocka_run_group_tests(tests, bed_make_folder, bed_remove_folder);
}
