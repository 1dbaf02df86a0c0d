/* The grouped GEMM's variants and what devices make of them. Adding a chip is a row here. */
#include "gemm_variants.h"

#include <stdio.h>
#include <string.h>

#define F32  (1u << CLMOE_ARITHMETIC_F32)
#define BF16 (1u << CLMOE_ARITHMETIC_BF16)
#define INT8 (1u << CLMOE_ARITHMETIC_INT8)

/* name, macro, arithmetics, hardware, blocks only, micro, lanes, work-group, local bytes, cpu */
static const clmoe__gemm_variant variants[] = {
    {"cpu/avx512_vnni", CLMOE__MACRO_CPU, INT8, 1, 1, 2, 16, 1, 0, CLMOE__AVX512_VNNI},
    {"cpu/avx512_bf16", CLMOE__MACRO_CPU, BF16, 1, 0, 1, 16, 1, 0, CLMOE__AVX512_BF16},
    {"cpu/avx512_fma", CLMOE__MACRO_CPU, F32, 0, 1, 0, 16, 1, 0, CLMOE__AVX512},
    {"cpu/fma", CLMOE__MACRO_CPU, F32 | BF16, 0, 0, 0, 0, 1, 0, CLMOE__ANY_CPU},
    {"cpu/int8", CLMOE__MACRO_CPU, INT8, 0, 1, 0, 0, 1, 0, CLMOE__ANY_CPU},
    {"gpu/tile", CLMOE__MACRO_GPU, F32 | BF16, 0, 0, 0, 0, 64, 8192, CLMOE__ANY_DEVICE},
    {"portable/fma", CLMOE__MACRO_CPU, F32 | BF16, 0, 0, 0, 0, 1, 0, CLMOE__ANY_DEVICE},
    {"portable/int8", CLMOE__MACRO_CPU, INT8, 0, 1, 0, 0, 1, 0, CLMOE__ANY_DEVICE},
};

/* Rows a register tile holds beside its two panel vectors: 2 * rows + 3 vector registers are in use. */
static const struct {
    uint32_t lanes;
    int registers_32; /* the device has 32 vector registers of this width */
    uint32_t tile_rows;
} tiles[] = {{16, 1, 14}, {8, 0, 6}, {4, 1, 14}, {4, 0, 6}};

#define GPU_TILE_ROWS  32
#define INT8_TILE_ROWS 32 /* sums of a tile are in memory (block_int8.clh): more rows share a decoded run */

const clmoe__gemm_variant *clmoe__gemm_variant_at(uint32_t i) {
    return i < sizeof variants / sizeof variants[0] ? &variants[i] : NULL;
}

uint32_t clmoe__panel_lanes(const clmoe_context *context) {
    return context->device.is_cpu ? context->device.vector_width : 16;
}

/* x86 has 16 registers below AVX-512; ARM's SIMD has 32. */
static int has_32_registers(const clmoe__device *device, uint32_t lanes) {
    if (lanes == 16) return 1;
#if defined(__aarch64__) || defined(_M_ARM64)
    return device->is_this_host;
#else
    (void)device;
    return 0;
#endif
}

static uint32_t cpu_tile_rows(const clmoe__device *device, uint32_t lanes, uint32_t arithmetic) {
    if (arithmetic == CLMOE_ARITHMETIC_INT8) return INT8_TILE_ROWS;
    for (size_t i = 0; i < sizeof tiles / sizeof tiles[0]; i++)
        if (tiles[i].lanes == lanes && tiles[i].registers_32 <= has_32_registers(device, lanes))
            return tiles[i].tile_rows;
    return 6;
}

int clmoe__prefetch_kind(const clmoe__device *device) {
    if (!device->is_this_host) return 0;
#if defined(__x86_64__) || defined(_M_X64)
    return 1;
#elif defined(__aarch64__)
    return 2;
#else
    return 0;
#endif
}

/* Whether `name`, or its part before '/', or the part behind, stands in the comma separated list. */
static int is_disabled(const char *list, const char *name) {
    const char *slash = strchr(name, '/');
    for (const char *p = list; *p != '\0';) {
        const size_t length = strcspn(p, ",");
        if ((length == strlen(name) && memcmp(p, name, length) == 0) ||
            (length == (size_t)(slash - name) && memcmp(p, name, length) == 0) ||
            (length == strlen(slash + 1) && memcmp(p, slash + 1, length) == 0))
            return 1;
        p += length;
        p += *p == ',';
    }
    return 0;
}

/* NULL, or what this CPU lacks. */
static const char *missing(const clmoe__device *device, clmoe__cpu_need need) {
    if (need != CLMOE__ANY_DEVICE && !device->is_cpu) return "for CPU devices";
    if (need == CLMOE__AVX512 && !device->avx512f) return "the CPU of this device has no AVX-512";
    if (need == CLMOE__AVX512_BF16 && !device->avx512_bf16) return "the CPU of this device has no AVX512-BF16";
    if (need == CLMOE__AVX512_VNNI && !device->avx512_vnni) return "the CPU of this device has no AVX512-VNNI";
    return NULL;
}

const char *clmoe__gemm_refusal(const clmoe_context *context, const clmoe__gemm_variant *variant, int is_block,
                                uint32_t arithmetic, clmoe__gemm_choice *choice, char *reason, size_t capacity) {
    const clmoe__device *device = &context->device;
    const uint32_t lanes = clmoe__panel_lanes(context);
    if ((variant->arithmetics >> arithmetic & 1u) == 0) return "for another arithmetic";
    if (variant->blocks_only && !is_block) return "for block formats";
    const char *lacks = missing(device, variant->need);
    if (lacks != NULL) return lacks;
    if (is_disabled(context->disable, variant->name)) return "disabled by name";
    if (variant->lanes != 0 && variant->lanes != lanes) {
        snprintf(reason, capacity, "needs vectors of %u lanes, the device has %u", variant->lanes, lanes);
        return reason;
    }
    if (device->max_work_group_size < variant->min_work_group) {
        snprintf(reason, capacity, "needs work-groups of %u, the device allows %u", variant->min_work_group,
                 device->max_work_group_size);
        return reason;
    }
    if (device->local_bytes < variant->min_local_bytes) {
        snprintf(reason, capacity, "needs %u bytes of local memory, the device has %llu", variant->min_local_bytes,
                 (unsigned long long)device->local_bytes);
        return reason;
    }
    choice->variant = variant;
    choice->lanes = lanes;
    choice->tile_rows = variant->macro == CLMOE__MACRO_CPU ? cpu_tile_rows(device, lanes, arithmetic) : GPU_TILE_ROWS;
    choice->prefetch = variant->need != CLMOE__ANY_DEVICE ? clmoe__prefetch_kind(device) : 0;
    choice->nibble_table = variant->need >= CLMOE__AVX512 && variant->need <= CLMOE__AVX512_VNNI;
    return NULL;
}
