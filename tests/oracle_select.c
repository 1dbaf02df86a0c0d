/* Judges routing choices in double precision; see oracle_select.h. Calls nothing but the C library. */
#include "oracle_select.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ULP          0x1p-24 /* half a unit in the last place of an f32, relative */
#define MOST_CLASSES 1024

/* A token as the rule sees it. */
typedef struct token {
    const clmoe_routing *rule;
    uint32_t classes, slots;
    double l[MOST_CLASSES];    /* logits, scaled, capped, finite or NaN */
    double p[MOST_CLASSES];    /* scores */
    double key[MOST_CLASSES];  /* what is compared; NaN ranks lowest */
    double size[MOST_CLASSES]; /* what the error of key is relative to */
    int candidate[MOST_CLASSES];
    double error; /* relative error that f32 may make in p and key */
    int by_logit; /* logits stand for scores in comparisons, and a mask of 0 for the lowest score */
} token;

static oracle_verdict wrong(char *why, size_t size, const char *format, ...) {
    va_list list;
    va_start(list, format);
    (void)vsnprintf(why, size, format, list);
    va_end(list);
    return ORACLE_WRONG;
}

/* ------------------------------------------------------------------------------------------------ scores */

static double finite_logit(const clmoe_routing *rule, float logit) {
    double l = (double)logit * (double)rule->logit_scale;
    if (l > (double)FLT_MAX) l = (double)FLT_MAX;
    if (l < -(double)FLT_MAX) l = -(double)FLT_MAX;
    if (rule->logit_softcap > 0) l = (double)rule->logit_softcap * tanh(l / (double)rule->logit_softcap);
    return l;
}

/* score of x[n], written to p. */
static void score(uint32_t kind, const double *x, uint32_t n, double *p) {
    double top = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (x[i] > top) top = x[i];
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!isnan(x[i])) sum += exp(x[i] - top);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (isnan(x[i]))
            p[i] = NAN;
        else if (kind == CLMOE_SOFTMAX)
            p[i] = exp(x[i] - top) / sum;
        else if (kind == CLMOE_SIGMOID)
            p[i] = 1 / (1 + exp(-x[i]));
        else if (kind == CLMOE_SQRT_SOFTPLUS)
            p[i] = sqrt(fmax(x[i], 0) + log1p(exp(-fabs(x[i]))));
        else
            p[i] = x[i];
    }
}

static void set_token(token *t, const clmoe_routing *rule, const float *logits, const float *bias) {
    t->rule = rule;
    t->classes = rule->num_experts + rule->zero_experts + rule->skip_experts;
    t->slots = rule->top_k + rule->always_experts;
    double largest = 0; /* of the logits that do not saturate every score */
    for (uint32_t c = 0; c < t->classes; c++) {
        t->l[c] = finite_logit(rule, logits[c]);
        if (fabs(t->l[c]) < 1000 && fabs(t->l[c]) > largest) largest = fabs(t->l[c]);
    }
    score(rule->score, t->l, t->classes, t->p);
    t->error = ULP * (48 + t->slots + 12 * largest);
    const int on_logit = rule->bias_on == CLMOE_BIAS_ON_LOGIT || rule->score_position == CLMOE_SCORE_AFTER;
    t->by_logit = bias == NULL && !on_logit && rule->score != CLMOE_SCORE_NONE &&
                  (rule->n_group <= 1 || rule->group_score == CLMOE_GROUP_MAX);
    for (uint32_t c = 0; c < t->classes; c++) {
        const double from = on_logit || t->by_logit ? t->l[c] : t->p[c], added = bias != NULL ? (double)bias[c] : 0;
        t->key[c] = from + added;
        t->size[c] = fabs(from) + fabs(added);
        t->candidate[c] = c >= rule->num_experts || c < rule->num_experts - rule->always_experts;
    }
}

/* ------------------------------------------------------------------------------------------------ groups */

static double group_score(const token *t, uint32_t group, uint32_t size) {
    double first = NAN, second = NAN;
    for (uint32_t c = group * size; c < (group + 1) * size; c++) {
        const double k = t->key[c];
        if (isnan(k)) continue;
        if (isnan(first) || k > first) {
            second = first;
            first = k;
        } else if (isnan(second) || k > second) {
            second = k;
        }
    }
    if (t->rule->group_score == CLMOE_GROUP_MAX || isnan(second)) return first;
    return first + second;
}

/* The largest size in a group. */
static double group_size(const token *t, uint32_t group, uint32_t size) {
    double largest = 0;
    for (uint32_t c = group * size; c < (group + 1) * size; c++) {
        if (t->size[c] > largest) largest = t->size[c];
    }
    return largest;
}

static double tolerance(const token *t, double a, double b) { return t->error * (a + b) + 1e-36; }

/* Masks all but the best groups. 0 if the last chosen and the first refused group are too close to call. */
static int mask_groups(token *t) {
    const uint32_t groups = t->rule->n_group;
    if (groups <= 1) return 1;
    const uint32_t size = t->rule->num_experts / groups;
    double scores[MOST_CLASSES], last = INFINITY, last_size = 0;
    int kept[MOST_CLASSES] = {0};
    for (uint32_t g = 0; g < groups; g++) scores[g] = group_score(t, g, size);
    for (uint32_t i = 0; i < t->rule->topk_group; i++) {
        uint32_t best = groups;
        for (uint32_t g = 0; g < groups; g++) {
            if (kept[g]) continue;
            if (best == groups || scores[g] > scores[best] || (isnan(scores[best]) && !isnan(scores[g]))) best = g;
        }
        kept[best] = 1;
        last = scores[best];
        last_size = group_size(t, best, size);
    }
    for (uint32_t g = 0; g < groups; g++) {
        if (kept[g]) continue;
        const double near = 2 * tolerance(t, last_size, group_size(t, g, size));
        if (scores[g] != last && fabs(scores[g] - last) <= near) return 0;
        for (uint32_t c = g * size; c < (g + 1) * size; c++) {
            const int zero = t->rule->group_mask == CLMOE_MASK_ZERO && !t->by_logit;
            if (!isnan(t->key[c])) t->key[c] = zero ? 0 : (double)-INFINITY;
        }
    }
    return 1;
}

/* ----------------------------------------------------------------------------------------------- choices */

static int better(const token *t, uint32_t a, uint32_t b) {
    const double x = t->key[a], y = t->key[b];
    if (isnan(x) || isnan(y)) return isnan(x) && isnan(y) ? a < b : isnan(y);
    if (x != y) return x > y;
    return a < b;
}

/* The best candidate left; they are used up in turn. */
static uint32_t take_best(token *t) {
    uint32_t best = UINT32_MAX;
    for (uint32_t c = 0; c < t->classes; c++) {
        if (t->candidate[c] && (best == UINT32_MAX || better(t, c, best))) best = c;
    }
    t->candidate[best] = 0;
    return best;
}

/* Every slot names the class the rule puts there, or one that f32 cannot tell from it. */
static oracle_verdict judge_index(token *t, const int32_t *index, char *why, size_t size) {
    int seen[MOST_CLASSES] = {0};
    for (uint32_t k = 0; k < t->slots; k++) {
        if (index[k] < 0 || index[k] >= (int32_t)t->classes)
            return wrong(why, size, "slot %u: index %d of %u classes", k, (int)index[k], t->classes);
        if (seen[index[k]]++) return wrong(why, size, "slot %u: index %d comes twice", k, (int)index[k]);
    }
    for (uint32_t k = 0; k < t->slots; k++) {
        const uint32_t got = (uint32_t)index[k];
        const uint32_t want =
            k < t->rule->top_k ? take_best(t) : t->rule->num_experts - t->rule->always_experts + k - t->rule->top_k;
        if (got == want) continue;
        const double x = t->key[got], y = t->key[want];
        /* Undistinguishable: closer than f32 can tell. Equal in double means equal logits, and then indices decide. */
        if (k < t->rule->top_k && x != y && fabs(x - y) <= tolerance(t, t->size[got], t->size[want])) continue;
        return wrong(why, size, "slot %u: class %u with key %.9g, expected %u with key %.9g", k, got, x, want, y);
    }
    return ORACLE_RIGHT;
}

/* The weights of a choice. */
static void weigh(const token *t, const int32_t *index, const float *expert_scale, double *w) {
    const clmoe_routing *rule = t->rule;
    for (uint32_t k = 0; k < t->slots; k++)
        w[k] = rule->score_position == CLMOE_SCORE_AFTER ? t->l[index[k]] : t->p[index[k]];
    if (rule->score_position == CLMOE_SCORE_AFTER) {
        double x[MOST_CLASSES] = {0};
        for (uint32_t k = 0; k < t->slots; k++) x[k] = w[k];
        score(rule->score, x, t->slots, w);
    }
    double norm = 0;
    for (uint32_t k = 0; k < t->slots; k++) {
        if (isnan(w[k])) continue;
        norm += rule->normalize == CLMOE_NORM_P ? pow(fabs(w[k]), (double)rule->norm_p) : w[k];
    }
    if (rule->normalize == CLMOE_NORM_P) norm = pow(norm, 1 / (double)rule->norm_p);
    norm = fmax(norm + (double)rule->norm_eps, (double)rule->norm_floor);
    for (uint32_t k = 0; k < t->slots; k++) {
        if (rule->normalize != CLMOE_NORM_NONE) w[k] /= norm;
        w[k] *= (double)rule->scale * (expert_scale != NULL ? (double)expert_scale[index[k]] : 1);
    }
}

/* relative: what f32 may be off. */
static int close_enough(double got, double want, double relative) {
    if (isnan(want) || isnan(got)) return isnan(want) && isnan(got);
    if (isinf(want) || isinf(got)) return want == got;
    return fabs(got - want) <= relative * fabs(want) + 1e-36;
}

static oracle_verdict judge_weight(const token *t, const double *want, const float *weight, char *why, size_t size) {
    double magnitude = 0, sum = 0;
    for (uint32_t k = 0; k < t->slots; k++) {
        magnitude += isnan(want[k]) ? 0 : fabs(want[k]);
        sum += isnan(want[k]) ? 0 : want[k];
    }
    /* A sum of unlike signs magnifies its terms' errors. */
    const double cancel = t->rule->normalize == CLMOE_NORM_SUM && sum != 0 ? magnitude / fabs(sum) : 1;
    const double relative =
        2 * t->error * cancel * (t->rule->normalize == CLMOE_NORM_P ? 2 + (double)t->rule->norm_p : 1);
    for (uint32_t k = 0; k < t->slots; k++) {
        if (!close_enough((double)weight[k], want[k], relative))
            return wrong(why, size, "slot %u: weight %.9g, expected %.9g", k, (double)weight[k], want[k]);
    }
    return ORACLE_RIGHT;
}

/* ------------------------------------------------------------------------------------------- sparsemixer */

/* Two rounds; each masks what is too far below the round's best, judged by the logits of all classes. */
static oracle_verdict sparsemixer(token *t, const float *expert_scale, const int32_t *index, const float *weight,
                                  char *why, size_t size) {
    double want[2];
    for (uint32_t c = 0; c < t->classes; c++) t->key[c] = t->l[c];
    int left[MOST_CLASSES];
    for (uint32_t k = 0; k < 2; k++) {
        for (uint32_t c = 0; c < t->classes; c++) left[c] = t->candidate[c];
        const uint32_t best = take_best(t);
        const double top = t->l[best], band = 2 * (double)t->rule->sparsemixer_eps;
        double sum = 0;
        for (uint32_t c = 0; c < t->classes; c++) {
            if (!left[c] || isnan(t->l[c])) continue;
            const double distance = (top - t->l[c]) / fmax(fabs(t->l[c]), top);
            if (fabs(distance - band) <= t->error * (1 + band)) return ORACLE_UNDECIDED;
            if (!(distance > band)) sum += exp(t->l[c] - top);
        }
        want[k] = isnan(top) ? (double)NAN : 1 / sum;
        if (index[k] != (int32_t)best)
            return wrong(why, size, "slot %u: class %d, expected %u", k, (int)index[k], best);
        want[k] *= (double)t->rule->scale * (expert_scale != NULL ? (double)expert_scale[best] : 1);
    }
    return judge_weight(t, want, weight, why, size);
}

oracle_verdict oracle_select_token(const clmoe_routing *rule, const float *logits, const float *bias,
                                   const float *expert_scale, const int32_t *index, const float *weight, char *why,
                                   size_t why_size) {
    token t = {0};
    set_token(&t, rule, logits, bias);
    if (rule->method == CLMOE_SPARSEMIXER) return sparsemixer(&t, expert_scale, index, weight, why, why_size);
    if (!mask_groups(&t)) return ORACLE_UNDECIDED;
    const oracle_verdict verdict = judge_index(&t, index, why, why_size);
    if (verdict != ORACLE_RIGHT) return verdict;
    double want[MOST_CLASSES];
    weigh(&t, index, expert_scale, want);
    return judge_weight(&t, want, weight, why, why_size);
}

/* --------------------------------------------------------------------------------------- expert choice */

/* How many tokens rank before token i in a column, by score, then by position. near: how many of the others are too
 * close to tell. */
static uint32_t rank_of(const double *p, uint32_t tokens, uint32_t experts, uint32_t i, double error, uint32_t *near) {
    uint32_t before = 0;
    const double x = p[(size_t)i * experts];
    *near = 0;
    for (uint32_t j = 0; j < tokens; j++) {
        const double y = p[(size_t)j * experts];
        if (j == i) continue;
        if (isnan(x) || isnan(y))
            before += isnan(x) && (!isnan(y) || j < i);
        else if (x == y)
            before += j < i;
        else if (fabs(x - y) <= error * (x + y) + 1e-36)
            ++*near;
        else
            before += y > x;
    }
    return before;
}

oracle_verdict oracle_expert_choice(const clmoe_routing *rule, const float *logits, uint32_t tokens,
                                    const float *expert_scale, const int32_t *index, const float *weight, char *why,
                                    size_t why_size) {
    const uint32_t experts = rule->num_experts;
    const double exact = (double)((float)tokens * rule->capacity_factor) / experts; /* the product is defined in f32 */
    const uint32_t capacity = ceil(exact) < tokens ? (uint32_t)ceil(exact) : tokens;
    oracle_verdict verdict = ORACLE_RIGHT;
    double *p = calloc((size_t)tokens * experts + 1, sizeof *p);
    if (p == NULL) return wrong(why, why_size, "no memory");
    token t = {0};
    double error = 0;
    for (uint32_t i = 0; i < tokens; i++) {
        set_token(&t, rule, logits + (size_t)i * experts, NULL);
        for (uint32_t e = 0; e < experts; e++) p[(size_t)i * experts + e] = t.p[e];
        if (t.error > error) error = t.error;
    }
    for (uint32_t e = 0; e < experts && verdict == ORACLE_RIGHT; e++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < tokens && verdict == ORACLE_RIGHT; i++) {
            const size_t at = (size_t)i * experts + e;
            const int taken = index[at] == (int32_t)e;
            uint32_t near = 0;
            const uint32_t rank = rank_of(p + e, tokens, experts, i, error, &near);
            count += (uint32_t)taken;
            const double want =
                taken ? p[at] * (double)rule->scale * (expert_scale != NULL ? (double)expert_scale[e] : 1) : 0;
            if (!taken && index[at] != -1)
                verdict = wrong(why, why_size, "token %u, slot %u: index %d", i, e, (int)index[at]);
            else if (taken ? rank >= capacity : rank + near < capacity)
                verdict = wrong(why, why_size, "token %u, expert %u: taken is %d at rank %u (or %u more) of %u", i, e,
                                taken, rank, near, capacity);
            else if (!close_enough((double)weight[at], want, 2 * error))
                verdict = wrong(why, why_size, "token %u, expert %u: weight %.9g, expected %.9g", i, e,
                                (double)weight[at], want);
        }
        if (verdict == ORACLE_RIGHT && count != capacity)
            verdict = wrong(why, why_size, "expert %u has %u tokens, expected %u", e, count, capacity);
    }
    free(p);
    return verdict;
}
