/* Runs and workspaces: order on both kinds of queue, waiting, events, errors, measurements, threads. */
#include "bed.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "opencl/workspace.h"

static void runs_keep_their_order(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    const cl_command_queue_properties kinds[] = {0, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE,
                                                 CL_QUEUE_PROFILING_ENABLE,
                                                 CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE | CL_QUEUE_PROFILING_ENABLE};
    bed b = bed_open(NULL);
    int y = 0;
    for (int i = 0; i < 8; i++) {
        cl_command_queue queue = new_queue(&b, kinds[i / 2]);
        clmoe_workspace *w = NULL;
        cl_event done = NULL;
        if (i % 2 == 1) OK(clmoe_workspace_create(b.device.context, queue, NULL, &w, &error));
        for (int repeat = 0; repeat < 3; repeat++) {
            OK(mix(&b, w, queue, &b.y, i - 3, 0, NULL, repeat == 2 ? &done : NULL, &error));
            y = mixed(y, i - 3);
            assert_int_equal(clFinish(queue), CL_SUCCESS);
            bed_expect(&b, &b.y, y);
        }
        wait_and_release(done);
        clmoe_workspace_destroy(w);
        assert_int_equal(clReleaseCommandQueue(queue), CL_SUCCESS);
    }
    bed_close(&b);
}

/* Two runs one behind the other on an out-of-order queue share the workspace's arena, so the second waits. */
static void runs_take_turns(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    bed b = bed_open(NULL);
    cl_command_queue queue = new_queue(&b, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    cl_event gate = new_user_event(&b), first = NULL, second = NULL;
    OK(mix(&b, NULL, queue, &b.y, 1, 1, &gate, &first, &error));
    OK(mix(&b, NULL, queue, &b.y, 2, 0, NULL, &second, &error));
    usleep(20000);
    assert_false(is_complete(first));
    assert_false(is_complete(second));
    assert_int_equal(clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
    wait_and_release(first);
    wait_and_release(second);
    wait_and_release(gate);
    bed_expect(&b, &b.y, mixed(mixed(0, 1), 2));
    assert_int_equal(clReleaseCommandQueue(queue), CL_SUCCESS);
    bed_close(&b);
}

/* A workspace may change queues; what it did on the old one comes first. */
static void workspaces_change_queues(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    for (int order = 0; order < 4; order++) {
        bed b = bed_open(NULL);
        cl_command_queue from = new_queue(&b, (order & 1) != 0 ? CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE : 0);
        cl_command_queue to = new_queue(&b, (order & 2) != 0 ? CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE : 0);
        cl_event gates[2] = {new_user_event(&b), new_user_event(&b)}, done = NULL;
        clmoe_workspace *w = NULL;
        OK(clmoe_workspace_create(b.device.context, from, NULL, &w, &error));
        OK(mix(&b, w, from, &b.y, 1, 1, &gates[0], NULL, &error));
        OK(mix(&b, w, to, &b.y, 2, 1, &gates[1], &done, &error));
        assert_int_equal(clSetUserEventStatus(gates[1], CL_COMPLETE), CL_SUCCESS);
        usleep(20000);
        assert_false(is_complete(done));
        assert_int_equal(clSetUserEventStatus(gates[0], CL_COMPLETE), CL_SUCCESS);
        wait_and_release(done);
        wait_and_release(gates[0]);
        wait_and_release(gates[1]);
        bed_expect(&b, &b.y, mixed(mixed(0, 1), 2));
        clmoe_workspace_destroy(w);
        assert_int_equal(clReleaseCommandQueue(from), CL_SUCCESS);
        assert_int_equal(clReleaseCommandQueue(to), CL_SUCCESS);
        bed_close(&b);
    }
}

static void empty_runs_give_an_event(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    bed b = bed_open(NULL);
    for (int i = 0; i < 2; i++) {
        cl_command_queue queue = new_queue(&b, i == 1 ? CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE : 0);
        cl_event gate = new_user_event(&b), done = NULL;
        clmoe__run run;
        const size_t none = 0;
        OK(clmoe__run_begin(&run, b.device.context, NULL, queue, 1, &gate, &error));
        launch_add(&run, &b, &b.y.at, 0);
        OK(clmoe__run_end(&run, NULL));
        OK(clmoe__run_begin(&run, b.device.context, NULL, queue, 1, &gate, &error));
        clmoe__run_kernel(&run, &b.add);
        clmoe__run_launch(&run, 1, &none, &bed_local);
        OK(clmoe__run_end(&run, &done));
        assert_false(is_complete(done));
        assert_int_equal(clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
        wait_and_release(done);
        wait_and_release(gate);
        assert_int_equal(clReleaseCommandQueue(queue), CL_SUCCESS);
    }
    bed_expect(&b, &b.y, 0);
    bed_close(&b);
}

/* Everything a run uses may be destroyed while the device has not even started. */
static void objects_go_while_the_device_works(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    bed b = bed_open(NULL);
    cl_event gate = new_user_event(&b), done = NULL;
    cl_command_queue queue = new_queue(&b, 0);
    const clmoe_context_desc desc = {.struct_size = sizeof desc, .adopt_context = b.device.cl,
                                     .adopt_device = b.device.id, .kernel_dir = bed_folder};
    clmoe_context *context = NULL;
    clmoe_workspace *w = NULL;
    clmoe_buffer arena;
    clmoe__run run;
    static const int ones[BED_N] = {1};
    int result[BED_N] = {0};
    OK(clmoe_context_create(&desc, &context, &error));
    OK(clmoe_workspace_create(context, queue, NULL, &w, &error));
    clmoe__kernel add = bed_kernel(context, "add");
    OK(clmoe__run_begin(&run, context, w, queue, 0, NULL, &error));
    clmoe__run_arena(&run, (uint64_t)8 << 20, &arena); /* lent pages where the device is this host */
    clmoe__run_write(&run, &arena, ones, sizeof ones);
    OK(clmoe__run_end(&run, NULL));
    OK(clmoe__run_begin(&run, context, w, queue, 1, &gate, &error));
    clmoe__run_kernel(&run, &add);
    clmoe__run_buffer(&run, &arena, sizeof(int));
    clmoe__run_u32(&run, BED_N);
    clmoe__run_f32(&run, 41);
    clmoe__run_launch(&run, 1, &bed_global, &bed_local);
    OK(clmoe__run_end(&run, NULL));
    cl_mem mem = (cl_mem)arena.handle;
    assert_int_equal(clEnqueueReadBuffer(queue, mem, CL_FALSE, 0, sizeof result, result, 0, NULL, &done), CL_SUCCESS);
    clmoe__kernel_destroy(context, &add);
    clmoe_context_destroy(context);
    clmoe_workspace_destroy(w);
    assert_int_equal(clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
    wait_and_release(done);
    wait_and_release(gate);
    assert_int_equal(result[0], 42);
    assert_int_equal(result[BED_N - 1], 41);
    assert_int_equal(clReleaseCommandQueue(queue), CL_SUCCESS);
    bed_close(&b);
}

static void wrong_launches_are_errors(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    bed b = bed_open(NULL);
    cl_command_queue queue = b.device.queue;
    clmoe__run run;
    cl_event done = (cl_event)&run; /* must stay as it is */
    const size_t odd = 6, many = (size_t)4 * 65536, huge = (size_t)1 << 20;
    const struct {
        const size_t *global, *local;
        const char *contains;
    } wrong[] = {{&odd, &bed_local, "multiple of 4"}, {&many, &bed_local, "65535"}, {&huge, &huge, "work-items"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        OK(clmoe__run_begin(&run, b.device.context, NULL, queue, 0, NULL, &error));
        launch_add(&run, &b, &b.y.at, 1);
        clmoe__run_kernel(&run, &b.add);
        clmoe__run_launch(&run, 1, wrong[i].global, wrong[i].local);
        launch_add(&run, &b, &b.y.at, 1); /* does nothing any more */
        FAILS(clmoe__run_end(&run, &done), CLMOE_INVALID_ARGUMENT, wrong[i].contains);
        bed_expect(&b, &b.y, (int)i + 1);
    }
    OK(clmoe__run_begin(&run, b.device.context, NULL, queue, 0, NULL, &error));
    clmoe__run_kernel(&run, &b.add);
    for (int i = 0; i < 5; i++) clmoe__run_u32(&run, 0);
    assert_int_not_equal(clmoe__run_end(&run, &done), CLMOE_OK);
    assert_true(done == (cl_event)&run);
    assert_non_null(strstr(error.message, "clSetKernelArg(add, "));
    OK(mix(&b, NULL, queue, &b.y, 1, 0, NULL, NULL, &error));
    bed_expect(&b, &b.y, mixed(3, 1));
    bed_close(&b);
}

static void wrong_arguments_are_named(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    bed b = bed_open(NULL);
    test_device other = test_open(NULL);
    clmoe_workspace *w = NULL;
    cl_event none = NULL;
    clmoe__run run;
    clmoe_context *context = b.device.context;
    FAILS(clmoe__run_begin(&run, context, NULL, NULL, 0, NULL, &error), CLMOE_INVALID_ARGUMENT, "queue is NULL");
    FAILS(clmoe__run_begin(&run, context, NULL, other.queue, 0, NULL, &error), CLMOE_INVALID_ARGUMENT, "cl_context");
    FAILS(clmoe__run_begin(&run, context, NULL, b.device.queue, 1, NULL, &error), CLMOE_INVALID_ARGUMENT, "n_wait 1");
    FAILS(clmoe__run_begin(&run, context, NULL, b.device.queue, 1, &none, &error), CLMOE_INVALID_ARGUMENT, "wait[0]");
    OK(clmoe_workspace_create(other.context, other.queue, NULL, &w, &error));
    FAILS(clmoe__run_begin(&run, context, w, b.device.queue, 0, NULL, &error), CLMOE_INVALID_ARGUMENT,
          "another context");
    FAILS(clmoe__run_begin(&run, other.context, w, b.device.queue, 0, NULL, &error), CLMOE_INVALID_ARGUMENT,
          "cl_context");
    FAILS(clmoe_workspace_launches(w, NULL, 1, NULL, &error), CLMOE_INVALID_ARGUMENT, "launches");
    FAILS(clmoe_workspace_set_profiling(w, 2, &error), CLMOE_INVALID_ARGUMENT, "enable");
    clmoe_workspace_destroy(w);
    w = (clmoe_workspace *)&run;
    FAILS(clmoe_workspace_create(context, other.queue, NULL, &w, &error), CLMOE_INVALID_ARGUMENT, "queue");
    assert_null(w);

    const clmoe_buffer absent = {0};
    clmoe_buffer buffer = b.y.at;
    OK(clmoe__buffer_check(context, &absent, 4, 4, 0, "x", &error));
    FAILS(clmoe__buffer_check(context, &absent, 4, 4, 1, "x", &error), CLMOE_INVALID_ARGUMENT, "x");
    OK(clmoe__buffer_check(context, &buffer, sizeof(int) * BED_N + 64, 4, 1, "x", &error));
    FAILS(clmoe__buffer_check(context, &buffer, sizeof(int) * BED_N + 65, 4, 1, "x", &error), CLMOE_INVALID_ARGUMENT,
          "4065");
    FAILS(clmoe__buffer_check(context, &buffer, UINT64_MAX, 4, 1, "x", &error), CLMOE_INVALID_ARGUMENT, "x");
    FAILS(clmoe__buffer_check(context, &buffer, 4, 8, 1, "x", &error), CLMOE_INVALID_ARGUMENT, "multiple of 8");
    FAILS(clmoe__buffer_check(other.context, &buffer, 4, 4, 1, "x", &error), CLMOE_INVALID_ARGUMENT, "cl_context");
    buffer.kind = 7;
    FAILS(clmoe__buffer_check(context, &buffer, 4, 4, 1, "x", &error), CLMOE_INVALID_ARGUMENT, "x.kind is 7");
    buffer = b.y.at;
    buffer.handle = NULL;
    FAILS(clmoe__buffer_check(context, &buffer, 4, 4, 1, "x", &error), CLMOE_INVALID_ARGUMENT, "x.handle");
    test_close(&other);
    bed_close(&b);
}

/* What clmoe_workspace_launches says of one launch of mix(), with times or without. */
static void expect_launch(const clmoe_launch_time *launch, int timed) {
    assert_int_equal(launch->global_size[0], BED_N);
    assert_int_equal(launch->local_size[0], 4);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(launch->global_size[i], 1);
        assert_int_equal(launch->local_size[i], 1);
    }
    assert_int_equal(launch->nanoseconds > 0, timed);
    assert_int_equal(launch->queued > 0, timed);
    assert_true(launch->submitted >= launch->queued && launch->started >= launch->submitted);
    assert_int_equal(launch->nanoseconds, launch->ended - launch->started);
}

static void launches_are_measured(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    bed b = bed_open(NULL);
    for (int i = 0; i < 8; i++) {
        const int profiling = i & 1, queue_profiles = i & 2, out_of_order = i & 4;
        cl_command_queue queue =
            new_queue(&b, (cl_command_queue_properties)(queue_profiles ? CL_QUEUE_PROFILING_ENABLE : 0) |
                              (cl_command_queue_properties)(out_of_order ? CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE : 0));
        clmoe_workspace *w = NULL;
        clmoe_launch_time times[3];
        uint32_t count = 77;
        OK(clmoe_workspace_create(b.device.context, queue, NULL, &w, &error));
        OK(clmoe_workspace_launches(w, NULL, 0, &count, &error));
        assert_int_equal(count, 0);
        OK(clmoe_workspace_set_profiling(w, profiling, &error));
        OK(mix(&b, w, queue, &b.y, 1, 0, NULL, NULL, &error));
        OK(mix(&b, w, queue, &b.y, 1, 0, NULL, NULL, &error));
        OK(clmoe_workspace_launches(w, times, 3, &count, &error));
        assert_int_equal(count, 2 * BED_STEPS);
        assert_string_equal(times[0].stage, "add");
        assert_string_equal(times[1].stage, "scale");
        assert_string_equal(times[0].kernel, "add");
        assert_string_equal(times[1].kernel, "scale");
        for (int k = 0; k < 3; k++) expect_launch(&times[k], profiling && queue_profiles);
        for (int k = 0; k < 2; k++) assert_true(times[k + 1].started >= times[k].ended);
        clmoe_workspace_destroy(w);
        assert_int_equal(clReleaseCommandQueue(queue), CL_SUCCESS);
    }
    bed_close(&b);
}

static void own_workspaces_are_bounded(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    bed b = bed_open(NULL);
    cl_command_queue queues[40];
    int y = 0;
    for (int i = 0; i < 40; i++) {
        queues[i] = new_queue(&b, 0);
        OK(mix(&b, NULL, queues[i], &b.y, 1, 0, NULL, NULL, &error));
        assert_int_equal(clFinish(queues[i]), CL_SUCCESS);
        y = mixed(y, 1);
    }
    size_t count = 0;
    for (const clmoe_workspace *w = b.device.context->workspaces; w != NULL; w = w->next) count++;
    assert_int_equal(count, 32);
    assert_ptr_equal(b.device.context->workspaces->queue, queues[39]);
    for (int i = 0; i < 40; i++) {
        const clmoe_workspace *w = b.device.context->workspaces;
        while (w != NULL && w->queue != queues[i]) w = w->next;
        assert_int_equal(w != NULL, i >= 8);
        assert_int_equal(clReleaseCommandQueue(queues[i]), CL_SUCCESS);
    }
    bed_expect(&b, &b.y, y);
    bed_close(&b);
}

typedef struct mixer {
    bed *b;
    test_buffer y;
    int value;
    pthread_t thread;
} mixer;

static void *mix_often(void *user) {
    mixer *m = user;
    clmoe_error error = {.struct_size = sizeof error};
    for (int i = 0; i < 50; i++) {
        OK(mix(m->b, NULL, m->b->device.queue, &m->y, m->value, 0, NULL, NULL, &error));
    }
    return NULL;
}

/* One queue, thus one workspace and one cl_kernel: a run whose arguments another thread touched writes something
 * else. */
static void threads_share_a_queue(void **state) {
    (void)state;
    bed b = bed_open(NULL);
    mixer mixers[4];
    for (int i = 0; i < 4; i++) {
        mixers[i] = (mixer){.b = &b, .y = bed_buffer(&b), .value = i + 1};
        assert_int_equal(pthread_create(&mixers[i].thread, NULL, mix_often, &mixers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        int wanted = 0;
        assert_int_equal(pthread_join(mixers[i].thread, NULL), 0);
        for (int k = 0; k < 50; k++) wanted = mixed(wanted, i + 1);
        bed_expect(&b, &mixers[i].y, wanted);
        test_buffer_free(&b.device, &mixers[i].y);
    }
    bed_close(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_keep_their_order),
        cmocka_unit_test(runs_take_turns),
        cmocka_unit_test(workspaces_change_queues),
        cmocka_unit_test(empty_runs_give_an_event),
        cmocka_unit_test(objects_go_while_the_device_works),
        cmocka_unit_test(wrong_launches_are_errors),
        cmocka_unit_test(wrong_arguments_are_named),
        cmocka_unit_test(launches_are_measured),
        cmocka_unit_test(own_workspaces_are_bounded),
        cmocka_unit_test(threads_share_a_queue),
    };
    return cmocka_run_group_tests(tests, bed_make_folder, bed_remove_folder);
}
