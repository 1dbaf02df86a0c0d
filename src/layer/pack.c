/* Packing weights on the device: chooses the way for each matrix. */
#include "pack.h"

static clmoe_status pack_part(clmoe__packer *packer, clmoe__matrix *matrix, const clmoe__matrix_part *part,
                              clmoe_error *error) {
    const int is_kept = clmoe__format_is_block(matrix->format) && !clmoe__format_is_e4m3(matrix->format);
    if (clmoe__format_is_block(part->tensor->format) || is_kept)
        return clmoe__pack_blocks(packer, matrix, part, error);
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

void clmoe__touch_shards(clmoe__run *run, clmoe__kernel *kernel, const clmoe__matrix *matrix) {
    for (uint32_t i = 0; i < matrix->shard_count; i++) {
        const clmoe__block *shard = &matrix->shards[i];
        const uint64_t page = clmoe__pool_page_bytes(run->context, shard), pages = page != 0 ? shard->bytes / page : 0;
        const size_t local = 1, global = (size_t)clmoe__min(pages, 65535);
        if (pages == 0) continue;
        clmoe__run_kernel(run, kernel);
        clmoe__run_mem(run, shard->mem);
        clmoe__run_u64(run, page / sizeof(uint32_t));
        clmoe__run_launch(run, 1, &global, &local);
    }
}

void clmoe__packer_destroy(clmoe__packer *packer) {
    clmoe__pool_free(packer->context, &packer->staging, NULL);
    clmoe__pool_free(packer->context, &packer->scales, NULL);
    clmoe__pool_free(packer->context, &packer->blocks, NULL);
}
