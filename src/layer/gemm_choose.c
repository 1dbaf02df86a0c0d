/* Walks select's list of variants: the first that the device's facts, its name and its self-test allow. */
#include <stdio.h>
#include <string.h>

#include "tuning.h"

static void note(char *refused, size_t capacity, const char *name, const char *why) {
    const size_t used = strlen(refused);
    snprintf(refused + used, capacity - used, "%s: %s\n", name, why);
}

clmoe_status clmoe__gemm_prove(clmoe_context *context, const clmoe__gemm_choice *choice, uint32_t format,
                               uint32_t arithmetic, int *passed, clmoe_error *error) {
    char text[128];
    *passed = -1;
    snprintf(text, sizeof text, "%s weights, %s arithmetic", clmoe__format_name(format),
             clmoe__arithmetic_name(arithmetic));
    TRY(clmoe__verdict_get(context, choice, format, arithmetic, text, passed, error));
    if (*passed >= 0) return CLMOE_OK;
    clmoe_error detail = {sizeof detail, CLMOE_OK, 0, "", "", ""};
    const clmoe_status status = clmoe__gemm_self_test(context, choice, format, arithmetic, passed, &detail);
    if (status == CLMOE_BUILD_FAILED || status == CLMOE_UNSUPPORTED) { /* or needs more than the device has */
        clmoe__log(context, "variant %s does not build: %s %s", choice->variant->name, detail.message,
                   detail.log);
    } else if (status != CLMOE_OK) {
        if (error != NULL) clmoe__fail(error, status, detail.argument, "%s", detail.message);
        if (error != NULL) error->cl_code = detail.cl_code;
        return status;
    }
    TRY(clmoe__verdict_put(context, choice, format, arithmetic, text, *passed, error));
    if (!*passed) clmoe__log(context, "variant %s failed its self-test", choice->variant->name);
    return CLMOE_OK;
}

/* *why is NULL if the variant may be used. Only failures that have nothing to do with the variant are errors. */
static clmoe_status try_variant(clmoe_context *context, const clmoe__gemm_variant *variant, uint32_t format,
                                uint32_t arithmetic, clmoe__gemm_choice *choice, const char **why, char *text,
                                size_t capacity, clmoe_error *error) {
    memset(choice, 0, sizeof *choice); /* a verdict is of a choice to the byte */
    *why = clmoe__gemm_varies(variant) && format != CLMOE_F32
               ? "multiplies weights in f32 only"
               : clmoe__gemm_refusal(context, variant, clmoe__format_is_block(format), arithmetic, choice, text,
                                     capacity);
    if (*why != NULL) return CLMOE_OK;
    int passed = 0;
    do { /* a driver may count local memory or registers in a way of its own: then a smaller tile does */
        TRY(clmoe__gemm_prove(context, choice, format, arithmetic, &passed, error));
    } while (!passed && clmoe__gemm_next_shape(context, arithmetic, choice));
    if (!passed) *why = "does not build or gave wrong numbers in its self-test";
    return CLMOE_OK;
}

/* The first usable one of those that are preferred, or of the others; *found stays 0 if none is. */
static clmoe_status choose_among(clmoe_context *context, int preferred, uint32_t format, uint32_t arithmetic,
                                 clmoe__gemm_choice *choice, int *found, char *refused, size_t capacity,
                                 clmoe_error *error) {
    for (uint32_t i = 0; clmoe__gemm_variant_at(i) != NULL && !*found; i++) {
        const clmoe__gemm_variant *variant = clmoe__gemm_variant_at(i);
        const char *why = NULL;
        char text[128];
        if (clmoe__gemm_varies(variant) || clmoe__gemm_preferred(context, variant) != preferred) continue;
        TRY(try_variant(context, variant, format, arithmetic, choice, &why, text, sizeof text, error));
        *found = why == NULL;
        if (why != NULL) note(refused, capacity, variant->name, why);
    }
    return CLMOE_OK;
}

static clmoe_status choose(clmoe_context *context, uint32_t format, uint32_t arithmetic, clmoe__gemm_choice *choice,
                           char *refused, size_t capacity, clmoe_error *error) {
    int found = 0;
    for (int preferred = 1; preferred >= 0 && !found; preferred--)
        TRY(choose_among(context, preferred, format, arithmetic, choice, &found, refused, capacity, error));
    if (found) return CLMOE_OK;
    return clmoe__fail(error, CLMOE_NO_VARIANT, NULL, "no grouped GEMM for format %u, arithmetic %u: %s", format,
                       arithmetic, refused);
}

clmoe_status clmoe__gemm_choose(clmoe_context *context, uint32_t format, uint32_t arithmetic,
                                clmoe__gemm_choice *choice, char *refused, size_t capacity, clmoe_error *error) {
    refused[0] = '\0';
    return choose(context, format, arithmetic, choice, refused, capacity, error);
}

/* NULL where a row of tuning says that the variant was measured faster than the library's own, else what it says. */
static const char *not_faster(clmoe_context *context, const clmoe__gemm_variant *variant, const clmoe__matrix *matrix,
                              char *text, size_t capacity) {
    clmoe__gemm_choice choice = {.variant = variant};
    clmoe__tuning_row row;
    if (!clmoe__tuning_find(context, &choice, matrix, &row)) return "not measured here (clmoe-bench tune does that)";
    clmoe__tuning_apply(&row, &choice);
    if (choice.own_percent < 100) return NULL;
    snprintf(text, capacity, "measured, and not faster: %u%% of the time", choice.own_percent);
    return text;
}

clmoe_status clmoe__gemm_choose_for(clmoe_context *context, const clmoe__matrix *matrix, int allow_variance,
                                    clmoe__gemm_choice *choice, char *refused, size_t capacity, clmoe_error *error) {
    const clmoe__gemm_variant *variant;
    refused[0] = '\0';
    for (uint32_t i = 0; (variant = clmoe__gemm_variant_at(i)) != NULL; i++) {
        const char *why = NULL;
        char text[128];
        const int preferred = clmoe__gemm_preferred(context, variant);
        if (!clmoe__gemm_varies(variant) || !(preferred || allow_variance)) continue;
        if (!preferred && matrix->format == CLMOE_F32) why = not_faster(context, variant, matrix, text, sizeof text);
        if (why == NULL)
            TRY(try_variant(context, variant, matrix->format, matrix->arithmetic, choice, &why, text, sizeof text,
                            error));
        if (why == NULL) return CLMOE_OK;
        note(refused, capacity, variant->name, why);
    }
    return choose(context, matrix->format, matrix->arithmetic, choice, refused, capacity, error);
}

/* Whether hardware multiplies this format in this arithmetic here. */
static clmoe_status is_hardware(clmoe_context *context, uint32_t format, uint32_t arithmetic, int *found,
                                clmoe_error *error) {
    *found = 0;
    for (uint32_t i = 0; clmoe__gemm_variant_at(i) != NULL && !*found; i++) {
        const clmoe__gemm_variant *variant = clmoe__gemm_variant_at(i);
        const char *why = NULL;
        char text[128];
        clmoe__gemm_choice choice;
        if (!variant->is_hardware) continue;
        TRY(try_variant(context, variant, format, arithmetic, &choice, &why, text, sizeof text, error));
        *found = why == NULL;
    }
    return CLMOE_OK;
}

clmoe_status clmoe__arithmetic_choose(clmoe_context *context, uint32_t format, uint32_t *arithmetic,
                                      clmoe_error *error) {
    if (*arithmetic != CLMOE_ARITHMETIC_AUTO) return CLMOE_OK;
    const int is_block = clmoe__format_is_block(format);
    const uint32_t wanted = is_block && !clmoe__format_is_e4m3(format) ? CLMOE_ARITHMETIC_INT8 : CLMOE_ARITHMETIC_BF16;
    int found = 0;
    if (is_block || format == CLMOE_BF16) TRY(is_hardware(context, format, wanted, &found, error));
    *arithmetic = found ? wanted : CLMOE_ARITHMETIC_F32;
    return CLMOE_OK;
}

clmoe_status clmoe__arithmetic_check(uint32_t format, uint32_t arithmetic, clmoe_error *error) {
    static const char *const needs[] = {"", "", "weights in CLMOE_BF16 or a block format", "weights in a block format"};
    REQUIRE(arithmetic <= CLMOE_ARITHMETIC_INT8, error, "arithmetic", "arithmetic is %u, expected 0..3", arithmetic);
    const int is_block = clmoe__format_is_block(format);
    if (arithmetic == CLMOE_ARITHMETIC_INT8 && clmoe__format_is_e4m3(format))
        return clmoe__fail(error, CLMOE_UNSUPPORTED, "arithmetic", "int8 arithmetic needs weights of integers, not %s",
                           clmoe__format_name(format));
    if ((arithmetic == CLMOE_ARITHMETIC_INT8 && !is_block) ||
        (arithmetic == CLMOE_ARITHMETIC_BF16 && !is_block && format != CLMOE_BF16))
        return clmoe__fail(error, CLMOE_UNSUPPORTED, "arithmetic", "%s arithmetic needs %s, not %s",
                           clmoe__arithmetic_name(arithmetic), needs[arithmetic], clmoe__format_name(format));
    return CLMOE_OK;
}

const char *clmoe__arithmetic_name(uint32_t arithmetic) {
    static const char *const names[] = {"auto", "f32", "bf16", "int8"};
    return arithmetic <= CLMOE_ARITHMETIC_INT8 ? names[arithmetic] : "unknown";
}
