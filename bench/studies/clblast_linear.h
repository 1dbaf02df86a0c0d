/* y = x . W^T with CLBlast's SGEMM: what a linear layer without a fused kernel is. Knows nothing of experts or of
 * the bench. Only where the build found CLBlast. */
#ifndef CLMOE_BENCH_CLBLAST_LINEAR_H
#define CLMOE_BENCH_CLBLAST_LINEAR_H

#include <CL/cl.h>
#include <stddef.h>

typedef struct clblast_linear {
    size_t rows, in, out;
    cl_mem x; /* [rows, in], from x_offset elements on */
    size_t x_offset;
    cl_mem w; /* [out, in] */
    cl_mem y; /* [rows, out] */
} clblast_linear;

/* Enqueues it. CLBlast's status code, 0 = success. */
int clblast_linear_enqueue(const clblast_linear *linear, cl_command_queue queue);
/* Device memory CLBlast takes for it meanwhile. Likewise. */
int clblast_linear_temporary(const clblast_linear *linear, cl_command_queue queue, size_t *bytes);

#endif
