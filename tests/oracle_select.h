/* The routing rules in double precision, written from their definitions; shares no code with src/. It does not choose
 * by itself and compare: two numbers closer than f32 can tell may be ordered either way. It judges a choice that was
 * made. */
#ifndef CLMOE_TESTS_ORACLE_SELECT_H
#define CLMOE_TESTS_ORACLE_SELECT_H

#include <clmoe/clmoe.h>

typedef enum oracle_verdict {
    ORACLE_RIGHT = 0,
    ORACLE_WRONG = 1,
    ORACLE_UNDECIDED = 2 /* a group or a sparsemixer band hangs on the last bits */
} oracle_verdict;

/* One token: is index[slots], weight[slots] what the rule makes of logits[classes]? bias and expert_scale [classes] may
 * be NULL. `why` receives a sentence about what is wrong. */
oracle_verdict oracle_select_token(const clmoe_routing *rule, const float *logits, const float *bias,
                                   const float *expert_scale, const int32_t *index, const float *weight, char *why,
                                   size_t why_size);

/* Expert choice, all tokens at once: index, weight [tokens, num_experts]. */
oracle_verdict oracle_expert_choice(const clmoe_routing *rule, const float *logits, uint32_t tokens,
                                    const float *expert_scale, const int32_t *index, const float *weight, char *why,
                                    size_t why_size);

#endif
