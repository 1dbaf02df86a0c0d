/* The memory behind a layer_case: matrices of random values, plain or in blocks, and tensors made of them in any
 * arrangement the public API takes. */
#ifndef CLMOE_TESTS_CASE_TENSORS_H
#define CLMOE_TESTS_CASE_TENSORS_H

#include "layer_case.h"

/* `count` zeros that live as long as the case. */
double *case_zeros(layer_case *c, size_t count);
/* Random values of this spread, already rounded to source format and storage format (FORMAT_NONE: to the source's). */
double *case_draw(layer_case *c, test_random *random, size_t count, double spread, uint32_t format);
/* The same for a matrix of the layer, in blocks where the options say so. */
double *case_draw_matrix(layer_case *c, enum case_matrix matrix, test_random *random, size_t count, double spread);
/* Gate and up rows of `width` values in one tensor [2I]: all gates first, or in turns. */
double *case_merge(layer_case *c, const double *gate, const double *up, size_t experts, size_t I, size_t width);

/* A tensor holding drawn values [experts][out][in] (out 1: a vector, which has no layout and no row stride). Memory is
 * exact: nothing behind the last element. */
clmoe_tensor case_tensor(layer_case *c, const double *values, size_t experts, size_t out, size_t in);

/* Frees what tensors name. */
void case_drop_sources(layer_case *c);
/* And the values. */
void case_drop_values(layer_case *c);

#endif
