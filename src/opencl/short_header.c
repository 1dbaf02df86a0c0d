/* Which drivers get a short header (short_header.h), and how their own is left out. Calls no OpenCL function. */
#include "short_header.h"

#include <string.h>

#include "kernels.h"

/* Only versions it was tried with, for what keeps a header out is not documented.
 * POCL 3.1 runs the preprocessor over clang's opencl-c.h to tell whether it has a program in its cache, 30 ms each, and
 * parses it, 150 ms, where it has not. Without, 8 and 30 ms. It checks the header's guard itself before including it
 * once more. */
static const struct {
    const char *platform, *version, *option, *file;
} headers[] = {
    {"Portable Computing Language", "PoCL 3.1", "-D_OPENCL_H_ ", "builtins.clh"},
};

clmoe__short_header clmoe__short_header_for(const clmoe__device *device) {
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        if (strcmp(device->platform, headers[i].platform) != 0) continue;
        if (strstr(device->platform_version, headers[i].version) == NULL) continue;
        for (size_t k = 0; k < clmoe__embedded_count; k++)
            if (strcmp(clmoe__embedded_kernels[k].name, headers[i].file) == 0)
                return (clmoe__short_header){headers[i].option, (const char *)clmoe__embedded_kernels[k].bytes,
                                             clmoe__embedded_kernels[k].size};
    }
    return (clmoe__short_header){NULL, NULL, 0};
}
