/* See model_rows.h. The configurations say every key that a family has, with values other than the defaults; rows named
 * "... defaults" leave out what may be left out, others show a variant. */
#include "model_rows.h"

/* clang-format off */
#define CONFIG(type, keys) "{'model_type': '" type "', 'hidden_size': 40, 'num_hidden_layers': 3, " keys "}"
#define TEXT(outer, type, keys) "{'model_type': '" outer "', 'hidden_size': 7, 'text_config': " CONFIG(type, keys) "}"
#define LOCAL    "'num_local_experts': 8, 'num_experts_per_tok': 3, 'intermediate_size': 24"
#define EXPERTS  "'num_experts': 8, 'num_experts_per_tok': 3, 'moe_intermediate_size': 24"
#define ROUTED   "'n_routed_experts': 8, 'num_experts_per_tok': 3, 'moe_intermediate_size': 24"
#define SIXTEEN  "'n_routed_experts': 16, 'num_experts_per_tok': 3, 'moe_intermediate_size': 24"
#define GROUPS   "'n_group': 4, 'topk_group': 2"
#define SIZES    .hidden = 40, .experts = 8, .top_k = 3, .intermediate = 24
#define SIZES_16 .hidden = 40, .experts = 16, .top_k = 3, .intermediate = 24
#define ALL      .layers = 3, .moe = "0 1 2"
#define LATER    .layers = 3, .moe = "1 2"
#define SHARED(s) .shared = (s)

#define SOFTMAX  .score = CLMOE_SOFTMAX
#define SIGMOID  .score = CLMOE_SIGMOID
#define SUM      .norm = CLMOE_NORM_SUM
#define V3       SIGMOID, .best_two = 1
#define V3_SUM   V3, SUM, .eps = 1e-20
#define OF_TOP_K .score = CLMOE_SOFTMAX, .after = 1
#define IN_GROUPS .n_group = 4, .topk_group = 2

#define MODEL    .prefix = "model.layers.#."
#define THREE(at, a, b, c) .gate = at a ".weight", .up = at b ".weight", .down = at c ".weight"
#define PROJ(at) THREE(at, "experts.*.gate_proj", "experts.*.up_proj", "experts.*.down_proj")
#define W123(at) THREE(at, "experts.*.w1", "experts.*.w3", "experts.*.w2")
#define MLP      MODEL, .router = "mlp.gate.weight", PROJ("mlp.")
#define TOGETHER(u, d) .up = u, .down = d, .store = ROW_FUSED, .gate_up = CLMOE_GATE_UP_CONCATENATED
#define SHARED_AT(at)                                                                        \
    .shared_gate_proj = at "gate_proj.weight", .shared_up = at "up_proj.weight", .shared_down = at "down_proj.weight"
#define SHARED_EXPERTS SHARED_AT("mlp.shared_experts.")
#define GATED_SHARED SHARED_AT("mlp.shared_expert."), .shared_gate = "mlp.shared_expert_gate.weight"
#define V3_BIAS  .select_bias = "mlp.gate.e_score_correction_bias"
#define MIXTRAL  MODEL, .router = "block_sparse_moe.gate.weight", W123("block_sparse_moe.")
#define GRANITE  MODEL, .router = "block_sparse_moe.router.layer.weight", \
                 TOGETHER("block_sparse_moe.input_linear.weight", "block_sparse_moe.output_linear.weight")
#define GPT_OSS                                                                                                    \
    MODEL, .router = "mlp.router.weight", .router_bias = "mlp.router.bias", .up = "mlp.experts.gate_up_proj",      \
    .down = "mlp.experts.down_proj", .up_bias = "mlp.experts.gate_up_proj_bias",                                   \
    .down_bias = "mlp.experts.down_proj_bias", .gate_up = CLMOE_GATE_UP_INTERLEAVED
#define NEMOTRON                                                                                                   \
    .prefix = "backbone.layers.#.mixer.", .router = "gate.weight", .select_bias = "gate.e_score_correction_bias",  \
    .up = "experts.*.up_proj.weight", .down = "experts.*.down_proj.weight",                                        \
    .shared_up = "shared_experts.up_proj.weight", .shared_down = "shared_experts.down_proj.weight"

const model_row model_rows[] = {
    {"mixtral", CONFIG("mixtral", LOCAL ", 'hidden_act': 'silu'"), ALL, SIZES, .rule = {SOFTMAX, SUM},
     .names = {MIXTRAL}},
    {"mixtral num_experts", CONFIG("mixtral", "'num_experts': 8, 'num_experts_per_tok': 3, 'intermediate_size': 24"),
     ALL, SIZES,
     .rule = {SOFTMAX, SUM}},
    {"minimax", CONFIG("minimax", LOCAL), ALL, SIZES, .rule = {SOFTMAX, SUM}, .names = {MIXTRAL}},
    {"minimax_m2", CONFIG("minimax_m2", LOCAL ", 'scoring_func': 'sigmoid'"), ALL, SIZES, .rule = {SIGMOID, SUM},
     .names = {MIXTRAL, .select_bias = "block_sparse_moe.e_score_correction_bias"}},
    {"phimoe", CONFIG("phimoe", "'num_local_experts': 8, 'num_experts_per_tok': 2, 'intermediate_size': 24,"
                                "'router_jitter_noise': 0.125"),
     ALL, .hidden = 40, .experts = 8, .top_k = 2, .intermediate = 24,
     .rule = {SOFTMAX, .method = CLMOE_SPARSEMIXER, .sparsemixer_eps = 0.125}, .names = {MIXTRAL}},
    {"phimoe defaults", CONFIG("phimoe", "'num_local_experts': 8, 'num_experts_per_tok': 2, 'intermediate_size': 24"),
     ALL,
     .hidden = 40, .experts = 8, .top_k = 2, .intermediate = 24, .rule = {SOFTMAX, .method = CLMOE_SPARSEMIXER}},
    {"olmoe", CONFIG("olmoe", "'num_experts': 8, 'num_experts_per_tok': 3, 'intermediate_size': 24,"
     "'norm_topk_prob': true"), ALL,
     SIZES, .rule = {SOFTMAX, SUM}, .names = {MLP}},
    {"olmoe defaults", CONFIG("olmoe", "'num_experts': 8, 'num_experts_per_tok': 3, 'intermediate_size': 24"), ALL,
     SIZES,
     .rule = {SOFTMAX}},
    {"flex_olmo", CONFIG("flex_olmo", "'num_experts': 8, 'num_experts_per_tok': 3, 'intermediate_size': 24,"
                                      "'hidden_act': 'gelu'"),
     ALL, SIZES, .rule = {SOFTMAX, .activation = CLMOE_GELU, .shared_activation = CLMOE_GELU}, .names = {MLP}},
    {"qwen2_moe", CONFIG("qwen2_moe", EXPERTS ", 'shared_expert_intermediate_size': 20, 'norm_topk_prob': true,"
                                      "'decoder_sparse_step': 2, 'mlp_only_layers': [0]"),
     .layers = 3, .moe = "1", SIZES, SHARED(20), .rule = {SOFTMAX, SUM}, .names = {MLP, GATED_SHARED}},
    {"qwen2_moe defaults", CONFIG("qwen2_moe", EXPERTS), ALL, SIZES, SHARED(5632), .rule = {SOFTMAX}},
    {"qwen3_moe", CONFIG("qwen3_moe", "'num_local_experts': 8, 'num_experts_per_tok': 3, 'moe_intermediate_size': 24,"
                                      "'norm_topk_prob': true, 'mlp_only_layers': [0, 2]"),
     .layers = 3, .moe = "1", SIZES, .rule = {SOFTMAX, SUM}, .names = {MLP}},
    {"qwen3_moe defaults", CONFIG("qwen3_moe", EXPERTS), ALL, SIZES, .rule = {SOFTMAX}},
    {"qwen3_next", CONFIG("qwen3_next", EXPERTS ", 'shared_expert_intermediate_size': 20, 'norm_topk_prob': false"),
     ALL, SIZES,
     SHARED(20), .rule = {SOFTMAX}, .names = {MLP, GATED_SHARED}},
    {"qwen3_next defaults", CONFIG("qwen3_next", EXPERTS), ALL, SIZES, SHARED(512), .rule = {SOFTMAX, SUM}},
    {"qwen3_5_moe_text", CONFIG("qwen3_5_moe_text", EXPERTS ", 'shared_expert_intermediate_size': 20"), ALL, SIZES,
     SHARED(20),
     .rule = {SOFTMAX, SUM}, .names = {MLP, GATED_SHARED}},
    {"qwen3_5_moe multimodal", TEXT("qwen3_5_moe", "qwen3_5_moe_text",
     EXPERTS ", 'shared_expert_intermediate_size': 20"), ALL,
     SIZES, SHARED(20), .rule = {SOFTMAX, SUM},
     .names = {.prefix = "model.language_model.layers.#.", .router = "mlp.gate.weight",
               TOGETHER("mlp.experts.gate_up_proj", "mlp.experts.down_proj"), GATED_SHARED}},
    {"qwen4_exp_text", CONFIG("qwen4_exp_text",
     EXPERTS ", 'shared_expert_intermediate_size': 20, 'norm_topk_prob': false"), ALL,
     SIZES, SHARED(20), .rule = {SOFTMAX}, .names = {MLP, GATED_SHARED}},
    {"qwen3_vl_moe turned", TEXT("qwen3_vl_moe", "qwen3_vl_moe_text", EXPERTS ", 'mlp_only_layers': [1]"), .layers = 3,
     .moe = "0 2", SIZES, .rule = {SOFTMAX, SUM},
     .names = {.prefix = "model.language_model.layers.#.", .router = "mlp.gate.weight",
               TOGETHER("mlp.experts.gate_up_proj", "mlp.experts.down_proj"), .up_turned = 1, .down_turned = 1}},
    {"qwen3_vl_moe", TEXT("qwen3_vl_moe", "qwen3_vl_moe_text", EXPERTS), ALL, SIZES, .rule = {SOFTMAX, SUM},
     .names = {.prefix = "model.language_model.layers.#.", .router = "mlp.gate.weight",
               TOGETHER("mlp.experts.gate_up_proj", "mlp.experts.down_proj")}},
    {"mellum", CONFIG("mellum", EXPERTS ", 'mlp_layer_types': ['dense', 'sparse', 'dense'], 'norm_topk_prob': false"),
     .layers = 3,
     .moe = "1", SIZES, .rule = {SOFTMAX}, .names = {MLP}},
    {"mellum defaults", CONFIG("mellum", EXPERTS), ALL, SIZES, .rule = {SOFTMAX, SUM}},
    {"jamba", CONFIG("jamba", "'num_experts': 8, 'num_experts_per_tok': 3, 'intermediate_size': 24,"
     "'expert_layer_period': 3,"
                              "'expert_layer_offset': 2"),
     .layers = 3, .moe = "2", SIZES, .rule = {SOFTMAX},
     .names = {MODEL, .router = "feed_forward.router.weight", PROJ("feed_forward.")}},
    {"jamba defaults", CONFIG("jamba", "'num_experts': 8, 'num_experts_per_tok': 3, 'intermediate_size': 24"),
     .layers = 3,
     .moe = "1", SIZES, .rule = {SOFTMAX}},
    {"dbrx", "{'model_type': 'dbrx', 'd_model': 40, 'n_layers': 3, 'ffn_config': {'moe_num_experts': 8, 'moe_top_k': 3,"
             "'ffn_hidden_size': 24, 'moe_normalize_expert_weights': 2.0, 'ffn_act_fn': {'name': 'relu'}}}",
     ALL, SIZES, .rule = {SOFTMAX, .norm = CLMOE_NORM_P, .p = 2, .activation = CLMOE_RELU,
     .shared_activation = CLMOE_RELU},
     .names = {.prefix = "transformer.blocks.#.ffn.", .router = "router.layer.weight", .gate = "experts.mlp.w1",
               .up = "experts.mlp.v1", .down = "experts.mlp.w2", .store = ROW_STACKED, .down_turned = 1}},
    {"dbrx defaults", "{'model_type': 'dbrx', 'd_model': 40, 'n_layers': 3, 'ffn_config': {'moe_num_experts': 8,"
     "'moe_top_k': 3,"
                      "'ffn_hidden_size': 24}}",
     ALL, SIZES, .rule = {SOFTMAX, .norm = CLMOE_NORM_P}},
    {"dbrx not normalised", "{'model_type': 'dbrx', 'd_model': 40, 'n_layers': 3, 'ffn_config': {'moe_num_experts': 8,"
                            "'moe_top_k': 3, 'ffn_hidden_size': 24, 'moe_normalize_expert_weights': null}}",
     ALL, SIZES, .rule = {SOFTMAX}},
    {"gemma4", TEXT("gemma4", "gemma4_text", "'num_experts': 8, 'top_k_experts': 3, 'moe_intermediate_size': 24,"
     "'enable_moe_block': true, 'hidden_activation': 'gelu_pytorch_tanh'"), ALL, SIZES,
     .rule = {SOFTMAX, SUM, .activation = CLMOE_GELU_TANH, .shared_activation = CLMOE_GELU_TANH, .router_input = 1},
     .names = {.prefix = "model.language_model.layers.#.", .router = "router.proj.weight",
               .expert_scale = "router.per_expert_scale",
               TOGETHER("experts.gate_up_proj", "experts.down_proj")}},
    {"gemma4 dense", "{'model_type': 'gemma4_text', 'num_hidden_layers': 3, 'enable_moe_block': false}", .layers = 3,
     .moe = ""},
    {"longcat_flash", "{'model_type': 'longcat_flash', 'hidden_size': 40, 'num_layers': 3, 'n_routed_experts': 8,"
     "'moe_topk': 3,"
                      "'zero_expert_num': 4, 'expert_ffn_hidden_size': 24, 'routed_scaling_factor': 1.5}",
     ALL, SIZES, .rule = {SOFTMAX, .scale = 1.5, .zero_experts = 4},
     .names = {MODEL, .router = "mlp.router.classifier.weight", .select_bias = "mlp.router.e_score_correction_bias",
               PROJ("mlp.")}},
    {"deepseek_v2", CONFIG("deepseek_v2",
     ROUTED ", 'n_shared_experts': 2, 'first_k_dense_replace': 1, 'topk_method': 'greedy',"
                                          "'scoring_func': 'softmax', 'routed_scaling_factor': 1.25"),
     LATER, SIZES, SHARED(48), .rule = {SOFTMAX, .scale = 1.25}, .names = {MLP, SHARED_EXPERTS}},
    {"deepseek_v2 groups", CONFIG("deepseek_v2",
     ROUTED ", 'n_shared_experts': 2, 'topk_method': 'group_limited_greedy',"
                                                 "'routed_scaling_factor': 16, " GROUPS),
     ALL, SIZES, SHARED(48), .rule = {SOFTMAX, .mask_zero = 1, IN_GROUPS, .scale = 16}, .names = {MLP, SHARED_EXPERTS}},
    {"deepseek_v2 defaults", CONFIG("deepseek_v2", ROUTED ", 'n_group': null, 'topk_group': null"), ALL, SIZES,
     SHARED(48),
     .rule = {SOFTMAX}},
    {"deepseek_v2 no shared", CONFIG("deepseek_v2", ROUTED ", 'n_shared_experts': null"), ALL, SIZES,
     .rule = {SOFTMAX}},
    {"mistral4", CONFIG("mistral4", ROUTED ", 'n_shared_experts': 2, 'first_k_dense_replace': 1,"
     "'norm_topk_prob': true,"
                                    "'routed_scaling_factor': 1.5, " GROUPS),
     LATER, SIZES, SHARED(48), .rule = {SOFTMAX, SUM, .eps = 1e-20, .scale = 1.5, .best_two = 1, .mask_zero = 1,
     IN_GROUPS},
     .names = {MODEL, .router = "mlp.gate.weight", TOGETHER("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
               SHARED_EXPERTS}},
    {"ernie4_5_moe", CONFIG("ernie4_5_moe", "'moe_num_experts': 8, 'moe_k': 3, 'moe_intermediate_size': 24,"
                                            "'moe_num_shared_experts': 2, 'moe_layer_interval': 1,"
                                            "'moe_layer_start_index': 1,"
                                            "'moe_layer_end_index': -1, 'moe_norm_min': 0.5, 'use_bias': false"),
     LATER, SIZES, SHARED(48), .rule = {SOFTMAX, SUM, .floor = 0.5},
     .names = {MLP, SHARED_EXPERTS, .select_bias = "mlp.moe_statics.e_score_correction_bias", .wide_select_bias = 1}},
    {"ernie4_5_moe interval", CONFIG("ernie4_5_moe", "'moe_num_experts': 8, 'moe_k': 3, 'moe_intermediate_size': 24,"
                                                     "'moe_num_shared_experts': 0, 'moe_layer_interval': 2,"
                                                     "'moe_layer_end_index': 1"),
     .layers = 3, .moe = "1", SIZES, .rule = {SOFTMAX, SUM, .floor = 1e-12}},
    {"hunyuan_v1_moe", CONFIG("hunyuan_v1_moe", "'num_experts': 8, 'moe_topk': 3, 'intermediate_size': 24"), ALL, SIZES,
     SHARED(24), .rule = {SOFTMAX, SUM},
     .names = {MODEL, .router = "mlp.gate.wg.weight", PROJ("mlp."), SHARED_AT("mlp.shared_mlp.")}},
    {"hunyuan_v1_moe lists", CONFIG("hunyuan_v1_moe",
     "'num_experts': [4, 6, 8], 'moe_topk': [1, 2, 3], 'intermediate_size': 24"),
     ALL, SIZES, SHARED(24), .rule = {SOFTMAX, SUM}},

    {"deepseek_v3", CONFIG("deepseek_v3",
     ROUTED ", 'n_shared_experts': 2, 'first_k_dense_replace': 1, 'scoring_func': 'sigmoid',"
                                          "'norm_topk_prob': true, 'routed_scaling_factor': 1.5, " GROUPS),
     LATER, SIZES, SHARED(48), .rule = {V3_SUM, IN_GROUPS, .scale = 1.5}, .names = {MLP, V3_BIAS, SHARED_EXPERTS}},
    {"deepseek_v3 fp8", "{'model_type': 'deepseek_v3', 'hidden_size': 40, 'num_hidden_layers': 1, " ROUTED ","
                        "'n_shared_experts': 2, 'first_k_dense_replace': 0, 'routed_scaling_factor': 1.5, " GROUPS ","
                        "'quantization_config': {'quant_method': 'fp8', 'weight_block_size': [16, 32]}}",
     .layers = 1, .moe = "0", SIZES, SHARED(48), .rule = {V3_SUM, IN_GROUPS, .scale = 1.5},
     .names = {MLP, V3_BIAS, SHARED_EXPERTS, .fp8 = {16, 32}}},
    {"deepseek_v3 fp8 kept", "{'model_type': 'deepseek_v3', 'hidden_size': 200, 'num_hidden_layers': 1,"
                             "'n_routed_experts': 4, 'num_experts_per_tok': 2, 'moe_intermediate_size': 136,"
                             "'n_shared_experts': 1, 'first_k_dense_replace': 0, 'n_group': 1, 'topk_group': 1,"
                             "'quantization_config': {'quant_method': 'fp8', 'weight_block_size': [128, 128]}}",
     .layers = 1, .moe = "0", .hidden = 200, .experts = 4, .top_k = 2, .intermediate = 136, SHARED(136),
     .rule = {V3_SUM, .n_group = 1, .topk_group = 1, .scale = 2.5},
     .names = {MLP, V3_BIAS, SHARED_EXPERTS, .fp8 = {128, 128}}},
    {"deepseek_v3 defaults", "{'model_type': 'deepseek_v3', 'hidden_size': 40, 'num_hidden_layers': 5,"
     "'n_routed_experts': 16,"
                             "'num_experts_per_tok': 3, 'moe_intermediate_size': 24}",
     .layers = 5, .moe = "3 4", .hidden = 40, .experts = 16, .top_k = 3, .intermediate = 24, SHARED(24),
     .rule = {V3_SUM, .n_group = 8, .topk_group = 4, .scale = 2.5}},
    {"kimi_k2", TEXT("kimi_k25", "kimi_k2", ROUTED ", 'n_shared_experts': 1, 'first_k_dense_replace': 1, 'n_group': 1,"
                                 "'topk_group': 1, 'norm_topk_prob': false, 'routed_scaling_factor': 2.827"),
     LATER, SIZES, SHARED(24), .rule = {V3, .eps = 1e-20, .scale = 2.827},
     .names = {.prefix = "language_model.model.layers.#.", .router = "mlp.gate.weight", PROJ("mlp."), V3_BIAS,
     SHARED_EXPERTS}},
    {"deepseek_v32", CONFIG("deepseek_v32",
     ROUTED ", 'n_shared_experts': 1, 'mlp_layer_types': ['sparse', 'dense', 'sparse'],"
                                            "'norm_topk_prob': true, 'routed_scaling_factor': 1.5, " GROUPS),
     .layers = 3, .moe = "0 2", SIZES, SHARED(24), .rule = {V3_SUM, IN_GROUPS, .scale = 1.5},
     .names = {MLP, V3_BIAS, SHARED_EXPERTS}},
    {"deepseek_v32 from", CONFIG("deepseek_v32", ROUTED ", 'first_k_dense_replace': 2, " GROUPS), .layers = 3,
     .moe = "2", SIZES,
     SHARED(24), .rule = {V3_SUM, IN_GROUPS, .scale = 2.5}},
    {"glm4_moe", CONFIG("glm4_moe", ROUTED ", 'n_shared_experts': 2, 'first_k_dense_replace': 2,"
     "'norm_topk_prob': true,"
                                    "'routed_scaling_factor': 1.5, " GROUPS),
     .layers = 3, .moe = "2", SIZES, SHARED(48), .rule = {V3_SUM, IN_GROUPS, .scale = 1.5}, .names = {MLP, V3_BIAS,
     SHARED_EXPERTS}},
    {"glm4_moe defaults", CONFIG("glm4_moe", ROUTED), LATER, SIZES, SHARED(24), .rule = {V3_SUM}},
    {"glm4v_moe", TEXT("glm4v_moe", "glm4v_moe_text", ROUTED ", 'first_k_dense_replace': 1"), LATER, SIZES, SHARED(24),
     .rule = {V3_SUM},
     .names = {.prefix = "model.language_model.layers.#.", .router = "mlp.gate.weight", PROJ("mlp."), V3_BIAS,
     SHARED_EXPERTS}},
    {"glm4_moe_lite", CONFIG("glm4_moe_lite",
     ROUTED ", 'n_shared_experts': 1, 'mlp_layer_types': ['dense', 'dense', 'sparse'],"
                                              "'norm_topk_prob': true, 'routed_scaling_factor': 1.5, " GROUPS),
     .layers = 3, .moe = "2", SIZES, SHARED(24), .rule = {V3_SUM, IN_GROUPS, .scale = 1.5}, .names = {MLP, V3_BIAS,
     SHARED_EXPERTS}},
    {"glm4_moe_lite defaults", CONFIG("glm4_moe_lite", ROUTED), LATER, SIZES, SHARED(24), .rule = {V3_SUM,
     .scale = 1.8}},
    {"glm_moe_dsa", CONFIG("glm_moe_dsa",
     ROUTED ", 'first_k_dense_replace': 1, 'n_shared_experts': 1, 'mlp_bias': false, " GROUPS),
     LATER, SIZES, SHARED(24), .rule = {V3_SUM, IN_GROUPS, .scale = 2.5}, .names = {MLP, V3_BIAS, SHARED_EXPERTS}},
    {"glm5_next_text", CONFIG("glm5_next_text", ROUTED ", 'mlp_layer_types': ['dense', 'sparse', 'sparse'],"
                                                "'swiglu_limit': 0.5, 'n_shared_experts': 1"),
     LATER, SIZES, SHARED(24), .rule = {V3_SUM, .scale = 2.5, .limit = 0.5, .shared_limit = 0.5},
     .names = {MLP, V3_BIAS, SHARED_EXPERTS}},
    {"dots1", CONFIG("dots1", ROUTED ", 'n_shared_experts': 2, 'first_k_dense_replace': 1, 'norm_topk_prob': true,"
                              "'scoring_func': 'noaux_tc', 'routed_scaling_factor': 1.5, " GROUPS),
     LATER, SIZES, SHARED(48), .rule = {V3_SUM, IN_GROUPS, .scale = 1.5}, .names = {MLP, V3_BIAS, SHARED_EXPERTS}},
    {"dots1 defaults", CONFIG("dots1", ROUTED), ALL, SIZES, .rule = {V3, .eps = 1e-20}},
    {"solar_open", CONFIG("solar_open", ROUTED ", 'n_shared_experts': 2, 'norm_topk_prob': true,"
     "'routed_scaling_factor': 1.5, "
                                        GROUPS),
     ALL, SIZES, SHARED(48), .rule = {V3_SUM, IN_GROUPS, .scale = 1.5}, .names = {MLP, V3_BIAS, SHARED_EXPERTS}},
    {"exaone_moe", CONFIG("exaone_moe", EXPERTS ", 'num_shared_experts': 2, 'mlp_layer_types': ['dense', 'sparse',"
     "'dense'],"
                                        "'norm_topk_prob': true, 'routed_scaling_factor': 1.5, " GROUPS),
     .layers = 3, .moe = "1", SIZES, SHARED(48), .rule = {V3_SUM, IN_GROUPS, .scale = 1.5},
     .names = {MLP, SHARED_EXPERTS, .select_bias = "mlp.e_score_correction_bias"}},
    {"exaone_moe defaults", CONFIG("exaone_moe", EXPERTS), LATER, SIZES, SHARED(24), .rule = {V3_SUM, .scale = 2.5}},
    {"bailing_hybrid", CONFIG("bailing_hybrid",
     EXPERTS ", 'num_shared_experts': 2, 'first_k_dense_replace': 1, 'score_function': 'sigmoid',"
     "'moe_router_enable_expert_bias': true, 'use_bias': false, 'norm_topk_prob': true, 'routed_scaling_factor': 1.5,"
     "'expert_swiglu_limit_list': [0, 0, 0.5, 0], 'share_expert_swiglu_limit_list': [0, 0, 0.25, 0], " GROUPS),
     LATER, SIZES, SHARED(48),
     .rule = {V3_SUM, IN_GROUPS, .scale = 1.5, .limit_after = 1, .limit = 0.5, .shared_limit = 0.25},
     .names = {MLP, SHARED_EXPERTS, .select_bias = "mlp.gate.expert_bias"}},
    {"bailing_hybrid as saved again", CONFIG("bailing_hybrid",
     "'num_experts': 8, 'num_experts_per_token': 3, 'moe_intermediate_size': 24, 'moe_renormalize': false,"
     "'num_expert_group': 4, 'topk_group': 2, 'moe_router_enable_expert_bias': false"),
     .layers = 3, .moe = "2", SIZES, SHARED(24), .rule = {V3, .eps = 1e-20, IN_GROUPS, .scale = 2.5, .limit_after = 1},
     .names = {MLP, SHARED_EXPERTS}},
    {"bailing_hybrid defaults", CONFIG("bailing_hybrid", "'num_experts': 16, 'num_experts_per_tok': 3,"
     "'moe_intermediate_size': 24"),
     .layers = 3, .moe = "2", SIZES_16, SHARED(24),
     .rule = {V3_SUM, .n_group = 8, .topk_group = 4, .scale = 2.5, .limit_after = 1}},
    {"kimi_linear", CONFIG("kimi_linear",
     "'num_experts': 8, 'num_experts_per_token': 3, 'moe_intermediate_size': 24, 'num_shared_experts': 2,"
     "'first_k_dense_replace': 2, 'moe_router_activation_func': 'sigmoid', 'moe_renormalize': true,"
     "'routed_scaling_factor': 1.5, 'num_expert_group': 4, 'topk_group': 2, 'hidden_act': 'silu'"),
     .layers = 3, .moe = "2", SIZES, SHARED(48), .rule = {V3_SUM, IN_GROUPS, .scale = 1.5},
     .names = {MIXTRAL, .select_bias = "block_sparse_moe.gate.e_score_correction_bias",
               SHARED_AT("block_sparse_moe.shared_experts.")}},
    {"kimi_linear as saved again", CONFIG("kimi_linear",
     "'num_local_experts': 8, 'num_experts_per_tok': 3, 'moe_intermediate_size': 24, 'n_shared_experts': 2,"
     "'mlp_layer_types': ['sparse', 'dense', 'sparse'], 'norm_topk_prob': false"),
     .layers = 3, .moe = "0 2", SIZES, SHARED(48), .rule = {V3, .eps = 1e-20, .scale = 2.446}},
    {"kimi_linear defaults", CONFIG("kimi_linear", EXPERTS), LATER, SIZES, SHARED(24),
     .rule = {V3_SUM, .scale = 2.446}},
    {"mimo_v2_flash", CONFIG("mimo_v2_flash",
     ROUTED ", 'mlp_layer_types': ['dense', 'sparse', 'sparse'], 'norm_topk_prob': true,"
                                              "'routed_scaling_factor': null, " GROUPS),
     LATER, SIZES, .rule = {V3_SUM, IN_GROUPS}, .names = {MLP, V3_BIAS}},
    {"mimo_v2_flash defaults", CONFIG("mimo_v2_flash", ROUTED), LATER, SIZES, .rule = {V3_SUM}},
    {"beam", CONFIG("beam", EXPERTS ", 'mlp_layer_types': ['dense', 'sparse', 'sparse'], 'norm_topk_prob': true,"
                            "'routed_scaling_factor': 1.5, " GROUPS),
     LATER, SIZES, .rule = {V3_SUM, IN_GROUPS, .routed_scale = 1.5}, .names = {MLP, V3_BIAS}},
    {"hy_v4", CONFIG("hy_v4", ROUTED ", 'n_shared_experts': 1, 'norm_topk_prob': true, 'routed_scaling_factor': 1.5,"
                              "'swiglu_limit': 0.5, " GROUPS),
     LATER, SIZES, SHARED(24), .rule = {V3_SUM, IN_GROUPS, .scale = 1.5, .limit = 0.5},
     .names = {MODEL, .router = "mlp.gate.weight", TOGETHER("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
     V3_BIAS,
               .shared_gate_proj = "mlp.shared_experts.linear_gate.weight",
               .shared_up = "mlp.shared_experts.up_proj.weight",
               .shared_down = "mlp.shared_experts.down_proj.weight"}},
    {"nemotron_h", "{'model_type': 'nemotron_h', 'hidden_size': 40, 'layers_block_type': ['mamba', 'moe',"
     "'attention', 'moe'],"
                   ROUTED ", 'moe_shared_expert_intermediate_size': 20, 'mlp_hidden_act': 'relu2', 'mlp_bias': false,"
                   "'norm_topk_prob': true, 'routed_scaling_factor': 1.5, " GROUPS "}",
     .layers = 4, .moe = "1 3", SIZES, SHARED(20),
     .rule = {V3_SUM, IN_GROUPS, .scale = 1.5, .ungated = 1, .activation = CLMOE_RELU2,
     .shared_activation = CLMOE_RELU2},
     .names = {NEMOTRON}},
    {"nemotron_h latent", "{'model_type': 'nemotron_h', 'hidden_size': 40, 'hybrid_override_pattern': 'ME*-E',"
                          ROUTED ", 'moe_shared_expert_intermediate_size': 20, 'moe_latent_size': 16}",
     .layers = 5, .moe = "1 4", SIZES, SHARED(20), .latent = 16,
     .rule = {V3_SUM, .ungated = 1, .activation = CLMOE_RELU2, .shared_activation = CLMOE_RELU2},
     .names = {NEMOTRON, .latent_in = "fc1_latent_proj.weight", .latent_out = "fc2_latent_proj.weight"}},

    {"minimax_m3_vl", TEXT("minimax_m3_vl", "minimax_m3_vl_text", LOCAL ", 'shared_intermediate_size': 20,"
     "'moe_layer_freq': [0, 1, 1], 'routed_scaling_factor': 1.5, 'swiglu_limit': 0.5, 'swiglu_alpha': 1.25,"
     "'hidden_act': 'swigluoai', 'scoring_func': 'sigmoid'"),
     LATER, SIZES, SHARED(20),
     .rule = {SIGMOID, SUM, .routed_scale = 1.5, .limit = 0.5, .alpha = 1.25, .up_offset = 1, .shared_limit = 0.5,
              .shared_alpha = 1.25, .shared_up_offset = 1},
     .names = {.prefix = "language_model.model.layers.#.", .router = "block_sparse_moe.gate.weight",
               W123("block_sparse_moe."), .select_bias = "block_sparse_moe.e_score_correction_bias",
               SHARED_AT("block_sparse_moe.shared_experts.")}},
    {"minimax_m3_vl types", CONFIG("minimax_m3_vl_text", LOCAL ", 'mlp_layer_types': ['sparse', 'dense', 'sparse']"),
     .layers = 3, .moe = "0 2", SIZES, SHARED(3072),
     .rule = {SIGMOID, SUM, .routed_scale = 2, .limit = 7, .alpha = 1.702, .up_offset = 1, .shared_limit = 7,
              .shared_alpha = 1.702, .shared_up_offset = 1}},
    {"minimax_m3_vl defaults", CONFIG("minimax_m3_vl_text", LOCAL), ALL, SIZES, SHARED(3072),
     .rule = {SIGMOID, SUM, .routed_scale = 2, .limit = 7, .alpha = 1.702, .up_offset = 1, .shared_limit = 7,
              .shared_alpha = 1.702, .shared_up_offset = 1}},
    {"afmoe", CONFIG("afmoe", EXPERTS ", 'num_shared_experts': 1, 'num_dense_layers': 2, 'route_scale': 1.5"),
     .layers = 3,
     .moe = "2", SIZES, SHARED(24), .rule = {SIGMOID, SUM, .eps = 1e-20, .scale = 1.5},
     .names = {MODEL, .router = "mlp.router.gate.weight", .select_bias = "mlp.expert_bias", PROJ("mlp."),
     SHARED_EXPERTS}},
    {"afmoe defaults", CONFIG("afmoe", EXPERTS), LATER, SIZES, SHARED(48), .rule = {SIGMOID, SUM, .eps = 1e-20}},
    {"hy_v3", CONFIG("hy_v3", EXPERTS ", 'num_shared_experts': 2, 'mlp_layer_types': ['sparse', 'dense', 'sparse'],"
                              "'router_scaling_factor': 1.5"),
     .layers = 3, .moe = "0 2", SIZES, SHARED(48), .rule = {SIGMOID, SUM, .eps = 1e-20, .scale = 1.5},
     .names = {MODEL, .router = "mlp.router.gate.weight", .select_bias = "mlp.expert_bias", PROJ("mlp."),
               SHARED_AT("mlp.shared_mlp.")}},
    {"hy_v3 defaults", CONFIG("hy_v3", EXPERTS), LATER, SIZES, SHARED(24),
     .rule = {SIGMOID, SUM, .eps = 1e-20, .scale = 2.826}},
    {"lfm2_moe", CONFIG("lfm2_moe", EXPERTS ", 'num_dense_layers': 1, 'use_expert_bias': true, 'norm_topk_prob': true,"
                                    "'routed_scaling_factor': 1.5"),
     LATER, SIZES, .rule = {SIGMOID, SUM, .eps = 1e-6, .scale = 1.5},
     .names = {MODEL, .router = "feed_forward.gate.weight", .select_bias = "feed_forward.expert_bias",
     W123("feed_forward.")}},
    {"lfm2_moe without bias", CONFIG("lfm2_moe", EXPERTS ", 'use_expert_bias': false, 'norm_topk_prob': false"),
     .layers = 3,
     .moe = "2", SIZES, .rule = {SIGMOID, .eps = 1e-6},
     .names = {MODEL, .router = "feed_forward.gate.weight", W123("feed_forward.")}},
    {"laguna", CONFIG("laguna", EXPERTS ", 'shared_expert_intermediate_size': 20, 'mlp_layer_types': ['dense',"
     "'sparse', 'sparse'],"
                                "'moe_routed_scaling_factor': 1.5, 'moe_router_logit_softcapping': 2.5"),
     LATER, SIZES, SHARED(20), .rule = {SIGMOID, SUM, .softcap = 2.5, .routed_scale = 1.5},
     .names = {MLP, .select_bias = "mlp.experts.e_score_correction_bias", SHARED_AT("mlp.shared_expert.")}},
    {"laguna defaults", CONFIG("laguna", EXPERTS ", 'shared_expert_intermediate_size': 20"), LATER, SIZES, SHARED(20),
     .rule = {SIGMOID, SUM}},
    {"step3p5", CONFIG("step3p5", "'moe_num_experts': 8, 'moe_top_k': 3, 'moe_intermediate_size': 24,"
     "'share_expert_dim': 20,"
                                  "'moe_layers_enum': '0,2', 'moe_router_scaling_factor': 1.5,"
                                  "'swiglu_limits': [0, null, 0.5], 'swiglu_limits_shared': [null, 0, 0.25]"),
     .layers = 3, .moe = "0 2", SIZES, SHARED(20),
     .rule = {SIGMOID, SUM, .routed_scale = 1.5, .limit_after = 1, .limit = 0.5, .shared_limit = 0.25},
     .names = {MODEL, .router = "moe.gate.weight", .select_bias = "moe.router_bias", .gate = "moe.gate_proj.weight",
               .up = "moe.up_proj.weight", .down = "moe.down_proj.weight", .store = ROW_FUSED,
               SHARED_AT("share_expert.")}},
    {"step3p7 multimodal", "{'model_type': 'step3p7', 'text_config': {'model_type': 'step3p5', 'hidden_size': 40,"
                           "'num_hidden_layers': 5, " ROUTED ", 'share_expert_dim': 20}}",
     .layers = 5, .moe = "3 4", SIZES, SHARED(20), .rule = {SIGMOID, SUM, .limit_after = 1}},
    {"step3p5 types", CONFIG("step3p5", ROUTED ", 'share_expert_dim': 20, 'moe_layers_enum': [0],"
                                        "'mlp_layer_types': ['dense', 'sparse', 'sparse', 'dense']"),
     LATER, SIZES, SHARED(20), .rule = {SIGMOID, SUM, .limit_after = 1}},
    {"flint", CONFIG("flint", EXPERTS ", 'shared_expert_intermediate_size': 20, 'norm_topk_prob': true"), .layers = 3,
     .moe = "2",
     SIZES, SHARED(20), .rule = {SIGMOID, SUM}, .names = {MLP, SHARED_AT("mlp.shared_expert.")}},
    {"flint list", CONFIG("flint", EXPERTS ", 'shared_expert_intermediate_size': 20, 'mlp_only_layers': []"), ALL,
     SIZES,
     SHARED(20), .rule = {SIGMOID, SUM}},
    {"kolibri1", CONFIG("kolibri1", EXPERTS ", 'shared_expert_intermediate_size': 20, 'norm_topk_prob': true"), ALL,
     SIZES,
     SHARED(20), .rule = {SIGMOID, SUM, .bias_on_logit = 1},
     .names = {MLP, .select_bias = "moe.router.expert_bias", SHARED_EXPERTS}},
    {"deepseek_v4", CONFIG("deepseek_v4", ROUTED ", 'mlp_layer_types': ['hash_moe', 'moe', 'moe'], 'swiglu_limit': 0.5,"
                                          "'routed_scaling_factor': 1.25, 'scoring_func': 'sqrtsoftplus'"),
     LATER, SIZES, SHARED(24),
     .rule = {.score = CLMOE_SQRT_SOFTPLUS, SUM, .eps = 1e-20, .scale = 1.25, .limit = 0.5, .shared_limit = 0.5},
     .names = {.prefix = "layers.#.ffn.", .router = "gate.weight", .select_bias = "gate.bias", W123(""),
               .shared_gate_proj = "shared_experts.w1.weight", .shared_up = "shared_experts.w3.weight",
               .shared_down = "shared_experts.w2.weight"}},
    {"deepseek_v4 defaults", CONFIG("deepseek_v4", ROUTED ", 'num_hash_layers': 2"), .layers = 3, .moe = "2", SIZES,
     SHARED(24),
     .rule = {.score = CLMOE_SQRT_SOFTPLUS, SUM, .eps = 1e-20, .scale = 1.5, .limit = 10, .shared_limit = 10}},

    {"gpt_oss", CONFIG("gpt_oss", LOCAL ", 'swiglu_limit': 0.5, 'swiglu_alpha': 1.5"), ALL, SIZES,
     .rule = {OF_TOP_K, .limit = 0.5, .alpha = 1.5, .up_offset = 1},
     .names = {GPT_OSS, .store = ROW_FUSED, .up_turned = 1, .down_turned = 1}},
    {"gpt_oss mxfp4", "{'model_type': 'gpt_oss', 'hidden_size': 64, 'num_hidden_layers': 1, 'num_local_experts': 8,"
                      "'num_experts_per_tok': 3, 'intermediate_size': 32}",
     .layers = 1, .moe = "0", .hidden = 64, .experts = 8, .top_k = 3, .intermediate = 32,
     .rule = {OF_TOP_K, .limit = 7, .alpha = 1.702, .up_offset = 1}, .names = {GPT_OSS, .store = ROW_MXFP4}},
    {"granitemoe", CONFIG("granitemoe", LOCAL), ALL, SIZES, .rule = {OF_TOP_K}, .names = {GRANITE}},
    {"granitemoeshared", CONFIG("granitemoeshared", LOCAL ", 'shared_intermediate_size': 20"), ALL, SIZES, SHARED(20),
     .rule = {OF_TOP_K},
     .names = {GRANITE, .shared_up = "shared_mlp.input_linear.weight",
     .shared_down = "shared_mlp.output_linear.weight"}},
    {"granitemoeshared none", CONFIG("granitemoeshared", LOCAL ", 'shared_intermediate_size': 0"), ALL, SIZES,
     .rule = {OF_TOP_K},
     .names = {GRANITE}},
    {"granitemoehybrid", CONFIG("granitemoehybrid", LOCAL ", 'shared_intermediate_size': 20"), ALL, SIZES, SHARED(20),
     .rule = {OF_TOP_K},
     .names = {GRANITE, .shared_up = "shared_mlp.input_linear.weight",
     .shared_down = "shared_mlp.output_linear.weight"}},
    {"granitemoehybrid dense", CONFIG("granitemoehybrid", "'num_local_experts': 0, 'shared_intermediate_size': 20"),
     .layers = 3,
     .moe = ""},
    {"jetmoe", CONFIG("jetmoe", LOCAL ", 'activation_function': 'silu'"), ALL, SIZES, .rule = {OF_TOP_K},
     .names = {MODEL, .router = "mlp.router.layer.weight", .output_bias = "mlp.bias",
               TOGETHER("mlp.input_linear.weight", "mlp.output_linear.weight")}},
    {"aria_text", TEXT("aria", "aria_text", "'moe_num_experts': 8, 'moe_topk': 3, 'intermediate_size': 24,"
                                            "'moe_num_shared_experts': 2, 'hidden_act': 'gelu_pytorch_tanh'"),
     ALL, SIZES, SHARED(48), .rule = {OF_TOP_K, .shared_activation = CLMOE_GELU_TANH},
     .names = {.prefix = "language_model.model.layers.#.", .router = "mlp.router.weight",
               TOGETHER("mlp.experts.fc1.weight", "mlp.experts.fc2.weight"), .up_turned = 1, .down_turned = 1,
               SHARED_EXPERTS}},
    {"cohere2_moe", CONFIG("cohere2_moe", "'num_experts': 8, 'num_experts_per_tok': 3, 'intermediate_size': 24,"
                                          "'num_shared_experts': 2, 'shared_expert_combination_strategy': 'average',"
                                          "'expert_selection_fn': 'sigmoid', 'norm_topk_prob': true,"
                                          "'first_k_dense_replace': 1"),
     LATER, SIZES, SHARED(48), .rule = {SIGMOID, .after = 1, SUM, .routed_scale = 0.5, .shared_scale = 0.5},
     .names = {MLP, SHARED_EXPERTS}},
    {"cohere2_moe softmax", CONFIG("cohere2_moe", "'num_experts': 8, 'num_experts_per_tok': 3, 'intermediate_size': 24,"
                                                  "'num_shared_experts': 1,"
                                                  "'shared_expert_combination_strategy': 'sum',"
                                                  "'mlp_layer_types': ['sparse', 'sparse', 'dense']"),
     .layers = 3, .moe = "0 1", SIZES, SHARED(24), .rule = {OF_TOP_K}, .names = {MLP, SHARED_EXPERTS}},
    {"cohere2_moe defaults", CONFIG("cohere2_moe",
     "'num_experts': 8, 'num_experts_per_tok': 3, 'intermediate_size': 24"), ALL,
     SIZES, .rule = {OF_TOP_K}, .names = {MLP}},
    {"llama4_text", TEXT("llama4", "llama4_text",
     LOCAL ", 'intermediate_size_mlp': 99, 'interleave_moe_layer_step': 2"),
     .layers = 3, .moe = "1", SIZES, SHARED(24), .rule = {SIGMOID, .after = 1, .weight_on_input = 1},
     .names = {.prefix = "language_model.model.layers.#.", .router = "feed_forward.router.weight",
               TOGETHER("feed_forward.experts.gate_up_proj", "feed_forward.experts.down_proj"), .up_turned = 1,
               .down_turned = 1, SHARED_AT("feed_forward.shared_expert.")}},
    {"llama4_text list", CONFIG("llama4_text", LOCAL ", 'moe_layers': [2, 0]"), .layers = 3, .moe = "0 2", SIZES,
     SHARED(24),
     .rule = {SIGMOID, .after = 1, .weight_on_input = 1}},
    {"llama4_text defaults", CONFIG("llama4_text", LOCAL), ALL, SIZES, SHARED(24),
     .rule = {SIGMOID, .after = 1, .weight_on_input = 1}},

    /* what is left out everywhere above */
    {"hy_v4 defaults", CONFIG("hy_v4", ROUTED), LATER, SIZES, SHARED(24), .rule = {V3_SUM, .scale = 2.827,
     .limit = 10}},
    {"glm5_next_text defaults", "{'model_type': 'glm5_next_text', 'hidden_size': 40, 'num_hidden_layers': 5,"
     "" ROUTED "}",
     .layers = 5, .moe = "3 4", SIZES, SHARED(24),
     .rule = {V3_SUM, .scale = 2.5, .limit = 10, .shared_limit = 10}},
    {"glm_moe_dsa defaults", "{'model_type': 'glm_moe_dsa', 'hidden_size': 40, 'num_hidden_layers': 5, " ROUTED "}",
     .layers = 5, .moe = "3 4", SIZES, SHARED(24), .rule = {V3_SUM, .scale = 2.5}},
    {"deepseek_v32 defaults", "{'model_type': 'deepseek_v32', 'hidden_size': 40, 'num_hidden_layers': 5," SIXTEEN "}",
     .layers = 5, .moe = "3 4", SIZES_16, SHARED(24), .rule = {V3_SUM, .n_group = 8, .topk_group = 4, .scale = 2.5}},
    {"beam defaults", "{'model_type': 'beam', 'hidden_size': 40, 'num_hidden_layers': 5, 'num_experts': 16,"
                      "'num_experts_per_tok': 3, 'moe_intermediate_size': 24}",
     .layers = 5, .moe = "3 4", SIZES_16, .rule = {V3_SUM, .n_group = 8, .topk_group = 4, .routed_scale = 2.5}},
    {"solar_open defaults", CONFIG("solar_open", ROUTED), ALL, SIZES, SHARED(24), .rule = {V3_SUM}},
    {"mistral4 defaults", CONFIG("mistral4", ROUTED), ALL, SIZES, SHARED(24),
     .rule = {SOFTMAX, SUM, .eps = 1e-20, .best_two = 1, .mask_zero = 1}},
    {"ernie4_5_moe defaults", CONFIG("ernie4_5_moe", "'moe_num_experts': 8, 'moe_k': 3, 'moe_intermediate_size': 24"),
     LATER, SIZES, SHARED(48), .rule = {SOFTMAX, SUM, .floor = 1e-12}},
    {"lfm2_moe defaults", CONFIG("lfm2_moe", EXPERTS), .layers = 3, .moe = "2", SIZES,
     .rule = {SIGMOID, SUM, .eps = 1e-6}},
    {"flint defaults", CONFIG("flint", EXPERTS), .layers = 3, .moe = "2", SIZES, SHARED(1024), .rule = {SIGMOID, SUM}},
    {"kolibri1 defaults", CONFIG("kolibri1", EXPERTS), ALL, SIZES, SHARED(512),
     .rule = {SIGMOID, .bias_on_logit = 1}},
    {"qwen4_exp_text defaults", CONFIG("qwen4_exp_text", EXPERTS), ALL, SIZES, SHARED(512), .rule = {SOFTMAX, SUM}},
    {"qwen3_5_moe_text defaults", CONFIG("qwen3_5_moe_text", EXPERTS), ALL, SIZES, SHARED(512), .rule = {SOFTMAX, SUM}},
    {"aria_text defaults", CONFIG("aria_text", "'moe_num_experts': 8, 'moe_topk': 3, 'intermediate_size': 24"), ALL,
     SIZES, SHARED(48), .rule = {OF_TOP_K}},
    {"granitemoehybrid defaults", CONFIG("granitemoehybrid", LOCAL), ALL, SIZES, SHARED(1024), .rule = {OF_TOP_K}},
    {"granitemoeshared defaults", CONFIG("granitemoeshared", LOCAL), ALL, SIZES, .rule = {OF_TOP_K}},
    {"laguna shared default", CONFIG("laguna", EXPERTS), LATER, SIZES, SHARED(512), .rule = {SIGMOID, SUM}},
    {"longcat_flash defaults", "{'model_type': 'longcat_flash', 'hidden_size': 40, 'num_layers': 3, 'moe_topk': 3,"
                               "'n_routed_experts': 8, 'expert_ffn_hidden_size': 24}",
     ALL, SIZES, .rule = {SOFTMAX, .scale = 6, .zero_experts = 256}},
    {"step3p5 defaults", "{'model_type': 'step3p5', 'hidden_size': 40, 'num_hidden_layers': 5, " ROUTED "}",
     .layers = 5, .moe = "3 4", SIZES, SHARED(1280), .rule = {SIGMOID, SUM, .limit_after = 1}},
    {"nemotron_h defaults", "{'model_type': 'nemotron_h', 'hidden_size': 40, 'hybrid_override_pattern': 'E',"
     "" ROUTED "}",
     .layers = 1, .moe = "0", SIZES, SHARED(7688),
     .rule = {V3_SUM, .ungated = 1, .activation = CLMOE_RELU2, .shared_activation = CLMOE_RELU2}},
    {"deepseek_v4 hash default", "{'model_type': 'deepseek_v4', 'hidden_size': 40, 'num_hidden_layers': 5, " ROUTED "}",
     .layers = 5, .moe = "3 4", SIZES, SHARED(24),
     .rule = {.score = CLMOE_SQRT_SOFTPLUS, SUM, .eps = 1e-20, .scale = 1.5, .limit = 10, .shared_limit = 10}},
};
/* clang-format on */

const unsigned model_row_count = sizeof model_rows / sizeof *model_rows;
