/* Storage formats as rows of data: what a source block is, and what becomes of it when it is kept packed
 * (cl/block.clh). A new format is a row in formats.c, a file cl/format/NAME.clh and two lines in cl/block_format.clh.
 * Calls nothing. */
#ifndef CLMOE_LAYER_FORMATS_H
#define CLMOE_LAYER_FORMATS_H

#include <clmoe/clmoe.h>
#include <stdint.h>

typedef struct clmoe__format_info {
    uint32_t format;  /* clmoe_format */
    const char *name; /* "q4_K" */
    uint16_t values, bytes; /* of a block in a source; plain formats: one value, and as many bytes */
    /* Kept packed. super_blocks 0: block formats that are decoded when packed, and formats without blocks. */
    uint8_t super_blocks; /* source blocks in a super */
    uint8_t sub_k;        /* neighbours that share a scale */
    uint8_t code_bits;
    uint8_t halves;    /* f16 fields of a source block */
    uint8_t sub_bytes; /* byte fields of bytes_k neighbours */
    uint8_t quantises; /* 1: the format's file can quantise wide values to it (cl/quantize.cl) */
    uint8_t code_offset, minimum; /* CODE_OFFSET and HAS_MINIMUM of its file, which int8 rows are made for */
    uint16_t bytes_k;             /* neighbours that share byte fields; 0: sub_k */
    uint8_t e4m3; /* 1: codes are numbers of CLMOE_F8_E4M3 tensors, which alone become it: no integers, rows of any
                   * length */
} clmoe__format_info;

/* NULL for what is no format. */
const clmoe__format_info *clmoe__format_find(uint32_t format);
/* "unknown" for what is no format. */
const char *clmoe__format_name(uint32_t format);
/* F32, F16 or BF16. */
int clmoe__format_is_wide(uint32_t format);
/* A format with scales of its own inside: from CLMOE_Q8_0 on. */
int clmoe__format_is_block(uint32_t format);
/* A block format that panels may have. */
int clmoe__format_is_kept_block(uint32_t format);

/* A kept block format of e4m3 codes: CLMOE_F8_B128. */
int clmoe__format_is_e4m3(uint32_t format);

/* Whether values of one format can be packed in a matrix kept in another: as they are, decoded, or quantised. */
int clmoe__format_converts(uint32_t source, uint32_t kept);

/* Bytes of an element of a wide format. */
uint32_t clmoe__format_bytes(uint32_t format);
/* Bits of an element of a plain format, narrow ones and those of scales included; 0 for block formats and what is
 * none. */
uint32_t clmoe__format_bits(uint32_t format);
/* Elements that share bytes: rows begin at their multiples. */
uint32_t clmoe__format_values(uint32_t format);
/* Bytes that hold `elements`, whole blocks; UINT64_MAX if that is too large to be counted. */
uint64_t clmoe__format_span(uint32_t format, uint64_t elements);
/* The format in which weights are kept that a source of this format is to be packed in, where the caller says
 * nothing. */
uint32_t clmoe__kept_format(uint32_t source);

/* Values of a column in a super; block formats that are not kept: in a block. */
uint32_t clmoe__super_values(uint32_t format);
/* Of a kept block format: the packed bytes of a column in a super. */
uint32_t clmoe__super_bytes(uint32_t format);

#endif
