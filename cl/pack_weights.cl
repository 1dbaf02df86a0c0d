/* Packs a piece of one expert's matrix into panels (panel.clh): some columns of y ("outs") by some k, read with any two
 * strides, so every layout a checkpoint may have is one kernel. Lanes past the matrix's edge become 0. Values of the
 * panel's own format are moved as they are; others become f32, times their scale, and are rounded to nearest even.
 * F8_B128 takes codes and scales apart, as they are.
 *
 *   REST          1: in place of a value v, v - (v as the panel's format has it), which is 0 where that is not finite
 *   group id 0    panel of the piece
 *   group id 1    run of 64 k
 *   local id 0    shares the panel's columns; any local size
 *
 *   SOURCE_FORMAT, SCALE_FORMAT (narrow.clh), WEIGHT_FORMAT, ARITHMETIC, PANEL_LANES (panel.clh)
 */
#ifndef SOURCE_FORMAT
#define SOURCE_FORMAT 1
#endif
#ifndef REST
#define REST 0
#endif
#define LANES 1
#define K_RUN 64

#include "common.clh"
#include "lanes.clh"
#include "narrow.clh"
#include "panel.clh"

#if SOURCE_FORMAT == FORMAT_E4M3 || SOURCE_FORMAT == FORMAT_E2M1
typedef uchar source_t;
static inline float source_load(__global const source_t *base, ulong i) {
#if SOURCE_FORMAT == FORMAT_E4M3
    return as_float(f32_from_e4m3(base[i]));
#else
    return as_float(f32_from_e2m1(base[i / 2] >> i % 2 * 4));
#endif
}
#else
#define STORAGE_NAME source
#define STORAGE_FORMAT SOURCE_FORMAT
#include "storage.clh"
#endif
#if IS_BLOCKS
typedef uchar panel_t;
#else
#define STORAGE_NAME panel
#define STORAGE_FORMAT WEIGHT_FORMAT
#include "storage.clh"
#endif

#if REST
#if WEIGHT_FORMAT == FORMAT_BF16
static inline float as_stored(float value) { return f32_from_bf16(bf16_from_f32(value)); }
#elif WEIGHT_FORMAT == FORMAT_F32
static inline float as_stored(float value) { return value; }
#else
#error "REST needs panels of FORMAT_BF16 or FORMAT_F32"
#endif
static inline float rest_of(float value) {
    const float stored = as_stored(value);
    return isfinite(stored) ? value - stored : 0.0f;
}
#elif SOURCE_FORMAT == WEIGHT_FORMAT && WEIGHT_FORMAT == FORMAT_F32
#define MOVED uint
#elif SOURCE_FORMAT == WEIGHT_FORMAT
#define MOVED ushort
#elif WEIGHT_FORMAT == FORMAT_F8_B128
#define MOVED uchar
#endif

/* k of a panel, behind the last one zeros, and where the value at k of a column is. */
#if WEIGHT_FORMAT == FORMAT_F8_B128
#define PANEL_K(features) (((features) + SUPER_K - 1) / SUPER_K * SUPER_K)
static inline ulong panel_place(uint k, uint column) {
    return (ulong)(k / SUPER_K) * SUPER_BYTES + HEADER_BYTES + (k % SUPER_K / 4 * PANEL_COLUMNS + column) * 4 + k % 4;
}
#else
#define PANEL_K(features) (((features) + KP - 1) / KP * KP)
static inline ulong panel_place(uint k, uint column) {
    return ((ulong)(k / KP) * PANEL_COLUMNS + column) * KP + k % KP;
}
#endif

__kernel void pack_weights(
    __global const source_t *source, ulong source_offset,  /* element (0, 0) of the piece */
    ulong out_stride, ulong k_stride,                      /* from an out, and from a k, to the next */
    __global panel_t *panels, ulong first_panel,           /* a shard, and where in it the piece's first panel is */
    uint outs,                                             /* columns of the piece; its first is a panel's first */
    uint k_begin, uint k_end,                              /* the piece's k; k_begin is a multiple of K_RUN */
    uint features,                                         /* the matrix's k */
    uint lane_begin, uint lane_count,                      /* columns this matrix has in a panel */
    __global const uchar *scales, ulong scales_offset,     /* of the expert */
    uint stored_row, uint stored_step,                     /* the piece's first out, and its next, as tensor rows */
    SCALE_PARAMETERS) {
    __global panel_t *panel = panels + (first_panel + get_group_id(0)) * panel_elements(features);
    const uint out_begin = get_group_id(0) * lane_count;
    if (out_begin >= outs) return;
    const uint run_begin = k_begin + get_group_id(1) * K_RUN;
    const uint run_end = run_begin + K_RUN < k_end ? run_begin + K_RUN : k_end == features ? PANEL_K(features) : k_end;
    for (uint lane = get_local_id(0); lane < lane_count; lane += get_local_size(0)) {
        const uint out = out_begin + lane;
        __global const source_t *from = source + source_offset; /* not yet out's: two of E2M1 are one source_t */
#if SCALE_FORMAT != 0
        const ulong scale_row = (ulong)((stored_row + out * stored_step) / block_rows) * scale_columns;
#endif
#if WEIGHT_FORMAT == FORMAT_F8_B128
        if (lane % 2 == 0 && run_begin % SUPER_K == 0) {
#if SCALE_FORMAT != 0
            const ulong at = out < outs ? scale_row + run_begin / block_columns : 0;
            const uint scale = scale_bits(scale_load(scales + scales_offset, at));
#else
            const uint scale = as_uint(1.0f);
#endif
            __global uint *pairs = (__global uint *)(panel + (ulong)(run_begin / SUPER_K) * SUPER_BYTES);
            pairs[(lane_begin + lane) / 2] = out < outs ? scale : 0u;
        }
#endif
        for (uint k = run_begin; k < run_end; k++) {
            const bool present = out < outs && k < features;
            const ulong at = out * out_stride + (k - k_begin) * k_stride;
            const ulong to = panel_place(k, lane_begin + lane);
#ifdef MOVED
            ((__global MOVED *)panel)[to] = present ? ((__global const MOVED *)from)[at] : (MOVED)0;
#else
            float value = present ? source_load(from, at) : 0.0f;
#if SCALE_FORMAT != 0
            if (present) {
                const scale_t scale = scale_load(scales + scales_offset, scale_row + k / block_columns);
                value = as_float(scaled(as_uint(value), scale));
            }
#endif
#if REST
            value = rest_of(value);
#endif
            panel_store(panel, to, value);
#endif
        }
    }
}
