/* Whole layers of random description against the double-precision oracle: shapes, storage formats, activations, biases,
 * arrangements and sources of weights, shared experts, latent spaces, zero and skip experts, routing presets.
 *
 * Every axis walks through its values one case after the other, each from a random start, so that a run of a dozen
 * cases meets every value and no two runs pair them alike. CLMOE_TEST_SECONDS sets how long it goes on (default 40). */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "layer_case.h"
#include "layer_routes.h"

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof *(array)))

enum axis { FORMAT, SOURCE_FORMAT, X_FORMAT, OUT_FORMAT, LAYOUT, SOURCE, GATE_UP, KIND, HIDDEN, INTERMEDIATE, EXPERTS,
            TOKENS, PRESET, SHARED, GAPS, CLASSES, LIMITS, LATENT, AXES };

typedef struct walk {
    uint32_t start[AXES], step;
    test_random random;
} walk;

/* The axis's value of this case, below n. */
static uint32_t at(const walk *w, enum axis axis, uint32_t n) { return (w->start[axis] + w->step) % n; }

static const uint32_t formats[] = {CLMOE_F32, CLMOE_BF16, CLMOE_F16};

static clmoe_activation activation(walk *w, uint32_t kind, int gated) {
    clmoe_activation a = {.kind = kind, .gated = gated != 0, .alpha = 1};
    switch (at(w, LIMITS, 4)) {
    case 1: /* gpt-oss */
        a.limit = 1.5f;
        a.up_offset = gated ? 1 : 0;
        if (kind == CLMOE_SILU) a.alpha = 1.702f;
        break;
    case 2:
        a.limit = 0.75f;
        a.limit_position = CLMOE_LIMIT_AFTER;
        break;
    case 3:
        if (gated) a.up_softcap = 2;
        if (kind == CLMOE_SILU && gated) a.gate_softcap = 1.5f;
        break;
    default: break;
    }
    if (!gated) a.limit = 0;
    return a;
}

static void choose_routing(walk *w, case_options *o) {
    clmoe_routing *r = &o->layer.routing;
    clmoe_error error = {.struct_size = sizeof error};
    const clmoe_routing plain = *r;
    uint32_t presets = 0;
    while (clmoe_routing_preset_name(presets) != NULL) presets++;
    const char *name = clmoe_routing_preset_name(at(w, PRESET, presets));
    OK(clmoe_routing_preset(r, name, &error));
    if (r->method == CLMOE_SPARSEMIXER && r->num_experts >= 2) r->top_k = 2;
    const uint32_t classes = at(w, CLASSES, 3);
    if (r->num_experts % 8 == 0 && classes == 0) {
        r->n_group = 8;
        r->topk_group = 4;
        if (r->top_k > r->num_experts / 2) r->top_k = r->num_experts / 2;
    }
    if (r->norm_p <= 0) r->norm_p = 2;
    if (r->scale == 1.0f) r->scale = 1.25f;
    switch (classes) {
    case 1: r->zero_experts = o->latent == 0 ? 3 : 0; break;
    case 2: r->skip_experts = 1; break;
    default: break;
    }
    if (clmoe_routing_validate(r, &error) != CLMOE_OK) {
        print_message("  preset %s does not fit E %u K %u (%s): default rule\n", name, r->num_experts, r->top_k,
                      error.message);
        *r = plain;
    } else {
        print_message("  preset %s\n", name);
    }
    o->with |= test_random_u64(&w->random) & (CASE_ROUTER_BIAS | CASE_EXPERT_SCALE);
    if (r->method != CLMOE_TOP_K || test_random_below(&w->random, 2) == 0) return;
    o->with |= CASE_SELECT_BIAS;
    if (r->score_position == CLMOE_SCORE_AFTER) r->bias_on = CLMOE_BIAS_ON_LOGIT; /* there is no score to add it to */
}

static case_options choose(walk *w, uint32_t *tokens) {
    static const uint32_t hidden[] = {100, 64, 33, 576, 96, 2880}, intermediate[] = {96, 33, 180, 64, 100};
    static const uint32_t experts[] = {32, 1, 71, 128, 31, 129}, batches[] = {5, 1, 37, 13, 64};
    const uint32_t E = experts[at(w, EXPERTS, COUNT(experts))];
    uint32_t H = hidden[at(w, HIDDEN, COUNT(hidden))];
    const uint32_t I = intermediate[at(w, INTERMEDIATE, COUNT(intermediate))];
    if ((uint64_t)E * H * I > 3200000u) H = E > 32 ? 64 : 100;
    uint32_t K = 1 + test_random_below(&w->random, E < 8 ? E : 8);
    if (test_random_below(&w->random, 4) == 0) K = E;
    case_options o = case_default(H, I, E, K);
    o.stream = 100 + w->step;
    o.format = formats[at(w, FORMAT, 3)];
    o.source_format = formats[at(w, SOURCE_FORMAT, 4) % 3];
    o.layer.x_format = formats[at(w, X_FORMAT, 5) % 3];
    o.layer.out_format = formats[at(w, OUT_FORMAT, 7) % 3];
    o.layout = at(w, LAYOUT, 2);
    o.source = at(w, SOURCE, 4);
    o.gaps = at(w, GAPS, 3) == 1 ? 3 : 0;
    const uint32_t kind = at(w, KIND, 6);
    o.layer.activation = activation(w, kind, w->step % 4 != 3);
    o.gate_up = at(w, GATE_UP, 3);
    o.with = (uint32_t)(test_random_u64(&w->random) & (CASE_UP_BIAS | CASE_DOWN_BIAS | CASE_OUTPUT_BIAS));
    if (at(w, SHARED, 2)) {
        o.shared_intermediate = 40 + 17 * test_random_below(&w->random, 3);
        o.with |= (uint32_t)(test_random_u64(&w->random) & (CASE_SHARED_GATE | CASE_SHARED_BIAS));
        o.layer.shared_activation = activation(w, (kind + 1) % 6, test_random_below(&w->random, 2) != 0);
        o.layer.shared_scale = 0.75f;
    }
    o.layer.routed_scale = test_random_below(&w->random, 2) ? 1 : 1.5f;
    if (at(w, LATENT, 3) == 1) o.latent = 20 + test_random_below(&w->random, H);
    choose_routing(w, &o);
    uint32_t T = batches[at(w, TOKENS, COUNT(batches))];
    while (T > 1 && (uint64_t)T * o.layer.routing.top_k * H * I > 20000000u) T /= 2;
    *tokens = T;
    return o;
}

static double seconds_left(time_t since) {
    const char *text = getenv("CLMOE_TEST_SECONDS");
    return (text != NULL && *text != 0 ? strtod(text, NULL) : 40) - difftime(time(NULL), since);
}

static void test_random_layers(void **state) {
    (void)state;
    test_device device = test_open(NULL);
    walk w = {.random = test_random_new(11)};
    for (int i = 0; i < AXES; i++) w.start[i] = test_random_below(&w.random, 420);
    const time_t since = time(NULL);
    for (w.step = 0; w.step < 4 || (w.step < 420 && seconds_left(since) > 0); w.step++) {
        uint32_t tokens = 0;
        const case_options o = choose(&w, &tokens);
        const clmoe_layer_desc *l = &o.layer;
        print_message("case %u: H %u L %u I %u E %u K %u T %u, format %u from %u, x %u, out %u, layout %u, source %u, "
                      "gate_up %u, gated %u kind %u, shared %u, with %x\n",
                      w.step, o.hidden, o.latent, o.intermediate, l->routing.num_experts, l->routing.top_k, tokens,
                      o.format, o.source_format, l->x_format, l->out_format, o.layout, o.source, o.gate_up,
                      l->activation.gated, l->activation.kind, o.shared_intermediate, o.with);
        layer_case *c = case_new(&device, &o);
        void *x = case_input(c, tokens, &w.random);
        case_result r = case_forward(c, NULL, x, tokens);
        case_check(c, x, tokens, &r);
        case_check_routes(c, x, tokens, &r);
        case_result_free(&r);
        free(x);
        case_free(c);
    }
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_layers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
