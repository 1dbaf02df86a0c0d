/* See record_bed.h. */
#include "record_bed.h"

record_bed record;

static clmoe_error error = {.struct_size = sizeof error};

static int extension_of(cl_device_id id) {
    char all[8192] = {0};
    assert_int_equal(clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, sizeof all - 1, all, NULL), CL_SUCCESS);
    return strstr(all, "cl_khr_command_buffer") != NULL;
}

void record_write(const test_buffer *to, cl_command_queue queue, const void *from) {
    const cl_int code = clEnqueueWriteBuffer(queue, to->mem, CL_TRUE, to->at.offset, to->bytes, from, 0, NULL, NULL);
    assert_int_equal(code, CL_SUCCESS);
}

cl_command_queue record_queue(cl_command_queue_properties properties) {
    cl_int code = CL_SUCCESS;
    cl_command_queue queue = clCreateCommandQueue(record.device.cl, record.device.id, properties, &code);
    assert_int_equal(code, CL_SUCCESS);
    return queue;
}

void record_in_flight(layer_case *of, cl_command_queue queue, int rounds) {
    test_random random = test_random_new(74);
    void *x = case_input(of, T, &random);
    static const float zeroes[T * H];
    case_buffers b = case_buffers_new(of, x, T);
    case_result once = case_forward(of, NULL, x, T);
    static float out[T * H];
    record_write(&b.out, queue, zeroes);
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

int record_open(void **state) {
    (void)state;
    record.device = test_open(NULL);
    record.has_extension = extension_of(record.device.id);
    if (!record.has_extension) print_message("no cl_khr_command_buffer here: only its absence is tested\n");
    case_options o = case_default(H, 24, 7, K);
    o.shared_intermediate = 20;
    o.with = CASE_ROUTER_BIAS | CASE_OUTPUT_BIAS;
    record.of = case_new(&record.device, &o);
    return 0;
}

int record_close(void **state) {
    (void)state;
    case_free(record.of);
    test_close(&record.device);
    return 0;
}
