/* What checkpoint.c and checkpoint_gguf.c share: the files of a model, mapped, and the one list of their tensors. */
#ifndef CLMOE_MODEL_CHECKPOINT_H
#define CLMOE_MODEL_CHECKPOINT_H

#include "os/os.h"
#include "safetensors.h"

typedef struct clmoe__shard {
    char *path; /* owned */
    clmoe__file_map map;
    clmoe__safetensors contents; /* of a GGUF file too */
} clmoe__shard;

struct clmoe__checkpoint {
    char *path;           /* owned; the file, the index or the first part */
    clmoe__shard *shards; /* [num_shards], in name order */
    uint32_t num_shards;
    clmoe__file_tensor *tensors; /* of all of them, in name order */
    uint64_t count;
    json_t *metadata; /* owned; of GGUF */
};

/* "folder/name", malloc'd; folder_length bytes of `folder` count. NULL when memory is exhausted. */
char *clmoe__path_join(const char *folder, size_t folder_length, const char *name);
int clmoe__ends_with(const char *text, const char *end);
clmoe_status clmoe__checkpoint_no_memory(clmoe_error *error);
/* One list of the tensors of all shards. */
clmoe_status clmoe__checkpoint_merge(clmoe__checkpoint *checkpoint, clmoe_error *error);

/* The GGUF model in a folder, malloc'd: its one file, or the first of its parts. NULL without failure if there is none.
 * (checkpoint_gguf.c) */
clmoe_status clmoe__gguf_in_folder(const char *folder, char **path, clmoe_error *error);
/* Opens the GGUF model whose file, or first part, is checkpoint->path. */
clmoe_status clmoe__checkpoint_open_gguf(clmoe__checkpoint *checkpoint, clmoe_error *error);

#endif
