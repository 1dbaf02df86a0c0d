/* Verdicts of numeric self-tests, kept in the context: each variant is proved once. */
#include <stdlib.h>
#include <string.h>

#include "gemm_variants.h"

typedef struct verdict {
    struct verdict *next;
    char name[48];
    uint32_t format, arithmetic;
    int passed;
} verdict;

static void free_all(void *verdicts) {
    for (verdict *v = verdicts; v != NULL;) {
        verdict *next = v->next;
        free(v);
        v = next;
    }
}

int clmoe__verdict_get(clmoe_context *context, const char *name, uint32_t format, uint32_t arithmetic) {
    int passed = -1;
    clmoe__mutex_lock(context->mutex);
    for (const verdict *v = context->verdicts; v != NULL; v = v->next)
        if (v->format == format && v->arithmetic == arithmetic && strcmp(v->name, name) == 0) passed = v->passed;
    clmoe__mutex_unlock(context->mutex);
    return passed;
}

clmoe_status clmoe__verdict_put(clmoe_context *context, const char *name, uint32_t format, uint32_t arithmetic,
                                int passed, clmoe_error *error) {
    verdict *v = calloc(1, sizeof *v);
    if (v == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a self-test's verdict");
    strncpy(v->name, name, sizeof v->name - 1);
    v->format = format;
    v->arithmetic = arithmetic;
    v->passed = passed;
    clmoe__mutex_lock(context->mutex);
    v->next = context->verdicts;
    context->verdicts = v;
    context->free_verdicts = free_all;
    clmoe__mutex_unlock(context->mutex);
    return CLMOE_OK;
}
