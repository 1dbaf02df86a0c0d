/* The context's cache: compiled programs and self-test verdicts, by key, from packs the application ships and from a
 * folder or the application's own store. Nothing in here ever fails for its caller: what cannot be had is made again,
 * what cannot be kept is not, and the context's log and statistics say so. Thread-safe. */
#ifndef CLMOE_OPENCL_CACHE_H
#define CLMOE_OPENCL_CACHE_H

#include "context.h"
#include "os/sha256.h"

/* SHA-256 over everything an entry depends on. */
typedef struct clmoe__key {
    unsigned char bytes[CLMOE__SHA256_BYTES];
} clmoe__key;

typedef enum clmoe__entry_kind { CLMOE__ENTRY_PROGRAM = 1, CLMOE__ENTRY_VERDICT = 2 } clmoe__entry_kind;

/* Whether entries are looked for, and whether new ones of this kind are worth making. */
int clmoe__cache_reads(const clmoe_context *context);
int clmoe__cache_writes(const clmoe_context *context, clmoe__entry_kind kind);

/* A key: begin puts in library, device and driver; then everything else that matters is added. (cache_key.c) */
void clmoe__key_begin(const clmoe_context *context, clmoe__entry_kind kind, clmoe__sha256 *hash);
void clmoe__key_text(clmoe__sha256 *hash, const char *text);
/* Every source of the library, for what depends on more of them than it can name. */
void clmoe__key_library(clmoe__sha256 *hash);
void clmoe__key_end(clmoe__sha256 *hash, clmoe__key *key);

/* The payload of an entry, malloc'd; NULL: there is none that is sound. */
unsigned char *clmoe__cache_get(clmoe_context *context, clmoe__entry_kind kind, const clmoe__key *key, size_t *bytes);
void clmoe__cache_put(clmoe_context *context, clmoe__entry_kind kind, const clmoe__key *key, const void *payload,
                      size_t bytes);
/* A sound entry that is of no use after all: `why` goes to the log. A put will replace it. */
void clmoe__cache_reject(clmoe_context *context, const char *why);
/* A program of which the driver gave no binary; its answer, CL_SUCCESS: one of no bytes. */
void clmoe__cache_untaken(clmoe_context *context, const char *file, cl_int code);

/* Opening fails only for descriptions that contradict themselves, and for want of memory. */
clmoe_status clmoe__cache_open(clmoe_context *context, const clmoe_context_desc *desc, clmoe_error *error);
void clmoe__cache_close(clmoe_context *context);
/* Its lines of clmoe_context_describe, as snprintf writes them; returns the length. */
size_t clmoe__cache_describe(const clmoe_context *context, char *text, size_t capacity);

#endif
