/* A small Qwen2-MoE layer whose experts are in groups of integers, as a checkpoint in any of the ways. */
#ifndef CLMOE_TESTS_MODEL_GROUP_ROWS_H
#define CLMOE_TESTS_MODEL_GROUP_ROWS_H

#include "model_files.h"

enum { GROUP_HIDDEN = 512, GROUP_INTERMEDIATE = 256, GROUP_SHARED = 256, GROUP_EXPERTS = 5 };

/* Tensor names of layer 0 begin so. */
#define GROUP_LAYER "model.layers.0.mlp."

/* The row; `config` receives its config.json with this quantization_config (with ' for "), and must live as long. */
model_row group_row(const group_checkpoint *checkpoint, const char *quantization, char config[2048]);

#endif
