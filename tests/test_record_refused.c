/* What recording refuses: wrong arguments, devices that lack the extension or a part of it, and stages that do more
 * than launch. Where the device has no cl_khr_command_buffer, only its refusal is tested. */
#include "cl_entry.h"
#include "opencl/recording.h"
#include "record_bed.h"

static clmoe_error error = {.struct_size = sizeof error};

static void test_arguments(void **state) {
    NEEDS_EXTENSION();
    test_random random = test_random_new(78);
    void *x = case_input(record.of, T, &random);
    case_buffers b = case_buffers_new(record.of, x, T);
    clmoe_recording *recording = NULL;
    clmoe_workspace_desc small;
    clmoe_workspace_desc_default(&small, sizeof small);
    small.memory = b.load.at;
    small.memory_bytes = b.load.bytes;
#define RECORD(layer, memory, queue, io) clmoe_record(layer, memory, queue, io, &recording, &error)
    FAILS(clmoe_record(record.of->layer, NULL, record.device.queue, &b.io, NULL, &error), CLMOE_INVALID_ARGUMENT,
          "recording");
    FAILS(RECORD(NULL, NULL, record.device.queue, &b.io), CLMOE_INVALID_ARGUMENT, "layer");
    FAILS(RECORD(record.of->layer, NULL, NULL, &b.io), CLMOE_INVALID_ARGUMENT, "queue");
    FAILS(RECORD(record.of->layer, NULL, record.device.queue, NULL), CLMOE_INVALID_ARGUMENT, "io");
    FAILS(RECORD(record.of->layer, &small, record.device.queue, &b.io), CLMOE_OUT_OF_DEVICE_MEMORY, "workspace");
    clmoe_io io = b.io;
    io.x = (clmoe_buffer){0};
    memset(&recording, 1, sizeof recording);
    FAILS(RECORD(record.of->layer, NULL, record.device.queue, &io), CLMOE_INVALID_ARGUMENT, "io.x");
    assert_null(recording);
    test_device other = test_open(NULL);
    FAILS(RECORD(record.of->layer, NULL, other.queue, &b.io), CLMOE_INVALID_ARGUMENT, "queue");
    test_close(&other);
    assert_int_equal(clmoe_record(NULL, NULL, NULL, NULL, &recording, NULL), CLMOE_INVALID_ARGUMENT);
    cl_command_queue out_of_order = record_queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    FAILS(RECORD(record.of->layer, NULL, out_of_order, &b.io), CLMOE_INVALID_ARGUMENT, "queue is out of order");
    assert_int_equal(clReleaseCommandQueue(out_of_order), CL_SUCCESS);
    OK(RECORD(record.of->layer, NULL, record.device.queue, &b.io));
    FAILS(clmoe_replay(NULL, 0, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "recording");
    FAILS(clmoe_replay(recording, 1, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "wait");
    const cl_event nothing = NULL;
    FAILS(clmoe_replay(recording, 1, &nothing, NULL, &error), CLMOE_INVALID_ARGUMENT, "wait");
    test_buffer_untouched(&record.device, &b.out);
    clmoe_recording_destroy(recording);
    clmoe_recording_destroy(NULL);
    case_result r = case_buffers_take(record.of, &b);
    case_result_free(&r);
    free(x);
}

/* What a driver says of itself, changed. */
static struct {
    int no_extension, no_function;
    cl_uint version;          /* 0: its own */
    cl_bitfield capabilities; /* those it keeps */
    cl_bitfield required;     /* of queues, beside its own */
    int knows_supported;      /* answers the query that came after 0.9.0, with `supported` */
    cl_bitfield supported;
} altered;

static void alter_nothing(void) {
    memset(&altered, 0, sizeof altered);
    altered.capabilities = ~(cl_bitfield)0;
}

static cl_int CL_API_CALL altered_info(cl_device_id id, cl_device_info what, size_t size, void *value, size_t *needed) {
    if (what == 0x129A && altered.knows_supported) {
        memcpy(value, &altered.supported, sizeof altered.supported);
        return CL_SUCCESS;
    }
    const cl_int code = clGetDeviceInfo(id, what, size, value, needed);
    if (code != CL_SUCCESS || value == NULL) return code;
    if (what == CL_DEVICE_EXTENSIONS && altered.no_extension) {
        for (char *at = value; (at = strstr(at, "cl_khr_command_buffer")) != NULL;) memcpy(at, "cl_foo", 6);
    }
    if (what == 0x12A9) *(cl_bitfield *)value &= altered.capabilities;
    if (what == 0x12AA) *(cl_bitfield *)value |= altered.required;
    if (what == 0x1060 && altered.version != 0) {
        for (char *at = value; at < (char *)value + size; at += 4 + 64) {
            if (strcmp(at + 4, "cl_khr_command_buffer") == 0) memcpy(at, &altered.version, sizeof altered.version);
        }
    }
    return code;
}

static void *CL_API_CALL altered_address(cl_platform_id platform, const char *name) {
    if (altered.no_function && strcmp(name, "clFinalizeCommandBufferKHR") == 0) return NULL;
    return clGetExtensionFunctionAddressForPlatform(platform, name);
}

static void *altered_symbol(void *user, const char *name) {
    (void)user;
    if (strcmp(name, "clGetDeviceInfo") == 0) return (void *)(uintptr_t)&altered_info;
    if (strcmp(name, "clGetExtensionFunctionAddressForPlatform") == 0) return (void *)(uintptr_t)&altered_address;
    return cl_entry(name);
}

static test_device open_altered(void) {
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.get_symbol = altered_symbol;
    return test_open(&d);
}

/* With everything as it is in `altered`, recording on this queue fails, and says this and the device's name. */
static void refused(layer_case *of, cl_command_queue queue, const char *contains) {
    char name[128] = {0};
    assert_int_equal(clGetDeviceInfo(of->device->id, CL_DEVICE_NAME, sizeof name - 1, name, NULL), CL_SUCCESS);
    case_buffers b = case_buffers_new(of, NULL, 3);
    clmoe_recording *recording = NULL;
    FAILS(clmoe_record(of->layer, NULL, queue, &b.io, &recording, &error), CLMOE_UNSUPPORTED, contains);
    assert_non_null(strstr(error.message, "cl_khr_command_buffer"));
    assert_non_null(strstr(error.message, name));
    assert_null(recording);
    test_buffer_untouched(of->device, &b.out);
    case_result r = case_buffers_take(of, &b);
    case_result_free(&r);
}

static void test_unsupported(void **state) {
    (void)state;
    alter_nothing();
    test_device d = open_altered();
    const case_options o = case_default(H, 24, 7, K);
    layer_case *own = case_new(&d, &o);
    altered.no_extension = 1;
    refused(own, d.queue, "has no cl_khr_command_buffer");
    alter_nothing();
    if (record.has_extension) {
        const cl_uint unknown[] = {8u << 12 | 9, 2u << 22 | 3u << 12};
        altered.version = unknown[0];
        refused(own, d.queue, "version 0.8.9");
        altered.version = unknown[1];
        refused(own, d.queue, "version 2.3.0");
        alter_nothing();
        altered.no_function = 1;
        refused(own, d.queue, "clFinalizeCommandBufferKHR");
        alter_nothing();
        altered.required = CL_QUEUE_PROFILING_ENABLE;
        refused(own, d.queue, "requires 0x2");
        alter_nothing();
        altered.knows_supported = 1;
        cl_int code = CL_SUCCESS;
        cl_command_queue queue = clCreateCommandQueue(d.cl, d.id, CL_QUEUE_PROFILING_ENABLE, &code);
        assert_int_equal(code, CL_SUCCESS);
        refused(own, queue, "supports 0x0");
        assert_int_equal(clReleaseCommandQueue(queue), CL_SUCCESS);
    }
    alter_nothing();
    case_free(own);
    test_close(&d);
}

/* A device that takes a command buffer once at a time: replays are right, and a call may wait. */
static void test_one_at_a_time(void **state) {
    NEEDS_EXTENSION();
    alter_nothing();
    altered.capabilities = ~(cl_bitfield)4;
    test_device d = open_altered();
    const case_options o = case_default(H, 24, 7, K);
    layer_case *own = case_new(&d, &o);
    record_in_flight(own, d.queue, 4);
    case_free(own);
    test_close(&d);
    alter_nothing();
}

/* A replay repeats launches; a stage that would do anything else is refused, not left out. */
static void test_other_commands(void **state) {
    NEEDS_EXTENSION();
    int number = 1;
    test_buffer buffer = test_buffer_new(&record.device, sizeof number, NULL);
    for (int i = 0; i < 3; i++) {
        clmoe__recording r;
        clmoe__run run;
        OK(clmoe__recording_begin(&r, record.device.context, record.device.queue, NULL, &run, &error));
        if (i == 0) clmoe__run_write(&run, &buffer.at, &number, sizeof number);
        if (i == 1) clmoe__run_read(&run, &number, &buffer.at, sizeof number);
        if (i == 2) clmoe__run_wait(&run);
        FAILS(clmoe__recording_end(&r, &run), CLMOE_UNSUPPORTED, "cannot be recorded");
        assert_null(r.workspace);
    }
    test_buffer_untouched(&record.device, &buffer);
    test_buffer_free(&record.device, &buffer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_other_commands),
        cmocka_unit_test(test_unsupported),
        cmocka_unit_test(test_one_at_a_time),
    };
    return cmocka_run_group_tests(tests, record_open, record_close);
}
