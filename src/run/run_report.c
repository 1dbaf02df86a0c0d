/* What was done, on stdout: a few lines, or one JSON object. Calls Jansson. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_any_text.h"
#include "run.h"

/* In the order of enum run_part. */
static const char *const part_names[PARTS] = {"open", "device", "weights", "layer", "copy", "forward", "write"};

static int flush(void) {
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : complain("cannot write to standard output");
}

int run_json_print(json_t *root) {
    char *text = root == NULL ? NULL : json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(root);
    if (text == NULL) return complain("out of memory for the report");
    puts(text);
    free(text);
    return flush();
}

static void add_number(json_t *object, const char *name, uint64_t value) {
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

static void add_text(json_t *object, const char *name, const char *value) {
    json_object_set_new(object, name, json_any_text(value));
}

void run_json_layer(json_t *object, const clmoe_model_layer *layer) {
    add_number(object, "layer", layer->layer);
    add_text(object, "rule", layer->rule);
    add_number(object, "num_experts", layer->num_experts);
    add_number(object, "num_classes", layer->num_classes);
    add_number(object, "top_k", layer->top_k);
    add_number(object, "hidden_size", layer->hidden_size);
    add_number(object, "intermediate_size", layer->intermediate_size);
    add_number(object, "shared_intermediate_size", layer->shared_intermediate_size);
    add_number(object, "latent_size", layer->latent_size);
    add_text(object, "format", format_name(layer->format));
    add_text(object, "formats", layer->formats);
    add_number(object, "tensors", layer->num_tensors);
    add_number(object, "layer_bytes", layer->bytes);
}

void run_experts_text(const clmoe_model_layer *layer, char text[32]) {
    if (layer->num_classes > layer->num_experts) {
        snprintf(text, 32, "%u+%u", layer->num_experts, layer->num_classes - layer->num_experts);
    } else {
        snprintf(text, 32, "%u", layer->num_experts);
    }
}

/* The word before this one, of the experts, in the layer's description: "up  NAME, f32 weights, bf16 arithmetic,
 * ...". */
static void word_before(const char *variants, const char *what, char name[16]) {
    const char *line = strstr(variants, "\nup ");
    const char *end = line == NULL ? NULL : strstr(line, what);
    const char *start = end;
    while (start != NULL && start > line && start[-1] != ' ') start--;
    snprintf(name, 16, "%.*s", end == NULL ? 7 : (int)(end - start), end == NULL ? "unknown" : start);
}

static json_t *json_lines(const char *text) {
    json_t *list = json_array();
    while (*text != '\0') {
        const size_t length = strcspn(text, "\n");
        if (length != 0) json_array_append_new(list, json_stringn(text, length));
        text += length + (text[length] == '\n');
    }
    return list;
}

/* What the weights are kept in, in words: files may mix block formats. */
static const char *kept(const run_report *r, char name[16]) {
    word_before(r->variants, " weights", name);
    if (r->format == CLMOE_FORMAT_NONE) return name;
    return r->args->format == 0 && r->format >= CLMOE_Q8_0 ? r->layer->formats : format_name(r->format);
}

static json_t *make_json(const run_report *r, const char *arithmetic_name) {
    json_t *root = json_object(), *parts = json_object();
    char name[16];
    if (root == NULL) return json_decref(parts), NULL;
    add_text(root, "model", r->args->model);
    add_text(root, "model_type", r->model.model_type);
    run_json_layer(root, r->layer);
    add_number(root, "model_bytes", r->model.file_bytes);
    add_text(root, "device", r->device);
    add_text(root, "weights", kept(r, name));
    add_number(root, "weights_bytes", r->weight_bytes);
    add_text(root, "arithmetic", arithmetic_name);
    add_text(root, "input", r->args->input);
    add_text(root, "input_format", format_name(r->input->x->dtype->format));
    add_number(root, "tokens", r->input->tokens);
    add_text(root, "output", r->args->output);
    for (int i = 0; i < PARTS; i++) json_object_set_new(parts, part_names[i], json_real(1e3 * r->seconds[i]));
    json_object_set_new(root, "milliseconds", parts);
    json_object_set_new(root, "variants", json_lines(r->variants));
    return root;
}

int run_report_print(const run_report *r) {
    const clmoe_model_layer *layer = r->layer;
    char name[16], weights[16], experts[32], shared[48] = "";
    word_before(r->variants, " arithmetic", name);
    if (r->args->json) return run_json_print(make_json(r, name));
    if (r->args->quiet) return 0;
    run_experts_text(layer, experts);
    if (layer->shared_intermediate_size != 0)
        snprintf(shared, sizeof shared, ", shared %u", layer->shared_intermediate_size);
    printf("%s layer %u: %s experts of %u x %u%s, %s\n", r->model.model_type, layer->layer, experts, layer->hidden_size,
           layer->intermediate_size, shared, layer->rule);
    printf("%s: %llu tokens, %s weights (%.1f MiB), %s arithmetic\n", r->device, (unsigned long long)r->input->tokens,
           kept(r, weights), (double)r->weight_bytes / 1048576, name);
    for (int i = 0; i < PARTS; i++) printf("%s%s %.4g", i == 0 ? "" : ", ", part_names[i], 1e3 * r->seconds[i]);
    printf(" ms\n%s\n", r->args->output);
    return flush();
}
