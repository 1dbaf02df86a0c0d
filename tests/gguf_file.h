/* GGUF files for tests, right or wrong: written piece by piece, so that any piece may lie. */
#ifndef CLMOE_TESTS_GGUF_FILE_H
#define CLMOE_TESTS_GGUF_FILE_H

#include "files.h"
#include "model/model.h"

typedef struct gguf_bytes {
    unsigned char *at; /* owned */
    size_t count, room;
} gguf_bytes;

/* The types of values, and those of tensors that tests write themselves. */
enum gguf_value {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64
};
enum gguf_type {
    GGUF_TYPE_F32 = 0,
    GGUF_TYPE_F16 = 1,
    GGUF_TYPE_Q8_0 = 8,
    GGUF_TYPE_Q4_K = 12,
    GGUF_TYPE_IQ2_XXS = 16,
    GGUF_TYPE_I32 = 26,
    GGUF_TYPE_BF16 = 30
};

typedef struct gguf_file {
    gguf_bytes keys, infos, data;
    uint64_t num_keys, num_tensors; /* as written in the header; lies are welcome */
    uint32_t version, alignment;    /* the alignment is not written by itself */
    char magic[4];
} gguf_file;

gguf_file gguf_new(void); /* version 3, aligned to 32, without any key */
void gguf_free(gguf_file *file);

/* A little-endian number of so many bytes. */
void gguf_put(gguf_bytes *to, uint64_t value, uint32_t bytes);
void gguf_put_string(gguf_bytes *to, const char *text);
void gguf_put_bytes(gguf_bytes *to, const void *data, size_t count);

/* A key and its type; what follows in file->keys is its value. */
void gguf_key(gguf_file *file, const char *name, uint32_t type);
void gguf_u32(gguf_file *file, const char *name, uint32_t value);
void gguf_f32(gguf_file *file, const char *name, float value);
void gguf_text(gguf_file *file, const char *name, const char *text);
/* Every member of a JSON object as a key "PREFIX.member": whole numbers as uint32 (int64 below 0), others float32. */
void gguf_tree(gguf_file *file, const char *prefix, const json_t *object);

/* A tensor of `rank` sizes, the innermost FIRST, with its data behind the others'. */
void gguf_tensor(gguf_file *file, const char *name, uint32_t type, uint32_t rank, const uint64_t *sizes,
                 const void *data, size_t bytes);
/* What the header says of a tensor, alone. */
void gguf_info(gguf_file *file, const char *name, uint32_t type, uint32_t rank, const uint64_t *sizes, uint64_t offset);
/* A tensor as model_files.h makes them, in F32, F16 or BF16; shapes are turned around. */
void gguf_out_tensor(gguf_file *file, const clmoe__out_tensor *tensor);

gguf_bytes gguf_image(const gguf_file *file); /* to be freed */
/* Writes it; hands back its path as test_path does. */
const char *gguf_write(const gguf_file *file, const test_folder *folder, const char *name);

/* The smallest model: architecture olmoe, one layer of 2 experts with top 1, 8 features and 4 inside, all in F32. */
gguf_file gguf_small(void);
/* The same without that key or tensor. */
gguf_file gguf_small_without(const char *name);

#endif
