/* One run of a grouped GEMM as a stage on rows of f32: what tests of its variants and of its tiles compare. */
#ifndef CLMOE_TESTS_GEMM_TRIAL_H
#define CLMOE_TESTS_GEMM_TRIAL_H

#include "support.h"

typedef struct gemm_trial {
    char variant[64];
    uint32_t tile_rows;
    float *y;      /* [tokens or tokens * slots, out_features], with a plan in its order */
    int32_t *plan; /* as `layout` says; NULL: without one */
    clmoe_plan_layout layout;
} gemm_trial;

/* x [tokens, in_features]. index [tokens, slots]: the group of each slot, which a dispatch plans; NULL: one group, no
 * plan. */
gemm_trial gemm_trial_run(test_device *device, const clmoe_grouped_gemm_desc *desc, uint32_t tokens, const float *x,
                          const int32_t *index);
void gemm_trial_free(gemm_trial *t);

#endif
