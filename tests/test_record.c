/* Recordings of a forward: replays give the bits of clmoe_forward, whatever changed in the buffers meanwhile; objects
 * in any order of destruction. What is refused: test_record_refused.c. Skipped where the device has no
 * cl_khr_command_buffer. */
#include "record_bed.h"

enum { REPLAYS = 3 };

static clmoe_error error = {.struct_size = sizeof error};

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
        record_write(&b.x, queue, x);
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

static void test_replays(void **state) {
    NEEDS_EXTENSION();
    static const uint32_t counts[] = {1, 5, T, 700}; /* rows made by the routing, routing at once, and apart */
    static const cl_command_queue_properties queues[] = {0, CL_QUEUE_PROFILING_ENABLE};
    test_random random = test_random_new(71);
    for (size_t q = 0; q < sizeof queues / sizeof *queues; q++) {
        cl_command_queue queue = record_queue(queues[q]);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            replays_equal_forwards(record.of, NULL, queue, counts[i], &random);
        }
        assert_int_equal(clReleaseCommandQueue(queue), CL_SUCCESS);
    }
}

/* A kernel recorded several times keeps the arguments it had each time: passes over tokens. */
static void test_passes(void **state) {
    NEEDS_EXTENSION();
    case_options o = case_default(H, 24, 7, K);
    o.latent = 24;
    layer_case *latent = case_new(&record.device, &o);
    uint64_t bytes = 0;
    OK(clmoe_layer_workspace_bytes(latent->layer, 10, &bytes, &error));
    test_buffer memory = test_buffer_new(&record.device, (size_t)bytes, NULL);
    clmoe_workspace_desc desc;
    clmoe_workspace_desc_default(&desc, sizeof desc);
    desc.memory = memory.at;
    desc.memory_bytes = bytes;
    test_random random = test_random_new(72);
    replays_equal_forwards(latent, &desc, record.device.queue, T, &random);
    test_buffer_free(&record.device, &memory);
    case_free(latent);
}

/* One recording for any number of tokens up to its bound, in one pass and in several. */
static void count_changes(const clmoe_workspace_desc *memory) {
    static const int32_t counts[] = {T, 0, 1, 12, T + 5, 30};
    test_random random = test_random_new(73);
    void *x = case_input(record.of, T, &random);
    case_result whole = case_forward(record.of, NULL, x, T);
    case_buffers b = case_buffers_new(record.of, x, T);
    test_buffer count = test_buffer_new(&record.device, 4, &counts[0]);
    b.io.token_count = count.at;
    clmoe_recording *recording = NULL;
    OK(clmoe_record(record.of->layer, memory, record.device.queue, &b.io, &recording, &error));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const size_t valid = counts[i] > T ? T : (size_t)counts[i];
        static float out[T * H], poison[T * H];
        memset(poison, 0xCD, sizeof poison);
        record_write(&count, record.device.queue, &counts[i]);
        record_write(&b.out, record.device.queue, poison);
        OK(clmoe_replay(recording, 0, NULL, NULL, &error));
        test_buffer_read(&record.device, &b.out, out);
        case_same_bits("valid rows", out, whole.out, valid * H * sizeof *out);
        case_same_bits("rows behind them", out + valid * H, poison, (T - valid) * H * sizeof *out);
    }
    clmoe_recording_destroy(recording);
    case_result r = case_buffers_take(record.of, &b);
    case_result_free(&r);
    case_result_free(&whole);
    test_buffer_free(&record.device, &count);
    free(x);
}

static void test_token_count(void **state) {
    NEEDS_EXTENSION();
    clmoe_workspace_desc desc;
    clmoe_workspace_desc_default(&desc, sizeof desc);
    OK(clmoe_layer_workspace_bytes(record.of->layer, 10, &desc.memory_bytes, &error));
    test_buffer memory = test_buffer_new(&record.device, (size_t)desc.memory_bytes, NULL);
    desc.memory = memory.at;
    count_changes(NULL);
    count_changes(&desc);
    test_buffer_free(&record.device, &memory);
}

/* Nothing to compute is a recording too: of the load, or of nothing at all. */
static void test_no_tokens(void **state) {
    NEEDS_EXTENSION();
    for (int with_load = 0; with_load < 2; with_load++) {
        case_buffers b = case_buffers_new(record.of, NULL, 0);
        if (!with_load) b.io.out_load = (clmoe_buffer){0};
        clmoe_recording *recording = NULL;
        cl_event done = NULL;
        OK(clmoe_record(record.of->layer, NULL, record.device.queue, &b.io, &recording, &error));
        OK(clmoe_replay(recording, 0, NULL, &done, &error));
        assert_int_equal(clWaitForEvents(1, &done), CL_SUCCESS);
        assert_int_equal(clReleaseEvent(done), CL_SUCCESS);
        clmoe_recording_destroy(recording);
        case_result r = case_buffers_take(record.of, &b);
        for (uint32_t e = 0; with_load && e < record.of->oracle.classes; e++) assert_int_equal(r.load[e], 0);
        case_result_free(&r);
    }
}

static void test_in_flight(void **state) {
    NEEDS_EXTENSION();
    record_in_flight(record.of, record.device.queue, 4);
}

static void test_waits(void **state) {
    NEEDS_EXTENSION();
    test_random random = test_random_new(75);
    void *x = case_input(record.of, T, &random);
    case_buffers b = case_buffers_new(record.of, x, T);
    clmoe_recording *recording = NULL;
    cl_int code = CL_SUCCESS, status = CL_QUEUED;
    cl_event gate = clCreateUserEvent(record.device.cl, &code), done = NULL;
    OK(clmoe_record(record.of->layer, NULL, record.device.queue, &b.io, &recording, &error));
    OK(clmoe_replay(recording, 1, &gate, &done, &error));
    assert_int_equal(clGetEventInfo(done, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL), CL_SUCCESS);
    assert_true(status > CL_COMPLETE);
    assert_int_equal(clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
    assert_int_equal(clWaitForEvents(1, &done), CL_SUCCESS);
    assert_int_equal(clReleaseEvent(gate) | clReleaseEvent(done), CL_SUCCESS);
    clmoe_recording_destroy(recording);
    case_result forward = case_forward(record.of, NULL, x, T), replayed = case_buffers_take(record.of, &b);
    case_same(record.of, "a replay behind an event", &replayed, &forward, T);
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
    OK(clmoe_layer_workspace_bytes(record.of->layer, T, &desc.memory_bytes, &error));
    test_buffer memory = test_buffer_new(&record.device, (size_t)desc.memory_bytes, NULL);
    desc.memory = memory.at;
    test_random random = test_random_new(77);
    void *x = case_input(record.of, T, &random);
    clmoe_recording *recordings[2] = {NULL, NULL};
    case_buffers b[2] = {case_buffers_new(record.of, x, T), case_buffers_new(record.of, x, 4)};
    for (int i = 0; i < 2; i++)
        OK(clmoe_record(record.of->layer, &desc, record.device.queue, &b[i].io, &recordings[i], &error));
    for (int i = 0; i < 6; i++) OK(clmoe_replay(recordings[i % 2], 0, NULL, NULL, &error));
    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t tokens = b[i].io.tokens;
        clmoe_recording_destroy(recordings[i]);
        case_result forward = case_forward(record.of, NULL, x, tokens), replayed = case_buffers_take(record.of, &b[i]);
        case_same(record.of, "a replay in shared memory", &replayed, &forward, tokens);
        case_result_free(&forward);
        case_result_free(&replayed);
    }
    test_buffer_free(&record.device, &memory);
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replays),
        cmocka_unit_test(test_passes),
        cmocka_unit_test(test_token_count),
        cmocka_unit_test(test_no_tokens),
        cmocka_unit_test(test_in_flight),
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_outlives),
        cmocka_unit_test(test_shared_memory),
    };
    return cmocka_run_group_tests(tests, record_open, record_close);
}
