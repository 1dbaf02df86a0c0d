/* The steps that a fused layer does not have, for the lower rungs of `clmoe-bench variants`. One work-group a row.
 *
 *   ITEMS  work-items of a group: 1 on CPUs, whose compilers vectorise vectors best; else 64
 *   ALPHA, UP_OFFSET, LIMIT   of the gated SiLU; LIMIT 0: none
 */
#ifndef ITEMS
#define ITEMS 1
#endif
#ifndef ALPHA
#define ALPHA 1.0f
#endif
#ifndef UP_OFFSET
#define UP_OFFSET 0.0f
#endif
#ifndef LIMIT
#define LIMIT 0.0f
#endif
#if ITEMS == 1
#define WIDTH 16
typedef float16 real;
#define LOAD(at, p) vload16(0, (p) + (at))
#define STORE(value, at, p) vstore16(value, 0, (p) + (at))
#else
#define WIDTH 1
typedef float real;
#define LOAD(at, p) (p)[at]
#define STORE(value, at, p) (p)[at] = (value)
#endif
#define STRIDE (ITEMS * WIDTH)
#define FIRST ((uint)get_local_id(0) * WIDTH)
/* The columns that fill no vector are the last work-item's. */
#define TAIL(columns) (WIDTH == 1 ? (columns) : (columns) / WIDTH * WIDTH)

/* out[row] = x[slot[row] / slots]; slot == NULL: x[row]. rows: NULL, or the number of rows in use. */
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gather_rows(
    __global const float *x, ulong x_offset, __global const int *slot, ulong slot_offset, uint slots,
    __global const int *rows, uint columns, __global float *out) {
    const uint row = get_group_id(0);
    if (rows != 0 && row >= (uint)rows[0]) return;
    __global const float *from = x + x_offset + (ulong)((uint)slot[slot_offset + row] / slots) * columns;
    out += (ulong)row * columns;
    for (uint c = FIRST; c + WIDTH <= columns; c += STRIDE) STORE(LOAD(c, from), c, out);
    for (uint c = TAIL(columns); c < columns; c++) out[c] = from[c];
}

inline real activation(real gate, real up) {
    if (LIMIT > 0.0f) {
        gate = fmin(gate, (real)LIMIT);
        up = fmin(fmax(up, (real)-LIMIT), (real)LIMIT);
    }
    return gate / (1.0f + exp(-ALPHA * gate)) * (up + UP_OFFSET);
}

inline float activation_plain(float gate, float up) { return gate / (1.0f + exp(-gate)) * up; }

#if WIDTH > 1
inline float activation_one(float gate, float up) {
    float gates[WIDTH] = {gate}, ups[WIDTH] = {up};
    STORE(activation(LOAD(0, gates), LOAD(0, ups)), 0, gates);
    return gates[0];
}
#else
#define activation_one activation
#endif

/* gate = act(gate + gate_bias) * (up + up_bias), in place; biases may be NULL. plain: without ALPHA and so on. */
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void activate(
    __global float *gate, __global const float *up, __global const float *gate_bias, __global const float *up_bias,
    ulong bias_offset, __global const int *rows, uint columns, uint plain) {
    const uint row = get_group_id(0);
    if (rows != 0 && row >= (uint)rows[0]) return;
    gate += (ulong)row * columns;
    up += (ulong)row * columns;
    for (uint c = FIRST; c + WIDTH <= columns; c += STRIDE) {
        real g = LOAD(c, gate), u = LOAD(c, up);
        if (gate_bias != 0) {
            g += LOAD(bias_offset + c, gate_bias);
            u += LOAD(bias_offset + c, up_bias);
        }
        STORE(plain ? g / (1.0f + exp(-g)) * u : activation(g, u), c, gate);
    }
    for (uint c = TAIL(columns); c < columns; c++) {
        float g = gate[c], u = up[c];
        if (gate_bias != 0) {
            g += gate_bias[bias_offset + c];
            u += up_bias[bias_offset + c];
        }
        gate[c] = plain ? activation_plain(g, u) : activation_one(g, u);
    }
}

/* out[token[row]] += weight[row] * (y[row] + bias); token == NULL: the row itself, weight 1. No two rows of a launch
 * have one token. */
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void add_weighted(
    __global const float *y, __global const float *bias, ulong bias_offset, __global const int *token,
    __global const float *weight, uint columns, __global float *out) {
    const uint row = get_group_id(0);
    const float factor = token != 0 ? weight[row] : 1.0f;
    y += (ulong)row * columns;
    out += (ulong)(token != 0 ? (uint)token[row] : row) * columns;
    for (uint c = FIRST; c + WIDTH <= columns; c += STRIDE) {
        real value = LOAD(c, y);
        if (bias != 0) value += LOAD(bias_offset + c, bias);
        STORE(LOAD(c, out) + factor * value, c, out);
    }
    for (uint c = TAIL(columns); c < columns; c++) {
        const float value = y[c] + (bias != 0 ? bias[bias_offset + c] : 0.0f);
        out[c] += factor * value;
    }
}
