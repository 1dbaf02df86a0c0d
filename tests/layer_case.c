/* Making the weights of a layer_case: what each matrix is kept in, values, and the library's objects. */
#include "layer_case.h"

#include <math.h>
#include <stdio.h>

#include "block_oracle.h"
#include "case_tensors.h"

case_options case_default(uint32_t hidden, uint32_t intermediate, uint32_t experts, uint32_t top_k) {
    case_options o = {.stream = 1, .hidden = hidden, .intermediate = intermediate, .format = CLMOE_F32,
                      .source_format = CLMOE_F32, .arithmetic = CLMOE_ARITHMETIC_AUTO};
    clmoe_layer_desc_default(&o.layer, sizeof o.layer);
    o.layer.routing.num_experts = experts;
    o.layer.routing.top_k = top_k;
    o.layer.routing.normalize = CLMOE_NORM_SUM;
    return o;
}

/* -------------------------------------------------------------------------------------------------- plan */

static int is_wide(uint32_t format) { return format >= CLMOE_F32 && format <= CLMOE_BF16; }

/* Blocks stay what they are where panels may have them, which those from 32 on may not. */
static uint32_t kept_format(uint32_t source) {
    return source >= CLMOE_Q2_K && source <= CLMOE_TQ2_0 ? (uint32_t)CLMOE_F16 : source;
}

static case_plan plan_of(const case_options *o, enum case_matrix matrix) {
    const uint32_t up = kept_format(o->blocks[CASE_UP] != 0 ? o->blocks[CASE_UP] : o->source_format);
    case_plan plan = {o->blocks[matrix] != 0 ? o->blocks[matrix] : o->source_format, o->format, o->arithmetic};
    if (o->format == CLMOE_FORMAT_NONE && o->blocks[matrix] != 0) plan.kept = kept_format(plan.source);
    else if (o->format == CLMOE_FORMAT_NONE) plan.kept = is_wide(up) ? up : plan.source;
    const int fits_bf16 = plan.kept == CLMOE_BF16 || !is_wide(plan.kept), fits_int8 = !is_wide(plan.kept);
    if (o->arithmetic == CLMOE_ARITHMETIC_BF16 && !fits_bf16) plan.arithmetic = CLMOE_ARITHMETIC_F32;
    if (o->arithmetic == CLMOE_ARITHMETIC_INT8 && !fits_int8) plan.arithmetic = CLMOE_ARITHMETIC_F32;
    return plan;
}

static int rounding(const layer_case *c, enum case_matrix matrix) {
    switch (c->plan[matrix].arithmetic) {
    case CLMOE_ARITHMETIC_BF16: return ORACLE_BF16;
    case CLMOE_ARITHMETIC_INT8: return ORACLE_INT8;
    default: return ORACLE_EXACT;
    }
}

static void set_roundings(layer_case *c) {
    c->oracle.experts.up_rounds = rounding(c, CASE_UP);
    c->oracle.experts.down_rounds = rounding(c, CASE_DOWN);
    c->oracle.shared.up_rounds = rounding(c, CASE_SHARED_UP);
    c->oracle.shared.down_rounds = rounding(c, CASE_SHARED_DOWN);
    c->oracle.latent_in_rounds = rounding(c, CASE_LATENT_IN);
    c->oracle.latent_out_rounds = rounding(c, CASE_LATENT_OUT);
}

static const char *format_name(uint32_t format) {
    static const char *const wide[] = {"", "f32", "f16", "bf16"};
    return is_wide(format) ? wide[format] : block_format_of(format)->name;
}

/* What the layer says of a stage must be what was planned; AUTO becomes what it chose. */
static void settle_stage(case_plan *plan, const char *text, const char *stage) {
    static const char *const names[] = {"auto", "f32", "bf16", "int8"};
    char key[32], format[16], arithmetic[16];
    (void)snprintf(key, sizeof key, "\n%-12s ", stage);
    const char *line = strstr(text, key);
    if (line == NULL) return;
    assert_int_equal(sscanf(line + strlen(key), "%*[^,], %15s weights, %15s arithmetic", format, arithmetic), 2);
    uint32_t chosen = 1;
    while (chosen < 3 && strcmp(arithmetic, names[chosen]) != 0) chosen++;
    const int planned = plan->arithmetic == CLMOE_ARITHMETIC_AUTO || plan->arithmetic == chosen;
    if (strcmp(format, format_name(plan->kept)) != 0 || !planned)
        fail_msg("%s is kept in %s with %s arithmetic, expected %s with %s", stage, format, arithmetic,
                 format_name(plan->kept), names[plan->arithmetic]);
    plan->arithmetic = chosen;
}

static void settle(layer_case *c) {
    static const char *const stages[CASE_MATRICES] = {"up",          "down",      "shared up",
                                                      "shared down", "latent in", "latent out"};
    char text[4096];
    clmoe_error error = {.struct_size = sizeof error};
    OK(clmoe_layer_describe(c->layer, text, sizeof text, NULL, &error));
    for (int i = 0; i < CASE_MATRICES; i++) settle_stage(&c->plan[i], text, stages[i]);
    set_roundings(c);
}

/* ------------------------------------------------------------------------------------------------- values */

static void repeat_first(double *values, size_t experts, size_t each) {
    for (size_t e = 1; e < experts && values != NULL; e++) memcpy(values + e * each, values, each * sizeof *values);
}

static void draw_ffn(layer_case *c, oracle_ffn *f, uint32_t experts, uint32_t hidden, uint32_t intermediate,
                     int up_bias, int down_bias, const clmoe_activation *activation, enum case_matrix up,
                     uint64_t stream) {
    test_random random = test_random_new(c->options.stream * 16 + stream);
    const size_t H = hidden, I = intermediate, n = experts;
    *f = (oracle_ffn){.experts = experts, .hidden = hidden, .intermediate = intermediate};
    f->activation = *activation;
    const double in = 1 / sqrt((double)H), mid = 1 / sqrt((double)I);
    f->up = case_draw_matrix(c, up, &random, n * I * H, in);
    f->down = case_draw_matrix(c, up + 1, &random, n * H * I, mid);
    if (activation->gated) f->gate = case_draw_matrix(c, up, &random, n * I * H, in);
    if (up_bias) f->up_bias = case_draw(c, &random, n * I, 0.5, CLMOE_FORMAT_NONE);
    if (up_bias && activation->gated) f->gate_bias = case_draw(c, &random, n * I, 0.5, CLMOE_FORMAT_NONE);
    if (down_bias) f->down_bias = case_draw(c, &random, n * H, 0.5, CLMOE_FORMAT_NONE);
    if ((c->options.with & CASE_IDENTICAL) == 0) return;
    assert_true(c->block_count == 0); /* blocks are not repeated */
    repeat_first(f->up, n, I * H);
    repeat_first(f->gate, n, I * H);
    repeat_first(f->down, n, I * H);
    repeat_first(f->up_bias, n, I);
    repeat_first(f->gate_bias, n, I);
    repeat_first(f->down_bias, n, H);
}

static void describe_ffn(layer_case *c, const oracle_ffn *f, clmoe_ffn *desc) {
    const size_t H = f->hidden, I = f->intermediate, n = f->experts;
    desc->num_experts = f->experts;
    desc->intermediate_size = f->intermediate;
    desc->gated = f->activation.gated;
    desc->down = case_tensor(c, f->down, n, H, I);
    if (f->down_bias != NULL) desc->down_bias = case_tensor(c, f->down_bias, n, 1, H);
    if (f->gate != NULL && c->options.gate_up != CLMOE_GATE_UP_SEPARATE) {
        desc->gate_up = c->options.gate_up;
        desc->up = case_tensor(c, case_merge(c, f->gate, f->up, n, I, H), n, 2 * I, H);
        if (f->up_bias != NULL)
            desc->up_bias = case_tensor(c, case_merge(c, f->gate_bias, f->up_bias, n, I, 1), n, 1, 2 * I);
        return;
    }
    desc->up = case_tensor(c, f->up, n, I, H);
    if (f->up_bias != NULL) desc->up_bias = case_tensor(c, f->up_bias, n, 1, I);
    if (f->gate == NULL) return;
    desc->gate = case_tensor(c, f->gate, n, I, H);
    if (f->gate_bias != NULL) desc->gate_bias = case_tensor(c, f->gate_bias, n, 1, I);
}

static void multiply(double *values, const double *factors, size_t experts, size_t each) {
    for (size_t i = 0; i < experts * each; i++) values[i] *= factors[i / each];
}

/* Factors on products are the library's vectors, and from here on part of the oracle's weights. */
static void describe_factors(layer_case *c, const oracle_ffn *f, clmoe_ffn *desc, uint64_t stream) {
    test_random random = test_random_new(c->options.stream * 16 + stream);
    const size_t n = f->experts, each = (size_t)f->hidden * f->intermediate;
    const double *up = case_draw(c, &random, n, 1, CLMOE_FORMAT_NONE), *gate = up;
    const double *down = case_draw(c, &random, n, 1, CLMOE_FORMAT_NONE);
    const int separate = f->gate != NULL && c->options.gate_up == CLMOE_GATE_UP_SEPARATE;
    if (separate) gate = case_draw(c, &random, n, 1, CLMOE_FORMAT_NONE);
    if (separate) desc->gate_scale = case_tensor(c, gate, 1, 1, n);
    desc->up_scale = case_tensor(c, up, 1, 1, n);
    desc->down_scale = case_tensor(c, down, 1, 1, n);
    multiply(f->up, up, n, each);
    multiply(f->down, down, n, each);
    if (f->gate != NULL) multiply(f->gate, gate, n, each);
}

/* -------------------------------------------------------------------------------------------------- case */

/* Moves a drawn set of all experts to the share [first, first + count). */
static void take_share(oracle_ffn *f, uint32_t first, uint32_t count) {
    const size_t I = f->intermediate, H = f->hidden, n = first;
    f->experts = count;
    f->up += n * I * H;
    f->down += n * I * H;
    if (f->gate != NULL) f->gate += n * I * H;
    if (f->up_bias != NULL) f->up_bias += n * I;
    if (f->gate_bias != NULL) f->gate_bias += n * I;
    if (f->down_bias != NULL) f->down_bias += n * H;
}

static void describe_latent(layer_case *c, clmoe_weights_desc *desc) {
    test_random random = test_random_new(c->options.stream * 16 + 4);
    const size_t H = c->options.hidden, L = c->options.latent;
    c->oracle.latent_in = case_draw_matrix(c, CASE_LATENT_IN, &random, L * H, 1 / sqrt((double)H));
    c->oracle.latent_out = case_draw_matrix(c, CASE_LATENT_OUT, &random, H * L, 1 / sqrt((double)L));
    desc->latent_size = c->options.latent;
    desc->latent_in = case_tensor(c, c->oracle.latent_in, 1, L, H);
    desc->latent_out = case_tensor(c, c->oracle.latent_out, 1, H, L);
}

static void describe_rest(layer_case *c, clmoe_weights_desc *desc) {
    test_random random = test_random_new(c->options.stream * 16 + 3);
    const case_options *o = &c->options;
    oracle_layer *oracle = &c->oracle;
    const size_t H = o->hidden, classes = oracle->classes;
    const double in = 1 / sqrt((double)H);
    oracle->router = case_draw(c, &random, classes * H, 2 * in, CLMOE_FORMAT_NONE);
    if ((o->with & CASE_NO_ROUTER) == 0) desc->router = case_tensor(c, oracle->router, 1, classes, H);
    if (o->with & CASE_ROUTER_BIAS) {
        oracle->router_bias = case_draw(c, &random, classes, 0.5, CLMOE_FORMAT_NONE);
        desc->router_bias = case_tensor(c, oracle->router_bias, 1, 1, classes);
    }
    if (o->with & CASE_SELECT_BIAS) {
        c->select_bias = case_draw(c, &random, classes, 0.3, CLMOE_FORMAT_NONE);
        desc->select_bias = case_tensor(c, c->select_bias, 1, 1, classes);
    }
    if (o->with & CASE_EXPERT_SCALE) {
        c->expert_scale = case_draw(c, &random, classes, 1, CLMOE_FORMAT_NONE);
        desc->expert_scale = case_tensor(c, c->expert_scale, 1, 1, classes);
    }
    if (o->with & CASE_OUTPUT_BIAS) {
        oracle->output_bias = case_draw(c, &random, H, 1, CLMOE_FORMAT_NONE);
        desc->output_bias = case_tensor(c, oracle->output_bias, 1, 1, H);
    }
    if (o->with & CASE_SHARED_GATE) {
        oracle->shared_gate = case_draw(c, &random, H, in, CLMOE_FORMAT_NONE);
        desc->shared_gate = case_tensor(c, oracle->shared_gate, 1, 1, H);
    }
}

layer_case *case_describe(test_device *device, const case_options *options, clmoe_weights_desc *desc) {
    layer_case *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->options = *options;
    c->device = device;
    const case_options *o = &c->options;
    const clmoe_layer_desc *layer = &o->layer;
    oracle_layer *oracle = &c->oracle;
    oracle->hidden = o->hidden;
    oracle->classes = clmoe_routing_classes(&layer->routing);
    oracle->slots = clmoe_routing_slots(&layer->routing);
    oracle->num_experts = layer->routing.num_experts;
    oracle->zero_experts = layer->routing.zero_experts;
    oracle->first_expert = layer->first_expert;
    oracle->weight_on_input = layer->routing.weight_on == CLMOE_WEIGHT_ON_INPUT;
    oracle->leave_shared = layer->omit_shared != 0;
    oracle->routed_scale = (double)layer->routed_scale;
    oracle->shared_scale = (double)layer->shared_scale;

    for (int i = 0; i < CASE_MATRICES; i++) c->plan[i] = plan_of(o, (enum case_matrix)i);

    clmoe_weights_desc_default(desc, sizeof *desc);
    desc->hidden_size = o->hidden;
    desc->format = o->format;
    desc->arithmetic = o->arithmetic;
    desc->num_classes = oracle->classes;
    draw_ffn(c, &oracle->experts, layer->routing.num_experts, o->latent != 0 ? o->latent : o->hidden, o->intermediate,
             o->with & CASE_UP_BIAS, o->with & CASE_DOWN_BIAS, &layer->activation, CASE_UP, 1);
    if (layer->local_experts != 0) take_share(&oracle->experts, layer->first_expert, layer->local_experts);
    describe_ffn(c, &oracle->experts, &desc->experts);
    if (o->with & CASE_FACTORS) describe_factors(c, &oracle->experts, &desc->experts, 5);
    if (o->shared_intermediate != 0) {
        draw_ffn(c, &oracle->shared, 1, o->hidden, o->shared_intermediate, o->with & CASE_SHARED_BIAS,
                 o->with & CASE_SHARED_BIAS, &layer->shared_activation, CASE_SHARED_UP, 2);
        describe_ffn(c, &oracle->shared, &desc->shared);
        if (o->with & CASE_FACTORS) describe_factors(c, &oracle->shared, &desc->shared, 6);
    }
    if (o->latent != 0) describe_latent(c, desc);
    describe_rest(c, desc);
    set_roundings(c);
    return c;
}

layer_case *case_new(test_device *device, const case_options *options) {
    clmoe_weights_desc desc;
    clmoe_error error = {.struct_size = sizeof error};
    layer_case *c = case_describe(device, options, &desc);
    OK(clmoe_weights_create(device->context, &desc, &c->weights, &error));
    case_drop_sources(c); /* they are read during the call only */
    OK(clmoe_layer_create(device->context, c->weights, &options->layer, &c->layer, &error));
    settle(c);
    return c;
}

void case_free(layer_case *c) {
    if (c == NULL) return;
    clmoe_layer_destroy(c->layer);
    clmoe_weights_destroy(c->weights);
    case_drop_sources(c);
    case_drop_values(c);
    free(c);
}
