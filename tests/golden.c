/* Reading safetensors files: 8 bytes of header length, a JSON header {name: {dtype, shape, data_offsets}}, then the
 * data. */
#include "golden.h"

#include <math.h>
#include <stdio.h>

#include <jansson.h>

#include "support.h"

#ifndef CLMOE_TEST_DATA
#define CLMOE_TEST_DATA "tests"
#endif

/* A whole file with a 0 behind it, or NULL. */
static char *read_file(const char *folder, const char *name, size_t *bytes) {
    char path[1024];
    (void)snprintf(path, sizeof path, CLMOE_TEST_DATA "/golden/%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) return NULL;
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    const long size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    char *text = malloc((size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, file), (size_t)size);
    text[size] = 0;
    *bytes = (size_t)size;
    (void)fclose(file);
    return text;
}

static size_t type_bytes(const char *type) {
    if (strcmp(type, "F32") == 0 || strcmp(type, "I32") == 0) return 4;
    if (strcmp(type, "BF16") == 0 || strcmp(type, "F16") == 0) return 2;
    return 1;
}

static void add_tensor(golden *g, const char *name, const json_t *entry, const char *data, size_t bytes) {
    const json_t *type = json_object_get(entry, "dtype"), *shape = json_object_get(entry, "shape");
    const json_t *range = json_object_get(entry, "data_offsets");
    assert_true(json_is_string(type) && json_is_array(shape) && json_array_size(range) == 2);
    golden_tensor t = {.count = 1, .rank = (uint32_t)json_array_size(shape)};
    assert_true(t.rank <= 4);
    (void)snprintf(t.type, sizeof t.type, "%s", json_string_value(type));
    for (uint32_t i = 0; i < t.rank; i++) {
        t.shape[i] = (uint64_t)json_integer_value(json_array_get(shape, i));
        t.count *= (size_t)t.shape[i];
    }
    const size_t from = (size_t)json_integer_value(json_array_get(range, 0));
    const size_t to = (size_t)json_integer_value(json_array_get(range, 1));
    assert_true(from <= to && to <= bytes);
    assert_int_equal(to - from, t.count * type_bytes(t.type));
    t.name = malloc(strlen(name) + 1);
    t.data = malloc(to - from + 1);
    assert_true(t.name != NULL && t.data != NULL);
    memcpy(t.name, name, strlen(name) + 1);
    memcpy(t.data, data + from, to - from);
    g->tensors = realloc(g->tensors, (g->count + 1) * sizeof *g->tensors);
    assert_non_null(g->tensors);
    g->tensors[g->count++] = t;
}

/* Adds a file's tensors; 0 if there is no such file. */
static int add_file(golden *g, const char *folder, const char *name) {
    size_t bytes = 0;
    char *file = read_file(folder, name, &bytes);
    if (file == NULL) return 0;
    assert_true(bytes >= 8);
    uint64_t header = 0;
    for (int i = 7; i >= 0; i--) header = header << 8 | (uint8_t)file[i];
    assert_true(header <= bytes - 8);
    json_t *json = json_loadb(file + 8, (size_t)header, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    const char *tensor;
    const json_t *entry;
    json_object_foreach(json, tensor, entry) {
        if (strcmp(tensor, "__metadata__") != 0)
            add_tensor(g, tensor, entry, file + 8 + header, bytes - 8 - (size_t)header);
    }
    json_decref(json);
    free(file);
    return 1;
}

static uint32_t number(const json_t *json, const char *name) {
    const json_t *item = json_object_get(json, name);
    if (!json_is_integer(item)) fail_msg("case.json has no number \"%s\"", name);
    return (uint32_t)json_integer_value(item);
}

/* The case, its input and what is expected; no model. */
static golden open_case(const char *folder, const char *name) {
    golden g = {0};
    size_t bytes = 0;
    char *text = read_file(folder, "case.json", &bytes);
    if (text == NULL) fail_msg("golden layer %s is missing", name);
    json_t *json = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    g.tokens = number(json, "tokens");
    g.hidden = number(json, "hidden");
    g.intermediate = number(json, "intermediate");
    g.experts = number(json, "experts");
    g.top_k = number(json, "top_k");
    g.layer = number(json, "layer");
    json_decref(json);
    free(text);
    assert_true(add_file(&g, folder, "input.safetensors"));
    assert_true(add_file(&g, folder, "expected.safetensors"));
    return g;
}

golden golden_open_gguf(const char *name) {
    char folder[256];
    (void)snprintf(folder, sizeof folder, "gguf/%s", name);
    return open_case(folder, name);
}

golden golden_open(const char *name) {
    char folder[256];
    (void)snprintf(folder, sizeof folder, "hf/%s", name);
    golden g = open_case(folder, name);
    if (add_file(&g, folder, "model.safetensors")) return g;
    for (unsigned part = 1; part <= 3; part++) {
        char file[64];
        (void)snprintf(file, sizeof file, "model-%05u-of-00003.safetensors", part);
        assert_true(add_file(&g, folder, file));
    }
    return g;
}

golden golden_open_format(const char *name) {
    golden g = {0};
    char file[64];
    (void)snprintf(file, sizeof file, "%s.safetensors", name);
    if (!add_file(&g, "formats", file)) fail_msg("golden format %s is missing", name);
    return g;
}

const golden_tensor *golden_find(const golden *g, const char *name) {
    for (size_t i = 0; i < g->count; i++) {
        if (strcmp(g->tensors[i].name, name) == 0) return &g->tensors[i];
    }
    return NULL;
}

void golden_close(golden *g) {
    for (size_t i = 0; i < g->count; i++) {
        free(g->tensors[i].name);
        free(g->tensors[i].data);
    }
    free(g->tensors);
    *g = (golden){0};
}

const char *golden_folder(const char *name) {
    static char path[1024];
    (void)snprintf(path, sizeof path, CLMOE_TEST_DATA "/golden/hf/%s", name);
    return path;
}

/* Experts are compared as a set a token, weights by expert. */
static void compare_routes(const golden *g, const int32_t *index, const float *weight, double tolerance) {
    const int32_t *wanted = golden_find(g, "expert_index")->data;
    const float *wanted_weight = golden_find(g, "expert_weight")->data;
    const uint32_t K = g->top_k;
    for (uint32_t t = 0; t < g->tokens; t++) {
        for (uint32_t a = 0; a < K; a++) {
            uint32_t b = 0;
            while (b < K && index[t * K + b] != wanted[t * K + a]) b++;
            if (b == K) fail_msg("token %u: expert %d was not chosen", t, wanted[t * K + a]);
            const double w = (double)wanted_weight[t * K + a], off = fabs((double)weight[t * K + b] - w);
            if (!(off <= tolerance / 2e-5 * (1e-5 + 1e-4 * fabs(w)))) {
                fail_msg("token %u expert %d: weight %g, wanted %g", t, wanted[t * K + a], (double)weight[t * K + b],
                w);
            }
        }
    }
}

void golden_compare(const golden *g, const char *name, const float *out, const int32_t *index, const float *weight,
                    const int32_t *load, double tolerance) {
    const float *wanted = golden_find(g, "output")->data;
    const size_t count = (size_t)g->tokens * g->hidden;
    double worst = 0, largest = 0;
    compare_routes(g, index, weight, tolerance);
    assert_memory_equal(load, golden_find(g, "expert_load")->data, g->experts * sizeof *load);
    for (size_t n = 0; n < count; n++) {
        largest = fmax(largest, fabs((double)wanted[n]));
        const double off = fabs((double)out[n] - (double)wanted[n]);
        if (!(off <= worst)) worst = off; /* NaN sticks out */
    }
    print_message("%s: output %.1e of the largest, allowed %.0e\n", name, worst / largest, tolerance);
    if (!(worst < tolerance * largest)) fail_msg("%s: output off by %.3e of the largest", name, worst / largest);
}
