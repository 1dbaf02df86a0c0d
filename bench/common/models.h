/* Shapes of known models, as rows of data. */
#ifndef CLMOE_BENCH_MODELS_H
#define CLMOE_BENCH_MODELS_H

#include <stddef.h>
#include <stdint.h>

/* How the oracle routes; each is what the row's preset means, written a second time. */
typedef enum route_rule {
    ROUTE_SOFTMAX,        /* p = softmax over all; weights p */
    ROUTE_SOFTMAX_SUM,    /* the same, weights p / sum of the chosen */
    ROUTE_SOFTMAX_CHOSEN, /* the largest logits; weights softmax over the chosen */
    ROUTE_SIGMOID_GROUPS  /* sigmoid; selection by p + bias in the best groups; weights p / sum * scale */
} route_rule;

typedef struct model {
    const char *name;
    const char *preset; /* of clmoe_routing_preset */
    route_rule rule;
    uint32_t hidden_size, intermediate_size, num_experts, top_k;
    uint32_t shared_size;          /* width of the shared expert, 0 = none */
    uint32_t n_group, topk_group;  /* 0 = no groups */
    float scale;                   /* factor on the weights */
    int biases;                    /* router, gate, up and down have biases */
    float alpha, up_offset, limit; /* of the gated SiLU, as in clmoe_activation */
    uint32_t layers;               /* that have experts, in the whole model */
} model;

const model *model_find(const char *name); /* NULL: unknown */
/* A shape without sizes, routed like Mixtral. */
model model_by_numbers(void);
/* "a, b, c" */
void model_names(char *text, size_t capacity);

#endif
