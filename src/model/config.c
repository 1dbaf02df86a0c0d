/* From config.json, or the metadata of a GGUF file, and a family's row to the sizes and the rule of every layer. Calls
 * json, families and the core's description of routing. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/size.h"

/* -------------------------------------------------------------------------------------------------- keys */

size_t clmoe__word_length(const char *words) { return strcspn(words, "|"); }

const char *clmoe__word_next(const char *words) {
    const char *end = words + clmoe__word_length(words);
    return *end == '|' ? end + 1 : NULL;
}

static void full_key(const clmoe__config *config, const char *keys, char full[CLMOE__KEY_ROOM]) {
    (void)snprintf(full, CLMOE__KEY_ROOM, "%s%.*s", config->prefix, (int)clmoe__word_length(keys), keys);
}

/* 1 if what stands under the path is null, and not absent. */
static int is_null(const json_t *root, const char *path) {
    const json_t *value = root;
    for (const char *part = path; value != NULL;) {
        const size_t length = strcspn(part, ".");
        value = json_object_getn(value, part, length);
        if (part[length] == '\0') break;
        part += length + 1;
    }
    return json_is_null(value);
}

const char *clmoe__config_key(const clmoe__config *config, const char *keys, char full[CLMOE__KEY_ROOM]) {
    const char *null = NULL;
    for (const char *key = keys; key != NULL; key = clmoe__word_next(key)) {
        full_key(config, key, full);
        if (clmoe__json_get(config->root, full) != NULL) return full;
        if (null == NULL && is_null(config->root, full)) null = key;
    }
    full_key(config, null != NULL ? null : keys, full);
    return full;
}

int clmoe__config_null(const clmoe__config *config, const char *keys) {
    char full[CLMOE__KEY_ROOM];
    return is_null(config->root, clmoe__config_key(config, keys, full));
}

const json_t *clmoe__config_get(const clmoe__config *config, const char *keys) {
    char full[CLMOE__KEY_ROOM];
    return clmoe__json_get(config->root, clmoe__config_key(config, keys, full));
}

clmoe_status clmoe__config_u32(const clmoe__config *config, const char *keys, uint32_t low, uint32_t high,
                               uint32_t *value, int *found, clmoe_error *error) {
    char full[CLMOE__KEY_ROOM];
    return clmoe__json_u32(config->root, clmoe__config_key(config, keys, full), config->path, low, high, value, found,
                           error);
}

/* A size that must be there. Where the row allows it, a list has one for each layer. */
static clmoe_status required(const clmoe__config *config, const char *keys, int per_layer, uint32_t layer, uint32_t low,
                             uint32_t high, uint32_t *value, clmoe_error *error) {
    char full[CLMOE__KEY_ROOM];
    int found = 0;
    const char *key = clmoe__config_key(config, keys, full);
    const json_t *there = clmoe__json_get(config->root, key);
    if (per_layer && json_is_array(there))
        TRY(clmoe__json_u32_at(there, layer, key, config->path, low, high, value, &found, error));
    else
        TRY(clmoe__json_u32(config->root, key, config->path, low, high, value, &found, error));
    if (found) return CLMOE_OK;
    char expected[64];
    (void)snprintf(expected, sizeof expected, "%s %u..%u%s",
                   there != NULL ? "for each layer an integer in" : "an integer in", low, high,
                   there == NULL && per_layer ? ", or a list of them" : "");
    return clmoe__json_missing(key, config->path, expected, error);
}

/* ------------------------------------------------------------------------------------------------- sizes */

/* S, the width of all shared experts together. */
static clmoe_status shared_size(const clmoe__config *config, uint32_t layer, clmoe__layer_config *out,
                                clmoe_error *error) {
    const clmoe__family *f = config->family;
    uint32_t count = f->shared_count != NULL ? f->shared_default : 1, size = out->intermediate_size;
    uint32_t *const s = &out->shared_intermediate_size;
    if (f->shared_count == NULL && f->shared_size == NULL) return CLMOE_OK;
    if (f->optional_shared && !clmoe__config_tensor(config, f->shared[0]->up, layer)) return CLMOE_OK;
    if (f->shared_all != NULL)
        TRY(clmoe__config_u32(config, f->shared_all, 0, CLMOE__MAX_FEATURES, s, NULL, error));
    if (*s != 0) return CLMOE_OK;
    if (f->shared_count != NULL) {
        if (clmoe__config_null(config, f->shared_count)) count = 0;
        TRY(clmoe__config_u32(config, f->shared_count, 0, CLMOE__MAX_EXPERTS, &count, NULL, error));
    }
    if (f->shared_size != NULL) {
        size = f->shared_count == NULL && clmoe__config_null(config, f->shared_size) ? 0 : f->shared_default;
        TRY(clmoe__config_u32(config, f->shared_size, 0, CLMOE__MAX_FEATURES, &size, NULL, error));
    }
    const uint64_t all = clmoe__mul(count, size);
    char full[CLMOE__KEY_ROOM];
    if (all > CLMOE__MAX_FEATURES) {
        const char *key = clmoe__config_key(config, f->shared_count, full);
        return clmoe__fail(error, CLMOE_INVALID_FILE, key, "%s: %s is %u of %u each, expected %u in all at most",
                           clmoe__path_end(config->path), key, count, size, CLMOE__MAX_FEATURES);
    }
    *s = (uint32_t)all;
    return CLMOE_OK;
}

/* Does the row name it, and is it there where it need not be? */
static int has_tensor(const clmoe__config *config, const char *pattern, uint32_t layer) {
    return pattern != NULL && (!config->family->optional_bias || clmoe__config_tensor(config, pattern, layer));
}

clmoe_status clmoe__config_layer(const clmoe__config *config, uint32_t layer, clmoe__layer_config *out,
                                 clmoe_error *error) {
    const clmoe__family *f = config->family;
    *out = (clmoe__layer_config){.has_select_bias = has_tensor(config, f->select_bias, layer)};
    clmoe_layer_desc_default(&out->desc, sizeof out->desc);
    clmoe_routing *r = &out->desc.routing;
    TRY(required(config, f->hidden != NULL ? f->hidden : "hidden_size", 0, layer, 1, CLMOE__MAX_FEATURES,
                 &out->hidden_size, error));
    TRY(required(config, f->experts, f->per_layer, layer, 1, CLMOE__MAX_EXPERTS, &r->num_experts, error));
    TRY(required(config, f->top_k, f->per_layer, layer, 1, CLMOE__MAX_EXPERTS, &r->top_k, error));
    TRY(required(config, f->intermediate, f->per_layer == 2, layer, 1, CLMOE__MAX_FEATURES, &out->intermediate_size,
                 error));
    TRY(shared_size(config, layer, out, error));
    if (f->latent != NULL)
        TRY(clmoe__config_u32(config, f->latent, 1, CLMOE__MAX_FEATURES, &out->latent_size, NULL, error));
    out->desc.router_input = f->router_input;
    out->desc.activation.gated = out->desc.shared_activation.gated = !f->ungated;
    return clmoe__config_rule(config, layer, out, error);
}

/* ------------------------------------------------------------------------------------------------ family */

/* The names that there are go into the error's log. */
static clmoe_status unknown(const clmoe__config *config, const char *key, const char *what,
                            const char *(*name_of)(uint32_t i), clmoe_error *error) {
    char names[2048];
    size_t used = (size_t)snprintf(names, sizeof names, "known %s:", what);
    const char *name;
    for (uint32_t i = 0; (name = name_of(i)) != NULL && used + strlen(name) + 2 < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, " %s", name);
    (void)clmoe__fail(error, CLMOE_UNSUPPORTED, key,
                      "%s: %s is \"%.60s\", expected one of the known %s; the error's log lists them",
                      clmoe__path_end(config->path), key, config->model_type, what);
    clmoe__error_log(error, names);
    return CLMOE_UNSUPPORTED;
}

/* A multimodal model holds the keys of its text part, model_type among them, under text_config. */
static clmoe_status find_family(clmoe__config *config, clmoe_error *error) {
    const json_t *text = NULL;
    const char *type = NULL, *key = "model_type";
    int has_text = 0;
    TRY(clmoe__json_object(config->root, "text_config", config->path, &text, &has_text, error));
    TRY(clmoe__json_string(config->root, "model_type", config->path, &type, NULL, error));
    if (has_text) {
        const char *inner = NULL;
        TRY(clmoe__json_string(config->root, "text_config.model_type", config->path, &inner, NULL, error));
        (void)snprintf(config->prefix, sizeof config->prefix, "text_config.");
        if (inner != NULL) {
            type = inner;
            key = "text_config.model_type";
        }
    }
    if (type == NULL) return clmoe__json_missing("model_type", config->path, "a string", error);
    config->model_type = type;
    config->family = clmoe__family_find(type);
    return config->family != NULL ? CLMOE_OK : unknown(config, key, "model types", clmoe_model_type_name, error);
}

static clmoe_status find_architecture(clmoe__config *config, clmoe_error *error) {
    static const char key[] = "general.architecture";
    const char *name = NULL;
    TRY(clmoe__json_string(config->root, key, config->path, &name, NULL, error));
    if (name == NULL) return clmoe__json_missing(key, config->path, "a string", error);
    config->model_type = name;
    config->family = clmoe__gguf_family_find(name);
    (void)snprintf(config->prefix, sizeof config->prefix, "%s.", name);
    return config->family != NULL ? CLMOE_OK : unknown(config, key, "architectures", clmoe__gguf_architecture, error);
}

/* A family that may have no experts at all, and has none here. */
static clmoe_status has_experts(const clmoe__config *config, int *yes, clmoe_error *error) {
    const clmoe__family *f = config->family;
    uint32_t experts = f->may_lack_experts != 2;
    char full[CLMOE__KEY_ROOM];
    int flag = f->has_experts == NULL;
    if (f->may_lack_experts)
        TRY(clmoe__config_u32(config, f->experts, 0, CLMOE__MAX_EXPERTS, &experts, NULL, error));
    if (f->has_experts != NULL)
        TRY(clmoe__json_bool(config->root, clmoe__config_key(config, f->has_experts, full), config->path, &flag, NULL,
                             error));
    *yes = experts != 0 && flag;
    return CLMOE_OK;
}

static clmoe_status fill(clmoe__config *config, clmoe_error *error) {
    int experts;
    TRY(has_experts(config, &experts, error));
    TRY(clmoe__config_find_layers(config, error));
    if (!experts) config->num_moe_layers = 0;
    /* Every layer's keys are checked now, so that a model that opens has a description of each of its layers. */
    for (uint32_t i = 0; i < config->num_moe_layers; i++) {
        clmoe__layer_config layer;
        TRY(clmoe__config_layer(config, config->moe_layers[i], &layer, error));
    }
    return CLMOE_OK;
}

clmoe_status clmoe__config_create(json_t *root, const char *path, clmoe__config *config, clmoe_error *error) {
    *config = (clmoe__config){.root = root, .path = path};
    clmoe_status status = find_family(config, error);
    if (status == CLMOE_OK) status = fill(config, error);
    if (status != CLMOE_OK) clmoe__config_destroy(config);
    return status;
}

clmoe_status clmoe__config_create_gguf(json_t *metadata, const char *path, const clmoe__checkpoint *tensors,
                                       clmoe__config *config, clmoe_error *error) {
    *config = (clmoe__config){.root = json_incref(metadata), .path = path, .tensors = tensors};
    clmoe_status status = find_architecture(config, error);
    if (status == CLMOE_OK) status = fill(config, error);
    if (status != CLMOE_OK) clmoe__config_destroy(config);
    return status;
}

void clmoe__config_destroy(clmoe__config *config) {
    free(config->moe_layers);
    json_decref(config->root);
    *config = (clmoe__config){0};
}
