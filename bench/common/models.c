/* Shapes of known models; see models.h. Sizes are those of the published configurations. */
#include "models.h"

#include <stdio.h>
#include <string.h>

#include "tool.h"

/* name, preset, rule, H, I, E, K, shared, groups, topk_group, scale, biases, alpha, up_offset, limit, layers */
static const model models[] = {
    {"mixtral-8x7b", "mixtral", ROUTE_SOFTMAX_SUM, 4096, 14336, 8, 2, 0, 0, 0, 1, 0, 1, 0, 0, 32},
    {"mixtral-8x22b", "mixtral", ROUTE_SOFTMAX_SUM, 6144, 16384, 8, 2, 0, 0, 0, 1, 0, 1, 0, 0, 56},
    {"qwen3-30b-a3b", "qwen3_moe", ROUTE_SOFTMAX_SUM, 2048, 768, 128, 8, 0, 0, 0, 1, 0, 1, 0, 0, 48},
    {"qwen3-235b-a22b", "qwen3_moe", ROUTE_SOFTMAX_SUM, 4096, 1536, 128, 8, 0, 0, 0, 1, 0, 1, 0, 0, 94},
    {"olmoe", "olmoe", ROUTE_SOFTMAX, 2048, 1024, 64, 8, 0, 0, 0, 1, 0, 1, 0, 0, 16},
    {"gpt-oss-20b", "gpt_oss", ROUTE_SOFTMAX_CHOSEN, 2880, 2880, 32, 4, 0, 0, 0, 1, 1, 1.702f, 1, 7, 24},
    {"gpt-oss-120b", "gpt_oss", ROUTE_SOFTMAX_CHOSEN, 2880, 2880, 128, 4, 0, 0, 0, 1, 1, 1.702f, 1, 7, 36},
    {"deepseek-v3", "deepseek_v3", ROUTE_SIGMOID_GROUPS, 7168, 2048, 256, 8, 2048, 8, 4, 2.5f, 0, 1, 0, 0, 58},
    {"small", "mixtral", ROUTE_SOFTMAX_SUM, 1024, 4096, 8, 2, 0, 0, 0, 1, 0, 1, 0, 0, 1},
    {"medium", "mixtral", ROUTE_SOFTMAX_SUM, 4096, 14336, 64, 4, 0, 0, 0, 1, 0, 1, 0, 0, 1},
    {"large", "mixtral", ROUTE_SOFTMAX_SUM, 7168, 14336, 256, 8, 0, 0, 0, 1, 0, 1, 0, 0, 1},
};

const model *model_find(const char *name) {
    for (size_t i = 0; i < COUNT_OF(models); i++) {
        if (strcmp(models[i].name, name) == 0) return &models[i];
    }
    return NULL;
}

model model_by_numbers(void) {
    model m = {0};
    m.name = "custom";
    m.preset = "mixtral";
    m.rule = ROUTE_SOFTMAX_SUM;
    m.scale = 1;
    m.alpha = 1;
    m.layers = 1;
    return m;
}

void model_names(char *text, size_t capacity) {
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < COUNT_OF(models) && used < capacity; i++) {
        used += (size_t)snprintf(text + used, capacity - used, "%s%s", i == 0 ? "" : ", ", models[i].name);
    }
}
