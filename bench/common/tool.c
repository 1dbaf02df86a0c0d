/* What every file of the bench shares; see tool.h. Calls the C library only. */
#include "tool.h"

#include <clmoe/clmoe.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double quantile(double *values, size_t count, double p) {
    if (count == 0) return 0;
    qsort(values, count, sizeof *values, ascending);
    const double place = p * (double)(count - 1);
    const size_t low = (size_t)place;
    const size_t high = low + 1 < count ? low + 1 : low;
    return values[low] + (values[high] - values[low]) * (place - (double)low);
}

double median(double *values, size_t count) { return quantile(values, count, 0.5); }

uint64_t random_next(random_state *random) {
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

float random_uniform(random_state *random, float limit) {
    const int32_t bits = (int32_t)(random_next(random) >> 40) - (1 << 23); /* 24 bits: exact as a float */
    return limit * ((float)bits + 0.5f) * 0x1p-23f;
}

size_t format_bytes(uint32_t format) { return format == CLMOE_F32 ? 4 : 2; }

static uint32_t float_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float bits_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Finite values only, which is all this tool makes. */
static uint16_t bf16_bits(float value) {
    const uint32_t bits = float_bits(value);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

float round_to_bf16(float value) { return bits_float((uint32_t)bf16_bits(value) << 16); }

/* Rounds to nearest even, subnormal halves included; finite values below 65504 only. */
static uint16_t f16_bits(float value) {
    const uint32_t bits = float_bits(value), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude < 0x38800000u) { /* below 2^-14: adding 0.5 leaves the multiples of 2^-24 in the low bits */
        return (uint16_t)(sign | (float_bits(bits_float(magnitude) + 0.5f) - 0x3f000000u));
    }
    return (uint16_t)(sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13));
}

static double f16_value(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16, rest = half & 0x7fffu;
    const float magnitude = rest < 0x400u ? (float)rest * 0x1p-24f : bits_float((rest << 13) + 0x38000000u);
    return sign != 0 ? -(double)magnitude : (double)magnitude;
}

void format_store(void *array, uint32_t format, size_t index, float value) {
    if (format == CLMOE_F32) {
        ((float *)array)[index] = value;
    } else {
        const uint16_t half = format == CLMOE_F16 ? f16_bits(value) : bf16_bits(value);
        memcpy((uint8_t *)array + index * sizeof half, &half, sizeof half);
    }
}

void format_load_run(const void *array, uint32_t format, size_t start, size_t count, double *out) {
    const float *singles = (const float *)array + (format == CLMOE_F32 ? start : 0);
    const uint16_t *halves = (const uint16_t *)array + (format == CLMOE_F32 ? 0 : start);
    if (format == CLMOE_F32) {
        for (size_t i = 0; i < count; i++) out[i] = (double)singles[i];
    } else if (format == CLMOE_F16) {
        for (size_t i = 0; i < count; i++) out[i] = f16_value(halves[i]);
    } else {
        for (size_t i = 0; i < count; i++) out[i] = (double)bits_float((uint32_t)halves[i] << 16);
    }
}
