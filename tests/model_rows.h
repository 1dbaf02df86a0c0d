/* What is known of each family of models, written by hand from its published configuration and tensor names, apart from
 * the library's own rows: a small config.json, the sizes and the rule that must come of it, and the names and shapes
 * under which its tensors lie in a checkpoint. */
#ifndef CLMOE_TESTS_MODEL_ROWS_H
#define CLMOE_TESTS_MODEL_ROWS_H

#include <clmoe/clmoe_model.h>

enum row_store { ROW_EACH, ROW_FUSED, ROW_STACKED, ROW_MXFP4 };

struct group_checkpoint;

/* '#' stands for the layer's number, '*' for the expert's. */
typedef struct row_names {
    const char *prefix; /* before each of the others; no prefix: the row has no checkpoint */
    const char *router, *router_bias, *select_bias, *expert_scale, *output_bias, *shared_gate, *latent_in, *latent_out;
    const char *gate, *up, *down, *up_bias, *down_bias; /* gate absent: up holds both, or the experts are not gated */
    const char *shared_gate_proj, *shared_up, *shared_down;
    int store;                  /* enum row_store */
    int gate_up;                /* clmoe_gate_up, where up holds both */
    int up_turned, down_turned; /* [in, out] */
    int wide_select_bias;       /* [1, E] */
    const struct group_checkpoint *groups; /* experts in groups of integers (model_files.h), where not NULL */
    unsigned fp8[2];            /* experts in F8_E4M3 with a scale for each block of so many rows and columns; 0: not */
} row_names;

/* What differs from a rule of plain softmax with weights as they are and SwiGLU; 0 is the default of each. */
typedef struct row_rule {
    int method, score, after, bias_on_logit, best_two, mask_zero, norm, weight_on_input;
    double eps, floor, p, scale, softcap, sparsemixer_eps;
    unsigned n_group, topk_group, zero_experts;
    int activation, shared_activation, ungated, limit_after, router_input;
    double limit, shared_limit, alpha, up_offset, shared_alpha, shared_up_offset;
    double routed_scale, shared_scale;
} row_rule;

typedef struct model_row {
    const char *name;   /* of the test */
    const char *config; /* with ' for " */
    unsigned layers;
    const char *moe; /* "0 2 4" */
    unsigned hidden, experts, top_k, intermediate, shared, latent;
    row_rule rule;
    row_names names;
} model_row;

extern const model_row model_rows[];
extern const unsigned model_row_count;

/* The row's config as JSON, to be freed. */
char *model_row_config(const model_row *row);
/* The description that must come of it. */
clmoe_layer_desc model_row_desc(const model_row *row);
/* The last of its MoE layers. */
unsigned model_row_layer(const model_row *row);

#endif
