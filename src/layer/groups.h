/* Matrices whose groups of integers lie in tensors of their own (clmoe_groups): how large they are, whether they are
 * sound, and how they become blocks. May call src/opencl and src/os. */
#ifndef CLMOE_LAYER_GROUPS_H
#define CLMOE_LAYER_GROUPS_H

#include "pack.h"

/* Of one expert's matrix [rows, columns]. */
typedef struct clmoe__group_sizes {
    uint32_t group_size, groups;   /* k in a group, groups in a row */
    uint32_t word_codes;           /* codes in a word */
    uint64_t codes, scales, zeros; /* bytes */
} clmoe__group_sizes;

clmoe__group_sizes clmoe__groups_sizes(const clmoe_tensor *tensor, uint64_t rows, uint64_t columns);

/* Makes blocks of one part of a matrix. */
typedef struct clmoe__regroup {
    clmoe__packer *packer;
    const clmoe__matrix_part *part;
    uint32_t features;
    clmoe__group_sizes sizes;
    clmoe__kernel kernel;
} clmoe__regroup;

clmoe_status clmoe__regroup_create(clmoe__packer *packer, const clmoe__matrix_part *part, uint32_t features,
                                   clmoe__regroup *regroup, clmoe_error *error);
void clmoe__regroup_destroy(clmoe__regroup *regroup); /* zeroed but for packer: nothing */
/* Enqueues what makes blocks of `outs` columns of y from `first` on, and waits where host memory is read in place. *at
 * is where they are then: row behind row, in a buffer that the next call uses again. */
clmoe_status clmoe__regroup_piece(clmoe__regroup *regroup, clmoe__run *run, uint32_t expert, uint64_t first,
                                  uint64_t outs, clmoe_buffer *at, clmoe_error *error);

#endif
