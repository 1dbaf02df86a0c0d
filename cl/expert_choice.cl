/* Expert choice: every expert takes its best tokens, at most `capacity` of them. Slot e of a token is expert e, so
 * index and weight are [T, EXPERTS], and the second kernel works on columns, in place:
 *
 *     score_tokens    weight[t, e] = score of the logit, index[t, e] = its order key
 *     take_tokens     the capacity-th largest key of each column is found; tokens above it, and the first ones equal to
 *                     it, keep their weight and get index e; the others get 0 and -1
 *
 *   TAKE_ITEMS     work-items of a group that take tokens: 1: none shares a column, each has LANES neighbouring ones
 *                  and finds their keys bit by bit; more: expert_choice_group.clh, with TAKE_COLUMNS experts a group
 */
#include "routing.clh"

#ifndef TAKE_ITEMS
#define TAKE_ITEMS 1
#endif
#ifndef TAKE_COLUMNS
#define TAKE_COLUMNS 1
#endif

#ifndef LOCAL_SIZE
#define LOCAL_SIZE 1
#endif
#if CLASSES != EXPERTS || GROUPS > 1 || ALWAYS != 0
#error "expert choice has neither zero, skip or always experts nor groups"
#endif

__attribute__((reqd_work_group_size(LOCAL_SIZE, 1, 1)))
__kernel void score_tokens(uint tokens, __global const int *token_count, ulong token_count_offset,
                           __global const float *logits, ulong logits_offset, __global int *index, ulong index_offset,
                           __global float *weight, ulong weight_offset) {
    const uint valid = valid_tokens(tokens, token_count, token_count_offset);
    float value[PADDED];
    for (ulong t = get_global_id(0); t < valid; t += get_global_size(0)) {
        load_logits(logits + logits_offset + t * CLASSES, value);
        scores(value, PADDED);
        for (uint e = 0; e < EXPERTS; ++e) {
            weight[weight_offset + t * EXPERTS + e] = value[e];
            index[index_offset + t * EXPERTS + e] = as_int(order_key(value[e]));
        }
    }
}

/* ceil(valid * CAPACITY_FACTOR / EXPERTS), the product rounded to f32, at most valid. */
static inline uint capacity_of(uint valid) {
    const ulong product = (ulong)ceil((float)valid * CAPACITY_FACTOR);
    return (uint)min((product + EXPERTS - 1u) / EXPERTS, (ulong)valid);
}

#if TAKE_ITEMS > 1
#include "expert_choice_group.clh"
#else

/* The keys of up to LANES neighbouring experts. */
static inline bits load_keys(__global const int *key, uint lanes) {
    if (lanes >= LANES) return REAL_LOAD((__global const uint *)key);
    uint part[LANES];
    for (uint i = 0; i < LANES; ++i) part[i] = i < lanes ? as_uint(key[i]) : 0u;
    return REAL_LOAD(part);
}

__attribute__((reqd_work_group_size(LOCAL_SIZE, 1, 1)))
__kernel void take_tokens(uint tokens, __global const int *token_count, ulong token_count_offset,
                          __global const float *expert_scale, __global int *index, ulong index_offset,
                          __global float *weight, ulong weight_offset) {
    const uint valid = valid_tokens(tokens, token_count, token_count_offset);
    const uint expert = (uint)get_global_id(0) * LANES;
    if (expert >= EXPERTS) return;
    const uint lanes = min((uint)LANES, (uint)EXPERTS - expert), capacity = capacity_of(valid);
    index += index_offset + expert;
    weight += weight_offset + expert;

    /* The largest `least` with at least `capacity` keys >= least; then how many are above it. */
    bits least = (bits)(0u), above = (bits)(0u);
    for (uint bit = 0x80000000u; bit != 0u; bit >>= 1) {
        const bits higher = least | (bits)(bit);
        bits count = (bits)(0u);
        for (ulong t = 0; t < valid; ++t)
            count += load_keys(index + t * EXPERTS, lanes) >= higher ? (bits)(1u) : (bits)(0u);
        least = count >= (bits)(capacity) ? higher : least;
    }
    for (ulong t = 0; t < valid; ++t)
        above += load_keys(index + t * EXPERTS, lanes) > least ? (bits)(1u) : (bits)(0u);

    uint lowest[LANES], equals[LANES]; /* equals: tokens with exactly this key that still fit */
    REAL_STORE(least, lowest);
    REAL_STORE((bits)(capacity) - above, equals);
    for (ulong t = 0; t < valid; ++t) {
        for (uint i = 0; i < lanes; ++i) {
            const ulong at = t * EXPERTS + i;
            const uint key = as_uint(index[at]);
            const bool equal = key == lowest[i] && equals[i] != 0u;
            if (equal) --equals[i];
            const bool taken = key > lowest[i] || equal;
            const float scale = HAS_EXPERT_SCALE ? SCALE * expert_scale[expert + i] : SCALE;
            index[at] = taken ? (int)(expert + i) : -1;
            weight[at] = taken ? weight[at] * scale : 0.0f;
        }
    }
}

#endif
