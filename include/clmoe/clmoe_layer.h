/* clmoe: layers, the workspaces they run in, and the forward pass. Part of <clmoe/clmoe.h>, whose conventions hold
 * here. */
#ifndef CLMOE_CLMOE_LAYER_H
#define CLMOE_CLMOE_LAYER_H

#include <clmoe/clmoe_context.h>
#include <clmoe/clmoe_routing.h>
#include <clmoe/clmoe_weights.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -------------------------------------------------------------------------------------------- activation */

typedef enum clmoe_activation_kind {
    CLMOE_SILU = 0,
    CLMOE_GELU = 1,      /* erf */
    CLMOE_GELU_TANH = 2,
    CLMOE_RELU = 3,
    CLMOE_RELU2 = 4,     /* relu squared */
    CLMOE_IDENTITY = 5
} clmoe_activation_kind;

typedef enum clmoe_limit_position { CLMOE_LIMIT_BEFORE = 0, CLMOE_LIMIT_AFTER = 1 } clmoe_limit_position;

/* h = act(g) * (u + up_offset), or act(u) when not gated. SILU is g * sigmoid(alpha * g). With limit > 0:
 *   BEFORE  g = min(g, limit), u = clamp(u, -limit, limit), then the above        (DeepSeek-V4, gpt-oss)
 *   AFTER   act(g) = min(act(g), limit), u clamped likewise                       (Step-3.5)
 * Not gated, only the upper limit applies, to u or to act(u).
 * With gate_softcap > 0 the gate's factor is softcap * tanh(g / softcap) * sigmoid(alpha * g), with up_softcap > 0 u is
 * capped likewise (Inkling-2). */
typedef struct clmoe_activation {
    uint32_t kind;  /* clmoe_activation_kind */
    uint32_t gated; /* 1: gate and up matrices (default), 0: up only */
    float alpha;    /* default 1; SILU only */
    float up_offset;
    float limit; /* 0 = none */
    uint32_t limit_position;
    float gate_softcap; /* 0 = none; SILU only */
    float up_softcap;
    uint32_t reserved[4];
} clmoe_activation;

/* ------------------------------------------------------------------------------------------------- layer */

typedef struct clmoe_layer_desc {
    size_t struct_size;
    clmoe_routing routing;
    clmoe_activation activation;        /* of the experts; gated must match the weights */
    clmoe_activation shared_activation; /* of the shared experts */
    uint32_t x_format;                  /* clmoe_format of x and router_input; default F32 */
    uint32_t out_format;                /* of out; default F32 */
    float routed_scale;                 /* factor on the routed sum; default 1 */
    float shared_scale;                 /* factor on the shared output; default 1 */
    uint32_t first_expert;              /* this device's share: weights hold experts [first_expert, + local_experts) */
    uint32_t local_experts;             /* 0 = all. Routes to other experts add nothing here */
    uint32_t omit_shared;               /* 1: leave shared experts, zero experts and output_bias to another device */
    /* 1: variants may be used that do not keep the fixed summation order. There is one, clblast/gemm: f32 weights of
     * experts, shared experts and latent space multiplied by CLBlast, a call for each expert that has rows, on machines
     * that have that library (it is looked up at run time). Which of its kernels runs depends on the number of an
     * expert's rows, so a token's result depends on its batch in its last bits; infinities and NaN are CLBlast's
     * affair; and clmoe_forward waits on the host until the experts' rows are counted. It is chosen only where the
     * weights were packed for it: with allow_variance in their description, for matrices for which a row of tuning says
     * that it was measured faster (`clmoe-bench tune` does that; own_percent below 100: a forward's time in percent of
     * that with the library's own variant), or, without any allow_variance, where CLMOE_PREFER or
     * clmoe_context_desc.prefer names it. */
    uint32_t allow_variance;
    /* clmoe_format in which the experts' outputs wait for the weighted sum: rows of H, one for each token and slot.
     * Default F32. BF16 and F16 halve the memory they take in a workspace and the traffic to and from it. Each value is
     * rounded once, to nearest even: an error of at most 2^-8 (BF16) or 2^-11 (F16, whose largest value is 65504) of
     * every y[t, s] beside what the arithmetic brings; sums stay in f32, and the shared experts' output stays f32. */
    uint32_t y_format;
    uint32_t router_input; /* 1: the router has an input of its own: a forward that routes must have io.router_input */
} clmoe_layer_desc;

CLMOE_API void clmoe_layer_desc_default(clmoe_layer_desc *desc, size_t struct_size);

/* Weights and rule, ready to run: every kernel is compiled and proved when creation returns. Immutable. */
typedef struct clmoe_layer clmoe_layer;

CLMOE_API clmoe_status clmoe_layer_create(clmoe_context *context, clmoe_weights *weights, const clmoe_layer_desc *desc,
                                          clmoe_layer **layer, clmoe_error *error);
CLMOE_API void clmoe_layer_destroy(clmoe_layer *layer);
/* Text: the variant of each stage, and why better ones were refused. As clmoe_context_describe. */
CLMOE_API clmoe_status clmoe_layer_describe(const clmoe_layer *layer, char *text, size_t capacity, size_t *length,
                                            clmoe_error *error);

/* --------------------------------------------------------------------------------------------- workspace */

/* The memory and kernels one queue needs to run layers of one context. Any number of layers share it. */
typedef struct clmoe_workspace clmoe_workspace;

typedef struct clmoe_workspace_desc {
    size_t struct_size;
    clmoe_buffer memory;   /* the arena, if the caller owns it; absent: the library's, grown when needed */
    uint64_t memory_bytes; /* its size from memory.offset on */
} clmoe_workspace_desc;

CLMOE_API void clmoe_workspace_desc_default(clmoe_workspace_desc *desc, size_t struct_size);

/* desc may be NULL. The queue must belong to the context's cl_context and device; it is retained. In-order and
 * out-of-order queues both work. */
CLMOE_API clmoe_status clmoe_workspace_create(clmoe_context *context, cl_command_queue queue,
                                              const clmoe_workspace_desc *desc, clmoe_workspace **workspace,
                                              clmoe_error *error);
CLMOE_API void clmoe_workspace_destroy(clmoe_workspace *workspace);
/* Arena bytes for a forward of this many tokens in one pass. A smaller arena means passes with the same bits, down to
 * what one token needs. */
CLMOE_API clmoe_status clmoe_layer_workspace_bytes(const clmoe_layer *layer, uint32_t tokens, uint64_t *bytes,
                                                   clmoe_error *error);

/* ----------------------------------------------------------------------------------------------- forward */

/* What a forward reads and writes. x, out and tokens are required, the rest is optional. */
typedef struct clmoe_io {
    size_t struct_size;
    uint32_t tokens;        /* T, 0 allowed; below 2^31 / slots */
    uint32_t accumulate;    /* 1: out += result instead of out = result */
    clmoe_buffer x;         /* [T, H] in x_format */
    uint64_t x_stride;      /* elements from token to token; 0 = H */
    clmoe_buffer out;       /* [T, H] in out_format; must not overlap x */
    uint64_t out_stride;    /* 0 = H */
    clmoe_buffer token_count;   /* int32 [1]: how many of the T tokens are valid, known on the device only. It is
                                 * clamped to 0..T; rows behind it are neither read nor written */
    clmoe_buffer router_input;  /* [T, H] in x_format: what the router multiplies in place of x. Gemma-4: of the
                                 * residual stream r before the block, r / rms(r) * scale / sqrt(H) with the router's
                                 * own scale [H]; SmallThinker: the layer's input, ahead of norm and attention */
    uint64_t router_input_stride;
    clmoe_buffer logits;        /* f32 [T, classes] in place of the router */
    clmoe_buffer index;         /* int32 [T, slots] with weight, in place of the whole routing. -1 = unused slot; any
                                 * other value outside 0..classes-1 is taken as unused as well */
    clmoe_buffer weight;        /* f32 [T, slots] */
    clmoe_buffer out_index;     /* int32 [T, slots]: the chosen classes, -1 = unused. Not with index */
    clmoe_buffer out_weight;    /* f32 [T, slots]: their weights. Not with index */
    clmoe_buffer out_load;      /* int32 [classes]: tokens each class was chosen for, of all devices' experts */
    clmoe_buffer sequence_offsets;  /* reserved: must be absent */
    clmoe_buffer saved_activations; /* reserved: must be absent */
} clmoe_io;

CLMOE_API void clmoe_io_default(clmoe_io *io, size_t struct_size);

/* Enqueues a forward pass on `queue` and returns at once (it flushes, it never waits; with variants that need
 * clmoe_layer_desc.allow_variance, the host waits for the routing, on out-of-order queues also for each product).
 *   workspace  made for this queue, or NULL: the context keeps one for each queue it meets
 *   wait       n_wait events that the first kernel waits for
 *   done       NULL, or receives an event the caller releases; also for zero tokens
 * The caller keeps buffers of `io` unchanged until the event. Two runs give equal bits, and a token's result does not
 * depend on the other tokens (expert choice excepted). Any thread; calls on one workspace are serialised. */
CLMOE_API clmoe_status clmoe_forward(clmoe_layer *layer, clmoe_workspace *workspace, cl_command_queue queue,
                                     const clmoe_io *io, cl_uint n_wait, const cl_event *wait, cl_event *done,
                                     clmoe_error *error);

/* The same from host memory, finished when it returns: x [tokens, H] in x_format, y [tokens, H] in out_format. Uses a
 * queue and buffers that the layer keeps; concurrent calls on one layer take turns. */
CLMOE_API clmoe_status clmoe_forward_host(clmoe_layer *layer, const void *x, uint32_t tokens, void *y,
                                          clmoe_error *error);

#ifdef __cplusplus
}
#endif
#endif
