/* The inside of packing: where an expert's matrix and scales are, and the three ways to pack a part.
 *
 *   pack.c          chooses the way, packs the biases
 *   pack_source.c   from a tensor's description to one expert's places
 *   pack_any.c      any strides on any device, by cl/pack_weights.cl
 *   pack_rows.c     rows along k on CPUs, both halves of a panel at once, by cl/pack_rows.cl
 *   pack_blocks.c   rows of blocks, kept or decoded, and rows that are quantised first, on any device, by
 *                   cl/quantize.cl and cl/pack_blocks.cl
 *   regroup.c       for pack_blocks.c: blocks of groups whose parts are tensors of their own, by cl/regroup.cl
 *
 * pack_any.c and pack_rows.c give the same bits. */
#ifndef CLMOE_LAYER_PACK_H
#define CLMOE_LAYER_PACK_H

#include "matrix.h"
#include "opencl/private_run.h"

#define CLMOE__STAGING_LIMIT (64u << 20)

/* Bytes on the host or on the device: of the two, host NULL means the device. */
typedef struct clmoe__place {
    const unsigned char *host;
    clmoe_buffer buffer;
} clmoe__place;

/* One expert's rows of a part as kernels read them: element (out, k) lies out * out_stride + k * k_stride elements
 * behind `at`. */
typedef struct clmoe__pack_source {
    clmoe__place at;
    uint32_t bits; /* of an element; 0: a block format */
    uint64_t out_stride, k_stride;
} clmoe__pack_source;

/* One expert's scales, for all stored rows of its tensor; format NONE: none. */
typedef struct clmoe__pack_scales {
    clmoe__place at;
    uint64_t bytes;
    uint32_t format, block_rows, block_columns, columns;
} clmoe__pack_scales;

clmoe__pack_source clmoe__pack_source_of(const clmoe__matrix_part *part, const clmoe_tensor *tensor, uint32_t features,
                                         uint32_t expert);
clmoe__pack_scales clmoe__pack_scales_of(const clmoe__matrix_part *part, const clmoe_tensor *tensor, uint32_t features,
                                         uint32_t expert);
/* Expert `expert` of four kinds of source; `stride` bytes lie between experts in one place. */
clmoe__place clmoe__expert_place(const void *host, const void *const *host_list, const clmoe_buffer *buffer,
                                 const clmoe_buffer *buffer_list, uint32_t expert, uint64_t stride);
/* `place`, `bytes` further on. */
clmoe__place clmoe__place_plus(clmoe__place place, uint64_t bytes);
int clmoe__is_on_host(const clmoe_tensor *tensor);
/* Grows a block of the packer's to at least `bytes`. Nothing enqueued may use it any more. */
clmoe_status clmoe__pack_staging(clmoe__packer *packer, clmoe__block *block, uint64_t bytes, clmoe_error *error);

/* Launches touch_pages (cl/touch.clh) of this kernel on what the matrix will be packed into, where it is fresh memory
 * of the host's; to be called before anything is packed. (pack.c) */
void clmoe__touch_shards(clmoe__run *run, clmoe__kernel *kernel, const clmoe__matrix *matrix);

/* Packs one part's matrix, or its bias as a matrix with one k, and tells the caller what may be freed. */
clmoe_status clmoe__pack_any(clmoe__packer *packer, const clmoe__matrix *matrix, const clmoe__matrix_part *part,
                             int is_bias, clmoe_error *error);

/* Packs the matrix of a part whose tensor or panels are in a block format, and tells the caller what may be freed. */
clmoe_status clmoe__pack_blocks(clmoe__packer *packer, const clmoe__matrix *matrix, const clmoe__matrix_part *part,
                                clmoe_error *error);

/* Whether these parts can be packed by rows on this device. */
int clmoe__pack_rows_fits(const clmoe_context *context, const clmoe__matrix *matrix, const clmoe__matrix_part *parts,
                          uint32_t count);
/* Packs the matrices of all parts, not the biases. */
clmoe_status clmoe__pack_rows(clmoe__packer *packer, const clmoe__matrix *matrix, const clmoe__matrix_part *parts,
                              uint32_t count, clmoe_error *error);

#endif
