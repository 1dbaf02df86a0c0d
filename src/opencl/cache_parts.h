/* What the files of the cache share among themselves. */
#ifndef CLMOE_OPENCL_CACHE_PARTS_H
#define CLMOE_OPENCL_CACHE_PARTS_H

#include "cache.h"

/* ---------------------------------------------------------------------------------- entries (cache_entry.c)
 *
 *     0   "CLMOEBIN"
 *     8   u32 version of this layout, 1
 *     12  u32 kind
 *     16  key, 32 bytes
 *     48  u64 bytes of the payload
 *     56  SHA-256 of the payload, 32 bytes
 *     88  payload
 *
 * Numbers are little-endian, in packs as well. */
#define CLMOE__ENTRY_HEADER 88u

/* malloc'd; NULL without memory. */
unsigned char *clmoe__entry_seal(clmoe__entry_kind kind, const clmoe__key *key, const void *payload, size_t bytes,
                                 size_t *entry_bytes);
/* NULL if this is a whole and sound entry of this kind and key, else what is wrong with it. */
const char *clmoe__entry_check(const unsigned char *entry, size_t entry_bytes, clmoe__entry_kind kind,
                               const clmoe__key *key);
uint64_t clmoe__little_endian(const unsigned char *from, unsigned bytes);
void clmoe__put_little_endian(unsigned char *to, uint64_t value, unsigned bytes);

/* ------------------------------------------------------------------------------------ packs (cache_pack.c) */

struct clmoe__pack;
/* The entry of this key in one of the packs, and its bytes; NULL: in none. It stays until the context is destroyed. */
const unsigned char *clmoe__packs_find(const clmoe_context *context, const clmoe__key *key, size_t *bytes);
/* A line for each pack, as clmoe__cache_describe. */
size_t clmoe__packs_describe(const clmoe_context *context, char *text, size_t capacity);
void clmoe__packs_close(struct clmoe__cache *cache);

/* An entry kept for clmoe_context_write_pack. */
typedef struct clmoe__kept_entry {
    struct clmoe__kept_entry *next;
    clmoe__key key;
    size_t bytes;
    unsigned char entry[];
} clmoe__kept_entry;

/* ------------------------------------------------------------------------------- the folder (cache_folder.c) */

/* The file's bytes, malloc'd; NULL: there is none. A hit makes the entry the most recently used. */
unsigned char *clmoe__folder_get(const struct clmoe__cache *cache, const clmoe__key *key, size_t *bytes);
/* What is wrong, or NULL. Entries that were not used for longest go where the folder outgrew its limit; *evicted
 * counts them. */
const char *clmoe__folder_put(struct clmoe__cache *cache, const clmoe__key *key, const unsigned char *entry,
                              size_t bytes, uint64_t *evicted);

/* ----------------------------------------------------------------------------------------------- the cache */

typedef struct clmoe__cache {
    int off;
    int takes_binaries;   /* new programs are put into the cache */
    const char *why;      /* off, or no binaries: the reason */
    char *identity;       /* library, platform, device and driver, a line each (cache_key.c) */
    char *folder;         /* NULL: the application's store, or none */
    uint64_t max_bytes;   /* of the folder */
    clmoe__counter grown; /* bytes written to it since it was last measured; at first more than any part of max_bytes */
    size_t (*get)(void *user, const void *key, size_t key_bytes, void *value, size_t capacity);
    int (*put)(void *user, const void *key, size_t key_bytes, const void *value, size_t value_bytes);
    void *user;
    clmoe__counter broken;     /* a write failed: no more are tried */
    struct clmoe__pack *packs; /* both lists only grow at the front, under the context's mutex */
    int keep_for_pack;
    clmoe__kept_entry *kept;
    clmoe_cache_stats stats; /* under the context's mutex */
} clmoe__cache;

/* malloc'd; NULL without memory. */
char *clmoe__cache_identity(const clmoe__device *device);

#endif
