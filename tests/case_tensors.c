/* Memory, values and tensors of case_tensors.h. */
#include "case_tensors.h"

#include <math.h>

#include "block_weights.h"

/* ------------------------------------------------------------------------------------------------ memory */

static void *keep(void ***list, size_t *count, void *memory) {
    assert_non_null(memory);
    *list = realloc(*list, (*count + 1) * sizeof **list);
    assert_non_null(*list);
    (*list)[(*count)++] = memory;
    return memory;
}

double *case_zeros(layer_case *c, size_t count) {
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

void case_drop_sources(layer_case *c) {
    for (size_t i = 0; i < c->buffer_count; i++) test_buffer_free(c->device, &c->buffers[i]);
    free(c->buffers);
    c->buffers = NULL;
    c->buffer_count = 0;
    free_list(&c->sources, &c->source_count);
}

void case_drop_values(layer_case *c) {
    free_list(&c->owned, &c->owned_count);
    for (size_t i = 0; i < c->block_count; i++) free(c->blocks[i].bytes);
    free(c->blocks);
    c->blocks = NULL;
    c->block_count = 0;
}

/* ------------------------------------------------------------------------------------------------ blocks */

/* The blocks of values at `at`, which may begin within what was drawn; NULL: they are plain. */
static const case_blocks *blocks_of(const layer_case *c, const double *at) {
    for (size_t i = 0; i < c->block_count; i++)
        if (at >= c->blocks[i].values && at < c->blocks[i].values + c->blocks[i].count) return &c->blocks[i];
    return NULL;
}

static uint8_t *block_at(const case_blocks *b, const double *at) {
    return b->bytes + (size_t)(at - b->values) / b->format->values * b->format->bytes;
}

static case_blocks *blocks_new(layer_case *c, const block_format *f, const double *values, size_t count) {
    c->blocks = realloc(c->blocks, (c->block_count + 1) * sizeof *c->blocks);
    assert_non_null(c->blocks);
    case_blocks *b = &c->blocks[c->block_count++];
    *b = (case_blocks){f, values, count, malloc(count / f->values * f->bytes + 1)};
    assert_non_null(b->bytes);
    return b;
}

/* Bytes of `elements` values, whole blocks where f is not NULL. */
static size_t span(const layer_case *c, const block_format *f, size_t elements) {
    if (f == NULL) return elements * test_format_bytes(c->options.source_format);
    return elements / f->values * f->bytes;
}

/* ------------------------------------------------------------------------------------------------ values */

static double rounded(double value, uint32_t format) {
    float memory;
    test_store(&memory, format, 0, value);
    return test_load(&memory, format, 0);
}

static int is_wide(uint32_t format) { return format >= CLMOE_F32 && format <= CLMOE_BF16; }

double *case_draw(layer_case *c, test_random *random, size_t count, double spread, uint32_t format) {
    double *values = case_zeros(c, count);
    for (size_t i = 0; i < count; i++) {
        values[i] = rounded(spread * test_random_normal(random), c->options.source_format);
        if (format != CLMOE_FORMAT_NONE) values[i] = rounded(values[i], format);
    }
    return values;
}

double *case_draw_matrix(layer_case *c, enum case_matrix matrix, test_random *random, size_t count, double spread) {
    const case_plan *plan = &c->plan[matrix];
    const block_format *f = block_format_of(plan->source);
    if (f == NULL) return case_draw(c, random, count, spread, plan->kept);
    double *values = case_zeros(c, count);
    case_blocks *b = blocks_new(c, f, values, count);
    block_tame_many(f, b->bytes, count, spread, random);
    block_decode_many(f, b->bytes, count, values);
    uint32_t format = plan->kept; /* what is multiplied */
    if (!is_wide(format)) format = plan->arithmetic == CLMOE_ARITHMETIC_BF16 ? CLMOE_BF16 : CLMOE_F32;
    for (size_t i = 0; i < count; i++) values[i] = rounded(values[i], format);
    return values;
}

double *case_merge(layer_case *c, const double *gate, const double *up, size_t experts, size_t I, size_t width) {
    const int turns = c->options.gate_up == CLMOE_GATE_UP_INTERLEAVED;
    double *both = case_zeros(c, experts * 2 * I * width);
    const case_blocks *from = blocks_of(c, up);
    const block_format *f = from != NULL ? from->format : NULL;
    if (f != NULL) blocks_new(c, f, both, experts * 2 * I * width);
    for (size_t row = 0; row < experts * 2 * I; row++) {
        const size_t e = row / (2 * I), r = row % (2 * I), i = turns ? r / 2 : r % I;
        const double *one = ((turns ? r % 2 == 0 : r < I) ? gate : up) + (e * I + i) * width;
        memcpy(both + row * width, one, width * sizeof *both);
        if (f == NULL) continue;
        memcpy(block_at(blocks_of(c, both), both + row * width), block_at(blocks_of(c, one), one), span(c, f, width));
    }
    return both;
}

/* ----------------------------------------------------------------------------------------------- tensors */

/* What is stored of one expert: [rows, columns], row_stride apart, turned or not. */
typedef struct shape {
    size_t rows, columns, row_stride, expert_stride, in;
    int turned;
    const case_blocks *blocks; /* NULL: plain */
} shape;

static size_t bytes_of(const layer_case *c, const shape *s, size_t elements) {
    return span(c, s->blocks != NULL ? s->blocks->format : NULL, elements);
}

/* Writes an expert's values from element `base` on. */
static void store_expert(const layer_case *c, uint8_t *to, size_t base, const double *values, const shape *s) {
    for (size_t r = 0; r < s->rows; r++) {
        const size_t at = base + r * s->row_stride;
        if (s->blocks != NULL) {
            memcpy(to + bytes_of(c, s, at), block_at(s->blocks, values + r * s->in), bytes_of(c, s, s->columns));
            continue;
        }
        for (size_t k = 0; k < s->columns; k++)
            test_store(to, c->options.source_format, at + k, values[s->turned ? k * s->in + r : r * s->in + k]);
    }
}

/* Memory for `elements`: where nothing is written, every number is NaN. */
static void *room(layer_case *c, const shape *s, size_t elements) {
    const size_t bytes = bytes_of(c, s, elements);
    return memset(source(c, bytes), 0xff, bytes);
}

static clmoe_buffer device_copy(layer_case *c, const void *from, size_t bytes) {
    c->buffers = realloc(c->buffers, (c->buffer_count + 1) * sizeof *c->buffers);
    assert_non_null(c->buffers);
    c->buffers[c->buffer_count] = test_buffer_new(c->device, bytes, from);
    return c->buffers[c->buffer_count++].at;
}

static shape shape_of(const layer_case *c, const double *values, size_t out, size_t in, size_t *gap) {
    const case_options *o = &c->options;
    const case_blocks *b = blocks_of(c, values);
    const int turned = o->layout == CLMOE_IN_OUT && out > 1 && b == NULL;
    shape s = {.rows = turned ? in : out, .columns = turned ? out : in, .in = in, .turned = turned, .blocks = b};
    *gap = o->gaps * (b != NULL ? b->format->values : 1);
    s.row_stride = s.columns + (out > 1 ? *gap : 0);
    s.expert_stride = s.rows * s.row_stride + *gap;
    return s;
}

/* All experts in one place. */
static void place_together(layer_case *c, clmoe_tensor *t, const double *values, size_t experts, size_t each,
                           const shape *s, size_t all) {
    void *memory = room(c, s, all);
    for (size_t e = 0; e < experts; e++) store_expert(c, memory, e * s->expert_stride, values + e * each, s);
    if (c->options.source == CASE_HOST) t->host = memory;
    else t->buffer = device_copy(c, memory, bytes_of(c, s, all));
}

static void place_apart(layer_case *c, clmoe_tensor *t, const double *values, size_t experts, size_t each,
                        const shape *s, size_t one) {
    const void **pointers = source(c, experts * sizeof *pointers);
    clmoe_buffer *places = source(c, experts * sizeof *places);
    const int on_device = c->options.source == CASE_BUFFER_LIST;
    for (size_t e = 0; e < experts; e++) {
        void *memory = room(c, s, one);
        store_expert(c, memory, 0, values + e * each, s);
        pointers[e] = memory;
        if (on_device) places[e] = device_copy(c, memory, bytes_of(c, s, one));
    }
    if (on_device) t->buffer_list = places;
    else t->host_list = pointers;
}

clmoe_tensor case_tensor(layer_case *c, const double *values, size_t experts, size_t out, size_t in) {
    const case_options *o = &c->options;
    size_t gap;
    const shape s = shape_of(c, values, out, in, &gap);
    const size_t one = (s.rows - 1) * s.row_stride + s.columns, all = (experts - 1) * s.expert_stride + one;
    clmoe_tensor t = {.format = s.blocks != NULL ? s.blocks->format->format : o->source_format};
    t.layout = s.turned ? CLMOE_IN_OUT : CLMOE_OUT_IN;
    const int together = o->source == CASE_HOST || o->source == CASE_BUFFER;
    if (gap != 0 && out > 1) t.row_stride = s.row_stride;
    if (gap != 0 && together) t.expert_stride = s.expert_stride;
    if (together) place_together(c, &t, values, experts, out * in, &s, all);
    else place_apart(c, &t, values, experts, out * in, &s, one);
    return t;
}
