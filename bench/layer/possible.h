/* Whether a layer can be measured here: its format must allow its sizes, and its weights must fit into memory. */
#ifndef CLMOE_BENCH_POSSIBLE_H
#define CLMOE_BENCH_POSSIBLE_H

#include "common/models.h"
#include "common/session.h"

/* How many copies of the weights of such a layer fit beside `extra` bytes, at most `wanted`; 0, and why[] says what
 * stands against one. */
uint32_t possible_copies(const session *s, const model *shape, uint32_t format, uint32_t arithmetic, uint32_t wanted,
                         uint64_t extra, char *why, size_t capacity);

#endif
