/* The floor FROM WHERE: model files in, layer descriptions and weights out. Contracts between the files of this folder.
 *
 *   json.c         a JSON file as a Jansson tree, with limits
 *   json_get.c     typed getters that name file and key when they fail (json.h)
 *   safetensors.c  one .safetensors file, mapped: its tensors by name
 *   gguf.c         one .gguf file, mapped: the same, with gguf_read.c (bytes), gguf_meta.c (its metadata as a tree) and
 *                  ggml_types.c (how it stores elements)
 *   checkpoint.c   the tensors of a model, from one file or several and an index; checkpoint_gguf.c: from the parts of
 *                  a split GGUF file
 *   safetensors_write.c  a .safetensors file that appears whole or not at all
 *   families.c     one row a model_type: keys, rule, tensor names; families_gguf.c: one row a GGUF architecture
 *   config.c       a row and a config.json, or the metadata of a GGUF file -> the sizes and rule of every layer, with
 *                  config_layers.c (which layers are MoE) and config_rule.c (what a configuration sets in the rule)
 *   model_layer.c  those and the checkpoint -> weights of one layer, with model_matrix.c (the experts' matrices),
 *                  model_groups.c and model_scheme.c (those of GPTQ, AWQ and compressed-tensors) and model_tensor.c
 *                  (one tensor, found and checked)
 *   model.c        the public functions; rule_text.c: a rule in words
 */
#ifndef CLMOE_MODEL_MODEL_H
#define CLMOE_MODEL_MODEL_H

#include <clmoe/clmoe_model.h>
#include <jansson.h>

#include "os/error.h"

/* -------------------------------------------------------------------------------------------------- json */

/* Parses `text` (bytes long, need not end in 0). `file` is for messages. Duplicate keys, nesting past 64, invalid UTF-8
 * and anything behind the value are errors. The bare words NaN, Infinity and -Infinity, which Python writes, are read
 * as null. The root must be an object. */
clmoe_status clmoe__json_parse(const char *text, size_t bytes, const char *file, json_t **root, clmoe_error *error);
/* The same from a file of at most 64 MiB. */
clmoe_status clmoe__json_read(const char *path, json_t **root, clmoe_error *error);

/* ------------------------------------------------------------------------------------------- safetensors */

#define CLMOE__MAX_RANK 8

/* How a file stores elements, beyond what clmoe_format knows. */
typedef struct clmoe__dtype {
    const char *name;      /* "BF16", "q4_K" */
    uint32_t bits;         /* of an element; 0 for blocks */
    uint32_t format;       /* clmoe_format, or CLMOE_FORMAT_NONE (integers, and what nobody here decodes) */
    uint32_t block_values; /* neighbours in a row that are stored together; 0 = none are */
    uint32_t block_bytes;
} clmoe__dtype;

/* One tensor. data points into the mapping and need not be aligned. */
typedef struct clmoe__file_tensor {
    const char *name, *file; /* live with the checkpoint */
    const clmoe__dtype *dtype;
    uint32_t rank;
    uint64_t shape[CLMOE__MAX_RANK];
    const unsigned char *data;
    uint64_t bytes; /* = product(shape) * bits / 8, or / block_values * block_bytes, checked */
} clmoe__file_tensor;

/* The tensors of one model. */
typedef struct clmoe__checkpoint clmoe__checkpoint;
/* `path` is a folder with model.safetensors, model.safetensors.index.json or a GGUF model, or one of those files; of a
 * split GGUF model the first part. Every header is read and checked: lengths, offsets, shapes, dtypes, no overlap, no
 * tensor twice, index and files agree. */
clmoe_status clmoe__checkpoint_open(const char *path, clmoe__checkpoint **checkpoint, clmoe_error *error);
void clmoe__checkpoint_close(clmoe__checkpoint *checkpoint); /* NULL: nothing */
/* NULL if there is none of that name. O(log n). */
const clmoe__file_tensor *clmoe__checkpoint_find(const clmoe__checkpoint *checkpoint, const char *name);
uint64_t clmoe__checkpoint_count(const clmoe__checkpoint *checkpoint);
const clmoe__file_tensor *clmoe__checkpoint_at(const clmoe__checkpoint *checkpoint, uint64_t i); /* in name order */
uint32_t clmoe__checkpoint_files(const clmoe__checkpoint *checkpoint);
uint64_t clmoe__checkpoint_bytes(const clmoe__checkpoint *checkpoint); /* of the files */
/* The path of the file, of the index or of the first part: for messages. */
const char *clmoe__checkpoint_path(const clmoe__checkpoint *checkpoint);
/* Does `path` lead to a GGUF model? No: to safetensors, or to nothing. */
int clmoe__checkpoint_is_gguf(const char *path);
/* What a GGUF file says of its model, as gguf.h describes; it lives with the checkpoint. NULL: no GGUF file. */
json_t *clmoe__checkpoint_metadata(const clmoe__checkpoint *checkpoint);

/* One tensor to be written; data stays the caller's. */
typedef struct clmoe__out_tensor {
    const char *name;
    const char *dtype; /* "F32", "I32" */
    uint32_t rank;
    uint64_t shape[CLMOE__MAX_RANK];
    const void *data;
} clmoe__out_tensor;
/* Writes beside `path` and renames at the end, after the bytes are on the disk; on failure nothing is left. */
clmoe_status clmoe__safetensors_write(const char *path, const clmoe__out_tensor *tensors, uint32_t count,
                                      clmoe_error *error);

/* ---------------------------------------------------------------------------------------------- families */

/* What config.json says of one layer's MoE block; filled from a family's row. (config.c) */
typedef struct clmoe__layer_config {
    uint32_t hidden_size, intermediate_size, shared_intermediate_size, latent_size;
    int has_select_bias; /* the family has one and the configuration does not switch it off */
    clmoe_layer_desc desc;
} clmoe__layer_config;

typedef struct clmoe__family clmoe__family; /* families.h */

#define CLMOE__PREFIX_ROOM 72

typedef struct clmoe__config {
    json_t *root;         /* owned */
    char prefix[CLMOE__PREFIX_ROOM]; /* of every key: "", "text_config." or, of a GGUF file, "olmoe." */
    const clmoe__checkpoint *tensors; /* of a GGUF file: some rules go by what is there; else NULL */
    const char *path;     /* for messages */
    const char *model_type; /* lives with root */
    const clmoe__family *family;
    uint32_t num_layers, num_moe_layers;
    uint32_t *moe_layers; /* owned, rising */
} clmoe__config;
/* Takes over `root`, also on failure. */
clmoe_status clmoe__config_create(json_t *root, const char *path, clmoe__config *config, clmoe_error *error);
/* The same from the metadata of a GGUF file, which stays the caller's. `tensors` must outlive the configuration; with
 * NULL, no tensor is there. */
clmoe_status clmoe__config_create_gguf(json_t *metadata, const char *path, const clmoe__checkpoint *tensors,
                                       clmoe__config *config, clmoe_error *error);
void clmoe__config_destroy(clmoe__config *config);
/* `layer` is one of moe_layers. */
clmoe_status clmoe__config_layer(const clmoe__config *config, uint32_t layer, clmoe__layer_config *out,
clmoe_error *error);

struct clmoe_model {
    clmoe__config config;
    clmoe__checkpoint *checkpoint;
    char *config_path;
};

#endif
