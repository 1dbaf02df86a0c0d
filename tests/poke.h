/* One wrong value in an otherwise right description: a field's place, what is written there, and the status and word
 * the library has to answer with. */
#ifndef CLMOE_TESTS_POKE_H
#define CLMOE_TESTS_POKE_H

#include "support.h"

typedef struct poke {
    size_t offset, bytes;
    uint64_t value;
    clmoe_status status;
    const char *contains;
} poke;

#define POKE32(type, field, value, contains) {offsetof(type, field), 4, (value), CLMOE_INVALID_ARGUMENT, contains}
#define POKE64(type, field, value, contains) {offsetof(type, field), 8, (value), CLMOE_INVALID_ARGUMENT, contains}
#define POKE_NULL(type, field, contains) {offsetof(type, field), sizeof(void *), 0, CLMOE_INVALID_ARGUMENT, contains}
#define POKE_NAN 0x7fc00000u /* the bits of floats */
#define POKE_INFINITY 0x7f800000u
#define POKE_MINUS_ONE 0xbf800000u

static inline void poke_apply(void *description, const poke *p) {
    const uint32_t word = (uint32_t)p->value;
    if (p->bytes == 4) memcpy((char *)description + p->offset, &word, 4);
    else memcpy((char *)description + p->offset, &p->value, p->bytes);
}

#endif
