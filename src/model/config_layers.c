/* Which layers of a model have a mixture of experts: the rules that families.h lists. Calls json. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "model_layer.h"

#define TYPES_KEY "mlp_layer_types"

/* One byte a layer; 1: MoE. */
typedef struct layer_mask {
    const clmoe__config *config;
    unsigned char *is; /* [count] */
    uint32_t count;
} layer_mask;

/* Sets mask[l] for every l of the list under `keys`; numbers past the last layer mean nothing. */
static clmoe_status mark_list(layer_mask *mask, const char *key, const json_t *list, unsigned char value,
                              clmoe_error *error) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        uint32_t l = 0;
        int found;
        TRY(clmoe__json_u32_at(list, i, key, mask->config->path, 0, CLMOE__MAX_LAYERS - 1, &l, &found, error));
        if (!found)
            return clmoe__json_wrong(list, key, mask->config->path, "a list of layer numbers without null", error);
        if (l < mask->count) mask->is[l] = value;
    }
    return CLMOE_OK;
}

/* The same from a string "3,4,5". */
static clmoe_status mark_text(layer_mask *mask, const char *key, const json_t *string, clmoe_error *error) {
    const char *text = json_string_value(string);
    while (*text != '\0') {
        if (*text == ' ' || *text == ',') {
            text++;
            continue;
        }
        uint32_t l = 0;
        const char *first = text;
        while (*text >= '0' && *text <= '9' && l < CLMOE__MAX_LAYERS) l = l * 10 + (uint32_t)(*text++ - '0');
        if (text == first || l >= CLMOE__MAX_LAYERS)
            return clmoe__json_wrong(string, key, mask->config->path, "layer numbers with commas between them", error);
        if (l < mask->count) mask->is[l] = 1;
    }
    return CLMOE_OK;
}

/* A key that holds a list; *list is NULL if absent. */
static clmoe_status list_of(const clmoe__config *config, const char *keys, char full[CLMOE__KEY_ROOM],
                            const json_t **list, clmoe_error *error) {
    *list = NULL;
    if (keys == NULL) return CLMOE_OK;
    return clmoe__json_array(config->root, clmoe__config_key(config, keys, full), config->path, list, NULL, error);
}

/* -------------------------------------------------------------------------------------------- the rules */

static void mark_from(layer_mask *mask, uint32_t first) {
    for (uint32_t l = 0; l < mask->count; l++) mask->is[l] = l >= first;
}

static clmoe_status rule_from(layer_mask *mask, const clmoe__layers_rule *rule, clmoe_error *error) {
    uint32_t first = rule->x;
    if (rule->a != NULL) TRY(clmoe__config_u32(mask->config, rule->a, 0, CLMOE__MAX_LAYERS, &first, NULL, error));
    mark_from(mask, first);
    return CLMOE_OK;
}

static clmoe_status rule_step(layer_mask *mask, const clmoe__layers_rule *rule, clmoe_error *error) {
    uint32_t step = rule->x;
    char full[CLMOE__KEY_ROOM];
    const json_t *dense;
    TRY(clmoe__config_u32(mask->config, rule->a, 1, CLMOE__MAX_LAYERS, &step, NULL, error));
    for (uint32_t l = 0; l < mask->count; l++) mask->is[l] = (l + 1) % step == 0;
    TRY(list_of(mask->config, rule->b, full, &dense, error));
    if (dense != NULL) return mark_list(mask, full, dense, 0, error);
    for (uint32_t l = 0; l < rule->y && l < mask->count; l++) mask->is[l] = 0;
    return CLMOE_OK;
}

static clmoe_status rule_period(layer_mask *mask, const clmoe__layers_rule *rule, clmoe_error *error) {
    uint32_t period = rule->x, offset = rule->y;
    TRY(clmoe__config_u32(mask->config, rule->a, 1, CLMOE__MAX_LAYERS, &period, NULL, error));
    if (offset >= period) offset = period - 1;
    TRY(clmoe__config_u32(mask->config, rule->b, 0, period - 1, &offset, NULL, error));
    for (uint32_t l = 0; l < mask->count; l++) mask->is[l] = l % period == offset;
    return CLMOE_OK;
}

static clmoe_status rule_listed(layer_mask *mask, const clmoe__layers_rule *rule, clmoe_error *error) {
    uint32_t step = rule->x;
    char full[CLMOE__KEY_ROOM];
    const json_t *list;
    TRY(clmoe__config_u32(mask->config, rule->a, 1, CLMOE__MAX_LAYERS, &step, NULL, error));
    TRY(list_of(mask->config, rule->b, full, &list, error));
    if (list != NULL) return mark_list(mask, full, list, 1, error);
    for (uint32_t l = 0; l < mask->count; l++) mask->is[l] = (l + 1) % step == 0;
    return CLMOE_OK;
}

static clmoe_status rule_range(layer_mask *mask, const clmoe__layers_rule *rule, clmoe_error *error) {
    uint32_t step = rule->x, first = rule->y, last = mask->count - 1;
    const json_t *end = rule->d != NULL ? clmoe__config_get(mask->config, rule->d) : NULL;
    TRY(clmoe__config_u32(mask->config, rule->a, 1, CLMOE__MAX_LAYERS, &step, NULL, error));
    TRY(clmoe__config_u32(mask->config, rule->c, 0, CLMOE__MAX_LAYERS - 1, &first, NULL, error));
    if (rule->d != NULL && (!json_is_integer(end) || json_integer_value(end) != -1))
        TRY(clmoe__config_u32(mask->config, rule->d, 0, CLMOE__MAX_LAYERS - 1, &last, NULL, error));
    for (uint32_t l = 0; l < mask->count; l++) mask->is[l] = (l + 1) % step == 0 && l >= first && l <= last;
    return CLMOE_OK;
}

static clmoe_status rule_text(layer_mask *mask, const clmoe__layers_rule *rule, clmoe_error *error) {
    char full[CLMOE__KEY_ROOM];
    const char *key = clmoe__config_key(mask->config, rule->b, full);
    const json_t *value = clmoe__json_get(mask->config->root, key);
    if (value == NULL) {
        mark_from(mask, rule->x);
        return CLMOE_OK;
    }
    if (json_is_string(value)) return mark_text(mask, key, value, error);
    if (json_is_array(value)) return mark_list(mask, key, value, 1, error);
    return clmoe__json_wrong(value, key, mask->config->path, "a list or a string of layer numbers", error);
}

static clmoe_status rule_flags(layer_mask *mask, const clmoe__layers_rule *rule, clmoe_error *error) {
    char full[CLMOE__KEY_ROOM];
    const json_t *list;
    mark_from(mask, 0);
    TRY(list_of(mask->config, rule->a, full, &list, error));
    if (list != NULL && json_array_size(list) < mask->count)
        return clmoe__json_wrong(list, full, mask->config->path, "0 or 1 for each layer", error);
    for (uint32_t l = 0; list != NULL && l < mask->count; l++) {
        uint32_t flag = 1;
        TRY(clmoe__json_u32_at(list, l, full, mask->config->path, 0, UINT32_MAX, &flag, NULL, error));
        mask->is[l] = flag != 0;
    }
    return CLMOE_OK;
}

static clmoe_status rule_blocks(layer_mask *mask, const clmoe__layers_rule *rule, clmoe_error *error) {
    char full[CLMOE__KEY_ROOM];
    const json_t *list;
    const char *path = mask->config->path, *pattern = NULL;
    TRY(list_of(mask->config, rule->a, full, &list, error));
    for (uint32_t l = 0; list != NULL && l < mask->count; l++) {
        const char *word = "";
        TRY(clmoe__json_string_at(list, l, full, path, &word, NULL, error));
        mask->is[l] = strcmp(word, "moe") == 0;
    }
    if (list != NULL) return CLMOE_OK;
    TRY(clmoe__json_string(mask->config->root, clmoe__config_key(mask->config, rule->b, full), path, &pattern, NULL,
                           error));
    for (uint32_t l = 0; l < mask->count; l++) mask->is[l] = pattern[l] == 'E';
    if (pattern[strspn(pattern, "ME*-")] != '\0')
        return clmoe__json_wrong(clmoe__json_get(mask->config->root, full), full, path,
                                 "the letters M, E, * and -, one a layer", error);
    return CLMOE_OK;
}

int clmoe__config_tensor(const clmoe__config *config, const char *pattern, uint32_t layer) {
    char name[CLMOE__NAME_ROOM];
    if (config->tensors == NULL) return 0;
    clmoe__tensor_name(name, config->family->prefixes[0], pattern, "", layer, 0);
    return clmoe__checkpoint_find(config->tensors, name) != NULL;
}

static void mark_routed(layer_mask *mask) {
    for (uint32_t l = 0; l < mask->count; l++)
        mask->is[l] = (unsigned char)clmoe__config_tensor(mask->config, mask->config->family->router, l);
}

/* mlp_layer_types, a word for each layer. */
static clmoe_status rule_types(layer_mask *mask, const char *words, const json_t *list, clmoe_error *error) {
    char full[CLMOE__KEY_ROOM], expected[64];
    const char *key = clmoe__config_key(mask->config, TYPES_KEY, full), *other = clmoe__word_next(words);
    const int length = (int)clmoe__word_length(words);
    (void)snprintf(expected, sizeof expected, "for each layer \"%.*s\" or \"%s\"", length, words, other);
    if (json_array_size(list) < mask->count) return clmoe__json_wrong(list, key, mask->config->path, expected, error);
    for (uint32_t l = 0; l < mask->count; l++) {
        const char *word = "";
        TRY(clmoe__json_string_at(list, l, key, mask->config->path, &word, NULL, error));
        mask->is[l] = strncmp(word, words, (size_t)length) == 0 && word[length] == '\0';
        if (!mask->is[l] && strcmp(word, other) != 0)
            return clmoe__json_wrong(json_array_get(list, l), key, mask->config->path, expected, error);
    }
    return CLMOE_OK;
}

static clmoe_status apply(layer_mask *mask, clmoe_error *error) {
    const clmoe__layers_rule *rule = &mask->config->family->rule;
    char full[CLMOE__KEY_ROOM];
    const json_t *types = NULL;
    if (rule->types != NULL) TRY(list_of(mask->config, TYPES_KEY, full, &types, error));
    if (types != NULL) return rule_types(mask, rule->types, types, error);
    switch (rule->kind) {
        case CLMOE__EVERY: mark_from(mask, 0); return CLMOE_OK;
        case CLMOE__FROM: return rule_from(mask, rule, error);
        case CLMOE__STEP: return rule_step(mask, rule, error);
        case CLMOE__PERIOD: return rule_period(mask, rule, error);
        case CLMOE__LISTED: return rule_listed(mask, rule, error);
        case CLMOE__RANGE: return rule_range(mask, rule, error);
        case CLMOE__TEXT: return rule_text(mask, rule, error);
        case CLMOE__FLAGS: return rule_flags(mask, rule, error);
        case CLMOE__BLOCKS: return rule_blocks(mask, rule, error);
        case CLMOE__ROUTED: mark_routed(mask); return CLMOE_OK;
    }
    return CLMOE_OK;
}

/* ------------------------------------------------------------------------------------------------- count */

/* Layers that guess further tokens stand behind the model's own and are no part of its forward pass. */
static clmoe_status drop_extra(clmoe__config *config, clmoe_error *error) {
    uint32_t extra = 0;
    if (config->family->extra_layers == NULL) return CLMOE_OK;
    TRY(clmoe__config_u32(config, config->family->extra_layers, 0, config->num_layers - 1, &extra, NULL, error));
    config->num_layers -= extra;
    return CLMOE_OK;
}

/* The number of layers: a key, or the length of a list that has one entry a layer. */
static clmoe_status count_layers(clmoe__config *config, clmoe_error *error) {
    const clmoe__family *f = config->family;
    char full[CLMOE__KEY_ROOM];
    const json_t *list = NULL;
    const char *pattern = NULL;
    int found = 0;
    if (f->rule.kind != CLMOE__BLOCKS) {
        const char *keys = f->layers != NULL ? f->layers : "num_hidden_layers";
        TRY(clmoe__config_u32(config, keys, 1, CLMOE__MAX_LAYERS, &config->num_layers, &found, error));
        if (found) return drop_extra(config, error);
        return clmoe__json_missing(clmoe__config_key(config, keys, full), config->path, "the number of layers", error);
    }
    TRY(list_of(config, f->rule.a, full, &list, error));
    if (list == NULL) {
        TRY(clmoe__json_string(config->root, clmoe__config_key(config, f->rule.b, full), config->path, &pattern, NULL,
                               error));
        if (pattern == NULL)
            return clmoe__json_missing(clmoe__config_key(config, f->rule.a, full), config->path,
                                       "a list with a word for each layer", error);
    }
    const size_t count = list != NULL ? json_array_size(list) : strlen(pattern);
    if (count == 0 || count > CLMOE__MAX_LAYERS)
        return clmoe__fail(error, CLMOE_INVALID_FILE, full, "%s: %s has %zu layers, expected 1..%u",
                           clmoe__path_end(config->path), full, count, CLMOE__MAX_LAYERS);
    config->num_layers = (uint32_t)count;
    return CLMOE_OK;
}

clmoe_status clmoe__config_find_layers(clmoe__config *config, clmoe_error *error) {
    TRY(count_layers(config, error));
    layer_mask mask = {config, calloc(config->num_layers, 1), config->num_layers};
    config->moe_layers = malloc(config->num_layers * sizeof *config->moe_layers);
    clmoe_status status = CLMOE_OK;
    if (mask.is == NULL || config->moe_layers == NULL)
        status = clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for the list of layers");
    if (status == CLMOE_OK) status = apply(&mask, error);
    for (uint32_t l = 0; status == CLMOE_OK && l < mask.count; l++)
        if (mask.is[l]) config->moe_layers[config->num_moe_layers++] = l;
    free(mask.is);
    return status;
}
