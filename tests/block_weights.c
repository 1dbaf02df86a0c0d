/* Blocks of block_weights.h: every byte is random, then the fields that all of a block's values are multiplied by are
 * set, first to one, to see how large that makes the values, then to what makes them as large as they should be. */
#include "block_weights.h"

#include <math.h>

enum { MOST_VALUES = 256 };

/* What the second f16 field is, in units of the first: about the middle of what the codes reach, so that values have
 * either sign; and where formats without f16 fields keep their scales. */
static const struct tame_row {
    uint32_t format;
    double second;
    uint32_t scale_bytes; /* from the block's first byte on */
} rows[] = {
    {CLMOE_Q4_1, -7.5, 0}, {CLMOE_Q5_1, -15.5, 0}, {CLMOE_Q4_K, 7.5, 0}, {CLMOE_Q5_K, 15.5, 0},
    {CLMOE_Q2_K, 1.5, 0},  {CLMOE_MXFP4, 0, 1},    {CLMOE_NVFP4, 0, 4},
};

static struct tame_row row_of(const block_format *f) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].format == f->format) return rows[i];
    return (struct tame_row){f->format, 1, 0};
}

static double root_mean_square(const block_format *f, const uint8_t *block) {
    float values[MOST_VALUES];
    double sum = 0;
    f->decode(block, values);
    for (uint32_t i = 0; i < f->values; i++) sum += (double)values[i] * (double)values[i];
    return sqrt(sum / f->values);
}

/* The f16 fields; a single one is both. */
static void set_halves(const block_format *f, uint8_t *block, double first, double second) {
    uint16_t half;
    for (int i = 1; i >= 0; i--) {
        test_store(&half, CLMOE_F16, 0, i == 0 ? first : second);
        block[f->half_at[i]] = (uint8_t)half;
        block[f->half_at[i] + 1] = (uint8_t)(half >> 8);
    }
}

/* Codes of scales rise with the scales: the first that makes the block as large as wanted. */
static void set_bytes(const block_format *f, const struct tame_row *row, uint8_t *block, double wanted) {
    uint8_t low = 0, high = 0x7e;
    while (high - low > 1) {
        const uint8_t middle = (uint8_t)((low + high) / 2);
        memset(block, middle, row->scale_bytes);
        if (root_mean_square(f, block) >= wanted) high = middle;
        else low = middle;
    }
    memset(block, high, row->scale_bytes);
}

void block_tame(const block_format *f, uint8_t *block, double spread, test_random *random) {
    const struct tame_row row = row_of(f);
    const double wanted = spread * (0.7 + 0.7 * (double)test_random_below(random, 1000) / 1000);
    for (uint32_t i = 0; i < f->bytes; i++) block[i] = (uint8_t)test_random_u64(random);
    if (f->name[0] == 'u') { /* the zero point: about the middle */
        const uint32_t middle = 1u << (f->code_bits - 1);
        block[f->bytes - 1] = (uint8_t)(middle - middle / 4 + test_random_below(random, middle / 2));
    }
    if (row.scale_bytes != 0) {
        set_bytes(f, &row, block, wanted);
        for (uint32_t i = 1; i < row.scale_bytes; i++) block[i] = (uint8_t)(block[i] + test_random_below(random, 3));
        return;
    }
    set_halves(f, block, 1, row.second);
    const double one = root_mean_square(f, block), factor = one > 0 ? wanted / one : 0;
    const double sign = test_random_below(random, 4) == 0 ? -1 : 1;
    set_halves(f, block, sign * factor, sign * factor * row.second);
}

void block_tame_many(const block_format *f, uint8_t *blocks, size_t count, double spread, test_random *random) {
    assert_int_equal(count % f->values, 0);
    for (size_t i = 0; i < count / f->values; i++) block_tame(f, blocks + i * f->bytes, spread, random);
}

void block_decode_many(const block_format *f, const uint8_t *blocks, size_t count, double *values) {
    float decoded[MOST_VALUES];
    for (size_t i = 0; i < count; i++) {
        if (i % f->values == 0) f->decode(blocks + i / f->values * f->bytes, decoded);
        values[i] = (double)decoded[i % f->values];
    }
}
