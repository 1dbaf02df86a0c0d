/* The inside of a clmoe_weights: every tensor of a layer, packed. */
#ifndef CLMOE_LAYER_WEIGHTS_H
#define CLMOE_LAYER_WEIGHTS_H

#include "gemm.h"

/* A set of feed-forward experts; intermediate_size 0: absent. */
typedef struct clmoe__ffn {
    uint32_t num_experts, intermediate_size;
    int gated;
    clmoe__matrix up, down;
    clmoe__gemm_choice up_choice, down_choice; /* fixed here because they fix the layout */
    clmoe__vector gate_scale, up_scale, down_scale; /* [num_experts]; absent: 1 */
} clmoe__ffn;

struct clmoe_weights {
    clmoe__counter references;
    clmoe_context *context;
    int is_plan; /* shapes and sizes only: no block has memory */
    uint32_t hidden_size, num_classes;
    uint32_t latent_size;      /* 0: the experts see x itself */
    uint32_t experts_size;     /* features of an expert's input and output: latent_size, or else hidden_size */
    char refused[512];         /* variants that were not chosen for experts.up, and why */
    clmoe__ffn experts, shared;
    clmoe__matrix latent_in, latent_out; /* one group each */
    clmoe__gemm_choice latent_in_choice, latent_out_choice;
    int has_router;
    clmoe__matrix router; /* one group of num_classes columns: f32, or bf16 in parts */
    clmoe__gemm_choice router_choice;
    clmoe__vector select_bias, expert_scale, shared_gate, output_bias;
};

void clmoe__weights_retain(clmoe_weights *weights);
/* Bytes of device memory that a set of experts takes, its factors included. */
uint64_t clmoe__ffn_bytes(const clmoe__ffn *ffn);

/* Sets shape, format, arithmetic and choice of every matrix there is, from a checked description. (weights_plan.c) */
clmoe_status clmoe__weights_plan(clmoe_weights *weights, const clmoe_weights_desc *desc, clmoe_error *error);

#endif
