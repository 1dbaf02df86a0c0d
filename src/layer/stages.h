/* What the stages of a layer share inside: each public stage object embeds no other; the layer drives them through the
 * clmoe__*_launch functions below, which take a run that is already open and buffers that are already checked. */
#ifndef CLMOE_LAYER_STAGES_H
#define CLMOE_LAYER_STAGES_H

#include <clmoe/clmoe_stages.h>

#include "checks.h"

/* A small f32 vector on the device, from an optional tensor; mem NULL when the tensor is absent. (vector.c) */
typedef struct clmoe__vector {
    clmoe__block block;
} clmoe__vector;
/* Reads `count` values of a tensor of one group ([count], any source and format) into device memory as f32. */
clmoe_status clmoe__vector_create(clmoe_context *context, const clmoe_tensor *tensor, uint64_t count, const char *name,
                                  clmoe__vector *vector, clmoe_error *error);
void clmoe__vector_destroy(clmoe_context *context, clmoe__vector *vector);
/* Checks what can be said of a tensor without reading it: exactly one source, format, layout, strides no smaller than
 * the rows they step over, reserved fields 0; device sources large enough. Absent is legal unless required. */
clmoe_status clmoe__tensor_check(const clmoe_context *context, const clmoe_tensor *tensor, uint32_t experts,
                                 uint64_t rows, uint64_t columns, int required, const char *name, clmoe_error *error);
/* The same for a matrix, which may also be in a narrow format, with scales. */
clmoe_status clmoe__matrix_tensor_check(const clmoe_context *context, const clmoe_tensor *tensor, uint32_t experts,
                                        uint64_t rows, uint64_t columns, int required, const char *name,
                                        clmoe_error *error);
int clmoe__tensor_present(const clmoe_tensor *tensor);

/* Like select_create, with vectors that somebody else owns (a clmoe_weights); NULL mem = absent. The public create
 * functions make vectors of their own and call these. */
clmoe_status clmoe__select_create(clmoe_context *context, const clmoe_routing *routing, cl_mem select_bias,
                                  cl_mem expert_scale, clmoe_select **select, clmoe_error *error);
/* Here slots may be 0: y is [tokens, hidden_size] then, summed already, and slot_row is not read. */
clmoe_status clmoe__combine_create(clmoe_context *context, const clmoe_combine_desc *desc, cl_mem shared_gate,
                                   cl_mem output_bias, clmoe_combine **combine, clmoe_error *error);

/* Work-items of a group: 1 on a CPU, where a loop is fastest; elsewhere the largest power of two that the device takes,
 * up to `most`. */
uint32_t clmoe__group_items(const clmoe__device *device, uint32_t most);

/* Enqueue the stage's launches on an open run; io as in the public functions, unchecked. With run->warm, tokens is 0
 * and every kernel of the stage is launched once. */
void clmoe__select_launch(clmoe__run *run, clmoe_select *select, const clmoe_select_io *io);
void clmoe__dispatch_launch(clmoe__run *run, clmoe_dispatch *dispatch, const clmoe_dispatch_io *io);
void clmoe__combine_launch(clmoe__run *run, clmoe_combine *combine, const clmoe_combine_io *io);

/* For a kernel that adds up one token's rows itself (gemm.c): build options and COMBINE_ARGUMENTS of combine.clh. */
void clmoe__combine_options(const clmoe_combine *combine, clmoe__options *options);
void clmoe__combine_arguments(clmoe__run *run, const clmoe_combine *combine, const clmoe_combine_io *io);

/* For a kernel that does the work of both (route.c): build options of select.clh and dispatch.clh; select's vectors as
 * two arguments; DISPATCH_ARGUMENTS behind the arguments that are set, and the launch of `groups` groups. */
void clmoe__select_options(const clmoe_select *select, clmoe__options *options);
void clmoe__dispatch_options(const clmoe_dispatch *dispatch, clmoe__options *options);
/* Bytes of local memory that dispatch.clh takes on devices that are not CPUs. */
uint64_t clmoe__dispatch_local_bytes(uint32_t classes);
/* For a kernel whose work-groups choose for a token each: how many work-items a group has, 1 on CPUs, else at most
 * `most` if that is more than select's own; 0 if that and `others` bytes do not fit in local memory. */
uint32_t clmoe__select_items(const clmoe_select *select, uint32_t most, uint64_t others);
void clmoe__select_tables(clmoe__run *run, const clmoe_select *select);
void clmoe__dispatch_launch_as(clmoe__run *run, const clmoe_dispatch *dispatch, const clmoe_dispatch_io *io,
                               uint32_t groups);
/* For a gather that dispatches too: build options of dispatch_gather.clh; whether so few slots are worth it. */
void clmoe__dispatch_gather_options(uint32_t classes, clmoe__options *options);
int clmoe__dispatch_is_small(const clmoe_dispatch *dispatch, uint32_t tokens);

/* A grouped GEMM without gate and activation whose weight, kept in bf16, is in parts (matrix.h). (grouped_gemm.c) */
clmoe_status clmoe__grouped_gemm_create_in_parts(clmoe_context *context, const clmoe_grouped_gemm_desc *desc,
                                                 clmoe_grouped_gemm **gemm, clmoe_error *error);

/* Calls `launch` on an open run with run->warm set, on a queue of its own, and waits: the last step of every create. */
clmoe_status clmoe__warm(clmoe_context *context, void (*launch)(clmoe__run *run, void *stage), void *stage,
                         clmoe_error *error);

/* Where the parts of a plan are; tokens, max_rows as in clmoe_dispatch_plan_layout. Sizes that overflow give
 * total = UINT64_MAX. */
void clmoe__plan_layout(const clmoe_dispatch_desc *desc, uint32_t tokens, uint64_t max_rows, clmoe_plan_layout *layout);

#endif
