/* Makes an OpenCL program of a kernel file and its options: from the cache, else from the source (embedded, or in the
 * context's kernel folder). */
#ifndef CLMOE_OPENCL_PROGRAM_MAKE_H
#define CLMOE_OPENCL_PROGRAM_MAKE_H

#include "cache.h"
#include "context.h"

typedef struct clmoe__made {
    cl_program opencl; /* built for the context's device; the caller's to release */
    clmoe__key key;    /* in the cache; set where the cache is read or written */
    int is_unsaved;    /* built from source with a key, and not yet in the cache */
} clmoe__made;

/* cl/<file> with the options, and -cl-std=CL1.2. `kernel` is the one that is wanted. */
clmoe_status clmoe__program_make(clmoe_context *context, const char *file, const char *options, const char *kernel,
                                 clmoe__made *made, clmoe_error *error);

#endif
