/* A host layer on the device; see device_layer.h. Calls the library. */
#include "device_layer.h"

#include <clmoe/clmoe_stages.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/tool.h"
#include "common/weight_formats.h"

static clmoe_tensor one(const float *host) {
    clmoe_tensor tensor = {.format = CLMOE_F32, .host = host};
    return tensor;
}

static clmoe_tensor many(uint32_t format, const void **list) {
    clmoe_tensor tensor = {.format = weight_source_format(format), .host_list = list, .scales = weight_scales(format)};
    return tensor;
}

static void describe_weights(const host_layer *host, uint32_t arithmetic, clmoe_weights_desc *desc) {
    const model *m = host->shape;
    clmoe_weights_desc_default(desc, sizeof *desc);
    desc->hidden_size = m->hidden_size;
    desc->format = host->format;
    desc->arithmetic = arithmetic;
    desc->num_classes = m->num_experts;
    desc->experts.num_experts = m->num_experts;
    desc->experts.intermediate_size = m->intermediate_size;
    desc->experts.gated = 1;
    desc->experts.gate_up = CLMOE_GATE_UP_SEPARATE;
    desc->experts.gate = many(host->format, host->gate);
    desc->experts.up = many(host->format, host->up);
    desc->experts.down = many(host->format, host->down);
    desc->router = one(host->router);
    if (host->router_bias != NULL) desc->router_bias = one(host->router_bias);
    if (host->select_bias != NULL) desc->select_bias = one(host->select_bias);
    if (m->biases) {
        desc->experts.gate_bias = one(host->gate_bias);
        desc->experts.up_bias = one(host->up_bias);
        desc->experts.down_bias = one(host->down_bias);
    }
    if (m->shared_size == 0) return;
    desc->shared.num_experts = 1;
    desc->shared.intermediate_size = m->shared_size;
    desc->shared.gated = 1;
    desc->shared.gate_up = CLMOE_GATE_UP_SEPARATE;
    desc->shared.gate = many(host->format, &host->gate[m->num_experts]);
    desc->shared.up = many(host->format, &host->up[m->num_experts]);
    desc->shared.down = many(host->format, &host->down[m->num_experts]);
}

clmoe_status device_layer_desc(const model *m, clmoe_layer_desc *desc, clmoe_error *error) {
    clmoe_layer_desc_default(desc, sizeof *desc);
    desc->routing.num_experts = m->num_experts;
    desc->routing.top_k = m->top_k;
    desc->routing.n_group = m->n_group;
    desc->routing.topk_group = m->topk_group;
    desc->routing.scale = m->scale;
    desc->activation.alpha = m->alpha;
    desc->activation.up_offset = m->up_offset;
    desc->activation.limit = m->limit;
    return clmoe_routing_preset(&desc->routing, m->preset, error);
}

typedef clmoe_status make_weights(clmoe_context *context, const clmoe_weights_desc *desc, clmoe_weights **weights,
                                  clmoe_error *error);

static int add(session *s, const host_layer *host, uint32_t arithmetic, uint32_t allow_variance, make_weights *make,
               device_layer *device) {
    clmoe_weights_desc weights;
    clmoe_layer_desc layer;
    clmoe_error error = {.struct_size = sizeof error};
    const uint32_t i = device->copies;
    if (i == MAX_COPIES) return complain("more than %d copies of the weights", MAX_COPIES);
    describe_weights(host, arithmetic, &weights);
    if (device_layer_desc(host->shape, &layer, &error) != CLMOE_OK) return complain_clmoe(host->shape->preset, &error);
    weights.allow_variance = layer.allow_variance = allow_variance;
    if (device->y_format != 0) layer.y_format = device->y_format;
    if (make(s->context, &weights, &device->weights[i], &error) != CLMOE_OK)
        return complain_clmoe(make == clmoe_weights_plan ? "clmoe_weights_plan" : "clmoe_weights_create", &error);
    if (clmoe_layer_create(s->context, device->weights[i], &layer, &device->layers[i], &error) != CLMOE_OK) {
        clmoe_weights_destroy(device->weights[i]);
        return complain_clmoe("clmoe_layer_create", &error);
    }
    device->copies++;
    return 0;
}

int device_layer_add(session *s, const host_layer *host, uint32_t arithmetic, device_layer *device) {
    return add(s, host, arithmetic, 0, clmoe_weights_create, device);
}

int device_layer_add_varying(session *s, const host_layer *host, uint32_t arithmetic, device_layer *device) {
    return add(s, host, arithmetic, 1, clmoe_weights_create, device);
}

int device_layer_plan(session *s, const model *shape, uint32_t format, uint32_t arithmetic, device_layer *device) {
    host_layer outline;
    const int failed =
        host_layer_outline(shape, format, &outline) || add(s, &outline, arithmetic, 0, clmoe_weights_plan, device);
    host_layer_free(&outline);
    return failed;
}

int device_layer_pack_one(session *s, const model *shape, uint32_t format, uint32_t arithmetic) {
    model one_expert = *shape;
    host_layer host;
    clmoe_weights_desc desc;
    clmoe_weights *weights = NULL;
    clmoe_error error = {.struct_size = sizeof error};
    one_expert.num_experts = one_expert.top_k = 1;
    int failed = host_layer_make(&one_expert, format, 1, &host);
    if (!failed) describe_weights(&host, arithmetic, &desc);
    if (!failed && clmoe_weights_create(s->context, &desc, &weights, &error) != CLMOE_OK)
        failed = complain_clmoe("clmoe_weights_create", &error);
    clmoe_weights_destroy(weights);
    host_layer_free(&host);
    return failed;
}

void device_layer_free(device_layer *device) {
    for (uint32_t i = 0; i < device->copies; i++) {
        clmoe_layer_destroy(device->layers[i]);
        clmoe_weights_destroy(device->weights[i]);
    }
    memset(device, 0, sizeof *device);
}

uint32_t layer_arithmetic(const clmoe_layer *layer) {
    char text[4096], wanted[32];
    clmoe_error error = {.struct_size = sizeof error};
    if (clmoe_layer_describe(layer, text, sizeof text, NULL, &error) != CLMOE_OK) {
        complain_clmoe("clmoe_layer_describe", &error);
        return 0;
    }
    char *line = strncmp(text, "up ", 3) == 0 ? text : strstr(text, "\nup ");
    if (line != NULL) line[1 + strcspn(line + 1, "\n")] = '\0';
    for (uint32_t i = CLMOE_ARITHMETIC_F32; line != NULL && arithmetic_name(i) != NULL; i++) {
        snprintf(wanted, sizeof wanted, ", %s arithmetic", arithmetic_name(i));
        if (strstr(line, wanted) != NULL) return i;
    }
    complain("the layer's description names no arithmetic of its experts");
    return 0;
}

double expected_experts(const model *m, uint32_t tokens) {
    const double experts = (double)m->num_experts;
    return experts * (1 - pow(1 - (double)m->top_k / experts, (double)tokens));
}

uint32_t copies_needed(const model *m, uint32_t format, uint32_t tokens, uint64_t cache) {
    const double touched =
        expected_experts(m, tokens) * (double)expert_bytes(m, format) + (double)shared_bytes(m, format);
    const double by_turns = ceil(4 * (double)cache / touched);
    const double by_size = ceil(32 * (double)cache / (double)layer_bytes(m, format));
    const double copies = fmax(1, fmin(by_turns, by_size));
    return copies > MAX_COPIES ? MAX_COPIES : (uint32_t)copies;
}
