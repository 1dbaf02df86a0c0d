/* Matrices in a format of groups as checkpoints have them: codes, scales and zero points in tensors of their own, made
 * of blocks (block_oracle.h) from the definition of each layout, code by code. */
#ifndef CLMOE_TESTS_GROUP_PARTS_H
#define CLMOE_TESTS_GROUP_PARTS_H

#include "block_oracle.h"
#include "support.h"

typedef struct group_layout {
    uint32_t order;        /* clmoe_code_order */
    uint32_t group_size;   /* 0: all of a row */
    uint32_t scale_format; /* F32, F16, BF16 */
    uint32_t zeros_less_1;
} group_layout;

/* Of one matrix [rows, columns]; zeros NULL where the format has none. Free each. */
typedef struct group_parts {
    uint32_t *codes, *zeros;
    uint8_t *scales;
    size_t codes_bytes, scales_bytes, zeros_bytes;
} group_parts;

int group_has_zeros(const block_format *f);
uint32_t group_bits(const block_format *f);

/* Makes all blocks of a group have its first one's scale, a number that the scale's format can hold, and zero point. */
void group_share(const block_format *f, uint8_t *blocks, uint64_t rows, uint64_t columns, const group_layout *layout);
/* Of shared blocks. F32 scales are a little off what they round to. */
group_parts group_take_apart(const block_format *f, const uint8_t *blocks, uint64_t rows, uint64_t columns,
                             const group_layout *layout);
void group_parts_free(group_parts *parts);

#endif
