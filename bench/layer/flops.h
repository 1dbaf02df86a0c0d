/* Operations of a forward, one function a stage, from the definition of the layer and not from how a kernel does it.
 * A multiplication, an addition, a comparison, a division and an exponential are one operation each; a multiply-add
 * is two.
 *
 *   T tokens, H hidden_size, I intermediate_size, S width of the shared expert, E experts, K top_k, G groups */
#ifndef CLMOE_BENCH_FLOPS_H
#define CLMOE_BENCH_FLOPS_H

#include "common/models.h"

/* 2 T H E, and T E with a router bias. */
double flops_logits(const model *m, double tokens);
/* Scores, the choice and the weights; for each token
 *   softmax over n   5 n - 2: largest value n - 1, differences n, exponentials n, sum n - 1, quotients n
 *   sigmoid over n   4 n: sign, exponential, sum, quotient; and n with a selection bias
 *   best k of n      (n - 1) + (n - 2) + ... + (n - k): each round compares what is left
 *   groups           the two best of E / G and their sum for each, the best groups, then the best of their experts
 *   weights          K - 1 additions and K quotients where they are normalised, K products where they are scaled */
double flops_select(const model *m, double tokens);
/* 4 T K I H, and 2 T K I with biases: gate and up. */
double flops_up(const model *m, double tokens);
/* 6 T K I for g / (1 + exp(-g)) * u; each of alpha, offset and limits adds its own. */
double flops_activation(const model *m, double tokens);
/* 2 T K H I, and T K H with a bias. */
double flops_down(const model *m, double tokens);
/* 6 T S H + 6 T S: the shared expert, all three matrices and its activation. */
double flops_shared(const model *m, double tokens);
/* T H (2 K - 1), and T H with a shared expert. */
double flops_combine(const model *m, double tokens);
/* All of the above. */
double flops_forward(const model *m, double tokens);

/* Matrix products alone, without biases: what the rates of the tables count, because peaks are rates of
 * multiply-adds. */
double flops_matrix(const model *m, double tokens);

/* What papers count for gating: T H E + 3 T E + T E (a multiply-add as one operation, a softmax as three for each
 * expert, top-k as one); and the same by the functions above. */
double flops_gating_literature(const model *m, double tokens);
double flops_gating_exact(const model *m, double tokens);

#endif
