/* Creating and launching a grouped GEMM of either macro-kernel. */
#include "gemm.h"

#include "gemm_clblast.h"

#include <stdio.h>
#include <string.h>

#define DENSE_CHUNK_TILES 8  /* tiles a work-group does when one group must be shared by all cores */
#define INT8_RUN          32  /* values of a piece of an int8 row */
#define INT8_SPAN         128 /* that share a scale */
#define ROW_BLOCK         16 /* k steps of cl/rows.clh that lie together: one row in blocks is the row itself */

/* File and kernel of a macro-kernel. */
static const char *const files[] = {"gemm_cpu.cl", "gemm_gpu.cl", "gemm_matrix.cl"};
static const char *const kernels[] = {"gemm_cpu", "gemm_gpu", "gemm_matrix"};

static int is_cpu_macro(const clmoe__gemm *gemm) { return gemm->choice.variant->macro == CLMOE__MACRO_CPU; }

/* The shape of a matrix macro-kernel; NULL for others. */
static const clmoe__matrix_shape *matrix_shape(const clmoe__gemm *gemm) {
    return gemm->choice.variant->macro == CLMOE__MACRO_MATRIX ? &gemm->choice.matrix : NULL;
}

/* How y is stored where the next GEMM reads it as its operand: of the cpu macro-kernel, the element of a packed row. */
static uint32_t operand_format(const clmoe__gemm *gemm) {
    if (matrix_shape(gemm) != NULL) return CLMOE_BF16;
    return is_cpu_macro(gemm) && gemm->matrix->arithmetic == CLMOE_ARITHMETIC_BF16 ? CLMOE_BF16 : CLMOE_F32;
}

static void matrix_options(const clmoe__matrix_shape *shape, clmoe__options *options) {
    clmoe__options_add(options, " -DMATRIX=%u -DEMULATED=%u -DWARPS_DOWN=%u -DWARPS_ACROSS=%u -DPANELS_EACH=%u"
                       " -DK_RUN=%u -DSTAGES=%u", shape->matrix, shape->emulated, shape->warps_down,
                       shape->warps_across, shape->panels_each, shape->k_run, shape->stages);
    if (shape->options != NULL) clmoe__options_add(options, "%s", shape->options);
}

/* Where nothing is fetched ahead, distances say nothing. */
static void cpu_tile_options(const clmoe__gemm_choice *choice, clmoe__options *options) {
    const clmoe__cpu_tile *tile = &choice->cpu;
    clmoe__options_add(options, " -DGROUP_TILES=%u", tile->group_tiles);
    if (choice->prefetch == 0) return;
    clmoe__options_add(options, " -DPREFETCH_BYTES=%u -DPREFETCH_BYTES_TALL=%u -DNEXT_PANEL_BYTES=%u",
                       tile->prefetch_bytes, tile->prefetch_bytes_tall, tile->next_panel_bytes);
}

void clmoe__activation_options(const clmoe_activation *activation, clmoe__options *options) {
    clmoe__options_add(options, " -DACTIVATE=1 -DACT_KIND=%u -DACT_GATED=%u", activation->kind, activation->gated);
    if (activation->alpha != 1.0f) clmoe__options_float(options, "ACT_ALPHA", activation->alpha);
    if (activation->up_offset != 0.0f) clmoe__options_float(options, "ACT_UP_OFFSET", activation->up_offset);
    if (activation->limit > 0.0f) {
        clmoe__options_float(options, "ACT_LIMIT", activation->limit);
        clmoe__options_add(options, " -DACT_LIMIT_AFTER=%u", activation->limit_position);
    }
    if (activation->gate_softcap > 0.0f) clmoe__options_float(options, "ACT_GATE_SOFTCAP", activation->gate_softcap);
    if (activation->up_softcap > 0.0f) clmoe__options_float(options, "ACT_UP_SOFTCAP", activation->up_softcap);
}

void clmoe__gather_options(const clmoe_context *context, const clmoe__gemm *gemm, clmoe__options *options) {
    clmoe__options_add(options, " -DX_FORMAT=%u -DVECTOR_WIDTH=%u -DARITHMETIC=%u", gemm->x_format,
                       context->device.vector_width, gemm->matrix->arithmetic);
    if (gemm->matrix->arithmetic == CLMOE_ARITHMETIC_INT8)
        clmoe__options_add(options, " -DWEIGHT_FORMAT=%u", gemm->matrix->format);
}

static clmoe_status create_gather(clmoe_context *context, const clmoe__gemm_spec *spec, clmoe__gemm *gemm,
                                  clmoe_error *error) {
    clmoe__options options = {{0}, 0};
    clmoe__gather_options(context, gemm, &options);
    clmoe__options_add(&options, " -DTILE_ROWS=%u -DWEIGHTED=%d -DSLOTS=%u", gemm->choice.tile_rows, spec->weighted,
                       spec->slots);
    return clmoe__kernel_create(context, "gather.cl", "gather", &options, "gather", &gemm->gather, error);
}

/* The kernel that multiplies; few: gemm_gpu.cl's for groups of few rows. */
static clmoe_status create_multiply(clmoe_context *context, const clmoe__gemm_spec *spec, clmoe__gemm *gemm, int few,
                                    clmoe_error *error) {
    const int cpu = is_cpu_macro(gemm);
    const clmoe__matrix *matrix = gemm->matrix;
    clmoe__options options = {{0}, 0};
    const clmoe__macro macro = gemm->choice.variant->macro;
    clmoe__options_add(&options, " -DARITHMETIC=%u -DWEIGHT_FORMAT=%u -DBIAS=%d", matrix->arithmetic, matrix->format,
                       matrix->bias.mem != NULL);
    if (macro == CLMOE__MACRO_GPU)
        clmoe__gpu_options(gemm, few, &options);
    else
        clmoe__options_add(&options, " -DTILE_ROWS=%u", gemm->choice.tile_rows);
    if (spec->scales[0] != NULL) clmoe__options_add(&options, " -DSCALED=1");
    if (gemm->choice.variant->need == CLMOE__INTEGER_DOT || gemm->choice.variant->need == CLMOE__DEVICE_DOT)
        clmoe__options_add(&options, " -cl-std=CL3.0");
    if (gemm->combine != NULL) {
        clmoe__options_add(&options, " -DCOMBINE=1");
        clmoe__combine_options(gemm->combine, &options);
    }
    if (cpu && spec->full_tiles) clmoe__options_add(&options, " -DFULL_TILES=1");
    if (cpu) {
        clmoe__options_add(&options, " -DLANES=%u -DMICRO=%d -DPREFETCH=%d", gemm->choice.lanes,
                           gemm->choice.variant->micro, gemm->choice.prefetch);
        cpu_tile_options(&gemm->choice, &options);
        if (clmoe__format_is_block(matrix->format))
            clmoe__options_add(&options, " -DNIBBLE_TABLE=%d", gemm->choice.nibble_table);
        if (clmoe__format_is_e4m3(matrix->format))
            clmoe__options_add(&options, " -DBYTE_TABLE=%d", gemm->choice.byte_table);
    } else {
        clmoe__options_add(&options, " -DPANEL_LANES=%u -DX_FORMAT=%u -DWEIGHTED=%d -DSLOTS=%u", gemm->choice.lanes,
                           spec->x_is_operand ? operand_format(gemm) : spec->x_format, spec->weighted,
                           spec->x_is_operand ? 0 : spec->slots);
        if (matrix_shape(gemm) != NULL) matrix_options(matrix_shape(gemm), &options);
    }
    if (spec->activation != NULL) clmoe__activation_options(spec->activation, &options);
    if (cpu && spec->y_is_operand) clmoe__options_add(&options, " -DY_PACKED=1");
    if (cpu && spec->y_is_operand && matrix->arithmetic == CLMOE_ARITHMETIC_INT8) {
        const clmoe__format_info *next = clmoe__format_find(spec->next->format);
        clmoe__options_add(&options, " -DROUND_SUB_K=%u -DROUND_OFFSET=%u -DROUND_MINIMUM=%u -DROUND_SUPER_K=%u",
                           next->sub_k, next->code_offset, next->minimum, clmoe__super_values(next->format));
    }
    if (!cpu || !spec->y_is_operand)
        clmoe__options_add(&options, " -DY_FORMAT=%u", spec->y_is_operand ? operand_format(gemm) : spec->y_format);
    return clmoe__kernel_create(context, files[macro], kernels[macro], &options, spec->stage,
                                few ? &gemm->few : &gemm->multiply, error);
}

clmoe_status clmoe__gemm_create(clmoe_context *context, const clmoe__gemm_spec *spec, clmoe__gemm *gemm,
                                clmoe_error *error) {
    memset(gemm, 0, sizeof *gemm);
    gemm->choice = *spec->choice;
    snprintf(gemm->row_from, sizeof gemm->row_from, "%s", spec->row_from != NULL ? spec->row_from : "shipped");
    if (spec->tile_rows != 0) gemm->choice.tile_rows = spec->tile_rows;
    gemm->matrix = spec->matrix;
    gemm->x_is_operand = spec->x_is_operand;
    gemm->x_format = spec->x_format;
    gemm->slots = spec->slots;
    gemm->combine = is_cpu_macro(gemm) ? spec->combine : NULL;
    gemm->shares_row = is_cpu_macro(gemm) && !spec->x_is_operand && !spec->weighted;
    gemm->row_is_operand = gemm->shares_row && spec->x_is_apart && spec->x_format == CLMOE_F32 &&
                           spec->matrix->arithmetic == CLMOE_ARITHMETIC_F32 &&
                           spec->matrix->in_features % ROW_BLOCK == 0;
    gemm->span_panels = 1;
    if (spec->y_is_operand && is_cpu_macro(gemm) && spec->matrix->arithmetic == CLMOE_ARITHMETIC_INT8)
        gemm->span_panels = INT8_SPAN / (spec->matrix->lanes * (spec->matrix->gated ? 1 : 2));
    memcpy(gemm->scales, spec->scales, sizeof gemm->scales);
    gemm->x_bytes = clmoe__format_bytes(spec->x_is_operand ? operand_format(gemm) : spec->x_format);
    gemm->y_bytes = clmoe__format_bytes(spec->y_is_operand ? operand_format(gemm) : spec->y_format);
    clmoe_status status = CLMOE_OK;
    const int is_clblast = clmoe__gemm_is_clblast(gemm);
    if (is_clblast) status = clmoe__clblast_create(context, spec, gemm, error);
    if (!is_clblast && clmoe__gemm_gathers(gemm)) status = create_gather(context, spec, gemm, error);
    if (!is_clblast && status == CLMOE_OK) status = create_multiply(context, spec, gemm, 0, error);
    if (status == CLMOE_OK && gemm->choice.variant->macro == CLMOE__MACRO_GPU)
        status = create_multiply(context, spec, gemm, 1, error);
    if (status != CLMOE_OK) clmoe__gemm_destroy(context, gemm);
    return status;
}

void clmoe__gemm_destroy(clmoe_context *context, clmoe__gemm *gemm) {
    clmoe__kernel_destroy(context, &gemm->gather);
    clmoe__kernel_destroy(context, &gemm->multiply);
    clmoe__kernel_destroy(context, &gemm->few);
}

int clmoe__gemm_hands_over(const clmoe__matrix *first, const clmoe__gemm_choice *first_choice,
                           const clmoe__matrix *second, const clmoe__gemm_choice *second_choice) {
    if (first_choice->variant->macro != second_choice->variant->macro) return 0;
    return first_choice->variant->macro == CLMOE__MACRO_GPU || first->arithmetic == second->arithmetic;
}

int clmoe__gemm_gathers(const clmoe__gemm *gemm) {
    return (is_cpu_macro(gemm) || clmoe__gemm_is_clblast(gemm)) && !gemm->x_is_operand;
}

/* A packed row of cl/int8_rows.clh: for each run of 32 values their bytes, the scale of 128, and a word for each scale
 * of the weights. */
static uint64_t int8_row_bytes(const clmoe__matrix *matrix) {
    const uint64_t run = INT8_RUN, subs = run / clmoe__format_find(matrix->format)->sub_k;
    const uint64_t padded = clmoe__round_up(matrix->in_features, clmoe__super_values(matrix->format));
    return padded / run * (run + 4 + 4 * subs);
}

uint64_t clmoe__gemm_operand_bytes(const clmoe__gemm *gemm, uint64_t rows) {
    const uint64_t features = gemm->matrix->in_features;
    if (clmoe__gemm_is_clblast(gemm)) return clmoe__clblast_operand_bytes(gemm, rows);
    if (!is_cpu_macro(gemm))
        return gemm->x_is_operand ? clmoe__mul(rows, features * clmoe__format_bytes(operand_format(gemm))) : 0;
    if (gemm->matrix->arithmetic == CLMOE_ARITHMETIC_INT8) return clmoe__mul(rows, int8_row_bytes(gemm->matrix));
    /* blocks of one cache line: 16 f32 or 32 bf16 */
    const uint64_t values = gemm->matrix->arithmetic == CLMOE_ARITHMETIC_BF16 ? 32 : 16;
    return clmoe__mul(rows, clmoe__div_up(features, values) * 64);
}

static void plan_arguments(clmoe__run *run, const clmoe__gemm_io *io) {
    clmoe__run_buffer(run, &io->plan, 4);
    clmoe__run_buffer(run, &io->token_count, 4);
    clmoe__run_u32(run, io->tokens);
}

uint64_t clmoe__gemm_tiles_bound(const clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    return io->layout != NULL ? io->layout->max_tiles : clmoe__div_up(io->tokens, gemm->choice.tile_rows);
}

static void launch_gather(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    const size_t global[1] = {(size_t)clmoe__gemm_tiles_bound(gemm, io)}, local[1] = {1};
    clmoe__run_kernel(run, &gemm->gather);
    clmoe__run_buffer(run, &io->x, gemm->x_bytes);
    clmoe__run_u64(run, io->x_stride);
    clmoe__run_buffer(run, &io->weight, 4);
    clmoe__run_buffer(run, &io->operand, gemm->matrix->arithmetic == CLMOE_ARITHMETIC_BF16 ? 2 : 4);
    plan_arguments(run, io);
    clmoe__run_u32(run, gemm->matrix->in_features);
    clmoe__run_u64(run, io->layout != NULL ? io->layout->tiles : 0);
    clmoe__run_u64(run, io->layout != NULL ? io->layout->row_slot : 0);
    clmoe__run_launch(run, 1, global, local);
}

void clmoe__gemm_arguments(clmoe__run *run, const clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    const clmoe__matrix *matrix = gemm->matrix;
    for (int s = 0; s < CLMOE__SHARDS; s++) clmoe__run_mem(run, matrix->shards[s].mem);
    clmoe__run_u64(run, matrix->panels_per_shard);
    clmoe__run_mem(run, matrix->bias.mem);
    for (int i = 0; i < 2; i++) clmoe__run_mem(run, gemm->scales[i]);
    clmoe__run_buffer(run, &io->y, gemm->y_bytes);
    clmoe__run_u64(run, io->y_stride);
    plan_arguments(run, io);
    clmoe__run_u32(run, matrix->groups);
    clmoe__run_u32(run, matrix->panels);
    clmoe__run_u32(run, matrix->in_features);
    clmoe__run_u32(run, matrix->out_features);
}

int clmoe__gemm_needs_row(const clmoe__gemm *gemm) { return gemm->shares_row && !gemm->row_is_operand; }

/* One row for all groups: a plan without slots has rows that may differ. */
static int is_one_row(const clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    return gemm->shares_row && io->tokens == 1 && (io->layout == NULL || gemm->slots > 0);
}

/* Which is x as it stands. */
static int is_row_of_x(const clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    return gemm->row_is_operand && is_one_row(gemm, io);
}

/* A group's tiles are shared out only where it is the only one and its panels are few. */
static void launch_cpu(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io) {
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

static void launch_matrix(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    const clmoe__matrix_shape *shape = matrix_shape(gemm);
    const size_t local[2] = {clmoe__matrix_group(shape), 1};
    const uint64_t panel_groups = clmoe__div_up(gemm->matrix->panels, clmoe__matrix_panels(shape));
    size_t global[2] = {(size_t)panel_groups * local[0], (size_t)clmoe__gemm_tiles_bound(gemm, io)};
    clmoe__run_kernel(run, &gemm->multiply);
    clmoe__run_buffer(run, &io->x, gemm->x_bytes);
    clmoe__run_u64(run, io->x_stride);
    clmoe__run_buffer(run, &io->weight, 4);
    clmoe__gemm_arguments(run, gemm, io);
    clmoe__run_u64(run, io->layout != NULL ? io->layout->tiles : 0);
    clmoe__run_u64(run, io->layout != NULL ? io->layout->row_slot : 0);
    clmoe__run_launch(run, 2, global, local);
}

void clmoe__gemm_launch(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    if (clmoe__gemm_is_clblast(gemm)) {
        clmoe__clblast_launch(run, gemm, io);
        return;
    }
    if (!is_cpu_macro(gemm)) {
        (matrix_shape(gemm) != NULL ? launch_matrix : clmoe__gpu_launch)(run, gemm, io);
        return;
    }
    if (clmoe__gemm_gathers(gemm) && !io->is_gathered && !is_row_of_x(gemm, io)) {
        clmoe__gemm_io rows = *io;
        if (is_one_row(gemm, io)) rows.plan = (clmoe_buffer){0}, rows.layout = NULL;
        launch_gather(run, gemm, &rows);
    }
    launch_cpu(run, gemm, io);
}
