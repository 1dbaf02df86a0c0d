/* Few tokens on a CPU. One takes three launches: the router in the launch that routes, and the sum of its rows in
 * down's; every bit is what the token has among others. Some take five, the router with select and the dispatch with
 * the gather; each has the bits that it has among many. */
#include <stdio.h>

#include "layer_case.h"
#include "one_device.h"

static clmoe_error error;

enum { LAUNCHES = 64, NEIGHBOURS = 3, MANY_SLOTS = 1040 /* for which stages are launched apart */ };

/* From where the routes come. */
enum { ROUTER, LOGITS, ROUTES };
static const char *const kinds[] = {"router", "logits", "routes"};

#define BIASES (CASE_UP_BIAS | CASE_DOWN_BIAS | CASE_OUTPUT_BIAS)

static const struct row {
    const char *name;
    uint32_t format, arithmetic, block; /* block: of the experts, or CLMOE_FORMAT_NONE */
    uint32_t hidden, experts, top_k, with;
    uint32_t zero_experts, on_input, first_expert, local_experts, shared;
    uint32_t launches; /* with a router, of the cpu macro-kernel; 0: not said */
} rows[] = {
    {"f32", CLMOE_F32, CLMOE_ARITHMETIC_AUTO, 0, 100, 9, 3, CASE_ROUTER_BIAS, 0, 0, 0, 0, 0, 3},
    {"f32, x is a packed row", CLMOE_F32, CLMOE_ARITHMETIC_AUTO, 0, 64, 9, 3, 0, 0, 0, 0, 0, 0, 3},
    {"bf16", CLMOE_BF16, CLMOE_ARITHMETIC_AUTO, 0, 52, 40, 4, BIASES, 0, 0, 0, 0, 0, 3},
    {"f16 with identities", CLMOE_F16, CLMOE_ARITHMETIC_AUTO, 0, 70, 9, 5, CASE_SELECT_BIAS, 3, 0, 0, 0, 0, 3},
    {"int8", CLMOE_F32, CLMOE_ARITHMETIC_INT8, CLMOE_Q8_0, 128, 12, 3, 0, 0, 0, 0, 0, 0, 3},
    {"a share", CLMOE_F32, CLMOE_ARITHMETIC_AUTO, 0, 33, 12, 4, CASE_EXPERT_SCALE, 0, 0, 5, 3, 0, 3},
    {"weights on the input", CLMOE_F32, CLMOE_ARITHMETIC_AUTO, 0, 48, 6, 2, 0, 0, 1, 0, 0, 0, 0},
    {"shared experts", CLMOE_F32, CLMOE_ARITHMETIC_AUTO, 0, 48, 6, 2, CASE_SHARED_GATE, 0, 0, 0, 0, 21, 0},
};
enum { ROWS = sizeof rows / sizeof *rows };

static layer_case *make(const struct row *r) {
    case_options o = case_default(r->hidden, r->block != 0 ? 64 : 39, r->experts, r->top_k);
    o.format = r->block != 0 ? r->block : r->format;
    o.source_format = r->format;
    o.arithmetic = r->arithmetic;
    for (int m = CASE_UP; m <= CASE_DOWN && r->block != 0; m++) o.blocks[m] = r->block;
    o.with = r->with;
    o.shared_intermediate = r->shared;
    if (r->format == CLMOE_F16) o.layer.x_format = o.layer.out_format = CLMOE_F16;
    if (r->with & CASE_SELECT_BIAS) o.layer.routing.bias_on = CLMOE_BIAS_ON_SCORE;
    if (r->on_input) o.layer.routing.weight_on = CLMOE_WEIGHT_ON_INPUT;
    o.layer.routing.zero_experts = r->zero_experts;
    o.layer.first_expert = r->first_expert;
    o.layer.local_experts = r->local_experts;
    return case_new(&device, &o);
}

/* What a forward reads beside x; host values. */
typedef struct inputs {
    int kind;
    const float *logits, *weight;
    const int32_t *index;
    const void *before; /* of out, to which it is added; NULL: nothing is */
} inputs;

/* A forward of `tokens`; valid >= 0: as many as the device is told. */
static case_result forward(layer_case *c, const void *x, uint32_t tokens, int32_t valid, const inputs *in,
                           uint32_t *launches) {
    const size_t slots = (size_t)tokens * c->oracle.slots * 4;
    clmoe_workspace *workspace = NULL;
    OK(clmoe_workspace_create(device.context, device.queue, NULL, &workspace, &error));
    case_buffers b = case_buffers_new(c, x, tokens);
    test_buffer count = test_buffer_new(&device, 4, &valid);
    test_buffer logits = test_buffer_new(&device, (size_t)tokens * c->oracle.classes * 4, in->logits);
    test_buffer index = test_buffer_new(&device, slots, in->index);
    test_buffer weight = test_buffer_new(&device, slots, in->weight);
    if (valid >= 0) b.io.token_count = count.at;
    if (in->kind == LOGITS) b.io.logits = logits.at;
    if (in->kind == ROUTES) {
        b.io.index = index.at;
        b.io.weight = weight.at;
        b.io.out_index = b.io.out_weight = (clmoe_buffer){0};
    }
    if (in->before != NULL) {
        test_buffer_free(&device, &b.out);
        b.out = test_buffer_new(&device, tokens * case_row_bytes(c), in->before);
        b.io.out = b.out.at;
        b.io.accumulate = 1;
    }
    OK(clmoe_forward(c->layer, workspace, device.queue, &b.io, 0, NULL, NULL, &error));
    case_result r = case_buffers_take(c, &b);
    clmoe_launch_time times[LAUNCHES];
    OK(clmoe_workspace_launches(workspace, times, LAUNCHES, launches, &error));
    test_buffer_free(&device, &count);
    test_buffer_free(&device, &logits);
    test_buffer_free(&device, &index);
    test_buffer_free(&device, &weight);
    clmoe_workspace_destroy(workspace);
    return r;
}

/* Whether up and down run in the cpu macro-kernel. */
static int is_cpu(const layer_case *c) {
    char text[8192];
    OK(clmoe_layer_describe(c->layer, text, sizeof text, NULL, &error));
    const char *up = strstr(text, "\nup "), *down = strstr(text, "\ndown ");
    assert_non_null(up);
    assert_non_null(down);
    up += strspn(up + 4, " ") + 4;
    down += strspn(down + 6, " ") + 6;
    return strncmp(up, "cpu/", 4) == 0 && strncmp(down, "cpu/", 4) == 0;
}

/* Token 0 alone and among others; alone with `launches` of them, unless 0. */
static void same_alone(layer_case *c, const char *name, const void *x, const inputs *in, uint32_t launches) {
    char what[96];
    (void)snprintf(what, sizeof what, "%s, %s%s", name, kinds[in->kind], in->before != NULL ? ", added" : "");
    uint32_t count, others;
    case_result alone = forward(c, x, 1, -1, in, &count), told = forward(c, x, 1, 1, in, &others);
    case_result among = forward(c, x, NEIGHBOURS, -1, in, &others);
    case_same_bits(what, alone.out, among.out, case_row_bytes(c));
    case_same_bits(what, alone.out, told.out, case_row_bytes(c));
    if (in->kind != ROUTES) {
        case_same_bits(what, alone.index, among.index, c->oracle.slots * sizeof *alone.index);
        case_same_bits(what, alone.weight, among.weight, c->oracle.slots * sizeof *alone.weight);
    }
    if (in->kind == ROUTER && in->before == NULL) case_check(c, x, 1, &alone);
    if (launches != 0 && is_cpu(c) && count != launches)
        fail_msg("%s: one token takes %u launches, expected %u", what, count, launches);
    case_result_free(&alone);
    case_result_free(&told);
    case_result_free(&among);
}

/* The first `few` tokens, of which `valid` count, have the bits that they have among `many`. */
static void same_among_many(layer_case *c, const char *name, const void *x, const inputs *in, uint32_t few,
                            uint32_t valid, uint32_t many, uint32_t launches) {
    char what[96];
    (void)snprintf(what, sizeof what, "%s, %s, %u of %u tokens", name, kinds[in->kind], valid, few);
    uint32_t count, others;
    case_result part = forward(c, x, few, (int32_t)valid, in, &count);
    case_result whole = forward(c, x, many, (int32_t)valid, in, &others);
    case_same_bits(what, part.out, whole.out, few * case_row_bytes(c));
    case_same_bits(what, part.load, whole.load, c->oracle.classes * sizeof *part.load);
    if (launches != 0 && is_cpu(c) && count != launches)
        fail_msg("%s: %u launches, expected %u", what, count, launches);
    case_result_free(&part);
    case_result_free(&whole);
}

/* A token that does not count leaves the output as it was. */
static void no_token(layer_case *c, const void *x) {
    const inputs in = {.kind = ROUTER};
    uint32_t launches;
    case_result r = forward(c, x, 1, 0, &in, &launches);
    for (size_t i = 0; i < case_row_bytes(c); i++) assert_int_equal(((const uint8_t *)r.out)[i], 0xcd);
    case_result_free(&r);
}

static void test_rows(void **state) {
    const struct row *r = *state;
    test_random random = test_random_new(31);
    layer_case *c = make(r);
    const uint32_t slots = c->oracle.slots, classes = c->oracle.classes, many = MANY_SLOTS / slots;
    void *x = case_input(c, many, &random), *before = case_input(c, NEIGHBOURS, &random);
    float *logits = malloc((size_t)many * classes * sizeof *logits);
    float *weight = malloc((size_t)many * slots * sizeof *weight);
    int32_t *index = malloc((size_t)many * slots * sizeof *index);
    for (uint32_t i = 0; i < many * classes; i++) logits[i] = (float)test_random_normal(&random);
    for (uint32_t i = 0; i < many * slots; i++) {
        weight[i] = (float)test_random_normal(&random);
        index[i] = i % 3 == 1 ? -1 : (int32_t)test_random_below(&random, r->experts); /* an expert may come twice */
    }
    const inputs plain = {.kind = ROUTER}, adds = {.kind = ROUTER, .before = before},
                 by_logits = {.kind = LOGITS, .logits = logits},
                 by_routes = {.kind = ROUTES, .index = index, .weight = weight};
    same_alone(c, r->name, x, &plain, r->launches);
    same_alone(c, r->name, x, &adds, r->launches);
    same_alone(c, r->name, x, &by_logits, r->launches);
    same_alone(c, r->name, x, &by_routes, 0);
    static const uint32_t few[][2] = {{2, 2}, {8, 7}, {9, 9}, {37, 37}, {37, 0}};
    for (size_t i = 0; i < sizeof few / sizeof *few; i++) {
        same_among_many(c, r->name, x, &plain, few[i][0], few[i][1], many, r->launches != 0 ? 5 : 0);
        same_among_many(c, r->name, x, &by_logits, few[i][0], few[i][1], many, r->launches != 0 ? 5 : 0);
        same_among_many(c, r->name, x, &by_routes, few[i][0], few[i][1], many, r->launches != 0 ? 4 : 0);
    }
    for (uint32_t i = 0; i < slots; i++) index[i] = -1; /* nobody has a row */
    same_alone(c, r->name, x, &by_routes, 0);
    no_token(c, x);
    free(x);
    free(before);
    free(logits);
    free(weight);
    free(index);
    case_free(c);
}

int main(void) {
    struct CMUnitTest tests[ROWS];
    for (int i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, test_rows, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
