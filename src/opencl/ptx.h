/* Programs with instructions that NVIDIA's OpenCL compiler does not aim at: an architecture's own ones ("sm_90a").
 *
 * Their sources have such lines as PTX comments ("//@sm_90a wgmma.fence.sync.aligned;"), so that the compiler lets them
 * through, and are built with -DPTX_TARGET=sm_90a. The driver's binary is PTX text; here the comment marks go and the
 * target becomes the one named, and the driver assembles the result as a program from a binary. */
#ifndef CLMOE_OPENCL_PTX_H
#define CLMOE_OPENCL_PTX_H

#include "context.h"

#define CLMOE__PTX_OPTION "-DPTX_TARGET=" /* of a program's options: what follows, up to a blank, is the target */

/* The target that the options name: 1, or 0 if they name none. One that does not fit is cut, and then refused. */
int clmoe__ptx_target(const char *options, char *target, size_t capacity);
/* A copy of the text, malloc'd, with every line that begins with "//@TARGET " freed of that and the .target line's
 * "sm_90" made "sm_90a"; all else stays as it is. BUILD_FAILED: it is no PTX text, it is for another target, or no
 * line is marked. */
clmoe_status clmoe__ptx_patch(const char *text, size_t bytes, const char *target, char **patched, size_t *patched_bytes,
                              clmoe_error *error);
/* In place of *program, which is built, the one for the target. On failure *program is as it was; BUILD_FAILED: the
 * driver does not go along. */
clmoe_status clmoe__ptx_retarget(const clmoe_context *context, const char *target, const char *options,
                                 cl_program *program, clmoe_error *error);

#endif
