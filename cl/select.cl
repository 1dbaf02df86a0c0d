/* Chooses each token's experts: index[T, SLOTS] and weight[T, SLOTS] from logits[T, CLASSES], by the rule that
 * routing.clh gives as constants. One work-item a token; items stride over tokens, so any global size works. Nothing
 * crosses from one token to another.
 *
 *     value[PADDED]   logits, then scores
 *     key[PADDED]     what is compared, as ordered integers; 0 = no candidate
 */
#include "routing.clh"

#ifndef LOCAL_SIZE
#define LOCAL_SIZE 1
#endif
#if SCORE_AFTER || SPARSEMIXER
#define SCORE_ALL 0
#else
#define SCORE_ALL 1
#endif

/* Index of the largest of key[count], the lowest one among equals; it is no candidate afterwards. */
static inline uint take_best(uint *key, uint count) {
    bits best = REAL_LOAD(key), at = (bits)(0u);
    for (uint i = LANES; i < count; i += LANES) {
        const bits k = REAL_LOAD(key + i);
        at = k > best ? (bits)(i) : at;
        best = max(best, k);
    }
    const bits top = (bits)(max_lane(best));
    const uint index = min_lane(best == top ? at + LANE_NUMBERS : (bits)(UINT_MAX));
    key[index] = 0u;
    return index;
}

static inline void make_keys(const float *value, __global const float *select_bias, uint *key) {
    for (uint i = 0; i < PADDED; i += LANES) {
        real x = REAL_LOAD(value + i);
        if (HAS_SELECT_BIAS) x += load_classes(select_bias, i);
        REAL_STORE(candidate_keys(x), key + i);
    }
    for (uint i = CLASSES; i < PADDED; ++i) key[i] = 0u;
    for (uint i = EXPERTS - ALWAYS; i < EXPERTS; ++i) key[i] = 0u;
}

#if GROUPS > 1
#define GROUP_SIZE (EXPERTS / GROUPS)
#define GROUPS_PADDED PADDED_TO_LANES(GROUPS)
#define MASKED (GROUP_MASK_ZERO ? 0x80000001u : 0x00800000u) /* candidate_key of 0 and of -inf */

/* candidate_key of a group's score: its largest key, or the sum of its two largest. */
static inline uint group_key(const uint *key) {
    uint first = 0u, second = 0u, i = 0u;
#if GROUP_SIZE >= LANES
    bits a = (bits)(0u), b = (bits)(0u); /* each lane's two largest */
    for (; i + LANES <= GROUP_SIZE; i += LANES) {
        const bits k = REAL_LOAD(key + i);
        b = max(b, min(a, k));
        a = max(a, k);
    }
    first = max_lane(a);
    const bits lane = (bits)(min_lane(a == (bits)(first) ? LANE_NUMBERS : (bits)(UINT_MAX)));
    second = max_lane(LANE_NUMBERS == lane ? b : a);
#endif
    for (; i < GROUP_SIZE; ++i) {
        second = max(second, min(first, key[i]));
        first = max(first, key[i]);
    }
    const bool sum = GROUP_TOP2_SUM && second > 1u; /* 1: NaN */
    return sum ? candidate_key(candidate_value(first) + candidate_value(second)) : first;
}

/* Masks the keys of all but the best groups; a NaN stays below the mask. */
static inline void mask_groups(uint *key) {
    uint group[GROUPS_PADDED];
    for (uint g = 0; g < GROUPS_PADDED; ++g) group[g] = g < GROUPS ? group_key(key + g * GROUP_SIZE) : 0u;
    for (uint i = 0; i < TOP_GROUPS; ++i) (void)take_best(group, GROUPS_PADDED);
    for (uint g = 0; g < GROUPS; ++g) {
        if (group[g] == 0u) continue; /* taken */
        for (uint i = g * GROUP_SIZE; i < (g + 1) * GROUP_SIZE; ++i) key[i] = key[i] == 1u ? 1u : MASKED;
    }
}
#endif

static inline float number_or_0(float x) { return x == x ? x : 0.0f; }

/* What the weights are divided by, of w[SLOTS]. NaN takes no part. */
static inline float divisor(const float *w) {
    float norm = 0.0f;
    if (NORMALIZE == NORM_SUM) {
        for (uint k = 0; k < SLOTS; ++k) norm += number_or_0(w[k]);
    } else {
        float most = 0.0f; /* powers relative to the largest never leave the range */
        for (uint k = 0; k < SLOTS; ++k) most = fmax(most, fabs(number_or_0(w[k])));
        for (uint k = 0; k < SLOTS && most > 0.0f; ++k) norm += pow(fabs(number_or_0(w[k])) / most, NORM_P);
        norm = most * pow(norm, 1.0f / NORM_P);
    }
    norm += NORM_EPS;
    return norm < NORM_FLOOR ? NORM_FLOOR : norm;
}

/* Final weights from w[SLOTS], the chosen scores, or logits if scored after. w has whole vectors, NaN behind SLOTS. */
static inline void store_weights(float *w, __global const int *index, __global const float *expert_scale,
                                 __global float *weight) {
    if (SCORE_AFTER) scores(w, PADDED_TO_LANES(SLOTS));
    const float by = NORMALIZE == NORM_NONE ? 1.0f : divisor(w);
    for (uint k = 0; k < SLOTS; ++k) {
        float x = w[k] / by * SCALE;
        if (HAS_EXPERT_SCALE) x *= expert_scale[index[k]];
        weight[k] = x;
    }
}

/* Two rounds of: the best class, weighted by the softmax over the classes within its band that are left. */
static inline void choose_by_sparsemixer(const float *value, uint *key, float *w, __global int *index) {
    for (uint k = 0; k < TOP_K; ++k) {
        const uint best = take_best(key, PADDED);
        const real top = (real)(value[best]), band = (real)(2.0f * SPARSEMIXER_EPS);
        real sum = (real)(0.0f);
        for (uint i = 0; i < PADDED; i += LANES) {
            const real x = REAL_LOAD(value + i);
            const real magnitude = fabs(x) > top ? fabs(x) : top;
            const bits left = REAL_LOAD(key + i) + (LANE_NUMBERS + (bits)(i) == (bits)(best) ? (bits)(1u) : (bits)(0u));
            const real e = (top - x) / magnitude > band || x != x ? (real)(0.0f) : exp(x - top);
            sum += left != (bits)(0u) ? e : (real)(0.0f);
        }
        w[k] = exp(value[best] - value[best]) / sum_real(sum);
        index[k] = (int)best;
    }
}

static inline void choose_top_k(const float *value, uint *key, float *w, __global int *index) {
#if GROUPS > 1
    mask_groups(key);
#endif
    for (uint k = 0; k < SLOTS; ++k) {
        const uint i = k < TOP_K ? take_best(key, PADDED) : EXPERTS - ALWAYS + (k - TOP_K);
        index[k] = (int)i;
        w[k] = value[i];
    }
}

__attribute__((reqd_work_group_size(LOCAL_SIZE, 1, 1)))
__kernel void select_experts(uint tokens, __global const int *token_count, ulong token_count_offset,
                             __global const float *logits, ulong logits_offset, __global const float *select_bias,
                             __global const float *expert_scale, __global int *index, ulong index_offset,
                             __global float *weight, ulong weight_offset) {
    const uint valid = valid_tokens(tokens, token_count, token_count_offset);
    float value[PADDED], w[PADDED_TO_LANES(SLOTS)];
    uint key[PADDED];
    for (uint k = SLOTS; k < PADDED_TO_LANES(SLOTS); ++k) w[k] = NAN;
    for (ulong t = get_global_id(0); t < valid; t += get_global_size(0)) {
        __global int *chosen = index + index_offset + t * SLOTS;
        load_logits(logits + logits_offset + t * CLASSES, value);
        if (KEY_IS_LOGIT) make_keys(value, select_bias, key);
        if (SCORE_ALL) scores(value, PADDED);
        if (!KEY_IS_LOGIT) make_keys(value, select_bias, key);
        if (SPARSEMIXER) choose_by_sparsemixer(value, key, w, chosen);
        else choose_top_k(value, key, w, chosen);
        store_weights(w, chosen, expert_scale, weight + weight_offset + t * SLOTS);
    }
}
