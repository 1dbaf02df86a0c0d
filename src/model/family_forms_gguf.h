/* How experts and shared experts lie in GGUF files: alike in all architectures. See families.h. */
#ifndef CLMOE_MODEL_FAMILY_FORMS_GGUF_H
#define CLMOE_MODEL_FAMILY_FORMS_GGUF_H

#include "families.h"

/* clang-format off */
#define EXPS(end)  .gate = "ffn_gate_exps" end, .up = "ffn_up_exps" end, .down = "ffn_down_exps" end
#define SCALES     .gate_scale = "ffn_gate_exps.scale", .up_scale = "ffn_up_exps.scale", \
                   .down_scale = "ffn_down_exps.scale"

static const clmoe__form clmoe__exps = {EXPS(".weight"), SCALES, .storage = CLMOE__FUSED};
static const clmoe__form clmoe__exps_bias = {
    EXPS(".weight"), SCALES, .gate_bias = "ffn_gate_exps.bias", .up_bias = "ffn_up_exps.bias",
    .down_bias = "ffn_down_exps.bias", .storage = CLMOE__FUSED};
/* all gate rows, then all up rows */
static const clmoe__form clmoe__exps_merged = {
    .up = "ffn_gate_up_exps.weight", .down = "ffn_down_exps.weight", .up_scale = "ffn_gate_up_exps.scale",
    .down_scale = "ffn_down_exps.scale", .storage = CLMOE__FUSED, .gate_up = CLMOE_GATE_UP_CONCATENATED};
static const clmoe__form clmoe__exps_ungated = {
    .up = "ffn_up_exps.weight", .down = "ffn_down_exps.weight", .up_scale = "ffn_up_exps.scale",
    .down_scale = "ffn_down_exps.scale", .storage = CLMOE__FUSED};
/* as the first files of Mixtral have them */
static const clmoe__form clmoe__exps_each = {
    .gate = "ffn_gate.*.weight", .up = "ffn_up.*.weight", .down = "ffn_down.*.weight"};

static const clmoe__form clmoe__shexp = {
    .gate = "ffn_gate_shexp.weight", .up = "ffn_up_shexp.weight", .down = "ffn_down_shexp.weight",
    .gate_scale = "ffn_gate_shexp.scale", .up_scale = "ffn_up_shexp.scale", .down_scale = "ffn_down_shexp.scale"};
static const clmoe__form clmoe__shexp_merged = {
    .up = "ffn_up_shexp.weight", .down = "ffn_down_shexp.weight", .up_scale = "ffn_up_shexp.scale",
    .down_scale = "ffn_down_shexp.scale", .gate_up = CLMOE_GATE_UP_CONCATENATED};
static const clmoe__form clmoe__shexp_ungated = {
    .up = "ffn_up_shexp.weight", .down = "ffn_down_shexp.weight", .up_scale = "ffn_up_shexp.scale",
    .down_scale = "ffn_down_shexp.scale"};
/* a dense FFN beside the experts */
static const clmoe__form clmoe__dense = {
    .gate = "ffn_gate.weight", .up = "ffn_up.weight", .down = "ffn_down.weight", .gate_scale = "ffn_gate.scale",
    .up_scale = "ffn_up.scale", .down_scale = "ffn_down.scale"};
/* clang-format on */

#endif
