/* Walks select's list of variants: the first that the device's facts, its name and its self-test allow. */
#include <stdio.h>
#include <string.h>

#include "gemm.h"

static void note(char *refused, size_t capacity, const char *name, const char *why) {
    const size_t used = strlen(refused);
    snprintf(refused + used, capacity - used, "%s: %s\n", name, why);
}

/* NULL if the variant may be used, else why not. Only failures that have nothing to do with the variant are errors. */
static clmoe_status try_variant(clmoe_context *context, const clmoe__gemm_variant *variant, uint32_t format,
                                uint32_t arithmetic, clmoe__gemm_choice *choice, const char **why, char *text,
                                size_t capacity, clmoe_error *error) {
    *why = clmoe__gemm_refusal(context, variant, arithmetic, choice, text, capacity);
    if (*why != NULL) return CLMOE_OK;
    int passed = clmoe__verdict_get(context, variant->name, format, arithmetic);
    if (passed < 0) {
        clmoe_error detail = {sizeof detail, CLMOE_OK, 0, "", "", ""};
        const clmoe_status status = clmoe__gemm_self_test(context, choice, format, arithmetic, &passed, &detail);
        if (status == CLMOE_BUILD_FAILED) {
            clmoe__log(context, "variant %s does not build: %s", variant->name, detail.log);
        } else if (status != CLMOE_OK) {
            if (error != NULL) clmoe__fail(error, status, detail.argument, "%s", detail.message);
            if (error != NULL) error->cl_code = detail.cl_code;
            return status;
        }
        TRY(clmoe__verdict_put(context, variant->name, format, arithmetic, passed, error));
        if (!passed) clmoe__log(context, "variant %s failed its self-test", variant->name);
    }
    if (!passed) *why = "does not build or gave wrong numbers in its self-test";
    return CLMOE_OK;
}

clmoe_status clmoe__gemm_choose(clmoe_context *context, uint32_t format, uint32_t arithmetic,
                                clmoe__gemm_choice *choice, char *refused, size_t capacity, clmoe_error *error) {
    refused[0] = '\0';
    for (uint32_t i = 0; clmoe__gemm_variant_at(i) != NULL; i++) {
        const clmoe__gemm_variant *variant = clmoe__gemm_variant_at(i);
        const char *why = NULL;
        char text[128];
        TRY(try_variant(context, variant, format, arithmetic, choice, &why, text, sizeof text, error));
        if (why == NULL) return CLMOE_OK;
        note(refused, capacity, variant->name, why);
    }
    return clmoe__fail(error, CLMOE_NO_VARIANT, NULL, "no grouped GEMM for format %u, arithmetic %u: %s", format,
                       arithmetic, refused);
}

clmoe_status clmoe__arithmetic_choose(clmoe_context *context, uint32_t format, uint32_t *arithmetic,
                                      clmoe_error *error) {
    if (*arithmetic != CLMOE_ARITHMETIC_AUTO) return CLMOE_OK;
    *arithmetic = CLMOE_ARITHMETIC_F32;
    if (format != CLMOE_BF16) return CLMOE_OK;
    for (uint32_t i = 0; clmoe__gemm_variant_at(i) != NULL;
         i++) { /* variants made for bf16 arithmetic are hardware's */
        const clmoe__gemm_variant *variant = clmoe__gemm_variant_at(i);
        if (variant->arithmetic != CLMOE_ARITHMETIC_BF16) continue;
        const char *why = NULL;
        char text[128];
        clmoe__gemm_choice choice;
        TRY(try_variant(context, variant, format, CLMOE_ARITHMETIC_BF16, &choice, &why, text, sizeof text, error));
        if (why == NULL) *arithmetic = CLMOE_ARITHMETIC_BF16;
    }
    return CLMOE_OK;
}
