/* Block formats as their definitions have them: one value at a time, in f32, each step rounded as ggml rounds it.
 * Shares nothing with the library. */
#ifndef CLMOE_TESTS_BLOCK_ORACLE_H
#define CLMOE_TESTS_BLOCK_ORACLE_H

#include <stddef.h>
#include <stdint.h>

typedef struct block_format {
    const char *name; /* of its file under tests/golden/formats */
    uint32_t format;  /* clmoe_format */
    uint32_t values, bytes;
    void (*decode)(const uint8_t *block, float *values);
    uint32_t half_at[2]; /* where f16 fields are; both the same if there is one; UINT32_MAX: none */

    /* Kept packed, as the head of cl/block.clh says; super_blocks 0: not. */
    uint32_t super_blocks, sub_k, code_bits, halves, sub_bytes;
    float (*packed_value)(const uint16_t *halves, const uint8_t *sub_bytes, uint32_t code);
} block_format;

/* The i-th of ggml's formats, and of those of groups (cl/format/groups.clh); NULL past the last. */
const block_format *block_format_at(uint32_t i);
const block_format *block_group_at(uint32_t i);
const block_format *block_format_of(uint32_t format);

float block_f32_from_f16(uint16_t half);

/* What a packed panel holds for the value at k of column `column` of `columns`, and that value. */
typedef struct block_packed {
    uint16_t halves[2];
    uint8_t sub_bytes[2];
    uint32_t code;
    float value;
} block_packed;
block_packed block_packed_at(const block_format *f, const uint8_t *panel, uint32_t columns, uint64_t k,
                             uint32_t column);
/* Bytes of a packed panel. */
size_t block_panel_bytes(const block_format *f, uint32_t columns, uint64_t in_features);

#endif
