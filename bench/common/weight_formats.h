/* The formats that weights are kept in: which there are, how random ones are made, how the oracle reads them. Blocks
 * are made here and decoded by tests/block_oracle.c; none of it is the library's code. */
#ifndef CLMOE_BENCH_WEIGHT_FORMATS_H
#define CLMOE_BENCH_WEIGHT_FORMATS_H

#include <clmoe/clmoe.h>
#include <stddef.h>
#include <stdint.h>

#include "tool.h"

#define WEIGHT_FORMATS 19

/* The i-th clmoe_format, CLMOE_FORMAT_NONE past the last. */
uint32_t weight_format_at(size_t i);
/* "a, b, c" */
void weight_format_names(int without_blocks, char *text, size_t capacity);
int weight_format_is_block(uint32_t format);
/* Neighbours that share bytes: rows are their multiples. */
uint32_t weight_format_values(uint32_t format);
/* Whether weights with rows of these lengths can be kept in this format and multiplied in this clmoe_arithmetic; if
 * not, why[] says it. */
int weight_format_allows(uint32_t format, uint32_t arithmetic, const uint32_t *lengths, size_t count, char *why,
                         size_t capacity);

const char *arithmetic_name(uint32_t arithmetic); /* of a clmoe_arithmetic: "auto" and so on; NULL past the last */

/* What tensors of such weights are described with: the format of their source, and its scales or NULL. */
uint32_t weight_source_format(uint32_t format);
const clmoe_scales *weight_scales(uint32_t format);

/* Bytes of whole blocks of a source, and of [out, in] as the library packs it, without columns that pad a panel. */
uint64_t weight_source_bytes(uint32_t format, uint64_t elements);
uint64_t weight_packed_bytes(uint32_t format, uint64_t out, uint64_t in);

/* Random weights, whole blocks, their root mean square near `spread`. */
void weight_fill(void *array, uint32_t format, uint64_t elements, float spread, random_state *random);
/* out[i] = element start + i, for i < count; both multiples of the values that share bytes. */
void weight_load_run(const void *array, uint32_t format, size_t start, size_t count, double *out);

#endif
