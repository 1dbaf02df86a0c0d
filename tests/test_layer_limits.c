/* Memory: passes over tokens, sharded weights, a device's share of the experts, nothing allocated by a second forward,
 * and the bound on what a forward needs. Lowered limits change no bit. */
#include <math.h>

#include "layer_case.h"

static clmoe_error error = {.struct_size = sizeof error};

static clmoe_context_desc limits(uint64_t max_alloc, uint64_t max_workspace) {
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.max_alloc_bytes = max_alloc;
    d.max_workspace_bytes = max_workspace;
    return d;
}

/* latent 0: none, but zero experts, which exclude each other. */
static case_options middle_case(uint32_t latent) {
    case_options o = case_default(72, 50, 16, 4);
    o.latent = latent;
    o.shared_intermediate = 30;
    o.with = CASE_DOWN_BIAS | CASE_ROUTER_BIAS;
    o.layer.routing.zero_experts = latent == 0 ? 2 : 0;
    return o;
}
static const uint32_t latents[] = {0, 24};

/* The result of the same layer and input in a context with these limits, checked against the oracle. */
static case_result run_with(const clmoe_context_desc *desc, const case_options *o, uint32_t tokens) {
    test_device device = test_open(desc);
    const case_result r = case_run(&device, o, tokens, 41);
    test_close(&device);
    return r;
}

static void same(const char *what, const case_result *a, const case_result *b, const case_options *o, size_t tokens) {
    const size_t classes = clmoe_routing_classes(&o->layer.routing),
                 slots = tokens * clmoe_routing_slots(&o->layer.routing);
    case_same_bits(what, a->index, b->index, slots * 4);
    case_same_bits(what, a->weight, b->weight, slots * 4);
    case_same_bits(what, a->load, b->load, classes * 4);
    case_same_bits(what, a->out, b->out, tokens * o->hidden * test_format_bytes(o->layer.out_format));
}

static void passes(uint32_t latent) {
    enum { T = 75 };
    const case_options o = middle_case(latent);
    case_result whole = run_with(NULL, &o, T);
    test_device device = test_open(NULL);
    layer_case *c = case_new(&device, &o);
    static const uint32_t arenas[] = {1, 4, 30}; /* tokens that fit */
    for (size_t i = 0; i < sizeof arenas / sizeof *arenas; i++) {
        uint64_t bytes = 0, all = 0;
        OK(clmoe_layer_workspace_bytes(c->layer, arenas[i], &bytes, &error));
        OK(clmoe_layer_workspace_bytes(c->layer, T, &all, &error));
        assert_true(bytes < all);
        const clmoe_context_desc d = limits(0, bytes);
        case_result r = run_with(&d, &o, T);
        same("passes", &r, &whole, &o, T);
        case_result_free(&r);

        test_buffer memory; /* the same by the caller's */
        clmoe_workspace *workspace = case_workspace(c, arenas[i], &memory);
        test_random random = test_random_new(41);
        void *x = case_input(c, T, &random);
        r = case_forward(c, workspace, x, T);
        same("passes in lent memory", &r, &whole, &o, T);
        case_result_free(&r);
        free(x);
        clmoe_workspace_destroy(workspace);
        test_buffer_free(&device, &memory);
    }
    /* One byte less than a token needs is refused with the size. */
    uint64_t least = 0;
    OK(clmoe_layer_workspace_bytes(c->layer, 1, &least, &error));
    clmoe_workspace_desc w;
    clmoe_workspace_desc_default(&w, sizeof w);
    test_buffer memory = test_buffer_new(&device, (size_t)least, NULL);
    w.memory = memory.at;
    w.memory_bytes = least / 2;
    clmoe_workspace *workspace = NULL;
    OK(clmoe_workspace_create(device.context, device.queue, &w, &workspace, &error));
    float *x = calloc(T, 72 * sizeof *x);
    case_buffers b = case_buffers_new(c, x, T);
    FAILS(clmoe_forward(c->layer, workspace, device.queue, &b.io, 0, NULL, NULL, &error), CLMOE_OUT_OF_DEVICE_MEMORY,
          "bytes");
    case_result r = case_buffers_take(c, &b);
    case_result_free(&r);
    free(x);
    clmoe_workspace_destroy(workspace);
    test_buffer_free(&device, &memory);
    case_free(c);
    test_close(&device);
    case_result_free(&whole);
}

static void test_passes(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) passes(latents[i]);
}

/* Weights of several buffers: the largest tensor is cut in about two, five and seven. */
static void test_shards(void **state) {
    (void)state;
    enum { T = 21 };
    static const uint32_t formats[] = {CLMOE_F32, CLMOE_BF16};
    for (size_t f = 0; f < 2; f++) {
        case_options o = middle_case(0);
        o.format = formats[f];
        o.arithmetic = CLMOE_ARITHMETIC_F32;
        case_result whole = run_with(NULL, &o, T);
        const uint64_t largest = (uint64_t)16 * 2 * 64 * 72 * test_format_bytes(o.format); /* up and gate, padded */
        for (uint64_t pieces = 2; pieces <= 6; pieces += 2) {
            const clmoe_context_desc d = limits(largest / pieces + largest / 16, 0);
            case_result r = run_with(&d, &o, T);
            same("sharded weights", &r, &whole, &o, T);
            case_result_free(&r);
        }
        case_result_free(&whole);
    }
}

/* Three devices' shares add up to the whole. */
static void shares(uint32_t latent) {
    enum { T = 14 };
    case_options o = middle_case(latent);
    const size_t n = (size_t)T * o.hidden;
    case_result whole = run_with(NULL, &o, T);
    double *sum = calloc(n, sizeof *sum);
    static const uint32_t first[] = {0, 5, 6, 16};
    for (int part = 0; part < 3; part++) {
        o.layer.first_expert = first[part];
        o.layer.local_experts = first[part + 1] - first[part];
        o.layer.omit_shared = part != 1;
        case_result r = run_with(NULL, &o, T);
        const size_t slots = (size_t)T * 4;
        case_same_bits("routes of a share", r.index, whole.index, slots * 4);
        case_same_bits("load of a share", r.load, whole.load, clmoe_routing_classes(&o.layer.routing) * 4);
        for (size_t i = 0; i < n; i++) sum[i] += test_load(r.out, CLMOE_F32, i);
        case_result_free(&r);
    }
    for (size_t i = 0; i < n; i++) {
        const double wanted = test_load(whole.out, CLMOE_F32, i);
        assert_true(fabs(sum[i] - wanted) <= 1e-5 * (1 + fabs(wanted)));
    }
    free(sum);
    case_result_free(&whole);
}

static void test_shares(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) shares(latents[i]);
}

static clmoe_memory_stats memory(const test_device *device) {
    clmoe_memory_stats s = {.struct_size = sizeof s};
    OK(clmoe_context_memory(device->context, &s, &error));
    return s;
}

/* What a workspace may take: gathered rows, h and y of every row, where a latent space makes rows of L but needs room
 * for every token's x and output in turn; the plan; the logits. */
static uint64_t workspace_bound(const layer_case *c, uint64_t tokens) {
    const case_options *o = &c->options;
    const uint64_t rows = tokens * c->oracle.slots, L = o->latent, H = o->hidden;
    const uint64_t wide = L == 0 ? rows * H : rows * L > tokens * H ? rows * L : tokens * H;
    return (2 * wide + rows * o->intermediate) * 4 + rows * 32 + tokens * c->oracle.classes * 4 + (1u << 20);
}

static void memory_of(uint32_t latent) {
    enum { T = 512 };
    test_device device = test_open(NULL);
    const case_options o = middle_case(latent);
    const clmoe_memory_stats empty = memory(&device);
    layer_case *c = case_new(&device, &o);
    const clmoe_memory_stats loaded = memory(&device);
    assert_true(loaded.bytes_in_use >= empty.bytes_in_use + clmoe_weights_bytes(c->weights));
    test_random random = test_random_new(42);
    void *x = case_input(c, T, &random);
    case_result r = case_forward(c, NULL, x, T);
    case_result_free(&r);
    const clmoe_memory_stats first = memory(&device);
    const uint64_t bound = workspace_bound(c, T);
    uint64_t arena = 0;
    OK(clmoe_layer_workspace_bytes(c->layer, T, &arena, &error));
    print_message("workspace of %d tokens: %llu bytes, bound %llu\n", T, (unsigned long long)arena,
                  (unsigned long long)bound);
    assert_true(arena <= bound);
    assert_true(first.bytes_in_use - loaded.bytes_in_use <= bound);
    assert_true(first.high_water >= first.bytes_reserved && first.bytes_reserved >= first.bytes_in_use);
    for (uint32_t tokens = T; tokens > 0; tokens = tokens / 3) {
        r = case_forward(c, NULL, x, tokens);
        case_result_free(&r);
    }
    const clmoe_memory_stats again = memory(&device);
    assert_int_equal(again.requests, first.requests);
    assert_int_equal(again.bytes_reserved, first.bytes_reserved);
    void *y = calloc(T, case_row_bytes(c));
    OK(clmoe_forward_host(c->layer, x, T, y, &error));
    const clmoe_memory_stats host = memory(&device);
    OK(clmoe_forward_host(c->layer, x, T, y, &error));
    assert_int_equal(memory(&device).requests, host.requests);
    free(x);
    free(y);
    case_free(c);
    test_close(&device);
}

static void test_memory(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) memory_of(latents[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_passes), cmocka_unit_test(test_shards),
                                       cmocka_unit_test(test_shares), cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
