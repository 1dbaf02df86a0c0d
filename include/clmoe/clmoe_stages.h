/* clmoe's stages, one object each, for engines that bring their own routing or need one piece; and
 * <clmoe/clmoe_tuning.h>, measurements of a layer. Both are smaller than <clmoe/clmoe.h> and not yet stable: they may
 * change with a minor version.
 *
 * A layer is these five in a row:  logits -> select -> dispatch -> grouped_gemm (twice) -> combine.
 * Every stage has a *_create with a description, an asynchronous *_enqueue with buffers, and a *_destroy. The rules of
 * <clmoe/clmoe.h> on errors, threads, ownership, waiting and struct_size hold here too; `workspace` may be NULL as in
 * clmoe_forward. `tokens` is the host-known bound; `token_count` (int32 [1] in device memory, optional) the true
 * number.
 */
#ifndef CLMOE_CLMOE_STAGES_H
#define CLMOE_CLMOE_STAGES_H

#include <clmoe/clmoe.h>
#include <clmoe/clmoe_tuning.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------ logits */

/* logits[T, C] = x[T, H] . router[C, H]^T + bias[C], products and sums in f32, or as
 * clmoe_weights_desc.router_arithmetic says. */
typedef struct clmoe_logits clmoe_logits;

typedef struct clmoe_logits_desc {
    size_t struct_size;
    uint32_t hidden_size; /* H */
    uint32_t num_classes; /* C */
    uint32_t x_format;    /* clmoe_format; default F32 */
    clmoe_tensor router;  /* [C, H] */
    clmoe_tensor bias;    /* [C], optional */
    uint32_t arithmetic;  /* as clmoe_weights_desc.router_arithmetic */
    uint32_t reserved;    /* 0 */
} clmoe_logits_desc;

typedef struct clmoe_logits_io {
    size_t struct_size;
    uint32_t tokens;
    clmoe_buffer token_count;
    clmoe_buffer x;    /* [T, H] in x_format */
    uint64_t x_stride; /* elements; 0 = H */
    clmoe_buffer logits; /* out: f32 [T, C] */
} clmoe_logits_io;

CLMOE_API void clmoe_logits_desc_default(clmoe_logits_desc *desc, size_t struct_size);
CLMOE_API void clmoe_logits_io_default(clmoe_logits_io *io, size_t struct_size);
CLMOE_API clmoe_status clmoe_logits_create(clmoe_context *context, const clmoe_logits_desc *desc, clmoe_logits **logits,
                                           clmoe_error *error);
CLMOE_API clmoe_status clmoe_logits_enqueue(clmoe_logits *logits, clmoe_workspace *workspace, cl_command_queue queue,
                                            const clmoe_logits_io *io, cl_uint n_wait, const cl_event *wait,
                                            cl_event *done, clmoe_error *error);
/* As clmoe_grouped_gemm_variant. */
CLMOE_API const char *clmoe_logits_variant(const clmoe_logits *logits);
CLMOE_API void clmoe_logits_destroy(clmoe_logits *logits);

/* ------------------------------------------------------------------------------------------------ select */

/* index[T, slots], weight[T, slots] from logits[T, C] by a clmoe_routing. */
typedef struct clmoe_select clmoe_select;

typedef struct clmoe_select_desc {
    size_t struct_size;
    clmoe_routing routing;
    clmoe_tensor select_bias;  /* [C], optional */
    clmoe_tensor expert_scale; /* [C], optional */
} clmoe_select_desc;

typedef struct clmoe_select_io {
    size_t struct_size;
    uint32_t tokens;
    clmoe_buffer token_count;
    clmoe_buffer logits; /* f32 [T, C] */
    clmoe_buffer index;  /* out: int32 [T, slots]; -1 = unused (expert choice only) */
    clmoe_buffer weight; /* out: f32 [T, slots]; 0 where unused */
} clmoe_select_io;

CLMOE_API void clmoe_select_desc_default(clmoe_select_desc *desc, size_t struct_size);
CLMOE_API void clmoe_select_io_default(clmoe_select_io *io, size_t struct_size);
CLMOE_API clmoe_status clmoe_select_create(clmoe_context *context, const clmoe_select_desc *desc, clmoe_select **select,
                                           clmoe_error *error);
CLMOE_API clmoe_status clmoe_select_enqueue(clmoe_select *select, clmoe_workspace *workspace, cl_command_queue queue,
                                            const clmoe_select_io *io, cl_uint n_wait, const cl_event *wait,
                                            cl_event *done, clmoe_error *error);
CLMOE_API void clmoe_select_destroy(clmoe_select *select);

/* ---------------------------------------------------------------------------------------------- dispatch */

/* Groups the used (token, slot) pairs by expert, with a stable counting sort: rows of one expert are in (token, slot)
 * order. The result is a plan, one int32 buffer that the grouped GEMM and combine read:
 *
 *   [0] rows in use  [1] experts that have rows  [2] tiles  [3] valid tokens  [4..15] 0
 *   count   [L]      rows of each local expert (L = local_experts)
 *   offset  [L + 1]  its first row
 *   active  [L]      local experts that have rows, ascending; the rest is unspecified
 *   tiles   [max_tiles][4]  {local expert, first row, rows, 0}: an expert's n rows are cut into t = ceil(n / tile_rows)
 *                    tiles, tile i covering rows [n * i / t, n * (i + 1) / t) of it
 *   row_slot [max_rows]      row -> token * slots + slot
 *   slot_row [T * slots]     token * slots + slot -> row, or -1 where the slot is unused or its expert is not local
 *   scratch  [...]           the counting sort's own
 */
typedef struct clmoe_dispatch clmoe_dispatch;

typedef struct clmoe_dispatch_desc {
    size_t struct_size;
    uint32_t num_classes;   /* indices outside 0..num_classes-1 are unused slots */
    uint32_t slots;         /* slots a token has */
    uint32_t first_expert;  /* classes [first_expert, first_expert + local_experts) become rows */
    uint32_t local_experts; /* L */
    uint32_t tile_rows;     /* largest tile; clmoe_grouped_gemm_tile_rows() says what a GEMM wants */
    uint32_t full_tiles;    /* 0 (default): the near-equal tiles above; 1: tiles of tile_rows rows and one of what is
                             * left, to measure what the former bring */
} clmoe_dispatch_desc;

/* Where each part of a plan starts, in int32 elements, and its bounds. */
typedef struct clmoe_plan_layout {
    size_t struct_size;
    uint64_t count, offset, active, tiles, row_slot, slot_row, scratch;
    uint64_t total; /* elements in all */
    uint32_t max_rows;
    uint32_t max_active; /* min(L, max_rows) */
    uint32_t max_tiles;  /* max_rows / tile_rows + max_active */
    uint32_t chunks;     /* most pieces the counting sort works in */
} clmoe_plan_layout;

typedef struct clmoe_dispatch_io {
    size_t struct_size;
    uint32_t tokens;
    uint32_t max_rows; /* bound on used slots; 0 = tokens * slots. More used slots than that are dropped, last first */
    clmoe_buffer token_count;
    clmoe_buffer index; /* int32 [T, slots] */
    clmoe_buffer plan;  /* out */
    clmoe_buffer load;  /* out, optional: int32 [num_classes], slots that name each class, local or not */
    uint32_t load_accumulate; /* 1: load += */
} clmoe_dispatch_io;

CLMOE_API void clmoe_dispatch_desc_default(clmoe_dispatch_desc *desc, size_t struct_size);
CLMOE_API void clmoe_dispatch_io_default(clmoe_dispatch_io *io, size_t struct_size);
CLMOE_API clmoe_status clmoe_dispatch_create(clmoe_context *context, const clmoe_dispatch_desc *desc,
                                             clmoe_dispatch **dispatch, clmoe_error *error);
CLMOE_API clmoe_status clmoe_dispatch_plan_layout(const clmoe_dispatch *dispatch, uint32_t tokens, uint32_t max_rows,
                                                  clmoe_plan_layout *layout, clmoe_error *error);
CLMOE_API clmoe_status clmoe_dispatch_enqueue(clmoe_dispatch *dispatch, clmoe_workspace *workspace,
                                              cl_command_queue queue, const clmoe_dispatch_io *io, cl_uint n_wait,
                                              const cl_event *wait, cl_event *done, clmoe_error *error);
CLMOE_API void clmoe_dispatch_destroy(clmoe_dispatch *dispatch);

/* ------------------------------------------------------------------------------------------ grouped GEMM */

/* y[row] = epilogue(x[source(row)] . W_g^T), where group g owns the plan's rows [offset[g], offset[g + 1]).
 * Without a plan there is one group that owns all tokens and row = token. Sums run over k in rising order, always; with
 * bf16 arithmetic over pairs of k, the odd one first, as the hardware instruction does. */
typedef struct clmoe_grouped_gemm clmoe_grouped_gemm;

typedef struct clmoe_grouped_gemm_desc {
    size_t struct_size;
    uint32_t num_groups;   /* L; 1 allows running without a plan */
    uint32_t in_features;  /* k */
    uint32_t out_features; /* n: of y, thus I for a gated up-projection */
    uint32_t weight_format;
    uint32_t arithmetic;
    uint32_t gate_up;     /* clmoe_gate_up, read if the activation is gated */
    clmoe_tensor weight;  /* [n, k], or [2n, k] when gated and not separate */
    clmoe_tensor gate;    /* [n, k] when gated and separate */
    clmoe_tensor bias;    /* as weight, without k; optional */
    clmoe_tensor gate_bias;
    uint32_t activate; /* 0: y = x . W^T + bias; 1: y = activation of it */
    clmoe_activation activation;
    uint32_t x_format;
    uint32_t y_format;
    uint32_t slots; /* with a plan: source(row) = row_slot[row] / slots; 0: source(row) = row */
    uint32_t full_tiles; /* as the dispatch of its plans has it; 1 needs a plan */
} clmoe_grouped_gemm_desc;

typedef struct clmoe_grouped_gemm_io {
    size_t struct_size;
    uint32_t tokens;
    uint32_t max_rows; /* as given to the dispatch; 0 = tokens * max(slots, 1) */
    clmoe_buffer token_count; /* without a plan only */
    clmoe_buffer plan;        /* written by a dispatch with this GEMM's tile_rows; absent: one group of all tokens */
    clmoe_buffer x;
    uint64_t x_stride;   /* elements; 0 = in_features */
    clmoe_buffer weight; /* optional: f32 [T, slots], factor on each row's input */
    clmoe_buffer y;      /* out: [max_rows, out_features] */
    uint64_t y_stride;
} clmoe_grouped_gemm_io;

CLMOE_API void clmoe_grouped_gemm_desc_default(clmoe_grouped_gemm_desc *desc, size_t struct_size);
CLMOE_API void clmoe_grouped_gemm_io_default(clmoe_grouped_gemm_io *io, size_t struct_size);
CLMOE_API clmoe_status clmoe_grouped_gemm_create(clmoe_context *context, const clmoe_grouped_gemm_desc *desc,
                                                 clmoe_grouped_gemm **gemm, clmoe_error *error);
/* The tile_rows its plans must be made with. 0 for NULL. */
CLMOE_API uint32_t clmoe_grouped_gemm_tile_rows(const clmoe_grouped_gemm *gemm);
/* Its variant by name, for example "cpu/f32/fma". Valid as long as the object. */
CLMOE_API const char *clmoe_grouped_gemm_variant(const clmoe_grouped_gemm *gemm);
CLMOE_API clmoe_status clmoe_grouped_gemm_enqueue(clmoe_grouped_gemm *gemm, clmoe_workspace *workspace,
                                                  cl_command_queue queue, const clmoe_grouped_gemm_io *io,
                                                  cl_uint n_wait, const cl_event *wait, cl_event *done,
                                                  clmoe_error *error);
CLMOE_API void clmoe_grouped_gemm_destroy(clmoe_grouped_gemm *gemm);

/* ----------------------------------------------------------------------------------------------- combine */

/* out[t] = routed_scale * sum over slots in rising order of w[t, s] * y[slot_row[t, s]]
 *        + sum over slots that name a zero expert of w[t, s] * x[t]      (also times routed_scale)
 *        + shared_scale * gate(t) * shared[t] + output_bias              gate(t) = sigmoid(x[t] . shared_gate) or 1 */
typedef struct clmoe_combine clmoe_combine;

typedef struct clmoe_combine_desc {
    size_t struct_size;
    uint32_t hidden_size;
    uint32_t slots;
    uint32_t num_experts;  /* classes [num_experts, num_experts + zero_experts) are identities */
    uint32_t zero_experts;
    uint32_t x_format;   /* read for zero experts and shared_gate only */
    uint32_t out_format;
    uint32_t weighted;   /* 1 (default): multiply by w; 0: the weight is already in y (weight_on input) */
    uint32_t has_shared; /* 1: io.shared is given */
    float routed_scale;
    float shared_scale;
    clmoe_tensor shared_gate; /* [1, H], optional */
    clmoe_tensor output_bias; /* [H], optional */
    uint32_t y_format;        /* clmoe_format of io.y; default F32 */
    uint32_t reserved;        /* 0 */
} clmoe_combine_desc;

typedef struct clmoe_combine_io {
    size_t struct_size;
    uint32_t tokens;
    uint32_t accumulate; /* 1: out += */
    clmoe_buffer token_count;
    clmoe_buffer y;        /* [max_rows, H] in y_format */
    clmoe_buffer slot_row; /* int32 [T, slots]: the plan's part of that name */
    clmoe_buffer index;    /* int32 [T, slots]; needed with zero experts */
    clmoe_buffer weight;   /* f32 [T, slots] */
    clmoe_buffer x;        /* [T, H]; needed with zero experts or shared_gate */
    uint64_t x_stride;
    clmoe_buffer shared;   /* f32 [T, H] */
    clmoe_buffer out;      /* [T, H] in out_format */
    uint64_t out_stride;
} clmoe_combine_io;

CLMOE_API void clmoe_combine_desc_default(clmoe_combine_desc *desc, size_t struct_size);
CLMOE_API void clmoe_combine_io_default(clmoe_combine_io *io, size_t struct_size);
CLMOE_API clmoe_status clmoe_combine_create(clmoe_context *context, const clmoe_combine_desc *desc,
                                            clmoe_combine **combine, clmoe_error *error);
CLMOE_API clmoe_status clmoe_combine_enqueue(clmoe_combine *combine, clmoe_workspace *workspace, cl_command_queue queue,
                                             const clmoe_combine_io *io, cl_uint n_wait, const cl_event *wait,
                                             cl_event *done, clmoe_error *error);
CLMOE_API void clmoe_combine_destroy(clmoe_combine *combine);

#ifdef __cplusplus
}
#endif
#endif
