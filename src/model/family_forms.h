/* How the experts, and the shared experts, of the known families lie in their files. See families.h. */
#ifndef CLMOE_MODEL_FAMILY_FORMS_H
#define CLMOE_MODEL_FAMILY_FORMS_H

#include "families.h"

/* clang-format off */
#define THREE(stem, a, b, c) .gate = stem a ".weight", .up = stem b ".weight", .down = stem c ".weight"
#define PROJECTIONS(stem)    THREE(stem, "gate_proj", "up_proj", "down_proj")
#define W123(stem)           THREE(stem, "w1", "w3", "w2")
#define CONCATENATED         .gate_up = CLMOE_GATE_UP_CONCATENATED
#define INTERLEAVED          .gate_up = CLMOE_GATE_UP_INTERLEAVED
#define BOTH_IN_OUT          .up_layout = CLMOE_IN_OUT, .down_layout = CLMOE_IN_OUT

/* a tensor for each expert */
static const clmoe__form clmoe__mlp_proj = {PROJECTIONS("mlp.experts.*.")};
static const clmoe__form clmoe__ff_proj = {PROJECTIONS("feed_forward.experts.*.")};
static const clmoe__form clmoe__bsm_w123 = {W123("block_sparse_moe.experts.*.")};
static const clmoe__form clmoe__ff_w123 = {W123("feed_forward.experts.*.")};
static const clmoe__form clmoe__w123 = {W123("experts.*.")};
static const clmoe__form clmoe__nemotron = {.up = "experts.*.up_proj.weight", .down = "experts.*.down_proj.weight"};

/* all experts in one tensor */
static const clmoe__form clmoe__mlp_fused = {
    .up = "mlp.experts.gate_up_proj", .down = "mlp.experts.down_proj", .storage = CLMOE__FUSED, CONCATENATED};
static const clmoe__form clmoe__mlp_fused_in_out = {
    .up = "mlp.experts.gate_up_proj", .down = "mlp.experts.down_proj", .storage = CLMOE__FUSED, CONCATENATED,
    BOTH_IN_OUT};
static const clmoe__form clmoe__experts_fused = {
    .up = "experts.gate_up_proj", .down = "experts.down_proj", .storage = CLMOE__FUSED, CONCATENATED};
static const clmoe__form clmoe__llama4 = {
    .up = "feed_forward.experts.gate_up_proj", .down = "feed_forward.experts.down_proj", .storage = CLMOE__FUSED,
    CONCATENATED, BOTH_IN_OUT};
static const clmoe__form clmoe__gpt_oss = {
    .up = "mlp.experts.gate_up_proj", .down = "mlp.experts.down_proj", .up_bias = "mlp.experts.gate_up_proj_bias",
    .down_bias = "mlp.experts.down_proj_bias", .storage = CLMOE__FUSED, INTERLEAVED, BOTH_IN_OUT};
static const clmoe__form clmoe__gpt_oss_mxfp4 = {
    .up = "mlp.experts.gate_up_proj", .down = "mlp.experts.down_proj", .up_bias = "mlp.experts.gate_up_proj_bias",
    .down_bias = "mlp.experts.down_proj_bias", .storage = CLMOE__MXFP4, INTERLEAVED};
static const clmoe__form clmoe__granite = {
    .up = "block_sparse_moe.input_linear.weight", .down = "block_sparse_moe.output_linear.weight",
    .storage = CLMOE__FUSED,
    CONCATENATED};
static const clmoe__form clmoe__jetmoe = {
    .up = "mlp.input_linear.weight", .down = "mlp.output_linear.weight", .storage = CLMOE__FUSED, CONCATENATED};
static const clmoe__form clmoe__aria = {
    .up = "mlp.experts.fc1.weight", .down = "mlp.experts.fc2.weight", .storage = CLMOE__FUSED, CONCATENATED,
    BOTH_IN_OUT};
static const clmoe__form clmoe__step = {PROJECTIONS("moe."), .storage = CLMOE__FUSED};
static const clmoe__form clmoe__dbrx = {
    .gate = "ffn.experts.mlp.w1", .up = "ffn.experts.mlp.v1", .down = "ffn.experts.mlp.w2", .storage = CLMOE__STACKED,
    .down_layout = CLMOE_IN_OUT};

/* shared experts, all as one */
static const clmoe__form clmoe__mlp_shared_experts = {PROJECTIONS("mlp.shared_experts.")};
static const clmoe__form clmoe__bsm_shared_experts = {PROJECTIONS("block_sparse_moe.shared_experts.")};
static const clmoe__form clmoe__mlp_shared_expert = {PROJECTIONS("mlp.shared_expert.")};
static const clmoe__form clmoe__mlp_shared_mlp = {PROJECTIONS("mlp.shared_mlp.")};
static const clmoe__form clmoe__mlp_shared_linear_gate = {THREE("mlp.shared_experts.", "linear_gate", "up_proj",
"down_proj")};
static const clmoe__form clmoe__ff_shared_expert = {PROJECTIONS("feed_forward.shared_expert.")};
static const clmoe__form clmoe__step_shared = {PROJECTIONS("share_expert.")};
static const clmoe__form clmoe__shared_w123 = {W123("shared_experts.")};
static const clmoe__form clmoe__nemotron_shared = {
    .up = "shared_experts.up_proj.weight", .down = "shared_experts.down_proj.weight"};
static const clmoe__form clmoe__granite_shared = {
    .up = "shared_mlp.input_linear.weight", .down = "shared_mlp.output_linear.weight", CONCATENATED};
/* clang-format on */

#endif
