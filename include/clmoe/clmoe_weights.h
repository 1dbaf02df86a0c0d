/* clmoe: tensors as models have them, and a layer's weights, packed once for the device. Part of <clmoe/clmoe.h>, whose
 * conventions hold here. */
#ifndef CLMOE_CLMOE_WEIGHTS_H
#define CLMOE_CLMOE_WEIGHTS_H

#include <clmoe/clmoe_context.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum clmoe_layout {
    CLMOE_OUT_IN = 0, /* [out, in], as a linear layer's weight in PyTorch */
    CLMOE_IN_OUT = 1  /* [in, out] */
} clmoe_layout;

/* One factor for each block of a matrix: element (r, c) of the OUT_IN matrix is multiplied by
 * scale[r / block_rows][c / block_columns], [ceil(rows / block_rows), ceil(columns / block_columns)] without gaps.
 * DeepSeek-V3's fp8 has F32 scales of 128 x 128 blocks, mxfp4 has F8_E8M0 scales of 1 x 32. One of the sources is
 * set. */
typedef struct clmoe_scales {
    uint32_t format; /* clmoe_format: F32, F16, BF16 or F8_E8M0 */
    uint32_t block_rows, block_columns;
    uint32_t reserved;
    const void *host;                /* all experts, one behind the other */
    const void *const *host_list;    /* one pointer an expert */
    clmoe_buffer buffer;             /* device memory, one expert behind the other */
    const clmoe_buffer *buffer_list; /* one an expert */
} clmoe_scales;

/* One tensor for every expert. Exactly one of the sources is set; none = absent. */
typedef struct clmoe_pieces {
    const void *host;                /* all experts, one behind the other */
    const void *const *host_list;    /* one pointer an expert */
    clmoe_buffer buffer;             /* device memory, one expert behind the other */
    const clmoe_buffer *buffer_list; /* one an expert */
} clmoe_pieces;

/* How the codes of a matrix [N, K] lie in 32-bit words, 32 / bits to a word, the first in the lowest bits. */
typedef enum clmoe_code_order {
    CLMOE_CODES_GPTQ = 0, /* codes [K / w, N] of neighbouring k; scales [G, N]; zeros [G, N / w] of neighbouring
                           * columns */
    CLMOE_CODES_AWQ = 1,  /* codes [K, N / w] of neighbouring columns, the even ones of a word first (0 2 4 6 1 3 5 7);
                           * scales [G, N]; zeros [G, N / w] in the same order */
    CLMOE_CODES_ROWS = 2  /* codes [N, K / w] of neighbouring k; scales [N, G]; zeros [ceil(N / w), G] of neighbouring
                           * rows (compressed-tensors) */
} clmoe_code_order;

/* A matrix whose format is one of groups (CLMOE_U4_G32 ...), in tensors of its own for codes, scales and zero points,
 * as checkpoints have them. The tensor's sources are the words of codes, without gaps; its layout and strides stay 0.
 * G groups of group_size neighbouring k each, the last may be shorter; a group is one or several of the format's
 * blocks, which repeat its scale. N and K must be multiples of the codes in a word where those share one. */
typedef struct clmoe_groups {
    uint32_t order;        /* clmoe_code_order */
    uint32_t group_size;   /* k that share a scale, a multiple of the format's block; 0 = all of a row */
    uint32_t scale_format; /* F16; F32 and BF16 are rounded to it (BF16 from 2^-17 on keeps all its bits) */
    uint32_t zeros_less_1; /* 1: zero points are stored one less, words modulo 2^32, as GPTQ's first format has them */
    clmoe_pieces scales;
    clmoe_pieces zeros; /* given with the U formats, absent with the S formats */
} clmoe_groups;

/* A matrix or vector for every expert, on the host or in device memory. Exactly one of host, host_list, buffer and
 * buffer_list is set; none = the tensor is absent. Sources are read during the create call only. */
typedef struct clmoe_tensor {
    uint32_t format; /* clmoe_format of the source: F32, F16 or BF16; matrices also F8_E4M3, F4_E2M1 and block formats,
                      * these all in OUT_IN layout, with strides that are multiples of the values a block (or byte)
                      * holds */
    uint32_t layout; /* clmoe_layout */
    const void *host;                /* all experts, expert_stride apart */
    const void *const *host_list;    /* one pointer an expert */
    clmoe_buffer buffer;             /* device memory, expert_stride apart */
    const clmoe_buffer *buffer_list; /* one an expert */
    uint64_t expert_stride;          /* elements from one expert to the next; 0 = no gap */
    uint64_t row_stride;             /* elements from one stored row to the next; 0 = no gap */
    const clmoe_scales *scales;      /* NULL = none; for F8_E4M3 and F4_E2M1 in OUT_IN layout only */
    const clmoe_groups *groups;      /* NULL = none; a matrix in a format of groups, in separate tensors */
    uint64_t reserved;
} clmoe_tensor;

typedef enum clmoe_gate_up {
    CLMOE_GATE_UP_SEPARATE = 0,     /* `gate` [I, H] and `up` [I, H]; only `up` where not gated */
    CLMOE_GATE_UP_CONCATENATED = 1, /* `up` [2I, H]: all gate rows, then all up rows; `gate` absent */
    CLMOE_GATE_UP_INTERLEAVED = 2   /* `up` [2I, H]: gate and up rows take turns; `gate` absent */
} clmoe_gate_up;

/* One set of feed-forward experts. Shapes are for OUT_IN. Biases follow the arrangement of their matrices. */
typedef struct clmoe_ffn {
    uint32_t num_experts;       /* experts held here; for the shared experts 1 */
    uint32_t intermediate_size; /* I; 0 = this set is absent */
    uint32_t gated;
    uint32_t gate_up;       /* clmoe_gate_up */
    clmoe_tensor gate;      /* [I, H] */
    clmoe_tensor up;        /* [I, H] or [2I, H] */
    clmoe_tensor down;      /* [H, I] */
    clmoe_tensor gate_bias; /* [I], optional */
    clmoe_tensor up_bias;   /* [I] or [2I], optional */
    clmoe_tensor down_bias; /* [H], optional */
    /* [num_experts] each, in one place (host or buffer), optional: factors on the products with a matrix, before the
     * bias (nvfp4 files have them). Separate gate and up: both or neither; merged: up_scale is of both halves. */
    clmoe_tensor gate_scale, up_scale, down_scale;
    uint64_t reserved[8];   /* 0 */
} clmoe_ffn;

typedef struct clmoe_weights_desc {
    size_t struct_size;
    uint32_t hidden_size; /* H */
    /* clmoe_format in which matrices are kept (the router: as router_arithmetic says): F32, F16, BF16 or a block format
     * that is no mere source. F32, F16 and BF16 are quantised to Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q6_K and MXFP4,
     * the bytes ggml writes, and F8_E4M3 becomes F8_B128; no other conversion to a block format exists (UNSUPPORTED, as
     * where in_features is no multiple of the block's values). Default, for each matrix: its source's format if that is
     * a block format, F16 for those that are mere sources, F32 where gate and up differ in a block format; F8_B128 for
     * F8_E4M3 where it takes the scales; all others as experts.up, or as themselves where that has a block format, BF16
     * where that is a narrow one. */
    uint32_t format;
    uint32_t arithmetic;  /* clmoe_arithmetic; the experts' formats must allow it, shared and latent matrices that do
                           * not are computed in F32 */
    uint32_t num_classes; /* rows of router, router_bias, select_bias and expert_scale; 0 = none of them is given */
    clmoe_ffn experts;
    clmoe_ffn shared;           /* all shared experts as one, intermediate_size their sum */
    clmoe_tensor shared_gate;   /* [1, H]: the shared output is multiplied by sigmoid(x . shared_gate); optional */
    clmoe_tensor router;        /* [num_classes, H]; optional where the caller brings logits or routes */
    clmoe_tensor router_bias;   /* [num_classes], added to the logits; optional */
    clmoe_tensor select_bias;   /* [num_classes], for selection only; optional */
    clmoe_tensor expert_scale;  /* [num_classes], factor on the weights; optional */
    clmoe_tensor output_bias;   /* [H], added to the block's output once a token (JetMoE); optional */
    /* Experts that work in a smaller space (Nemotron-H): they see latent_in . x and their weighted sum goes through
     * latent_out. The matrices of `experts` then have latent_size where H stands; router and shared experts see x.
     * 0 = none, and the tensors are absent. Not with zero_experts. */
    uint32_t latent_size; /* L */
    clmoe_tensor latent_in;  /* [L, H] */
    clmoe_tensor latent_out; /* [H, L] */
    /* Called when the source of a tensor (and of one expert of it) has been read and may be freed. NULL = no call. */
    void (*released)(void *user, const char *tensor, uint32_t expert);
    void *released_user;
    uint32_t allow_variance; /* 1: matrices may be packed for a variant whose results depend on the batch, as explained
                              * at clmoe_layer_desc.allow_variance, which must be 1 as well then */
    /* How logits are computed. AUTO and F32 (default): the router is kept in f32, products and sums are f32, whatever
     * the experts have. BF16, for matrix units: the router is kept as two bf16 matrices, its values rounded and what
     * that left of them, in the same bytes; x must be bf16; products with both are exact, and sums f32. A weight then
     * errs by at most 2^-16 of itself, not at all where the router's source is bf16, and a logit, measured with
     * normally distributed numbers, by less than 2^-20 of the sum of its terms' magnitudes (4.5e-7; F32: 1.8e-7). An
     * infinity in x may make its token's logits NaN. UNSUPPORTED with a router in a block format. */
    uint32_t router_arithmetic;
} clmoe_weights_desc;

CLMOE_API void clmoe_weights_desc_default(clmoe_weights_desc *desc, size_t struct_size);

/* A layer's weights on the device, packed once, immutable, shareable by any number of layers and threads. */
typedef struct clmoe_weights clmoe_weights;

/* Packs weights on the device and waits for it. `desc->experts.num_experts` counts what is held here, which is the
 * whole model's or one device's share. Device memory: the packed tensors, columns rounded up to whole panels, and at
 * most 64 MiB of staging while it runs. Tensors larger than the largest single buffer are split in up to 8 buffers. */
CLMOE_API clmoe_status clmoe_weights_create(clmoe_context *context, const clmoe_weights_desc *desc,
                                            clmoe_weights **weights, clmoe_error *error);
CLMOE_API void clmoe_weights_destroy(clmoe_weights *weights);
/* Bytes of device memory they occupy. 0 for NULL. */
CLMOE_API uint64_t clmoe_weights_bytes(const clmoe_weights *weights);

#ifdef __cplusplus
}
#endif
#endif
