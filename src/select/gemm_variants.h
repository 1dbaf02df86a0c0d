/* Which grouped GEMM a device gets: an ordered list of variants as data, the portable reference last. A variant is
 * refused by device facts, by name (CLMOE_DISABLE) or by its self-test, whose verdicts are kept in the context. */
#ifndef CLMOE_SELECT_GEMM_VARIANTS_H
#define CLMOE_SELECT_GEMM_VARIANTS_H

#include "cpu_tiles.h"
#include "gpu_tiles.h"
#include "matrix_shapes.h"
#include "opencl/context.h"

typedef enum clmoe__macro {
    CLMOE__MACRO_CPU,
    CLMOE__MACRO_GPU,
    CLMOE__MACRO_MATRIX,
    CLMOE__MACRO_CLBLAST
} clmoe__macro;

/* What the CPU must have. */
typedef enum clmoe__cpu_need {
    CLMOE__ANY_CPU,
    CLMOE__AVX2,
    CLMOE__AVX_VNNI,
    CLMOE__AVX512,
    CLMOE__AVX512_BF16,
    CLMOE__AVX512_VNNI,
    CLMOE__INTEGER_DOT, /* cl_khr_integer_dot_product: kernels in OpenCL C 3.0 */
    CLMOE__ANY_DEVICE, /* not only CPUs */
    CLMOE__DEVICE_DOT, /* as INTEGER_DOT, and accelerated */
    CLMOE__DP4A,       /* NVIDIA from compute capability 6.1 on */
    CLMOE__MATRIX_UNIT /* the one of its shape */
} clmoe__cpu_need;

typedef struct clmoe__gemm_variant {
    const char *name; /* as CLMOE_DISABLE takes it; the part before '/' disables all of a macro-kernel */
    clmoe__macro macro;
    uint32_t arithmetics; /* bits 1 << clmoe_arithmetic */
    int is_hardware;      /* made for hardware that multiplies this arithmetic: what AUTO looks for */
    int blocks_only;      /* for block formats */
    int micro;            /* MICRO of gemm_cpu.cl; CLMOE__MACRO_MATRIX: which of matrix_shapes.h */
    uint32_t lanes;       /* required panel lanes, or 0 = any */
    uint32_t min_work_group, min_local_bytes;
    clmoe__cpu_need need;
} clmoe__gemm_variant;

/* A variant with what the device makes of it. */
typedef struct clmoe__gemm_choice {
    const clmoe__gemm_variant *variant;
    uint32_t lanes;     /* PANEL_LANES of the packed weights; 0: a group is one panel */
    uint32_t tile_rows; /* TILE_ROWS */
    int prefetch;       /* PREFETCH of micro/prefetch.clh */
    int nibble_table;   /* NIBBLE_TABLE of block.clh */
    int byte_table;     /* BYTE_TABLE of block_decode.clh */
    uint32_t own_percent; /* clblast macro-kernel: a forward's time in percent of that with the library's own variant */
    clmoe__cpu_tile cpu;        /* cpu macro-kernel */
    clmoe__gpu_shape shape;     /* gpu macro-kernel */
    clmoe__matrix_shape matrix; /* matrix macro-kernel */
} clmoe__gemm_choice;

/* The i-th variant in order of preference, NULL past the last. */
const clmoe__gemm_variant *clmoe__gemm_variant_at(uint32_t i);
/* Fills *choice for this device and returns NULL, or says why the variant cannot be used (static or in `reason`). */
const char *clmoe__gemm_refusal(const clmoe_context *context, const clmoe__gemm_variant *variant, int is_block,
                                uint32_t arithmetic, clmoe__gemm_choice *choice, char *reason, size_t capacity);
/* Puts the variant's next shipped shape that fits the device into *choice; 0: there is none. */
int clmoe__gemm_next_shape(const clmoe_context *context, uint32_t arithmetic, clmoe__gemm_choice *choice);
/* Whether the context's description or environment wants this variant tried before the others. */
int clmoe__gemm_preferred(const clmoe_context *context, const clmoe__gemm_variant *variant);
/* Whether its sums are added up in an order that depends on the batch, so that it needs leave to be used. */
int clmoe__gemm_varies(const clmoe__gemm_variant *variant);
/* PANEL_LANES that packed weights have on this device, whatever the variant, if it does not vary. */
uint32_t clmoe__panel_lanes(const clmoe_context *context);

/* PREFETCH of micro/prefetch.clh that this device's kernels may use. */
int clmoe__prefetch_kind(const clmoe__device *device);

/* Verdicts of self-tests: 1 passed, 0 failed, -1 not known; `what` names format and arithmetic. Those of earlier
 * processes come from the context's cache, for a choice that is the same to the byte: fill it with zeroes before it is
 * chosen. Thread-safe. */
clmoe_status clmoe__verdict_get(clmoe_context *context, const clmoe__gemm_choice *choice, uint32_t format,
                                uint32_t arithmetic, const char *what, int *passed, clmoe_error *error);
clmoe_status clmoe__verdict_put(clmoe_context *context, const clmoe__gemm_choice *choice, uint32_t format,
                                uint32_t arithmetic, const char *what, int passed, clmoe_error *error);

#endif
