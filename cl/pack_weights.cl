/* Packs a piece of one expert's matrix into panels (panel.clh): some columns of y ("outs") by some k, read with any two
 * strides, so every layout a checkpoint may have is one kernel. Lanes past the matrix's edge become 0.
 *
 *   group id 0    panel of the piece
 *   group id 1    run of 64 k
 *   local id 0    shares the panel's columns; any local size
 *
 *   SOURCE_FORMAT, WEIGHT_FORMAT, ARITHMETIC, PANEL_LANES (panel.clh)
 */
#ifndef SOURCE_FORMAT
#define SOURCE_FORMAT 1
#endif
#ifndef WEIGHT_FORMAT
#define WEIGHT_FORMAT 1
#endif
#ifndef ARITHMETIC
#define ARITHMETIC 1
#endif
#ifndef PANEL_LANES
#define PANEL_LANES 16
#endif
#define KP ARITHMETIC
#define K_RUN 64

#include "common.clh"
#define STORAGE_NAME source
#define STORAGE_FORMAT SOURCE_FORMAT
#include "storage.clh"
#define STORAGE_NAME panel
#define STORAGE_FORMAT WEIGHT_FORMAT
#include "storage.clh"

__kernel void pack_weights(
    __global const source_t *source, ulong source_offset, ulong out_stride, ulong k_stride, /* element (out, k) of the piece */
    __global panel_t *panels, ulong first_panel,           /* a shard, and where in it the piece's first panel is */
    uint outs,                                             /* columns of the piece; its first is a panel's first */
    uint k_begin, uint k_end,                              /* the piece's k; k_begin is a multiple of K_RUN */
    uint features,                                         /* the matrix's k */
    uint lane_begin, uint lane_count) {                    /* columns this matrix has in a panel */
    const ulong steps = (features + KP - 1) / KP;
    __global panel_t *panel = panels + (first_panel + get_group_id(0)) * steps * (2 * PANEL_LANES * KP);
    const uint out_begin = get_group_id(0) * lane_count;
    if (out_begin >= outs) return;
    const uint run_begin = k_begin + get_group_id(1) * K_RUN;
    const uint padded = k_end == features ? (uint)steps * KP : k_end;
    const uint run_end = min(run_begin + K_RUN, padded);
    for (uint lane = get_local_id(0); lane < lane_count; lane += get_local_size(0)) {
        const uint out = out_begin + lane;
        __global const source_t *from = source + source_offset + out * out_stride;
        for (uint k = run_begin; k < run_end; k++) {
            const float value = out < outs && k < features ? source_load(from, (k - k_begin) * k_stride) : 0.0f;
            panel_store(panel, ((ulong)(k / KP) * (2 * PANEL_LANES) + lane_begin + lane) * KP + k % KP, value);
        }
    }
}
