/* The context's cache: where entries come from and go to, in which mode, and what is counted. Calls no OpenCL
 * function, but the application's own get and put. */
#include "cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache_parts.h"
#include "os/size.h"

#define DEFAULT_MAX_BYTES (UINT64_C(256) << 20)
#define STATS_BYTES_MAX   4096 /* larger struct_size is garbage */
#define PATH_ROOM         4096

/* Platforms on which taking a binary is dear, so that programs are read from the cache but not put there unasked. POCL
 * 3.1 makes every kernel of a program once more when it is asked, for work-groups of any size, which takes twice as
 * long as to make it for the size that is launched: a first start with an f32 layer takes 24 s of CPU time in place of
 * 8. It keeps programs itself; a layer from there takes 0.15 s (short_header.c), from this cache or a pack 0.05 s. */
static const struct {
    const char *platform, *why;
} dear_binaries[] = {
    {"Portable Computing Language", "POCL compiles again to give a binary, and keeps programs itself"},
};

/* ------------------------------------------------------------------------------------------------ opening */

static const struct {
    const char *name;
    uint32_t mode;
} modes[] = {{"auto", CLMOE_CACHE_AUTO}, {"off", CLMOE_CACHE_OFF}, {"always", CLMOE_CACHE_ALWAYS}};

/* The description's mode, else the environment's. */
static clmoe_status take_mode(const clmoe_context_desc *desc, uint32_t *mode, clmoe_error *error) {
    REQUIRE(desc->cache <= CLMOE_CACHE_ALWAYS, error, "cache", "cache is %u, expected 0..%d", desc->cache,
            CLMOE_CACHE_ALWAYS);
    const char *text = clmoe__os_env("CLMOE_CACHE");
    *mode = desc->cache;
    if (*mode != CLMOE_CACHE_AUTO || text == NULL) return CLMOE_OK;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(modes[i].name, text) != 0) continue;
        *mode = modes[i].mode;
        return CLMOE_OK;
    }
    return clmoe__fail(error, CLMOE_INVALID_ARGUMENT, "CLMOE_CACHE",
                       "CLMOE_CACHE is \"%s\", expected auto, off or always", text);
}

static void decide(clmoe__cache *cache, uint32_t mode, const clmoe__device *device) {
    cache->takes_binaries = 1;
    if (mode == CLMOE_CACHE_OFF) {
        cache->off = 1;
        cache->why = "switched off";
    } else if (device->is_sub_device) {
        cache->off = 1;
        cache->why = "drivers give no binaries for parts of a device";
    }
    for (size_t i = 0; i < sizeof dear_binaries / sizeof dear_binaries[0] && mode == CLMOE_CACHE_AUTO && !cache->off;
         i++) {
        if (strcmp(device->platform, dear_binaries[i].platform) != 0) continue;
        cache->takes_binaries = 0;
        cache->why = dear_binaries[i].why;
    }
}

/* The application's store; else the description's, the environment's or the user's folder. */
static clmoe_status take_place(clmoe__cache *cache, const clmoe_context_desc *desc, clmoe_error *error) {
    char path[PATH_ROOM];
    const char *folder = desc->cache_dir;
    if (desc->cache_get != NULL || desc->cache_put != NULL) {
        cache->get = desc->cache_get;
        cache->put = desc->cache_put;
        cache->user = desc->cache_user;
        return CLMOE_OK;
    }
    if (folder == NULL || folder[0] == '\0') folder = clmoe__os_env("CLMOE_CACHE_DIR");
    if (folder == NULL && clmoe__os_cache_folder(path, sizeof path)) folder = path;
    if (folder == NULL) return CLMOE_OK;
    cache->folder = malloc(strlen(folder) + 1);
    if (cache->folder == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a cache");
    memcpy(cache->folder, folder, strlen(folder) + 1);
    return CLMOE_OK;
}

clmoe_status clmoe__cache_open(clmoe_context *context, const clmoe_context_desc *desc, clmoe_error *error) {
    uint32_t mode = CLMOE_CACHE_AUTO;
    REQUIRE(desc->keep_for_pack <= 1, error, "keep_for_pack", "keep_for_pack is %u, expected 0 or 1",
            desc->keep_for_pack);
    TRY(take_mode(desc, &mode, error));
    clmoe__cache *cache = context->cache = calloc(1, sizeof *cache);
    if (cache == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a cache");
    decide(cache, mode, &context->device);
    if (cache->off) return CLMOE_OK;
    cache->keep_for_pack = (int)desc->keep_for_pack;
    cache->max_bytes =
        desc->cache_max_bytes != 0 ? clmoe__min(desc->cache_max_bytes, INT64_MAX / 2) : DEFAULT_MAX_BYTES;
    cache->grown.value = (int64_t)cache->max_bytes; /* the first entry that is written measures the folder */
    cache->identity = clmoe__cache_identity(&context->device);
    if (cache->identity == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a cache");
    TRY(take_place(cache, desc, error));
    if (cache->folder == NULL && cache->get == NULL && cache->put == NULL)
        clmoe__log(context, "cache: this user has no folder for caches");
    return CLMOE_OK;
}

void clmoe__cache_close(clmoe_context *context) {
    clmoe__cache *cache = context->cache;
    if (cache == NULL) return;
    clmoe__packs_close(cache);
    free(cache->folder);
    free(cache->identity);
    free(cache);
    context->cache = NULL;
}

/* ------------------------------------------------------------------------------------------ get and put */

int clmoe__cache_reads(const clmoe_context *context) { return !context->cache->off; }

/* Whether new entries of this kind go to the folder or the application's store. */
static int stores(clmoe__cache *cache, clmoe__entry_kind kind) {
    return (kind == CLMOE__ENTRY_VERDICT || cache->takes_binaries) && (cache->folder != NULL || cache->put != NULL) &&
           clmoe__counter_add(&cache->broken, 0) == 0;
}

int clmoe__cache_writes(const clmoe_context *context, clmoe__entry_kind kind) {
    clmoe__cache *cache = context->cache;
    return !cache->off && (cache->keep_for_pack || stores(cache, kind));
}

static void count(const clmoe_context *context, uint64_t *number, uint64_t by) {
    clmoe__mutex_lock(context->mutex);
    *number += by;
    clmoe__mutex_unlock(context->mutex);
}

/* What the application's store has, malloc'd. Asked again where the entry grew in between. */
static unsigned char *ask_application(const clmoe__cache *cache, const clmoe__key *key, size_t *bytes) {
    size_t room = 0;
    unsigned char *entry = NULL;
    for (int attempt = 0; attempt < 3; attempt++) {
        const size_t size = cache->get(cache->user, key->bytes, sizeof key->bytes, entry, room);
        if (size == 0) break;
        if (size <= room) {
            *bytes = size;
            return entry;
        }
        free(entry);
        entry = malloc(size);
        if (entry == NULL) return NULL;
        room = size;
    }
    free(entry);
    return NULL;
}

/* For clmoe_context_write_pack. */
static void keep(clmoe_context *context, const clmoe__key *key, const unsigned char *entry, size_t bytes) {
    if (!context->cache->keep_for_pack) return;
    clmoe__kept_entry *kept = malloc(sizeof *kept + bytes);
    if (kept == NULL) {
        count(context, &context->cache->stats.failures, 1);
        clmoe__log(context, "cache: no memory to keep an entry for a pack");
        return;
    }
    kept->key = *key;
    kept->bytes = bytes;
    memcpy(kept->entry, entry, bytes);
    clmoe__mutex_lock(context->mutex);
    kept->next = context->cache->kept;
    context->cache->kept = kept;
    clmoe__mutex_unlock(context->mutex);
}

void clmoe__cache_reject(clmoe_context *context, const char *why) {
    count(context, &context->cache->stats.rejected, 1);
    clmoe__log(context, "cache: an entry %s; made again", why);
}

void clmoe__cache_untaken(clmoe_context *context, const char *file, cl_int code) {
    count(context, &context->cache->stats.failures, 1);
    clmoe__log(context, "cache: the driver gives no binary of cl/%s (%d)", file, (int)code);
}

/* The payload of a sound entry, malloc'd, NULL: not sound. */
static unsigned char *open_entry(clmoe_context *context, clmoe__entry_kind kind, const clmoe__key *key,
                                 const unsigned char *entry, size_t entry_bytes, size_t *bytes) {
    const char *wrong = clmoe__entry_check(entry, entry_bytes, kind, key);
    if (wrong != NULL) {
        clmoe__cache_reject(context, wrong);
        return NULL;
    }
    *bytes = entry_bytes - CLMOE__ENTRY_HEADER;
    unsigned char *payload = malloc(*bytes + 1);
    if (payload == NULL) return NULL;
    memcpy(payload, entry + CLMOE__ENTRY_HEADER, *bytes);
    count(context, &context->cache->stats.bytes_read, entry_bytes);
    keep(context, key, entry, entry_bytes);
    return payload;
}

unsigned char *clmoe__cache_get(clmoe_context *context, clmoe__entry_kind kind, const clmoe__key *key, size_t *bytes) {
    clmoe__cache *cache = context->cache;
    unsigned char *payload = NULL, *entry = NULL;
    size_t entry_bytes = 0;
    if (cache->off) return NULL;
    const unsigned char *packed = clmoe__packs_find(context, key, &entry_bytes);
    if (packed != NULL) payload = open_entry(context, kind, key, packed, entry_bytes, bytes);
    if (payload != NULL) count(context, &cache->stats.pack_hits, 1);
    if (payload == NULL) {
        if (cache->folder != NULL)
            entry = clmoe__folder_get(cache, key, &entry_bytes);
        else if (cache->get != NULL)
            entry = ask_application(cache, key, &entry_bytes);
    }
    if (entry != NULL) payload = open_entry(context, kind, key, entry, entry_bytes, bytes);
    free(entry);
    count(context, payload != NULL ? &cache->stats.hits : &cache->stats.misses, 1);
    return payload;
}

static void store(clmoe_context *context, const clmoe__key *key, const unsigned char *entry, size_t bytes) {
    clmoe__cache *cache = context->cache;
    const char *wrong = NULL;
    uint64_t evicted = 0;
    if (cache->folder != NULL && bytes > cache->max_bytes) return; /* all others would go for it, and then it */
    if (cache->folder != NULL)
        wrong = clmoe__folder_put(cache, key, entry, bytes, &evicted);
    else if (!cache->put(cache->user, key->bytes, sizeof key->bytes, entry, bytes))
        wrong = "does not take entries";
    if (wrong == NULL) {
        count(context, &cache->stats.stores, 1);
        count(context, &cache->stats.bytes_written, bytes);
        count(context, &cache->stats.evicted, evicted);
        return;
    }
    count(context, &cache->stats.failures, 1);
    if (clmoe__counter_add(&cache->broken, 1) == 1)
        clmoe__log(context, "cache: %s %s; nothing more is kept there",
                   cache->folder != NULL ? clmoe__path_end(cache->folder) : "the application's store", wrong);
}

void clmoe__cache_put(clmoe_context *context, clmoe__entry_kind kind, const clmoe__key *key, const void *payload,
                      size_t bytes) {
    clmoe__cache *cache = context->cache;
    size_t entry_bytes = 0;
    if (!clmoe__cache_writes(context, kind)) return;
    unsigned char *entry = clmoe__entry_seal(kind, key, payload, bytes, &entry_bytes);
    if (entry == NULL) {
        count(context, &cache->stats.failures, 1);
        return;
    }
    keep(context, key, entry, entry_bytes);
    if (stores(cache, kind)) store(context, key, entry, entry_bytes);
    free(entry);
}

/* ---------------------------------------------------------------------------------------------- questions */

clmoe_status clmoe_context_cache(const clmoe_context *context, clmoe_cache_stats *stats, clmoe_error *error) {
    REQUIRE(context != NULL, error, "context", "context is NULL");
    REQUIRE(stats != NULL, error, "stats", "stats is NULL");
    const size_t given = stats->struct_size != 0 ? stats->struct_size : sizeof *stats;
    REQUIRE(given >= sizeof given && given <= STATS_BYTES_MAX, error, "stats.struct_size",
            "stats.struct_size is %zu, expected %zu", given, sizeof *stats);
    clmoe__mutex_lock(context->mutex);
    const clmoe_cache_stats now = context->cache->stats;
    clmoe__mutex_unlock(context->mutex);
    clmoe__give(stats, given, &now, sizeof now);
    return CLMOE_OK;
}

size_t clmoe__cache_describe(const clmoe_context *context, char *text, size_t capacity) {
    const clmoe__cache *cache = context->cache;
    const char *place = cache->folder != NULL ? cache->folder : "no folder";
    if (cache->get != NULL || cache->put != NULL) place = "the application's store";
    const int length = cache->off ? snprintf(text, capacity, "cache: off (%s)\n", cache->why)
                       : cache->takes_binaries
                           ? snprintf(text, capacity, "cache: %s\n", place)
                           : snprintf(text, capacity, "cache: %s; binaries are not taken: %s\n", place, cache->why);
    size_t used = length > 0 ? (size_t)length : 0;
    return used +
           clmoe__packs_describe(context, used < capacity ? text + used : NULL, used < capacity ? capacity - used : 0);
}
