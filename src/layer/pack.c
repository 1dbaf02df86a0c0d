/* Packing weights on the device: chooses the way for each matrix. */
#include "pack.h"

static clmoe_status pack_part(clmoe__packer *packer, clmoe__matrix *matrix, const clmoe__matrix_part *part,
                              clmoe_error *error) {
    if (clmoe__format_is_block(part->tensor->format)) return clmoe__pack_blocks(packer, matrix, part, error);
    return clmoe__pack_any(packer, matrix, part, 0, error);
}

clmoe_status clmoe__pack(clmoe__packer *packer, clmoe__matrix *matrix, const clmoe__matrix_part *parts, uint32_t count,
                         clmoe_error *error) {
    const int by_rows = clmoe__pack_rows_fits(packer->context, matrix, parts, count);
    if (by_rows) TRY(clmoe__pack_rows(packer, matrix, parts, count, error));
    for (uint32_t i = 0; i < count; i++) {
        if (!by_rows) TRY(pack_part(packer, matrix, &parts[i], error));
        if (matrix->bias.mem != NULL) TRY(clmoe__pack_any(packer, matrix, &parts[i], 1, error));
    }
    return CLMOE_OK;
}

void clmoe__packer_destroy(clmoe__packer *packer) {
    clmoe__pool_free(packer->context, &packer->staging, NULL);
    clmoe__pool_free(packer->context, &packer->scales, NULL);
}
