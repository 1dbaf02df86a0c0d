/* One GGUF file in memory: what checkpoint_gguf.c, the gguf*.c files among themselves and the tests of hostile bytes
 * share. Everything is little-endian and nothing is aligned but the data.
 *
 *     | "GGUF" | u32 version | u64 tensors | u64 keys | each key | each tensor | padding | data, aligned each |
 *
 *     key     string name, u32 type, value
 *     string  u64 length, bytes
 *     array   u32 type of the elements, u64 count, elements
 *     tensor  string name, u32 rank, u64 sizes (of the innermost dimension first), u32 type, u64 offset in the data
 */
#ifndef CLMOE_MODEL_GGUF_H
#define CLMOE_MODEL_GGUF_H

#include "model.h"

/* Limits beyond what memory and the file itself allow. */
#define CLMOE__GGUF_KEYS_MAX    65536u
#define CLMOE__GGUF_TENSORS_MAX (1u << 20)
#define CLMOE__GGUF_NAME_MAX    255u  /* bytes in the name of a tensor; ggml has 63 */
#define CLMOE__GGUF_KEPT_MAX    1024u /* elements of an array, bytes of a string, that become part of the tree */

/* NULL if there is no type of that number. (ggml_types.c) */
const clmoe__dtype *clmoe__ggml_type(uint32_t number);

typedef struct clmoe__gguf {
    clmoe__file_tensor *tensors; /* in name order; owned */
    uint64_t count;
    char *names; /* of all of them; owned */
    /* {"general": {"architecture": "olmoe"}, "olmoe": {"expert_count": 64, "attention": {"head_count": 16, ...}, ...}},
     * owned. Only the architecture's own keys are kept, and of those numbers, flags, short strings and short arrays of
     * numbers and flags: the rest (vocabularies!) is checked and passed over. A number that is not finite is the string
     * "nan" or "inf". */
    json_t *metadata;
    uint32_t split_count;   /* parts of the model; 1: it is not split */
    uint32_t split_no;      /* which one this is, from 0 */
    uint64_t split_tensors; /* in all parts */
    int has_split_tensors;
} clmoe__gguf;

/* Reads what stands before the data of a file that lies in memory, and touches nothing behind it. Checked: every length
 * and offset lies in the file, tensors are aligned, do not overlap, and no key or tensor is there twice. `file` is the
 * path for messages; it and `data` must outlive the tensors. A failure leaves nothing to free. */
clmoe_status clmoe__gguf_parse(const unsigned char *data, uint64_t bytes, const char *file, clmoe__gguf *out,
                               clmoe_error *error);
void clmoe__gguf_free(clmoe__gguf *gguf); /* zeroed: nothing */
/* Is this the beginning of a GGUF file? */
int clmoe__gguf_magic(const unsigned char *data, uint64_t bytes);

/* --------------------------------------------------------------------------------------- bytes (gguf_read.c) */

/* Bytes of the file that are not terminated. */
typedef struct clmoe__span {
    const char *text;
    uint64_t length;
} clmoe__span;

/* Where we are. */
typedef struct clmoe__reader {
    const unsigned char *data;
    uint64_t bytes, at;
    const char *file;
    char subject[160]; /* what is being read: "key 3", "tensor blk.0.ffn_up_exps.weight" */
    char argument[64]; /* for errors: the file, the key or the tensor */
    clmoe_error *error;
} clmoe__reader;

/* The key or tensor that is being read. `kind` is "key" or "tensor"; the name of none yet: its number. */
void clmoe__reader_subject(clmoe__reader *reader, const char *kind, const clmoe__span *name, uint64_t number);
/* "FILE: SUBJECT ..." */
clmoe_status clmoe__reader_refuse(const clmoe__reader *reader, const char *format, ...) CLMOE__PRINTF(2, 3);
/* Fails unless so many bytes follow; goes nowhere. */
clmoe_status clmoe__reader_need(const clmoe__reader *reader, uint64_t bytes, const char *what);
/* `what` is for messages: "its type". */
clmoe_status clmoe__reader_u32(clmoe__reader *reader, const char *what, uint32_t *value);
clmoe_status clmoe__reader_u64(clmoe__reader *reader, const char *what, uint64_t *value);
clmoe_status clmoe__reader_string(clmoe__reader *reader, const char *what, clmoe__span *value);
/* A little-endian number of 1 to 8 bytes. */
uint64_t clmoe__little(const unsigned char *data, uint32_t bytes);
/* -1, 0, 1: shorter spans first, then by bytes. */
int clmoe__span_order(const clmoe__span *a, const clmoe__span *b);
int clmoe__span_is(const clmoe__span *span, const char *text);

/* ------------------------------------------------------------------------------------ metadata (gguf_meta.c) */

/* Reads `count` keys: fills metadata and split_*, and the alignment of the data. */
clmoe_status clmoe__gguf_metadata(clmoe__reader *reader, uint64_t count, clmoe__gguf *out, uint64_t *alignment);

#endif
