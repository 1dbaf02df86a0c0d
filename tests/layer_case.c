/* Making the weights of a layer_case: values, their arrangement in memory, and the library's objects. */
#include "layer_case.h"

#include <math.h>

case_options case_default(uint32_t hidden, uint32_t intermediate, uint32_t experts, uint32_t top_k) {
    case_options o = {.stream = 1, .hidden = hidden, .intermediate = intermediate, .format = CLMOE_F32,
                      .source_format = CLMOE_F32, .arithmetic = CLMOE_ARITHMETIC_AUTO};
    clmoe_layer_desc_default(&o.layer, sizeof o.layer);
    o.layer.routing.num_experts = experts;
    o.layer.routing.top_k = top_k;
    o.layer.routing.normalize = CLMOE_NORM_SUM;
    return o;
}

/* ------------------------------------------------------------------------------------------------ memory */

static void *keep(void ***list, size_t *count, void *memory) {
    assert_non_null(memory);
    *list = realloc(*list, (*count + 1) * sizeof **list);
    assert_non_null(*list);
    (*list)[(*count)++] = memory;
    return memory;
}

static double *owned(layer_case *c, size_t count) {
    return keep(&c->owned, &c->owned_count, calloc(count + 1, sizeof(double)));
}

static void *source(layer_case *c, size_t bytes) {
    return keep(&c->sources, &c->source_count, malloc(bytes != 0 ? bytes : 1));
}

static void free_list(void ***list, size_t *count) {
    for (size_t i = 0; i < *count; i++) free((*list)[i]);
    free(*list);
    *list = NULL;
    *count = 0;
}

/* ------------------------------------------------------------------------------------------------ tensors */

/* What is stored of one expert: [rows, columns], row_stride apart. */
typedef struct shape {
    size_t rows, columns, row_stride, expert_stride;
} shape;

static void store_expert(void *to, size_t base, const double *values, size_t out, size_t in, const shape *s,
                         const case_options *o) {
    for (size_t r = 0; r < s->rows; r++) {
        for (size_t k = 0; k < s->columns; k++) {
            const double value = values[o->layout == CLMOE_IN_OUT && out > 1 ? k * in + r : r * in + k];
            test_store(to, o->source_format, base + r * s->row_stride + k, value);
        }
    }
}

static void fill_nan(void *to, size_t elements, const case_options *o) {
    for (size_t i = 0; i < elements && o->gaps != 0; i++) test_store(to, o->source_format, i, (double)NAN);
}

static clmoe_buffer device_copy(layer_case *c, const void *from, size_t bytes) {
    c->buffers = realloc(c->buffers, (c->buffer_count + 1) * sizeof *c->buffers);
    assert_non_null(c->buffers);
    c->buffers[c->buffer_count] = test_buffer_new(c->device, bytes, from);
    return c->buffers[c->buffer_count++].at;
}

/* A tensor holding values [experts][out][in] (out 1: a vector, which has no layout and no row stride). Memory is exact:
 * nothing behind the last element. */
static clmoe_tensor tensor(layer_case *c, const double *values, size_t experts, size_t out, size_t in) {
    const case_options *o = &c->options;
    const int turned = o->layout == CLMOE_IN_OUT && out > 1;
    shape s = {.rows = turned ? in : out, .columns = turned ? out : in};
    s.row_stride = s.columns + (out > 1 ? o->gaps : 0);
    s.expert_stride = s.rows * s.row_stride + o->gaps;
    const size_t one = (s.rows - 1) * s.row_stride + s.columns, size = test_format_bytes(o->source_format);
    clmoe_tensor t = {.format = o->source_format, .layout = turned ? CLMOE_IN_OUT : CLMOE_OUT_IN};
    if (o->gaps != 0 && out > 1) t.row_stride = s.row_stride;
    if (o->source == CASE_HOST || o->source == CASE_BUFFER) {
        const size_t all = (experts - 1) * s.expert_stride + one;
        void *memory = source(c, all * size);
        fill_nan(memory, all, o);
        for (size_t e = 0; e < experts; e++) store_expert(memory, e * s.expert_stride, values + e * out * in, out, in, &s, o);
        if (o->gaps != 0) t.expert_stride = s.expert_stride;
        if (o->source == CASE_HOST) t.host = memory;
        else t.buffer = device_copy(c, memory, all * size);
        return t;
    }
    const void **pointers = source(c, experts * sizeof *pointers);
    clmoe_buffer *places = source(c, experts * sizeof *places);
    for (size_t e = 0; e < experts; e++) {
        void *memory = source(c, one * size);
        fill_nan(memory, one, o);
        store_expert(memory, 0, values + e * out * in, out, in, &s, o);
        pointers[e] = memory;
        if (o->source == CASE_BUFFER_LIST) places[e] = device_copy(c, memory, one * size);
    }
    if (o->source == CASE_HOST_LIST) t.host_list = pointers;
    else t.buffer_list = places;
    return t;
}

/* ------------------------------------------------------------------------------------------------- values */

static double rounded(double value, uint32_t format) {
    float memory;
    test_store(&memory, format, 0, value);
    return test_load(&memory, format, 0);
}

/* Random values of this spread, already rounded to source format and storage format (FORMAT_NONE: to the source's). */
static double *draw(layer_case *c, test_random *random, size_t count, double spread, uint32_t format) {
    double *values = owned(c, count);
    for (size_t i = 0; i < count; i++) {
        values[i] = rounded(spread * test_random_normal(random), c->options.source_format);
        if (format != CLMOE_FORMAT_NONE) values[i] = rounded(values[i], format);
    }
    return values;
}

static void repeat_first(double *values, size_t experts, size_t each) {
    for (size_t e = 1; e < experts && values != NULL; e++) memcpy(values + e * each, values, each * sizeof *values);
}

static void draw_ffn(layer_case *c, oracle_ffn *f, uint32_t experts, uint32_t hidden, uint32_t intermediate,
                     int up_bias, int down_bias, const clmoe_activation *activation, uint64_t stream) {
    test_random random = test_random_new(c->options.stream * 16 + stream);
    const size_t H = hidden, I = intermediate, n = experts;
    const uint32_t format = c->options.format;
    *f = (oracle_ffn){.experts = experts, .hidden = hidden, .intermediate = intermediate};
    f->activation = *activation;
    const double in = 1 / sqrt((double)H), mid = 1 / sqrt((double)I);
    f->up = draw(c, &random, n * I * H, in, format);
    f->down = draw(c, &random, n * H * I, mid, format);
    if (activation->gated) f->gate = draw(c, &random, n * I * H, in, format);
    if (up_bias) f->up_bias = draw(c, &random, n * I, 0.5, CLMOE_FORMAT_NONE);
    if (up_bias && activation->gated) f->gate_bias = draw(c, &random, n * I, 0.5, CLMOE_FORMAT_NONE);
    if (down_bias) f->down_bias = draw(c, &random, n * H, 0.5, CLMOE_FORMAT_NONE);
    if ((c->options.with & CASE_IDENTICAL) == 0) return;
    repeat_first(f->up, n, I * H);
    repeat_first(f->gate, n, I * H);
    repeat_first(f->down, n, I * H);
    repeat_first(f->up_bias, n, I);
    repeat_first(f->gate_bias, n, I);
    repeat_first(f->down_bias, n, H);
}

/* Gate and up rows of `width` values in one tensor [2I]: all gates first, or in turns. */
static double *merged(layer_case *c, const double *gate, const double *up, size_t experts, size_t I, size_t width) {
    double *both = owned(c, experts * 2 * I * width);
    for (size_t e = 0; e < experts; e++) {
        for (size_t i = 0; i < I; i++) {
            const int turns = c->options.gate_up == CLMOE_GATE_UP_INTERLEAVED;
            double *at = both + e * 2 * I * width;
            memcpy(at + (turns ? 2 * i : i) * width, gate + (e * I + i) * width, width * sizeof *at);
            memcpy(at + (turns ? 2 * i + 1 : I + i) * width, up + (e * I + i) * width, width * sizeof *at);
        }
    }
    return both;
}

static void describe_ffn(layer_case *c, const oracle_ffn *f, clmoe_ffn *desc) {
    const size_t H = f->hidden, I = f->intermediate, n = f->experts;
    desc->num_experts = f->experts;
    desc->intermediate_size = f->intermediate;
    desc->gated = f->activation.gated;
    desc->down = tensor(c, f->down, n, H, I);
    if (f->down_bias != NULL) desc->down_bias = tensor(c, f->down_bias, n, 1, H);
    if (f->gate != NULL && c->options.gate_up != CLMOE_GATE_UP_SEPARATE) {
        desc->gate_up = c->options.gate_up;
        desc->up = tensor(c, merged(c, f->gate, f->up, n, I, H), n, 2 * I, H);
        if (f->up_bias != NULL) desc->up_bias = tensor(c, merged(c, f->gate_bias, f->up_bias, n, I, 1), n, 1, 2 * I);
        return;
    }
    desc->up = tensor(c, f->up, n, I, H);
    if (f->up_bias != NULL) desc->up_bias = tensor(c, f->up_bias, n, 1, I);
    if (f->gate == NULL) return;
    desc->gate = tensor(c, f->gate, n, I, H);
    if (f->gate_bias != NULL) desc->gate_bias = tensor(c, f->gate_bias, n, 1, I);
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
    c->oracle.latent_in = draw(c, &random, L * H, 1 / sqrt((double)H), c->options.format);
    c->oracle.latent_out = draw(c, &random, H * L, 1 / sqrt((double)L), c->options.format);
    desc->latent_size = c->options.latent;
    desc->latent_in = tensor(c, c->oracle.latent_in, 1, L, H);
    desc->latent_out = tensor(c, c->oracle.latent_out, 1, H, L);
}

static void describe_rest(layer_case *c, clmoe_weights_desc *desc) {
    test_random random = test_random_new(c->options.stream * 16 + 3);
    const case_options *o = &c->options;
    oracle_layer *oracle = &c->oracle;
    const size_t H = o->hidden, classes = oracle->classes;
    const double in = 1 / sqrt((double)H);
    oracle->router = draw(c, &random, classes * H, 2 * in, CLMOE_FORMAT_NONE);
    if ((o->with & CASE_NO_ROUTER) == 0) desc->router = tensor(c, oracle->router, 1, classes, H);
    if (o->with & CASE_ROUTER_BIAS) {
        oracle->router_bias = draw(c, &random, classes, 0.5, CLMOE_FORMAT_NONE);
        desc->router_bias = tensor(c, oracle->router_bias, 1, 1, classes);
    }
    if (o->with & CASE_SELECT_BIAS) {
        c->select_bias = draw(c, &random, classes, 0.3, CLMOE_FORMAT_NONE);
        desc->select_bias = tensor(c, c->select_bias, 1, 1, classes);
    }
    if (o->with & CASE_EXPERT_SCALE) {
        c->expert_scale = draw(c, &random, classes, 1, CLMOE_FORMAT_NONE);
        desc->expert_scale = tensor(c, c->expert_scale, 1, 1, classes);
    }
    if (o->with & CASE_OUTPUT_BIAS) {
        oracle->output_bias = draw(c, &random, H, 1, CLMOE_FORMAT_NONE);
        desc->output_bias = tensor(c, oracle->output_bias, 1, 1, H);
    }
    if (o->with & CASE_SHARED_GATE) {
        oracle->shared_gate = draw(c, &random, H, in, CLMOE_FORMAT_NONE);
        desc->shared_gate = tensor(c, oracle->shared_gate, 1, 1, H);
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
    oracle->bf16 = o->arithmetic == CLMOE_ARITHMETIC_BF16;
    oracle->routed_scale = (double)layer->routed_scale;
    oracle->shared_scale = (double)layer->shared_scale;

    clmoe_weights_desc_default(desc, sizeof *desc);
    desc->hidden_size = o->hidden;
    desc->format = o->format;
    desc->arithmetic = o->arithmetic;
    desc->num_classes = oracle->classes;
    draw_ffn(c, &oracle->experts, layer->routing.num_experts, o->latent != 0 ? o->latent : o->hidden, o->intermediate,
             o->with & CASE_UP_BIAS, o->with & CASE_DOWN_BIAS, &layer->activation, 1);
    if (layer->local_experts != 0) take_share(&oracle->experts, layer->first_expert, layer->local_experts);
    describe_ffn(c, &oracle->experts, &desc->experts);
    if (o->shared_intermediate != 0) {
        draw_ffn(c, &oracle->shared, 1, o->hidden, o->shared_intermediate, o->with & CASE_SHARED_BIAS,
                 o->with & CASE_SHARED_BIAS, &layer->shared_activation, 2);
        describe_ffn(c, &oracle->shared, &desc->shared);
    }
    if (o->latent != 0) describe_latent(c, desc);
    describe_rest(c, desc);
    return c;
}

static void drop_sources(layer_case *c) {
    for (size_t i = 0; i < c->buffer_count; i++) test_buffer_free(c->device, &c->buffers[i]);
    free(c->buffers);
    c->buffers = NULL;
    c->buffer_count = 0;
    free_list(&c->sources, &c->source_count);
}

layer_case *case_new(test_device *device, const case_options *options) {
    clmoe_weights_desc desc;
    clmoe_error error = {.struct_size = sizeof error};
    layer_case *c = case_describe(device, options, &desc);
    OK(clmoe_weights_create(device->context, &desc, &c->weights, &error));
    drop_sources(c); /* they are read during the call only */
    OK(clmoe_layer_create(device->context, c->weights, &options->layer, &c->layer, &error));
    return c;
}

void case_free(layer_case *c) {
    if (c == NULL) return;
    clmoe_layer_destroy(c->layer);
    clmoe_weights_destroy(c->weights);
    drop_sources(c);
    free_list(&c->owned, &c->owned_count);
    free(c);
}
