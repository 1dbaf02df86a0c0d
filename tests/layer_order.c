/* See layer_order.h. */
#include "layer_order.h"

#include <stdio.h>

static size_t x_row_bytes(const layer_case *c) {
    return c->options.hidden * test_format_bytes(c->options.layer.x_format);
}

static void copy_row(void *to, size_t row, const void *from, size_t from_row, size_t bytes) {
    memcpy((char *)to + row * bytes, (const char *)from + from_row * bytes, bytes);
}

static void same_part(const char *what, const void *a, size_t row_a, const void *b, size_t row_b, size_t bytes) {
    case_same_bits(what, (const char *)a + row_a * bytes, (const char *)b + row_b * bytes, bytes);
}

void case_same_row(const layer_case *c, const char *what, const case_result *a, size_t row_a, const case_result *b,
                   size_t row_b) {
    same_part(what, a->index, row_a, b->index, row_b, c->oracle.slots * sizeof *a->index);
    same_part(what, a->weight, row_a, b->weight, row_b, c->oracle.slots * sizeof *a->weight);
    same_part(what, a->out, row_a, b->out, row_b, case_row_bytes(c));
}

void case_check_order(layer_case *c, test_random *random) {
    enum { T = 37 };
    uint32_t order[T];
    for (uint32_t i = 0; i < T; i++) order[i] = i;
    for (uint32_t i = T - 1; i > 0; i--) {
        const uint32_t j = test_random_below(random, i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    void *x = case_input(c, T, random), *mixed = case_input(c, T, random);
    for (uint32_t i = 0; i < T; i++) copy_row(mixed, i, x, order[i], x_row_bytes(c));
    case_result a = case_forward(c, NULL, x, T), b = case_forward(c, NULL, mixed, T),
                again = case_forward(c, NULL, x, T);
    case_check(c, x, T, &a);
    case_same(c, "the second run", &a, &again, T);
    for (uint32_t i = 0; i < T; i++) case_same_row(c, "a moved token", &b, i, &a, order[i]);
    case_same_bits("load", a.load, b.load, c->oracle.classes * sizeof *a.load);
    int64_t total = 0;
    for (uint32_t i = 0; i < c->oracle.classes; i++) total += a.load[i];
    assert_int_equal(total, T * c->oracle.slots);
    case_result_free(&a);
    case_result_free(&b);
    case_result_free(&again);
    free(x);
    free(mixed);
}

void case_check_batches(layer_case *c, const uint32_t *batches, size_t count, test_random *random) {
    void *token = case_input(c, 1, random);
    case_result alone = case_forward(c, NULL, token, 1);
    case_check(c, token, 1, &alone);
    for (size_t i = 0; i < count; i++) {
        const uint32_t T = batches[i], place = test_random_below(random, T);
        void *x = case_input(c, T, random);
        copy_row(x, place, token, 0, x_row_bytes(c));
        case_result r = case_forward(c, NULL, x, T);
        char what[64];
        (void)snprintf(what, sizeof what, "token %u of %u", place, T);
        case_same_row(c, what, &r, place, &alone, 0);
        case_result_free(&r);
        free(x);
    }
    case_result_free(&alone);
    free(token);
}
