/* The tensor hidden_states of the input file, and router_input for routers with an input of their own. Calls
 * src/model. */
#include <stdio.h>
#include <string.h>

#include "run.h"

#define TENSOR "hidden_states"
#define ROUTER "router_input"

/* The first names in a file, for those who named theirs otherwise. */
static void names(const clmoe__checkpoint *file, char *text, size_t capacity) {
    const uint64_t count = clmoe__checkpoint_count(file);
    snprintf(text, capacity, "%s", count == 0 ? "nothing" : "");
    for (uint64_t i = 0; i < count && i < 4; i++) {
        const size_t used = strlen(text);
        snprintf(text + used, capacity - used, "%s%s", i == 0 ? "" : ", ", clmoe__checkpoint_at(file, i)->name);
    }
    if (count > 4)
        snprintf(text + strlen(text), capacity - strlen(text), " and %llu more", (unsigned long long)count - 4);
}

/* "[2, 5, 64]" */
static void shape_text(const clmoe__file_tensor *tensor, char *text, size_t capacity) {
    snprintf(text, capacity, "[");
    for (uint32_t i = 0; i < tensor->rank; i++) {
        const size_t used = strlen(text);
        snprintf(text + used, capacity - used, "%s%llu", i == 0 ? "" : ", ", (unsigned long long)tensor->shape[i]);
    }
    snprintf(text + strlen(text), capacity - strlen(text), "]");
}

static int check(const char *path, run_input *input) {
    char text[1024];
    const clmoe__file_tensor *x = input->x = clmoe__checkpoint_find(input->file, TENSOR);
    if (x == NULL) {
        names(input->file, text, sizeof text);
        return run_refused(path, "tensor " TENSOR " is missing; the file holds %s", text);
    }
    const uint32_t format = x->dtype->format;
    if (format != CLMOE_F32 && format != CLMOE_F16 && format != CLMOE_BF16)
        return run_refused(path, "tensor " TENSOR " is %s, expected F32, F16 or BF16", x->dtype->name);
    if (x->rank != 2 && x->rank != 3) {
        shape_text(x, text, sizeof text);
        return run_refused(path, "tensor " TENSOR " has shape %s, expected [tokens, hidden_size]", text);
    }
    input->tokens = x->rank == 2 ? x->shape[0] : x->shape[0] * x->shape[1]; /* the product of a checked shape's parts */
    return 0;
}

int run_input_open(const char *path, run_input *input) {
    clmoe_error error = {.struct_size = sizeof error};
    *input = (run_input){0};
    if (clmoe__checkpoint_open(path, &input->file, &error) != CLMOE_OK) return run_failed(path, &error);
    return check(path, input);
}

void run_input_close(run_input *input) { clmoe__checkpoint_close(input->file); }

/* What the layer's router multiplies in place of hidden_states. */
static int find_router_input(const char *path, run_input *input, const clmoe_model_layer *layer) {
    const clmoe__file_tensor *x = input->x, *found = clmoe__checkpoint_find(input->file, ROUTER);
    char text[256];
    if (found == NULL)
        return run_refused(path, "tensor " ROUTER " is missing: the router of layer %u has an input of its own",
                           layer->layer);
    if (found->dtype != x->dtype)
        return run_refused(path, "tensor " ROUTER " is %s, expected %s, as " TENSOR " is", found->dtype->name,
                           x->dtype->name);
    shape_text(found, text, sizeof text);
    if (found->rank != x->rank || memcmp(found->shape, x->shape, x->rank * sizeof *x->shape) != 0)
        return run_refused(path, "tensor " ROUTER " has shape %s, expected that of " TENSOR, text);
    input->router_input = found;
    return 0;
}

int run_input_fits(const char *path, run_input *input, const clmoe_model_layer *layer) {
    const clmoe__file_tensor *x = input->x;
    char text[256];
    if (x->shape[x->rank - 1] != layer->hidden_size) {
        shape_text(x, text, sizeof text);
        return run_refused(path, "tensor " TENSOR " has shape %s, expected [tokens, %u]: the hidden_size of layer %u",
                           text, layer->hidden_size, layer->layer);
    }
    const uint32_t slots = clmoe_routing_slots(&layer->desc.routing);
    const uint64_t most = INT32_MAX / (slots != 0 ? slots : 1u);
    if (input->tokens > most)
        return run_refused(path, "tensor " TENSOR " has %llu tokens, expected at most %llu",
                           (unsigned long long)input->tokens, (unsigned long long)most);
    return layer->desc.router_input ? find_router_input(path, input, layer) : 0;
}
