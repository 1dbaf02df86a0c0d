/* The golden layers: outputs, chosen experts, weights and load as transformers computes them. Each layer runs twice,
 * with experts kept in f32 (2e-5 of the largest output) and in bf16 (2e-2). A row of the table says where a family's
 * tensors are and which rule it has. */
#include <math.h>
#include <stdio.h>

#include "golden.h"
#include "one_device.h"

typedef struct family {
    const char *name, *preset;
    const char *block;                    /* behind "model.layers.N." */
    const char *router, *router_bias, *select_bias;
    const char *gate, *up, *down;         /* with %u: one tensor an expert */
    const char *up_bias, *down_bias;
    const char *shared_gate_proj, *shared_up, *shared_down, *shared_gate;
    uint32_t gate_up, layout;
    uint32_t n_group, topk_group;
    float scale;
    uint32_t normalize, gpt_oss;
} family;

#define MLP .block = "mlp.", .router = "gate.weight"
#define PROJ \
    .gate = "experts.%u.gate_proj.weight", .up = "experts.%u.up_proj.weight", .down = "experts.%u.down_proj.weight"
#define SHARED(name)                                                                   \
    .shared_gate_proj = name ".gate_proj.weight", .shared_up = name ".up_proj.weight", \
    .shared_down = name ".down_proj.weight"
#define GPT_OSS                                                                                                \
    .block = "mlp.", .router = "router.weight", .router_bias = "router.bias", .up = "experts.gate_up_proj",    \
    .down = "experts.down_proj", .up_bias = "experts.gate_up_proj_bias", .down_bias = "experts.down_proj_bias", \
    .gate_up = CLMOE_GATE_UP_INTERLEAVED, .layout = CLMOE_IN_OUT, .scale = 1, .gpt_oss = 1

static const family families[] = {
    {.name = "mixtral",
     .preset = "mixtral",
     .block = "block_sparse_moe.",
     .router = "gate.weight",
     .gate = "experts.%u.w1.weight",
     .up = "experts.%u.w3.weight",
     .down = "experts.%u.w2.weight",
     .scale = 1,
     .normalize = 1},
    {.name = "olmoe", .preset = "olmoe", MLP, PROJ, .scale = 1},
    {.name = "qwen2_moe",
     .preset = "qwen2_moe",
     MLP,
     PROJ,
     SHARED("shared_expert"),
     .shared_gate = "shared_expert_gate.weight",
     .scale = 1},
    {.name = "qwen3_moe", .preset = "qwen3_moe", MLP, PROJ, .scale = 1, .normalize = 1},
    {.name = "deepseek_v2_greedy", .preset = "deepseek_v2", MLP, PROJ, SHARED("shared_experts"), .scale = 1},
    {.name = "deepseek_v2_group",
     .preset = "deepseek_v2",
     MLP,
     PROJ,
     SHARED("shared_experts"),
     .n_group = 4,
     .topk_group = 2,
     .scale = 16},
    {.name = "deepseek_v3",
     .preset = "deepseek_v3",
     MLP,
     PROJ,
     SHARED("shared_experts"),
     .select_bias = "gate.e_score_correction_bias",
     .n_group = 4,
     .topk_group = 2,
     .scale = 2.5f,
     .normalize = 1},
    {.name = "gpt_oss", .preset = "gpt_oss", GPT_OSS},
    {.name = "gpt_oss_mxfp4", .preset = "gpt_oss", GPT_OSS},
    {.name = "granitemoe",
     .preset = "granitemoe",
     .block = "block_sparse_moe.",
     .router = "router.layer.weight",
     .up = "input_linear.weight",
     .down = "output_linear.weight",
     .gate_up = CLMOE_GATE_UP_CONCATENATED,
     .scale = 1},
    {.name = "llama4_text",
     .preset = "llama4",
     .block = "feed_forward.",
     .router = "router.weight",
     .up = "experts.gate_up_proj",
     .down = "experts.down_proj",
     .gate_up = CLMOE_GATE_UP_CONCATENATED,
     .layout = CLMOE_IN_OUT,
     SHARED("shared_expert"),
     .scale = 1},
};

/* Host memory that lives until the weights are made. */
typedef struct scrap {
    void *memory[64];
    size_t count;
} scrap;

static void *scrap_new(scrap *s, size_t bytes) {
    assert_true(s->count < 64);
    void *memory = calloc(1, bytes + 1);
    assert_non_null(memory);
    return s->memory[s->count++] = memory;
}

static const golden_tensor *find(const golden *g, const family *f, const char *name) {
    char full[256];
    (void)snprintf(full, sizeof full, "model.layers.%u.%s%s", g->layer, f->block, name);
    return golden_find(g, full);
}

/* OpenAI's mxfp4: 32 values share a power of two; 16 bytes hold them, the low nibble first. */
static clmoe_tensor decode_mxfp4(const golden *g, const family *f, const char *name, scrap *s) {
    static const float codes[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    char part[128];
    (void)snprintf(part, sizeof part, "%s_blocks", name);
    const golden_tensor *blocks = find(g, f, part);
    (void)snprintf(part, sizeof part, "%s_scales", name);
    const golden_tensor *scales = find(g, f, part);
    if (blocks == NULL || scales == NULL) fail_msg("%s has neither %s nor its blocks", f->name, name);
    float *values = scrap_new(s, scales->count * 32 * sizeof *values);
    for (size_t b = 0; b < scales->count; b++) {
        const int exponent = (int)((const uint8_t *)scales->data)[b] - 127;
        for (size_t i = 0; i < 32; i++) {
            const uint8_t byte = ((const uint8_t *)blocks->data)[b * 16 + i / 2];
            const uint8_t code = i % 2 ? byte >> 4 : byte & 15;
            values[b * 32 + i] = ldexpf(code & 8 ? -codes[code & 7] : codes[code & 7], exponent);
        }
    }
    clmoe_tensor t = {.format = CLMOE_F32, .layout = CLMOE_OUT_IN, .host = values};
    return t;
}

static clmoe_tensor tensor(const golden *g, const family *f, const char *name, uint32_t layout, scrap *s) {
    clmoe_tensor t = {.layout = layout};
    if (name == NULL) return t;
    const golden_tensor *found = NULL;
    const char *percent = strchr(name, '%');
    if (percent == NULL) {
        found = find(g, f, name);
        if (found == NULL) return decode_mxfp4(g, f, name, s);
        t.host = found->data;
    } else {
        const void **list = scrap_new(s, g->experts * sizeof *list);
        for (uint32_t e = 0; e < g->experts; e++) {
            char one[128];
            (void)snprintf(one, sizeof one, "%.*s%u%s", (int)(percent - name), name, e, percent + 2);
            found = find(g, f, one);
            if (found == NULL) fail_msg("%s has no %s", f->name, one);
            list[e] = found->data;
        }
        t.host_list = list;
    }
    t.format = strcmp(found->type, "BF16") == 0 ? CLMOE_BF16 : CLMOE_F32;
    return t;
}

static clmoe_weights *make_weights(const golden *g, const family *f, uint32_t format) {
    clmoe_weights_desc d;
    clmoe_weights_desc_default(&d, sizeof d);
    clmoe_error error = {.struct_size = sizeof error};
    scrap s = {.count = 0};
    d.hidden_size = g->hidden;
    d.format = format;
    d.num_classes = g->experts;
    d.router = tensor(g, f, f->router, CLMOE_OUT_IN, &s);
    d.router_bias = tensor(g, f, f->router_bias, CLMOE_OUT_IN, &s);
    d.select_bias = tensor(g, f, f->select_bias, CLMOE_OUT_IN, &s);
    d.experts = (clmoe_ffn){.num_experts = g->experts, .intermediate_size = g->intermediate, .gated = 1,
                            .gate_up = f->gate_up};
    d.experts.gate = tensor(g, f, f->gate, f->layout, &s);
    d.experts.up = tensor(g, f, f->up, f->layout, &s);
    d.experts.down = tensor(g, f, f->down, f->layout, &s);
    d.experts.up_bias = tensor(g, f, f->up_bias, CLMOE_OUT_IN, &s);
    d.experts.down_bias = tensor(g, f, f->down_bias, CLMOE_OUT_IN, &s);
    if (f->shared_up != NULL) {
        d.shared = (clmoe_ffn){.num_experts = 1, .gated = 1};
        d.shared.intermediate_size = (uint32_t)find(g, f, f->shared_up)->shape[0];
        d.shared.gate = tensor(g, f, f->shared_gate_proj, CLMOE_OUT_IN, &s);
        d.shared.up = tensor(g, f, f->shared_up, CLMOE_OUT_IN, &s);
        d.shared.down = tensor(g, f, f->shared_down, CLMOE_OUT_IN, &s);
        d.shared_gate = tensor(g, f, f->shared_gate, CLMOE_OUT_IN, &s);
    }
    clmoe_weights *weights = NULL;
    OK(clmoe_weights_create(device.context, &d, &weights, &error));
    for (size_t i = 0; i < s.count; i++) free(s.memory[i]);
    return weights;
}

static clmoe_layer *make_layer(const golden *g, const family *f, clmoe_weights *weights) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_layer_desc d;
    clmoe_layer_desc_default(&d, sizeof d);
    d.routing.num_experts = g->experts;
    d.routing.top_k = g->top_k;
    OK(clmoe_routing_preset(&d.routing, f->preset, &error));
    d.routing.n_group = f->n_group;
    d.routing.topk_group = f->topk_group;
    d.routing.scale = f->scale;
    d.routing.normalize = f->normalize ? CLMOE_NORM_SUM : CLMOE_NORM_NONE;
    if (f->gpt_oss) {
        d.activation.limit = 7;
        d.activation.alpha = 1.702f;
        d.activation.up_offset = 1;
    }
    clmoe_layer *layer = NULL;
    OK(clmoe_layer_create(device.context, weights, &d, &layer, &error));
    return layer;
}

static void run_case(const golden *g, const family *f, uint32_t format, double tolerance) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_weights *weights = make_weights(g, f, format);
    clmoe_layer *layer = make_layer(g, f, weights);
    const size_t T = g->tokens, H = g->hidden, K = g->top_k, E = g->experts;
    test_buffer x = test_buffer_new(&device, T * H * 4, golden_find(g, "hidden_states")->data);
    test_buffer out = test_buffer_new(&device, T * H * 4, NULL), index = test_buffer_new(&device, T * K * 4, NULL);
    test_buffer weight = test_buffer_new(&device, T * K * 4, NULL), load = test_buffer_new(&device, E * 4, NULL);
    clmoe_io io;
    clmoe_io_default(&io, sizeof io);
    io.tokens = g->tokens;
    io.x = x.at;
    io.out = out.at;
    io.out_index = index.at;
    io.out_weight = weight.at;
    io.out_load = load.at;
    OK(clmoe_forward(layer, NULL, device.queue, &io, 0, NULL, NULL, &error));
    float *y = malloc(T * H * 4), *w = malloc(T * K * 4);
    int32_t *i = malloc(T * K * 4), *l = malloc(E * 4);
    test_buffer_read(&device, &out, y);
    test_buffer_read(&device, &index, i);
    test_buffer_read(&device, &weight, w);
    test_buffer_read(&device, &load, l);
    golden_compare(g, f->name, y, i, w, l, tolerance);
    free(y);
    free(w);
    free(i);
    free(l);
    test_buffer *all[] = {&x, &out, &index, &weight, &load};
    for (size_t n = 0; n < sizeof all / sizeof *all; n++) test_buffer_free(&device, all[n]);
    clmoe_layer_destroy(layer);
    clmoe_weights_destroy(weights);
}

static void test_family(void **state) {
    const family *f = *state;
    golden g = golden_open(f->name);
    run_case(&g, f, CLMOE_F32, 2e-5);
    run_case(&g, f, CLMOE_BF16, 2e-2);
    golden_close(&g);
}

int main(void) {
    enum { COUNT = sizeof families / sizeof *families };
    struct CMUnitTest tests[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        tests[i] = (struct CMUnitTest){families[i].name, test_family, NULL, NULL, (void *)(uintptr_t)&families[i]};
    }
    return cmocka_run_group_tests(tests, open_device, close_device);
}
