/* Small checkpoints of every family: random layers (layer_case.h) written under the names of a row (model_rows.h),
 * whole or with something wrong. */
#ifndef CLMOE_TESTS_MODEL_FILES_H
#define CLMOE_TESTS_MODEL_FILES_H

#include "files.h"
#include "group_parts.h"
#include "layer_case.h"
#include "model/model.h"
#include "model_rows.h"

/* Experts in groups of integers: GPTQ, AWQ or compressed-tensors by the layout's order. */
typedef struct group_checkpoint {
    uint32_t format; /* one of groups; sizes are multiples of its block */
    group_layout layout;
    int shared;     /* the shared experts too */
    int group_of;   /* with the tensor that says of which group each k is */
    int plain_down; /* but not the down projections */
} group_checkpoint;

typedef struct model_files {
    test_folder folder;
    const model_row *row;
    clmoe__out_tensor *tensors; /* names and data owned */
    uint32_t count;
    uint64_t bytes; /* of all */
} model_files;

/* A random layer of the row's sizes and rule, without weights or layer objects. source: clmoe_format of the experts in
 * the files, F32, F16, BF16 or F8_E4M3 (with scales); rows in mxfp4 take none. */
layer_case *model_case(test_device *device, const model_row *row, uint32_t source, uint64_t stream);
/* The tensors of that layer as the row names them. The case's numbers become those that the files can hold. */
model_files model_files_new(const model_row *row, layer_case *c, uint32_t source);
/* The tensor of that name; fails the test if there is none. */
clmoe__out_tensor *model_files_find(const model_files *files, const char *name);
/* Takes a tensor out. */
void model_files_drop(model_files *files, const char *name);
/* Writes config.json and model.safetensors, whose data are no multiple of 2 from the beginning of the file: that is
 * legal. */
void model_files_write(const model_files *files);
void model_files_free(model_files *files);

#endif
