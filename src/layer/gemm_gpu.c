/* Launching gemm_gpu.cl: which of its two shapes does which rows. May call src/select and src/opencl. */
#include "gemm.h"

void clmoe__gpu_options(const clmoe__gemm *gemm, int few, clmoe__options *options) {
    const clmoe__gpu_tile *t = few ? &gemm->choice.shape.few : &gemm->choice.shape.tile;
    clmoe__options_add(options, " -DTILE_ROWS=%u -DTILE_COLUMNS=%u -DTILE_K=%u", t->rows, t->columns, t->k * t->split);
    clmoe__options_add(options, " -DLANES=%u -DITEM_ROWS=%u -DROW_VECTOR=%u", t->lanes, t->item_rows, t->row_vector);
    clmoe__options_add(options, " -DBUFFERS=%u -DFEW=%d", t->buffers, few);
    if (t->split > 1) clmoe__options_add(options, " -DSPLIT=%u", t->split);
    if (gemm->choice.shape.sub_group != 0)
        clmoe__options_add(options, " -DSUB_GROUP=%u", gemm->choice.shape.sub_group);
    if (gemm->matrix->arithmetic == CLMOE_ARITHMETIC_INT8)
        clmoe__options_add(options, " -DDOT=%d", gemm->choice.variant->micro);
}

/* What the kernel for few rows is given besides. */
static void direct_arguments(clmoe__run *run, const clmoe__gemm_io *io) {
    clmoe__run_buffer(run, &io->index, 4);
    clmoe__run_u32(run, io->index_slots);
    clmoe__run_u32(run, io->first_expert);
    clmoe__run_buffer(run, &io->slot_row, 4);
    clmoe__run_buffer(run, &io->load, 4);
    clmoe__run_u32(run, io->classes);
    clmoe__run_u32(run, io->load_accumulate);
}

/* Groups of least to most rows; row_groups: how many groups, tiles or slots there may be. */
static void launch(clmoe__run *run, clmoe__gemm *gemm, int few, const clmoe__gemm_io *io, uint64_t row_groups,
                   uint32_t least, uint32_t most) {
    const clmoe__gpu_tile *tile = few ? &gemm->choice.shape.few : &gemm->choice.shape.tile;
    const uint64_t columns = 2ull * gemm->choice.lanes * gemm->matrix->panels;
    const size_t local[2] = {clmoe__gpu_tile_group(tile), 1};
    const size_t global[2] = {(size_t)(clmoe__div_up(columns, tile->columns) * local[0]), (size_t)row_groups};
    clmoe__run_kernel(run, few ? &gemm->few : &gemm->multiply);
    clmoe__run_buffer(run, &io->x, gemm->x_bytes);
    clmoe__run_u64(run, io->x_stride);
    clmoe__run_buffer(run, &io->weight, 4);
    clmoe__gemm_arguments(run, gemm, io);
    clmoe__run_u64(run, io->layout != NULL ? io->layout->tiles : 0);
    clmoe__run_u64(run, io->layout != NULL ? io->layout->row_slot : 0);
    clmoe__run_u32(run, least);
    clmoe__run_u32(run, most);
    if (few) direct_arguments(run, io);
    clmoe__run_launch(run, 2, global, local);
}

/* Groups of few rows have a kernel of their own, which computes no row that is not there. Where no group can have more,
 * or where hardly one can have so few, the other kernel is left out. */
void clmoe__gpu_launch(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    const clmoe__gpu_shape *shape = &gemm->choice.shape;
    const int direct = io->index_slots != 0;
    const uint64_t rows = direct ? (uint64_t)io->tokens * io->index_slots : io->max_rows;
    const uint64_t groups = direct ? rows : io->layout != NULL ? io->layout->max_active : clmoe__min(rows, 1);
    const int only_few = direct || rows <= shape->few.rows;
    const int only_tiles = !only_few && (io->layout == NULL || rows >= (uint64_t)shape->mean_rows * groups);
    if (!only_tiles || run->warm)
        launch(run, gemm, 1, io, groups, 1, only_few ? UINT32_MAX : shape->few.rows);
    if (!only_few || run->warm)
        launch(run, gemm, 0, io, clmoe__gemm_tiles_bound(gemm, io), only_tiles ? 1 : shape->few.rows + 1, UINT32_MAX);
}
