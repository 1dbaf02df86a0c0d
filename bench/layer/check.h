/* Tells whether a layer computed what it should, in double precision and with none of the library's code. */
#ifndef CLMOE_BENCH_CHECK_H
#define CLMOE_BENCH_CHECK_H

#include "host_layer.h"

/* One token as the device saw it and what the device made of it. */
typedef struct token_result {
    const float *x;       /* [H] */
    const int32_t *index; /* [K] */
    const float *weight;  /* [K] */
    const float *out;     /* [H] */
    const float *logits;  /* [E] that the device was given; NULL: it took the router's */
} token_result;

typedef struct check_result {
    double max_rel_error; /* largest difference over the root mean square of the token's output, worst token */
    double tolerance;     /* of max_rel_error */
    double nmse;          /* squared differences over squares, sums over all tokens, from what exact arithmetic gives */
} check_result;

/* Checks the routes of the tokens against the double-precision router (away from ties), then the outputs that these
 * routes should give in this clmoe_arithmetic, with the experts' outputs stored in y_format. 0 if all is right; else 1,
 * and why[] says what is wrong. */
int check_tokens(const host_layer *layer, uint32_t arithmetic, uint32_t y_format, const token_result *tokens,
                 size_t count, check_result *result, char *why, size_t why_capacity);

/* What the normalised mean squared error may be. int8: what llama.cpp allows itself. With outputs stored in 16 bits,
 * the square of their largest relative error more. */
double nmse_limit(uint32_t arithmetic, uint32_t y_format);

/* What sums of these lengths may be off by, relative to the root mean square of the output:
 *   f32   each of the three sums behaves as a random walk over its n terms, sqrt(n) half-ulps of 2^-24; 8 for the worst
 *         of thousands of outputs, and a few ulps of the activation's exponential are well inside
 *   bf16  weights and h are rounded to 8 bits, by the oracle too; where the device's h differs by an ulp of f32 it may
 *         round the other way, which moves an output by 2^-8 of one term among I: 16 such terms at once are allowed
 *   int8  compared with exact arithmetic: eight standard deviations of the error that nmse_limit() allows
 * and where outputs are stored in 16 bits eight times their largest relative error more. */
double tolerance_of(const model *shape, uint32_t arithmetic, uint32_t y_format);

#endif
