/* Whether tensors of e4m3 numbers can be kept as they are, in CLMOE_F8_B128, whose scales are of 128 k and two
 * neighbouring columns of y (cl/format/f8_b128.clh). Calls src/os. */
#include "matrix.h"

#define SHARED_K 128

/* Whether rows row_begin + 2 i * row_step and row_begin + (2 i + 1) * row_step always have one scale. */
static int pairs_share(const clmoe__matrix_part *part, uint32_t block_rows) {
    const uint64_t pair = 2ull * part->row_step;
    return block_rows >= part->stored_rows || (block_rows % pair == 0 && part->row_begin / part->row_step % 2 == 0);
}

static clmoe_status check_part(const clmoe__matrix_part *part, uint32_t in_features, clmoe_error *error) {
    const clmoe_scales *s = part->tensor->scales;
    if (s == NULL) return CLMOE_OK;
    const int along_k = s->block_columns % SHARED_K == 0 || s->block_columns >= in_features;
    if (along_k && pairs_share(part, s->block_rows)) return CLMOE_OK;
    return clmoe__fail(
        error, CLMOE_UNSUPPORTED, part->name,
        "%s.scales has blocks of %u x %u, expected one scale for %d columns and for rows %u and %u, and so on, to be "
        "kept in %s",
        part->name, s->block_rows, s->block_columns, SHARED_K, part->row_begin, part->row_begin + part->row_step,
        clmoe__format_name(CLMOE_F8_B128));
}

clmoe_status clmoe__e4m3_check(const clmoe__matrix *shape, uint32_t gate_up, const clmoe_tensor *gate,
                               const clmoe_tensor *up, const char *name, clmoe_error *error) {
    static const clmoe_tensor absent;
    const clmoe__matrix_names names = {name, name, name, name};
    clmoe__matrix_part parts[2];
    const uint32_t count = clmoe__matrix_parts(shape, gate_up, gate, up, &absent, &absent, &names, parts);
    for (uint32_t i = 0; i < count; i++) TRY(check_part(&parts[i], shape->in_features, error));
    return CLMOE_OK;
}
