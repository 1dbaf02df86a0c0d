/* Creating and launching a grouped GEMM: what macro-kernels share. Their own parts are in gemm_cpu.c, gemm_gpu.c,
 * gemm_matrix.c and gemm_clblast.c. */
#include "gemm.h"

#include "gemm_clblast.h"

#include <stdio.h>
#include <string.h>

#define INT8_SPAN 128 /* values of an int8 row that share a scale */
#define ROW_BLOCK 16  /* k steps of cl/rows.clh that lie together: one row in blocks is the row itself */

/* File and kernel of a macro-kernel. */
static const char *const files[] = {"gemm_cpu.cl", "gemm_gpu.cl", "gemm_matrix.cl"};
static const char *const kernels[] = {"gemm_cpu", "gemm_gpu", "gemm_matrix"};

static int is_cpu_macro(const clmoe__gemm *gemm) { return gemm->choice.variant->macro == CLMOE__MACRO_CPU; }

static int is_matrix_macro(const clmoe__gemm *gemm) { return gemm->choice.variant->macro == CLMOE__MACRO_MATRIX; }

/* How y is stored where the next GEMM reads it as its operand: of the cpu macro-kernel, the element of a packed row. */
static uint32_t operand_format(const clmoe__gemm *gemm) {
    if (is_matrix_macro(gemm)) return CLMOE_BF16;
    return is_cpu_macro(gemm) && gemm->matrix->arithmetic == CLMOE_ARITHMETIC_BF16 ? CLMOE_BF16 : CLMOE_F32;
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
    if (cpu) {
        clmoe__cpu_options(gemm, spec, &options);
    } else if (macro == CLMOE__MACRO_MATRIX) {
        clmoe__matrix_options(gemm, &options);
    } else {
        clmoe__options_add(&options, " -DPANEL_LANES=%u -DX_FORMAT=%u -DWEIGHTED=%d -DSLOTS=%u", gemm->choice.lanes,
                           spec->x_is_operand ? operand_format(gemm) : spec->x_format, spec->weighted,
                           spec->x_is_operand ? 0 : spec->slots);
    }
    if (spec->activation != NULL) clmoe__activation_options(spec->activation, &options);
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
    gemm->weighted = spec->weighted;
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
    if (!is_clblast && clmoe__gemm_gathers(gemm))
        status = is_matrix_macro(gemm) ? clmoe__matrix_rows_create(context, gemm, error)
                                       : clmoe__gather_create(context, spec, gemm, error);
    if (!is_clblast && status == CLMOE_OK) status = create_multiply(context, spec, gemm, 0, error);
    if (status == CLMOE_OK && gemm->choice.variant->macro == CLMOE__MACRO_GPU)
        status = create_multiply(context, spec, gemm, 1, error);
    if (status != CLMOE_OK) clmoe__gemm_destroy(context, gemm);
    return status;
}

void clmoe__gemm_destroy(clmoe_context *context, clmoe__gemm *gemm) {
    clmoe__kernel_destroy(context, &gemm->gather);
    clmoe__kernel_destroy(context, &gemm->dispatch_gather);
    clmoe__kernel_destroy(context, &gemm->multiply);
    clmoe__kernel_destroy(context, &gemm->few);
}

int clmoe__gemm_hands_over(const clmoe__matrix *first, const clmoe__gemm_choice *first_choice,
                           const clmoe__matrix *second, const clmoe__gemm_choice *second_choice) {
    if (first_choice->variant->macro != second_choice->variant->macro) return 0;
    return first_choice->variant->macro == CLMOE__MACRO_GPU || first->arithmetic == second->arithmetic;
}

int clmoe__gemm_gathers(const clmoe__gemm *gemm) {
    if (is_matrix_macro(gemm)) return clmoe__matrix_converts(gemm);
    return (is_cpu_macro(gemm) || clmoe__gemm_is_clblast(gemm)) && !gemm->x_is_operand;
}

uint64_t clmoe__gemm_operand_bytes(const clmoe__gemm *gemm, uint64_t tokens, uint64_t rows) {
    const uint64_t features = gemm->matrix->in_features;
    if (clmoe__gemm_is_clblast(gemm)) return clmoe__clblast_operand_bytes(gemm, rows);
    if (is_matrix_macro(gemm)) return clmoe__matrix_operand_bytes(gemm, tokens, rows);
    if (!is_cpu_macro(gemm))
        return gemm->x_is_operand ? clmoe__mul(rows, features * clmoe__format_bytes(operand_format(gemm))) : 0;
    if (gemm->matrix->arithmetic == CLMOE_ARITHMETIC_INT8) return clmoe__mul(rows, clmoe__int8_row_bytes(gemm->matrix));
    /* blocks of one cache line: 16 f32 or 32 bf16 */
    const uint64_t values = gemm->matrix->arithmetic == CLMOE_ARITHMETIC_BF16 ? 32 : 16;
    return clmoe__mul(rows, clmoe__div_up(features, values) * 64);
}

void clmoe__plan_arguments(clmoe__run *run, const clmoe__gemm_io *io) {
    clmoe__run_buffer(run, &io->plan, 4);
    clmoe__run_buffer(run, &io->token_count, 4);
    clmoe__run_u32(run, io->tokens);
}

uint64_t clmoe__gemm_tiles_bound(const clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    return io->layout != NULL ? io->layout->max_tiles : clmoe__div_up(io->tokens, gemm->choice.tile_rows);
}

void clmoe__gemm_arguments(clmoe__run *run, const clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    const clmoe__matrix *matrix = gemm->matrix;
    for (int s = 0; s < CLMOE__SHARDS; s++) clmoe__run_mem(run, matrix->shards[s].mem);
    clmoe__run_u64(run, matrix->panels_per_shard);
    clmoe__run_mem(run, matrix->bias.mem);
    for (int i = 0; i < 2; i++) clmoe__run_mem(run, gemm->scales[i]);
    clmoe__run_buffer(run, &io->y, gemm->y_bytes);
    clmoe__run_u64(run, io->y_stride);
    clmoe__plan_arguments(run, io);
    clmoe__run_u32(run, matrix->groups);
    clmoe__run_u32(run, matrix->panels);
    clmoe__run_u32(run, matrix->in_features);
    clmoe__run_u32(run, matrix->out_features);
}

void clmoe__gemm_launch(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io) {
    if (clmoe__gemm_is_clblast(gemm)) {
        clmoe__clblast_launch(run, gemm, io);
        return;
    }
    if (is_cpu_macro(gemm))
        clmoe__cpu_launch(run, gemm, io);
    else
        (is_matrix_macro(gemm) ? clmoe__matrix_launch : clmoe__gpu_launch)(run, gemm, io);
}
