/* Judging a layer's choice of experts: the oracle's logits and selection against the device's routes. */
#ifndef CLMOE_TESTS_LAYER_ROUTES_H
#define CLMOE_TESTS_LAYER_ROUTES_H

#include "layer_case.h"

/* Fails unless the routes of the result are those of the rule, from logits that agree with double precision. Where the
 * choice hangs on the last bits either outcome passes. */
void case_check_routes(const layer_case *c, const void *x, uint32_t tokens, const case_result *result);

#endif
