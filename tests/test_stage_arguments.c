/* Dispatch and combine as stages of their own: each argument invalid once, with nothing enqueued or created, and the
 * small vectors of combine from every source a tensor can have. */
#include <math.h>

#include "one_device.h"

/* ---------------------------------------------------------------------------------------------- dispatch */

static clmoe_dispatch_desc dispatch_desc(uint32_t classes, uint32_t first, uint32_t local) {
    clmoe_dispatch_desc desc;
    clmoe_dispatch_desc_default(&desc, sizeof desc);
    desc.num_classes = classes;
    desc.slots = 2;
    desc.first_expert = first;
    desc.local_experts = local;
    desc.tile_rows = 4;
    return desc;
}

static void test_dispatch_create(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    const clmoe_dispatch_desc good = dispatch_desc(8, 2, 4);
    clmoe_dispatch *dispatch = NULL;
    clmoe_dispatch_desc desc = good;
    REFUSED_CREATE(clmoe_dispatch_create, device.context, &good, dispatch, "dispatch");
#define CREATE_REFUSED(field, value) \
    REFUSED(clmoe_dispatch_create(device.context, &desc, &dispatch, &error), desc, good, #field, desc.field = (value))
    CREATE_REFUSED(struct_size, 3);
    CREATE_REFUSED(num_classes, 0);
    CREATE_REFUSED(num_classes, 100000);
    CREATE_REFUSED(slots, 0);
    CREATE_REFUSED(slots, 100000);
    CREATE_REFUSED(first_expert, 8);
    CREATE_REFUSED(local_experts, 0);
    CREATE_REFUSED(local_experts, 7);
    CREATE_REFUSED(local_experts, UINT32_MAX);
    CREATE_REFUSED(tile_rows, 0);
    CREATE_REFUSED(tile_rows, UINT32_MAX);
    assert_null(dispatch);
#undef CREATE_REFUSED
    clmoe_dispatch_destroy(NULL);
}

static void test_dispatch_enqueue(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    const clmoe_dispatch_desc desc = dispatch_desc(8, 0, 8);
    clmoe_dispatch *dispatch = NULL;
    OK(clmoe_dispatch_create(device.context, &desc, &dispatch, &error));
    clmoe_plan_layout layout = {.struct_size = sizeof layout};
    FAILS(clmoe_dispatch_plan_layout(NULL, 4, 0, &layout, &error), CLMOE_INVALID_ARGUMENT, "dispatch");
    FAILS(clmoe_dispatch_plan_layout(dispatch, 4, 0, NULL, &error), CLMOE_INVALID_ARGUMENT, "layout");
    FAILS(clmoe_dispatch_plan_layout(dispatch, 1u << 30, 0, &layout, &error), CLMOE_INVALID_ARGUMENT, "tokens");
    FAILS(clmoe_dispatch_plan_layout(dispatch, 4, 1u << 31, &layout, &error), CLMOE_INVALID_ARGUMENT, "max_rows");
    OK(clmoe_dispatch_plan_layout(dispatch, 4, 0, &layout, &error));
    test_buffer index = test_buffer_new(&device, 32, NULL), load = test_buffer_new(&device, 32, NULL);
    test_buffer plan = test_buffer_new(&device, (size_t)layout.total * 4, NULL),
                count = test_buffer_new(&device, 4, NULL);
    clmoe_dispatch_io good, io;
    clmoe_dispatch_io_default(&good, sizeof good);
    good.tokens = 4;
    good.index = index.at;
    good.plan = plan.at;
    good.load = load.at;
    good.token_count = count.at;
    REFUSED_ENQUEUE(clmoe_dispatch_enqueue, dispatch, device.queue, &good, "dispatch");
#define ENQUEUE clmoe_dispatch_enqueue(dispatch, NULL, device.queue, &io, 0, NULL, NULL, &error)
#define IO_REFUSED(field, value, name) REFUSED(ENQUEUE, io, good, name, io.field = (value))
    IO_REFUSED(struct_size, 1, "io");
    IO_REFUSED(tokens, 1u << 30, "tokens");
    IO_REFUSED(max_rows, 1u << 31, "max_rows");
    IO_REFUSED(load_accumulate, 2, "load_accumulate");
    IO_REFUSED(index, (clmoe_buffer){0}, "index");
    IO_REFUSED(plan, (clmoe_buffer){0}, "plan");
    IO_REFUSED(index.kind, 9, "index");
    IO_REFUSED(index.reserved, 1, "index");
    IO_REFUSED(index.offset, 2, "index");
    IO_REFUSED(index.offset, good.index.offset + 68, "index");
    IO_REFUSED(plan.offset, good.plan.offset + 68, "plan");
    IO_REFUSED(plan.handle, NULL, "plan");
    IO_REFUSED(load.offset, good.load.offset + 68, "load");
    IO_REFUSED(token_count.offset, good.token_count.offset + 68, "token_count");
    IO_REFUSED(token_count.offset, UINT64_MAX - 3, "token_count");
#undef IO_REFUSED
#undef ENQUEUE
    test_buffer_untouched(&device, &load);
    test_buffer_free(&device, &index);
    test_buffer_free(&device, &load);
    test_buffer_free(&device, &plan);
    test_buffer_free(&device, &count);
    clmoe_dispatch_destroy(dispatch);
}

/* ----------------------------------------------------------------------------------------------- combine */

/* The optional vectors from every source and format: out is the bias alone where no slot is used. */
static void test_vector_sources(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    test_random random = test_random_new(16);
    enum { H = 45 };
    for (uint32_t format = CLMOE_F32; format <= CLMOE_BF16; format++) {
        for (int source = 0; source < 6; source++) {
            const size_t step = source >= 4 ? 3 : 1, size = test_format_bytes(format), count = (H - 1) * step + 1;
            void *values = calloc(count, size);
            assert_non_null(values);
            for (size_t i = 0; i < count; i++) test_store(values, format, i, test_random_normal(&random));
            test_store(values, format, 0, ldexp(3, -24)); /* subnormal in f16 */
            test_buffer at = test_buffer_new(&device, count * size, values);
            const void *list[1] = {values};
            clmoe_combine_desc desc;
            clmoe_combine_desc_default(&desc, sizeof desc);
            desc.hidden_size = H;
            desc.slots = 1;
            desc.output_bias.format = format;
            if (source == 0 || source == 4) desc.output_bias.host = values;
            if (source == 1) desc.output_bias.host_list = list;
            if (source == 2 || source == 5) desc.output_bias.buffer = at.at;
            if (source == 3) desc.output_bias.buffer_list = &at.at;
            if (step != 1) {
                desc.output_bias.layout = CLMOE_IN_OUT;
                desc.output_bias.row_stride = step;
            }
            clmoe_combine *combine = NULL;
            OK(clmoe_combine_create(device.context, &desc, &combine, &error));
            test_buffer_free(&device, &at); /* sources are read during creation only */
            const int32_t none = -1;
            test_buffer rows = test_buffer_new(&device, 4, &none), weight = test_buffer_new(&device, 4, NULL);
            test_buffer y = test_buffer_new(&device, H * 4, NULL), out = test_buffer_new(&device, H * 4, NULL);
            clmoe_combine_io io;
            clmoe_combine_io_default(&io, sizeof io);
            io.tokens = 1;
            io.y = y.at;
            io.slot_row = rows.at;
            io.weight = weight.at;
            io.out = out.at;
            OK(clmoe_combine_enqueue(combine, NULL, device.queue, &io, 0, NULL, NULL, &error));
            clmoe_combine_destroy(combine); /* legal while it runs */
            float got[H];
            test_buffer_read(&device, &out, got);
            for (size_t i = 0; i < H; i++) assert_true(got[i] == (float)test_load(values, format, i * step));
            test_buffer_free(&device, &rows);
            test_buffer_free(&device, &weight);
            test_buffer_free(&device, &y);
            test_buffer_free(&device, &out);
            free(values);
        }
    }
}

static void test_combine_create(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    float values[32] = {0};
    const void *list[1] = {NULL};
    test_buffer vector = test_buffer_new(&device, 32, NULL);
    clmoe_combine_desc good, desc;
    clmoe_combine_desc_default(&good, sizeof good);
    good.hidden_size = 16;
    good.slots = 2;
    good.has_shared = 1;
    clmoe_combine *combine = NULL;
    REFUSED_CREATE(clmoe_combine_create, device.context, &good, combine, "combine");
#define CREATE_REFUSED(...) \
    REFUSED(clmoe_combine_create(device.context, &desc, &combine, &error), desc, good, __VA_ARGS__)
    CREATE_REFUSED("desc", desc.struct_size = 2);
    CREATE_REFUSED("hidden_size", desc.hidden_size = 0);
    CREATE_REFUSED("hidden_size", desc.hidden_size = 1u << 31);
    CREATE_REFUSED("slots", desc.slots = 0);
    CREATE_REFUSED("slots", desc.slots = 1u << 20);
    CREATE_REFUSED("zero_experts", desc.zero_experts = UINT32_MAX);
    CREATE_REFUSED("zero_experts", desc.num_experts = UINT32_MAX);
    CREATE_REFUSED("x_format", desc.x_format = 0);
    CREATE_REFUSED("out_format", desc.out_format = 16);
    CREATE_REFUSED("weighted", desc.weighted = 2);
    CREATE_REFUSED("y_format", desc.y_format = CLMOE_FORMAT_NONE);
    CREATE_REFUSED("y_format", desc.y_format = CLMOE_Q8_0);
    CREATE_REFUSED("reserved", desc.reserved = 1);
    CREATE_REFUSED("has_shared", desc.has_shared = 2);
    CREATE_REFUSED("routed_scale", desc.routed_scale = NAN);
    CREATE_REFUSED("shared_scale", desc.shared_scale = INFINITY);
    const clmoe_tensor tensor = {.format = CLMOE_F32, .host = values};
    CREATE_REFUSED("shared_gate", desc.has_shared = 0; desc.shared_gate = tensor);
    CREATE_REFUSED("format", desc.shared_gate = tensor; desc.shared_gate.format = CLMOE_FORMAT_NONE);
    CREATE_REFUSED("layout", desc.shared_gate = tensor; desc.shared_gate.layout = 2);
    CREATE_REFUSED("reserved", desc.shared_gate.reserved = 1);
    CREATE_REFUSED("sources", desc.output_bias = tensor; desc.output_bias.host_list = list);
    CREATE_REFUSED("host_list[0]", desc.output_bias.format = CLMOE_F16; desc.output_bias.host_list = list);
    CREATE_REFUSED("row_stride", desc.output_bias = tensor; desc.output_bias.row_stride = 15);
    CREATE_REFUSED("expert_stride", desc.output_bias = tensor; desc.output_bias.expert_stride = 15);
    CREATE_REFUSED("output_bias", desc.output_bias.format = CLMOE_F32; desc.output_bias.buffer = vector.at;
                   desc.output_bias.buffer.offset += 64);
    CREATE_REFUSED("output_bias", desc.output_bias.format = CLMOE_F32; desc.output_bias.buffer = vector.at;
                   desc.output_bias.buffer.offset += 2);
    CREATE_REFUSED("output_bias", desc.output_bias.format = CLMOE_F32; desc.output_bias.buffer.kind = 7);
    CREATE_REFUSED("output_bias", desc.output_bias.format = CLMOE_F16;
                   desc.output_bias.buffer_list = &good.shared_gate.buffer);
#undef CREATE_REFUSED
    assert_null(combine);
    clmoe_combine_destroy(NULL);
    test_buffer_free(&device, &vector);
}

static void test_combine_enqueue(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    const float gate[16] = {0};
    clmoe_combine_desc desc;
    clmoe_combine_desc_default(&desc, sizeof desc);
    desc.hidden_size = 16;
    desc.slots = 2;
    desc.num_experts = 5;
    desc.zero_experts = desc.has_shared = 1; /* so that every buffer is needed */
    desc.shared_gate = (clmoe_tensor){.format = CLMOE_F32, .host = gate};
    clmoe_combine *combine = NULL;
    OK(clmoe_combine_create(device.context, &desc, &combine, &error));
    test_buffer rows = test_buffer_new(&device, 24, NULL), wide = test_buffer_new(&device, 192, NULL);
    test_buffer out = test_buffer_new(&device, 192, NULL);
    clmoe_combine_io good, io;
    clmoe_combine_io_default(&good, sizeof good);
    good.tokens = 3;
    good.token_count = good.slot_row = good.index = good.weight = rows.at;
    good.y = good.x = good.shared = wide.at;
    good.out = out.at;
    REFUSED_ENQUEUE(clmoe_combine_enqueue, combine, device.queue, &good, "combine");
#define ENQUEUE clmoe_combine_enqueue(combine, NULL, device.queue, &io, 0, NULL, NULL, &error)
#define IO_REFUSED(name, field, value) REFUSED(ENQUEUE, io, good, name, io.field = (value))
    IO_REFUSED("io", struct_size, 4);
    IO_REFUSED("tokens", tokens, 1u << 30);
    IO_REFUSED("accumulate", accumulate, 2);
    IO_REFUSED("x_stride", x_stride, 15);
    IO_REFUSED("out_stride", out_stride, 15);
    IO_REFUSED("io.x", x_stride, 1u << 20);
    IO_REFUSED("io.out", out_stride, UINT64_MAX);
    const clmoe_buffer none = {0};
    IO_REFUSED("io.y", y, none);
    IO_REFUSED("io.slot_row", slot_row, none);
    IO_REFUSED("io.index", index, none);
    IO_REFUSED("io.weight", weight, none);
    IO_REFUSED("io.x", x, none);
    IO_REFUSED("io.shared", shared, none);
    IO_REFUSED("io.out", out, none);
    const uint64_t past = rows.at.offset + 68, beyond = wide.at.offset + 68;
    IO_REFUSED("io.token_count", token_count.offset, past + 20);
    IO_REFUSED("io.slot_row", slot_row.offset, past);
    IO_REFUSED("io.index", index.offset, past);
    IO_REFUSED("io.weight", weight.offset, past);
    IO_REFUSED("io.y", y.offset, beyond + 128);
    IO_REFUSED("io.x", x.offset, beyond);
    IO_REFUSED("io.shared", shared.offset, beyond);
    IO_REFUSED("io.out", out.offset, beyond);
    IO_REFUSED("io.out", out.offset, good.out.offset + 2);
#undef IO_REFUSED
#undef ENQUEUE
    test_buffer_untouched(&device, &out);
    test_buffer_free(&device, &rows);
    test_buffer_free(&device, &wide);
    test_buffer_free(&device, &out);
    clmoe_combine_destroy(combine);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_dispatch_create), cmocka_unit_test(test_dispatch_enqueue),
                                       cmocka_unit_test(test_vector_sources), cmocka_unit_test(test_combine_create),
                                       cmocka_unit_test(test_combine_enqueue)};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
