/* The inside of a clmoe_weights: every tensor of a layer, packed. */
#ifndef CLMOE_LAYER_WEIGHTS_H
#define CLMOE_LAYER_WEIGHTS_H

#include "gemm.h"

/* A set of feed-forward experts; intermediate_size 0: absent. */
typedef struct clmoe__ffn {
    uint32_t num_experts, intermediate_size;
    int gated;
    clmoe__matrix up, down;
} clmoe__ffn;

struct clmoe_weights {
    clmoe__counter references;
    clmoe_context *context;
    uint32_t hidden_size, num_classes, format, arithmetic;
    uint32_t latent_size;      /* 0: the experts see x itself */
    uint32_t experts_size;     /* features of an expert's input and output: latent_size, or else hidden_size */
    clmoe__gemm_choice choice; /* of the experts, fixed here because it fixes the layout */
    clmoe__gemm_choice router_choice;
    char refused[512]; /* variants that were not chosen for the experts, and why */
    clmoe__ffn experts, shared;
    clmoe__matrix latent_in, latent_out; /* one group each, packed as the experts are */
    int has_router;
    clmoe__matrix router; /* f32, one group of num_classes columns */
    clmoe__vector select_bias, expert_scale, shared_gate, output_bias;
};

void clmoe__weights_retain(clmoe_weights *weights);

#endif
