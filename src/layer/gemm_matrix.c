/* Launching gemm_matrix.cl, and before it operand_rows.cl where x is not yet what matrix units multiply. May call
 * src/select and src/opencl. */
#include "gemm.h"

#define PIECE 8 /* of operand_rows.cl: a row begins at a multiple of 16 bytes */

int clmoe__matrix_converts(const clmoe__gemm *gemm) {
    return !gemm->x_is_operand && (gemm->x_format != CLMOE_BF16 || gemm->weighted);
}

/* SLOTS of gemm_matrix.cl: rows of the plan are rows of what it multiplies, unless those are tokens. */
static uint32_t row_slots(const clmoe__gemm *gemm) { return gemm->x_is_operand || gemm->weighted ? 0 : gemm->slots; }

static uint64_t operand_stride(const clmoe__gemm *gemm) { return clmoe__round_up(gemm->matrix->in_features, PIECE); }

static uint64_t operand_rows(const clmoe__gemm *gemm, uint64_t tokens, uint64_t rows) {
    return row_slots(gemm) != 0 ? tokens : rows;
}

uint64_t clmoe__matrix_operand_bytes(const clmoe__gemm *gemm, uint64_t tokens, uint64_t rows) {
    if (gemm->x_is_operand) return clmoe__mul(rows, (uint64_t)gemm->matrix->in_features * 2);
    return clmoe__matrix_converts(gemm) ? clmoe__mul(operand_rows(gemm, tokens, rows), operand_stride(gemm) * 2) : 0;
}

void clmoe__matrix_options(const clmoe__gemm *gemm, clmoe__options *options) {
    const clmoe__matrix_shape *shape = &gemm->choice.matrix;
    clmoe__options_add(options, " -DPANEL_LANES=%u -DSLOTS=%u", gemm->choice.lanes, row_slots(gemm));
    clmoe__options_add(options, " -DMATRIX=%u -DEMULATED=%u -DWARPS_DOWN=%u -DWARPS_ACROSS=%u -DPANELS_EACH=%u"
                       " -DK_RUN=%u -DSTAGES=%u", shape->matrix, shape->emulated, shape->warps_down,
                       shape->warps_across, shape->panels_each, shape->k_run, shape->stages);
    if (shape->options != NULL) clmoe__options_add(options, "%s", shape->options);
}

clmoe_status clmoe__matrix_rows_create(clmoe_context *context, clmoe__gemm *gemm, clmoe_error *error) {
    clmoe__options options = {{0}, 0};
    clmoe__options_add(&options, " -DX_FORMAT=%u -DWEIGHTED=%d -DSLOTS=%u -DITEMS=%u", gemm->x_format, gemm->weighted,
                       gemm->slots, clmoe__matrix_group(&gemm->choice.matrix));
    return clmoe__kernel_create(context, "operand_rows.cl", "operand_rows", &options, "gather", &gemm->gather, error);
}

static void launch_rows(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    const size_t local = clmoe__matrix_group(&gemm->choice.matrix);
    const size_t global = (size_t)operand_rows(gemm, io->tokens, io->max_rows) * local;
    clmoe__run_kernel(run, &gemm->gather);
    clmoe__run_buffer(run, &io->x, gemm->x_bytes);
    clmoe__run_u64(run, io->x_stride);
    clmoe__run_buffer(run, &io->weight, 4);
    clmoe__run_buffer(run, &io->operand, 2);
    clmoe__plan_arguments(run, io);
    clmoe__run_u32(run, gemm->matrix->in_features);
    clmoe__run_u64(run, io->layout != NULL ? io->layout->row_slot : 0);
    clmoe__run_launch(run, 1, &global, &local);
}

static void launch_tiles(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    const clmoe__matrix_shape *shape = &gemm->choice.matrix;
    const int converts = clmoe__matrix_converts(gemm);
    const size_t local[2] = {clmoe__matrix_group(shape), 1};
    const uint64_t panel_groups = clmoe__div_up(gemm->matrix->panels, clmoe__matrix_panels(shape));
    const size_t global[2] = {(size_t)panel_groups * local[0], (size_t)clmoe__gemm_tiles_bound(gemm, io)};
    clmoe__run_kernel(run, &gemm->multiply);
    clmoe__run_buffer(run, converts ? &io->operand : &io->x, 2);
    clmoe__run_u64(run, converts ? operand_stride(gemm) : io->x_stride);
    clmoe__gemm_arguments(run, gemm, io);
    clmoe__run_u64(run, io->layout != NULL ? io->layout->tiles : 0);
    clmoe__run_u64(run, io->layout != NULL ? io->layout->row_slot : 0);
    clmoe__run_launch(run, 2, global, local);
}

void clmoe__matrix_launch(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    if (clmoe__matrix_converts(gemm)) launch_rows(run, gemm, io);
    launch_tiles(run, gemm, io);
}
