/* What the model_*.c files and model.c share: the tensors of one layer's MoE block, found, checked and described as
 * clmoe_weights_create wants them. */
#ifndef CLMOE_MODEL_MODEL_LAYER_H
#define CLMOE_MODEL_MODEL_LAYER_H

#include "families.h"

/* ------------------------------------------------------------------------------- one tensor (model_tensor.c) */

#define CLMOE__NAME_ROOM 256

/* The name of a tensor: prefix and pattern with the layer's number for '#' and the expert's for '*', then the suffix.
 * */
void clmoe__tensor_name(char name[CLMOE__NAME_ROOM], const char *prefix, const char *pattern, const char *suffix,
                        uint32_t layer, uint32_t expert);

/* What a tensor must be. */
typedef struct clmoe__expected {
    uint64_t formats; /* bits CLMOE__BIT(clmoe_format); 0: U8; CLMOE__WORDS: I32; CLMOE__LONGS: I64; all: whatever it
                       * is */
    uint32_t rank;
    uint64_t shape[4];
    int vector; /* rank 1, or any number of leading ones before it */
} clmoe__expected;

#define CLMOE__BIT(format)   ((uint64_t)1 << (format))
#define CLMOE__PLAIN_FORMATS (CLMOE__BIT(CLMOE_F32) | CLMOE__BIT(CLMOE_F16) | CLMOE__BIT(CLMOE_BF16))
#define CLMOE__WORDS         CLMOE__BIT(63)
#define CLMOE__LONGS         CLMOE__BIT(62)
#define CLMOE__ANY_FORMAT    UINT64_MAX

/* Finds a tensor that must be there and is as expected. Blocks that nobody here decodes are UNSUPPORTED. */
clmoe_status clmoe__tensor_get(const clmoe__checkpoint *checkpoint, const char *name, const clmoe__expected *expected,
                               const clmoe__file_tensor **tensor, clmoe_error *error);
/* Is its shape the expected one? In GGUF files leading ones are not written. */
int clmoe__tensor_fits(const clmoe__file_tensor *tensor, const clmoe__expected *expected);
/* Fails with the place of the first element that is not finite; e8m0: bytes that are powers of two. */
clmoe_status clmoe__tensor_finite(const clmoe__file_tensor *tensor, int e8m0, clmoe_error *error);

/* ------------------------------------------------------------------------------------ one layer (model_layer.c) */

/* What clmoe_weights_desc.released is called with, and the bytes behind it. */
typedef struct clmoe__source {
    const char *name; /* "experts.up" */
    uint64_t bytes;   /* an expert */
} clmoe__source;

#define CLMOE__SOURCES 24

/* A matrix in groups of integers. is_symmetric: it has no zero points, or all in the middle, as far as they were
 * read. */
typedef struct clmoe__group_files {
    clmoe_groups groups;
    int is_symmetric;
} clmoe__group_files;

typedef struct clmoe__layer_weights {
    clmoe_weights_desc desc; /* points into the mapped files, and into what follows */
    clmoe_scales scales[6];
    uint32_t num_scales;
    clmoe__group_files groups[6];
    uint32_t num_groups;
    const void **lists; /* owned: pointers of one tensor an expert */
    uint32_t num_lists; /* of `local` pointers each */
    clmoe__source sources[CLMOE__SOURCES];
    uint32_t num_sources;
    uint64_t bytes, num_tensors; /* of the share in the files */
    char formats[48]; /* what the files hold of the experts' matrices: "q4_K", "q4_K, q6_K" */
} clmoe__layer_weights;

/* Describes the weights of experts [first, first + local) of a layer whose configuration is `c`. With `scan` they are
 * to be used: router, biases and scales are read and must be finite, and the matrices in a format that can be decoded.
 * On failure nothing is left to free. */
clmoe_status clmoe__layer_weights_create(const clmoe_model *model, uint32_t layer, const clmoe__layer_config *c,
                                         uint32_t first, uint32_t local, int scan, clmoe__layer_weights *out,
                                         clmoe_error *error);
void clmoe__layer_weights_destroy(clmoe__layer_weights *weights);

/* -------------------------------------------------------- between model_layer.c and model_matrix.c (matrices) */

/* What the steps of making one description share. */
typedef struct clmoe__builder {
    const clmoe_model *model;
    const clmoe__family *family;
    const clmoe__layer_config *config;
    uint32_t layer, first, local;
    const char *prefix;
    int scan;
    clmoe__layer_weights *out;
    clmoe_error *error;
} clmoe__builder;

/* Finds a tensor of the layer; NULL if it is not there. */
const clmoe__file_tensor *clmoe__build_find(const clmoe__builder *b, const char *pattern, const char *suffix);
/* The same, where it must be there and as expected. */
clmoe_status clmoe__build_get(const clmoe__builder *b, const char *pattern, const char *suffix, uint32_t expert,
                              const clmoe__expected *expected, const clmoe__file_tensor **tensor);
/* `count` pieces of `bytes`, in so many tensors, belong to what the core calls `name`. */
void clmoe__build_source(clmoe__builder *b, const char *name, uint64_t bytes, uint64_t count, uint64_t tensors);

/* One matrix of a set of experts: [out, in], or [in, out] in that layout. */
typedef struct clmoe__matrix_files {
    const clmoe__form *form;
    const char *pattern;
    const char *name;  /* what the core calls it */
    uint32_t layout;
    uint32_t experts; /* in the files */
    int shared;
    uint64_t rows, columns; /* out, in */
    clmoe_tensor *tensor;
} clmoe__matrix_files;

/* Where quantization_config may stand: beside the keys of the text part, or above them. NULL at the end. */
extern const char *const clmoe__quantization_keys[];
clmoe__expected clmoe__matrix_shape(const clmoe__matrix_files *m);
/* The end of a matrix's name in the files of this form. */
const char *clmoe__form_suffix(const clmoe__form *form);
/* Points m->tensor, and its scales, at the files. */
clmoe_status clmoe__build_matrix(clmoe__builder *b, const clmoe__matrix_files *m);
/* The next list of one pointer an expert. */
const void **clmoe__new_list(clmoe__builder *b);

/* Is the matrix of this name there in groups of integers? The next two are for those that are. (model_groups.c) */
int clmoe__groups_there(const clmoe__builder *b, const clmoe__form *form, const char *pattern);
clmoe_status clmoe__build_groups(clmoe__builder *b, const clmoe__matrix_files *m);
/* Matrices that share panels, `other` may be NULL: they lose their zero points if none needs them. What is not in
 * groups stays what it is. */
void clmoe__settle_groups(clmoe__builder *b, clmoe_tensor *one, clmoe_tensor *other);
void clmoe__groups_name(uint32_t format, char name[16]);

/* The rule of a layer in words; has_bias: experts are chosen with a bias. (rule_text.c) */
void clmoe__rule_text(const clmoe_layer_desc *desc, int has_bias, char *text, size_t room);

#endif
