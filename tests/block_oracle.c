/* Decoders of block_oracle.h. */
#include "block_oracle.h"

#include <math.h>
#include <string.h>

#include <clmoe/clmoe.h>

/* Levels of iq4_nl and iq4_xs; e2m1 in halves. */
static const int8_t levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
static const int8_t e2m1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

float block_f32_from_f16(uint16_t half) {
    const int exponent = half >> 10 & 31, mantissa = half & 0x3ff;
    float value = exponent == 0 ? ldexpf((float)mantissa, -24) : ldexpf((float)(mantissa + 1024), exponent - 25);
    if (exponent == 31) value = mantissa != 0 ? NAN : INFINITY;
    return half >> 15 ? -value : value;
}

static float half_at(const uint8_t *bytes) { return block_f32_from_f16((uint16_t)(bytes[0] | bytes[1] << 8)); }
static int nibble(const uint8_t *bytes, int i, int upper) { return upper ? bytes[i] >> 4 : bytes[i] & 15; }
static int bit(const uint8_t *bytes, int i) { return bytes[i / 8] >> i % 8 & 1; }

/* 2^(code - 128) */
static float half_power(uint8_t code) { return ldexpf(1.0f, code - 128); }

/* Half of an e4m3 number whose sign bit is ignored; 0x7f, which is no number, is 0. */
static float half_e4m3(uint8_t code) {
    const int exponent = code >> 3 & 15, mantissa = code & 7;
    if (code == 0x7f) return 0.0f;
    return 0.5f * (exponent == 0 ? ldexpf((float)mantissa, -9) : ldexpf(1.0f + (float)mantissa / 8.0f, exponent - 7));
}

/* Six bits each: number i of scales (which 0) and minima (1) in the 12 bytes of q4_K and q5_K. */
static int six_bits(const uint8_t *packed, int i, int which) {
    if (i < 4) return packed[4 * which + i] & 63;
    return nibble(packed, 4 + i, which) | packed[4 * which + i - 4] >> 6 << 4;
}

static void decode_q8_0(const uint8_t *b, float *y) {
    for (int i = 0; i < 32; i++) y[i] = half_at(b) * (float)(int8_t)b[2 + i];
}

static void decode_q4_0(const uint8_t *b, float *y) {
    for (int i = 0; i < 32; i++) y[i] = half_at(b) * (float)(nibble(b + 2, i % 16, i / 16) - 8);
}

static void decode_q4_1(const uint8_t *b, float *y) {
    for (int i = 0; i < 32; i++) {
        const float product = half_at(b) * (float)nibble(b + 4, i % 16, i / 16);
        y[i] = product + half_at(b + 2);
    }
}

static void decode_q5_0(const uint8_t *b, float *y) {
    for (int i = 0; i < 32; i++) y[i] = half_at(b) * (float)((nibble(b + 6, i % 16, i / 16) | bit(b + 2, i) << 4) - 16);
}

static void decode_q5_1(const uint8_t *b, float *y) {
    for (int i = 0; i < 32; i++) {
        const float product = half_at(b) * (float)(nibble(b + 8, i % 16, i / 16) | bit(b + 4, i) << 4);
        y[i] = product + half_at(b + 2);
    }
}

static float with_minimum(const uint8_t *b, int sub, int code) {
    const float scale = half_at(b) * (float)six_bits(b + 4, sub, 0),
                minimum = half_at(b + 2) * (float)six_bits(b + 4, sub, 1);
    const float product = scale * (float)code;
    return product - minimum;
}

static void decode_q4_K(const uint8_t *b, float *y) {
    for (int i = 0; i < 256; i++) y[i] = with_minimum(b, i / 32, nibble(b + 16, i / 64 * 32 + i % 32, i / 32 % 2));
}

static void decode_q5_K(const uint8_t *b, float *y) {
    for (int i = 0; i < 256; i++)
        y[i] = with_minimum(b, i / 32,
                            nibble(b + 48, i / 64 * 32 + i % 32, i / 32 % 2) | (b[16 + i % 32] >> i / 32 & 1) << 4);
}

static void decode_q6_K(const uint8_t *b, float *y) {
    for (int i = 0; i < 256; i++) {
        const int low = nibble(b, i / 128 * 64 + i % 64, i / 64 % 2);
        const int high = b[128 + i / 128 * 32 + i % 32] >> i / 32 % 4 * 2 & 3;
        const float scale = half_at(b + 208) * (float)(int8_t)b[192 + i / 16];
        y[i] = scale * (float)((low | high << 4) - 32);
    }
}

static void decode_iq4_nl(const uint8_t *b, float *y) {
    for (int i = 0; i < 32; i++) y[i] = half_at(b) * (float)levels[nibble(b + 2, i % 16, i / 16)];
}

static void decode_mxfp4(const uint8_t *b, float *y) {
    for (int i = 0; i < 32; i++) y[i] = half_power(b[0]) * (float)e2m1[nibble(b + 1, i % 16, i / 16)];
}

static void decode_nvfp4(const uint8_t *b, float *y) {
    for (int i = 0; i < 64; i++)
        y[i] = half_e4m3(b[i / 16]) * (float)e2m1[nibble(b + 4 + i / 16 * 8, i % 8, i / 8 % 2)];
}

static void decode_q2_K(const uint8_t *b, float *y) {
    for (int i = 0; i < 256; i++) {
        const float scale = half_at(b + 80) * (float)nibble(b, i / 16, 0);
        const float minimum = half_at(b + 82) * (float)nibble(b, i / 16, 1);
        const float product = scale * (float)(b[16 + i / 128 * 32 + i % 32] >> i / 32 % 4 * 2 & 3);
        y[i] = product - minimum;
    }
}

static void decode_q3_K(const uint8_t *b, float *y) {
    for (int i = 0; i < 256; i++) {
        const int low = b[32 + i / 128 * 32 + i % 32] >> i / 32 % 4 * 2 & 3, high = b[i % 32] >> i / 32 & 1;
        const int sub = i / 16, scale = nibble(b + 96, sub % 8, sub / 8) | (b[104 + sub % 4] >> sub / 4 * 2 & 3) << 4;
        const float product = half_at(b + 108) * (float)(scale - 32);
        y[i] = product * (float)((low | high << 2) - 4);
    }
}

static void decode_iq4_xs(const uint8_t *b, float *y) {
    for (int i = 0; i < 256; i++) {
        const int sub = i / 32, high = (b[2] | b[3] << 8) >> 2 * sub & 3;
        const float product = half_at(b) * (float)((nibble(b + 4, sub / 2, sub % 2) | high << 4) - 32);
        y[i] = product * (float)levels[nibble(b + 8, sub * 16 + i % 16, i / 16 % 2)];
    }
}

static void decode_tq2_0(const uint8_t *b, float *y) {
    for (int i = 0; i < 256; i++)
        y[i] = (float)((b[i / 128 * 32 + i % 32] >> i / 32 % 4 * 2 & 3) - 1) * half_at(b + 64);
}

/* Digit j of a byte: its fraction of 256, times 3 to the power j, modulo 1, times 3, rounded down. */
static int digit(uint8_t byte, int j) {
    int fraction = byte;
    while (j-- > 0) fraction = fraction * 3 % 256;
    return fraction * 3 / 256;
}

static void decode_tq1_0(const uint8_t *b, float *y) {
    for (int i = 0; i < 256; i++) {
        int code;
        if (i < 160) code = digit(b[i % 32], i / 32);
        else if (i < 240) code = digit(b[32 + i % 16], (i - 160) / 16);
        else code = digit(b[48 + i % 4], (i - 240) / 4);
        y[i] = (float)(code - 1) * half_at(b + 52);
    }
}

/* Groups of integers: the codes, a scale, and a zero point unless codes are centred. */
static void decode_group(const uint8_t *b, float *y, int values, int bits, int has_zero) {
    const uint8_t *scale = b + values * bits / 8;
    const int zero = has_zero ? scale[2] : 1 << (bits - 1);
    for (int i = 0; i < values; i++) {
        const int code = bits == 4 ? nibble(b, i / 2, i % 2) : b[i];
        y[i] = has_zero ? half_at(scale) * (float)code - half_at(scale) * (float)zero
                        : half_at(scale) * (float)(code - zero);
    }
}

static void decode_u4_g32(const uint8_t *b, float *y) { decode_group(b, y, 32, 4, 1); }
static void decode_u4_g64(const uint8_t *b, float *y) { decode_group(b, y, 64, 4, 1); }
static void decode_u4_g128(const uint8_t *b, float *y) { decode_group(b, y, 128, 4, 1); }
static void decode_u4_g256(const uint8_t *b, float *y) { decode_group(b, y, 256, 4, 1); }
static void decode_s4_g32(const uint8_t *b, float *y) { decode_group(b, y, 32, 4, 0); }
static void decode_s4_g64(const uint8_t *b, float *y) { decode_group(b, y, 64, 4, 0); }
static void decode_s4_g128(const uint8_t *b, float *y) { decode_group(b, y, 128, 4, 0); }
static void decode_s4_g256(const uint8_t *b, float *y) { decode_group(b, y, 256, 4, 0); }
static void decode_u8_g32(const uint8_t *b, float *y) { decode_group(b, y, 32, 8, 1); }
static void decode_u8_g64(const uint8_t *b, float *y) { decode_group(b, y, 64, 8, 1); }
static void decode_u8_g128(const uint8_t *b, float *y) { decode_group(b, y, 128, 8, 1); }
static void decode_u8_g256(const uint8_t *b, float *y) { decode_group(b, y, 256, 8, 1); }
static void decode_s8_g32(const uint8_t *b, float *y) { decode_group(b, y, 32, 8, 0); }
static void decode_s8_g64(const uint8_t *b, float *y) { decode_group(b, y, 64, 8, 0); }
static void decode_s8_g128(const uint8_t *b, float *y) { decode_group(b, y, 128, 8, 0); }
static void decode_s8_g256(const uint8_t *b, float *y) { decode_group(b, y, 256, 8, 0); }

/* ------------------------------------------------------------------------------------------------ packed */

static float f16(uint16_t half) { return block_f32_from_f16(half); }

static float packed_q8_0(const uint16_t *h, const uint8_t *s, uint32_t q) {
    (void)s;
    return f16(h[0]) * (float)((int)q - 128);
}
static float packed_q4_0(const uint16_t *h, const uint8_t *s, uint32_t q) {
    (void)s;
    return f16(h[0]) * (float)((int)q - 8);
}
static float packed_q5_0(const uint16_t *h, const uint8_t *s, uint32_t q) {
    (void)s;
    return f16(h[0]) * (float)((int)q - 16);
}
static float packed_addend(const uint16_t *h, const uint8_t *s, uint32_t q) {
    (void)s;
    const float product = f16(h[0]) * (float)q;
    return product + f16(h[1]);
}
static float packed_minimum(const uint16_t *h, const uint8_t *s, uint32_t q) {
    const float scale = f16(h[0]) * (float)s[0], minimum = f16(h[1]) * (float)s[1], product = scale * (float)q;
    return product - minimum;
}
static float packed_q6_K(const uint16_t *h, const uint8_t *s, uint32_t q) {
    const float scale = f16(h[0]) * (float)(int8_t)s[0];
    return scale * (float)((int)q - 32);
}
static float packed_iq4_nl(const uint16_t *h, const uint8_t *s, uint32_t q) {
    (void)s;
    return f16(h[0]) * (float)levels[q];
}
static float packed_mxfp4(const uint16_t *h, const uint8_t *s, uint32_t q) {
    (void)h;
    return half_power(s[0]) * (float)e2m1[q];
}
static float packed_nvfp4(const uint16_t *h, const uint8_t *s, uint32_t q) {
    (void)h;
    return half_e4m3(s[0]) * (float)e2m1[q];
}

/* The zero point is a byte of small groups and an f16 of large ones. */
static float packed_zero_byte(const uint16_t *h, const uint8_t *s, uint32_t q) {
    return f16(h[0]) * (float)q - f16(h[0]) * (float)s[0];
}
static float packed_zero_half(const uint16_t *h, const uint8_t *s, uint32_t q) {
    (void)s;
    return f16(h[0]) * (float)q - f16(h[0]) * f16(h[1]);
}

#define NO_HALF UINT32_MAX
static const block_format formats[] = {
    {"q8_0", CLMOE_Q8_0, 32, 34, decode_q8_0, {0, 0}, 1, 32, 8, 1, 0, packed_q8_0},
    {"q4_0", CLMOE_Q4_0, 32, 18, decode_q4_0, {0, 0}, 1, 32, 4, 1, 0, packed_q4_0},
    {"q4_1", CLMOE_Q4_1, 32, 20, decode_q4_1, {0, 2}, 1, 32, 4, 2, 0, packed_addend},
    {"q5_0", CLMOE_Q5_0, 32, 22, decode_q5_0, {0, 0}, 1, 32, 5, 1, 0, packed_q5_0},
    {"q5_1", CLMOE_Q5_1, 32, 24, decode_q5_1, {0, 2}, 1, 32, 5, 2, 0, packed_addend},
    {"q4_K", CLMOE_Q4_K, 256, 144, decode_q4_K, {0, 2}, 1, 32, 4, 2, 2, packed_minimum},
    {"q5_K", CLMOE_Q5_K, 256, 176, decode_q5_K, {0, 2}, 1, 32, 5, 2, 2, packed_minimum},
    {"q6_K", CLMOE_Q6_K, 256, 210, decode_q6_K, {208, 208}, 1, 16, 6, 1, 1, packed_q6_K},
    {"iq4_nl", CLMOE_IQ4_NL, 32, 18, decode_iq4_nl, {0, 0}, 1, 32, 4, 1, 0, packed_iq4_nl},
    {"mxfp4", CLMOE_MXFP4, 32, 17, decode_mxfp4, {NO_HALF, NO_HALF}, 2, 32, 4, 0, 1, packed_mxfp4},
    {"nvfp4", CLMOE_NVFP4, 64, 36, decode_nvfp4, {NO_HALF, NO_HALF}, 1, 16, 4, 0, 1, packed_nvfp4},
    {"q2_K", CLMOE_Q2_K, 256, 84, decode_q2_K, {80, 82}, 0, 0, 0, 0, 0, NULL},
    {"q3_K", CLMOE_Q3_K, 256, 110, decode_q3_K, {108, 108}, 0, 0, 0, 0, 0, NULL},
    {"iq4_xs", CLMOE_IQ4_XS, 256, 136, decode_iq4_xs, {0, 0}, 0, 0, 0, 0, 0, NULL},
    {"tq1_0", CLMOE_TQ1_0, 256, 54, decode_tq1_0, {52, 52}, 0, 0, 0, 0, 0, NULL},
    {"tq2_0", CLMOE_TQ2_0, 256, 66, decode_tq2_0, {64, 64}, 0, 0, 0, 0, 0, NULL},
};

/* Here sub_k is of the zero point. */
static const block_format groups[] = {
    {"u4_g32", CLMOE_U4_G32, 32, 19, decode_u4_g32, {16, 16}, 2, 32, 4, 1, 1, packed_zero_byte},
    {"u4_g64", CLMOE_U4_G64, 64, 35, decode_u4_g64, {32, 32}, 2, 64, 4, 1, 1, packed_zero_byte},
    {"u4_g128", CLMOE_U4_G128, 128, 67, decode_u4_g128, {64, 64}, 1, 32, 4, 2, 0, packed_zero_half},
    {"u4_g256", CLMOE_U4_G256, 256, 131, decode_u4_g256, {128, 128}, 1, 32, 4, 2, 0, packed_zero_half},
    {"s4_g32", CLMOE_S4_G32, 32, 18, decode_s4_g32, {16, 16}, 1, 32, 4, 1, 0, packed_q4_0},
    {"s4_g64", CLMOE_S4_G64, 64, 34, decode_s4_g64, {32, 32}, 1, 32, 4, 1, 0, packed_q4_0},
    {"s4_g128", CLMOE_S4_G128, 128, 66, decode_s4_g128, {64, 64}, 1, 32, 4, 1, 0, packed_q4_0},
    {"s4_g256", CLMOE_S4_G256, 256, 130, decode_s4_g256, {128, 128}, 1, 32, 4, 1, 0, packed_q4_0},
    {"u8_g32", CLMOE_U8_G32, 32, 35, decode_u8_g32, {32, 32}, 2, 32, 8, 1, 1, packed_zero_byte},
    {"u8_g64", CLMOE_U8_G64, 64, 67, decode_u8_g64, {64, 64}, 2, 64, 8, 1, 1, packed_zero_byte},
    {"u8_g128", CLMOE_U8_G128, 128, 131, decode_u8_g128, {128, 128}, 1, 32, 8, 2, 0, packed_zero_half},
    {"u8_g256", CLMOE_U8_G256, 256, 259, decode_u8_g256, {256, 256}, 1, 32, 8, 2, 0, packed_zero_half},
    {"s8_g32", CLMOE_S8_G32, 32, 34, decode_s8_g32, {32, 32}, 1, 32, 8, 1, 0, packed_q8_0},
    {"s8_g64", CLMOE_S8_G64, 64, 66, decode_s8_g64, {64, 64}, 1, 32, 8, 1, 0, packed_q8_0},
    {"s8_g128", CLMOE_S8_G128, 128, 130, decode_s8_g128, {128, 128}, 1, 32, 8, 1, 0, packed_q8_0},
    {"s8_g256", CLMOE_S8_G256, 256, 258, decode_s8_g256, {256, 256}, 1, 32, 8, 1, 0, packed_q8_0},
};

const block_format *block_format_at(uint32_t i) { return i < sizeof formats / sizeof formats[0] ? &formats[i] : NULL; }
const block_format *block_group_at(uint32_t i) { return i < sizeof groups / sizeof groups[0] ? &groups[i] : NULL; }

const block_format *block_format_of(uint32_t format) {
    for (uint32_t i = 0; block_format_at(i) != NULL; i++)
        if (formats[i].format == format) return &formats[i];
    for (uint32_t i = 0; block_group_at(i) != NULL; i++)
        if (groups[i].format == format) return &groups[i];
    return NULL;
}

static uint32_t run_bytes(const block_format *f) {
    return f->code_bits == 8 ? 32 : 16 + (f->code_bits == 5 ? 4 : f->code_bits == 6 ? 8 : 0); /* of a column */
}

static size_t super_bytes(const block_format *f) { /* of a column */
    const uint32_t values = f->super_blocks * f->values;
    return 2u * f->super_blocks * f->halves + values / f->sub_k * f->sub_bytes + values / 32 * run_bytes(f);
}

size_t block_panel_bytes(const block_format *f, uint32_t columns, uint64_t in_features) {
    const uint64_t values = (uint64_t)f->super_blocks * f->values;
    return (size_t)((in_features + values - 1) / values) * super_bytes(f) * columns;
}

/* Byte i of uint number `number` of a column in a run. */
static uint32_t lane_byte(const uint8_t *run, uint32_t columns, uint32_t number, uint32_t column, uint32_t i) {
    return run[(number * columns + column) * 4 + i];
}

static uint32_t packed_code(const block_format *f, const uint8_t *run, uint32_t columns, uint32_t column, uint32_t i) {
    const uint32_t q = i / 4, b = i % 4;
    if (f->code_bits == 8) return lane_byte(run, columns, q, column, b);
    const uint32_t code = lane_byte(run, columns, i / 8, column, b) >> (i / 4 % 2 * 4) & 15u;
    const uint8_t *high = run + (size_t)16 * columns;
    if (f->code_bits == 5) return code | (lane_byte(high, columns, 0, column, b) >> q & 1u) << 4;
    if (f->code_bits == 6) return code | (lane_byte(high, columns, q / 4, column, b) >> q % 4 * 2 & 3u) << 4;
    return code;
}

block_packed block_packed_at(const block_format *f, const uint8_t *panel, uint32_t columns, uint64_t k,
                             uint32_t column) {
    const uint32_t values = f->super_blocks * f->values, in_super = (uint32_t)(k % values);
    const uint8_t *super = panel + k / values * super_bytes(f) * columns;
    const uint8_t *bytes = super + (size_t)2 * f->super_blocks * f->halves * columns;
    const uint8_t *runs = bytes + (size_t)(values / f->sub_k) * f->sub_bytes * columns;
    const uint8_t *run = runs + (size_t)(in_super / 32) * run_bytes(f) * columns;
    block_packed packed = {{0, 0}, {0, 0}, packed_code(f, run, columns, column, in_super % 32), 0};
    for (uint32_t i = 0; i < f->halves; i++)
        memcpy(&packed.halves[i], super + 2 * ((size_t)(in_super / f->values * f->halves + i) * columns + column), 2);
    for (uint32_t i = 0; i < f->sub_bytes; i++)
        packed.sub_bytes[i] = bytes[(size_t)(in_super / f->sub_k * f->sub_bytes + i) * columns + column];
    packed.value = f->packed_value(packed.halves, packed.sub_bytes, packed.code);
    return packed;
}
