/* See model_group_rows.h. */
#include "model_group_rows.h"

#include <stdio.h>

model_row group_row(const group_checkpoint *checkpoint, const char *quantization, char config[2048]) {
    (void)snprintf(config, 2048,
                   "{'model_type': 'qwen2_moe', 'hidden_size': %d, 'num_hidden_layers': 1, 'num_experts': %d,"
                   "'num_experts_per_tok': 2, 'moe_intermediate_size': %d, 'shared_expert_intermediate_size': %d,"
                   "'norm_topk_prob': true, 'quantization_config': %s}",
                   GROUP_HIDDEN, GROUP_EXPERTS, GROUP_INTERMEDIATE, GROUP_SHARED, quantization);
    return (model_row){
        .name = "groups",
        .config = config,
        .layers = 1,
        .moe = "0",
        .hidden = GROUP_HIDDEN,
        .experts = GROUP_EXPERTS,
        .top_k = 2,
        .intermediate = GROUP_INTERMEDIATE,
        .shared = GROUP_SHARED,
        .rule = {.score = CLMOE_SOFTMAX, .norm = CLMOE_NORM_SUM},
        .names = {.prefix = "model.layers.#.",
                  .router = "mlp.gate.weight",
                  .gate = "mlp.experts.*.gate_proj.weight",
                  .up = "mlp.experts.*.up_proj.weight",
                  .down = "mlp.experts.*.down_proj.weight",
                  .shared_gate_proj = "mlp.shared_expert.gate_proj.weight",
                  .shared_up = "mlp.shared_expert.up_proj.weight",
                  .shared_down = "mlp.shared_expert.down_proj.weight",
                  .shared_gate = "mlp.shared_expert_gate.weight",
                  .groups = checkpoint},
    };
}
