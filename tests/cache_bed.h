/* A bed to test the cache on: a small kernel of the tests' own, built, launched and so put into the cache, in a
 * context made for each use; and what that context's log and statistics say. */
#ifndef CLMOE_TESTS_CACHE_BED_H
#define CLMOE_TESTS_CACHE_BED_H

#include "bed.h"
#include "files.h"

/* What one context did. */
typedef struct cache_use {
    clmoe_cache_stats stats;
    char log[4096];       /* its lines about the cache */
    char described[4096]; /* clmoe_context_describe */
} cache_use;

/* A description for the bed's kernels: always caching, in `folder` (NULL: as the environment says). */
clmoe_context_desc cache_desc(const char *folder);
/* A context by that description, with each of the packs (NULL-terminated list, NULL: none), in which the kernel for
 * `factor` is made, launched and gives the right result. With keep_for_pack, the pack is then written to pack_path. */
cache_use cache_use_once(const clmoe_context_desc *desc, const char *const *packs, int factor, const char *pack_path);

#define CONTAINS(text, part)                                                              \
    do {                                                                                  \
        if (strstr((text), (part)) == NULL) fail_msg("\"%s\" is not in: %s", part, text); \
    } while (0)

/* Its statistics of these, and no failures. */
void cache_expect(const cache_use *use, uint64_t hits, uint64_t misses, uint64_t stores, uint64_t rejected);

/* Reads and writes whole files; the size is what was read. */
size_t cache_read_file(const char *path, unsigned char *bytes, size_t capacity);
/* The path of the i-th entry (in order of names) in the folder, as test_path. Asserts that there are `count`. */
const char *cache_entry(const test_folder *folder, size_t i, size_t count);
/* Bytes of all files in the folder. */
uint64_t cache_folder_bytes(const test_folder *folder);

#endif
