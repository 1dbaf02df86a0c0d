/* Device memory: the pool's blocks and numbers, and the arenas of workspaces. */
#include "bed.h"

static clmoe_memory_stats memory_of(const clmoe_context *context) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_memory_stats stats = {.struct_size = sizeof stats};
    OK(clmoe_context_memory(context, &stats, &error));
    return stats;
}

static void arenas_grow_and_have_limits(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    const clmoe_context_desc desc = {.struct_size = sizeof desc, .max_workspace_bytes = 1 << 20};
    test_device device = test_open(&desc);
    clmoe_workspace *w = NULL;
    clmoe_buffer first, second;
    clmoe__run run;
    OK(clmoe_workspace_create(device.context, device.queue, NULL, &w, &error));
    OK(clmoe__run_begin(&run, device.context, w, device.queue, 0, NULL, &error));
    assert_int_equal(clmoe__run_arena_limit(&run), 1 << 20);
    clmoe__run_arena(&run, 10000, &first);
    clmoe__run_arena(&run, 9000, &second);
    assert_ptr_equal(first.handle, second.handle);
    clmoe__run_arena(&run, 1 << 20, &second);
    OK(clmoe__run_end(&run, NULL));
    assert_int_equal(memory_of(device.context).bytes_in_use, 1 << 20);
    assert_int_equal(memory_of(device.context).high_water, 1 << 20);
    OK(clmoe__run_begin(&run, device.context, w, device.queue, 0, NULL, &error));
    clmoe__run_arena(&run, (1 << 20) + 1, &second);
    FAILS(clmoe__run_end(&run, NULL), CLMOE_OUT_OF_DEVICE_MEMORY, "1048577");
    clmoe_workspace_destroy(w);
    assert_int_equal(memory_of(device.context).bytes_in_use, 0);

    test_buffer own = test_buffer_new(&device, 4096, NULL);
    clmoe_workspace_desc workspace_desc;
    clmoe_workspace_desc_default(&workspace_desc, sizeof workspace_desc);
    workspace_desc.memory = own.at;
    workspace_desc.memory_bytes = 4096 + 65;
    FAILS(clmoe_workspace_create(device.context, device.queue, &workspace_desc, &w, &error), CLMOE_INVALID_ARGUMENT,
          "memory");
    workspace_desc.memory_bytes = 4096;
    OK(clmoe_workspace_create(device.context, device.queue, &workspace_desc, &w, &error));
    OK(clmoe__run_begin(&run, device.context, w, device.queue, 0, NULL, &error));
    clmoe__run_arena(&run, 4096, &first);
    assert_ptr_equal(first.handle, own.mem);
    assert_int_equal(first.offset, own.at.offset);
    clmoe__run_arena(&run, 4097, &first);
    FAILS(clmoe__run_end(&run, NULL), CLMOE_OUT_OF_DEVICE_MEMORY, "4096");
    clmoe_workspace_destroy(w);
    test_buffer_free(&device, &own);
    test_close(&device);
}

static void blocks_are_reused(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    const clmoe_context_desc desc = {.struct_size = sizeof desc, .max_alloc_bytes = 64 << 20};
    test_device device = test_open(&desc);
    clmoe__block a, b, c;
    cl_int code = CL_SUCCESS;
    OK(clmoe__pool_alloc(device.context, 100000, &a, &error));
    OK(clmoe__pool_alloc(device.context, 120000, &b, &error));
    const cl_mem small = a.mem, large = b.mem;
    clmoe_memory_stats stats = memory_of(device.context);
    assert_int_equal(stats.bytes_in_use, a.bytes + b.bytes);
    assert_true(a.bytes >= 100000 && b.bytes >= 120000);
    clmoe__pool_free(device.context, &b, NULL);
    clmoe__pool_free(device.context, &a, NULL);
    assert_null(a.mem);
    OK(clmoe__pool_alloc(device.context, 97000, &a, &error));
    assert_ptr_equal(a.mem, small); /* the better fit of two that would do */
    OK(clmoe__pool_alloc(device.context, 90000, &b, &error));
    assert_ptr_not_equal(b.mem, large); /* more than a quarter would be wasted */
    stats = memory_of(device.context);
    assert_int_equal(stats.requests, 4);
    assert_int_equal(stats.hits, 1);
    assert_int_equal(stats.bytes_reserved, stats.high_water);

    cl_event gate = clCreateUserEvent(device.cl, &code);
    clmoe__pool_free(device.context, &a, gate);
    OK(clmoe__pool_alloc(device.context, 100000, &c, &error));
    assert_ptr_not_equal(c.mem, small); /* the device still has it */
    clmoe__pool_drop(device.context, &c);
    assert_int_equal(clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
    assert_int_equal(clReleaseEvent(gate), CL_SUCCESS);
    OK(clmoe__pool_alloc(device.context, 97000, &c, &error));
    assert_true(c.mem == small || c.mem == large);
    clmoe__pool_drop(device.context, &b);
    clmoe__pool_drop(device.context, &c);
    assert_int_equal(memory_of(device.context).bytes_in_use, 0);

    OK(clmoe__pool_alloc(device.context, 0, &a, &error));
    assert_non_null(a.mem);
    clmoe__pool_drop(device.context, &a);
    FAILS(clmoe__pool_alloc(device.context, (64 << 20) + 1, &a, &error), CLMOE_OUT_OF_DEVICE_MEMORY, "67108864");
    assert_null(a.mem);
    test_close(&device);
}

static void spares_are_bounded(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    test_device device = test_open(NULL);
    clmoe__block blocks[100];
    for (size_t i = 0; i < 100; i++) OK(clmoe__pool_alloc(device.context, 1000, &blocks[i], &error));
    const uint64_t each = blocks[0].bytes;
    for (size_t i = 0; i < 100; i++) clmoe__pool_free(device.context, &blocks[i], NULL);
    assert_true(memory_of(device.context).bytes_reserved <= 64 * each);
    for (size_t i = 0; i < 5; i++) OK(clmoe__pool_alloc(device.context, 90 << 20, &blocks[i], &error));
    for (size_t i = 0; i < 5; i++) clmoe__pool_free(device.context, &blocks[i], NULL);
    assert_true(memory_of(device.context).bytes_reserved <= 256 << 20);
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arenas_grow_and_have_limits),
        cmocka_unit_test(blocks_are_reused),
        cmocka_unit_test(spares_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
