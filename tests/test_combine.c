/* Combine against sums in double precision: every option and format, strides, unused slots, bounds, and equal bits
 * whatever the other tokens are. CLMOE_TEST_SHORT=1: a shape and a combination of options of seven, for devices that
 * compile slowly. */
#include <float.h>
#include <math.h>

#include "one_device.h"
#include "oracle.h"

typedef struct combine_case {
    uint32_t hidden, slots, tokens, x_format, out_format, y_format;
    uint32_t num_experts, zero_experts, weighted, has_shared, gate, bias, accumulate;
    uint32_t x_gap, out_gap; /* elements between rows */
    int32_t valid;           /* token_count; INT32_MIN: none is given */
    float routed_scale, shared_scale;
} combine_case;

/* The inputs of a case, on the host; x, y, out in their formats, x and out with gaps. Rows of y that no slot names are
 * NaN. */
typedef struct combine_data {
    size_t rows, x_stride, out_stride;
    float *weight, *shared, *gate, *bias;
    int32_t *slot_row, *index;
    void *x, *y, *out;
} combine_data;

static void *memory(size_t bytes) {
    void *m = calloc(bytes + 1, 1);
    assert_non_null(m);
    return m;
}

static float *normals(test_random *random, size_t n) {
    float *array = memory(n * sizeof *array);
    for (size_t i = 0; i < n; i++) array[i] = (float)test_random_normal(random);
    return array;
}

static void *stored_normals(test_random *random, uint32_t format, size_t n) {
    void *array = memory(n * test_format_bytes(format));
    for (size_t i = 0; i < n; i++) test_store(array, format, i, test_random_normal(random));
    return array;
}

/* A third of the slots is unused or an identity, the others name different rows in random order. */
static void fill_routes(const combine_case *c, test_random *random, combine_data *d) {
    const size_t all = (size_t)c->tokens * c->slots;
    char *named = memory(d->rows);
    size_t next = 0;
    for (size_t s = 0; s < all; s++) {
        const uint32_t kind = test_random_below(random, 6);
        d->slot_row[s] = -1;
        d->index[s] = kind == 0 ? -1 : (int32_t)(c->num_experts + test_random_below(random, c->zero_experts + 2)) - 1;
        if (kind < 2) continue;
        d->slot_row[s] = (int32_t)next;
        named[next++] = 1;
        d->index[s] = (int32_t)test_random_below(random, c->num_experts);
    }
    for (size_t s = 0; next > 1 && s < all; s++) {
        const size_t other = test_random_below(random, (uint32_t)all);
        if (d->slot_row[s] < 0 || d->slot_row[other] < 0) continue;
        const int32_t row = d->slot_row[s];
        d->slot_row[s] = d->slot_row[other];
        d->slot_row[other] = row;
    }
    for (size_t r = 0; r < d->rows; r++) {
        for (uint32_t i = 0; !named[r] && i < c->hidden; i++) test_store(d->y, c->y_format, r * c->hidden + i, NAN);
    }
    free(named);
}

static combine_data make_data(const combine_case *c, test_random *random) {
    const size_t all = (size_t)c->tokens * c->slots;
    combine_data d = {.rows = all + 3, .x_stride = c->hidden + c->x_gap, .out_stride = c->hidden + c->out_gap};
    d.y = stored_normals(random, c->y_format, d.rows * c->hidden);
    d.weight = normals(random, all);
    d.shared = normals(random, (size_t)c->tokens * c->hidden);
    d.gate = normals(random, c->hidden);
    d.bias = normals(random, c->hidden);
    d.slot_row = memory(all * sizeof *d.slot_row);
    d.index = memory(all * sizeof *d.index);
    d.x = stored_normals(random, c->x_format, c->tokens * d.x_stride);
    d.out = stored_normals(random, c->out_format, c->tokens * d.out_stride);
    for (uint32_t i = 0; i < c->hidden; i++) d.gate[i] /= sqrtf((float)c->hidden);
    fill_routes(c, random, &d);
    return d;
}

static void free_data(combine_data *d) {
    free(d->y);
    free(d->weight);
    free(d->shared);
    free(d->gate);
    free(d->bias);
    free(d->slot_row);
    free(d->index);
    free(d->x);
    free(d->out);
}

/* ------------------------------------------------------------------------------------------------ oracle */

static double oracle_gate(const combine_case *c, const combine_data *d, size_t t) {
    double dot = 0;
    if (!c->gate) return 1;
    for (uint32_t i = 0; i < c->hidden; i++) dot += test_load(d->x, c->x_format, t * d->x_stride + i) * d->gate[i];
    return 1 / (1 + exp(-dot));
}

/* out[t][i] from its definition; *size: the sum of the absolute values. */
static double oracle_value(const combine_case *c, const combine_data *d, size_t t, uint32_t i, double gate,
                           double *size) {
    double routed = 0, routed_size = 0;
    for (size_t s = t * c->slots; s < (t + 1) * c->slots; s++) {
        double term = 0;
        if (d->slot_row[s] >= 0) {
            const size_t row = (size_t)d->slot_row[s] * c->hidden;
            term = (c->weighted ? d->weight[s] : 1) * test_load(d->y, c->y_format, row + i);
        } else if (d->index[s] >= (int32_t)c->num_experts &&
                   d->index[s] < (int32_t)(c->num_experts + c->zero_experts)) {
            term = d->weight[s] * test_load(d->x, c->x_format, t * d->x_stride + i);
        }
        routed += term;
        routed_size += fabs(term);
    }
    const double shared = c->has_shared ? c->shared_scale * gate * d->shared[t * c->hidden + i] : 0;
    const double bias = c->bias ? d->bias[i] : 0;
    const double before = c->accumulate ? test_load(d->out, c->out_format, t * d->out_stride + i) : 0;
    *size =
        fabs((double)c->routed_scale) * routed_size + fabs(shared) * (1 + sqrt(c->hidden)) + fabs(bias) + fabs(before);
    return c->routed_scale * routed + shared + bias + before;
}

static void compare(const combine_case *c, const combine_data *d, const uint8_t *got) {
    const size_t bytes = test_format_bytes(c->out_format);
    size_t valid = c->tokens;
    if (c->valid != INT32_MIN && c->valid < (int32_t)c->tokens) valid = c->valid < 0 ? 0 : (size_t)c->valid;
    for (size_t t = 0; t < c->tokens; t++) {
        const size_t row = t * d->out_stride, width = t < valid ? c->hidden : 0;
        const double gate = oracle_gate(c, d, t);
        for (uint32_t i = 0; i < width; i++) {
            double size;
            const double wanted = oracle_value(c, d, t, i, gate, &size);
            const double value = test_load(got, c->out_format, row + i);
            const double allowed = oracle_tolerance(wanted, size, c->slots + 2, 0, c->out_format) + FLT_MIN;
            if (!(fabs(value - wanted) <= allowed)) {
                fail_msg(
                    "out[%zu][%u] is %.9g, wanted %.9g within %.3g (hidden %u, slots %u, tokens %u, formats %u %u %u, "
                    "weighted %u, zero %u, shared %u, gate %u, bias %u, accumulate %u)",
                    t, i, value, wanted, allowed, c->hidden, c->slots, c->tokens, c->x_format, c->out_format,
                    c->y_format,
                    c->weighted, c->zero_experts, c->has_shared, c->gate, c->bias, c->accumulate);
            }
        }
        /* Gaps, and rows behind the valid ones. */
        const size_t end = t + 1 < c->tokens ? row + d->out_stride : row + c->hidden;
        assert_memory_equal(got + (row + width) * bytes, (uint8_t *)d->out + (row + width) * bytes,
                            (end - row - width) * bytes);
    }
}

/* ----------------------------------------------------------------------------------------------- running */

static clmoe_combine *make_combine(test_device *on, const combine_case *c, const combine_data *d) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_combine_desc desc;
    clmoe_combine_desc_default(&desc, sizeof desc);
    desc.hidden_size = c->hidden;
    desc.slots = c->slots;
    desc.num_experts = c->num_experts;
    desc.zero_experts = c->zero_experts;
    desc.x_format = c->x_format;
    desc.out_format = c->out_format;
    desc.y_format = c->y_format;
    desc.weighted = c->weighted;
    desc.has_shared = c->has_shared;
    desc.routed_scale = c->routed_scale;
    desc.shared_scale = c->shared_scale;
    if (c->gate) desc.shared_gate = (clmoe_tensor){.format = CLMOE_F32, .host = d->gate};
    if (c->bias) desc.output_bias = (clmoe_tensor){.format = CLMOE_F32, .host = d->bias};
    clmoe_combine *combine = NULL;
    OK(clmoe_combine_create(on->context, &desc, &combine, &error));
    return combine;
}

/* Runs tokens [first, first + tokens) of the data; out receives them, [tokens][out_stride] without the last gap.
 * Buffers that the variant has no use for are left out. */
static void run_tokens(test_device *on, const combine_case *c, const combine_data *d, clmoe_combine *combine,
                       size_t first, uint32_t tokens, void *out) {
    clmoe_error error = {.struct_size = sizeof error};
    const size_t all = (size_t)tokens * c->slots, xs = test_format_bytes(c->x_format),
                 os = test_format_bytes(c->out_format);
    const size_t x_count = tokens != 0 ? (tokens - 1) * d->x_stride + c->hidden : 0;
    const size_t out_count = tokens != 0 ? (tokens - 1) * d->out_stride + c->hidden : 0;
    enum { Y, SLOT_ROW, INDEX, WEIGHT, X, SHARED, OUT, VALID, BUFFERS };
    test_buffer b[BUFFERS] = {
        [Y] = test_buffer_new(on, d->rows * c->hidden * test_format_bytes(c->y_format), d->y),
        [SLOT_ROW] = test_buffer_new(on, all * 4, d->slot_row + first * c->slots),
        [INDEX] = test_buffer_new(on, all * 4, d->index + first * c->slots),
        [WEIGHT] = test_buffer_new(on, all * 4, d->weight + first * c->slots),
        [X] = test_buffer_new(on, x_count * xs, (const uint8_t *)d->x + first * d->x_stride * xs),
        [SHARED] = test_buffer_new(on, (size_t)tokens * c->hidden * 4, d->shared + first * c->hidden),
        [OUT] = test_buffer_new(on, out_count * os, (const uint8_t *)d->out + first * d->out_stride * os),
        [VALID] = test_buffer_new(on, 4, &c->valid)};
    clmoe_combine_io io;
    clmoe_combine_io_default(&io, sizeof io);
    io.tokens = tokens;
    io.accumulate = c->accumulate;
    if (c->valid != INT32_MIN) io.token_count = b[VALID].at;
    io.y = b[Y].at;
    io.slot_row = b[SLOT_ROW].at;
    if (c->zero_experts != 0) io.index = b[INDEX].at;
    if (c->weighted || c->zero_experts != 0) io.weight = b[WEIGHT].at;
    if (c->zero_experts != 0 || c->gate) io.x = b[X].at;
    io.x_stride = c->x_gap != 0 ? d->x_stride : 0;
    if (c->has_shared) io.shared = b[SHARED].at;
    io.out = b[OUT].at;
    io.out_stride = c->out_gap != 0 ? d->out_stride : 0;
    cl_event done = NULL;
    OK(clmoe_combine_enqueue(combine, NULL, on->queue, &io, 0, NULL, &done, &error));
    assert_int_equal(clWaitForEvents(1, &done), CL_SUCCESS);
    clReleaseEvent(done);
    test_buffer_read(on, &b[OUT], out);
    for (int i = 0; i < BUFFERS; i++) test_buffer_free(on, &b[i]);
}

static void run_case(test_device *on, test_random *random, const combine_case *c) {
    combine_data d = make_data(c, random);
    clmoe_combine *combine = make_combine(on, c, &d);
    uint8_t *out = memory((c->tokens + 1) * d.out_stride * 4);
    run_tokens(on, c, &d, combine, 0, c->tokens, out);
    compare(c, &d, out);
    clmoe_combine_destroy(combine);
    free(out);
    free_data(&d);
}

static combine_case plain(uint32_t hidden, uint32_t slots, uint32_t tokens) {
    return (combine_case){.hidden = hidden,
                          .slots = slots,
                          .tokens = tokens,
                          .x_format = CLMOE_F32,
                          .out_format = CLMOE_F32,
                          .y_format = CLMOE_F32,
                          .num_experts = 5,
                          .weighted = 1,
                          .valid = INT32_MIN,
                          .routed_scale = 1,
                          .shared_scale = 1};
}

/* ------------------------------------------------------------------------------------------------- tests */

static int is_left_out(size_t i) { return getenv("CLMOE_TEST_SHORT") != NULL && i % 7 != 0; }

static void test_shapes(void **state) {
    (void)state;
    test_random random = test_random_new(11);
    static const uint32_t hidden[] = {1, 3, 16, 33, 64, 100, 513, 2048, 2880}, tokens[] = {0, 1, 2, 9};
    for (size_t h = 0; h < sizeof hidden / sizeof *hidden; h++) {
        for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++) {
            if (is_left_out(4 * h + t)) continue;
            const combine_case c = plain(hidden[h], 1 + test_random_below(&random, 9), tokens[t]);
            run_case(&device, &random, &c);
        }
    }
    const combine_case many = plain(40, 1024, 3), long_list = plain(2, 2, 70000);
    run_case(&device, &random, &many);
    run_case(&device, &random, &long_list);  /* more tokens than groups in a dimension */
    combine_case pieces = plain(1300, 3, 2); /* few tokens are split by columns: each column is added to once */
    pieces.accumulate = 1;
    run_case(&device, &random, &pieces);
}

/* Every combination of options once, with random shapes and formats. */
static void test_options(void **state) {
    (void)state;
    test_random random = test_random_new(12);
    for (uint32_t bits = 0; bits < 64; bits++) {
        if (is_left_out(bits)) continue;
        combine_case c = plain(1 + test_random_below(&random, 200), 1 + test_random_below(&random, 8),
                               1 + test_random_below(&random, 20));
        c.weighted = bits & 1;
        c.zero_experts = bits & 2 ? 1 + test_random_below(&random, 3) : 0;
        c.has_shared = (bits & 4) != 0;
        c.gate = c.has_shared && (bits & 8);
        c.bias = (bits & 16) != 0;
        c.accumulate = (bits & 32) != 0;
        c.x_format = 1 + test_random_below(&random, 3);
        c.out_format = 1 + test_random_below(&random, 3);
        c.y_format = 1 + test_random_below(&random, 3);
        c.x_gap = test_random_below(&random, 2) * 5;
        c.out_gap = test_random_below(&random, 2) * 3;
        c.routed_scale = 0.5f + (float)test_random_below(&random, 3);
        c.shared_scale = 2.25f;
        run_case(&device, &random, &c);
    }
}

static void test_token_count(void **state) {
    (void)state;
    test_random random = test_random_new(13);
    static const int32_t valid[] = {-3, 0, 1, 6, 7, 100};
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++) {
        combine_case c = plain(70, 3, 7);
        c.valid = valid[i];
        c.has_shared = c.gate = 1;
        run_case(&device, &random, &c);
    }
}

/* A context with narrower vectors uses another split into lanes and tails. */
static void test_vector_widths(void **state) {
    (void)state;
    test_random random = test_random_new(14);
    for (uint32_t width = 4; width <= 16; width *= 2) {
        clmoe_context_desc desc;
        clmoe_context_desc_default(&desc, sizeof desc);
        desc.vector_width = width;
        test_device narrow = test_open(&desc);
        for (uint32_t format = CLMOE_F32; format <= CLMOE_BF16; format++) {
            combine_case c = plain(77 + width, 4, 11);
            c.x_format = c.out_format = c.y_format = format;
            c.zero_experts = c.has_shared = c.gate = c.bias = c.accumulate = 1;
            run_case(&narrow, &random, &c);
        }
        test_close(&narrow);
    }
}

/* A token's bits are the same alone and among others, although few tokens are split by columns. */
static void test_batch_invariance(void **state) {
    (void)state;
    test_random random = test_random_new(15);
    combine_case c = plain(1500, 8, 40);
    c.zero_experts = c.has_shared = c.gate = c.bias = 1;
    c.out_format = c.x_format = c.y_format = CLMOE_BF16;
    combine_data d = make_data(&c, &random);
    clmoe_combine *combine = make_combine(&device, &c, &d);
    const size_t bytes = c.hidden * 2;
    uint8_t *all = memory(c.tokens * bytes), *again = memory(c.tokens * bytes);
    run_tokens(&device, &c, &d, combine, 0, c.tokens, all);
    for (size_t t = 0; t < c.tokens; t += 13) {
        run_tokens(&device, &c, &d, combine, t, 1, again);
        assert_memory_equal(again, all + t * bytes, bytes);
    }
    run_tokens(&device, &c, &d, combine, 0, c.tokens, again);
    assert_memory_equal(again, all, c.tokens * bytes);
    clmoe_combine_destroy(combine);
    free(all);
    free(again);
    free_data(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_options),
                                       cmocka_unit_test(test_token_count), cmocka_unit_test(test_vector_widths),
                                       cmocka_unit_test(test_batch_invariance)};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
