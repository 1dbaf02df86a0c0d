/* What happens to products that a BLAS left: factors, bias, activation, store (epilogue.clh), row by row.
 *
 *   group id 1    tile; its work-items share the columns
 *
 *   LANES, TILE_ROWS, ACTIVATE, SCALED, BIAS, Y_FORMAT
 *   ACT_GATED  1: a product's first half is the gate's columns, its second half the up columns of the same y
 */
#ifndef LANES
#define LANES 16
#endif
#ifndef TILE_ROWS
#define TILE_ROWS 16
#endif
#include "common.clh"
#include "epilogue.clh"
#include "product_tile.clh"

/* Columns column .. column + LANES - 1 of an array that has `columns`; 0 past the edge. */
static inline real load_columns(__global const float *from, uint column, uint columns) {
    if (column + LANES <= columns) return REAL_LOAD(from + column);
    float part[LANES];
    for (uint c = 0; c < LANES; c++) part[c] = column + c < columns ? from[column + c] : 0.0f;
    return REAL_LOAD(part);
}

__kernel void product_epilogue(
    __global const float *products, ulong products_offset, ulong products_stride, /* [rows, stored columns] */
    __global const float *bias, ulong bias_stride, /* [groups, stored columns]; may be NULL without BIAS */
    __global const float *scale0, __global const float *scale1, /* [groups]; may be NULL without SCALED */
    __global y_t *y, ulong y_offset, ulong y_stride, /* [rows, columns]; may be where products is if it has its rows */
    PRODUCT_TILE_PARAMETERS, uint columns) {
    PRODUCT_TILE(tile);
    __global const float *group_bias = BIAS ? bias + tile.group * bias_stride : 0;
    for (uint row = tile.first; row < tile.first + tile.count; row++) {
        __global const float *from = products + products_offset + row * products_stride;
        __global y_t *to = y + y_offset + row * y_stride;
        for (uint c = get_local_id(0) * LANES; c < columns; c += get_local_size(0) * LANES) {
            real up = load_columns(from + ACT_GATED * columns, c, columns), gate = (real)(0.0f);
#if ACT_GATED
            gate = load_columns(from, c, columns);
#endif
#if SCALED
            gate *= scale0[tile.group];
            up *= scale1[tile.group];
#endif
#if BIAS
            if (ACT_GATED) gate += load_columns(group_bias, c, columns);
            up += load_columns(group_bias + ACT_GATED * columns, c, columns);
#endif
#if ACTIVATE
            up = activation(gate, up);
#endif
            store_columns(to + c, up, c, columns);
        }
    }
}
