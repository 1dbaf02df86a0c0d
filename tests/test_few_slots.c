/* Passes of few tokens where the experts run in the gpu macro-kernel: at most four launches and no dispatch, and yet
 * the bits, routes and load of the longer way, which a token takes among more neighbours. Whatever adds to a token's
 * sum takes part. */
#include <stdio.h>

#include "layer_case.h"
#include "opencl/context.h"

enum { MOST = 64, LAUNCHES = 32 };

static clmoe_error error = {.struct_size = sizeof error};

typedef struct row {
    const char *name;
    uint32_t hidden, intermediate, experts, top_k, format, arithmetic, x_format;
    uint32_t shared, latent, zero_experts, on_input, first_expert, local_experts, with;
    uint32_t group; /* > 0: the device claims to be no CPU, with at most so many work-items in a group */
    uint32_t y_format; /* 0: f32 */
} row;

/* More of hidden than the router takes at a time, more classes than a group has columns, or work-items. */
static const row rows[] = {
    {"f32", 1099, 13, 37, 1, CLMOE_F32, CLMOE_ARITHMETIC_F32, CLMOE_F32, 0, 0, 0, 0, 0, 0, CASE_ROUTER_BIAS, 0, 0},
    {"bf16, weights on x, identities", 553, 50, 70, 3, CLMOE_BF16, CLMOE_ARITHMETIC_BF16, CLMOE_BF16, 0, 0, 2, 1, 0, 0,
     CASE_UP_BIAS | CASE_DOWN_BIAS | CASE_ROUTER_BIAS | CASE_OUTPUT_BIAS | CASE_EXPERT_SCALE, 256, CLMOE_BF16},
    {"int8, a share of the experts, shared ones", 288, 160, 9, 4, CLMOE_Q4_0, CLMOE_ARITHMETIC_INT8, CLMOE_F32, 32, 0,
     0, 0, 2, 5, CASE_FACTORS | CASE_SHARED_GATE, 0, CLMOE_F16},
    {"f16, a latent space", 33, 20, 70, 2, CLMOE_F16, CLMOE_ARITHMETIC_F32, CLMOE_F16, 0, 21, 0, 0, 0, 0,
     CASE_SELECT_BIAS, 64, 0},
};

static test_device open_device(uint32_t group) {
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.disable = "cpu,matrix";
    if (group != 0) d.max_work_group_size = group;
    test_device device = test_open(&d);
    if (group != 0) device.context->device.is_cpu = 0;
    device.context->device.compute_units = 64; /* which int8 splits k for */
    return device;
}

static layer_case *make_case(test_device *device, const row *r) {
    case_options o = case_default(r->hidden, r->intermediate, r->experts, r->top_k);
    o.format = o.source_format = r->format;
    if (r->format == CLMOE_Q4_0) {
        o.source_format = CLMOE_F32;
        for (int i = CASE_UP; i <= CASE_SHARED_DOWN; i++) o.blocks[i] = CLMOE_Q4_0;
    }
    o.arithmetic = r->arithmetic;
    o.shared_intermediate = r->shared;
    o.latent = r->latent;
    o.with = r->with;
    o.layer.x_format = o.layer.out_format = r->x_format;
    if (r->y_format != 0) o.layer.y_format = r->y_format;
    o.layer.routing.zero_experts = r->zero_experts;
    o.layer.routing.weight_on = r->on_input ? CLMOE_WEIGHT_ON_INPUT : CLMOE_WEIGHT_ON_OUTPUT;
    if (r->with & CASE_SELECT_BIAS) {
        o.layer.routing.score = CLMOE_SIGMOID;
        o.layer.routing.bias_on = CLMOE_BIAS_ON_SCORE;
    }
    o.layer.first_expert = r->first_expert;
    o.layer.local_experts = r->local_experts;
    return case_new(device, &o);
}

/* What stands in place of the router. */
enum { ROUTER, LOGITS, ROUTES };

typedef struct trial {
    layer_case *c;
    clmoe_workspace *workspace;
    void *x;
    const float *logits;           /* [tokens, classes] */
    const int32_t *index;          /* [tokens, slots] */
    const float *weight;
    int kind;
    uint32_t launches, dispatches; /* of the last forward */
} trial;

static void count_launches(trial *t) {
    clmoe_launch_time launches[LAUNCHES];
    OK(clmoe_workspace_launches(t->workspace, launches, LAUNCHES, &t->launches, &error));
    assert_in_range(t->launches, 1, LAUNCHES);
    t->dispatches = 0;
    for (uint32_t i = 0; i < t->launches; i++)
        t->dispatches += strcmp(launches[i].stage, "dispatch") == 0 || strcmp(launches[i].stage, "route") == 0;
}

static case_result forward(trial *t, uint32_t tokens, const int32_t *valid) {
    test_device *device = t->c->device;
    const size_t slots = (size_t)tokens * t->c->oracle.slots;
    case_buffers b = case_buffers_new(t->c, t->x, tokens);
    test_buffer count = test_buffer_new(device, 4, valid);
    test_buffer logits = test_buffer_new(device, (size_t)tokens * t->c->oracle.classes * 4, t->logits);
    test_buffer index = test_buffer_new(device, slots * 4, t->index);
    test_buffer weight = test_buffer_new(device, slots * 4, t->weight);
    if (valid != NULL) b.io.token_count = count.at;
    if (t->kind == LOGITS) b.io.logits = logits.at;
    if (t->kind == ROUTES) {
        b.io.index = index.at;
        b.io.weight = weight.at;
        b.io.out_index = b.io.out_weight = (clmoe_buffer){0};
    }
    OK(clmoe_forward(t->c->layer, t->workspace, device->queue, &b.io, 0, NULL, NULL, &error));
    case_result r = case_buffers_take(t->c, &b);
    count_launches(t);
    test_buffer_free(device, &count);
    test_buffer_free(device, &logits);
    test_buffer_free(device, &index);
    test_buffer_free(device, &weight);
    return r;
}

/* The first `valid` tokens of `r` are those of `wanted`, and nothing is written behind them. */
static void same_tokens(const trial *t, const char *what, const case_result *r, const case_result *wanted,
                        uint32_t valid, uint32_t tokens) {
    const size_t slots = t->c->oracle.slots, bytes = case_row_bytes(t->c);
    case_same_bits(what, r->out, wanted->out, valid * bytes);
    case_same_bits(what, r->index, wanted->index, valid * slots * 4);
    case_same_bits(what, r->weight, wanted->weight, valid * slots * 4);
    for (size_t i = valid * bytes; i < tokens * bytes; i++) assert_int_equal(((uint8_t *)r->out)[i], 0xCD);
    if (t->kind == ROUTES) return;
    for (size_t i = valid * slots * 4; i < tokens * slots * 4; i++) assert_int_equal(((uint8_t *)r->index)[i], 0xCD);
}

static void check_load(const trial *t, const char *what, const case_result *r, const int32_t *index, uint32_t tokens) {
    for (uint32_t class = 0; class < t->c->oracle.classes; class++) {
        int32_t named = 0;
        for (uint32_t i = 0; i < tokens * t->c->oracle.slots; i++) named += index[i] == (int32_t)class;
        if (r->load[class] != named)
            fail_msg("%s: load of class %u is %d, expected %d", what, class, r->load[class], named);
    }
}

/* What a short forward takes: router with select, up, down, combine, and what the layer has beside these. */
static uint32_t expected_launches(const trial *t) {
    const case_options *o = &t->c->options;
    return (t->kind == ROUTES ? 3u : 4u) + (o->shared_intermediate != 0 ? 2u : 0u) + (o->latent != 0 ? 3u : 0u);
}

static void compare(trial *t, const char *name) {
    const uint32_t slots = t->c->oracle.slots, few = MOST / slots, batches[] = {few, 1, few / 2 + 1};
    case_result longer = forward(t, few + 1, NULL);
    const int32_t *routes = t->kind == ROUTES ? t->index : longer.index;
    assert_true(t->dispatches >= 1);
    case_check_output(t->c, t->x, few + 1, routes, t->kind == ROUTES ? t->weight : longer.weight, NULL, longer.out);
    check_load(t, name, &longer, routes, few + 1);
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        char what[128];
        snprintf(what, sizeof what, "%s, %u tokens, routing %d", name, batches[i], t->kind);
        case_result shorter = forward(t, batches[i], NULL);
        if (t->launches != expected_launches(t) || t->dispatches != 0)
            fail_msg("%s: %u launches, expected %u; %u of them dispatch", what, t->launches, expected_launches(t),
                     t->dispatches);
        same_tokens(t, what, &shorter, &longer, batches[i], batches[i]);
        check_load(t, what, &shorter, routes, batches[i]);
        case_result_free(&shorter);
    }
    const int32_t valid = (int32_t)few / 2;
    case_result part = forward(t, few, &valid);
    assert_int_equal(t->dispatches, 0);
    same_tokens(t, "valid tokens", &part, &longer, (uint32_t)valid, few);
    check_load(t, "valid tokens", &part, routes, (uint32_t)valid);
    case_result_free(&part);
    case_result_free(&longer);
}

/* Routes in any order: unused slots, others' experts, one expert for many slots. */
static int32_t *draw_routes(const layer_case *c, uint32_t slots, test_random *random) {
    int32_t *index = malloc(slots * sizeof *index);
    assert_non_null(index);
    for (uint32_t i = 0; i < slots; i++) index[i] = (int32_t)test_random_below(random, c->oracle.classes + 1) - 1;
    for (uint32_t i = 0; i < slots / 2; i++) index[2 * i] = (int32_t)c->options.layer.first_expert + 1;
    return index;
}

static float *draw(uint32_t count, test_random *random) {
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    for (uint32_t i = 0; i < count; i++) values[i] = (float)test_random_normal(random);
    return values;
}

/* More tokens than fit at a time: passes that are short each, whose loads add up. */
static void compare_passes(trial *t, test_device *device) {
    const uint32_t few = MOST / t->c->oracle.slots, tokens = few + 1;
    uint64_t bytes = 0;
    OK(clmoe_layer_workspace_bytes(t->c->layer, few, &bytes, &error));
    clmoe_workspace_desc w;
    clmoe_workspace_desc_default(&w, sizeof w);
    test_buffer memory = test_buffer_new(device, (size_t)bytes, NULL);
    w.memory = memory.at;
    w.memory_bytes = bytes;
    trial lent = *t;
    OK(clmoe_workspace_create(device->context, device->queue, &w, &lent.workspace, &error));
    case_result whole = forward(t, tokens, NULL), parts = forward(&lent, tokens, NULL);
    assert_int_equal(lent.launches, 2 * expected_launches(t));
    case_same(t->c, "passes", &parts, &whole, tokens);
    case_result_free(&whole);
    case_result_free(&parts);
    clmoe_workspace_destroy(lent.workspace);
    test_buffer_free(device, &memory);
}

static void says(const layer_case *c, const char *wanted) {
    char text[8192];
    OK(clmoe_layer_describe(c->layer, text, sizeof text, NULL, &error));
    if (strstr(text, wanted) == NULL) fail_msg("no \"%s\" in:\n%s", wanted, text);
}

static void try_row(const row *r) {
    test_device device = open_device(r->group);
    test_random random = test_random_new(61);
    trial t = {.c = make_case(&device, r)};
    const uint32_t tokens = MOST / t.c->oracle.slots + 1;
    float *logits = draw(tokens * t.c->oracle.classes, &random), *weight = draw(tokens * t.c->oracle.slots, &random);
    int32_t *index = draw_routes(t.c, tokens * t.c->oracle.slots, &random);
    t.logits = logits;
    t.weight = weight;
    t.index = index;
    t.x = case_input(t.c, tokens, &random);
    OK(clmoe_workspace_create(device.context, device.queue, NULL, &t.workspace, &error));
    says(t.c, "few slots    up to 64 without dispatch, router and select in one launch");
    for (t.kind = ROUTER; t.kind <= ROUTES; t.kind++) compare(&t, r->name);
    t.kind = ROUTER;
    compare_passes(&t, &device);
    clmoe_workspace_destroy(t.workspace);
    free(logits);
    free(weight);
    free(index);
    free(t.x);
    case_free(t.c);
    test_close(&device);
}

static void test_rows(void **state) {
    (void)state;
    const size_t count = sizeof rows / sizeof *rows;
    test_random random = test_random_new(62);
    for (size_t i = test_random_below(&random, 2); i < count; i += 2) try_row(&rows[i]); /* in turns */
}

/* Where no token's experts are known without all others; group: as a row's. */
static void try_expert_choice(uint32_t group, uint32_t tokens) {
    test_device device = open_device(group);
    test_random random = test_random_new(63);
    case_options o = case_default(40, 24, 6, 1);
    o.layer.routing.method = CLMOE_EXPERT_CHOICE;
    o.layer.routing.normalize = CLMOE_NORM_NONE;
    o.layer.routing.capacity_factor = 1.5f;
    trial t = {.c = case_new(&device, &o)};
    t.x = case_input(t.c, tokens, &random);
    OK(clmoe_workspace_create(device.context, device.queue, NULL, &t.workspace, &error));
    says(t.c, "few slots    by dispatch: experts choose among all tokens");
    says(t.c, "up           gpu/tile");
    case_result r = forward(&t, tokens, NULL);
    assert_true(t.dispatches >= 1);
    case_check(t.c, t.x, tokens, &r);
    case_result_free(&r);
    clmoe_workspace_destroy(t.workspace);
    free(t.x);
    case_free(t.c);
    test_close(&device);
}

static void test_expert_choice(void **state) {
    (void)state;
    try_expert_choice(0, 2);
    try_expert_choice(256, 101);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_expert_choice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
