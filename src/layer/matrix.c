/* Shape and memory of packed matrices. Packing itself begins in pack.c. */
#include "matrix.h"

#include <string.h>

/* Of a column in a panel, k past the edge included. */
static uint64_t column_bytes(const clmoe__matrix *matrix) {
    const uint32_t kp = matrix->arithmetic == CLMOE_ARITHMETIC_BF16 ? 2 : 1;
    if (clmoe__format_is_block(matrix->format))
        return clmoe__div_up(matrix->in_features, clmoe__super_values(matrix->format)) *
               clmoe__super_bytes(matrix->format);
    return clmoe__round_up(matrix->in_features, kp) * clmoe__format_bytes(matrix->format);
}

clmoe_status clmoe__matrix_plan(const clmoe_context *context, clmoe__matrix *matrix, int has_bias, int any_size,
                                clmoe_error *error) {
    const uint64_t columns = matrix->gated ? matrix->lanes : 2 * matrix->lanes;
    const uint64_t limit = context->device.max_alloc_bytes;
    matrix->panels = (uint32_t)clmoe__div_up(matrix->out_features, columns);
    matrix->panel_bytes = column_bytes(matrix) * 2 * matrix->lanes;
    const uint64_t total = clmoe__mul(matrix->groups, matrix->panels);
    const uint64_t fit = limit / matrix->panel_bytes;
    const int fits = fit != 0 && clmoe__div_up(total, fit) <= CLMOE__SHARDS;
    if (!fits && !any_size)
        return clmoe__fail(error, CLMOE_OUT_OF_DEVICE_MEMORY, NULL,
                           "a packed matrix of %llu bytes does not fit in %d buffers of at most %llu bytes",
                           (unsigned long long)clmoe__mul(total, matrix->panel_bytes), CLMOE__SHARDS,
                           (unsigned long long)limit);
    matrix->panels_per_shard = clmoe__div_up(total, fits ? clmoe__div_up(total, fit) : CLMOE__SHARDS);
    matrix->shard_count = (uint32_t)clmoe__div_up(total, matrix->panels_per_shard);
    memset(matrix->shards, 0, sizeof matrix->shards);
    memset(&matrix->bias, 0, sizeof matrix->bias);
    for (uint32_t s = 0; s < matrix->shard_count; s++) {
        const uint64_t panels = clmoe__min(matrix->panels_per_shard, total - s * matrix->panels_per_shard);
        matrix->shards[s].bytes = clmoe__pool_block_bytes(context, panels * matrix->panel_bytes);
    }
    if (has_bias) matrix->bias.bytes = clmoe__pool_block_bytes(context, total * 2 * matrix->lanes * 4);
    return CLMOE_OK;
}

clmoe_status clmoe__matrix_create(clmoe_context *context, clmoe__matrix *matrix, int has_bias, clmoe_error *error) {
    TRY(clmoe__matrix_plan(context, matrix, has_bias, 0, error));
    clmoe_status status = CLMOE_OK;
    for (uint32_t s = 0; s < matrix->shard_count && status == CLMOE_OK; s++)
        status = clmoe__pool_alloc(context, matrix->shards[s].bytes, &matrix->shards[s], error);
    if (status == CLMOE_OK && has_bias) status = clmoe__pool_alloc(context, matrix->bias.bytes, &matrix->bias, error);
    if (status != CLMOE_OK) clmoe__matrix_destroy(context, matrix);
    return status;
}

void clmoe__matrix_destroy(clmoe_context *context, clmoe__matrix *matrix) {
    for (uint32_t s = 0; s < CLMOE__SHARDS; s++) clmoe__pool_drop(context, &matrix->shards[s]);
    clmoe__pool_drop(context, &matrix->bias);
}

uint64_t clmoe__matrix_bytes(const clmoe__matrix *matrix) {
    uint64_t bytes = matrix->bias.bytes;
    for (uint32_t s = 0; s < CLMOE__SHARDS; s++) bytes += matrix->shards[s].bytes;
    return bytes;
}

uint64_t clmoe__matrix_bytes_unpadded(const clmoe__matrix *matrix) {
    const uint64_t stored = clmoe__mul(matrix->groups, (uint64_t)matrix->out_features * (matrix->gated ? 2 : 1));
    const uint64_t values = clmoe__mul(stored, matrix->in_features), bias = matrix->bias.bytes != 0 ? stored * 4 : 0;
    if (!clmoe__format_is_block(matrix->format)) return values * clmoe__format_bytes(matrix->format) + bias;
    return clmoe__mul(values, clmoe__super_bytes(matrix->format)) / clmoe__super_values(matrix->format) + bias;
}

uint32_t clmoe__matrix_parts(const clmoe__matrix *matrix, uint32_t gate_up, const clmoe_tensor *gate,
                             const clmoe_tensor *up, const clmoe_tensor *gate_bias, const clmoe_tensor *up_bias,
                             const clmoe__matrix_names *names, clmoe__matrix_part parts[2]) {
    const uint32_t n = matrix->out_features, lanes = matrix->lanes;
    if (!matrix->gated) {
        parts[0] = (clmoe__matrix_part){up, up_bias, n, 0, 1, 0, 2 * lanes, names->up, names->up_bias, 1, 0};
        return 1;
    }
    if (matrix->in_parts) {
        parts[0] = (clmoe__matrix_part){up, up_bias, n, 0, 1, 0, lanes, names->up, names->up_bias, 0, 0};
        parts[1] = (clmoe__matrix_part){up, up_bias, n, 0, 1, lanes, lanes, names->up, names->up_bias, 1, 1};
        return 2;
    }
    if (gate_up == CLMOE_GATE_UP_SEPARATE) {
        parts[0] = (clmoe__matrix_part){gate, gate_bias, n, 0, 1, 0, lanes, names->gate, names->gate_bias, 1, 0};
        parts[1] = (clmoe__matrix_part){up, up_bias, n, 0, 1, lanes, lanes, names->up, names->up_bias, 1, 0};
    } else {
        const int interleaved = gate_up == CLMOE_GATE_UP_INTERLEAVED;
        const uint32_t step = interleaved ? 2 : 1, begin = interleaved ? 1 : n;
        parts[0] = (clmoe__matrix_part){up, up_bias, 2 * n, 0, step, 0, lanes, names->up, names->up_bias, 0, 0};
        parts[1] = (clmoe__matrix_part){up, up_bias, 2 * n, begin, step, lanes, lanes, names->up, names->up_bias, 1, 0};
    }
    return 2;
}

clmoe_status clmoe__projection_check(const clmoe_context *context, uint32_t groups, uint32_t in_features,
                                     uint32_t out_features, int gated, uint32_t gate_up, const clmoe_tensor *gate,
                                     const clmoe_tensor *up, const clmoe_tensor *gate_bias, const clmoe_tensor *up_bias,
                                     const clmoe__matrix_names *names, clmoe_error *error) {
    const int separate = gated && gate_up == CLMOE_GATE_UP_SEPARATE;
    const uint64_t rows = (uint64_t)out_features * (gated && !separate ? 2 : 1);
    REQUIRE(gate_up <= CLMOE_GATE_UP_INTERLEAVED, error, "gate_up", "gate_up of %s is %u, expected 0..2", names->up,
            gate_up);
    REQUIRE(separate || !clmoe__tensor_present(gate), error, names->gate,
            "%s is given, but gate and up are in one tensor or there is no gate", names->gate);
    REQUIRE(separate || !clmoe__tensor_present(gate_bias), error, names->gate_bias,
            "%s is given, but gate and up are in one tensor or there is no gate", names->gate_bias);
    if (separate) {
        TRY(clmoe__matrix_tensor_check(context, gate, groups, out_features, in_features, 1, names->gate, error));
        TRY(clmoe__tensor_check(context, gate_bias, groups, 1, out_features, 0, names->gate_bias, error));
        REQUIRE(clmoe__tensor_present(gate_bias) == clmoe__tensor_present(up_bias), error, names->gate_bias,
                "%s and %s must both be given or both be absent", names->gate_bias, names->up_bias);
    }
    TRY(clmoe__matrix_tensor_check(context, up, groups, rows, in_features, 1, names->up, error));
    return clmoe__tensor_check(context, up_bias, groups, 1, rows, 0, names->up_bias, error);
}

clmoe_status clmoe__projection_create(clmoe__packer *packer, clmoe__matrix *matrix, uint32_t gate_up,
                                      const clmoe_tensor *gate, const clmoe_tensor *up, const clmoe_tensor *gate_bias,
                                      const clmoe_tensor *up_bias, const clmoe__matrix_names *names,
                                      clmoe_error *error) {
    clmoe__matrix_part parts[2];
    if (packer->only_plans)
        return clmoe__matrix_plan(packer->context, matrix, clmoe__tensor_present(up_bias), 1, error);
    TRY(clmoe__matrix_create(packer->context, matrix, clmoe__tensor_present(up_bias), error));
    const uint32_t count = clmoe__matrix_parts(matrix, gate_up, gate, up, gate_bias, up_bias, names, parts);
    const clmoe_status status = clmoe__pack(packer, matrix, parts, count, error);
    if (status != CLMOE_OK) clmoe__matrix_destroy(packer->context, matrix);
    return status;
}
