/* The clblast macro-kernel: rows through CLBlast's SGEMM, a call for each group that has rows, between two kernels
 * of our own. May call src/select and src/opencl.
 *
 *     operand   [rows, k] f32, gathered from x         [rows, columns] f32, products where y cannot hold them
 *               product_rows.cl                        then product_epilogue.cl -> y
 *
 * What another GEMM wrote as its y has room for such products behind it (clmoe__clblast_operand_bytes).
 *
 * A group's weights are one panel (cl/panel.clh), which is W transposed, row by row: [k][columns], with a gate
 * [k][gate, up]. What another GEMM wrote as its y is multiplied where it is. CLBlast must be told how many rows a group
 * has, so the host waits for the plan. */
#include "gemm_clblast.h"

#include "opencl/clblast.h"

#define MAX_ITEMS 64u /* work-items in a group of a GPU */

int clmoe__gemm_is_clblast(const clmoe__gemm *gemm) { return clmoe__gemm_varies(gemm->choice.variant); }

uint32_t clmoe__clblast_lanes(const clmoe__matrix *matrix) {
    return matrix->gated ? matrix->out_features : matrix->out_features / 2 + matrix->out_features % 2;
}

static uint32_t columns_of(const clmoe__matrix *matrix) { return matrix->out_features * (matrix->gated ? 2 : 1); }

/* Products are made in y where it can hold them. */
static int is_in_place(const clmoe__gemm *gemm) { return !gemm->matrix->gated && gemm->y_bytes == sizeof(float); }

static uint64_t rows_bytes(const clmoe__gemm *gemm, uint64_t rows) {
    return clmoe__mul(rows, (uint64_t)gemm->matrix->in_features * sizeof(float));
}

uint64_t clmoe__clblast_operand_bytes(const clmoe__gemm *gemm, uint64_t rows) {
    const uint64_t read = rows_bytes(gemm, rows);
    if (is_in_place(gemm)) return read;
    return clmoe__add(read, clmoe__mul(rows, (uint64_t)columns_of(gemm->matrix) * sizeof(float)));
}

/* ---------------------------------------------------------------------------------------------- creation */

static clmoe_status create_rows(clmoe_context *context, const clmoe__gemm_spec *spec, clmoe__gemm *gemm,
                                clmoe_error *error) {
    clmoe__options options = {{0}, 0};
    clmoe__options_add(&options, " -DX_FORMAT=%u -DVECTOR_WIDTH=%u -DTILE_ROWS=%u -DWEIGHTED=%d -DSLOTS=%u",
                       spec->x_format, context->device.vector_width, gemm->choice.tile_rows, spec->weighted,
                       spec->slots);
    return clmoe__kernel_create(context, "product_rows.cl", "product_rows", &options, "gather", &gemm->gather, error);
}

static clmoe_status create_epilogue(clmoe_context *context, const clmoe__gemm_spec *spec, clmoe__gemm *gemm,
                                    clmoe_error *error) {
    clmoe__options options = {{0}, 0};
    clmoe__options_add(&options, " -DLANES=%u -DTILE_ROWS=%u -DBIAS=%d -DSCALED=%d -DY_FORMAT=%u",
                       context->device.is_cpu ? context->device.vector_width : 1, gemm->choice.tile_rows,
                       gemm->matrix->bias.mem != NULL, spec->scales[0] != NULL,
                       spec->y_is_operand ? CLMOE_F32 : spec->y_format);
    if (spec->activation != NULL) clmoe__activation_options(spec->activation, &options);
    return clmoe__kernel_create(context, "product_epilogue.cl", "product_epilogue", &options, spec->stage,
                                &gemm->multiply, error);
}

clmoe_status clmoe__clblast_create(clmoe_context *context, const clmoe__gemm_spec *spec, clmoe__gemm *gemm,
                                   clmoe_error *error) {
    gemm->stage = spec->stage;
    gemm->has_epilogue =
        !is_in_place(gemm) || spec->activation != NULL || spec->scales[0] != NULL || gemm->matrix->bias.mem != NULL;
    if (clmoe__gemm_gathers(gemm)) TRY(create_rows(context, spec, gemm, error));
    return gemm->has_epilogue ? create_epilogue(context, spec, gemm, error) : CLMOE_OK;
}

/* ---------------------------------------------------------------------------------------------- launches */

static clmoe_buffer behind(const clmoe_buffer *buffer, uint64_t bytes) {
    clmoe_buffer moved = *buffer;
    moved.offset += bytes;
    return moved;
}

/* Work-items and tiles of the two kernels, and what both take. */
static void launch_tiles(clmoe__run *run, const clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    const size_t items = clmoe__group_items(&run->context->device, MAX_ITEMS);
    const size_t local[2] = {items, 1}, global[2] = {items, (size_t)clmoe__gemm_tiles_bound(gemm, io)};
    clmoe__run_launch(run, 2, global, local);
}

static void tile_arguments(clmoe__run *run, const clmoe__gemm_io *io) {
    clmoe__run_buffer(run, &io->plan, 4);
    clmoe__run_buffer(run, &io->token_count, 4);
    clmoe__run_u32(run, io->tokens);
    clmoe__run_u64(run, io->layout != NULL ? io->layout->tiles : 0);
}

static void launch_rows(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    clmoe__run_kernel(run, &gemm->gather);
    clmoe__run_buffer(run, &io->x, gemm->x_bytes);
    clmoe__run_u64(run, io->x_stride);
    clmoe__run_buffer(run, &io->weight, 4);
    clmoe__run_buffer(run, &io->operand, 4);
    tile_arguments(run, io);
    clmoe__run_u64(run, io->layout != NULL ? io->layout->row_slot : 0);
    clmoe__run_u32(run, gemm->matrix->in_features);
    launch_tiles(run, gemm, io);
}

static void launch_epilogue(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io, const clmoe__product *all) {
    const clmoe__matrix *matrix = gemm->matrix;
    clmoe__run_kernel(run, &gemm->multiply);
    clmoe__run_buffer(run, &all->y, 4);
    clmoe__run_u64(run, all->y_stride);
    clmoe__run_mem(run, matrix->bias.mem);
    clmoe__run_u64(run, 2ull * matrix->lanes);
    for (int i = 0; i < 2; i++) clmoe__run_mem(run, gemm->scales[i]);
    clmoe__run_buffer(run, &io->y, gemm->y_bytes);
    clmoe__run_u64(run, io->y_stride);
    tile_arguments(run, io);
    clmoe__run_u32(run, matrix->out_features);
    launch_tiles(run, gemm, io);
}

/* A group's rows [first, end) of all. */
static void multiply(clmoe__run *run, const clmoe__matrix *matrix, const clmoe__product *all, uint32_t group,
                     uint32_t first, uint32_t end) {
    const uint64_t shard = group / matrix->panels_per_shard;
    clmoe__product product = *all;
    product.rows = end - first;
    product.x = behind(&all->x, first * all->x_stride * sizeof(float));
    product.y = behind(&all->y, first * all->y_stride * sizeof(float));
    product.w =
        clmoe_cl_mem(matrix->shards[shard].mem, (group - shard * matrix->panels_per_shard) * matrix->panel_bytes);
    clmoe__clblast_multiply(run, &product);
}

const int32_t *clmoe__gemm_offsets(clmoe__run *run, const clmoe__gemm *first, const clmoe__gemm *second,
                                   const clmoe__gemm_io *io, int32_t *room) {
    const uint32_t groups = first->matrix->groups;
    if (!clmoe__gemm_is_clblast(first) && !clmoe__gemm_is_clblast(second)) return NULL;
    const clmoe_buffer from = behind(&io->plan, io->layout->offset * sizeof *room);
    clmoe__run_read(run, room, &from, (groups + 1ull) * sizeof *room);
    return room;
}

static void launch_products(clmoe__run *run, const clmoe__gemm *gemm, const clmoe__gemm_io *io,
                            const clmoe__product *all) {
    if (io->layout == NULL) {
        multiply(run, gemm->matrix, all, 0, 0, io->tokens);
        return;
    }
    if (run->status != CLMOE_OK) return; /* offsets may not have been read */
    for (uint32_t g = 0; g < gemm->matrix->groups; g++)
        multiply(run, gemm->matrix, all, g, (uint32_t)io->offsets[g], (uint32_t)io->offsets[g + 1]);
}

void clmoe__clblast_launch(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    const clmoe__matrix *matrix = gemm->matrix;
    const int gathers = clmoe__gemm_gathers(gemm), in_place = is_in_place(gemm);
    const uint32_t columns = columns_of(matrix);
    const clmoe_buffer *from = gathers ? &io->operand : &io->x;
    const clmoe__product all = {.stage = gemm->stage,
                                .columns = columns,
                                .k = matrix->in_features,
                                .x = *from,
                                .x_stride = gathers ? matrix->in_features : io->x_stride,
                                .w_stride = 2ull * matrix->lanes,
                                .y = in_place ? io->y : behind(from, rows_bytes(gemm, io->max_rows)),
                                .y_stride = in_place ? io->y_stride : columns};
    if (gathers) launch_rows(run, gemm, io);
    if (io->tokens != 0) launch_products(run, gemm, io, &all);
    if (gemm->has_epilogue) launch_epilogue(run, gemm, io, &all);
}
