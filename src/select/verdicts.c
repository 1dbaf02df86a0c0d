/* Verdicts of numeric self-tests, kept in the context and its cache: each variant is proved once for a device, a
 * driver and a version of the library. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gemm_variants.h"
#include "opencl/cache.h"

typedef struct verdict {
    struct verdict *next;
    char name[48];
    uint32_t format, arithmetic;
    char what[48]; /* both in words */
    clmoe__gemm_choice choice; /* plain */
    int passed;
    int from_cache, is_unsaved;
    clmoe__key key; /* in the cache */
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
        const int added = snprintf(room > 0 ? text + length : NULL, room, "grouped GEMM %s, %s: %s%s\n", v->name,
                                   v->what, v->passed ? "self-test passed" : "does not build or failed its self-test",
                                   v->from_cache ? " (in an earlier process)" : "");
        if (added > 0) length += (size_t)added;
    }
    clmoe__mutex_unlock(context->mutex);
    return length;
}

/* The bytes of a choice, without its pointers: they differ from process to process. */
static void make_plain(const clmoe__gemm_choice *choice, clmoe__gemm_choice *plain) {
    memcpy(plain, choice, sizeof *plain);
    plain->variant = NULL;
    plain->shape.name = NULL;
    plain->matrix.options = NULL;
}

/* What the verdict depends on: packing and gathering take part, kernels and host code, so it is the whole library; the
 * limits in force; the choice, which may come from a tuner's file. */
static void make_key(const clmoe_context *context, const clmoe__gemm_choice *choice, uint32_t format,
                     uint32_t arithmetic, clmoe__key *key) {
    const clmoe__device *device = &context->device;
    const uint64_t numbers[] = {format,
                                arithmetic,
                                device->vector_width,
                                device->max_work_group_size,
                                device->local_bytes,
                                device->max_alloc_bytes};
    clmoe__gemm_variant variant = *choice->variant;
    clmoe__gemm_choice rest;
    clmoe__sha256 hash;
    make_plain(choice, &rest);
    variant.name = NULL;
    clmoe__key_begin(context, CLMOE__ENTRY_VERDICT, &hash);
    clmoe__key_library(&hash);
    clmoe__key_text(&hash, choice->variant->name);
    clmoe__sha256_add(&hash, &variant, sizeof variant);
    clmoe__sha256_add(&hash, &rest, sizeof rest);
    clmoe__sha256_add(&hash, numbers, sizeof numbers);
    clmoe__key_end(&hash, key);
}

/* Kernels from a folder are being worked on, and another library's may be others tomorrow: their verdicts are of this
 * context only. */
static int is_cached(const clmoe_context *context, const clmoe__gemm_choice *choice) {
    return context->kernel_dir == NULL && !clmoe__gemm_varies(choice->variant) && clmoe__cache_reads(context);
}

static clmoe_status add(clmoe_context *context, const verdict *from, const clmoe__gemm_choice *choice, const char *what,
                        clmoe_error *error) {
    verdict *v = malloc(sizeof *v);
    if (v == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a self-test's verdict");
    *v = *from;
    make_plain(choice, &v->choice);
    strncpy(v->name, choice->variant->name, sizeof v->name - 1);
    strncpy(v->what, what, sizeof v->what - 1);
    clmoe__mutex_lock(context->mutex);
    v->next = context->verdicts;
    context->verdicts = v;
    context->free_verdicts = free_all;
    context->describe_verdicts = describe_all;
    clmoe__mutex_unlock(context->mutex);
    return CLMOE_OK;
}

clmoe_status clmoe__verdict_get(clmoe_context *context, const clmoe__gemm_choice *choice, uint32_t format,
                                uint32_t arithmetic, const char *what, int *passed, clmoe_error *error) {
    const char *name = choice->variant->name;
    clmoe__gemm_choice wanted;
    make_plain(choice, &wanted);
    *passed = -1;
    clmoe__mutex_lock(context->mutex);
    for (const verdict *v = context->verdicts; v != NULL; v = v->next)
        if (v->format == format && v->arithmetic == arithmetic && strcmp(v->name, name) == 0 &&
            memcmp(&v->choice, &wanted, sizeof wanted) == 0)
            *passed = v->passed;
    clmoe__mutex_unlock(context->mutex);
    if (*passed >= 0 || !is_cached(context, choice)) return CLMOE_OK;
    verdict earlier = {.format = format, .arithmetic = arithmetic, .from_cache = 1};
    size_t bytes = 0;
    make_key(context, choice, format, arithmetic, &earlier.key);
    unsigned char *kept = clmoe__cache_get(context, CLMOE__ENTRY_VERDICT, &earlier.key, &bytes);
    if (kept != NULL && bytes == 1 && kept[0] <= 1) *passed = earlier.passed = kept[0];
    free(kept);
    return *passed >= 0 ? add(context, &earlier, choice, what, error) : CLMOE_OK;
}

/* The next verdict for the cache, from here on regarded as saved. 0: there is none. */
static int take_unsaved(clmoe_context *context, verdict *taken) {
    clmoe__mutex_lock(context->mutex);
    verdict *v = context->verdicts;
    while (v != NULL && !v->is_unsaved) v = v->next;
    if (v != NULL) {
        v->is_unsaved = 0;
        *taken = *v;
    }
    clmoe__mutex_unlock(context->mutex);
    return v != NULL;
}

/* Failures are kept when another variant has passed: then the compiler works, and no full disk was the reason. */
clmoe_status clmoe__verdict_put(clmoe_context *context, const clmoe__gemm_choice *choice, uint32_t format,
                                uint32_t arithmetic, const char *what, int passed, clmoe_error *error) {
    verdict v = {.format = format, .arithmetic = arithmetic, .passed = passed};
    v.is_unsaved = is_cached(context, choice) && clmoe__cache_writes(context, CLMOE__ENTRY_VERDICT);
    if (v.is_unsaved) make_key(context, choice, format, arithmetic, &v.key);
    TRY(add(context, &v, choice, what, error));
    while (passed && take_unsaved(context, &v)) {
        const unsigned char byte = (unsigned char)v.passed;
        clmoe__cache_put(context, CLMOE__ENTRY_VERDICT, &v.key, &byte, 1);
    }
    return CLMOE_OK;
}
