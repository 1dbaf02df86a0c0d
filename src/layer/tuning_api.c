/* Tuning for programs: which numbers a layer's GEMMs have, setting others, and keeping rows in the user's file. */
#include <stdio.h>
#include <string.h>

#include "layer.h"
#include "tuning.h"

void clmoe_tuning_default(clmoe_tuning *tuning, size_t struct_size) {
    const clmoe_tuning defaults = {.struct_size = sizeof defaults};
    clmoe__give(tuning, struct_size, &defaults, sizeof defaults);
}

static void fill_key(const clmoe_context *context, const clmoe__gemm *gemm, clmoe_tuning *to) {
    const clmoe__matrix *matrix = gemm->matrix;
    clmoe__tuning_row row = {
        .variant = gemm->choice.variant, .format = matrix->format, .arithmetic = matrix->arithmetic};
    row.k = clmoe__size_class(matrix->in_features);
    row.columns = clmoe__size_class((uint64_t)matrix->out_features * (matrix->gated ? 2 : 1));
    clmoe__tuning_name(context->device.name, row.device, sizeof row.device);
    clmoe__tuning_name(context->device.driver_version, row.driver, sizeof row.driver);
    (void)clmoe__tuning_print(&row, 1, to->key, sizeof to->key);
}

static void fill(const clmoe_context *context, const clmoe__gemm *gemm, const char *stage, clmoe_tuning *to) {
    const clmoe__tuning_field *field;
    snprintf(to->stage, sizeof to->stage, "%s", stage);
    snprintf(to->from, sizeof to->from, "%s", gemm->row_from);
    fill_key(context, gemm, to);
    for (uint32_t i = 0; (field = clmoe__tuning_field_at(gemm->choice.variant->macro, i)) != NULL; i++) {
        clmoe_tuning_number *number = &to->numbers[to->count++];
        snprintf(number->name, sizeof number->name, "%s", field->name);
        number->value = clmoe__tuning_get(&gemm->choice, field);
        number->of_plan = (uint32_t)field->of_plan;
        for (uint32_t t = 0; t < CLMOE__TUNING_TRIES && field->tries[t] != UINT32_MAX; t++)
            number->tries[number->try_count++] = field->tries[t];
    }
}

clmoe_status clmoe_layer_tuning(const clmoe_layer *layer, uint32_t i, clmoe_tuning *tuning, clmoe_error *error) {
    REQUIRE(layer != NULL, error, "layer", "layer is NULL");
    REQUIRE(tuning != NULL, error, "tuning", "tuning is NULL");
    const struct {
        const clmoe__gemm *gemm;
        const char *stage;
    } all[] = {{&layer->up, "up"},
               {&layer->down, "down"},
               {&layer->router, "logits"},
               {&layer->latent_in, "latent in"},
               {&layer->latent_out, "latent out"},
               {&layer->shared_up, "shared up"},
               {&layer->shared_down, "shared down"}};
    uint32_t count = 0;
    clmoe_tuning full;
    clmoe_tuning_default(&full, sizeof full);
    for (size_t g = 0; g < sizeof all / sizeof *all; g++) {
        if (all[g].gemm->matrix == NULL) continue;
        if (count++ == i) fill(layer->context, all[g].gemm, all[g].stage, &full);
    }
    REQUIRE(i < count, error, "i", "i is %u, expected 0..%u: this layer has %u grouped GEMMs", i, count - 1, count);
    clmoe__give(tuning, tuning->struct_size, &full, sizeof full);
    return CLMOE_OK;
}

/* A row for this device that it can run. */
static clmoe_status take_row(const clmoe_context *context, const char *text, clmoe__tuning_row *row,
                             clmoe_error *error) {
    char reason[320];
    const char *wrong = clmoe__tuning_parse(text, strlen(text), row, reason, sizeof reason);
    REQUIRE(wrong == NULL, error, "row", "row: %s", wrong);
    wrong = clmoe__tuning_is_foreign(row, &context->device, reason, sizeof reason);
    REQUIRE(wrong == NULL, error, "row", "the row %s", wrong);
    clmoe__gemm_choice choice = {.variant = row->variant, .lanes = clmoe__panel_lanes(context)};
    if (row->variant->macro == CLMOE__MACRO_MATRIX)
        choice.matrix = *clmoe__matrix_shape_for(row->variant->micro, clmoe__format_is_block(row->format));
    if (row->variant->macro == CLMOE__MACRO_GPU) choice.shape.tile.split = 1; /* of which no row speaks */
    clmoe__tuning_apply(row, &choice);
    if (clmoe__choice_fits(context, &choice, clmoe__format_is_block(row->format), row->arithmetic, reason,
                           sizeof reason))
        return CLMOE_OK;
    return clmoe__fail(error, CLMOE_UNSUPPORTED, "row", "%s: %s", row->variant->name, reason);
}

clmoe_status clmoe_context_tune(clmoe_context *context, const char *text, clmoe_error *error) {
    clmoe__tuning_row row;
    REQUIRE(context != NULL, error, "context", "context is NULL");
    if (text == NULL) {
        clmoe__tuning_forget(context, CLMOE__TUNING_SET);
        return CLMOE_OK;
    }
    TRY(take_row(context, text, &row, error));
    row.origin = CLMOE__TUNING_SET;
    return clmoe__tuning_add(context, &row, error);
}

clmoe_status clmoe_context_save_tuning(const clmoe_context *context, const char *path, const char *text,
                                       clmoe_error *error) {
    clmoe__tuning_row row;
    REQUIRE(context != NULL, error, "context", "context is NULL");
    REQUIRE(text != NULL, error, "row", "row is NULL");
    if (path == NULL) path = context->tuning->path;
    REQUIRE(path != NULL, error, "path", "path is NULL, and this context has no file: %s",
            context->tuning->is_off ? "it was switched off" : "this user has no folder for settings");
    TRY(take_row(context, text, &row, error));
    return clmoe__tuning_save(path, &row, error);
}

const char *clmoe_context_tuning_path(const clmoe_context *context) {
    return context != NULL ? context->tuning->path : NULL;
}
