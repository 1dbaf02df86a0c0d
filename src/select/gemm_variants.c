/* The grouped GEMM's variants and what devices make of them. Adding a chip is a row here. */
#include "gemm_variants.h"

#include <stdio.h>
#include <string.h>

#include "opencl/clblast.h"
#include "variant_names.h"

#define CLBLAST_TILE_ROWS 16 /* of the kernels around its products */

#define F32  (1u << CLMOE_ARITHMETIC_F32)
#define BF16 (1u << CLMOE_ARITHMETIC_BF16)
#define INT8 (1u << CLMOE_ARITHMETIC_INT8)

/* name, macro, arithmetics, hardware, blocks only, micro, lanes, work-group, local bytes, cpu */
static const clmoe__gemm_variant variants[] = {
    {"cpu/avx512_vnni", CLMOE__MACRO_CPU, INT8, 1, 1, 2, 16, 1, 0, CLMOE__AVX512_VNNI},
    {"cpu/avx512vl_vnni", CLMOE__MACRO_CPU, INT8, 1, 1, 2, 8, 1, 0, CLMOE__AVX512_VNNI},
    {"cpu/avx_vnni", CLMOE__MACRO_CPU, INT8, 1, 1, 4, 8, 1, 0, CLMOE__AVX_VNNI},
    {"cpu/avx2", CLMOE__MACRO_CPU, INT8, 1, 1, 3, 8, 1, 0, CLMOE__AVX2},
    {"cpu/avx512_bf16", CLMOE__MACRO_CPU, BF16, 1, 0, 1, 16, 1, 0, CLMOE__AVX512_BF16},
    {"cpu/avx512_fma", CLMOE__MACRO_CPU, F32, 0, 0, 6, 16, 1, 0, CLMOE__AVX512},
    {"cpu/avx2_fma", CLMOE__MACRO_CPU, F32, 0, 1, 0, 8, 1, 0, CLMOE__AVX2},
    {"cpu/fma", CLMOE__MACRO_CPU, F32 | BF16, 0, 0, 0, 0, 1, 0, CLMOE__ANY_CPU},
    {"cpu/int8", CLMOE__MACRO_CPU, INT8, 0, 1, 0, 0, 1, 0, CLMOE__ANY_CPU},
    {"cpu/idot", CLMOE__MACRO_CPU, INT8, 0, 1, 5, 0, 1, 0, CLMOE__INTEGER_DOT},
    {"matrix/wgmma", CLMOE__MACRO_MATRIX, BF16, 1, 0, 12, 16, 256, 0, CLMOE__MATRIX_UNIT},
    {"matrix/mma", CLMOE__MACRO_MATRIX, BF16, 1, 0, 0, 16, 128, 0, CLMOE__MATRIX_UNIT},
    {"matrix/mfma", CLMOE__MACRO_MATRIX, BF16, 1, 0, 1, 16, 256, 0, CLMOE__MATRIX_UNIT},
    {"matrix/wmma", CLMOE__MACRO_MATRIX, BF16, 1, 0, 2, 16, 128, 0, CLMOE__MATRIX_UNIT},
    {"matrix/wmma12", CLMOE__MACRO_MATRIX, BF16, 1, 0, 3, 16, 128, 0, CLMOE__MATRIX_UNIT},
    {"matrix/dpas16", CLMOE__MACRO_MATRIX, BF16, 1, 0, 4, 16, 128, 0, CLMOE__MATRIX_UNIT},
    {"matrix/dpas8", CLMOE__MACRO_MATRIX, BF16, 1, 0, 5, 16, 128, 0, CLMOE__MATRIX_UNIT},
    {"gpu/tile", CLMOE__MACRO_GPU, F32 | BF16, 0, 0, 0, 0, 0, 0, CLMOE__ANY_DEVICE},
    {"gpu/dp4a", CLMOE__MACRO_GPU, INT8, 1, 1, 2, 0, 0, 0, CLMOE__DP4A},
    {"gpu/dot", CLMOE__MACRO_GPU, INT8, 1, 1, 1, 0, 0, 0, CLMOE__DEVICE_DOT},
    {"gpu/int8", CLMOE__MACRO_GPU, INT8, 0, 1, 0, 0, 0, 0, CLMOE__ANY_DEVICE},
    {"portable/fma", CLMOE__MACRO_CPU, F32 | BF16, 0, 0, 0, 0, 1, 0, CLMOE__ANY_DEVICE},
    {"portable/int8", CLMOE__MACRO_CPU, INT8, 0, 1, 0, 0, 1, 0, CLMOE__ANY_DEVICE},
    /* behind the reference: proof of the matrix kernels' indices, chosen only where CLMOE_PREFER names them */
    {"emulated/mma", CLMOE__MACRO_MATRIX, BF16, 0, 0, 6, 16, 128, 0, CLMOE__ANY_DEVICE},
    {"emulated/mfma", CLMOE__MACRO_MATRIX, BF16, 0, 0, 7, 16, 256, 0, CLMOE__ANY_DEVICE},
    {"emulated/wmma", CLMOE__MACRO_MATRIX, BF16, 0, 0, 8, 16, 128, 0, CLMOE__ANY_DEVICE},
    {"emulated/wmma12", CLMOE__MACRO_MATRIX, BF16, 0, 0, 9, 16, 128, 0, CLMOE__ANY_DEVICE},
    {"emulated/dpas16", CLMOE__MACRO_MATRIX, BF16, 0, 0, 10, 16, 64, 0, CLMOE__ANY_DEVICE},
    {"emulated/dpas8", CLMOE__MACRO_MATRIX, BF16, 0, 0, 11, 16, 32, 0, CLMOE__ANY_DEVICE},
    {"emulated/wgmma", CLMOE__MACRO_MATRIX, BF16, 0, 0, 13, 16, 256, 0, CLMOE__ANY_DEVICE},
    /* another library's GEMM: its sums depend on the batch, so it is chosen where that is allowed
     * (clmoe__gemm_choose_for) */
    {"clblast/gemm", CLMOE__MACRO_CLBLAST, F32, 0, 0, 0, 0, 1, 0, CLMOE__ANY_DEVICE},
};

const clmoe__gemm_variant *clmoe__gemm_variant_at(uint32_t i) {
    return i < sizeof variants / sizeof variants[0] ? &variants[i] : NULL;
}

/* A CPU's panels are as wide as its vectors, unless emulated matrix units are asked for, which have those of GPUs. */
uint32_t clmoe__panel_lanes(const clmoe_context *context) {
    int wants_matrix = 0;
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++)
        wants_matrix |= variants[i].macro == CLMOE__MACRO_MATRIX && clmoe__gemm_preferred(context, &variants[i]);
    return context->device.is_cpu && !wants_matrix ? context->device.vector_width : 16;
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

int clmoe__gemm_varies(const clmoe__gemm_variant *variant) { return variant->macro == CLMOE__MACRO_CLBLAST; }

int clmoe__gemm_preferred(const clmoe_context *context, const clmoe__gemm_variant *variant) {
    return clmoe__variant_listed(context->prefer, variant->name);
}

/* NULL, or what this device lacks. */
static const char *missing(const clmoe__device *device, const clmoe__gemm_variant *variant) {
    const clmoe__cpu_need need = variant->need;
    if (need == CLMOE__MATRIX_UNIT)
        return device->matrix_units >> clmoe__matrix_shape_at(variant->micro)->matrix & 1u ? NULL
                                                                                           : "for another matrix unit";
    if (need == CLMOE__DP4A) return device->dp4a ? NULL : "the device has no dp4a";
    if (need == CLMOE__DEVICE_DOT)
        return device->integer_dot_fast ? NULL : "the device has no integer dot products of 8 bits in hardware";
    if (need != CLMOE__ANY_DEVICE && !device->is_cpu) return "for CPU devices";
    if (need == CLMOE__AVX2 && !device->avx2_fma) return "the CPU of this device has no AVX2";
    if (need == CLMOE__AVX_VNNI && !device->avx_vnni) return "the CPU of this device has no AVX-VNNI";
    if (need == CLMOE__INTEGER_DOT && !device->integer_dot) return "the device has no cl_khr_integer_dot_product";
    if (need == CLMOE__AVX512 && !device->avx512f) return "the CPU of this device has no AVX-512";
    if (need == CLMOE__AVX512_BF16 && !device->avx512_bf16) return "the CPU of this device has no AVX512-BF16";
    if (need == CLMOE__AVX512_VNNI && !device->avx512_vnni) return "the CPU of this device has no AVX512-VNNI";
    return NULL;
}

/* The shipped row of this macro-kernel. NULL, or why the device has no room for it. */
static const char *take_shape(const clmoe__gemm_variant *variant, const clmoe__device *device, uint32_t lanes,
                              int is_block, uint32_t arithmetic, clmoe__gemm_choice *choice, char *reason,
                              size_t capacity) {
    if (variant->macro == CLMOE__MACRO_CPU) {
        const clmoe__cpu_shape *shape = clmoe__cpu_shape_for(device, lanes, arithmetic, is_block);
        choice->cpu = shape->tile;
        choice->tile_rows = shape->tile_rows;
    } else if (variant->macro == CLMOE__MACRO_GPU) {
        const clmoe__gpu_shape *shape = clmoe__gpu_shape_for(device, lanes, arithmetic, reason, capacity);
        if (shape == NULL) return reason;
        choice->shape = *shape;
        clmoe__gpu_split_few(&choice->shape, device, lanes, arithmetic);
        choice->tile_rows = shape->tile.rows;
    } else if (variant->macro == CLMOE__MACRO_CLBLAST) {
        choice->tile_rows = CLBLAST_TILE_ROWS;
        choice->own_percent = 100;
    } else {
        const clmoe__matrix_shape *shape = clmoe__matrix_shape_for(variant->micro, is_block);
        if (!clmoe__matrix_shape_fits(shape, device, reason, capacity)) return reason;
        choice->matrix = *shape;
        choice->tile_rows = shape->tile_rows;
    }
    return NULL;
}

int clmoe__gemm_next_shape(const clmoe_context *context, uint32_t arithmetic, clmoe__gemm_choice *choice) {
    if (choice->variant->macro != CLMOE__MACRO_GPU) return 0;
    const clmoe__gpu_shape *shape =
        clmoe__gpu_shape_behind(&choice->shape, &context->device, choice->lanes, arithmetic);
    if (shape == NULL) return 0;
    choice->shape = *shape;
    choice->tile_rows = shape->tile.rows;
    return 1;
}

const char *clmoe__gemm_refusal(const clmoe_context *context, const clmoe__gemm_variant *variant, int is_block,
                                uint32_t arithmetic, clmoe__gemm_choice *choice, char *reason, size_t capacity) {
    const clmoe__device *device = &context->device;
    const uint32_t lanes = clmoe__panel_lanes(context);
    if ((variant->arithmetics >> arithmetic & 1u) == 0) return "for another arithmetic";
    if (variant->blocks_only && !is_block) return "for block formats";
    const char *lacks = missing(device, variant);
    if (lacks != NULL) return lacks;
    if (clmoe__variant_listed(context->disable, variant->name)) return "disabled by name";
    if (clmoe__gemm_varies(variant)) lacks = clmoe__clblast_missing(context);
    if (lacks != NULL) return lacks;
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
    const char *too_small = take_shape(variant, device, lanes, is_block, arithmetic, choice, reason, capacity);
    if (too_small != NULL) return too_small;
    choice->variant = variant;
    choice->lanes = clmoe__gemm_varies(variant) ? 0 : lanes;
    choice->prefetch = variant->need != CLMOE__ANY_DEVICE ? clmoe__prefetch_kind(device) : 0;
    const int is_x86 = variant->need >= CLMOE__AVX2 && variant->need <= CLMOE__AVX512_VNNI;
    choice->byte_table = is_x86 && lanes == 16 && device->avx512_vbmi;
    choice->nibble_table = choice->byte_table ? 2 : is_x86;
    return NULL;
}
