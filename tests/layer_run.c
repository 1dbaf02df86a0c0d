/* Running a layer_case and judging what came out. */
#include <math.h>

#include "layer_case.h"

void *case_input(const layer_case *c, uint32_t tokens, test_random *random) {
    const size_t n = (size_t)tokens * c->options.hidden, size = test_format_bytes(c->options.layer.x_format);
    void *x = malloc(n * size + 1);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) test_store(x, c->options.layer.x_format, i, test_random_normal(random));
    return x;
}

void case_result_free(case_result *result) {
    free(result->out);
    free(result->index);
    free(result->weight);
    free(result->load);
    *result = (case_result){0};
}

case_buffers case_buffers_new(const layer_case *c, const void *x, uint32_t tokens) {
    test_device *device = c->device;
    const size_t T = tokens, H = c->options.hidden, slots = T * c->oracle.slots;
    case_buffers b = {.x = test_buffer_new(device, T * H * test_format_bytes(c->options.layer.x_format), x)};
    b.out = test_buffer_new(device, T * H * test_format_bytes(c->options.layer.out_format), NULL);
    b.index = test_buffer_new(device, slots * 4, NULL);
    b.weight = test_buffer_new(device, slots * 4, NULL);
    b.load = test_buffer_new(device, (size_t)c->oracle.classes * 4, NULL);
    clmoe_io_default(&b.io, sizeof b.io);
    b.io.tokens = tokens;
    b.io.x = b.x.at;
    if (c->options.layer.router_input) b.io.router_input = b.x.at; /* the same, as the oracle has it */
    b.io.out = b.out.at;
    b.io.out_index = b.index.at;
    b.io.out_weight = b.weight.at;
    b.io.out_load = b.load.at;
    return b;
}

case_result case_buffers_take(const layer_case *c, case_buffers *b) {
    test_buffer *from[] = {&b->out, &b->index, &b->weight, &b->load};
    void *to[4];
    for (int i = 0; i < 4; i++) {
        to[i] = malloc(from[i]->bytes + 1);
        assert_non_null(to[i]);
        test_buffer_read(c->device, from[i], to[i]);
        test_buffer_free(c->device, from[i]);
    }
    test_buffer_free(c->device, &b->x);
    return (case_result){to[0], to[1], to[2], to[3]};
}

case_result case_forward(layer_case *c, clmoe_workspace *workspace, const void *x, uint32_t tokens) {
    clmoe_error error = {.struct_size = sizeof error};
    case_buffers b = case_buffers_new(c, x, tokens);
    OK(clmoe_forward(c->layer, workspace, c->device->queue, &b.io, 0, NULL, NULL, &error));
    return case_buffers_take(c, &b);
}

void case_same(const layer_case *c, const char *what, const case_result *a, const case_result *b, uint32_t tokens) {
    const size_t T = tokens, slots = T * c->oracle.slots;
    case_same_bits(what, a->index, b->index, slots * 4);
    case_same_bits(what, a->weight, b->weight, slots * 4);
    case_same_bits(what, a->load, b->load, (size_t)c->oracle.classes * 4);
    case_same_bits(what, a->out, b->out, case_row_bytes(c) * T);
}

size_t case_row_bytes(const layer_case *c) {
    return c->options.hidden * test_format_bytes(c->options.layer.out_format);
}

static void check_routes(const layer_case *c, uint32_t tokens, const case_result *r) {
    const uint32_t slots = c->oracle.slots, classes = c->oracle.classes;
    const int choice = c->options.layer.routing.method == CLMOE_EXPERT_CHOICE;
    int32_t *load = calloc(classes, sizeof *load), *seen = malloc(classes * sizeof *seen);
    for (uint32_t i = 0; i < classes; i++) seen[i] = -1;
    for (uint32_t t = 0; t < tokens; t++) {
        for (uint32_t s = 0; s < slots; s++) {
            const int32_t index = r->index[(size_t)t * slots + s];
            if (index == -1 && choice) continue;
            if (index < 0 || (uint32_t)index >= classes) fail_msg("token %u slot %u: index %d", t, s, index);
            if (seen[index] == (int32_t)t) fail_msg("token %u names expert %d twice", t, index);
            seen[index] = (int32_t)t;
            load[index]++;
        }
    }
    for (uint32_t i = 0; i < classes; i++) {
        if (load[i] != r->load[i]) fail_msg("load of class %u is %d, %d routes name it", i, r->load[i], load[i]);
    }
    free(load);
    free(seen);
}

static int rounds_to_bf16(const layer_case *c) {
    for (int i = 0; i < CASE_MATRICES; i++) {
        const case_plan *p = &c->plan[i];
        if (p->arithmetic == CLMOE_ARITHMETIC_BF16) return 1;
        if (p->arithmetic == CLMOE_ARITHMETIC_AUTO && p->kept == CLMOE_BF16) return 1;
    }
    return 0;
}

/* What clmoe_layer_desc.y_format says that storing the experts' y may cost, relative to y. */
static double y_error(uint32_t format) {
    return format == CLMOE_BF16 ? 0x1p-8 : format == CLMOE_F16 ? 0x1p-11 : 0;
}

void case_check_output(const layer_case *c, const void *x, uint32_t tokens, const int32_t *index, const float *weight,
                       const void *before, const void *out) {
    const size_t H = c->options.hidden, n = (size_t)tokens * H;
    const uint32_t format = c->options.layer.out_format;
    double *values = calloc(4 * n + 1, sizeof *values), *old = values + n, *wanted = old + n, *magnitude = wanted + n;
    for (size_t i = 0; i < n; i++) {
        values[i] = test_load(x, c->options.layer.x_format, i);
        if (before != NULL) old[i] = test_load(before, format, i);
    }
    const uint32_t longest = c->oracle.shared.intermediate > c->options.intermediate ? c->oracle.shared.intermediate
                                                                                      : c->options.intermediate;
    const uint32_t widest = c->options.hidden > c->options.latent ? c->options.hidden : c->options.latent;
    const uint32_t terms = widest > longest ? widest : longest;
    const int bf16 = rounds_to_bf16(c);
    oracle_layer layer = c->oracle;
    layer.y_slack = y_error(c->options.layer.y_format) / oracle_relative(terms, bf16);
    oracle_forward(&layer, values, tokens, index, weight, before != NULL ? old : NULL, wanted, magnitude);
    for (size_t i = 0; i < n; i++) {
        const double got = test_load(out, format, i);
        const double allowed = oracle_tolerance(wanted[i], magnitude[i], terms, bf16, format);
        if (!(fabs(got - wanted[i]) <= allowed)) {
            fail_msg("out[%zu][%zu] is %.9g, the oracle says %.9g, allowed error %.2g", i / H, i % H, got, wanted[i],
                     allowed);
        }
    }
    free(values);
}

double case_nmse(const layer_case *c, const void *x, uint32_t tokens, const case_result *r) {
    const size_t n = (size_t)tokens * c->options.hidden;
    double *values = calloc(3 * n + 1, sizeof *values), *wanted = values + n, *magnitude = wanted + n, error = 0,
           power = 0;
    oracle_layer exact = c->oracle;
    exact.experts.up_rounds = exact.experts.down_rounds = exact.shared.up_rounds = exact.shared.down_rounds =
        ORACLE_EXACT;
    exact.latent_in_rounds = exact.latent_out_rounds = ORACLE_EXACT;
    for (size_t i = 0; i < n; i++) values[i] = test_load(x, c->options.layer.x_format, i);
    oracle_forward(&exact, values, tokens, r->index, r->weight, NULL, wanted, magnitude);
    for (size_t i = 0; i < n; i++) {
        const double off = test_load(r->out, c->options.layer.out_format, i) - wanted[i];
        error += off * off;
        power += wanted[i] * wanted[i];
    }
    free(values);
    return power > 0 ? error / power : error;
}

void case_check(const layer_case *c, const void *x, uint32_t tokens, const case_result *r) {
    check_routes(c, tokens, r);
    case_check_output(c, x, tokens, r->index, r->weight, NULL, r->out);
}

clmoe_workspace *case_workspace(const layer_case *c, uint32_t tokens, test_buffer *memory) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_workspace_desc d;
    clmoe_workspace_desc_default(&d, sizeof d);
    OK(clmoe_layer_workspace_bytes(c->layer, tokens, &d.memory_bytes, &error));
    *memory = test_buffer_new(c->device, (size_t)d.memory_bytes, NULL);
    d.memory = memory->at;
    clmoe_workspace *workspace = NULL;
    OK(clmoe_workspace_create(c->device->context, c->device->queue, &d, &workspace, &error));
    return workspace;
}

void case_run_exactly(layer_case *c, uint32_t tokens, test_random *random) {
    test_buffer memory;
    clmoe_workspace *workspace = case_workspace(c, tokens, &memory);
    void *x = case_input(c, tokens, random);
    case_result r = case_forward(c, workspace, x, tokens);
    case_check(c, x, tokens, &r);
    case_result_free(&r);
    free(x);
    clmoe_workspace_destroy(workspace);
    test_buffer_free(c->device, &memory);
}

case_result case_run(test_device *device, const case_options *options, uint32_t tokens, uint64_t stream) {
    layer_case *c = case_new(device, options);
    test_random random = test_random_new(stream);
    void *x = case_input(c, tokens, &random);
    case_result r = case_forward(c, NULL, x, tokens);
    case_check(c, x, tokens, &r);
    free(x);
    case_free(c);
    return r;
}

void case_same_bits(const char *what, const void *a, const void *b, size_t bytes) {
    const uint8_t *p = a, *q = b;
    for (size_t i = 0; i < bytes; i++) {
        if (p[i] != q[i]) fail_msg("%s: byte %zu of %zu differs", what, i, bytes);
    }
}
