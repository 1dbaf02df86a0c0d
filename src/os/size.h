/* Size arithmetic that cannot wrap: results stick at UINT64_MAX, which no limit allows. The one place for products of
 * experts, features and bytes. */
#ifndef CLMOE_OS_SIZE_H
#define CLMOE_OS_SIZE_H

#include <stdint.h>

static inline uint64_t clmoe__mul(uint64_t a, uint64_t b) {
    return a != 0 && b > UINT64_MAX / a ? UINT64_MAX : a * b;
}

static inline uint64_t clmoe__add(uint64_t a, uint64_t b) { return b > UINT64_MAX - a ? UINT64_MAX : a + b; }

/* a rounded up to a multiple of step (step > 0). */
static inline uint64_t clmoe__round_up(uint64_t a, uint64_t step) {
    const uint64_t rest = a % step;
    return rest == 0 ? a : clmoe__add(a, step - rest);
}

static inline uint64_t clmoe__div_up(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }
static inline uint64_t clmoe__min(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t clmoe__max(uint64_t a, uint64_t b) { return a > b ? a : b; }

#endif
