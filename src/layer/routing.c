/* What a clmoe_routing means in numbers of classes and slots, and which combinations mean nothing. Host arithmetic
 * only; may call src/os. */
#include <clmoe/clmoe.h>

#include <math.h>

#include "os/error.h"

#define CLASSES_MAX 1024u

void clmoe_routing_default(clmoe_routing *routing, size_t struct_size) {
    const clmoe_routing defaults = {
        .struct_size = sizeof defaults,
        .num_experts = 1,
        .top_k = 1,
        .method = CLMOE_TOP_K,
        .score = CLMOE_SOFTMAX,
        .logit_scale = 1.0f,
        .n_group = 1,
        .topk_group = 1,
        .norm_p = 1.0f,
        .scale = 1.0f,
        .sparsemixer_eps = 0.01f,
        .capacity_factor = 1.0f,
    };
    clmoe__give(routing, struct_size, &defaults, sizeof defaults);
}

uint32_t clmoe_routing_classes(const clmoe_routing *routing) {
    if (routing == NULL) return 0;
    const uint64_t sum = (uint64_t)routing->num_experts + routing->zero_experts + routing->skip_experts;
    return sum > UINT32_MAX ? 0 : (uint32_t)sum;
}

uint32_t clmoe_routing_slots(const clmoe_routing *routing) {
    if (routing == NULL) return 0;
    if (routing->method == CLMOE_EXPERT_CHOICE) return routing->num_experts;
    const uint64_t sum = (uint64_t)routing->top_k + routing->always_experts;
    return sum > UINT32_MAX ? 0 : (uint32_t)sum;
}

/* Every enumeration within its list. */
static clmoe_status check_enumerations(const clmoe_routing *r, clmoe_error *error) {
    const struct {
        const char *argument;
        uint32_t value, last;
    } rows[] = {
        {"routing.method", r->method, CLMOE_EXPERT_CHOICE},
        {"routing.score", r->score, CLMOE_SQRT_SOFTPLUS},
        {"routing.score_position", r->score_position, CLMOE_SCORE_AFTER},
        {"routing.bias_on", r->bias_on, CLMOE_BIAS_ON_LOGIT},
        {"routing.group_score", r->group_score, CLMOE_GROUP_TOP2_SUM},
        {"routing.group_mask", r->group_mask, CLMOE_MASK_ZERO},
        {"routing.normalize", r->normalize, CLMOE_NORM_P},
        {"routing.weight_on", r->weight_on, CLMOE_WEIGHT_ON_INPUT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        REQUIRE(rows[i].value <= rows[i].last, error, rows[i].argument, "%s is %u, expected 0..%u", rows[i].argument,
                rows[i].value, rows[i].last);
    }
    return CLMOE_OK;
}

/* Every factor finite and on the right side of 0. */
static clmoe_status check_numbers(const clmoe_routing *r, clmoe_error *error) {
    enum { ANY, NOT_NEGATIVE, POSITIVE };
    static const char *const ranges[] = {"finite", "finite and >= 0", "finite and > 0"};
    const struct {
        const char *argument;
        float value;
        int range;
    } rows[] = {
        {"routing.logit_scale", r->logit_scale, ANY},
        {"routing.logit_softcap", r->logit_softcap, NOT_NEGATIVE},
        {"routing.norm_eps", r->norm_eps, NOT_NEGATIVE},
        {"routing.norm_floor", r->norm_floor, NOT_NEGATIVE},
        {"routing.norm_p", r->norm_p, POSITIVE},
        {"routing.scale", r->scale, ANY},
        {"routing.sparsemixer_eps", r->sparsemixer_eps, NOT_NEGATIVE},
        {"routing.capacity_factor", r->capacity_factor, POSITIVE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        const float value = rows[i].value;
        const int good = isfinite(value) && (rows[i].range != NOT_NEGATIVE || value >= 0.0f) &&
                         (rows[i].range != POSITIVE || value > 0.0f);
        REQUIRE(good, error, rows[i].argument, "%s is %g, expected a number that is %s", rows[i].argument,
                (double)value, ranges[rows[i].range]);
    }
    return CLMOE_OK;
}

static clmoe_status check_sizes(const clmoe_routing *r, clmoe_error *error) {
    REQUIRE(r->num_experts >= 1 && r->num_experts <= CLASSES_MAX, error, "routing.num_experts",
            "num_experts is %u, expected 1..%u", r->num_experts, CLASSES_MAX);
    REQUIRE(r->zero_experts <= CLASSES_MAX - r->num_experts, error, "routing.zero_experts",
            "zero_experts is %u beside %u experts, expected 0..%u", r->zero_experts, r->num_experts,
            CLASSES_MAX - r->num_experts);
    const uint32_t left = CLASSES_MAX - r->num_experts - r->zero_experts;
    REQUIRE(r->skip_experts <= left, error, "routing.skip_experts",
            "skip_experts is %u beside %u experts and %u zero experts, expected 0..%u", r->skip_experts, r->num_experts,
            r->zero_experts, left);
    REQUIRE(r->always_experts < r->num_experts, error, "routing.always_experts", "always_experts is %u, expected 0..%u",
            r->always_experts, r->num_experts - 1);
    if (r->method == CLMOE_EXPERT_CHOICE) return CLMOE_OK;
    const uint32_t candidates = clmoe_routing_classes(r) - r->always_experts;
    REQUIRE(r->top_k >= 1 && r->top_k <= candidates, error, "routing.top_k", "top_k is %u, expected 1..%u", r->top_k,
            candidates);
    return CLMOE_OK;
}

static clmoe_status check_groups(const clmoe_routing *r, clmoe_error *error) {
    if (r->n_group <= 1) return CLMOE_OK;
    REQUIRE(r->method == CLMOE_TOP_K, error, "routing.n_group", "n_group is %u, but only the method TOP_K has groups",
            r->n_group);
    REQUIRE(r->zero_experts == 0 && r->skip_experts == 0 && r->always_experts == 0, error, "routing.n_group",
            "n_group is %u, expected 0 or 1 beside zero, skip or always experts", r->n_group);
    REQUIRE(r->num_experts % r->n_group == 0, error, "routing.n_group",
            "n_group is %u, expected a divisor of %u experts", r->n_group, r->num_experts);
    const uint32_t size = r->num_experts / r->n_group;
    REQUIRE(size >= 2 || r->group_score == CLMOE_GROUP_MAX, error, "routing.group_score",
            "group_score is TOP2_SUM, but a group has one expert: n_group is %u, expected 1..%u", r->n_group,
            r->num_experts / 2);
    REQUIRE(r->topk_group >= 1 && r->topk_group <= r->n_group, error, "routing.topk_group",
            "topk_group is %u, expected 1..%u", r->topk_group, r->n_group);
    REQUIRE(r->top_k <= r->topk_group * size, error, "routing.topk_group",
            "topk_group is %u groups of %u experts, expected %u or more for a top_k of %u", r->topk_group, size,
            (r->top_k + size - 1) / size, r->top_k);
    return CLMOE_OK;
}

/* What SPARSEMIXER and EXPERT_CHOICE cannot be combined with. */
static clmoe_status check_method(const clmoe_routing *r, clmoe_error *error) {
    if (r->method == CLMOE_TOP_K) return CLMOE_OK;
    const char *name = r->method == CLMOE_SPARSEMIXER ? "SPARSEMIXER" : "EXPERT_CHOICE";
    REQUIRE(r->normalize == CLMOE_NORM_NONE, error, "routing.normalize", "normalize is %u, expected 0 (NONE) with %s",
            r->normalize, name);
    REQUIRE(r->score_position == CLMOE_SCORE_BEFORE, error, "routing.score_position",
            "score_position is AFTER, expected BEFORE with %s", name);
    REQUIRE(r->always_experts == 0, error, "routing.always_experts", "always_experts is %u, expected 0 with %s",
            r->always_experts, name);
    if (r->method == CLMOE_SPARSEMIXER) {
        REQUIRE(r->score == CLMOE_SOFTMAX, error, "routing.score",
                "score is %u, expected %u (SOFTMAX) with SPARSEMIXER", r->score, (unsigned)CLMOE_SOFTMAX);
        REQUIRE(r->top_k == 2, error, "routing.top_k", "top_k is %u, expected 2 with SPARSEMIXER", r->top_k);
        return CLMOE_OK;
    }
    REQUIRE(r->zero_experts == 0, error, "routing.zero_experts", "zero_experts is %u, expected 0 with EXPERT_CHOICE",
            r->zero_experts);
    REQUIRE(r->skip_experts == 0, error, "routing.skip_experts", "skip_experts is %u, expected 0 with EXPERT_CHOICE",
            r->skip_experts);
    return CLMOE_OK;
}

clmoe_status clmoe_routing_validate(const clmoe_routing *routing, clmoe_error *error) {
    clmoe_routing r;
    clmoe_routing_default(&r, sizeof r);
    TRY(clmoe__take(&r, sizeof r, routing, "routing", error));
    for (int i = 0; i < 8; i++) REQUIRE(r.reserved[i] == 0, error, "routing.reserved", "reserved[%d] is not 0", i);
    TRY(check_enumerations(&r, error));
    TRY(check_numbers(&r, error));
    TRY(check_sizes(&r, error));
    TRY(check_groups(&r, error));
    return check_method(&r, error);
}
