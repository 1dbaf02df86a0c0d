/* Tiles of full height and a rest (full_tiles of the dispatch and of the grouped GEMM) against near-equal ones: a
 * row's bits do not depend on its tile, so both ways give the same y, wherever the borders fall. */
#include "one_device.h"

enum { GROUPS = 5, SLOTS = 2, IN = 48, OUT = 40, TOKENS = 263 };

static clmoe_error error = {.struct_size = sizeof error};
static float weight[GROUPS * OUT * IN], gate[GROUPS * OUT * IN], x[TOKENS * IN];
static int32_t chosen[TOKENS * SLOTS];

static clmoe_grouped_gemm *make_gemm(uint32_t full_tiles, uint32_t weight_format, uint32_t arithmetic) {
    clmoe_grouped_gemm_desc d;
    clmoe_grouped_gemm_desc_default(&d, sizeof d);
    d.num_groups = GROUPS;
    d.in_features = IN;
    d.out_features = OUT;
    d.weight_format = weight_format;
    d.arithmetic = arithmetic;
    d.weight = (clmoe_tensor){.format = CLMOE_F32, .host = weight};
    d.gate = (clmoe_tensor){.format = CLMOE_F32, .host = gate};
    d.activate = 1;
    d.slots = SLOTS;
    d.full_tiles = full_tiles;
    clmoe_grouped_gemm *gemm = NULL;
    OK(clmoe_grouped_gemm_create(device.context, &d, &gemm, &error));
    return gemm;
}

/* y [TOKENS * SLOTS, OUT], and how high the lowest tile is. */
static uint32_t multiply(uint32_t full_tiles, uint32_t weight_format, uint32_t arithmetic, float *y) {
    clmoe_grouped_gemm *gemm = make_gemm(full_tiles, weight_format, arithmetic);
    clmoe_dispatch_desc d;
    clmoe_dispatch_desc_default(&d, sizeof d);
    d.num_classes = d.local_experts = GROUPS;
    d.slots = SLOTS;
    d.tile_rows = clmoe_grouped_gemm_tile_rows(gemm);
    d.full_tiles = full_tiles;
    clmoe_dispatch *dispatch = NULL;
    OK(clmoe_dispatch_create(device.context, &d, &dispatch, &error));
    clmoe_plan_layout layout = {.struct_size = sizeof layout};
    OK(clmoe_dispatch_plan_layout(dispatch, TOKENS, 0, &layout, &error));
    int32_t *plan = malloc((size_t)layout.total * 4);
    assert_non_null(plan);
    test_buffer index_at = test_buffer_new(&device, sizeof chosen, chosen);
    test_buffer plan_at = test_buffer_new(&device, (size_t)layout.total * 4, NULL);
    test_buffer x_at = test_buffer_new(&device, sizeof x, x);
    test_buffer y_at = test_buffer_new(&device, sizeof(float) * TOKENS * SLOTS * OUT, NULL);
    clmoe_dispatch_io to;
    clmoe_dispatch_io_default(&to, sizeof to);
    to.tokens = TOKENS;
    to.index = index_at.at;
    to.plan = plan_at.at;
    OK(clmoe_dispatch_enqueue(dispatch, NULL, device.queue, &to, 0, NULL, NULL, &error));
    clmoe_grouped_gemm_io io;
    clmoe_grouped_gemm_io_default(&io, sizeof io);
    io.tokens = TOKENS;
    io.plan = plan_at.at;
    io.x = x_at.at;
    io.y = y_at.at;
    OK(clmoe_grouped_gemm_enqueue(gemm, NULL, device.queue, &io, 0, NULL, NULL, &error));
    test_buffer_read(&device, &y_at, y);
    test_buffer_read(&device, &plan_at, plan);
    uint32_t lowest = UINT32_MAX;
    for (int32_t t = 0; t < plan[2]; t++) {
        const uint32_t height = (uint32_t)plan[layout.tiles + 4 * (uint64_t)t + 2];
        lowest = height < lowest ? height : lowest;
    }
    test_buffer_free(&device, &index_at);
    test_buffer_free(&device, &plan_at);
    test_buffer_free(&device, &x_at);
    test_buffer_free(&device, &y_at);
    clmoe_dispatch_destroy(dispatch);
    clmoe_grouped_gemm_destroy(gemm);
    free(plan);
    return lowest;
}

/* One row more than two full tiles for expert 0, the rest for the others. */
static void fill(uint32_t tile_rows) {
    test_random random = test_random_new(77);
    for (size_t i = 0; i < GROUPS * OUT * IN; i++) weight[i] = (float)(0.2 * test_random_normal(&random));
    for (size_t i = 0; i < GROUPS * OUT * IN; i++) gate[i] = (float)(0.2 * test_random_normal(&random));
    for (size_t i = 0; i < TOKENS * IN; i++) x[i] = (float)test_random_normal(&random);
    for (uint32_t t = 0; t < TOKENS; t++) {
        chosen[SLOTS * t] = t < 2 * tile_rows + 1 ? 0 : 1;
        chosen[SLOTS * t + 1] = 2 + (int32_t)test_random_below(&random, GROUPS - 2);
    }
}

static void test_same_bits(void **state) {
    (void)state;
    static const uint32_t arithmetics[] = {CLMOE_ARITHMETIC_F32, CLMOE_ARITHMETIC_BF16};
    static float equal[TOKENS * SLOTS * OUT], full[TOKENS * SLOTS * OUT];
    fill(1);
    clmoe_grouped_gemm *gemm = make_gemm(0, CLMOE_BF16, CLMOE_ARITHMETIC_F32);
    const uint32_t tile_rows = clmoe_grouped_gemm_tile_rows(gemm);
    clmoe_grouped_gemm_destroy(gemm);
    if (2 * tile_rows + 1 > TOKENS) skip();
    fill(tile_rows);
    for (size_t i = 0; i < sizeof arithmetics / sizeof *arithmetics; i++) {
        const uint32_t lowest_equal = multiply(0, CLMOE_BF16, arithmetics[i], equal);
        const uint32_t lowest_full = multiply(1, CLMOE_BF16, arithmetics[i], full);
        assert_int_equal(lowest_full, 1);
        assert_true(lowest_equal > 1);
        assert_memory_equal(equal, full, sizeof equal);
    }
}

static void test_refused(void **state) {
    (void)state;
    clmoe_grouped_gemm_desc d;
    clmoe_grouped_gemm *gemm = NULL;
    clmoe_grouped_gemm_desc_default(&d, sizeof d);
    d.in_features = IN;
    d.out_features = OUT;
    d.weight = (clmoe_tensor){.format = CLMOE_F32, .host = weight};
    d.full_tiles = 2;
    FAILS(clmoe_grouped_gemm_create(device.context, &d, &gemm, &error), CLMOE_INVALID_ARGUMENT,
          "full_tiles is 2, expected 0 or 1");
    d.full_tiles = 1; /* one group: allowed, but not without a plan */
    OK(clmoe_grouped_gemm_create(device.context, &d, &gemm, &error));
    test_buffer x_at = test_buffer_new(&device, sizeof(float) * IN, NULL),
                y_at = test_buffer_new(&device, sizeof(float) * OUT, NULL);
    clmoe_grouped_gemm_io io;
    clmoe_grouped_gemm_io_default(&io, sizeof io);
    io.tokens = 1;
    io.x = x_at.at;
    io.y = y_at.at;
    FAILS(clmoe_grouped_gemm_enqueue(gemm, NULL, device.queue, &io, 0, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT,
          "io.plan");
    test_buffer_untouched(&device, &y_at);
    test_buffer_free(&device, &x_at);
    test_buffer_free(&device, &y_at);
    clmoe_grouped_gemm_destroy(gemm);
    clmoe_dispatch_desc plan;
    clmoe_dispatch *dispatch = NULL;
    clmoe_dispatch_desc_default(&plan, sizeof plan);
    plan.num_classes = plan.local_experts = plan.slots = plan.tile_rows = 1;
    plan.full_tiles = 3;
    FAILS(clmoe_dispatch_create(device.context, &plan, &dispatch, &error), CLMOE_INVALID_ARGUMENT,
          "full_tiles is 3, expected 0 or 1");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_bits), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
