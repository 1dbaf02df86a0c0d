/* Grouped GEMM, macro-kernel `gpu`: y[row] = epilogue(x[source(row)] . W_group^T) for any OpenCL 1.2 device with work-groups
 * of 64 and 8 KiB of local memory.
 *
 * A work-group owns one tile of up to TILE_ROWS rows and one panel. It walks k in runs of K_RUN: the tile's piece of x is
 * gathered into local memory, the panel's piece (which lies in memory as it is used) is decoded beside it, and every
 * work-item adds up its rows x 2 columns in registers. Each sum has the order of gemm_cpu.cl.
 *
 *   group id 0   panel          group id 1   tile
 *   local id 0   lane + PANEL_LANES * row group: columns lane and lane + PANEL_LANES of the panel, every ROW_GROUPS-th row
 *
 *   X_FORMAT, WEIGHTED, SLOTS  as in gather.cl; the rest as in panel.clh, epilogue.clh and activation.clh
 */
#ifndef TILE_ROWS
#define TILE_ROWS 32
#endif
#ifndef X_FORMAT
#define X_FORMAT 1
#endif
#ifndef WEIGHTED
#define WEIGHTED 0
#endif
#ifndef SLOTS
#define SLOTS 0
#endif
#define LANES 1
#define GROUP 64
#define K_RUN 16

#include "common.clh"
#include "lanes.clh"
#include "panel.clh"
#include "plan.clh"
#define STORAGE_NAME x
#define STORAGE_FORMAT X_FORMAT
#include "storage.clh"
#define Y_PACKED 0
#include "epilogue.clh"

#define ROW_GROUPS (GROUP / PANEL_LANES)
#define ITEM_ROWS (TILE_ROWS / ROW_GROUPS)
#if TILE_ROWS % ROW_GROUPS != 0
#error "TILE_ROWS must be a multiple of 64 / PANEL_LANES"
#endif

/* x as the arithmetic sees it, and the order of its sums: rising, in bf16 with the odd one of a pair first (micro/bf16.clh). */
#if ARITHMETIC == 2
#define AS_OPERAND(value) f32_from_bf16(bf16_from_f32(value))
#define IN_ORDER(step, run) (((step) ^ 1u) < (run) ? (step) ^ 1u : (step))
#else
#define AS_OPERAND(value) (value)
#define IN_ORDER(step, run) (step)
#endif

/* The weight of (k, column of the panel) as the arithmetic sees it. */
inline float panel_value(__global const weight_t *panel, uint k, uint column) {
#if IS_BLOCKS
    return AS_OPERAND(block_value_at(panel, k, column));
#else
    return WEIGHT_LOAD(panel + ((ulong)(k / KP) * PANEL_COLUMNS + column) * KP + k % KP);
#endif
}

inline void finish(float sum0, float sum1, float scale0, float scale1, __global y_t *row, uint panel, uint lane,
                   uint features_out, __global const float *bias) {
#if SCALED
    sum0 *= scale0;
    sum1 *= scale1;
#endif
#if BIAS
    sum0 += bias[lane];
    sum1 += bias[PANEL_LANES + lane];
#endif
#if ACT_GATED
    const uint column = panel * PANEL_LANES + lane;
    if (column < features_out) store_columns(row + column, activation(sum0, sum1), column, features_out);
#else
    const uint column = panel * PANEL_COLUMNS + lane;
#if ACTIVATE
    sum0 = activation(sum0, sum0);
    sum1 = activation(sum1, sum1);
#endif
    if (column < features_out) store_columns(row + column, sum0, column, features_out);
    if (column + PANEL_LANES < features_out)
        store_columns(row + column + PANEL_LANES, sum1, column + PANEL_LANES, features_out);
#endif
}

__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void gemm_gpu(
    __global const x_t *x, ulong x_offset, ulong x_stride, /* the rows' source */
    __global const float *weight, ulong weight_offset,     /* [tokens, SLOTS]; NULL without WEIGHTED */
    SHARD_PARAMETERS,                                      /* packed weights */
    __global const float *bias_base,                       /* may be NULL without BIAS */
    __global const float *scale0, __global const float *scale1, /* may be NULL without SCALED */
    __global y_t *y, ulong y_offset, ulong y_stride,
    __global const int *plan, ulong plan_offset,           /* NULL: one group of all tokens */
    __global const int *token_count, ulong token_count_offset,
    uint tokens, uint groups, uint panels, uint features_in, uint features_out, ulong plan_tiles, ulong plan_row_slot) {
    __local float x_part[K_RUN][TILE_ROWS];
    __local float w_part[K_RUN][PANEL_COLUMNS];
    __local ulong source[TILE_ROWS];
    __local float factor[TILE_ROWS];
    const uint panel = get_group_id(0), tile = get_group_id(1), item = get_local_id(0);
    const uint lane = item % PANEL_LANES, row_group = item / PANEL_LANES;
    uint group = 0, first, rows;
    if (tokens == 0) return;
    if (plan == 0) {
        const uint valid = valid_tokens(tokens, token_count, token_count_offset);
        const uint tiles = (valid + TILE_ROWS - 1) / TILE_ROWS;
        if (tile >= tiles) return;
        first = (uint)((ulong)valid * tile / tiles);
        rows = (uint)((ulong)valid * (tile + 1) / tiles) - first;
    } else {
        plan += plan_offset;
        if (tile >= (uint)plan[PLAN_TILES]) return;
        group = (uint)plan[plan_tiles + 4 * tile];
        first = (uint)plan[plan_tiles + 4 * tile + 1];
        rows = (uint)plan[plan_tiles + 4 * tile + 2];
    }
    for (uint r = item; r < rows; r += GROUP) {
#if SLOTS > 0
        const uint slot = (uint)plan[plan_row_slot + first + r];
        source[r] = x_offset + (slot / SLOTS) * x_stride;
        factor[r] = WEIGHTED ? weight[weight_offset + slot] : 1.0f;
#else
        source[r] = x_offset + (first + r) * x_stride;
        factor[r] = 1.0f;
#endif
    }
    const ulong index = (ulong)group * panels + panel;
    __global const weight_t *weights;
    SHARD_PANEL(weights, index, panel_elements(features_in))
    float sum0[ITEM_ROWS], sum1[ITEM_ROWS];
    for (uint i = 0; i < ITEM_ROWS; i++) sum0[i] = sum1[i] = 0.0f;
    for (uint k0 = 0; k0 < features_in; k0 += K_RUN) {
        const uint run = min((uint)K_RUN, features_in - k0);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint i = item; i < run * TILE_ROWS; i += GROUP) {
            const uint r = i / run, k = i % run;
            float value = r < rows ? x_load(x, source[r] + k0 + k) : 0.0f;
#if WEIGHTED
            value *= r < rows ? factor[r] : 0.0f;
#endif
            x_part[k][r] = AS_OPERAND(value);
        }
        for (uint i = item; i < run * PANEL_COLUMNS; i += GROUP) {
            const uint k = i / PANEL_COLUMNS, c = i % PANEL_COLUMNS;
            w_part[k][c] = panel_value(weights, k0 + k, c);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint step = 0; step < run; step++) {
            const uint k = IN_ORDER(step, run);
            for (uint i = 0; i < ITEM_ROWS; i++) {
                const float value = x_part[k][row_group + i * ROW_GROUPS];
                sum0[i] = fma(value, w_part[k][lane], sum0[i]);
                sum1[i] = fma(value, w_part[k][PANEL_LANES + lane], sum1[i]);
            }
        }
    }
    for (uint i = 0; i < ITEM_ROWS; i++) {
        const uint r = row_group + i * ROW_GROUPS;
        if (r < rows)
            finish(sum0[i], sum1[i], SCALED ? scale0[group] : 1.0f, SCALED ? scale1[group] : 1.0f,
                   y + y_offset + (first + r) * y_stride, panel, lane, features_out,
                   bias_base + (BIAS ? index * PANEL_COLUMNS : 0));
    }
}
