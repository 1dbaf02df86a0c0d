/* Recordings of a forward: replays give the bits of clmoe_forward, whatever changed in the buffers meanwhile; objects
 * in any order of destruction; devices that lack the extension or a part of it. Where the device has no
 * cl_khr_command_buffer, only its refusal is tested. */
#include "layer_case.h"
#include "opencl/recording.h"

enum { H = 40, T = 37, K = 3, REPLAYS = 3 };

static clmoe_error error = {.struct_size = sizeof error};
static test_device device;
static layer_case *c; /* with shared experts */
static int has_extension;

#define NEEDS_EXTENSION()        \
    do {                         \
        (void)state;             \
        if (!has_extension) skip(); \
    } while (0)

static int extension_of(cl_device_id id) {
    char all[8192] = {0};
    assert_int_equal(clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, sizeof all - 1, all, NULL), CL_SUCCESS);
    return strstr(all, "cl_khr_command_buffer") != NULL;
}

static void write_to(const test_buffer *to, cl_command_queue queue, const void *from) {
    const cl_int code = clEnqueueWriteBuffer(queue, to->mem, CL_TRUE, to->at.offset, to->bytes, from, 0, NULL, NULL);
    assert_int_equal(code, CL_SUCCESS);
}

/* ------------------------------------------------------------------------------------------------- replay */

/* Replays with another x each, against a forward of the same x. */
static void replays_equal_forwards(layer_case *of, const clmoe_workspace_desc *memory, cl_command_queue queue,
                                   uint32_t tokens, test_random *random) {
    void *x = case_input(of, tokens, random);
    case_buffers b = case_buffers_new(of, x, tokens);
    clmoe_recording *recording = NULL;
    OK(clmoe_record(of->layer, memory, queue, &b.io, &recording, &error));
    assert_non_null(recording);
    test_buffer_untouched(of->device, &b.out); /* recording executes nothing */
    for (int i = 0; i < REPLAYS; i++) {
        free(x);
        x = case_input(of, tokens, random);
        write_to(&b.x, queue, x);
        cl_event done = NULL;
        OK(clmoe_replay(recording, 0, NULL, &done, &error));
        assert_int_equal(clWaitForEvents(1, &done), CL_SUCCESS);
        assert_int_equal(clReleaseEvent(done), CL_SUCCESS);
        case_result forward = case_forward(of, NULL, x, tokens);
        case_check(of, x, tokens, &forward);
        uint8_t *out = malloc(b.out.bytes + 1);
        test_buffer_read(of->device, &b.out, out);
        case_same_bits("a replay's out", out, forward.out, b.out.bytes);
        free(out);
        if (i == REPLAYS - 1) {
            case_result replayed = case_buffers_take(of, &b);
            case_same(of, "a replay", &replayed, &forward, tokens);
            case_result_free(&replayed);
        }
        case_result_free(&forward);
    }
    clmoe_recording_destroy(recording);
    free(x);
}

static cl_command_queue new_queue(cl_command_queue_properties properties) {
    cl_int code = CL_SUCCESS;
    cl_command_queue queue = clCreateCommandQueue(device.cl, device.id, properties, &code);
    assert_int_equal(code, CL_SUCCESS);
    return queue;
}

static void test_replays(void **state) {
    NEEDS_EXTENSION();
    static const uint32_t counts[] = {1, 5, T, 700}; /* rows made by the routing, routing at once, and apart */
    static const cl_command_queue_properties queues[] = {0, CL_QUEUE_PROFILING_ENABLE};
    test_random random = test_random_new(71);
    for (size_t q = 0; q < sizeof queues / sizeof *queues; q++) {
        cl_command_queue queue = new_queue(queues[q]);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            replays_equal_forwards(c, NULL, queue, counts[i], &random);
        }
        assert_int_equal(clReleaseCommandQueue(queue), CL_SUCCESS);
    }
}

/* A kernel recorded several times keeps the arguments it had each time: passes over tokens. */
static void test_passes(void **state) {
    NEEDS_EXTENSION();
    case_options o = case_default(H, 24, 7, K);
    o.latent = 24;
    layer_case *latent = case_new(&device, &o);
    uint64_t bytes = 0;
    OK(clmoe_layer_workspace_bytes(latent->layer, 10, &bytes, &error));
    test_buffer memory = test_buffer_new(&device, (size_t)bytes, NULL);
    clmoe_workspace_desc desc;
    clmoe_workspace_desc_default(&desc, sizeof desc);
    desc.memory = memory.at;
    desc.memory_bytes = bytes;
    test_random random = test_random_new(72);
    replays_equal_forwards(latent, &desc, device.queue, T, &random);
    test_buffer_free(&device, &memory);
    case_free(latent);
}

/* One recording for any number of tokens up to its bound, in one pass and in several. */
static void count_changes(const clmoe_workspace_desc *memory) {
    static const int32_t counts[] = {T, 0, 1, 12, T + 5, 30};
    test_random random = test_random_new(73);
    void *x = case_input(c, T, &random);
    case_result whole = case_forward(c, NULL, x, T);
    case_buffers b = case_buffers_new(c, x, T);
    test_buffer count = test_buffer_new(&device, 4, &counts[0]);
    b.io.token_count = count.at;
    clmoe_recording *recording = NULL;
    OK(clmoe_record(c->layer, memory, device.queue, &b.io, &recording, &error));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const size_t valid = counts[i] > T ? T : (size_t)counts[i];
        static float out[T * H], poison[T * H];
        memset(poison, 0xCD, sizeof poison);
        write_to(&count, device.queue, &counts[i]);
        write_to(&b.out, device.queue, poison);
        OK(clmoe_replay(recording, 0, NULL, NULL, &error));
        test_buffer_read(&device, &b.out, out);
        case_same_bits("valid rows", out, whole.out, valid * H * sizeof *out);
        case_same_bits("rows behind them", out + valid * H, poison, (T - valid) * H * sizeof *out);
    }
    clmoe_recording_destroy(recording);
    case_result r = case_buffers_take(c, &b);
    case_result_free(&r);
    case_result_free(&whole);
    test_buffer_free(&device, &count);
    free(x);
}

static void test_token_count(void **state) {
    NEEDS_EXTENSION();
    clmoe_workspace_desc desc;
    clmoe_workspace_desc_default(&desc, sizeof desc);
    OK(clmoe_layer_workspace_bytes(c->layer, 10, &desc.memory_bytes, &error));
    test_buffer memory = test_buffer_new(&device, (size_t)desc.memory_bytes, NULL);
    desc.memory = memory.at;
    count_changes(NULL);
    count_changes(&desc);
    test_buffer_free(&device, &memory);
}

/* Nothing to compute is a recording too: of the load, or of nothing at all. */
static void test_no_tokens(void **state) {
    NEEDS_EXTENSION();
    for (int with_load = 0; with_load < 2; with_load++) {
        case_buffers b = case_buffers_new(c, NULL, 0);
        if (!with_load) b.io.out_load = (clmoe_buffer){0};
        clmoe_recording *recording = NULL;
        cl_event done = NULL;
        OK(clmoe_record(c->layer, NULL, device.queue, &b.io, &recording, &error));
        OK(clmoe_replay(recording, 0, NULL, &done, &error));
        assert_int_equal(clWaitForEvents(1, &done), CL_SUCCESS);
        assert_int_equal(clReleaseEvent(done), CL_SUCCESS);
        clmoe_recording_destroy(recording);
        case_result r = case_buffers_take(c, &b);
        for (uint32_t e = 0; with_load && e < c->oracle.classes; e++) assert_int_equal(r.load[e], 0);
        case_result_free(&r);
    }
}

/* out += result, several times in a queue before anyone waits. */
static void replays_in_flight(layer_case *of, cl_command_queue queue, int rounds) {
    test_random random = test_random_new(74);
    void *x = case_input(of, T, &random);
    static const float zeroes[T * H];
    case_buffers b = case_buffers_new(of, x, T);
    case_result once = case_forward(of, NULL, x, T);
    static float out[T * H];
    write_to(&b.out, queue, zeroes);
    b.io.accumulate = 1;
    clmoe_recording *recording = NULL;
    OK(clmoe_record(of->layer, NULL, queue, &b.io, &recording, &error));
    cl_event done = NULL;
    for (int i = 0; i < rounds; i++) OK(clmoe_replay(recording, 0, NULL, i == rounds - 1 ? &done : NULL, &error));
    assert_int_equal(clWaitForEvents(1, &done), CL_SUCCESS);
    assert_int_equal(clReleaseEvent(done), CL_SUCCESS);
    test_buffer_read(of->device, &b.out, out);
    for (size_t i = 0; i < T * H; i++) {
        float wanted = 0;
        for (int n = 0; n < rounds; n++) wanted += ((float *)once.out)[i];
        assert_memory_equal(&out[i], &wanted, sizeof wanted);
    }
    clmoe_recording_destroy(recording);
    case_result r = case_buffers_take(of, &b);
    case_result_free(&r);
    case_result_free(&once);
    free(x);
}

static void test_in_flight(void **state) {
    NEEDS_EXTENSION();
    replays_in_flight(c, device.queue, 4);
}

static void test_waits(void **state) {
    NEEDS_EXTENSION();
    test_random random = test_random_new(75);
    void *x = case_input(c, T, &random);
    case_buffers b = case_buffers_new(c, x, T);
    clmoe_recording *recording = NULL;
    cl_int code = CL_SUCCESS, status = CL_QUEUED;
    cl_event gate = clCreateUserEvent(device.cl, &code), done = NULL;
    OK(clmoe_record(c->layer, NULL, device.queue, &b.io, &recording, &error));
    OK(clmoe_replay(recording, 1, &gate, &done, &error));
    assert_int_equal(clGetEventInfo(done, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL), CL_SUCCESS);
    assert_true(status > CL_COMPLETE);
    assert_int_equal(clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
    assert_int_equal(clWaitForEvents(1, &done), CL_SUCCESS);
    assert_int_equal(clReleaseEvent(gate) | clReleaseEvent(done), CL_SUCCESS);
    clmoe_recording_destroy(recording);
    case_result forward = case_forward(c, NULL, x, T), replayed = case_buffers_take(c, &b);
    case_same(c, "a replay behind an event", &replayed, &forward, T);
    case_result_free(&forward);
    case_result_free(&replayed);
    free(x);
}

/* ----------------------------------------------------------------------------------------------- lifetime */

/* Everything the recording was made from is gone; it goes while it runs. */
static void test_outlives(void **state) {
    NEEDS_EXTENSION();
    test_device d = test_open(NULL);
    const case_options o = case_default(H, 24, 7, K);
    layer_case *own = case_new(&d, &o);
    test_random random = test_random_new(76);
    void *x = case_input(own, T, &random);
    case_result forward = case_forward(own, NULL, x, T);
    cl_int code = CL_SUCCESS;
    cl_mem in = clCreateBuffer(d.cl, CL_MEM_COPY_HOST_PTR, T * H * sizeof(float), x, &code);
    cl_mem out = clCreateBuffer(d.cl, CL_MEM_READ_WRITE, T * H * sizeof(float), NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    clmoe_io io;
    clmoe_io_default(&io, sizeof io);
    io.tokens = T;
    io.x = clmoe_cl_mem(in, 0);
    io.out = clmoe_cl_mem(out, 0);
    clmoe_recording *recording = NULL;
    OK(clmoe_record(own->layer, NULL, d.queue, &io, &recording, &error));
    assert_int_equal(clReleaseMemObject(in), CL_SUCCESS);
    assert_int_equal(clRetainCommandQueue(d.queue) | clRetainContext(d.cl), CL_SUCCESS);
    cl_command_queue queue = d.queue;
    cl_context cl = d.cl;
    case_free(own);
    test_close(&d); /* gives up its queue and the clmoe_context */
    for (int i = 0; i < REPLAYS; i++) OK(clmoe_replay(recording, 0, NULL, NULL, &error));
    clmoe_recording_destroy(recording);
    static float got[T * H];
    assert_int_equal(clEnqueueReadBuffer(queue, out, CL_TRUE, 0, sizeof got, got, 0, NULL, NULL), CL_SUCCESS);
    case_same_bits("a replay without its layer", got, forward.out, sizeof got);
    assert_int_equal(clReleaseMemObject(out) | clReleaseCommandQueue(queue) | clReleaseContext(cl), CL_SUCCESS);
    case_result_free(&forward);
    free(x);
}

/* Two recordings in one arena, in turns on one queue. */
static void test_shared_memory(void **state) {
    NEEDS_EXTENSION();
    clmoe_workspace_desc desc;
    clmoe_workspace_desc_default(&desc, sizeof desc);
    OK(clmoe_layer_workspace_bytes(c->layer, T, &desc.memory_bytes, &error));
    test_buffer memory = test_buffer_new(&device, (size_t)desc.memory_bytes, NULL);
    desc.memory = memory.at;
    test_random random = test_random_new(77);
    void *x = case_input(c, T, &random);
    clmoe_recording *recordings[2] = {NULL, NULL};
    case_buffers b[2] = {case_buffers_new(c, x, T), case_buffers_new(c, x, 4)};
    for (int i = 0; i < 2; i++) OK(clmoe_record(c->layer, &desc, device.queue, &b[i].io, &recordings[i], &error));
    for (int i = 0; i < 6; i++) OK(clmoe_replay(recordings[i % 2], 0, NULL, NULL, &error));
    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t tokens = b[i].io.tokens;
        clmoe_recording_destroy(recordings[i]);
        case_result forward = case_forward(c, NULL, x, tokens), replayed = case_buffers_take(c, &b[i]);
        case_same(c, "a replay in shared memory", &replayed, &forward, tokens);
        case_result_free(&forward);
        case_result_free(&replayed);
    }
    test_buffer_free(&device, &memory);
    free(x);
}

/* ----------------------------------------------------------------------------------------------- refusals */

static void test_arguments(void **state) {
    NEEDS_EXTENSION();
    test_random random = test_random_new(78);
    void *x = case_input(c, T, &random);
    case_buffers b = case_buffers_new(c, x, T);
    clmoe_recording *recording = NULL;
    clmoe_workspace_desc small;
    clmoe_workspace_desc_default(&small, sizeof small);
    small.memory = b.load.at;
    small.memory_bytes = b.load.bytes;
#define RECORD(layer, memory, queue, io) clmoe_record(layer, memory, queue, io, &recording, &error)
    FAILS(clmoe_record(c->layer, NULL, device.queue, &b.io, NULL, &error), CLMOE_INVALID_ARGUMENT, "recording");
    FAILS(RECORD(NULL, NULL, device.queue, &b.io), CLMOE_INVALID_ARGUMENT, "layer");
    FAILS(RECORD(c->layer, NULL, NULL, &b.io), CLMOE_INVALID_ARGUMENT, "queue");
    FAILS(RECORD(c->layer, NULL, device.queue, NULL), CLMOE_INVALID_ARGUMENT, "io");
    FAILS(RECORD(c->layer, &small, device.queue, &b.io), CLMOE_OUT_OF_DEVICE_MEMORY, "workspace");
    clmoe_io io = b.io;
    io.x = (clmoe_buffer){0};
    memset(&recording, 1, sizeof recording);
    FAILS(RECORD(c->layer, NULL, device.queue, &io), CLMOE_INVALID_ARGUMENT, "io.x");
    assert_null(recording);
    test_device other = test_open(NULL);
    FAILS(RECORD(c->layer, NULL, other.queue, &b.io), CLMOE_INVALID_ARGUMENT, "queue");
    test_close(&other);
    assert_int_equal(clmoe_record(NULL, NULL, NULL, NULL, &recording, NULL), CLMOE_INVALID_ARGUMENT);
    cl_command_queue out_of_order = new_queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    FAILS(RECORD(c->layer, NULL, out_of_order, &b.io), CLMOE_INVALID_ARGUMENT, "queue is out of order");
    assert_int_equal(clReleaseCommandQueue(out_of_order), CL_SUCCESS);
    OK(RECORD(c->layer, NULL, device.queue, &b.io));
    FAILS(clmoe_replay(NULL, 0, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "recording");
    FAILS(clmoe_replay(recording, 1, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "wait");
    const cl_event nothing = NULL;
    FAILS(clmoe_replay(recording, 1, &nothing, NULL, &error), CLMOE_INVALID_ARGUMENT, "wait");
    test_buffer_untouched(&device, &b.out);
    clmoe_recording_destroy(recording);
    clmoe_recording_destroy(NULL);
    case_result r = case_buffers_take(c, &b);
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
#define AS_IT_IS(entry) \
    if (strcmp(name, #entry) == 0) return (void *)(uintptr_t)&entry;
    CLMOE__CL_LIST(AS_IT_IS)
#undef AS_IT_IS
    return NULL;
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
    if (has_extension) {
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
    replays_in_flight(own, d.queue, 4);
    case_free(own);
    test_close(&d);
    alter_nothing();
}

/* A replay repeats launches; a stage that would do anything else is refused, not left out. */
static void test_other_commands(void **state) {
    NEEDS_EXTENSION();
    int number = 1;
    test_buffer buffer = test_buffer_new(&device, sizeof number, NULL);
    for (int i = 0; i < 3; i++) {
        clmoe__recording r;
        clmoe__run run;
        OK(clmoe__recording_begin(&r, device.context, device.queue, NULL, &run, &error));
        if (i == 0) clmoe__run_write(&run, &buffer.at, &number, sizeof number);
        if (i == 1) clmoe__run_read(&run, &number, &buffer.at, sizeof number);
        if (i == 2) clmoe__run_wait(&run);
        FAILS(clmoe__recording_end(&r, &run), CLMOE_UNSUPPORTED, "cannot be recorded");
        assert_null(r.workspace);
    }
    test_buffer_untouched(&device, &buffer);
    test_buffer_free(&device, &buffer);
}

static int open_device(void **state) {
    (void)state;
    device = test_open(NULL);
    has_extension = extension_of(device.id);
    if (!has_extension) print_message("no cl_khr_command_buffer here: only its absence is tested\n");
    case_options o = case_default(H, 24, 7, K);
    o.shared_intermediate = 20;
    o.with = CASE_ROUTER_BIAS | CASE_OUTPUT_BIAS;
    c = case_new(&device, &o);
    return 0;
}

static int close_device(void **state) {
    (void)state;
    case_free(c);
    test_close(&device);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replays),        cmocka_unit_test(test_passes),      cmocka_unit_test(test_token_count),
        cmocka_unit_test(test_no_tokens),      cmocka_unit_test(test_in_flight),   cmocka_unit_test(test_waits),
        cmocka_unit_test(test_outlives),       cmocka_unit_test(test_arguments),   cmocka_unit_test(test_shared_memory),
        cmocka_unit_test(test_other_commands), cmocka_unit_test(test_unsupported), cmocka_unit_test(test_one_at_a_time),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
