/* See gguf_rows.h. Metadata says every key that an architecture has, with values other than the defaults; rows named
 * "... defaults" leave out what may be left out, others show a variant. */
#include "gguf_rows.h"

/* clang-format off */
#define KEYS(name, keys) "{'" name "': {'block_count': 3, 'embedding_length': 40, 'expert_count': 8," \
                         "'expert_used_count': 3, " keys "}}"
#define DENSE_I  "'feed_forward_length': 24"
#define EXPERT_I "'expert_feed_forward_length': 24, 'feed_forward_length': 99"
#define GROUPS   "'expert_group_count': 4, 'expert_group_used_count': 2"
#define DENSE_1  "'leading_dense_block_count': 1"
#define SHARED_2 "'expert_shared_count': 2"
#define FACTOR   "'expert_weights_scale': 1.5"
#define NORM     "'expert_weights_norm': true"
#define SHARED_I "'expert_shared_feed_forward_length': "
#define CLAMP    "'swiglu_clamp_exp': [0.0, 0.25, 0.5]"
#define SOFTMAX_KEY "'expert_gating_func': 1"
#define SIGMOID_KEY "'expert_gating_func': 2"

#define SIZES    .hidden = 40, .experts = 8, .top_k = 3, .intermediate = 24
#define ALL      .layers = 3, .moe = "0 1 2"
#define LATER    .layers = 3, .moe = "1 2"
#define SHARED(s) .shared = (s)

#define SOFTMAX  .score = CLMOE_SOFTMAX, .best_two = 1, .floor = 6.103515625e-5
#define PLAIN    .score = CLMOE_SOFTMAX, .best_two = 1
#define SIGMOID  .score = CLMOE_SIGMOID, .best_two = 1, .floor = 6.103515625e-5, .eps = 1e-20
#define SUM      .norm = CLMOE_NORM_SUM
#define IN_GROUPS .n_group = 4, .topk_group = 2

#define EXPS     .prefix = "blk.#.", .router = "ffn_gate_inp.weight", .gate = "ffn_gate_exps.weight", \
                 .up = "ffn_up_exps.weight", .down = "ffn_down_exps.weight", .store = ROW_FUSED
#define SHEXP    .shared_gate_proj = "ffn_gate_shexp.weight", .shared_up = "ffn_up_shexp.weight", \
                 .shared_down = "ffn_down_shexp.weight"
#define BIAS     .select_bias = "exp_probs_b.bias"
#define UNGATED  .prefix = "blk.#.", .router = "ffn_gate_inp.weight", .up = "ffn_up_exps.weight", \
                 .down = "ffn_down_exps.weight", .store = ROW_FUSED
#define MERGED   .prefix = "blk.#.", .router = "ffn_gate_inp.weight", .up = "ffn_gate_up_exps.weight", \
                 .down = "ffn_down_exps.weight", .store = ROW_FUSED, .gate_up = CLMOE_GATE_UP_CONCATENATED

const model_row gguf_rows[] = {
    {"llama", KEYS("llama", DENSE_I), ALL, SIZES, .rule = {SOFTMAX, SUM}, .names = {EXPS}},
    {"llama groups", KEYS("llama", DENSE_I ", " GROUPS), ALL, SIZES, .rule = {SOFTMAX, SUM, IN_GROUPS},
     .names = {EXPS}},
    {"llama an expert a tensor", KEYS("llama", DENSE_I), ALL, SIZES, .rule = {SOFTMAX, SUM},
     .names = {.prefix = "blk.#.", .router = "ffn_gate_inp.weight", .gate = "ffn_gate.*.weight",
               .up = "ffn_up.*.weight", .down = "ffn_down.*.weight"}},
    {"llama merged", KEYS("llama", DENSE_I), ALL, SIZES, .rule = {SOFTMAX, SUM},
     .names = {MERGED}},
    {"llama-embed", KEYS("llama-embed", DENSE_I), ALL, SIZES, .rule = {SOFTMAX, SUM}, .names = {EXPS}},
    {"mistral3", KEYS("mistral3", DENSE_I), ALL, SIZES, .rule = {SOFTMAX, SUM}, .names = {EXPS}},
    {"minicpm", KEYS("minicpm", DENSE_I), ALL, SIZES, .rule = {SOFTMAX, SUM}, .names = {EXPS}},
    {"olmoe", KEYS("olmoe", DENSE_I ", 'expert_group_count': 0, 'expert_group_used_count': 0"), ALL, SIZES,
     .rule = {PLAIN}, .names = {EXPS}},
    {"dbrx", KEYS("dbrx", DENSE_I), ALL, SIZES, .rule = {SOFTMAX, SUM}, .names = {EXPS}},
    {"phimoe", KEYS("phimoe", DENSE_I), ALL, SIZES, .rule = {SOFTMAX, SUM}, .names = {EXPS}},
    {"arctic", KEYS("arctic", DENSE_I), ALL, SIZES, .rule = {SOFTMAX, SUM}, .names = {EXPS}},
    {"minimax-01", KEYS("minimax-01", DENSE_I), ALL, SIZES, .rule = {SOFTMAX, SUM}, .names = {EXPS}},
    {"qwen3moe", KEYS("qwen3moe", EXPERT_I), ALL, SIZES, .rule = {SOFTMAX, SUM}, .names = {EXPS}},
    {"qwen3vlmoe", KEYS("qwen3vlmoe", EXPERT_I), ALL, SIZES, .rule = {SOFTMAX, SUM}},
    {"rnd1", KEYS("rnd1", EXPERT_I), ALL, SIZES, .rule = {SOFTMAX, SUM}, .names = {EXPS}},
    {"mellum", KEYS("mellum", EXPERT_I), ALL, SIZES, .rule = {SOFTMAX, SUM}, .names = {EXPS}},
    {"maple", KEYS("maple", EXPERT_I ", " CLAMP), ALL, SIZES, .rule = {SOFTMAX, SUM, .limit = 0.5}, .names = {EXPS}},
    {"llada-moe", KEYS("llada-moe", EXPERT_I), ALL, SIZES, .rule = {PLAIN}, .names = {EXPS}},
    {"jamba", KEYS("jamba", DENSE_I), .layers = 3, .moe = "1", SIZES, .rule = {PLAIN}, .names = {EXPS}},
    {"nomic-bert-moe", KEYS("nomic-bert-moe", DENSE_I ", 'moe_every_n_layers': 2"), .layers = 3, .moe = "1", SIZES,
     .rule = {PLAIN, .ungated = 1, .activation = CLMOE_GELU_TANH, .shared_activation = CLMOE_GELU_TANH},
     .names = {UNGATED}},
    {"granitemoe", KEYS("granitemoe", DENSE_I), ALL, SIZES, .rule = {SOFTMAX, SUM}, .names = {EXPS}},
    {"granitemoe shared", KEYS("granitemoe", DENSE_I ", 'expert_shared_feed_forward_length': 16"), ALL, SIZES,
     SHARED(16), .rule = {SOFTMAX, SUM}, .names = {EXPS, SHEXP}},
    {"granitehybrid", KEYS("granitehybrid", "'feed_forward_length': [24, 24, 24],"
                           "'expert_shared_feed_forward_length': 16"), ALL, SIZES,
     SHARED(16), .rule = {SOFTMAX, SUM}, .names = {EXPS, SHEXP}},
    {"granite_swa", KEYS("granite_swa", DENSE_I ", " SHARED_I "16"), ALL, SIZES, SHARED(16), .rule = {SOFTMAX, SUM},
     .names = {MERGED, .shared_up = "ffn_up_shexp.weight", .shared_down = "ffn_down_shexp.weight"}},
    {"granite_swa alone", KEYS("granite_swa", DENSE_I), ALL, SIZES, .rule = {SOFTMAX, SUM}, .names = {EXPS}},
    {"qwen2moe", KEYS("qwen2moe", EXPERT_I ", 'expert_shared_feed_forward_length': 56"), ALL, SIZES, SHARED(56),
     .rule = {PLAIN}, .names = {EXPS, SHEXP, .shared_gate = "ffn_gate_inp_shexp.weight"}},
    {"qwen2moe defaults", KEYS("qwen2moe", EXPERT_I), ALL, SIZES, SHARED(99), .rule = {PLAIN}},
    {"qwen3next", KEYS("qwen3next", EXPERT_I ", 'expert_shared_feed_forward_length': 16"), ALL, SIZES, SHARED(16),
     .rule = {SOFTMAX, SUM}, .names = {EXPS, SHEXP, .shared_gate = "ffn_gate_inp_shexp.weight"}},
    {"qwen35moe", KEYS("qwen35moe", EXPERT_I ", 'expert_shared_feed_forward_length': 16, 'nextn_predict_layers': 1"),
     .layers = 2, .moe = "0 1", SIZES, SHARED(16), .rule = {SOFTMAX, SUM},
     .names = {EXPS, SHEXP, .shared_gate = "ffn_gate_inp_shexp.weight"}},
    {"qwen4exp", KEYS("qwen4exp", EXPERT_I ", " SHARED_I "16"), ALL, SIZES, SHARED(16), .rule = {SOFTMAX, SUM},
     .names = {MERGED, SHEXP, .shared_gate = "ffn_gate_inp_shexp.weight"}},
    {"hunyuan-moe", KEYS("hunyuan-moe", DENSE_I ", 'expert_shared_feed_forward_length': 48"), ALL, SIZES, SHARED(48),
     .rule = {SOFTMAX, SUM}, .names = {EXPS, SHEXP}},
    {"hunyuan-moe defaults", KEYS("hunyuan-moe", DENSE_I), ALL, SIZES, SHARED(24), .rule = {SOFTMAX, SUM}},
    {"grok 1", KEYS("grok", DENSE_I), ALL, SIZES,
     .rule = {SOFTMAX, SUM, .activation = CLMOE_GELU_TANH, .shared_activation = CLMOE_GELU_TANH}, .names = {EXPS}},
    {"grok 2", KEYS("grok", "'expert_feed_forward_length': 24, 'feed_forward_length': 56"), ALL, SIZES, SHARED(56),
     .rule = {SOFTMAX, SUM, .activation = CLMOE_GELU_TANH, .shared_activation = CLMOE_GELU_TANH,
              .routed_scale = 0.70710678, .shared_scale = 0.70710678},
     .names = {EXPS, .shared_gate_proj = "ffn_gate.weight", .shared_up = "ffn_up.weight",
               .shared_down = "ffn_down.weight"}},
    {"gemma4", KEYS("gemma4", EXPERT_I), .layers = 3, .moe = "2", SIZES,
     .rule = {SOFTMAX, SUM, .activation = CLMOE_GELU_TANH, .shared_activation = CLMOE_GELU_TANH, .router_input = 1},
     .names = {MERGED}},
    {"smallthinker", KEYS("smallthinker", EXPERT_I ", " SIGMOID_KEY), ALL, SIZES,
     .rule = {SIGMOID, SUM, .activation = CLMOE_RELU, .shared_activation = CLMOE_RELU, .router_input = 1},
     .names = {EXPS}},
    {"smallthinker softmax", KEYS("smallthinker", EXPERT_I ", " SOFTMAX_KEY), ALL, SIZES,
     .rule = {SOFTMAX, SUM, .activation = CLMOE_RELU, .shared_activation = CLMOE_RELU, .router_input = 1}},
    {"deepseek", KEYS("deepseek", EXPERT_I ", " SHARED_2 ", " DENSE_1 ", " FACTOR), LATER, SIZES, SHARED(48),
     .rule = {PLAIN, .scale = 1.5}, .names = {EXPS, SHEXP}},
    {"bailingmoe", KEYS("bailingmoe", EXPERT_I ", " SHARED_2 ", " NORM ", 'expert_weights_scale': 0.0"), ALL, SIZES,
     SHARED(48), .rule = {SOFTMAX, SUM}, .names = {EXPS, SHEXP}},
    {"ernie4_5-moe", KEYS("ernie4_5-moe", EXPERT_I ", 'interleave_moe_layer_step': 1, " DENSE_1
                          ", 'expert_shared_feed_forward_length': 48"),
     LATER, SIZES, SHARED(48), .rule = {SOFTMAX, SUM}, .names = {EXPS, SHEXP, BIAS}},
    {"ernie4_5-moe step", KEYS("ernie4_5-moe", EXPERT_I ", 'interleave_moe_layer_step': 2"), .layers = 3, .moe = "1",
     SIZES, .rule = {SOFTMAX, SUM}, .names = {EXPS}},
    {"deepseek2",
     KEYS("deepseek2", EXPERT_I ", " SHARED_2 ", " DENSE_1 ", " FACTOR ", " NORM ", " SIGMOID_KEY ", " GROUPS),
     LATER, SIZES, SHARED(48), .rule = {SIGMOID, SUM, IN_GROUPS, .scale = 1.5}, .names = {EXPS, SHEXP, BIAS}},
    {"deepseek2 softmax in groups", KEYS("deepseek2", EXPERT_I ", " SHARED_2 ", " DENSE_1 ", " FACTOR ", " SOFTMAX_KEY
                                         ", " GROUPS),
     LATER, SIZES, SHARED(48), .rule = {SOFTMAX, IN_GROUPS, .scale = 1.5}, .names = {EXPS, SHEXP}},
    {"deepseek2 defaults", KEYS("deepseek2", EXPERT_I), ALL, SIZES, .rule = {SOFTMAX}, .names = {EXPS}},
    {"deepseek2-ocr", KEYS("deepseek2-ocr", EXPERT_I ", " SHARED_2 ", " DENSE_1), LATER, SIZES, SHARED(48),
     .rule = {SOFTMAX}, .names = {MERGED, SHEXP}},
    {"mistral4", KEYS("mistral4", EXPERT_I ", 'expert_shared_count': 1, " NORM ", " SOFTMAX_KEY), ALL, SIZES,
     SHARED(24), .rule = {SOFTMAX, SUM}, .names = {EXPS, SHEXP}},
    {"glm4moe", KEYS("glm4moe", EXPERT_I ", 'expert_shared_count': 1, " DENSE_1 ", " FACTOR ", " NORM ", " SIGMOID_KEY
                     ", 'nextn_predict_layers': 1"),
     .layers = 2, .moe = "1", SIZES, SHARED(24), .rule = {SIGMOID, SUM, .scale = 1.5}, .names = {EXPS, SHEXP, BIAS}},
    {"glm4moe defaults", KEYS("glm4moe", EXPERT_I ", 'expert_gating_func': 0"), ALL, SIZES, .rule = {SIGMOID},
     .names = {EXPS, BIAS}},
    {"dots3note", KEYS("dots3note", EXPERT_I ", " SHARED_2 ", " DENSE_1 ", " FACTOR ", " NORM ", " SIGMOID_KEY), LATER,
     SIZES, SHARED(48), .rule = {SIGMOID, SUM, .scale = 1.5}, .names = {EXPS, SHEXP, BIAS}},
    {"kimi-linear", KEYS("kimi-linear", EXPERT_I ", " SHARED_2 ", " DENSE_1 ", " FACTOR ", " SIGMOID_KEY ", " GROUPS),
     LATER, SIZES, SHARED(48), .rule = {SIGMOID, SUM, IN_GROUPS, .scale = 1.5}, .names = {EXPS, SHEXP, BIAS}},
    {"laguna", KEYS("laguna", EXPERT_I ", " SHARED_I "16, " DENSE_1 ", " FACTOR ", " NORM ", " SIGMOID_KEY), LATER,
     SIZES, SHARED(16), .rule = {SIGMOID, SUM, .scale = 1.5}, .names = {EXPS, SHEXP, BIAS}},
    {"laguna shared count", KEYS("laguna", EXPERT_I ", " SHARED_2), ALL, SIZES, SHARED(48), .rule = {SIGMOID}},
    {"laguna defaults", KEYS("laguna", EXPERT_I), ALL, SIZES, SHARED(24), .rule = {SIGMOID}},
    {"deepseek32", KEYS("deepseek32", EXPERT_I ", " SHARED_2 ", " DENSE_1 ", " FACTOR ", " NORM ", " SIGMOID_KEY ", "
                        GROUPS),
     LATER, SIZES, SHARED(48), .rule = {SIGMOID, SUM, IN_GROUPS, .scale = 1.5}, .names = {EXPS, SHEXP, BIAS}},
    {"glm-dsa", KEYS("glm-dsa", EXPERT_I ", " SHARED_2 ", " DENSE_1 ", " FACTOR ", " NORM), LATER, SIZES, SHARED(48),
     .rule = {SIGMOID, SUM, .scale = 1.5}, .names = {EXPS, SHEXP}},
    {"dots1", KEYS("dots1", EXPERT_I ", " SHARED_2 ", " DENSE_1 ", " FACTOR ", " NORM ", " SIGMOID_KEY), LATER, SIZES,
     SHARED(48), .rule = {SIGMOID, SUM, .scale = 1.5}, .names = {EXPS, SHEXP, BIAS}},
    {"afmoe", KEYS("afmoe", EXPERT_I ", " SHARED_2 ", " DENSE_1 ", " FACTOR ", " NORM), LATER, SIZES, SHARED(48),
     .rule = {SIGMOID, SUM, .scale = 1.5}, .names = {EXPS, SHEXP, BIAS}},
    {"bailingmoe2",
     KEYS("bailingmoe2", EXPERT_I ", " SHARED_2 ", 'expert_shared_feed_forward_length': 16, " DENSE_1 ", "
                         FACTOR ", " NORM ", " SIGMOID_KEY ", " GROUPS),
     LATER, SIZES, SHARED(32), .rule = {SIGMOID, SUM, IN_GROUPS, .scale = 1.5}, .names = {EXPS, SHEXP, BIAS}},
    {"bailingmoe2 shared default", KEYS("bailingmoe2", EXPERT_I ", " SHARED_2), ALL, SIZES, SHARED(48),
     .rule = {SIGMOID}},
    {"bailingmoe3", KEYS("bailingmoe3", EXPERT_I ", " SHARED_2 ", " SHARED_I "16, " DENSE_1 ", " FACTOR ", " NORM ", "
                         SIGMOID_KEY ", " GROUPS ", " CLAMP ", 'swiglu_clamp_shexp': [0.0, 0.0, 0.25]"),
     LATER, SIZES, SHARED(16),
     .rule = {SIGMOID, SUM, IN_GROUPS, .scale = 1.5, .limit_after = 1, .limit = 0.5, .shared_limit = 0.25},
     .names = {EXPS, SHEXP, BIAS}},
    {"bailingmoe3 defaults", KEYS("bailingmoe3", EXPERT_I ", " SHARED_2), ALL, SIZES, SHARED(48),
     .rule = {SIGMOID, .limit_after = 1}},
    {"cohere2moe", KEYS("cohere2moe", EXPERT_I ", " SHARED_2 ", " SHARED_I "48, " DENSE_1 ", " NORM ", " SIGMOID_KEY),
     LATER, SIZES, SHARED(48), .rule = {SIGMOID, SUM, .routed_scale = 0.5, .shared_scale = 0.5},
     .names = {EXPS, SHEXP}},
    {"cohere2moe softmax", KEYS("cohere2moe", EXPERT_I ", " SHARED_2 ", " FACTOR ", " SOFTMAX_KEY), ALL, SIZES,
     SHARED(48), .rule = {SOFTMAX, .scale = 1.5, .routed_scale = 0.5, .shared_scale = 0.5}, .names = {MERGED, SHEXP}},
    {"cohere2moe not shared", KEYS("cohere2moe", EXPERT_I ", 'nextn_predict_layers': 1"), .layers = 2, .moe = "0 1",
     SIZES, .rule = {SIGMOID}, .names = {EXPS}},
    {"exaone-moe", KEYS("exaone-moe", EXPERT_I ", " SHARED_2 ", " SHARED_I "48, " FACTOR ", " NORM ", " SIGMOID_KEY),
     .layers = 3, .moe = "2", SIZES, SHARED(48), .rule = {SIGMOID, SUM, .scale = 1.5}, .names = {EXPS, SHEXP, BIAS}},
    {"exaone-moe shared default", KEYS("exaone-moe", EXPERT_I ", " SHARED_2), .layers = 3, .moe = "2", SIZES,
     SHARED(24), .rule = {SIGMOID}},
    {"hy_v3", KEYS("hy_v3", EXPERT_I ", " SHARED_I "48, " FACTOR ", " NORM ", " SIGMOID_KEY), .layers = 3, .moe = "2",
     SIZES, SHARED(48), .rule = {SIGMOID, SUM, .scale = 1.5},
     .names = {MERGED, SHEXP, .select_bias = "exp_probs_b"}},
    {"hy_v3 defaults", KEYS("hy_v3", EXPERT_I), .layers = 3, .moe = "2", SIZES, SHARED(24), .rule = {SIGMOID},
     .names = {EXPS, SHEXP}},
    {"hy_v4", KEYS("hy_v4", EXPERT_I ", " SHARED_2 ", " DENSE_1 ", " FACTOR ", " NORM ", " SIGMOID_KEY ", " CLAMP),
     LATER, SIZES, SHARED(48), .rule = {SIGMOID, SUM, .scale = 1.5, .limit = 0.5}, .names = {EXPS, SHEXP, BIAS}},
    {"glm5-next", KEYS("glm5-next", EXPERT_I ", " SHARED_2 ", " DENSE_1 ", " FACTOR ", " NORM ", " CLAMP
                       ", 'swiglu_clamp_shexp': [0.0, 0.0, 0.25]"),
     LATER, SIZES, SHARED(48), .rule = {SIGMOID, SUM, .scale = 1.5, .limit = 0.5, .shared_limit = 0.25},
     .names = {EXPS, SHEXP, BIAS}},
    {"glm5-next one limit", KEYS("glm5-next", EXPERT_I ", " SHARED_2 ", " CLAMP), ALL, SIZES, SHARED(48),
     .rule = {SIGMOID, .limit = 0.5, .shared_limit = 0.5}},
    {"lfm2moe", KEYS("lfm2moe", EXPERT_I ", " DENSE_1 ", " SIGMOID_KEY), LATER, SIZES, .rule = {SIGMOID, SUM},
     .names = {EXPS, BIAS}},
    {"minimax-m2", KEYS("minimax-m2", DENSE_I ", 'expert_feed_forward_length': 24, " SIGMOID_KEY), ALL, SIZES,
     .rule = {SIGMOID, SUM}, .names = {EXPS, BIAS}},
    {"minimax-m3", KEYS("minimax-m3", EXPERT_I ", " SHARED_2 ", " DENSE_1 ", " FACTOR ", " NORM ", " SIGMOID_KEY),
     LATER, SIZES, SHARED(48),
     .rule = {SIGMOID, SUM, .scale = 1.5, .limit = 7, .alpha = 1.702, .up_offset = 1, .shared_limit = 7,
              .shared_alpha = 1.702, .shared_up_offset = 1},
     .names = {EXPS, SHEXP, BIAS}},
    {"mimo2", KEYS("mimo2", EXPERT_I), .layers = 3, .moe = "1", SIZES, .rule = {SIGMOID, SUM}, .names = {EXPS, BIAS}},
    {"step35", KEYS("step35", EXPERT_I ", 'expert_shared_feed_forward_length': 16, " FACTOR ", " NORM
                    ", 'swiglu_clamp_exp': [0.0, 0.5, 0.0], 'swiglu_clamp_shexp': [0.0, 0.25, 0.0]"),
     .layers = 3, .moe = "1", SIZES, SHARED(16),
     .rule = {SIGMOID, SUM, .scale = 1.5, .limit_after = 1, .limit = 0.5, .shared_limit = 0.25},
     .names = {EXPS, SHEXP, BIAS}},
    {"nemotron_h_moe", KEYS("nemotron_h_moe", "'feed_forward_length': [0, 24, 0], 'expert_feed_forward_length': 24,"
                            "'expert_shared_feed_forward_length': 48, 'expert_shared_count': 1, " FACTOR ", " NORM),
     .layers = 3, .moe = "1", SIZES, SHARED(48),
     .rule = {SIGMOID, SUM, .scale = 1.5, .ungated = 1, .activation = CLMOE_RELU2, .shared_activation = CLMOE_RELU2},
     .names = {UNGATED, .shared_up = "ffn_up_shexp.weight", .shared_down = "ffn_down_shexp.weight", BIAS}},
    {"nemotron_h_moe latent", KEYS("nemotron_h_moe", EXPERT_I ", 'moe_latent_size': 16, " NORM),
     .layers = 3, .moe = "1",
     SIZES, .latent = 16,
     .rule = {SIGMOID, SUM, .ungated = 1, .activation = CLMOE_RELU2, .shared_activation = CLMOE_RELU2},
     .names = {UNGATED, .latent_in = "ffn_latent_down.weight", .latent_out = "ffn_latent_up.weight", BIAS}},
    {"deepseek4", KEYS("deepseek4", EXPERT_I ", " SHARED_2 ", 'hash_layer_count': 1, 'expert_gating_func': 4, " FACTOR
                       ", " NORM ", " CLAMP ", 'nextn_predict_layers': 1"),
     LATER, SIZES, SHARED(48),
     .rule = {.score = CLMOE_SQRT_SOFTPLUS, SUM, .best_two = 1, .floor = 6.103515625e-5, .eps = 1e-20, .scale = 1.5,
              .limit = 0.5, .shared_limit = 0.5},
     .names = {EXPS, SHEXP, BIAS}},
    {"gpt-oss", KEYS("gpt-oss", EXPERT_I), ALL, SIZES,
     .rule = {.score = CLMOE_SOFTMAX, .after = 1, .best_two = 1, .limit = 7, .alpha = 1.702, .up_offset = 1}},
    {"llama4", KEYS("llama4", EXPERT_I ", 'interleave_moe_layer_step': 2"), .layers = 3, .moe = "1", SIZES, SHARED(24),
     .rule = {.score = CLMOE_SIGMOID, .after = 1, .best_two = 1, .weight_on_input = 1}, .names = {EXPS, SHEXP}},
};
/* clang-format on */

const unsigned gguf_row_count = sizeof gguf_rows / sizeof *gguf_rows;
