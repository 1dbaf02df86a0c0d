/* The clblast macro-kernel's part of a grouped GEMM (gemm_clblast.c). gemm.c calls it. */
#ifndef CLMOE_LAYER_GEMM_CLBLAST_H
#define CLMOE_LAYER_GEMM_CLBLAST_H

#include "gemm.h"

int clmoe__gemm_is_clblast(const clmoe__gemm *gemm);
/* Lanes that make one panel of a group's columns. */
uint32_t clmoe__clblast_lanes(const clmoe__matrix *matrix);
/* As clmoe__gemm_operand_bytes, create and launch. */
uint64_t clmoe__clblast_operand_bytes(const clmoe__gemm *gemm, uint64_t rows);
clmoe_status clmoe__clblast_create(clmoe_context *context, const clmoe__gemm_spec *spec, clmoe__gemm *gemm,
                                   clmoe_error *error);
void clmoe__clblast_launch(clmoe__run *run, clmoe__gemm *gemm, const clmoe__gemm_io *io);

#endif
