/* --list: the MoE layers of a model, as a table with equal neighbours in one row, or as JSON. Calls the library and
 * Jansson. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_any_text.h"
#include "run.h"

static double mib(uint64_t bytes) { return (double)bytes / 1048576; }

static int same(const clmoe_model_layer *a, const clmoe_model_layer *b) {
    return a->hidden_size == b->hidden_size && a->intermediate_size == b->intermediate_size &&
           a->num_experts == b->num_experts && a->num_classes == b->num_classes && a->top_k == b->top_k &&
           a->shared_intermediate_size == b->shared_intermediate_size && a->latent_size == b->latent_size &&
           a->format == b->format && strcmp(a->formats, b->formats) == 0 && a->bytes == b->bytes &&
           a->num_tensors == b->num_tensors && strcmp(a->rule, b->rule) == 0;
}

/* How many layers from the first on are alike and equally far apart. */
static uint32_t run_length(const clmoe_model_layer *layers, uint32_t count) {
    uint32_t n = 1;
    while (n < count && same(&layers[0], &layers[n]) &&
           layers[n].layer - layers[n - 1].layer == layers[1].layer - layers[0].layer)
        n++;
    return n;
}

/* "3", "1..26", "1, 3", "1..47 step 2" */
static void range_text(const clmoe_model_layer *layers, uint32_t count, char *text, size_t capacity) {
    const uint32_t first = layers[0].layer, last = layers[count - 1].layer;
    const uint32_t step = count > 1 ? layers[1].layer - first : 1;
    if (count == 1) {
        snprintf(text, capacity, "%u", first);
    } else if (step == 1) {
        snprintf(text, capacity, "%u..%u", first, last);
    } else if (count == 2) {
        snprintf(text, capacity, "%u, %u", first, last);
    } else {
        snprintf(text, capacity, "%u..%u step %u", first, last, step);
    }
}

/* A number, or "-" for 0. */
static void size_text(uint32_t value, char text[16]) { snprintf(text, 16, value != 0 ? "%u" : "-", value); }

/* Of the column that names formats: mixtures of them are long. */
static int formats_width(const clmoe_model_layer *layers, uint32_t count) {
    size_t width = 8;
    for (uint32_t i = 0; i < count; i++)
        if (strlen(layers[i].formats) > width) width = strlen(layers[i].formats);
    return (int)width;
}

static void print_row(const clmoe_model_layer *layers, uint32_t count, int width) {
    const clmoe_model_layer *layer = &layers[0];
    char range[64], experts[32], shared[16], latent[16];
    range_text(layers, count, range, sizeof range);
    run_experts_text(layer, experts);
    size_text(layer->shared_intermediate_size, shared);
    size_text(layer->latent_size, latent);
    printf("%-14s %8s %6u %7u %13u %7s %7s  %-*s %9.1f  %s\n", range, experts, layer->top_k, layer->hidden_size,
           layer->intermediate_size, shared, latent, width, layer->formats, mib(layer->bytes), layer->rule);
}

static int print_table(const clmoe_model_info *info, const clmoe_model_layer *layers) {
    const uint32_t count = info->num_moe_layers;
    const int width = formats_width(layers, count);
    printf("%s: %u of %u layers have experts; %u file%s, %.1f MiB\n", info->model_type, count, info->num_layers,
           info->num_files, info->num_files == 1 ? "" : "s", mib(info->file_bytes));
    printf("%-14s %8s %6s %7s %13s %7s %7s  %-*s %9s  %s\n", "layer", "experts", "top_k", "hidden", "intermediate",
           "shared", "latent", width, "format", "MiB each", "rule");
    for (uint32_t i = 0; i < count;) {
        const uint32_t n = run_length(&layers[i], count - i);
        print_row(&layers[i], n, width);
        i += n;
    }
    return fflush(stdout) == 0 ? 0 : complain("cannot write to standard output");
}

static int print_json(const char *path, const clmoe_model_info *info, const clmoe_model_layer *layers) {
    json_t *root = json_object(), *list = json_array();
    if (root == NULL) return json_decref(list), run_json_print(NULL);
    json_object_set_new(root, "model", json_any_text(path));
    json_object_set_new(root, "model_type", json_any_text(info->model_type));
    json_object_set_new(root, "num_layers", json_integer(info->num_layers));
    json_object_set_new(root, "files", json_integer(info->num_files));
    json_object_set_new(root, "model_bytes", json_integer((json_int_t)info->file_bytes));
    for (uint32_t i = 0; i < info->num_moe_layers; i++) {
        json_t *layer = json_object();
        run_json_layer(layer, &layers[i]);
        json_array_append_new(list, layer);
    }
    json_object_set_new(root, "moe_layers", list);
    return run_json_print(root);
}

static int list_layers(const run_args *args, const clmoe_model *model) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_model_info info = {.struct_size = sizeof info};
    if (clmoe_model_get_info(model, &info, &error) != CLMOE_OK) return run_failed(args->model, &error);
    clmoe_model_layer *layers = calloc(info.num_moe_layers != 0 ? info.num_moe_layers : 1, sizeof *layers);
    if (layers == NULL) return complain("out of memory");
    int status = 0;
    for (uint32_t i = 0; i < info.num_moe_layers && status == 0; i++) {
        layers[i].struct_size = sizeof layers[i];
        if (clmoe_model_get_layer(model, info.moe_layers[i], &layers[i], &error) != CLMOE_OK)
            status = run_failed(args->model, &error);
    }
    if (status == 0) status = args->json ? print_json(args->model, &info, layers) : print_table(&info, layers);
    free(layers);
    return status;
}

int run_list(const run_args *args) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_model *model = NULL;
    if (clmoe_model_open(args->model, &model, &error) != CLMOE_OK) return run_failed(args->model, &error);
    const int status = list_layers(args, model);
    clmoe_model_destroy(model);
    return status;
}
