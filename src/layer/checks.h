/* Small checks and sizes that the stages share: formats, strides, activations. */
#ifndef CLMOE_LAYER_CHECKS_H
#define CLMOE_LAYER_CHECKS_H

#include "formats.h"
#include "opencl/run.h"
#include "os/size.h"

/* SwiGLU. */
extern const clmoe_activation clmoe__activation_default;
/* y = gate + up: of matrices in parts (matrix.h). */
extern const clmoe_activation clmoe__activation_sum;
clmoe_status clmoe__activation_check(const clmoe_activation *activation, const char *name, clmoe_error *error);
/* F32, F16 or BF16. */
clmoe_status clmoe__format_check(uint32_t format, const char *name, clmoe_error *error);
/* Bytes from the first element of a [rows, columns] array with this row stride to behind its last. */
uint64_t clmoe__rows_bytes(uint64_t rows, uint64_t columns, uint64_t stride, uint32_t element_bytes);
/* 0 stands for `columns`; less than that is an error. */
clmoe_status clmoe__stride_check(uint64_t *stride, uint64_t columns, const char *name, clmoe_error *error);

#endif
