/* Small checks and sizes that the stages share: formats, strides, activations. */
#include "checks.h"

#include <math.h>

#define KIND_SUM (CLMOE_IDENTITY + 1) /* of cl/activation.clh, not for callers */

const clmoe_activation clmoe__activation_default = {.kind = CLMOE_SILU, .gated = 1, .alpha = 1.0f};
const clmoe_activation clmoe__activation_sum = {.kind = KIND_SUM, .gated = 1, .alpha = 1.0f};

clmoe_status clmoe__activation_check(const clmoe_activation *a, const char *name, clmoe_error *error) {
    REQUIRE(a->kind <= CLMOE_IDENTITY, error, name, "%s.kind is %u, expected 0..%u", name, a->kind, CLMOE_IDENTITY);
    REQUIRE(a->gated <= 1, error, name, "%s.gated is %u, expected 0 or 1", name, a->gated);
    REQUIRE(isfinite(a->alpha) && (a->alpha == 1.0f || a->kind == CLMOE_SILU), error, name,
            "%s.alpha is %g, expected 1, or any number for CLMOE_SILU", name, (double)a->alpha);
    REQUIRE(isfinite(a->up_offset) && (a->up_offset == 0.0f || a->gated), error, name,
            "%s.up_offset is %g, expected 0, or any number when gated", name, (double)a->up_offset);
    REQUIRE(isfinite(a->limit) && a->limit >= 0.0f, error, name, "%s.limit is %g, expected 0 (none) or more", name,
            (double)a->limit);
    REQUIRE(a->limit_position <= CLMOE_LIMIT_AFTER, error, name, "%s.limit_position is %u, expected 0 or 1", name,
            a->limit_position);
    REQUIRE(isfinite(a->gate_softcap) && a->gate_softcap >= 0.0f && (a->gate_softcap == 0.0f || a->kind == CLMOE_SILU),
            error, name, "%s.gate_softcap is %g, expected 0 (none), or more for CLMOE_SILU", name,
            (double)a->gate_softcap);
    REQUIRE(isfinite(a->up_softcap) && a->up_softcap >= 0.0f && (a->up_softcap == 0.0f || a->gated), error, name,
            "%s.up_softcap is %g, expected 0 (none), or more when gated", name, (double)a->up_softcap);
    for (int i = 0; i < 4; i++) REQUIRE(a->reserved[i] == 0, error, name, "%s.reserved is not 0", name);
    return CLMOE_OK;
}

clmoe_status clmoe__format_check(uint32_t format, const char *name, clmoe_error *error) {
    REQUIRE(format >= CLMOE_F32 && format <= CLMOE_BF16, error, name,
            "%s is %u, expected CLMOE_F32, CLMOE_F16 or CLMOE_BF16", name, format);
    return CLMOE_OK;
}

uint64_t clmoe__rows_bytes(uint64_t rows, uint64_t columns, uint64_t stride, uint32_t element_bytes) {
    if (rows == 0) return 0;
    return clmoe__mul(clmoe__add(clmoe__mul(rows - 1, stride), columns), element_bytes);
}

clmoe_status clmoe__stride_check(uint64_t *stride, uint64_t columns, const char *name, clmoe_error *error) {
    if (*stride == 0) *stride = columns;
    REQUIRE(*stride >= columns && *stride <= INT64_MAX / 8, error, name,
            "%s is %llu elements, expected 0 or %llu..%llu", name, (unsigned long long)*stride,
            (unsigned long long)columns, (unsigned long long)INT64_MAX / 8);
    return CLMOE_OK;
}
