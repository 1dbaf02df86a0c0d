/* See cl_entry.h. Calls nothing of the library. */
#include "cl_entry.h"

#include <stdint.h>
#include <string.h>

#include "opencl/cl_table.h"

void *cl_entry(const char *name) {
#define OWN(entry) \
    if (strcmp(name, #entry) == 0) return (void *)(uintptr_t)&entry;
    CLMOE__CL_LIST(OWN)
#undef OWN
    return NULL;
}
