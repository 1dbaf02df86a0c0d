/* What every layer promises of the order and the number of its tokens: they change no bit of a token's row. */
#ifndef CLMOE_TESTS_LAYER_ORDER_H
#define CLMOE_TESTS_LAYER_ORDER_H

#include "layer_case.h"

/* Fails unless a row of one result and a row of another, out and routes, have equal bits. */
void case_same_row(const layer_case *c, const char *what, const case_result *a, size_t row_a, const case_result *b,
                   size_t row_b);
/* Fails unless tokens in another order take their rows with them, and a second run repeats the first. For layers whose
 * every token gets all its slots. */
void case_check_order(layer_case *c, test_random *random);
/* Fails unless one token has the same row alone and at a random place in each of these batches. */
void case_check_batches(layer_case *c, const uint32_t *batches, size_t count, test_random *random);

#endif
