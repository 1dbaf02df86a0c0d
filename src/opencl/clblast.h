/* CLBlast, where this machine has it: matrix products by a library that somebody tuned for the device. It is no part
 * of the build: the one routine needed is looked up at run time, when a variant first asks for it, so that clmoe links
 * and runs anywhere. With clmoe_context_desc.get_symbol, that function is asked for it in place of the system.
 *
 * Only SGEMM: its HGEMM adds up in 16 bits.
 *
 * CLBlast keeps kernels it compiled, and with them the cl_context, in a cache of the process; a context that used it
 * clears that cache when it is destroyed. */
#ifndef CLMOE_OPENCL_CLBLAST_H
#define CLMOE_OPENCL_CLBLAST_H

#include "run.h"

/* y = x . w, all f32, row by row. */
typedef struct clmoe__product {
    const char *stage;
    uint32_t rows, columns, k;
    clmoe_buffer x; /* [rows, k] */
    uint64_t x_stride;
    clmoe_buffer w; /* [k, columns] */
    uint64_t w_stride;
    clmoe_buffer y; /* [rows, columns] */
    uint64_t y_stride;
} clmoe__product;

/* NULL, or why this context cannot use it. Loads it at the first call. Any thread. */
const char *clmoe__clblast_missing(const clmoe_context *context);
/* Enqueues a product, nothing where rows is 0. CLBlast takes no events: on an out-of-order queue, and for a run's first
 * command, the host waits for what the product must follow. It counts as one launch, with the times of the last kernel
 * of those that CLBlast makes of it. Only where it is not missing. */
void clmoe__clblast_multiply(clmoe__run *run, const clmoe__product *product);

/* As a part of a context. (context.c) */
clmoe_status clmoe__clblast_open(clmoe_context *context, const clmoe_context_desc *desc, clmoe_error *error);
void clmoe__clblast_close(clmoe_context *context);

#endif
