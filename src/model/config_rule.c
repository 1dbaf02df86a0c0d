/* What a configuration sets in the rule of its family: the settings of a row, one after the other. Calls json and the
 * core's presets. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

/* ---------------------------------------------------------------------------------------- kinds of numbers */

/* A setting whose value is a number or a flag goes to a field of the description as it is. */
typedef struct number_kind {
    clmoe__setting_kind kind;
    enum { REAL, COUNT, FLAG } type;
    double low, high;
    double null; /* what null in the configuration stands for */
    size_t field;
} number_kind;

#define AT(field) offsetof(clmoe_layer_desc, field)

static const number_kind number_kinds[] = {
    {CLMOE__NORM_P, REAL, 0.01, 1000, 0, AT(routing.norm_p)},
    {CLMOE__NORM_FLOOR, REAL, 0, 1, 0, AT(routing.norm_floor)},
    {CLMOE__SCALE, REAL, 1e-6, 1e6, 1, AT(routing.scale)},
    {CLMOE__ROUTED_SCALE, REAL, 1e-6, 1e6, 1, AT(routed_scale)},
    {CLMOE__SOFTCAP, REAL, 0, 1e6, 0, AT(routing.logit_softcap)},
    {CLMOE__SPARSEMIXER_EPS, REAL, 0, 1, 0, AT(routing.sparsemixer_eps)},
    {CLMOE__LIMIT, REAL, 0, 1e6, 0, AT(activation.limit)},
    {CLMOE__SHARED_LIMIT, REAL, 0, 1e6, 0, AT(shared_activation.limit)},
    {CLMOE__ALPHA, REAL, 1e-3, 1e3, 1, AT(activation.alpha)},
    {CLMOE__SHARED_ALPHA, REAL, 1e-3, 1e3, 1, AT(shared_activation.alpha)},
    {CLMOE__UP_OFFSET, REAL, 0, 0, 0, AT(activation.up_offset)},
    {CLMOE__SHARED_UP_OFFSET, REAL, 0, 0, 0, AT(shared_activation.up_offset)},
    {CLMOE__N_GROUP, COUNT, 1, CLMOE__MAX_EXPERTS, 0, AT(routing.n_group)},
    {CLMOE__TOPK_GROUP, COUNT, 1, CLMOE__MAX_EXPERTS, 1, AT(routing.topk_group)},
    {CLMOE__GROUP_SCORE, COUNT, 0, CLMOE_GROUP_TOP2_SUM, 0, AT(routing.group_score)},
    {CLMOE__ZERO_EXPERTS, COUNT, 0, CLMOE__MAX_EXPERTS - 1, 0, AT(routing.zero_experts)},
    {CLMOE__NORMALIZE, FLAG, 0, 1, 0, AT(routing.normalize)}, /* NORM_NONE, NORM_SUM */
};

typedef struct activation_word {
    const char *word;
    uint32_t kind;
} activation_word;

static const activation_word activation_words[] = {
    {"silu", CLMOE_SILU},          {"swish", CLMOE_SILU},
    {"gelu", CLMOE_GELU},          {"gelu_pytorch_tanh", CLMOE_GELU_TANH},
    {"gelu_new", CLMOE_GELU_TANH}, {"relu", CLMOE_RELU},
    {"relu2", CLMOE_RELU2},        {"linear", CLMOE_IDENTITY},
};

/* What the settings of one layer are applied to. */
typedef struct target {
    const clmoe__config *config;
    clmoe__layer_config *out;
    const char *preset;
    uint32_t layer;
} target;

static int is_zero(const clmoe__config *config, const char *key) {
    const json_t *const found = clmoe__config_get(config, key);
    return json_is_number(found) && !(json_number_value(found) < 0) && !(json_number_value(found) > 0);
}

static clmoe_status set_number(target *t, const clmoe__setting *s, clmoe_error *error) {
    const number_kind *kind = number_kinds;
    while (kind->kind != s->kind) kind++; /* every kind that gets here has a row */
    double value = s->value;
    char full[CLMOE__KEY_ROOM];
    const char *path = t->config->path;
    if (s->key != NULL) {
        const char *key = clmoe__config_key(t->config, s->key, full);
        if (clmoe__config_null(t->config, s->key) || (s->zero_is_null && is_zero(t->config, s->key))) {
            value = kind->null;
        } else if (kind->type == REAL) {
            TRY(clmoe__json_double(t->config->root, key, path, kind->low, kind->high, &value, NULL, error));
        } else if (kind->type == COUNT) {
            uint32_t count = (uint32_t)value;
            TRY(clmoe__json_u32(t->config->root, key, path, (uint32_t)kind->low, (uint32_t)kind->high, &count, NULL,
                                error));
            value = count;
        } else {
            int flag = value != 0;
            TRY(clmoe__json_bool(t->config->root, key, path, &flag, NULL, error));
            value = flag;
        }
    }
    unsigned char *field = (unsigned char *)&t->out->desc + kind->field;
    const float real = (float)value;
    const uint32_t count = (uint32_t)value;
    memcpy(field, kind->type == REAL ? (const void *)&real : (const void *)&count, 4);
    if (s->kind == CLMOE__NORM_P && value == 0) {
        t->out->desc.routing.normalize = CLMOE_NORM_NONE;
        t->out->desc.routing.norm_p = 1;
    }
    return CLMOE_OK;
}

/* A list with a limit for each layer, of which null and 0 mean none. */
static clmoe_status set_limits(target *t, const clmoe__setting *s, float *limit, clmoe_error *error) {
    char full[CLMOE__KEY_ROOM];
    const json_t *list = NULL;
    const char *key = clmoe__config_key(t->config, s->key, full);
    double value;
    *limit = 0;
    TRY(clmoe__json_array(t->config->root, key, t->config->path, &list, NULL, error));
    if (list != NULL && json_array_size(list) != 0) {
        if (json_array_size(list) < t->config->num_layers)
            return clmoe__json_wrong(list, key, t->config->path, "a number or null for each layer", error);
        for (uint32_t l = 0; l < t->config->num_layers; l++) {
            value = 0;
            TRY(clmoe__json_double_at(list, l, key, t->config->path, 0, 1e6, &value, NULL, error));
            if (l == t->layer) *limit = (float)value;
        }
    }
    return CLMOE_OK;
}

/* ------------------------------------------------------------------------------------------------- words */

/* The alternative of "word=meaning|word=meaning" that the configuration has, else the first. */
static clmoe_status choose(target *t, const clmoe__setting *s, const char **chosen, clmoe_error *error) {
    char full[CLMOE__KEY_ROOM], expected[100] = "", number[24];
    *chosen = s->text;
    if (s->key == NULL) return CLMOE_OK;
    const char *key = clmoe__config_key(t->config, s->key, full), *word = NULL;
    const json_t *const found = clmoe__json_get(t->config->root, key);
    if (json_is_integer(found)) {
        (void)snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(found));
        word = number;
    } else {
        TRY(clmoe__json_string(t->config->root, key, t->config->path, &word, NULL, error));
    }
    if (word == NULL && !s->required) return CLMOE_OK;
    size_t used = 0;
    for (const char *one = s->text; one != NULL; one = clmoe__word_next(one)) {
        const size_t length = strcspn(one, "=|");
        *chosen = one;
        if (word != NULL && strlen(word) == length && memcmp(word, one, length) == 0) return CLMOE_OK;
        used += (size_t)snprintf(expected + used, sizeof expected - used, "%s\"%.*s\"", used != 0 ? " or " : "",
                                 (int)length, one);
    }
    if (word == NULL) return clmoe__json_missing(key, t->config->path, expected, error);
    return clmoe__json_wrong(found, key, t->config->path, expected, error);
}

static clmoe_status set_preset(target *t, const clmoe__setting *s, char preset[64], clmoe_error *error) {
    const char *chosen;
    TRY(choose(t, s, &chosen, error));
    const size_t word = strcspn(chosen, "=|"), length = clmoe__word_length(chosen);
    if (length == word) return CLMOE_OK;
    (void)snprintf(preset, 64, "%.*s", (int)(length - word - 1), chosen + word + 1);
    t->preset = preset;
    return CLMOE_OK;
}

static clmoe_status set_activation(target *t, const clmoe__setting *s, clmoe_error *error) {
    enum { WORDS = sizeof activation_words / sizeof *activation_words };
    char full[CLMOE__KEY_ROOM], expected[160] = "one of";
    const char *key = NULL, *word = s->text;
    if (s->key != NULL) {
        key = clmoe__config_key(t->config, s->key, full);
        TRY(clmoe__json_string(t->config->root, key, t->config->path, &word, NULL, error));
    }
    size_t used = strlen(expected);
    for (size_t i = 0; i < WORDS; i++) {
        if (strcmp(word, activation_words[i].word) == 0) {
            t->out->desc.shared_activation.kind = activation_words[i].kind;
            if (s->kind == CLMOE__ACTIVATION) t->out->desc.activation.kind = activation_words[i].kind;
            return CLMOE_OK;
        }
        used += (size_t)snprintf(expected + used, sizeof expected - used, " %s", activation_words[i].word);
    }
    return clmoe__json_wrong(clmoe__json_get(t->config->root, key), key, t->config->path, expected, error);
}

static clmoe_status set_combine(target *t, const clmoe__setting *s, clmoe_error *error) {
    const char *chosen;
    TRY(choose(t, s, &chosen, error));
    if (t->out->shared_intermediate_size == 0) return CLMOE_OK;
    if (strncmp(chosen, "average", 7) == 0) t->out->desc.routed_scale = t->out->desc.shared_scale = 0.5f;
    if (strncmp(chosen, "root", 4) == 0) t->out->desc.routed_scale = t->out->desc.shared_scale = 0.70710678f;
    return CLMOE_OK;
}

static clmoe_status get_flag(target *t, const clmoe__setting *s, int *flag, clmoe_error *error) {
    char full[CLMOE__KEY_ROOM];
    *flag = s->value != 0;
    return clmoe__json_bool(t->config->root, clmoe__config_key(t->config, s->key, full), t->config->path, flag, NULL,
                            error);
}

static clmoe_status refuse(target *t, const clmoe__setting *s, clmoe_error *error) {
    char full[CLMOE__KEY_ROOM];
    int flag;
    TRY(get_flag(t, s, &flag, error));
    if (!flag) return CLMOE_OK;
    const char *key = clmoe__config_key(t->config, s->key, full);
    return clmoe__fail(error, CLMOE_UNSUPPORTED, key, "%s: %s is true, only false is known how to compute",
                       clmoe__path_end(t->config->path), key);
}

/* ---------------------------------------------------------------------------------------------- in order */

static clmoe_status apply(target *t, const clmoe__setting *s, clmoe_error *error) {
    clmoe_layer_desc *desc = &t->out->desc;
    switch (s->kind) {
        case CLMOE__PRESET: return CLMOE_OK; /* already */
        case CLMOE__ACTIVATION:
        case CLMOE__SHARED_ACTIVATION: return set_activation(t, s, error);
        case CLMOE__COMBINE: return set_combine(t, s, error);
        case CLMOE__REFUSE: return refuse(t, s, error);
        case CLMOE__HAS_SELECT_BIAS: return get_flag(t, s, &t->out->has_select_bias, error);
        case CLMOE__LIMITS: return set_limits(t, s, &desc->activation.limit, error);
        case CLMOE__SHARED_LIMITS: return set_limits(t, s, &desc->shared_activation.limit, error);
        case CLMOE__LIMIT_AFTER:
            desc->activation.limit_position = desc->shared_activation.limit_position = CLMOE_LIMIT_AFTER;
            return CLMOE_OK;
        default: return set_number(t, s, error);
    }
}

/* What single ranges cannot say. The keys are named as far as one is to blame. */
static clmoe_status check_sizes(const clmoe__config *config, const clmoe_routing *r, clmoe_error *error) {
    char full[CLMOE__KEY_ROOM];
    const char *file = clmoe__path_end(config->path), *key = clmoe__config_key(config, config->family->top_k, full);
    const uint32_t classes = r->num_experts + r->zero_experts;
    if (classes > CLMOE__MAX_EXPERTS)
        return clmoe__fail(error, CLMOE_INVALID_FILE, key,
                           "%s: %u experts and %u identities, expected %u in all at most", file, r->num_experts,
                           r->zero_experts, CLMOE__MAX_EXPERTS);
    if (r->top_k > classes)
        return clmoe__fail(error, CLMOE_INVALID_FILE, key, "%s: %s is %u, expected 1..%u, the number of experts", file,
                           key, r->top_k, classes);
    if (r->n_group <= 1) return CLMOE_OK;
    key = clmoe__config_key(config, "n_group|expert_group_count", full);
    if (r->num_experts % r->n_group != 0)
        return clmoe__fail(error, CLMOE_INVALID_FILE, key,
                           "%s: %s is %u, expected a divisor of %u, the number of experts", file, key, r->n_group,
                           r->num_experts);
    const uint32_t size = r->num_experts / r->n_group, least = (r->top_k + size - 1) / size;
    key = clmoe__config_key(config, "topk_group|expert_group_used_count", full);
    if (r->topk_group > r->n_group || r->topk_group < least)
        return clmoe__fail(error, CLMOE_INVALID_FILE, key,
                           "%s: %s is %u, expected %u..%u: %u groups of %u, %u experts a token", file, key,
                           r->topk_group, least, r->n_group, r->n_group, size, r->top_k);
    return CLMOE_OK;
}

clmoe_status clmoe__config_rule(const clmoe__config *config, uint32_t layer, clmoe__layer_config *out,
                                clmoe_error *error) {
    const clmoe__family *f = config->family;
    target t = {config, out, f->preset, layer};
    char preset[64];
    for (const clmoe__setting *s = f->settings; s->kind != CLMOE__END; s++)
        if (s->kind == CLMOE__PRESET) TRY(set_preset(&t, s, preset, error));
    TRY(clmoe_routing_preset(&out->desc.routing, t.preset, error));
    for (const clmoe__setting *s = f->settings; s->kind != CLMOE__END; s++)
        if (s->when == NULL || strcmp(s->when, t.preset) == 0) TRY(apply(&t, s, error));
    TRY(check_sizes(config, &out->desc.routing, error));
    if (out->desc.routing.n_group <= 1) out->desc.routing.n_group = out->desc.routing.topk_group = 1;
    /* What remains are rules of the routing itself, such as the top_k of 2 that sparsemixer has. */
    clmoe_error why = {.struct_size = sizeof why};
    if (clmoe_routing_validate(&out->desc.routing, &why) != CLMOE_OK)
        return clmoe__fail(error, CLMOE_INVALID_FILE, why.argument, "%s: %.300s", clmoe__path_end(config->path),
                           why.message);
    return CLMOE_OK;
}
