/* The public functions of clmoe_model.h. Calls config, checkpoint, layer and the core. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "config.h"
#include "model_layer.h"

/* -------------------------------------------------------------------------------------------------- open */

/* The first `length` bytes of `folder` and `name` behind them, to be freed; NULL when memory is exhausted. */
static char *join(const char *folder, size_t length, const char *name) {
    const size_t bytes = length + strlen(name) + 1;
    char *path = malloc(bytes);
    if (path == NULL) return NULL;
    memcpy(path, folder, length);
    memcpy(path + length, name, bytes - length);
    return path;
}

/* Where config.json and the tensors are for a path that names a folder or a file in it. */
static clmoe_status locate(const char *path, char **config, char **tensors, clmoe_error *error) {
    const int is_tensors = clmoe__ends_with(path, ".safetensors"), is_index = clmoe__ends_with(path, ".index.json");
    const int is_config = clmoe__ends_with(path, ".json") && !is_index;
    const size_t length = strlen(path), folder = (size_t)(clmoe__path_name(path) - path);
    if (is_tensors || is_index)
        *config = join(path, folder, "config.json");
    else
        *config = join(path, length, is_config ? "" : "/config.json");
    *tensors = is_config ? join(folder != 0 ? path : ".", folder != 0 ? folder : 1, "") : join(path, length, "");
    if (*config == NULL || *tensors == NULL)
        return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for paths");
    return CLMOE_OK;
}

/* A GGUF file says itself what it holds. */
static clmoe_status open_gguf(const char *path, clmoe_model *model, clmoe_error *error) {
    TRY(clmoe__checkpoint_open(path, &model->checkpoint, error));
    const char *const file = clmoe__checkpoint_path(model->checkpoint);
    model->config_path = join(file, strlen(file), "");
    if (model->config_path == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for paths");
    return clmoe__config_create_gguf(clmoe__checkpoint_metadata(model->checkpoint), model->config_path,
                                     model->checkpoint, &model->config, error);
}

static clmoe_status open_model(const char *path, clmoe_model *model, clmoe_error *error) {
    char *tensors = NULL;
    json_t *root = NULL;
    if (clmoe__checkpoint_is_gguf(path)) return open_gguf(path, model, error);
    clmoe_status status = locate(path, &model->config_path, &tensors, error);
    if (status == CLMOE_OK) status = clmoe__json_read(model->config_path, &root, error);
    if (status == CLMOE_OK) status = clmoe__config_create(root, model->config_path, &model->config, error);
    if (status == CLMOE_OK) status = clmoe__checkpoint_open(tensors, &model->checkpoint, error);
    free(tensors);
    return status;
}

clmoe_status clmoe_model_open(const char *path, clmoe_model **model, clmoe_error *error) {
    REQUIRE(model != NULL, error, "model", "model is NULL");
    *model = NULL;
    REQUIRE(path != NULL && path[0] != '\0', error, "path", "path is %s", path == NULL ? "NULL" : "empty");
    clmoe_model *made = calloc(1, sizeof *made);
    if (made == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for clmoe_model");
    const clmoe_status status = open_model(path, made, error);
    if (status != CLMOE_OK) {
        clmoe_model_destroy(made);
        return status;
    }
    *model = made;
    return CLMOE_OK;
}

void clmoe_model_destroy(clmoe_model *model) {
    if (model == NULL) return;
    clmoe__checkpoint_close(model->checkpoint);
    clmoe__config_destroy(&model->config);
    free(model->config_path);
    free(model);
}

clmoe_status clmoe_model_get_info(const clmoe_model *model, clmoe_model_info *info, clmoe_error *error) {
    REQUIRE(model != NULL, error, "model", "model is NULL");
    REQUIRE(info != NULL, error, "info", "info is NULL");
    const clmoe_model_info found = {.struct_size = sizeof found,
                                    .model_type = model->config.model_type,
                                    .num_layers = model->config.num_layers,
                                    .num_moe_layers = model->config.num_moe_layers,
                                    .moe_layers = model->config.moe_layers,
                                    .num_files = clmoe__checkpoint_files(model->checkpoint),
                                    .file_bytes = clmoe__checkpoint_bytes(model->checkpoint)};
    clmoe__give(info, info->struct_size != 0 ? info->struct_size : sizeof *info, &found, sizeof found);
    return CLMOE_OK;
}

/* ------------------------------------------------------------------------------------------------- layers */

/* "1..26", "0, 2, 4", as much of it as fits. */
static void runs_text(const clmoe__config *config, char *text, size_t room) {
    size_t used = 0;
    for (uint32_t i = 0; i < config->num_moe_layers;) {
        uint32_t end = i;
        while (end + 1 < config->num_moe_layers && config->moe_layers[end + 1] == config->moe_layers[end] + 1) end++;
        if (used + 32 > room) {
            (void)snprintf(text + used, room - used, ", ...");
            return;
        }
        const uint32_t first = config->moe_layers[i], last = config->moe_layers[end];
        used += (size_t)snprintf(text + used, room - used, first == last ? "%s%u" : "%s%u..%u", i != 0 ? ", " : "",
                                 first, last);
        i = end + 1;
    }
}

static clmoe_status check_layer(const clmoe__config *config, uint32_t layer, clmoe_error *error) {
    for (uint32_t i = 0; i < config->num_moe_layers; i++)
        if (config->moe_layers[i] == layer) return CLMOE_OK;
    char runs[200] = "none";
    runs_text(config, runs, sizeof runs);
    if (layer < config->num_layers)
        return clmoe__fail(error, CLMOE_INVALID_ARGUMENT, "layer",
                           "layer %u has no mixture of experts; the layers that have one: %s", layer, runs);
    return clmoe__fail(error, CLMOE_INVALID_ARGUMENT, "layer",
                       "layer %u is past the last of %u; the layers with a mixture of experts: %s", layer,
                       config->num_layers, runs);
}

clmoe_status clmoe_model_get_layer(const clmoe_model *model, uint32_t layer, clmoe_model_layer *info,
                                   clmoe_error *error) {
    REQUIRE(model != NULL, error, "model", "model is NULL");
    REQUIRE(info != NULL, error, "info", "info is NULL");
    TRY(check_layer(&model->config, layer, error));
    clmoe__layer_config c;
    clmoe__layer_weights weights;
    TRY(clmoe__config_layer(&model->config, layer, &c, error));
    const uint32_t experts = c.desc.routing.num_experts;
    TRY(clmoe__layer_weights_create(model, layer, &c, 0, experts, 0, &weights, error));
    clmoe_model_layer found = {.struct_size = sizeof found,
                               .layer = layer,
                               .hidden_size = c.hidden_size,
                               .intermediate_size = c.intermediate_size,
                               .num_experts = experts,
                               .num_classes = clmoe_routing_classes(&c.desc.routing),
                               .top_k = c.desc.routing.top_k,
                               .shared_intermediate_size = c.shared_intermediate_size,
                               .latent_size = c.latent_size,
                               .format = weights.desc.experts.up.format,
                               .bytes = weights.bytes,
                               .num_tensors = weights.num_tensors,
                               .desc = c.desc};
    (void)snprintf(found.formats, sizeof found.formats, "%s", weights.formats);
    clmoe__rule_text(&c.desc, c.has_select_bias, found.rule, sizeof found.rule);
    clmoe__layer_weights_destroy(&weights);
    clmoe__give(info, info->struct_size != 0 ? info->struct_size : sizeof *info, &found, sizeof found);
    return CLMOE_OK;
}

/* ------------------------------------------------------------------------------------------------ weights */

void clmoe_model_weights_desc_default(clmoe_model_weights_desc *desc, size_t struct_size) {
    const clmoe_model_weights_desc defaults = {.struct_size = sizeof defaults};
    clmoe__give(desc, struct_size, &defaults, sizeof defaults);
}

/* Adds up what the core has released. */
typedef struct progress {
    const clmoe__layer_weights *weights;
    const clmoe_model_weights_desc *desc;
    uint64_t done;
} progress;

static void released(void *user, const char *tensor, uint32_t expert) {
    progress *p = user;
    (void)expert;
    for (uint32_t i = 0; i < p->weights->num_sources; i++) {
        if (strcmp(p->weights->sources[i].name, tensor) != 0) continue;
        p->done += p->weights->sources[i].bytes;
        p->desc->progress(p->desc->progress_user, p->done, p->weights->bytes);
        return;
    }
}

/* A copy of the caller's description, and the share of experts it asks for. */
static clmoe_status take_share(const clmoe_model_weights_desc *from, uint32_t experts, clmoe_model_weights_desc *desc,
                               clmoe_error *error) {
    clmoe_model_weights_desc_default(desc, sizeof *desc);
    if (from != NULL) TRY(clmoe__take(desc, sizeof *desc, from, "desc", error));
    REQUIRE(desc->first_expert < experts, error, "first_expert", "first_expert is %u, expected 0..%u",
            desc->first_expert, experts - 1);
    const uint32_t rest = experts - desc->first_expert;
    if (desc->local_experts == 0) desc->local_experts = rest;
    REQUIRE(desc->local_experts <= rest, error, "local_experts", "local_experts is %u, expected 0..%u",
            desc->local_experts, rest);
    return CLMOE_OK;
}

/* Weights of the share in *taken, and the layer's configuration in *c. */
static clmoe_status make_weights(const clmoe_model *model, uint32_t layer, clmoe_context *context,
                                 const clmoe_model_weights_desc *desc, clmoe__layer_config *c,
                                 clmoe_model_weights_desc *taken, clmoe_weights **weights, clmoe_error *error) {
    REQUIRE(model != NULL, error, "model", "model is NULL");
    REQUIRE(context != NULL, error, "context", "context is NULL");
    TRY(check_layer(&model->config, layer, error));
    TRY(clmoe__config_layer(&model->config, layer, c, error));
    TRY(take_share(desc, c->desc.routing.num_experts, taken, error));
    clmoe__layer_weights described;
    TRY(clmoe__layer_weights_create(model, layer, c, taken->first_expert, taken->local_experts, 1, &described, error));
    progress p = {&described, taken, 0};
    described.desc.format = taken->format;
    described.desc.arithmetic = taken->arithmetic;
    if (taken->progress != NULL) {
        described.desc.released = released;
        described.desc.released_user = &p;
    }
    const clmoe_status status = clmoe_weights_create(context, &described.desc, weights, error);
    /* Small vectors are not announced one by one. */
    if (status == CLMOE_OK && taken->progress != NULL && p.done != described.bytes)
        taken->progress(taken->progress_user, described.bytes, described.bytes);
    clmoe__layer_weights_destroy(&described);
    return status;
}

clmoe_status clmoe_model_weights_create(const clmoe_model *model, uint32_t layer, clmoe_context *context,
                                        const clmoe_model_weights_desc *desc, clmoe_weights **weights,
                                        clmoe_error *error) {
    REQUIRE(weights != NULL, error, "weights", "weights is NULL");
    *weights = NULL;
    clmoe__layer_config c;
    clmoe_model_weights_desc taken;
    return make_weights(model, layer, context, desc, &c, &taken, weights, error);
}

clmoe_status clmoe_model_layer_create(const clmoe_model *model, uint32_t layer, clmoe_context *context,
                                      const clmoe_model_weights_desc *desc, clmoe_layer **made, clmoe_error *error) {
    REQUIRE(made != NULL, error, "made", "made is NULL");
    *made = NULL;
    clmoe__layer_config c;
    clmoe_model_weights_desc taken;
    clmoe_weights *weights = NULL;
    TRY(make_weights(model, layer, context, desc, &c, &taken, &weights, error));
    c.desc.first_expert = taken.first_expert;
    c.desc.local_experts = taken.local_experts;
    const clmoe_status status = clmoe_layer_create(context, weights, &c.desc, made, error);
    clmoe_weights_destroy(weights); /* the layer holds on to it */
    return status;
}
