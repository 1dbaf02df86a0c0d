/* Groups of integers as GPTQ, AWQ and compressed-tensors checkpoints have them: packed, as blocks and from tensors of
 * their own, value by value. */
#include "block_trial.h"

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof *(array)))

static test_device open_with(uint32_t width, uint64_t max_alloc, int is_this_host) {
    clmoe_context_desc desc;
    clmoe_context_desc_default(&desc, sizeof desc);
    desc.vector_width = width;
    desc.max_alloc_bytes = max_alloc;
    test_device device = test_open(&desc);
    if (!is_this_host) device.context->device.is_this_host = 0;
    return device;
}

/* ------------------------------------------------------------------------------------------------ packing */

/* Kept and decoded; widths and what they are decoded to take turns. */
static void test_blocks(void **state) {
    (void)state;
    static const uint32_t widths[] = {16, 8, 4};
    test_random random = test_random_new(3001);
    const uint32_t turn = test_random_below(&random, 3);
    for (uint32_t w = 0; w < COUNT(widths); w++) {
        test_device device = open_with(widths[w], 0, 1);
        for (uint32_t i = 0; block_group_at(i) != NULL; i++) {
            if ((i + turn) % 3 != w) continue;
            const block_format *f = block_group_at(i);
            for (uint32_t gate_up = 0; gate_up <= 3; gate_up++) {
                block_trial t = {.source = f,
                                 .format = f->format,
                                 .arithmetic = CLMOE_ARITHMETIC_F32,
                                 .groups = 2,
                                 .in_features = (1 + gate_up) * f->values,
                                 .out_features = 2 * widths[w] + 3,
                                 .gated = gate_up < 3,
                                 .gate_up = gate_up < 3 ? gate_up : 0,
                                 .gap = gate_up % 2,
                                 .from = (enum block_source)gate_up,
                                 .stream = 100 + i};
                block_trial_run(&device, &t);
                if (i % 4 != turn) continue;
                t.format = CLMOE_F32 + i % 3;
                block_trial_run(&device, &t);
            }
        }
        test_close(&device);
    }
}

typedef struct apart_case {
    uint32_t format, order, repeat; /* repeat: blocks in a group; 0: all of a row */
} apart_case;

/* Rows that share words; k of which the last group has less, where blocks divide it. */
static void run_apart(test_device *device, const apart_case *c, uint32_t turn) {
    const block_format *f = block_format_of(c->format);
    const uint32_t w = 32 / group_bits(f);
    const group_layout layout = {.order = c->order,
                                 .group_size = c->repeat * f->values,
                                 .scale_format = 1 + turn % 3,
                                 .zeros_less_1 = group_has_zeros(f) && c->order == CLMOE_CODES_GPTQ && turn % 4 != 3};
    const uint32_t gate_up = turn % 4;
    block_trial t = {.source = f,
                     .format = f->format,
                     .arithmetic = CLMOE_ARITHMETIC_F32,
                     .groups = 2,
                     .in_features = (2 * c->repeat + 1) * f->values,
                     .out_features = 5 * w,
                     .gated = gate_up < 3,
                     .gate_up = gate_up < 3 ? gate_up : 0,
                     .from = (enum block_source)(turn % BLOCK_SOURCES),
                     .layout = &layout,
                     .stream = turn};
    if (c->order == CLMOE_CODES_ROWS) t.out_features = 37; /* rows of codes share nothing */
    block_trial_run(device, &t);
}

/* Every format in every order, one in three a run. */
static void test_apart(void **state) {
    (void)state;
    test_device device = open_with(0, 0, 1), staged = open_with(8, 0, 0);
    test_random random = test_random_new(3002);
    uint32_t turn = test_random_below(&random, 3000);
    for (uint32_t i = 0; block_group_at(i) != NULL; i++)
        for (uint32_t order = 0; order <= CLMOE_CODES_ROWS; order++, turn++) {
            const apart_case c = {block_group_at(i)->format, order, turn / 3 % 3};
            if ((i + order) % 3 == turn / 48 % 3) run_apart(turn % 2 ? &device : &staged, &c, turn);
        }
    test_close(&device);
    test_close(&staged);
}

/* More than one piece and one slice: 17 MiB of codes, through staging of 16. */
static void test_pieces(void **state) {
    (void)state;
    test_random random = test_random_new(3003);
    const group_layout layout = {.order = test_random_below(&random, 3), .group_size = 128, .scale_format = CLMOE_F16};
    test_device device = open_with(0, 0, 0);
    block_trial t = {.source = block_format_of(CLMOE_U8_G128),
                     .format = CLMOE_U8_G128,
                     .arithmetic = CLMOE_ARITHMETIC_F32,
                     .groups = 1,
                     .in_features = 4096,
                     .out_features = 2200,
                     .gated = 1,
                     .layout = &layout,
                     .gate_up = CLMOE_GATE_UP_INTERLEAVED,
                     .from = BLOCK_HOST,
                     .stream = 9};
    block_trial_run(&device, &t);
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_blocks), cmocka_unit_test(test_apart),
                                       cmocka_unit_test(test_pieces)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
