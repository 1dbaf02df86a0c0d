/* Dispatch against a sort in straight loops: every part of the plan, load, and bounds. CLMOE_TEST_SHORT=1: a case of
 * thirteen, for devices that compile slowly. */
#include "one_device.h"
#include "opencl/context.h"

/* ------------------------------------------------------------------------------------------------ oracle */

typedef struct dispatch_case {
    uint32_t classes, slots, first, local, tile_rows;
    uint32_t tokens, max_rows; /* 0: all */
    int32_t valid;             /* token_count; INT32_MIN: none is given */
    int load;                  /* 0: none, 1: written, 2: accumulated */
    int pattern;               /* of index, see fill_index */
    uint32_t full_tiles;
} dispatch_case;

enum { RANDOM, ONE_EXPERT, WITH_UNUSED, ALL_UNUSED, ROUND_ROBIN, PATTERNS };

/* A plan as the header describes it, one array a part. */
typedef struct oracle_plan {
    uint32_t rows, actives, tile_count, tokens;
    int32_t *count, *offset, *active, *tiles, *row_slot, *slot_row, *load;
} oracle_plan;

static int32_t *ints(size_t n) {
    int32_t *array = calloc(n + 1, sizeof *array);
    assert_non_null(array);
    return array;
}

static int is_local(const dispatch_case *c, int32_t index) {
    return index >= 0 && (uint32_t)index < c->classes && (uint32_t)index >= c->first &&
           (uint32_t)index < c->first + c->local;
}

static void oracle_tiles(oracle_plan *plan, uint32_t expert, uint32_t tile_rows, uint32_t full_tiles) {
    const uint64_t n = (uint64_t)plan->count[expert], t = (n + tile_rows - 1) / tile_rows;
    for (uint64_t i = 0; i < t; i++) {
        int32_t *tile = plan->tiles + 4 * (size_t)plan->tile_count++;
        const uint64_t begin = full_tiles ? i * tile_rows : n * i / t;
        const uint64_t end = i + 1 == t ? n : full_tiles ? begin + tile_rows : n * (i + 1) / t;
        tile[0] = (int32_t)expert;
        tile[1] = plan->offset[expert] + (int32_t)begin;
        tile[2] = (int32_t)(end - begin);
    }
}

/* load holds what was there before and is added to. */
static oracle_plan oracle_dispatch(const dispatch_case *c, const int32_t *index) {
    const size_t all = (size_t)c->tokens * c->slots, limit = c->max_rows != 0 ? c->max_rows : all;
    oracle_plan plan = {.count = ints(c->local),
                        .offset = ints(c->local + 1),
                        .active = ints(c->local),
                        .tiles = ints(4 * (all + c->local)),
                        .row_slot = ints(all),
                        .slot_row = ints(all),
                        .load = ints(c->classes)};
    plan.tokens = c->tokens;
    if (c->valid != INT32_MIN && c->valid < (int32_t)c->tokens) plan.tokens = c->valid < 0 ? 0 : (uint32_t)c->valid;
    const size_t used = (size_t)plan.tokens * c->slots;
    for (size_t s = 0; s < used; s++) {
        plan.slot_row[s] = -1;
        if (index[s] >= 0 && (uint32_t)index[s] < c->classes) plan.load[index[s]]++;
    }
    for (uint32_t e = 0; e < c->local; e++) {
        plan.offset[e] = (int32_t)plan.rows;
        for (size_t s = 0; s < used && plan.rows < limit; s++) {
            if (!is_local(c, index[s]) || (uint32_t)index[s] - c->first != e) continue;
            plan.row_slot[plan.rows] = (int32_t)s;
            plan.slot_row[s] = (int32_t)plan.rows++;
            plan.count[e]++;
        }
        if (plan.count[e] == 0) continue;
        plan.active[plan.actives++] = (int32_t)e;
        oracle_tiles(&plan, e, c->tile_rows, c->full_tiles);
    }
    plan.offset[c->local] = (int32_t)plan.rows;
    return plan;
}

static void oracle_free(oracle_plan *plan) {
    free(plan->count);
    free(plan->offset);
    free(plan->active);
    free(plan->tiles);
    free(plan->row_slot);
    free(plan->slot_row);
    free(plan->load);
}

/* ----------------------------------------------------------------------------------------------- running */

static void fill_index(const dispatch_case *c, test_random *random, int32_t *index) {
    static const int32_t unused[] = {-1, INT32_MIN, INT32_MAX, -2};
    const int32_t favourite = (int32_t)(c->first + test_random_below(random, c->local));
    const size_t all = (size_t)c->tokens * c->slots;
    for (size_t s = 0; s < all; s++) {
        index[s] = (int32_t)test_random_below(random, c->classes);
        if (c->pattern == ONE_EXPERT) index[s] = favourite;
        if (c->pattern == ROUND_ROBIN) index[s] = (int32_t)(s % c->classes);
        const int drop = c->pattern == ALL_UNUSED || (c->pattern == WITH_UNUSED && test_random_below(random, 3) == 0);
        if (drop) index[s] = test_random_below(random, 2) ? unused[test_random_below(random, 4)] : (int32_t)c->classes;
    }
}

static void same(const dispatch_case *c, const char *part, const int32_t *got, const int32_t *wanted, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (got[i] == wanted[i]) continue;
        fail_msg("%s[%zu] is %d, wanted %d (classes %u, slots %u, local %u + %u, tile_rows %u, tokens %u, max_rows %u, "
                 "valid %d, pattern %d, full_tiles %u)",
                 part, i, got[i], wanted[i], c->classes, c->slots, c->first, c->local, c->tile_rows, c->tokens,
                 c->max_rows, c->valid, c->pattern, c->full_tiles);
    }
}

static void compare(const dispatch_case *c, const clmoe_plan_layout *layout, const int32_t *got,
                    const oracle_plan *plan) {
    const int32_t header[16] = {(int32_t)plan->rows, (int32_t)plan->actives, (int32_t)plan->tile_count,
                                (int32_t)plan->tokens};
    same(c, "header", got, header, 16);
    same(c, "count", got + layout->count, plan->count, c->local);
    same(c, "offset", got + layout->offset, plan->offset, c->local + 1);
    same(c, "active", got + layout->active, plan->active, plan->actives);
    same(c, "tiles", got + layout->tiles, plan->tiles, 4 * (size_t)plan->tile_count);
    same(c, "row_slot", got + layout->row_slot, plan->row_slot, plan->rows);
    same(c, "slot_row", got + layout->slot_row, plan->slot_row, (size_t)plan->tokens * c->slots);
    assert_true(plan->tile_count <= layout->max_tiles);
    assert_true(plan->actives <= layout->max_active);
}

/* The parts lie one behind the other, have room for their bounds, and stay within the promised memory. */
static void check_layout(const dispatch_case *c, const clmoe_plan_layout *layout) {
    const uint64_t all = (uint64_t)c->tokens * c->slots, rows = c->max_rows != 0 ? c->max_rows : all;
    assert_int_equal(layout->max_rows, rows);
    assert_int_equal(layout->max_active, rows < c->local ? rows : c->local);
    assert_int_equal(layout->max_tiles, rows / c->tile_rows + layout->max_active);
    assert_true(layout->count == 16 && layout->offset == layout->count + c->local);
    assert_true(layout->active == layout->offset + c->local + 1 && layout->tiles >= layout->active + c->local);
    assert_true(layout->row_slot == layout->tiles + 4 * (uint64_t)layout->max_tiles);
    assert_true(layout->slot_row == layout->row_slot + rows && layout->scratch == layout->slot_row + all);
    assert_true(layout->total > layout->scratch);
    assert_true(layout->total * 4 <= (rows > all ? rows : all) * 32 + (1u << 20));
}

static clmoe_dispatch_desc case_desc(const dispatch_case *c) {
    clmoe_dispatch_desc desc;
    clmoe_dispatch_desc_default(&desc, sizeof desc);
    desc.num_classes = c->classes;
    desc.slots = c->slots;
    desc.first_expert = c->first;
    desc.local_experts = c->local;
    desc.tile_rows = c->tile_rows;
    desc.full_tiles = c->full_tiles;
    return desc;
}

/* Thirteen, because the loops over cases have 3 to 8 rounds. */
static int is_left_out(void) {
    static uint32_t cases;
    return getenv("CLMOE_TEST_SHORT") != NULL && cases++ % 13 != 0;
}

static void run_case(test_random *random, dispatch_case c) {
    if (is_left_out()) return;
    clmoe_error error = {.struct_size = sizeof error};
    const clmoe_dispatch_desc desc = case_desc(&c);
    clmoe_dispatch *dispatch = NULL;
    OK(clmoe_dispatch_create(device.context, &desc, &dispatch, &error));
    clmoe_plan_layout layout = {.struct_size = sizeof layout};
    OK(clmoe_dispatch_plan_layout(dispatch, c.tokens, c.max_rows, &layout, &error));
    check_layout(&c, &layout);

    const size_t all = (size_t)c.tokens * c.slots;
    int32_t *index = ints(all), *got = ints((size_t)layout.total), *load = ints(c.classes), *got_load = ints(c.classes);
    fill_index(&c, random, index);
    for (uint32_t i = 0; i < c.classes; i++) load[i] = (int32_t)i * 3 - 5;
    test_buffer index_at = test_buffer_new(&device, all * 4, index);
    test_buffer plan_at = test_buffer_new(&device, (size_t)layout.total * 4, NULL);
    test_buffer load_at = test_buffer_new(&device, c.classes * sizeof(int32_t), load);
    test_buffer valid_at = test_buffer_new(&device, 4, &c.valid);

    clmoe_dispatch_io io;
    clmoe_dispatch_io_default(&io, sizeof io);
    io.tokens = c.tokens;
    io.max_rows = c.max_rows;
    if (all != 0) io.index = index_at.at;
    io.plan = plan_at.at;
    if (c.valid != INT32_MIN) io.token_count = valid_at.at;
    if (c.load != 0) io.load = load_at.at;
    io.load_accumulate = c.load == 2;
    cl_event done = NULL;
    OK(clmoe_dispatch_enqueue(dispatch, NULL, device.queue, &io, 0, NULL, &done, &error));
    clmoe_dispatch_destroy(dispatch); /* legal while it runs */
    assert_int_equal(clWaitForEvents(1, &done), CL_SUCCESS);
    clReleaseEvent(done);

    oracle_plan plan = oracle_dispatch(&c, index);
    test_buffer_read(&device, &plan_at, got);
    test_buffer_read(&device, &load_at, got_load);
    compare(&c, &layout, got, &plan);
    for (uint32_t i = 0; i < c.classes; i++) {
        if (c.load == 0) plan.load[i] = load[i];
        if (c.load == 2) plan.load[i] += load[i];
    }
    same(&c, "load", got_load, plan.load, c.classes);
    oracle_free(&plan);
    test_buffer_free(&device, &index_at);
    test_buffer_free(&device, &plan_at);
    test_buffer_free(&device, &load_at);
    test_buffer_free(&device, &valid_at);
    free(index);
    free(got);
    free(load);
    free(got_load);
}

/* ------------------------------------------------------------------------------------------------- tests */

/* With groups of many work-items: the device only claims to be something else than a CPU. */
static int open_as_gpu(void **state) {
    (void)open_device(state);
    device.context->device.is_cpu = 0;
    return 0;
}

static void test_shapes(void **state) {
    (void)state;
    static const uint32_t experts[] = {1, 31, 32, 71, 129, 512, 1024}, tokens[] = {0, 1, 2, 7, 64, 257};
    test_random random = test_random_new(1);
    for (size_t e = 0; e < sizeof experts / sizeof *experts; e++) {
        for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++) {
            for (int pattern = 0; pattern < PATTERNS; pattern++) {
                const uint32_t n = experts[e], most = n < 8 ? n : 8;
                const dispatch_case c = {.classes = n,
                                         .slots = 1 + test_random_below(&random, most),
                                         .local = n,
                                         .tile_rows = 1 + test_random_below(&random, 16),
                                         .tokens = tokens[t],
                                         .valid = INT32_MIN,
                                         .load = (int)test_random_below(&random, 3),
                                         .pattern = pattern,
                                         .full_tiles = test_random_below(&random, 2)};
                run_case(&random, c);
            }
        }
    }
}

/* K = E, and slots of every expert for every token. */
static void test_every_expert(void **state) {
    (void)state;
    test_random random = test_random_new(2);
    static const uint32_t experts[] = {1, 31, 129, 1024};
    for (size_t e = 0; e < 4; e++) {
        const dispatch_case c = {.classes = experts[e],
                                 .slots = experts[e],
                                 .local = experts[e],
                                 .tile_rows = 12,
                                 .tokens = 9,
                                 .valid = INT32_MIN,
                                 .load = 1,
                                 .pattern = ROUND_ROBIN};
        run_case(&random, c);
    }
}

static void test_local_ranges(void **state) {
    (void)state;
    test_random random = test_random_new(3);
    for (int i = 0; i < 40; i++) {
        dispatch_case c = {.classes = 2 + test_random_below(&random, 200),
                           .slots = 1 + test_random_below(&random, 8),
                           .tile_rows = 1 + test_random_below(&random, 9),
                           .tokens = test_random_below(&random, 80),
                           .valid = INT32_MIN,
                           .load = 1,
                           .pattern = (int)test_random_below(&random, PATTERNS)};
        c.first = test_random_below(&random, c.classes);
        c.local = 1 + test_random_below(&random, c.classes - c.first);
        run_case(&random, c);
    }
}

static void test_bounds(void **state) {
    (void)state;
    test_random random = test_random_new(4);
    static const int32_t valid[] = {INT32_MIN, -7, 0, 1, 13, 40, 1000};
    static const uint32_t max_rows[] = {0, 1, 3, 60, 159, 160, 161, 400};
    for (size_t v = 0; v < 7; v++) {
        for (size_t m = 0; m < 8; m++) {
            const dispatch_case c = {.classes = 17,
                                     .slots = 4,
                                     .first = 2,
                                     .local = 14,
                                     .tile_rows = 5,
                                     .tokens = 40,
                                     .max_rows = max_rows[m],
                                     .valid = valid[v],
                                     .load = 2,
                                     .pattern = (int)(v + m) % PATTERNS};
            run_case(&random, c);
        }
    }
}

/* So many slots that the sort is cut into chunks. */
static void test_chunks(void **state) {
    (void)state;
    test_random random = test_random_new(5);
    static const uint32_t experts[] = {1, 8, 128, 1000};
    for (size_t e = 0; e < 4; e++) {
        for (int pattern = 0; pattern < PATTERNS; pattern++) {
            dispatch_case c = {.classes = experts[e],
                               .slots = 7,
                               .local = experts[e],
                               .tile_rows = 11,
                               .tokens = 2500 + test_random_below(&random, 4000),
                               .valid = INT32_MIN,
                               .load = 1,
                               .pattern = pattern};
            run_case(&random, c);
            c.max_rows = c.tokens;
            c.valid = (int32_t)c.tokens - 100;
            c.first = c.classes / 3;
            c.local = c.classes - c.first;
            run_case(&random, c);
            c.valid = 1; /* fewer slots than chunks */
            run_case(&random, c);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_every_expert),
                                       cmocka_unit_test(test_local_ranges), cmocka_unit_test(test_bounds),
                                       cmocka_unit_test(test_chunks)};
    const int failed = cmocka_run_group_tests(tests, open_device, close_device);
    return failed + cmocka_run_group_tests(tests, open_as_gpu, close_device);
}
