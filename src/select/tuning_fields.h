/* The numbers of a choice that a tuner may change, by name: what they are called in the lines of tuning files, between
 * which values they lie, and which are worth trying. None of them changes the layout of packed weights or a bit of any
 * result. */
#ifndef CLMOE_SELECT_TUNING_FIELDS_H
#define CLMOE_SELECT_TUNING_FIELDS_H

#include "gemm_variants.h"

#define CLMOE__TUNING_FIELDS 24 /* at most, of a macro-kernel */
#define CLMOE__TUNING_TRIES  8

typedef struct clmoe__tuning_field {
    const char *name;
    size_t offset;                       /* of a uint32_t in clmoe__gemm_choice */
    uint32_t low, high;                  /* what a line may say at all; clmoe__choice_fits decides */
    int of_plan;                         /* GEMMs that share a plan share it: the smallest counts for all */
    uint32_t tries[CLMOE__TUNING_TRIES]; /* ended by UINT32_MAX, or full */
} clmoe__tuning_field;

/* The i-th number of a macro-kernel, NULL past the last. */
const clmoe__tuning_field *clmoe__tuning_field_at(clmoe__macro macro, uint32_t i);
uint32_t clmoe__tuning_get(const clmoe__gemm_choice *choice, const clmoe__tuning_field *field);
void clmoe__tuning_set(clmoe__gemm_choice *choice, const clmoe__tuning_field *field, uint32_t value);
/* 1, or 0 and why the device cannot run the choice with its numbers: what shipped rows are asked too. */
int clmoe__choice_fits(const clmoe_context *context, const clmoe__gemm_choice *choice, int is_block,
                       uint32_t arithmetic, char *reason, size_t capacity);

/* A size's class: the power of two at or above it, 64 to 65536. */
uint32_t clmoe__size_class(uint64_t size);

#endif
