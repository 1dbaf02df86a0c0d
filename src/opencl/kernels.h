/* The kernel sources inside the library, made from cl/ by cmake/embed.cmake. */
#ifndef CLMOE_OPENCL_KERNELS_H
#define CLMOE_OPENCL_KERNELS_H

#include <stddef.h>

/* One file of cl/. A 0 byte follows the text and is not counted. */
typedef struct clmoe__embedded {
    const char *name; /* relative to cl/, for example "micro/f32.clh" */
    const unsigned char *bytes;
    size_t size;
} clmoe__embedded;

extern const clmoe__embedded clmoe__embedded_kernels[]; /* ordered by name */
extern const size_t clmoe__embedded_count;

/* SHA-256 of all sources of the library, kernels included, in digits; made by cmake/source_hash.cmake. */
extern const char clmoe__source_hash[];

#endif
