/* clmoe: the rule by which tokens choose experts, as data, and how evenly they did. Part of <clmoe/clmoe.h>, whose
 * conventions hold here. */
#ifndef CLMOE_CLMOE_ROUTING_H
#define CLMOE_CLMOE_ROUTING_H

#include <clmoe/clmoe_types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How experts are chosen from logits, as data. Every field is one axis of the rules the known models use; the
 * presets below name the combinations. All arithmetic is f32.
 *
 *   l  = logit * logit_scale;  if logit_softcap > 0: l = softcap * tanh(l / softcap)
 *   p  = score(l)                                     over all classes (score_position BEFORE)
 *   key = p + select_bias   or   l + select_bias      what is compared; the bias never enters the weight. Without a
 *         bias (and without TOP2_SUM groups) l is compared in either case, which orders the same and does not saturate;
 *         a MASK_ZERO of scores then is a MASK_NEG_INF of logits
 *   groups: experts in n_group equal runs; a group's score from its keys; the best topk_group stay, others are masked
 *   chosen = the top_k largest keys; equal keys: the lower index wins; NaN ranks below everything, -inf included
 *   w  = p[chosen], or score over the K chosen logits (score_position AFTER)
 *   w  = w / max(sum + norm_eps, norm_floor), or w / p-norm likewise;  w = w * scale * expert_scale[chosen]
 *
 * Weights come in slot order: slot 0 has the largest key. What is not finite: an infinite logit counts as the largest
 * finite number of its sign; a NaN logit takes no part in sums and is chosen only for want of numbers, then its weight
 * is NaN. A token's indices are always in range and differ from each other. */
typedef enum clmoe_method {
    CLMOE_TOP_K = 0,
    CLMOE_SPARSEMIXER = 1,  /* Phi-3.5-MoE, arXiv:2409.12136: top_k = 2, masks by sparsemixer_eps */
    CLMOE_EXPERT_CHOICE = 2 /* arXiv:2202.09368: every expert takes its ceil(T * capacity_factor / E) best tokens */
} clmoe_method;

typedef enum clmoe_score {
    CLMOE_SCORE_NONE = 0,
    CLMOE_SOFTMAX = 1,
    CLMOE_SIGMOID = 2,
    CLMOE_SQRT_SOFTPLUS = 3 /* sqrt(log(1 + exp(l))) */
} clmoe_score;

typedef enum clmoe_score_position { CLMOE_SCORE_BEFORE = 0, CLMOE_SCORE_AFTER = 1 } clmoe_score_position;
typedef enum clmoe_bias_on { CLMOE_BIAS_ON_SCORE = 0, CLMOE_BIAS_ON_LOGIT = 1 } clmoe_bias_on;
typedef enum clmoe_group_score { CLMOE_GROUP_MAX = 0, CLMOE_GROUP_TOP2_SUM = 1 } clmoe_group_score;
typedef enum clmoe_group_mask { CLMOE_MASK_NEG_INF = 0, CLMOE_MASK_ZERO = 1 } clmoe_group_mask;
typedef enum clmoe_normalize { CLMOE_NORM_NONE = 0, CLMOE_NORM_SUM = 1, CLMOE_NORM_P = 2 } clmoe_normalize;
typedef enum clmoe_weight_on { CLMOE_WEIGHT_ON_OUTPUT = 0, CLMOE_WEIGHT_ON_INPUT = 1 } clmoe_weight_on;

/* Classes, in logit order: num_experts experts with weights, then zero_experts identities (they add weight * x), then
 * skip_experts that add nothing. clmoe_routing_classes() is their sum, the logits' row length, at most 1024. */
typedef struct clmoe_routing {
    size_t struct_size;
    uint32_t num_experts;    /* 1..1024, of the whole model */
    uint32_t top_k;          /* 1..classes; ignored by expert choice */
    uint32_t method;         /* clmoe_method */
    uint32_t score;          /* clmoe_score; default softmax */
    uint32_t score_position; /* clmoe_score_position */
    uint32_t bias_on;        /* clmoe_bias_on: where the select_bias of the weights goes */
    float logit_scale;       /* default 1 */
    float logit_softcap;     /* 0 = none */
    uint32_t n_group;        /* 0 or 1 = no groups; must divide num_experts */
    uint32_t topk_group;     /* 1..n_group; top_k experts must fit in them */
    uint32_t group_score;    /* clmoe_group_score */
    uint32_t group_mask;     /* clmoe_group_mask */
    uint32_t normalize;      /* clmoe_normalize */
    float norm_eps;          /* added to the sum or norm */
    float norm_floor;        /* the divisor is at least this */
    float norm_p;            /* the p of the p-norm, > 0 */
    float scale;             /* default 1 */
    uint32_t weight_on;      /* clmoe_weight_on */
    uint32_t zero_experts;
    uint32_t skip_experts;
    uint32_t always_experts; /* the last n of num_experts are chosen for every token, in slots behind the top_k, and
                              * share in the normalisation (Inkling's shared experts) */
    float sparsemixer_eps;   /* the band of SPARSEMIXER, >= 0 */
    float capacity_factor;   /* of EXPERT_CHOICE, > 0 */
    uint32_t reserved[8];    /* 0: room to grow, because layer descriptions hold a clmoe_routing by value */
} clmoe_routing;

CLMOE_API void clmoe_routing_default(clmoe_routing *routing, size_t struct_size);
/* num_experts + zero_experts + skip_experts; 0 if the sum overflows. */
CLMOE_API uint32_t clmoe_routing_classes(const clmoe_routing *routing);
/* Slots a token has in index and weight arrays: top_k + always_experts; num_experts for expert choice. */
CLMOE_API uint32_t clmoe_routing_slots(const clmoe_routing *routing);
/* INVALID_ARGUMENT with the field's name if the combination has no meaning. */
CLMOE_API clmoe_status clmoe_routing_validate(const clmoe_routing *routing, clmoe_error *error);

/* Fills the rule of a model family, "mixtral", "deepseek_v3", "gpt_oss" ...: method, score, normalisation, masks; sizes
 * (num_experts, top_k, groups, scale) stay as they are. Where a family leaves it to its configuration, normalisation is
 * what the family's published checkpoints use. UNSUPPORTED lists the known names in the error's log. */
CLMOE_API clmoe_status clmoe_routing_preset(clmoe_routing *routing, const char *model, clmoe_error *error);
/* The i-th preset's name, NULL past the last. Static storage. */
CLMOE_API const char *clmoe_routing_preset_name(uint32_t i);

/* ------------------------------------------------------------------------------------------- expert load */

/* How evenly experts were used, from the counts of out_load copied to the host. */
typedef struct clmoe_load_stats {
    size_t struct_size;
    uint64_t total;          /* sum of the counts */
    uint32_t active_experts; /* count > 0 */
    uint32_t idle_experts;
    double max_over_mean;    /* 1 = perfectly even; 0 without rows */
    double entropy;          /* -sum p ln p, in nats; ln(num_experts) = perfectly even */
} clmoe_load_stats;

CLMOE_API clmoe_status clmoe_load_statistics(const int32_t *load, uint32_t num_experts, clmoe_load_stats *stats,
                                             clmoe_error *error);

#ifdef __cplusplus
}
#endif
#endif
