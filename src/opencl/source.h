/* Kernel sources as text: from the library itself or the context's kernel folder, with their includes expanded. */
#ifndef CLMOE_OPENCL_SOURCE_H
#define CLMOE_OPENCL_SOURCE_H

#include "context.h"

/* The text of cl/<file> as the compiler gets it, malloc'd and ended by a 0; *length does not count the 0. KERNEL_SOURCE
 * names a file that is missing, or the chain of includes that leads back to its start. */
clmoe_status clmoe__source_read(const clmoe_context *context, const char *file, char **text, size_t *length,
                                clmoe_error *error);

#endif
