/* One layer under test together with its oracle: random weights in any arrangement the public API takes, the weights
 * and layer objects made from them, and a forward whose result can be judged. Equal options and stream give equal
 * weights on every device. */
#ifndef CLMOE_TESTS_LAYER_CASE_H
#define CLMOE_TESTS_LAYER_CASE_H

#include "oracle.h"
#include "support.h"

enum case_source { CASE_HOST, CASE_HOST_LIST, CASE_BUFFER, CASE_BUFFER_LIST };

/* Optional tensors, bits of case_options.with. */
enum case_with {
    CASE_UP_BIAS = 1, /* with the gate's, where gated */
    CASE_DOWN_BIAS = 2,
    CASE_ROUTER_BIAS = 4,
    CASE_SELECT_BIAS = 8,
    CASE_EXPERT_SCALE = 16,
    CASE_OUTPUT_BIAS = 32,
    CASE_SHARED_GATE = 64,
    CASE_SHARED_BIAS = 128,
    CASE_IDENTICAL = 256, /* all experts equal the first */
    CASE_NO_ROUTER = 512,
    CASE_FACTORS = 1024 /* on the products with the experts' and the shared experts' matrices */
};

/* The matrices of a layer that have formats and arithmetics of their own; gate goes with up. */
enum case_matrix {
    CASE_UP,
    CASE_DOWN,
    CASE_SHARED_UP,
    CASE_SHARED_DOWN,
    CASE_LATENT_IN,
    CASE_LATENT_OUT,
    CASE_MATRICES
};

typedef struct case_options {
    uint64_t stream; /* of random numbers */
    uint32_t hidden, intermediate, shared_intermediate;
    uint32_t latent; /* 0: the experts see x */
    uint32_t format, source_format, arithmetic;
    uint32_t blocks[CASE_MATRICES]; /* block formats of matrices' sources; CLMOE_FORMAT_NONE: source_format */
    uint32_t layout, source, gate_up; /* layout: of what is not in blocks */
    uint32_t gaps; /* elements, or blocks, between stored rows and between experts, filled with NaN */
    uint32_t with;
    clmoe_layer_desc layer;
} case_options;

/* f32, SwiGLU, softmax with normalised weights, host pointers. */
case_options case_default(uint32_t hidden, uint32_t intermediate, uint32_t experts, uint32_t top_k);

/* What a matrix is made from and becomes. */
typedef struct case_plan {
    uint32_t source, kept;
    uint32_t arithmetic; /* AUTO until the layer says what it chose */
} case_plan;

/* A drawn matrix in blocks. */
typedef struct case_blocks {
    const struct block_format *format;
    const double *values; /* [count], what they decode to, as it is multiplied */
    size_t count;
    uint8_t *bytes;
} case_blocks;

typedef struct layer_case {
    case_options options;
    test_device *device;
    clmoe_weights *weights;
    clmoe_layer *layer;
    oracle_layer oracle;
    case_plan plan[CASE_MATRICES];
    double *select_bias, *expert_scale; /* [classes] or NULL */
    void **owned;                       /* host memory to free */
    size_t owned_count;
    void **sources; /* the same, freed as soon as the weights exist */
    size_t source_count;
    test_buffer *buffers;
    size_t buffer_count;
    case_blocks *blocks;
    size_t block_count;
} layer_case;

/* Fails the test if the library refuses, or keeps a matrix in another format or arithmetic than the options ask for. */
layer_case *case_new(test_device *device, const case_options *options);
/* The same, but stops before creating anything; *desc is what would be passed to clmoe_weights_create. */
layer_case *case_describe(test_device *device, const case_options *options, clmoe_weights_desc *desc);
void case_free(layer_case *c);

/* Random x [tokens, H] in x_format, to be freed. */
void *case_input(const layer_case *c, uint32_t tokens, test_random *random);

typedef struct case_result {
    void *out;      /* [T, H] in out_format */
    int32_t *index; /* [T, slots] */
    float *weight;
    int32_t *load; /* [classes] */
} case_result;

/* Guarded, exact buffers for a forward with every optional output, and the io that names them. */
typedef struct case_buffers {
    test_buffer x, out, index, weight, load;
    clmoe_io io;
} case_buffers;
case_buffers case_buffers_new(const layer_case *c, const void *x, uint32_t tokens);
/* Waits for the device's queue, reads the results and frees the buffers. */
case_result case_buffers_take(const layer_case *c, case_buffers *buffers);

/* A forward on the device's queue. */
case_result case_forward(layer_case *c, clmoe_workspace *workspace, const void *x, uint32_t tokens);
void case_result_free(case_result *result);
/* A workspace in memory of as many bytes as this many tokens need; both the caller's to free. */
clmoe_workspace *case_workspace(const layer_case *c, uint32_t tokens, test_buffer *memory);
/* In such a workspace, which has no byte to spare: random x, a forward, case_check. */
void case_run_exactly(layer_case *c, uint32_t tokens, test_random *random);
/* From options to a result: a layer of its own, random x of this stream, a forward, case_check. */
case_result case_run(test_device *device, const case_options *options, uint32_t tokens, uint64_t stream);

/* Fails unless out is what the oracle gets for the routes of the result, and the routes fit themselves: indices in
 * range and distinct, load their count. */
void case_check(const layer_case *c, const void *x, uint32_t tokens, const case_result *result);
/* The oracle's comparison alone. before: what out held, in out_format, or NULL. */
void case_check_output(const layer_case *c, const void *x, uint32_t tokens, const int32_t *index, const float *weight,
                       const void *before, const void *out);

/* How far out is from what exact arithmetic on unrounded activations makes of the same weights: the mean square of the
 * error over that of the result. */
double case_nmse(const layer_case *c, const void *x, uint32_t tokens, const case_result *result);

/* Fails unless two results of the same case have equal bits throughout. */
void case_same(const layer_case *c, const char *what, const case_result *a, const case_result *b, uint32_t tokens);
size_t case_row_bytes(const layer_case *c); /* of a row of out */

/* Fails with the place of the first difference unless both hold equal bits. */
void case_same_bits(const char *what, const void *a, const void *b, size_t bytes);

#endif
