/* Random blocks whose values are of the size that weights have, so that the layers made of them compute numbers worth
 * comparing. */
#ifndef CLMOE_TESTS_BLOCK_WEIGHTS_H
#define CLMOE_TESTS_BLOCK_WEIGHTS_H

#include "block_oracle.h"
#include "support.h"

/* Random codes and scales; the values' root mean square is near `spread`, up to twice as large in one block as in
 * another. */
void block_tame(const block_format *f, uint8_t *block, double spread, test_random *random);
/* The same for `count` values, a multiple of f->values, one block behind the other. */
void block_tame_many(const block_format *f, uint8_t *blocks, size_t count, double spread, test_random *random);
void block_decode_many(const block_format *f, const uint8_t *blocks, size_t count, double *values);

#endif
