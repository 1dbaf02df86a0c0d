/* One OpenCL device: finding it by the caller's words, and what it can do. */
#ifndef CLMOE_OPENCL_DEVICE_H
#define CLMOE_OPENCL_DEVICE_H

#include "cl_table.h"

/* Matrix units: bits 1 << these, the values of MATRIX in cl/micro/matrix.clh, in clmoe__device.matrix_units. */
enum {
    CLMOE__MATRIX_MMA = 1, /* NVIDIA from sm_80 on */
    CLMOE__MATRIX_MFMA,    /* AMD CDNA 2 and 3 */
    CLMOE__MATRIX_WMMA,    /* AMD gfx11 */
    CLMOE__MATRIX_WMMA12,  /* AMD gfx12 */
    CLMOE__MATRIX_DPAS16,  /* Intel, sub-groups of 16 */
    CLMOE__MATRIX_DPAS8,   /* Intel, sub-groups of 8 */
    CLMOE__MATRIX_WGMMA    /* NVIDIA sm_90a */
};

/* Facts that select's rows are matched against; the limits are already lowered by the context's description. */
typedef struct clmoe__device {
    cl_device_id id;
    int is_cpu;            /* CL_DEVICE_TYPE_CPU */
    int is_gpu;
    int is_this_host;      /* a CPU device that runs on the CPU of this process: cpuid speaks for it */
    int is_sub_device;     /* has a parent device: POCL gives no binaries for these */
    char name[128], vendor[128], platform[128], platform_version[128], device_version[128], driver_version[128];
    uint32_t compute_units;
    uint32_t vector_width; /* f32 lanes for explicit vectors: 4, 8 or 16 */
    uint32_t max_work_group_size;
    uint32_t max_work_item_size0;
    uint64_t max_alloc_bytes, global_bytes, local_bytes;
    uint64_t max_workspace_bytes; /* of an arena: the description's, else max_alloc_bytes */
    int local_is_dedicated; /* CL_LOCAL */
    int fp16, host_unified;
    uint32_t matrix_units;
    uint32_t least_sub_group; /* of those a kernel may ask for (cl_intel_required_subgroup_size); 0: of none */
    int integer_dot;         /* cl_khr_integer_dot_product */
    int integer_dot_fast;    /* of four unsigned with four signed bytes, in hardware */
    int dp4a;                /* NVIDIA's */
    int avx2_fma, avx_vnni, avx512f, avx512_bf16, avx512_vnni, avx512_vbmi; /* all 0 unless is_this_host */
} clmoe__device;

/* Finds the device `text` names (NULL: CLMOE_DEVICE, else the defaults of clmoe_context_desc.device). */
clmoe_status clmoe__device_find(const clmoe__cl *cl, const char *text, cl_device_id *device, clmoe_error *error);
/* Reads its facts and lowers the limits by desc. Refuses limits above the device's own and odd vector widths. */
clmoe_status clmoe__device_query(const clmoe__cl *cl, cl_device_id id, const clmoe_context_desc *desc,
                                 clmoe__device *device, clmoe_error *error);

#endif
