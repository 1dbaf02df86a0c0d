/* Tiles of full height and a rest (full_tiles of the dispatch and of the grouped GEMM) against near-equal ones: a
 * row's bits do not depend on its tile, so both ways give the same y, wherever the borders fall. */
#include "gemm_trial.h"
#include "one_device.h"

enum { GROUPS = 5, SLOTS = 2, IN = 48, OUT = 40, TOKENS = 263 };

static clmoe_error error = {.struct_size = sizeof error};
static float weight[GROUPS * OUT * IN], gate[GROUPS * OUT * IN], x[TOKENS * IN];
static int32_t chosen[TOKENS * SLOTS];

static gemm_trial run(uint32_t full_tiles, uint32_t arithmetic) {
    clmoe_grouped_gemm_desc d;
    clmoe_grouped_gemm_desc_default(&d, sizeof d);
    d.num_groups = GROUPS;
    d.in_features = IN;
    d.out_features = OUT;
    d.weight_format = CLMOE_BF16;
    d.arithmetic = arithmetic;
    d.weight = (clmoe_tensor){.format = CLMOE_F32, .host = weight};
    d.gate = (clmoe_tensor){.format = CLMOE_F32, .host = gate};
    d.activate = 1;
    d.slots = SLOTS;
    d.full_tiles = full_tiles;
    return gemm_trial_run(&device, &d, TOKENS, x, chosen);
}

static uint32_t lowest_tile(const gemm_trial *t) {
    uint32_t lowest = UINT32_MAX;
    for (int32_t i = 0; i < t->plan[2]; i++) {
        const uint32_t height = (uint32_t)t->plan[t->layout.tiles + 4 * (uint64_t)i + 2];
        lowest = height < lowest ? height : lowest;
    }
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
    fill(1);
    gemm_trial any = run(0, CLMOE_ARITHMETIC_F32);
    const uint32_t tile_rows = any.tile_rows;
    gemm_trial_free(&any);
    if (2 * tile_rows + 1 > TOKENS) skip();
    fill(tile_rows);
    for (size_t i = 0; i < sizeof arithmetics / sizeof *arithmetics; i++) {
        gemm_trial equal = run(0, arithmetics[i]), full = run(1, arithmetics[i]);
        assert_int_equal(lowest_tile(&full), 1);
        assert_true(lowest_tile(&equal) > 1);
        assert_memory_equal(equal.y, full.y, sizeof(float) * TOKENS * SLOTS * OUT);
        gemm_trial_free(&equal);
        gemm_trial_free(&full);
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
