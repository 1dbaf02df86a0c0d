/* The weights of one layer: finds the tensors that the family's row names, checks them against the configuration, and
 * points a clmoe_weights_desc at them. Calls checkpoint, json (quantization_config) and the core. */
#include "model_layer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

static void tensor_name(const clmoe__builder *b, const char *pattern, const char *suffix, uint32_t expert,
                        char name[CLMOE__NAME_ROOM]) {
    clmoe__tensor_name(name, b->prefix, pattern, suffix, b->layer, expert);
}

const clmoe__file_tensor *clmoe__build_find(const clmoe__builder *b, const char *pattern, const char *suffix) {
    char name[CLMOE__NAME_ROOM];
    tensor_name(b, pattern, suffix, 0, name);
    return clmoe__checkpoint_find(b->model->checkpoint, name);
}

clmoe_status clmoe__build_get(const clmoe__builder *b, const char *pattern, const char *suffix, uint32_t expert,
                              const clmoe__expected *expected, const clmoe__file_tensor **tensor) {
    char name[CLMOE__NAME_ROOM];
    tensor_name(b, pattern, suffix, expert, name);
    return clmoe__tensor_get(b->model->checkpoint, name, expected, tensor, b->error);
}

void clmoe__build_source(clmoe__builder *b, const char *name, uint64_t bytes, uint64_t count, uint64_t tensors) {
    clmoe__layer_weights *out = b->out;
    out->bytes += bytes * count;
    out->num_tensors += tensors;
    for (uint32_t i = 0; i < out->num_sources; i++) {
        if (strcmp(out->sources[i].name, name) == 0) {
            out->sources[i].bytes += bytes;
            return;
        }
    }
    out->sources[out->num_sources++] = (clmoe__source){name, bytes};
}

/* ----------------------------------------------------------------------------------------------- vectors */

/* A tensor of the whole layer that is small and must be finite. A vector where rows is 1. */
static clmoe_status small(clmoe__builder *b, const char *pattern, const char *name, uint64_t rows, uint64_t columns,
                          clmoe_tensor *tensor) {
    if (pattern == NULL) return CLMOE_OK;
    const clmoe__file_tensor *found;
    clmoe__expected expected = {CLMOE__PLAIN_FORMATS, 2, {rows, columns}, 0};
    if (rows == 1) expected = (clmoe__expected){CLMOE__PLAIN_FORMATS, 1, {columns}, 1};
    TRY(clmoe__build_get(b, pattern, "", 0, &expected, &found));
    if (b->scan) TRY(clmoe__tensor_finite(found, 0, b->error));
    tensor->format = found->dtype->format;
    tensor->host = found->data;
    clmoe__build_source(b, name, found->bytes, 1, 1);
    return CLMOE_OK;
}

/* A bias for every expert, [E, count]. */
static clmoe_status expert_bias(clmoe__builder *b, const char *pattern, const char *name, uint32_t experts,
                                uint64_t count, clmoe_tensor *tensor) {
    if (pattern == NULL) return CLMOE_OK;
    const clmoe__file_tensor *found;
    const clmoe__expected expected = {CLMOE__PLAIN_FORMATS, 2, {experts, count}, 0};
    TRY(clmoe__build_get(b, pattern, "", 0, &expected, &found));
    if (b->scan) TRY(clmoe__tensor_finite(found, 0, b->error));
    const uint64_t bytes = found->bytes / experts;
    tensor->format = found->dtype->format;
    tensor->host = found->data + b->first * bytes;
    clmoe__build_source(b, name, bytes, b->local, 1);
    return CLMOE_OK;
}

/* A factor on the products of every expert, [E], where the file has it. */
static clmoe_status expert_scale(clmoe__builder *b, const char *pattern, const char *name, uint32_t experts,
                                 clmoe_tensor *tensor) {
    const clmoe__expected expected = {CLMOE__PLAIN_FORMATS, 1, {experts}, 1};
    const clmoe__file_tensor *found;
    if (pattern == NULL || clmoe__build_find(b, pattern, "") == NULL) return CLMOE_OK;
    TRY(clmoe__build_get(b, pattern, "", 0, &expected, &found));
    if (b->scan) TRY(clmoe__tensor_finite(found, 0, b->error));
    const uint32_t local = experts == 1 ? 1 : b->local;
    const uint64_t bytes = found->bytes / experts;
    tensor->format = found->dtype->format;
    tensor->host = found->data + (experts == 1 ? 0 : b->first * bytes);
    clmoe__build_source(b, name, bytes, local, 1);
    return CLMOE_OK;
}

/* ----------------------------------------------------------------------------------------- sets of experts */

/* One set of experts, to be described. */
typedef struct expert_set {
    const clmoe__form *const *forms;
    const char *gate, *up, *down, *gate_bias, *up_bias, *down_bias; /* what the core calls them */
    const char *gate_scale, *up_scale, *down_scale;
    uint32_t experts, hidden, intermediate;
    int shared;
    clmoe_ffn *ffn;
} expert_set;

static clmoe__matrix_files up_matrix(const expert_set *set, const clmoe__form *form) {
    const uint64_t rows = (uint64_t)set->intermediate * (form->gate_up != CLMOE_GATE_UP_SEPARATE ? 2 : 1);
    return (clmoe__matrix_files){form,        form->up, set->up,     form->up_layout, set->experts,
                                 set->shared, rows,     set->hidden, &set->ffn->up};
}

static clmoe__matrix_files gate_matrix(const expert_set *set, const clmoe__form *form) {
    return (clmoe__matrix_files){form,        form->gate,        set->gate,   form->up_layout, set->experts,
                                 set->shared, set->intermediate, set->hidden, &set->ffn->gate};
}

static clmoe__matrix_files down_matrix(const expert_set *set, const clmoe__form *form) {
    return (clmoe__matrix_files){form,        form->down,  set->down,         form->down_layout, set->experts,
                                 set->shared, set->hidden, set->intermediate, &set->ffn->down};
}

static int is_there(const clmoe__builder *b, const clmoe__form *form) {
    return clmoe__build_find(b, form->up, clmoe__form_suffix(form)) != NULL || clmoe__groups_there(b, form, form->up);
}

static int form_fits(const clmoe__builder *b, const expert_set *set, const clmoe__form *form) {
    const clmoe__matrix_files up = up_matrix(set, form), down = down_matrix(set, form);
    const clmoe__expected up_shape = clmoe__matrix_shape(&up), down_shape = clmoe__matrix_shape(&down);
    const clmoe__file_tensor *u = clmoe__build_find(b, form->up, clmoe__form_suffix(form)),
                             *d = clmoe__build_find(b, form->down, clmoe__form_suffix(form));
    return u != NULL && d != NULL && clmoe__tensor_fits(u, &up_shape) && clmoe__tensor_fits(d, &down_shape);
}

/* The first form that fits, else the first that is there, also in groups of integers, else the first: its errors are
 * the most telling. */
static const clmoe__form *choose_form(const clmoe__builder *b, const expert_set *set) {
    for (size_t i = 0; i < CLMOE__FORMS && set->forms[i] != NULL; i++)
        if (form_fits(b, set, set->forms[i])) return set->forms[i];
    for (size_t i = 0; i < CLMOE__FORMS && set->forms[i] != NULL; i++)
        if (is_there(b, set->forms[i])) return set->forms[i];
    return set->forms[0];
}

/* Experts that are there, but quantized in a way whose tensors have other names. */
static clmoe_status check_quantized(const clmoe__builder *b, const expert_set *set, const clmoe__form *form) {
    const clmoe__config *config = &b->model->config;
    const char *method = NULL;
    for (size_t i = 0; i < CLMOE__FORMS && set->forms[i] != NULL; i++)
        if (is_there(b, set->forms[i])) return CLMOE_OK;
    for (const char *const *key = clmoe__quantization_keys; *key != NULL && method == NULL; key++) {
        char full[CLMOE__NAME_ROOM];
        (void)snprintf(full, sizeof full, "%s.quant_method", *key);
        TRY(clmoe__json_string(config->root, full, config->path, &method, NULL, b->error));
    }
    if (method == NULL || strcmp(method, "fp8") == 0 || strcmp(method, "mxfp4") == 0) return CLMOE_OK;
    char name[CLMOE__NAME_ROOM];
    tensor_name(b, form->up, clmoe__form_suffix(form), 0, name);
    return clmoe__fail(
        b->error, CLMOE_UNSUPPORTED, "quantization_config.quant_method",
        "%s: the experts are quantized by \"%.40s\", expected \"gptq\", \"awq\", "
        "\"compressed-tensors\", \"fp8\", \"mxfp4\" or none; there is no %.150s",
        clmoe__path_end(config->path), method, name);
}

/* Notes what a matrix holds, once: "q4_K, q6_K". */
static void add_format(clmoe__builder *b, const clmoe__form *form, const char *pattern, const clmoe_tensor *tensor) {
    const clmoe__file_tensor *found = pattern != NULL ? clmoe__build_find(b, pattern, clmoe__form_suffix(form)) : NULL;
    char name[16] = "", *text = b->out->formats;
    if (found == NULL && tensor->groups == NULL) return;
    if (tensor->groups != NULL)
        clmoe__groups_name(tensor->format, name);
    else
        (void)snprintf(name, sizeof name, "%s", form->storage == CLMOE__MXFP4 ? "f4_e2m1" : found->dtype->name);
    if (tensor->groups == NULL && found->dtype->block_values == 0)
        for (char *c = name; *c != '\0'; c++) *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    const size_t length = strlen(name), used = strlen(text);
    for (const char *at = text; (at = strstr(at, name)) != NULL; at += length)
        if ((at == text || at[-1] == ' ') && (at[length] == '\0' || at[length] == ',')) return;
    (void)snprintf(text + used, sizeof b->out->formats - used, "%s%s", used != 0 ? ", " : "", name);
}

static clmoe_status add_scales(clmoe__builder *b, const expert_set *set, const clmoe__form *form) {
    clmoe_ffn *ffn = set->ffn;
    TRY(expert_scale(b, form->gate_scale, set->gate_scale, set->experts, &ffn->gate_scale));
    TRY(expert_scale(b, form->up_scale, set->up_scale, set->experts, &ffn->up_scale));
    TRY(expert_scale(b, form->down_scale, set->down_scale, set->experts, &ffn->down_scale));
    if (form->gate_scale == NULL || (ffn->gate_scale.host == NULL) == (ffn->up_scale.host == NULL)) return CLMOE_OK;
    char name[CLMOE__NAME_ROOM];
    tensor_name(b, ffn->gate_scale.host == NULL ? form->gate_scale : form->up_scale, "", 0, name);
    return clmoe__fail(b->error, CLMOE_INVALID_FILE, name,
                       "%s: tensor %.150s is missing beside the other's of gate and up",
                       clmoe__path_end(clmoe__checkpoint_path(b->model->checkpoint)), name);
}

static clmoe_status add_set(clmoe__builder *b, const expert_set *set) {
    const clmoe__form *form = choose_form(b, set);
    TRY(check_quantized(b, set, form));
    const uint64_t up_rows = up_matrix(set, form).rows;
    const clmoe__matrix_files gate = gate_matrix(set, form), up = up_matrix(set, form), down = down_matrix(set, form);
    set->ffn->num_experts = set->shared ? 1 : b->local;
    set->ffn->intermediate_size = set->intermediate;
    set->ffn->gated = !b->family->ungated;
    set->ffn->gate_up = form->gate_up;
    if (form->gate != NULL) TRY(clmoe__build_matrix(b, &gate));
    TRY(clmoe__build_matrix(b, &up));
    TRY(clmoe__build_matrix(b, &down));
    clmoe__settle_groups(b, &set->ffn->up, form->gate != NULL ? &set->ffn->gate : NULL);
    clmoe__settle_groups(b, &set->ffn->down, NULL);
    if (!set->shared) {
        add_format(b, form, form->gate, &set->ffn->gate);
        add_format(b, form, form->up, &set->ffn->up);
        add_format(b, form, form->down, &set->ffn->down);
    }
    TRY(add_scales(b, set, form));
    TRY(expert_bias(b, form->gate_bias, set->gate_bias, set->experts, set->intermediate, &set->ffn->gate_bias));
    TRY(expert_bias(b, form->up_bias, set->up_bias, set->experts, up_rows, &set->ffn->up_bias));
    return expert_bias(b, form->down_bias, set->down_bias, set->experts, set->hidden, &set->ffn->down_bias);
}

/* ----------------------------------------------------------------------------------------------- the layer */

/* The prefix under which the layer's router lies. */
static clmoe_status find_prefix(clmoe__builder *b) {
    const char *const *prefixes = b->family->prefixes[0] != NULL ? b->family->prefixes : clmoe__prefixes;
    for (const char *const *p = prefixes; *p != NULL; p++) {
        b->prefix = *p;
        if (clmoe__build_find(b, b->family->router, "") != NULL) return CLMOE_OK;
    }
    b->prefix = prefixes[0];
    char name[CLMOE__NAME_ROOM];
    tensor_name(b, b->family->router, "", 0, name);
    return clmoe__fail(b->error, CLMOE_INVALID_FILE, name,
                       "%s: tensor %.150s, the router, is missing, under other prefixes too",
                       clmoe__path_end(clmoe__checkpoint_path(b->model->checkpoint)), name);
}

static clmoe_status add_layer(clmoe__builder *b) {
    const clmoe__family *f = b->family;
    const clmoe__layer_config *c = b->config;
    const clmoe_routing *r = &c->desc.routing;
    clmoe_weights_desc *d = &b->out->desc;
    const uint32_t h = c->hidden_size, l = c->latent_size, classes = clmoe_routing_classes(r);
    d->hidden_size = h;
    d->num_classes = classes;
    d->latent_size = l;
    TRY(find_prefix(b));
    TRY(small(b, f->router, "router", classes, h, &d->router));
    TRY(small(b, f->router_bias, "router_bias", 1, classes, &d->router_bias));
    if (c->has_select_bias) TRY(small(b, f->select_bias, "select_bias", 1, classes, &d->select_bias));
    TRY(small(b, f->expert_scale, "expert_scale", 1, classes, &d->expert_scale));
    TRY(small(b, f->output_bias, "output_bias", 1, h, &d->output_bias));
    if (l != 0) {
        TRY(small(b, f->latent_in, "latent_in", l, h, &d->latent_in));
        TRY(small(b, f->latent_out, "latent_out", h, l, &d->latent_out));
    }
    const expert_set experts = {f->forms,
                                "experts.gate",
                                "experts.up",
                                "experts.down",
                                "experts.gate_bias",
                                "experts.up_bias",
                                "experts.down_bias",
                                "experts.gate_scale",
                                "experts.up_scale",
                                "experts.down_scale",
                                r->num_experts,
                                l != 0 ? l : h,
                                c->intermediate_size,
                                0,
                                &d->experts};
    TRY(add_set(b, &experts));
    if (c->shared_intermediate_size == 0) return CLMOE_OK;
    const expert_set shared = {f->shared,
                               "shared.gate",
                               "shared.up",
                               "shared.down",
                               "shared.gate_bias",
                               "shared.up_bias",
                               "shared.down_bias",
                               "shared.gate_scale",
                               "shared.up_scale",
                               "shared.down_scale",
                               1,
                               h,
                               c->shared_intermediate_size,
                               1,
                               &d->shared};
    TRY(add_set(b, &shared));
    return small(b, f->shared_gate, "shared_gate", 1, h, &d->shared_gate);
}

clmoe_status clmoe__layer_weights_create(const clmoe_model *model, uint32_t layer, const clmoe__layer_config *c,
                                         uint32_t first, uint32_t local, int scan, clmoe__layer_weights *out,
                                         clmoe_error *error) {
    *out = (clmoe__layer_weights){0};
    clmoe_weights_desc_default(&out->desc, sizeof out->desc);
    /* codes, scales and zero points of three matrices, of the experts and of the shared ones */
    out->lists = calloc((size_t)local * 18, sizeof *out->lists);
    if (out->lists == NULL)
        return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for the list of tensors");
    clmoe__builder b = {model, model->config.family, c, layer, first, local, NULL, scan, out, error};
    const clmoe_status status = add_layer(&b);
    if (status != CLMOE_OK) clmoe__layer_weights_destroy(out);
    return status;
}

void clmoe__layer_weights_destroy(clmoe__layer_weights *weights) {
    free(weights->lists);
    *weights = (clmoe__layer_weights){0};
}
