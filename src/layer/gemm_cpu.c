/* Launching gemm_cpu.cl: its rows gathered in front of it, in a launch of their own or in dispatch's; how its groups
 * share out panels and tiles. May call src/select and src/opencl. */
#include "gemm.h"
#include "stages.h"

#define DENSE_CHUNK_TILES 8  /* tiles a work-group does when one group must be shared by all cores */
#define INT8_RUN          32 /* values of a piece of an int8 row */
#define GATHER_GROUPS     4  /* for each core, where every group counts all slots */

/* ------------------------------------------------------------------------------------------------ create */

/* Where nothing is fetched ahead, distances say nothing. */
static void tile_options(const clmoe__gemm_choice *choice, clmoe__options *options) {
    const clmoe__cpu_tile *tile = &choice->cpu;
    clmoe__options_add(options, " -DGROUP_TILES=%u", tile->group_tiles);
    if (choice->prefetch == 0) return;
    clmoe__options_add(options, " -DPREFETCH_BYTES=%u -DPREFETCH_BYTES_TALL=%u -DNEXT_PANEL_BYTES=%u",
                       tile->prefetch_bytes, tile->prefetch_bytes_tall, tile->next_panel_bytes);
}

void clmoe__cpu_options(const clmoe__gemm *gemm, const clmoe__gemm_spec *spec, clmoe__options *options) {
    const clmoe__matrix *matrix = gemm->matrix;
    if (gemm->combine != NULL) {
        clmoe__options_add(options, " -DCOMBINE=1");
        clmoe__combine_options(gemm->combine, options);
    }
    if (spec->full_tiles) clmoe__options_add(options, " -DFULL_TILES=1");
    clmoe__options_add(options, " -DLANES=%u -DMICRO=%d -DPREFETCH=%d", gemm->choice.lanes, gemm->choice.variant->micro,
                       gemm->choice.prefetch);
    tile_options(&gemm->choice, options);
    if (clmoe__format_is_block(matrix->format))
        clmoe__options_add(options, " -DNIBBLE_TABLE=%d", gemm->choice.nibble_table);
    if (clmoe__format_is_e4m3(matrix->format)) clmoe__options_add(options, " -DBYTE_TABLE=%d", gemm->choice.byte_table);
    if (!spec->y_is_operand) return;
    clmoe__options_add(options, " -DY_PACKED=1");
    if (matrix->arithmetic != CLMOE_ARITHMETIC_INT8) return;
    const clmoe__format_info *next = clmoe__format_find(spec->next->format);
    clmoe__options_add(options, " -DROUND_SUB_K=%u -DROUND_OFFSET=%u -DROUND_MINIMUM=%u -DROUND_SUPER_K=%u",
                       next->sub_k, next->code_offset, next->minimum, clmoe__super_values(next->format));
}

void clmoe__gather_options(const clmoe_context *context, const clmoe__gemm *gemm, clmoe__options *options) {
    clmoe__options_add(options, " -DX_FORMAT=%u -DVECTOR_WIDTH=%u -DARITHMETIC=%u", gemm->x_format,
                       context->device.vector_width, gemm->matrix->arithmetic);
    if (gemm->matrix->arithmetic == CLMOE_ARITHMETIC_INT8)
        clmoe__options_add(options, " -DWEIGHT_FORMAT=%u", gemm->matrix->format);
}

clmoe_status clmoe__gather_create(clmoe_context *context, const clmoe__gemm_spec *spec, clmoe__gemm *gemm,
                                  clmoe_error *error) {
    static const char file[] = "gather.cl", stage[] = "gather";
    clmoe__options options = {{0}, 0};
    clmoe__gather_options(context, gemm, &options);
    clmoe__options_add(&options, " -DTILE_ROWS=%u -DWEIGHTED=%d -DSLOTS=%u -DPREFETCH=%d", gemm->choice.tile_rows,
                       spec->weighted, spec->slots, gemm->choice.prefetch);
    gemm->dispatches = spec->classes != 0 && context->device.is_cpu;
    if (gemm->dispatches) clmoe__dispatch_gather_options(spec->classes, &options);
    if (gemm->dispatches && spec->full_tiles) clmoe__options_add(&options, " -DFULL_TILES=1");
    TRY(clmoe__kernel_create(context, file, "gather", &options, stage, &gemm->gather, error));
    if (!gemm->dispatches) return CLMOE_OK;
    return clmoe__kernel_create(context, file, "dispatch_gather", &options, stage, &gemm->dispatch_gather, error);
}

uint64_t clmoe__int8_row_bytes(const clmoe__matrix *matrix) {
    const uint64_t run = INT8_RUN, subs = run / clmoe__format_find(matrix->format)->sub_k;
    const uint64_t padded = clmoe__round_up(matrix->in_features, clmoe__super_values(matrix->format));
    return padded / run * (run + 4 + 4 * subs);
}

/* ------------------------------------------------------------------------------------------------ launch */

int clmoe__gemm_needs_row(const clmoe__gemm *gemm) { return gemm->shares_row && !gemm->row_is_operand; }

/* One row for all groups: a plan without slots has rows that may differ. */
static int is_one_row(const clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    return gemm->shares_row && io->tokens == 1 && (io->layout == NULL || gemm->slots > 0);
}

/* Which is x as it stands. */
static int is_row_of_x(const clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    return gemm->row_is_operand && is_one_row(gemm, io);
}

/* From x to operand. */
static void gather_arguments(clmoe__run *run, const clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    clmoe__run_buffer(run, &io->x, gemm->x_bytes);
    clmoe__run_u64(run, io->x_stride);
    clmoe__run_buffer(run, &io->weight, 4);
    clmoe__run_buffer(run, &io->operand, gemm->matrix->arithmetic == CLMOE_ARITHMETIC_BF16 ? 2 : 4);
}

static void launch_gather(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    const size_t global[1] = {(size_t)clmoe__gemm_tiles_bound(gemm, io)}, local[1] = {1};
    clmoe__run_kernel(run, &gemm->gather);
    gather_arguments(run, gemm, io);
    clmoe__plan_arguments(run, io);
    clmoe__run_u32(run, gemm->matrix->in_features);
    clmoe__run_u64(run, io->layout != NULL ? io->layout->tiles : 0);
    clmoe__run_u64(run, io->layout != NULL ? io->layout->row_slot : 0);
    clmoe__run_launch(run, 1, global, local);
}

void clmoe__gemm_dispatch_gather(clmoe__run *run, clmoe__gemm *gemm, const clmoe_dispatch *dispatch,
                                 const clmoe_dispatch_io *plan, const clmoe__gemm_io *io) {
    clmoe__run_kernel(run, &gemm->dispatch_gather);
    gather_arguments(run, gemm, io);
    clmoe__run_u32(run, gemm->matrix->in_features);
    const uint32_t groups = GATHER_GROUPS * run->context->device.compute_units;
    clmoe__dispatch_launch_as(run, dispatch, plan, (uint32_t)clmoe__max(1, clmoe__min(groups, plan->tokens)));
}

/* A group's tiles are shared out only where it is the only one and its panels are few. */
static void launch_multiply(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    const clmoe__matrix *matrix = gemm->matrix;
    const uint64_t tiles = clmoe__gemm_tiles_bound(gemm, io);
    uint32_t tiles_per_chunk = UINT32_MAX;
    const uint32_t panels = (uint32_t)clmoe__div_up(matrix->panels, gemm->span_panels);
    size_t global[3] = {panels, io->layout != NULL ? io->layout->max_active : 1, 1};
    if (io->combine != NULL) global[1] = 1;
    if (io->tokens == 0) global[1] = 0;
    if (io->layout == NULL && panels < 8 * run->context->device.compute_units)
        tiles_per_chunk = (uint32_t)clmoe__max(DENSE_CHUNK_TILES, clmoe__div_up(tiles, 65535));
    if (tiles_per_chunk != UINT32_MAX) global[2] = (size_t)clmoe__max(1, clmoe__div_up(tiles, tiles_per_chunk));
    const size_t local[3] = {1, 1, 1};
    clmoe__run_kernel(run, &gemm->multiply);
    clmoe__run_buffer(run, gemm->x_is_operand || is_row_of_x(gemm, io) ? &io->x : &io->operand, 4);
    clmoe__gemm_arguments(run, gemm, io);
    clmoe__run_u32(run, tiles_per_chunk);
    clmoe__run_u32(run, (uint32_t)is_one_row(gemm, io));
    const clmoe_combine_io none = {0};
    if (gemm->combine != NULL) clmoe__combine_arguments(run, gemm->combine, io->combine != NULL ? io->combine : &none);
    clmoe__run_launch(run, 3, global, local);
}

void clmoe__cpu_launch(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    if (clmoe__gemm_gathers(gemm) && !io->is_gathered && !is_row_of_x(gemm, io)) {
        clmoe__gemm_io rows = *io;
        if (is_one_row(gemm, io)) rows.plan = (clmoe_buffer){0}, rows.layout = NULL;
        launch_gather(run, gemm, &rows);
    }
    launch_multiply(run, gemm, io);
}
