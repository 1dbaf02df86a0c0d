/* What fits; see possible.h. Calls session. */
#include "possible.h"

#include <stdio.h>

#include "common/tool.h"
#include "common/weight_formats.h"
#include "host_layer.h"

#define STAGING_BYTES ((uint64_t)64 << 20) /* what the library takes while it packs */

uint32_t possible_copies(const session *s, const model *m, uint32_t format, uint32_t arithmetic, uint32_t wanted,
                         uint64_t extra, char *why, size_t capacity) {
    const uint32_t lengths[] = {m->hidden_size, m->intermediate_size, m->shared_size};
    const uint64_t usable = memory_available(s) / 10 * 9; /* the system and others live here too */
    const uint64_t one = layer_bytes(m, format), rest = pool_bytes(m, format) + STAGING_BYTES + extra;
    if (!weight_format_allows(format, arithmetic, lengths, COUNT_OF(lengths), why, capacity)) return 0;
    if (usable == 0) return wanted;
    if (one + rest > usable) {
        snprintf(why, capacity, "needs %.1f GiB (weights %.1f GiB), %.1f GiB can be had", (double)(one + rest) / 0x1p30,
                 (double)one / 0x1p30, (double)usable / 0x1p30);
        return 0;
    }
    const uint64_t most = (usable - rest) / one;
    return most < wanted ? (uint32_t)most : wanted;
}
