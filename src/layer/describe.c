/* What a layer is made of, as text: the variant of each stage, and why better ones were refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layer.h"
#include "tuning.h"

/* Its numbers and where they come from, under the stage's line. */
static void describe_row(char *text, size_t capacity, const clmoe__gemm *gemm) {
    char values[512];
    const size_t used = strlen(text);
    (void)clmoe__tuning_print_values(&gemm->choice, values, sizeof values);
    snprintf(text + used, capacity - used, "%-12s %s (%s)\n", "  row", values, gemm->row_from);
}

static void describe_gemm(char *text, size_t capacity, const char *stage, const clmoe__gemm *gemm) {
    const size_t used = strlen(text);
    const clmoe__matrix *m = gemm->matrix;
    snprintf(
        text + used, capacity - used,
        "%-12s %s, %s weights, %s arithmetic, tiles of %u rows x %u columns, %u group(s) x [%u, %u] in %u buffer(s)\n",
        stage, gemm->choice.variant->name, clmoe__format_name(m->format), clmoe__arithmetic_name(m->arithmetic),
        gemm->choice.tile_rows, 2 * m->lanes, m->groups, m->gated ? 2 * m->out_features : m->out_features,
        m->in_features, m->shard_count);
    describe_row(text, capacity, gemm);
    if (!clmoe__gemm_varies(gemm->choice.variant)) return;
    const size_t end = strlen(text);
    snprintf(text + end, capacity - end, "%-12s results depend on the batch, and a forward waits for the routing\n",
             "  varies");
}

/* What becomes of few tokens, where experts run in the macro-kernel that can do without a dispatch. */
static void describe_direct(char *text, size_t capacity, const clmoe_layer *layer) {
    const size_t used = strlen(text);
    const clmoe__macro up = layer->up.choice.variant->macro, down = layer->down.choice.variant->macro;
    if (up != CLMOE__MACRO_GPU && down != CLMOE__MACRO_GPU) return;
    if (layer->not_direct != NULL)
        snprintf(text + used, capacity - used, "%-12s by dispatch: %s\n", "few slots", layer->not_direct);
    else
        snprintf(text + used, capacity - used, "%-12s up to %d without dispatch, router and select %s\n", "few slots",
                 CLMOE__DIRECT_SLOTS, layer->router_items != 0 ? "in one launch" : "in launches of their own");
}

clmoe_status clmoe__layer_description(clmoe_layer *layer, clmoe_error *error) {
    const size_t capacity = 8192;
    char *text = calloc(1, capacity);
    if (text == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a description");
    layer->description = text;
    if (layer->weights->has_router)
        describe_gemm(text, capacity, "logits", &layer->router);
    else
        snprintf(text, capacity, "%-12s by the caller\n", "logits");
    const char *device = layer->context->device.is_cpu ? "cpu" : "gpu";
    size_t used = strlen(text);
    snprintf(text + used, capacity - used, "%-12s %s, %u classes, %u slots a token\n%-12s %s, counting sort\n",
             "select", device, layer->classes, layer->slots, "dispatch", device);
    describe_direct(text, capacity, layer);
    if (layer->has_latent) describe_gemm(text, capacity, "latent in", &layer->latent_in);
    describe_gemm(text, capacity, "up", &layer->up);
    describe_gemm(text, capacity, "down", &layer->down);
    if (layer->has_latent) {
        used = strlen(text);
        snprintf(text + used, capacity - used, "%-12s %s, vectors of %u\n", "latent sum", device,
                 layer->context->device.vector_width);
        describe_gemm(text, capacity, "latent out", &layer->latent_out);
    }
    if (layer->has_shared) {
        describe_gemm(text, capacity, "shared up", &layer->shared_up);
        describe_gemm(text, capacity, "shared down", &layer->shared_down);
    }
    used = strlen(text);
    snprintf(text + used, capacity - used, "%-12s %s, vectors of %u, experts' rows in %s\n", "combine", device,
             layer->context->device.vector_width, clmoe__format_name(layer->desc.y_format));
    for (const char *line = layer->weights->refused; *line != '\0';) {
        const size_t length = strcspn(line, "\n");
        used = strlen(text);
        snprintf(text + used, capacity - used, "refused      %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
    return CLMOE_OK;
}

clmoe_status clmoe_layer_describe(const clmoe_layer *layer, char *text, size_t capacity, size_t *length,
                                  clmoe_error *error) {
    REQUIRE(layer != NULL, error, "layer", "layer is NULL");
    REQUIRE(text != NULL || capacity == 0, error, "text", "text is NULL, but capacity is %zu", capacity);
    if (capacity != 0) snprintf(text, capacity, "%s", layer->description);
    if (length != NULL) *length = strlen(layer->description);
    return CLMOE_OK;
}
