/* What config.json says of groups of integers (model_scheme.c), for model_groups.c. */
#ifndef CLMOE_MODEL_MODEL_SCHEME_H
#define CLMOE_MODEL_MODEL_SCHEME_H

#include "model_layer.h"

/* A way of storing. */
typedef struct clmoe__method {
    const char *name; /* quant_method */
    const char *codes, *scales, *zeros, *group_of,
        *shape;     /* ends of names; group_of: the group of each k; NULL: none */
    uint32_t order; /* clmoe_code_order */
} clmoe__method;

/* The i-th, NULL past the last. */
const clmoe__method *clmoe__method_at(size_t i);

typedef struct clmoe__scheme {
    const clmoe__method *method;
    uint32_t bits, group_size; /* group_size 0: all of a row */
    int by_shape;              /* modules differ: the tensors tell bits, groups and zero points */
    int has_zeros, zeros_less_1;
    int is_symmetric; /* zero points are said to be in the middle */
    int has_order;    /* a tensor must say which k is in which group */
} clmoe__scheme;

clmoe_status clmoe__scheme_read(const clmoe__builder *b, clmoe__scheme *scheme);

#endif
