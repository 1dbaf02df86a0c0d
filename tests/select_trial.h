/* One run of the select stage with random logits, and its judgement by oracle_select: what test_select.c and
 * test_routing.c share. */
#ifndef CLMOE_TESTS_SELECT_TRIAL_H
#define CLMOE_TESTS_SELECT_TRIAL_H

#include "oracle_select.h"
#include "support.h"

/* One run of a rule: what goes in, what came out. Arrays are malloc'd. */
typedef struct trial {
    clmoe_routing rule;
    uint32_t tokens, classes, slots;
    int32_t valid;                       /* told to the device; -1: not told */
    float *logits, *bias, *expert_scale; /* the last two may be NULL */
    int32_t *index;
    float *weight;
} trial;

/* A default rule of these sizes. */
clmoe_routing trial_rule(uint32_t experts, uint32_t top_k);
/* Logits are normal with deviation 2, from a stream of their own; no bias, no scale. */
trial trial_new(const clmoe_routing *rule, uint32_t tokens, uint64_t stream);
void trial_free(trial *t);
void trial_add_bias(trial *t, uint64_t stream);
void trial_add_scale(trial *t, uint64_t stream);

/* The stage for the trial's rule and vectors. */
clmoe_select *trial_create(test_device *device, const trial *t);
/* Fills index and weight; guards checked. */
void trial_run(test_device *device, trial *t);
/* Judges the first `tokens` tokens; at most one in ten may be undecided. */
void trial_judge(const trial *t, uint32_t tokens, const char *what);
/* Runs, judges all tokens, frees. */
void trial_pass(test_device *device, trial *t, const char *what);

#endif
