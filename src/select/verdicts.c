/* Verdicts of numeric self-tests, kept in the context: each variant is proved once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gemm_variants.h"

typedef struct verdict {
    struct verdict *next;
    char name[48];
    uint32_t format, arithmetic;
    char what[48]; /* both in words */
    int passed;
} verdict;

static void free_all(void *verdicts) {
    for (verdict *v = verdicts; v != NULL;) {
        verdict *next = v->next;
        free(v);
        v = next;
    }
}

/* A line of clmoe_context_describe for each verdict. The context's mutex guards the list. */
static size_t describe_all(const clmoe_context *context, char *text, size_t capacity) {
    size_t length = 0;
    clmoe__mutex_lock(context->mutex);
    for (const verdict *v = context->verdicts; v != NULL; v = v->next) {
        const size_t room = length < capacity ? capacity - length : 0;
        const int added =
            snprintf(room > 0 ? text + length : NULL, room, "grouped GEMM %s, %s: %s\n", v->name, v->what,
                     v->passed ? "self-test passed" : "does not build or failed its self-test");
        if (added > 0) length += (size_t)added;
    }
    clmoe__mutex_unlock(context->mutex);
    return length;
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
                                const char *what, int passed, clmoe_error *error) {
    verdict *v = calloc(1, sizeof *v);
    if (v == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a self-test's verdict");
    strncpy(v->name, name, sizeof v->name - 1);
    strncpy(v->what, what, sizeof v->what - 1);
    v->format = format;
    v->arithmetic = arithmetic;
    v->passed = passed;
    clmoe__mutex_lock(context->mutex);
    v->next = context->verdicts;
    context->verdicts = v;
    context->free_verdicts = free_all;
    context->describe_verdicts = describe_all;
    clmoe__mutex_unlock(context->mutex);
    return CLMOE_OK;
}
