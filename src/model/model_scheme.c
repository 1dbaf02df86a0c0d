/* From quantization_config to how groups of integers are stored: GPTQ, AWQ, compressed-tensors. Calls json. */
#include "model_scheme.h"

#include <stdio.h>
#include <string.h>

#include "json.h"

/* A new way of storing is a row here, and one in `readers`. */
static const clmoe__method methods[] = {
    {"gptq", "qweight", "scales", "qzeros", "g_idx", NULL, CLMOE_CODES_GPTQ},
    {"awq", "qweight", "scales", "qzeros", NULL, NULL, CLMOE_CODES_AWQ},
    {"compressed-tensors", "weight_packed", "weight_scale", "weight_zero_point", "weight_g_idx", "weight_shape",
     CLMOE_CODES_ROWS},
};
#define METHODS (sizeof methods / sizeof *methods)

const clmoe__method *clmoe__method_at(size_t i) { return i < METHODS ? &methods[i] : NULL; }

/* "quantization_config.bits" where that stands; the first of the places it may stand in. */
static const char *config_key(const clmoe__builder *b, const char *name, char full[CLMOE__NAME_ROOM]) {
    const clmoe__config *config = &b->model->config;
    const char *const *key = clmoe__quantization_keys;
    while (key[1] != NULL && clmoe__json_get(config->root, *key) == NULL) key++;
    (void)snprintf(full, CLMOE__NAME_ROOM, "%s.%.150s", *key, name);
    return full;
}

static clmoe_status unsupported(const clmoe__builder *b, const char *key, const char *expected) {
    char words[80];
    return clmoe__fail(b->error, CLMOE_UNSUPPORTED, key, "%s: %s is %s, expected %s",
                       clmoe__path_end(b->model->config.path), key,
                       clmoe__json_words(clmoe__json_get(b->model->config.root, key), words, sizeof words), expected);
}

/* A word that must be one of the two, where it is there. Case is ignored. */
static clmoe_status word(const clmoe__builder *b, const char *name, const char *first, const char *second,
                         int *is_second) {
    char key[CLMOE__NAME_ROOM], expected[CLMOE__NAME_ROOM], lower[16] = "";
    const char *value = first;
    TRY(clmoe__json_string(b->model->config.root, config_key(b, name, key), b->model->config.path, &value, NULL,
                           b->error));
    for (size_t i = 0; i + 1 < sizeof lower && value[i] != '\0'; i++)
        lower[i] = (char)(value[i] >= 'A' && value[i] <= 'Z' ? value[i] - 'A' + 'a' : value[i]);
    *is_second = second != NULL && strcmp(lower, second) == 0;
    if (*is_second || strcmp(lower, first) == 0) return CLMOE_OK;
    (void)snprintf(expected, sizeof expected, "\"%s\"%s%s%s", first, second != NULL ? " or \"" : "",
                   second != NULL ? second : "", second != NULL ? "\"" : "");
    return unsupported(b, key, expected);
}

/* The first of two names that is there, with its place in the file's tree. */
static const char *either(const clmoe__builder *b, const char *one, const char *two, char key[CLMOE__NAME_ROOM]) {
    if (clmoe__json_get(b->model->config.root, config_key(b, one, key)) == NULL &&
        clmoe__json_get(b->model->config.root, config_key(b, two, key)) != NULL)
        return key;
    return config_key(b, one, key);
}

static clmoe_status take_bits(const clmoe__builder *b, const char *key, uint32_t *bits) {
    int found = 0;
    TRY(clmoe__json_u32(b->model->config.root, key, b->model->config.path, 1, 32, bits, &found, b->error));
    if (!found) return clmoe__json_missing(key, b->model->config.path, "4 or 8", b->error);
    return *bits == 4 || *bits == 8 ? CLMOE_OK : unsupported(b, key, "4 or 8");
}

/* -1: all of a row. */
static clmoe_status take_group_size(const clmoe__builder *b, const char *key, uint32_t *size) {
    const json_t *value = clmoe__json_get(b->model->config.root, key);
    int found = 0;
    *size = 0;
    if (json_is_integer(value) && json_integer_value(value) == -1) return CLMOE_OK;
    TRY(clmoe__json_u32(b->model->config.root, key, b->model->config.path, 1, 1u << 20, size, &found, b->error));
    if (!found) return clmoe__json_missing(key, b->model->config.path, "a multiple of 32, or -1", b->error);
    return *size % 32 == 0 ? CLMOE_OK : unsupported(b, key, "a multiple of 32, or -1");
}

static clmoe_status read_gptq(const clmoe__builder *b, clmoe__scheme *s) {
    char key[CLMOE__NAME_ROOM];
    int is_second = 0;
    const json_t *root = b->model->config.root, *rules = NULL;
    const char *path = b->model->config.path;
    s->has_zeros = 1;
    TRY(take_bits(b, config_key(b, "bits", key), &s->bits));
    TRY(take_group_size(b, config_key(b, "group_size", key), &s->group_size));
    TRY(word(b, "checkpoint_format", "gptq", "gptq_v2", &is_second));
    s->zeros_less_1 = !is_second;
    TRY(clmoe__json_bool(root, config_key(b, "desc_act", key), path, &s->has_order, NULL, b->error));
    TRY(clmoe__json_bool(root, config_key(b, "sym", key), path, &s->is_symmetric, NULL, b->error));
    TRY(clmoe__json_object(root, config_key(b, "dynamic", key), path, &rules, NULL, b->error));
    s->by_shape = json_object_size(rules) != 0; /* modules may have bits and groups of their own */
    return CLMOE_OK;
}

static clmoe_status read_awq(const clmoe__builder *b, clmoe__scheme *s) {
    char key[CLMOE__NAME_ROOM];
    int has_zeros = 1, unused;
    TRY(take_bits(b, either(b, "bits", "w_bit", key), &s->bits));
    TRY(take_group_size(b, either(b, "group_size", "q_group_size", key), &s->group_size));
    TRY(clmoe__json_bool(b->model->config.root, config_key(b, "zero_point", key), b->model->config.path, &has_zeros,
                         NULL, b->error));
    if (!has_zeros) return unsupported(b, key, "true");
    s->has_zeros = 1;
    return word(b, "version", "gemm", NULL, &unused);
}

/* Groups of modules with a scheme each; where there is but one, it holds for all. */
static clmoe_status read_compressed(const clmoe__builder *b, clmoe__scheme *s) {
    char key[CLMOE__NAME_ROOM], name[CLMOE__NAME_ROOM];
    const json_t *root = b->model->config.root, *all = NULL;
    const char *path = b->model->config.path, *strategy = "group", *order = NULL, *type = "int";
    int is_symmetric = 1, unused;
    TRY(word(b, "format", "pack-quantized", NULL, &unused));
    TRY(clmoe__json_object(root, config_key(b, "config_groups", key), path, &all, NULL, b->error));
    s->by_shape = json_object_size(all) != 1;
    if (s->by_shape) return CLMOE_OK;
    const char *only = json_object_iter_key(json_object_iter((json_t *)all));
    if (strpbrk(only, ".") != NULL || strlen(only) > 64)
        return clmoe__json_wrong(all, key, path, "groups with names like group_0", b->error);
#define WEIGHTS(field) \
    ((void)snprintf(name, sizeof name, "config_groups.%s.weights." field, only), config_key(b, name, key))
    TRY(clmoe__json_string(root, WEIGHTS("type"), path, &type, NULL, b->error));
    if (strcmp(type, "int") != 0) return unsupported(b, key, "\"int\"");
    TRY(take_bits(b, WEIGHTS("num_bits"), &s->bits));
    TRY(clmoe__json_bool(root, WEIGHTS("symmetric"), path, &is_symmetric, NULL, b->error));
    TRY(clmoe__json_string(root, WEIGHTS("strategy"), path, &strategy, NULL, b->error));
    s->has_zeros = !is_symmetric;
    if (strcmp(strategy, "group") != 0 && strcmp(strategy, "channel") != 0)
        return unsupported(b, key, "\"group\" or \"channel\"");
    if (strcmp(strategy, "group") == 0) TRY(take_group_size(b, WEIGHTS("group_size"), &s->group_size));
    const json_t *actorder = clmoe__json_get(root, WEIGHTS("actorder"));
    if (json_is_string(actorder)) TRY(clmoe__json_string(root, key, path, &order, NULL, b->error));
    s->has_order = order != NULL && (strcmp(order, "group") == 0 || strcmp(order, "dynamic") == 0);
#undef WEIGHTS
    return CLMOE_OK;
}

clmoe_status clmoe__scheme_read(const clmoe__builder *b, clmoe__scheme *s) {
    static clmoe_status (*const readers[METHODS])(const clmoe__builder *b, clmoe__scheme *s) = {read_gptq, read_awq,
                                                                                                read_compressed};
    char key[CLMOE__NAME_ROOM];
    const char *name = NULL;
    *s = (clmoe__scheme){.method = NULL};
    TRY(clmoe__json_string(b->model->config.root, config_key(b, "quant_method", key), b->model->config.path, &name,
                           NULL, b->error));
    if (name == NULL)
        return clmoe__json_missing(key, b->model->config.path, "\"gptq\", \"awq\" or \"compressed-tensors\"", b->error);
    for (size_t i = 0; i < METHODS; i++) {
        if (strcmp(methods[i].name, name) != 0) continue;
        s->method = &methods[i];
        return readers[i](b, s);
    }
    return unsupported(b, key, "\"gptq\", \"awq\" or \"compressed-tensors\"");
}
