/* Grouped GEMM, macro-kernel `matrix`: y[row] = epilogue(x[source(row)] . W_group^T) on matrix units, 16-bit operands,
 * sums in f32. x is of operands: operand_rows.cl makes them of anything else.
 *
 * A work-group of WARPS_DOWN x WARPS_ACROSS warps (waves, sub-groups) owns one tile of rows and GROUP_PANELS
 * neighbouring panels. It walks k in runs of K_RUN. A run's rows of x are gathered, and the panels' pieces copied or
 * decoded, into tiles in local memory (matrix_tile.clh), AHEAD runs before their use. A warp multiplies
 * WARP_FRAGMENTS x PANELS_EACH pairs of fragments of them (micro/README.md), and finishes its sums in registers
 * (epilogue.clh).
 *
 *   group id 0   panels GROUP_PANELS * id ...      group id 1   tile
 *   local id 0   lane + FRAGMENT_LANES * (warp across + WARPS_ACROSS * warp down)
 *
 * The order of a sum: runs rise, so do the instructions in them; within an instruction's k the unit adds as it does,
 * which is not the order of the other macro-kernels. It is the same for every row of every tile, whatever the tile's
 * height.
 *
 *   MATRIX, EMULATED           micro/matrix.clh
 *   TILE_ROWS                  rows of a tile at most: those of the plan
 *   WARPS_DOWN, WARPS_ACROSS   warps that share out the tile's rows, and its panels
 *   PANELS_EACH                panels of a warp
 *   K_RUN, STAGES              k of a run; runs in local memory: 2 without asynchronous copies
 *   SLOTS                      as in gather.cl; the rest as in panel.clh, epilogue.clh and activation.clh
 */
#ifndef TILE_ROWS
#define TILE_ROWS 128
#endif
#ifndef WARPS_DOWN
#define WARPS_DOWN 2
#endif
#ifndef WARPS_ACROSS
#define WARPS_ACROSS 2
#endif
#ifndef PANELS_EACH
#define PANELS_EACH 2
#endif
#ifndef STAGES
#define STAGES 2
#endif
#ifndef SLOTS
#define SLOTS 0
#endif
#ifndef ARITHMETIC
#define ARITHMETIC 2
#endif
#ifndef WEIGHT_FORMAT
#define WEIGHT_FORMAT 3
#endif
#include "common.clh"
#include "micro/matrix.clh" /* says what LANES is */
#include "panel.clh"
#include "plan.clh"
#define Y_PACKED 0
#include "epilogue.clh"
#if ARITHMETIC != 2 || PANEL_LANES != 16
#error "matrix units need bf16 arithmetic and panels of 32 columns"
#endif

#ifndef FRAGMENT_PANELS
#define FRAGMENT_PANELS 1
#define lane_panel(who) 0u
#endif
#ifndef TILE_ALIGN
#define TILE_ALIGN 128
#endif
#if PANELS_EACH % FRAGMENT_PANELS != 0
#error "PANELS_EACH must be a multiple of the panels of a fragment"
#endif
#define UNDER_WAY (MULTIPLIES_ASYNC && STAGES > 2) /* runs that may still be multiplied when the next one begins */
/* Runs that share a barrier (matrix_steady.clh), and runs that are brought before they are multiplied. */
#define TOGETHER (STAGES >= 4 && !MULTIPLIES_ASYNC && !IS_BLOCKS ? 2 : 1)
#define AHEAD (STAGES - TOGETHER - UNDER_WAY)
#define WARP_ACROSS (PANELS_EACH / FRAGMENT_PANELS) /* fragments of a warp across panels */
#define WARP_FRAGMENTS ((TILE_ROWS + WARPS_DOWN * FRAGMENT_ROWS - 1) / (WARPS_DOWN * FRAGMENT_ROWS))
#define WARP_ROWS (WARP_FRAGMENTS * FRAGMENT_ROWS)
#define GROUP_ROWS (WARPS_DOWN * WARP_ROWS)
#define GROUP_PANELS (WARPS_ACROSS * PANELS_EACH)
#define GROUP (WARPS_DOWN * WARPS_ACROSS * FRAGMENT_LANES)
#ifndef FRAGMENT_ATTRIBUTES
#define FRAGMENT_ATTRIBUTES
#endif

/* What a work-group does. */
typedef struct matrix_job {
    uint group, first, rows, panel;
} matrix_job;

#include "matrix_load.clh"
#include "matrix_steady.clh"

/* Tile number `tile` of the plan, or of all tokens as one group; 0 if there is none. */
ALWAYS int find_job(matrix_job *job, uint tile, uint tokens, __global const int *plan, __global const int *token_count,
                    ulong token_count_offset, ulong plan_tiles) {
    if (plan == 0) {
        const uint valid = valid_tokens(tokens, token_count, token_count_offset);
        const uint tiles = (valid + TILE_ROWS - 1) / TILE_ROWS;
        if (tile >= tiles) return 0;
        job->group = 0;
        job->first = (uint)((ulong)valid * tile / tiles);
        job->rows = (uint)((ulong)valid * (tile + 1) / tiles) - job->first;
        return 1;
    }
    if (tile >= (uint)plan[PLAN_TILES]) return 0;
    job->group = (uint)plan[plan_tiles + 4 * tile];
    job->first = (uint)plan[plan_tiles + 4 * tile + 1];
    job->rows = (uint)plan[plan_tiles + 4 * tile + 2];
    return 1;
}

/* A warp's share of a run. */
ALWAYS void multiply_run(fragment_c sums[WARP_FRAGMENTS][WARP_ACROSS], __local const uint4 *a_tile,
                         __local const uint4 *b_tile, uint row, uint panel, matrix_lane who) {
    UNROLL for (uint step = 0; step < K_RUN / FRAGMENT_K; step++) {
        fragment_b b[WARP_ACROSS];
        UNROLL for (uint j = 0; j < WARP_ACROSS; j++)
            load_b(&b[j], b_tile + (panel + j * FRAGMENT_PANELS) * B_PIECES, step, who);
#if MULTIPLIES_ASYNC
        multiplies_begin();
#endif
        UNROLL for (uint i = 0; i < WARP_FRAGMENTS; i++) {
            fragment_a a;
            load_a(&a, a_tile, row + i * FRAGMENT_ROWS, step, who);
            UNROLL for (uint j = 0; j < WARP_ACROSS; j++) multiply_add(&sums[i][j], &a, &b[j], who);
        }
    }
#if MULTIPLIES_ASYNC
    multiplies_end();
#endif
}

/* Until the sums of all runs are there. */
ALWAYS void multiplies_finish(fragment_c sums[WARP_FRAGMENTS][WARP_ACROSS]) {
#if MULTIPLIES_ASYNC
    MULTIPLIES_WAIT(0);
    UNROLL for (uint i = 0; i < WARP_FRAGMENTS; i++)
        UNROLL for (uint j = 0; j < WARP_ACROSS; j++) hold_sums(&sums[i][j]);
#endif
}

/* Stores whole runs of y at once where they lie at multiples of their size. */
ALWAYS void store_run(__global y_t *to, real value, uint column, uint columns, int aligned) {
#if LANES > 1 && Y_FORMAT != FORMAT_F16
    if (aligned && column + LANES <= columns) {
#if Y_FORMAT == FORMAT_F32
        *(__global real *)to = value;
#else
        *(__global shorts *)to = bf16_from_real(value);
#endif
        return;
    }
#endif
    if (column < columns) store_columns(to, value, column, columns);
}

/* Run i of a fragment and the same columns of the panel's second half: factors, bias, activation, store. y points at
 * the tile's first row, bias at the panel. */
ALWAYS void finish_run(const fragment_c *c, uint i, matrix_lane who, float scale0, float scale1,
                       __global const float *bias, __global y_t *y, uint panel, uint features_out, int aligned) {
    const uint lane_column = run_column(i, who);
    real first = run_of(c, i), second = run_of(c, i + FRAGMENT_RUNS / 2);
#if SCALED
    first *= scale0;
    second *= scale1;
#endif
#if BIAS
    first += REAL_LOAD(bias + lane_column);
    second += REAL_LOAD(bias + PANEL_LANES + lane_column);
#endif
#if ACT_GATED
    const uint column = panel * PANEL_LANES + lane_column;
    store_run(y + column, activation(first, second), column, features_out, aligned);
#else
    const uint column = panel * PANEL_COLUMNS + lane_column;
#if ACTIVATE
    first = activation(first, first);
    second = activation(second, second);
#endif
    store_run(y + column, first, column, features_out, aligned);
    store_run(y + column + PANEL_LANES, second, column + PANEL_LANES, features_out, aligned);
#endif
}

FRAGMENT_ATTRIBUTES __kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void gemm_matrix(
    __global const ushort *x, ulong x_offset, ulong x_stride, /* the rows' source */
    SHARD_PARAMETERS,                                      /* packed weights */
    __global const float *bias_base,                       /* may be NULL without BIAS */
    __global const float *scale0, __global const float *scale1, /* may be NULL without SCALED */
    __global y_t *y, ulong y_offset, ulong y_stride,
    __global const int *plan, ulong plan_offset,           /* NULL: one group of all tokens */
    __global const int *token_count, ulong token_count_offset,
    uint tokens, uint groups, uint panels, uint features_in, uint features_out, ulong plan_tiles, ulong plan_row_slot) {
    __local uint4 a_tiles[STAGES][GROUP_ROWS * A_PIECES] __attribute__((aligned(TILE_ALIGN)));
    __local uint4 b_tiles[STAGES][GROUP_PANELS * B_PIECES] __attribute__((aligned(TILE_ALIGN)));
#if EMULATED
    __local uint scratch[GROUP * SCRATCH_WORDS];
    const matrix_lane who = {get_local_id(0) % FRAGMENT_LANES, scratch};
#else
    const matrix_lane who = {get_local_id(0) % FRAGMENT_LANES};
#endif
    const uint warp = get_local_id(0) / FRAGMENT_LANES, warp_row = warp / WARPS_ACROSS * WARP_ROWS;
    const uint warp_panel = warp % WARPS_ACROSS * PANELS_EACH;
    if (tokens == 0) return;
    if (plan != 0) plan += plan_offset;
    matrix_job job = {.panel = get_group_id(0) * GROUP_PANELS};
    if (!find_job(&job, get_group_id(1), tokens, plan, token_count, token_count_offset, plan_tiles)) return;

    loader load = {.x = x, .features = features_in};
    load_aim_x(&load, x_offset, x_stride, &job, plan, plan_row_slot);
    const ulong loaded = (ulong)job.group * panels + min(job.panel + load_panel(), panels - 1);
    SHARD_PANEL(load.panel, loaded, panel_elements(features_in))
    fragment_c sums[WARP_FRAGMENTS][WARP_ACROSS];
    UNROLL for (uint i = 0; i < WARP_FRAGMENTS; i++)
        UNROLL for (uint j = 0; j < WARP_ACROSS; j++) sums[i][j] = (fragment_c){0};
    const uint runs = (features_in + K_RUN - 1) / K_RUN;
    for (uint run = 0; run < AHEAD; run++) {
        load_begin(&load, run, a_tiles[run], b_tiles[run]);
        load_end(&load, run, a_tiles[run], b_tiles[run]);
    }
    uint run = 0;
#if IS_STEADY
    if (load.x_aligned) {
        steady_loader steady;
        steady_aim(&steady, &load);
        const uint rounds = (max(features_in / K_RUN, (uint)AHEAD) - AHEAD) / STEADY_RUNS;
        run = rounds * STEADY_RUNS;
        for (uint left = rounds; left > 0; left--) {
            UNROLL for (uint i = 0; i < STEADY_RUNS; i++) {
                if (i % TOGETHER == 0) {
                    load_wait(AHEAD - TOGETHER);
#if MULTIPLIES_ASYNC
                    MULTIPLIES_WAIT(UNDER_WAY);
#endif
                    barrier(CLK_LOCAL_MEM_FENCE);
                    UNROLL for (uint j = i; j < i + TOGETHER; j++)
                        steady_copy(&steady, &load, j, a_tiles[(j + AHEAD) % STAGES], b_tiles[(j + AHEAD) % STAGES]);
                }
                steady_load(&steady, &load, i);
                multiply_run(sums, a_tiles[i % STAGES], b_tiles[i % STAGES], warp_row, warp_panel, who);
                steady_store(&load, b_tiles[(i + AHEAD) % STAGES]);
            }
            steady_advance(&steady, &load);
        }
        multiplies_finish(sums);
    }
#endif
    for (uint stage = 0; run < runs; run++) {
        const uint free_stage = stage + AHEAD < STAGES ? stage + AHEAD : stage + AHEAD - STAGES;
        load_wait(AHEAD - 1);
        barrier(CLK_LOCAL_MEM_FENCE);
        load_begin(&load, run + AHEAD, a_tiles[free_stage], b_tiles[free_stage]);
        multiply_run(sums, a_tiles[stage], b_tiles[stage], warp_row, warp_panel, who);
        multiplies_finish(sums);
        load_end(&load, run + AHEAD, a_tiles[free_stage], b_tiles[free_stage]);
        stage = stage + 1 == STAGES ? 0 : stage + 1;
    }
    y += y_offset + job.first * y_stride;
    const int aligned = ((ulong)y | y_stride * sizeof(y_t)) % (LANES * sizeof(y_t)) == 0;
    UNROLL for (uint j = 0; j < WARP_ACROSS; j++) {
        const uint panel = job.panel + warp_panel + j * FRAGMENT_PANELS + lane_panel(who);
        if (panel >= panels) break;
        __global const float *bias = bias_base + (BIAS ? ((ulong)job.group * panels + panel) * PANEL_COLUMNS : 0);
        UNROLL for (uint i = 0; i < WARP_FRAGMENTS; i++)
            UNROLL for (uint r = 0; r < FRAGMENT_RUNS / 2; r++) {
                const uint row = warp_row + i * FRAGMENT_ROWS + run_row(r, who);
                if (row < job.rows)
                    finish_run(&sums[i][j], r, who, SCALED ? scale0[job.group] : 1.0f,
                               SCALED ? scale1[job.group] : 1.0f, bias, y + row * y_stride, panel, features_out,
                               aligned);
            }
    }
}
