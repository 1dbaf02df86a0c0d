/* Grouped GEMM, macro-kernel `gpu`: y[row] = epilogue(x[source(row)] . W_group^T) for any OpenCL 1.2 device with
 * work-groups.
 *
 * A work-group owns a tile of rows and columns of y. It walks k in steps of TILE_K: what comes next is read from memory
 * into registers, rows gathered as they are read, while the tile before it is multiplied; then it is decoded into local
 * memory. Each sum has the order of gemm_cpu.cl. The shape of a tile and all it takes are parameters: gpu_tile.clh. Two
 * shapes make two kernels of this file: tiles of a plan (FEW 0), and all rows of a group that has few (FEW 1), whose
 * weights stream through once and whose missing rows cost nothing.
 *
 *   group id 0   tile of columns
 *   group id 1   FEW 0: tile of rows; 1: n-th group that has rows, or slot (gpu_rows.clh)
 *   local id 0   column item + COLUMN_ITEMS * row item + TEAM_ITEMS * team, which is 0 but with SPLIT
 *
 * The parameters: gpu_tile.clh, gpu_rows.clh, gpu_x.clh, panel.clh, epilogue.clh, activation.clh, and for int8
 * micro/quad.clh.
 */
#ifndef ARITHMETIC
#define ARITHMETIC 1
#endif
#include "gpu_tile.clh"
#include "plan.clh"
#include "gpu_rows.clh"
#include "gpu_x.clh"
#define Y_PACKED 0
#include "epilogue.clh"

/* One of the constants 1 to ROW_PARTS. */
#if ROW_PARTS == 1
#define EACH_PARTS(DO) DO(1)
#elif ROW_PARTS == 2
#define EACH_PARTS(DO) \
    if (parts == 1) {  \
        DO(1)          \
    } else {           \
        DO(2)          \
    }
#else
#define EACH_PARTS(DO)       \
    switch (parts) {         \
        case 1: DO(1) break; \
        case 2: DO(2) break; \
        default: DO(ROW_PARTS) \
    }
#endif
#if ARITHMETIC == 3
#include "gpu_int8.clh"
#else
#include "gpu_float.clh"
#endif

/* Stores LANES columns of a row; y points at `column`. */
static inline void store_vector(__global y_t *y, real value, uint column, uint columns, int aligned) {
#if Y_FORMAT != FORMAT_F16
    if (aligned && column + LANES <= columns) {
#if Y_FORMAT == FORMAT_F32
        *(__global real *)y = value;
#else
        *(__global shorts *)y = bf16_from_real(value);
#endif
        return;
    }
#endif
    if (column < columns) store_columns(y, value, column, columns);
}

/* Factors, bias, activation and store of a row's two vectors. bias: of the panel's column `lane`. */
static inline void finish(real sum0, real sum1, float scale0, float scale1, __global const float *bias,
                          __global y_t *row, uint panel, uint lane, uint columns, int aligned) {
#if SCALED
    sum0 *= scale0;
    sum1 *= scale1;
#endif
#if BIAS
    sum0 += REAL_LOAD(bias);
    sum1 += REAL_LOAD(bias + PANEL_LANES);
#endif
#if ACT_GATED
    const uint column = panel * PANEL_LANES + lane;
    store_vector(row + column, activation(sum0, sum1), column, columns, aligned);
#else
    const uint column = panel * PANEL_COLUMNS + lane;
#if ACTIVATE
    sum0 = activation(sum0, sum0);
    sum1 = activation(sum1, sum1);
#endif
    store_vector(row + column, sum0, column, columns, aligned);
    store_vector(row + column + PANEL_LANES, sum1, column + PANEL_LANES, columns, aligned);
#endif
}

SUB_GROUP_SIZE __kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void gemm_gpu(
    __global const x_t *x, ulong x_offset, ulong x_stride, /* the rows' source */
    __global const float *weight, ulong weight_offset,     /* [tokens, SLOTS]; NULL without WEIGHTED */
    SHARD_PARAMETERS,                                      /* packed weights */
    __global const float *bias_base,                       /* may be NULL without BIAS */
    __global const float *scale0, __global const float *scale1, /* may be NULL without SCALED */
    __global y_t *y, ulong y_offset, ulong y_stride,
    __global const int *plan, ulong plan_offset,           /* may be NULL */
    __global const int *token_count, ulong token_count_offset,
    uint tokens, uint groups, uint panels, uint features_in, uint features_out, ulong plan_tiles, ulong plan_row_slot,
    uint least_rows, uint most_rows                        /* groups with fewer or more are the other kernel's */
    DIRECT_PARAMETERS) {                                   /* gpu_rows.clh */
    __local uint x_memory[BUFFERS * X_WORDS] __attribute__((aligned(64)));
    __local uint w_memory[BUFFERS * W_WORDS] __attribute__((aligned(64)));
    __local uint slot_list[FEW ? DIRECT_SLOTS : 1];
#if SPLIT > 1
    __local float span_memory[SPLIT * SPAN_WORDS] __attribute__((aligned(64)));
#endif
    const uint item = get_local_id(0), team = item / TEAM_ITEMS;
    const uint column_item = item % COLUMN_ITEMS, row_item = item % TEAM_ITEMS / COLUMN_ITEMS;
    if (tokens == 0) return;
    const row_source source = {.plan = plan == 0 ? plan : plan + plan_offset, .tiles_at = plan_tiles,
                               .row_slot_at = plan_row_slot, .groups = groups,
                               .tokens = plan == 0 ? valid_tokens(tokens, token_count, token_count_offset) : tokens,
                               .least_rows = least_rows, .most_rows = most_rows DIRECT_SOURCE};
#if FEW
    if (slot_row != 0 && get_group_id(0) == 0 && get_group_id(1) == 0)
        leave_places(&source, item, GROUP, slot_row + slot_row_offset, load == 0 ? load : load + load_offset, classes,
                     load_accumulate);
#endif
    const row_set set = rows_of(&source, get_group_id(1), item, GROUP, slot_list);
    if (set.count == 0) return;
    if (FEW) barrier(CLK_LOCAL_MEM_FENCE);

    x += x_offset;
    y += y_offset;
    const int x_aligned = x_is_aligned(x, x_stride, features_in);
    const int y_aligned = (ulong)y % sizeof(real) == 0 && y_stride % LANES == 0;
    /* The panel whose pieces this work-item loads; in place of one that does not exist, another. */
    const uint first_panel = get_group_id(0) * TILE_PANELS, w_panel = min(first_panel + W_PANEL(item), panels - 1);
    __global const weight_t *weights;
    SHARD_PANEL(weights, (ulong)set.group * panels + w_panel, panel_elements(features_in))
    const uint panel = first_panel + column_item * LANES / PANEL_LANES, lane = column_item * LANES % PANEL_LANES;
    const float factor0 = SCALED ? scale0[set.group] : 1.0f, factor1 = SCALED ? scale1[set.group] : 1.0f;

    for (uint begin = 0; begin < set.count; begin += TILE_ROWS) {
        const uint rows = min((uint)TILE_ROWS, set.count - begin);
        const uint parts = (rows + PART_ROWS - 1) / PART_ROWS;
        x_row x_rows[X_FETCHES];
        _Pragma("unroll") for (uint n = 0; n < X_FETCHES; n++) {
            const uint slot = set_slot(&source, &set, begin + min((uint)X_PIECE_ROW(item, n), rows - 1), slot_list);
            x_rows[n].values = x + (SLOTS > 0 ? slot / (SLOTS > 0 ? SLOTS : 1) : slot) * x_stride;
            x_rows[n].factor = WEIGHTED ? weight[weight_offset + slot] : 1.0f;
        }
        real sum[2 * ITEM_ROWS];
        _Pragma("unroll") for (uint i = 0; i < 2 * ITEM_ROWS; i++) sum[i] = (real)(0.0f);
        x_piece x_pieces[X_FETCHES];
        w_piece w_pieces[W_FETCHES];
        x_fetch(x_pieces, x_rows, item, 0, features_in, x_aligned);
        w_fetch(w_pieces, weights, item, 0, features_in);
        if (BUFFERS == 2) barrier(CLK_LOCAL_MEM_FENCE);
        const uint steps = K_STEPS(features_in);
        const int has_rows = row_item * ROW_VECTOR < rows;
        uint buffer = 0;
        for (uint k = 0; k < steps; k += TILE_K) {
            __local uint *x_part = x_memory + buffer * X_WORDS, *w_part = w_memory + buffer * W_WORDS;
#if X_IS_MEASURED
            x_measure(x_part, x_pieces, x_rows, item, k, features_in);
#endif
            if (BUFFERS == 1 || X_IS_MEASURED) barrier(CLK_LOCAL_MEM_FENCE);
#if SPLIT > 1 /* the spans of the step before */
            if (k != 0 && team == 0 && has_rows) add_spans(sum, span_memory, row_item, column_item, parts, TILE_K);
#endif
            x_put(x_part, x_pieces, x_rows, item, k, features_in);
            w_put(w_part, w_pieces, item, k, features_in);
            barrier(CLK_LOCAL_MEM_FENCE);
            if (k + TILE_K < steps) {
                x_fetch(x_pieces, x_rows, item, k + TILE_K, features_in, x_aligned);
                w_fetch(w_pieces, weights, item, k + TILE_K, features_in);
            }
#if SPLIT > 1
            if (has_rows)
                multiply_span(span_memory, x_part, w_part, team, row_item, column_item, parts, steps - k);
#else
            if (has_rows) multiply(sum, x_part, w_part, row_item, column_item, parts, steps - k);
#endif
            buffer = (buffer + 1) % BUFFERS;
        }
#if SPLIT > 1
        barrier(CLK_LOCAL_MEM_FENCE);
        if (team == 0 && has_rows)
            add_spans(sum, span_memory, row_item, column_item, parts, steps - (steps - 1) / TILE_K * TILE_K);
#endif
        if (panel >= panels || team != 0) continue;
        const ulong bias_at = ((ulong)set.group * panels + panel) * PANEL_COLUMNS + lane;
        __global const float *bias = bias_base + (BIAS ? bias_at : 0);
        _Pragma("unroll") for (uint i = 0; i < ITEM_ROWS; i++) {
            const uint r = i / ROW_VECTOR * PART_ROWS + row_item * ROW_VECTOR + i % ROW_VECTOR;
            if (r >= rows) continue;
            finish(sum[2 * i], sum[2 * i + 1], factor0, factor1, bias,
                   y + set_y_row(&source, &set, begin + r, slot_list) * y_stride, panel, lane, features_out, y_aligned);
        }
    }
}
