/* Device memory: every buffer the library makes comes from here. Freed blocks are kept for reuse by size; a block may
 * be given back while the device still uses it. Thread-safe. */
#ifndef CLMOE_OPENCL_POOL_H
#define CLMOE_OPENCL_POOL_H

#include "context.h"

typedef struct clmoe__block {
    cl_mem mem; /* NULL: none */
    uint64_t bytes;
} clmoe__block;

/* At least `bytes` of device memory, contents undefined; bytes 0 gives a small block. OUT_OF_DEVICE_MEMORY names the
 * size and the limit if it exceeds device.max_alloc_bytes. On a CPU device of this host, blocks of 4 MiB and more lie
 * in huge pages lent to OpenCL, freed by the cl_mem's destructor callback only. */
clmoe_status clmoe__pool_alloc(clmoe_context *context, uint64_t bytes, clmoe__block *block, clmoe_error *error);
/* Bytes of the new block that a request gets; one that is reused may be larger by a quarter. */
uint64_t clmoe__pool_block_bytes(const clmoe_context *context, uint64_t bytes);
/* Gives a block back and clears it. `after` (may be NULL, retained): the block is reused only when it is complete. */
void clmoe__pool_free(clmoe_context *context, clmoe__block *block, cl_event after);
/* Releases the block to OpenCL at once instead of keeping it, for weights. */
void clmoe__pool_drop(clmoe_context *context, clmoe__block *block);

/* Bytes of the pages that the block lies in where each is cleared by the first write to it; the block begins at a page,
 * and its last one may be cut short. 0: nothing is known of its pages. */
uint64_t clmoe__pool_page_bytes(const clmoe_context *context, const clmoe__block *block);

clmoe_status clmoe__pool_create(clmoe_context *context, clmoe_error *error);
void clmoe__pool_destroy(clmoe_context *context);

#endif
