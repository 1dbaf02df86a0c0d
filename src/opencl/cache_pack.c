/* Packs: entries in one read-only file, for the application to ship. Calls no OpenCL function.
 *
 *     0     "CLMOEPAK"
 *     8     u32 version of this layout, 1;  u32 number of entries
 *     16    u64 bytes of the file
 *     24    u64 bytes of the identity
 *     32    SHA-256 of the identity and the table
 *     64    identity: library, device and driver, as cache_key.c writes it
 *           table, ordered by key: {key 32 bytes, u64 offset in the file, u64 bytes} for each entry
 *           entries, as in cache_parts.h, each with its own checksum
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache_parts.h"
#include "os/size.h"

#define LAYOUT_VERSION 1u
#define HEADER         64u
#define ROW            48u

enum { AT_VERSION = 8, AT_COUNT = 12, AT_BYTES = 16, AT_IDENTITY_BYTES = 24, AT_CHECKSUM = 32 };

static const char magic[8] = {'C', 'L', 'M', 'O', 'E', 'P', 'A', 'K'};

typedef struct clmoe__pack {
    struct clmoe__pack *next;
    clmoe__file_map map;
    const unsigned char *table;
    uint32_t count;
    char *path;
} clmoe__pack;

/* ------------------------------------------------------------------------------------------------ reading */

/* What is wrong with the file as a pack, or NULL. Nothing of it is believed before. */
static const char *check_file(const clmoe__file_map *map) {
    const unsigned char *p = map->data;
    unsigned char digest[CLMOE__SHA256_BYTES];
    clmoe__sha256 hash;
    if (map->bytes < sizeof magic || memcmp(p, magic, sizeof magic) != 0) return "is no pack of clmoe";
    if (map->bytes < HEADER) return "is cut short";
    if (clmoe__little_endian(p + AT_VERSION, 4) != LAYOUT_VERSION) return "is a pack of another version of the library";
    if (clmoe__little_endian(p + AT_BYTES, 8) != map->bytes)
        return "has not the size it says: it is cut short or damaged";
    const uint64_t identity = clmoe__little_endian(p + AT_IDENTITY_BYTES, 8);
    const uint64_t rows = clmoe__little_endian(p + AT_COUNT, 4) * ROW;
    if (identity == 0 || clmoe__add(identity, rows) > map->bytes - HEADER) return "is damaged";
    clmoe__sha256_begin(&hash);
    clmoe__sha256_add(&hash, p + HEADER, (size_t)(identity + rows));
    clmoe__sha256_end(&hash, digest);
    if (memcmp(digest, p + AT_CHECKSUM, sizeof digest) != 0 || p[HEADER + identity - 1] != '\n') return "is damaged";
    return NULL;
}

/* The first line in which the pack's identity differs from this context's is the error. */
static clmoe_status check_identity(const clmoe_context *context, const char *path, const char *theirs, size_t length,
                                   clmoe_error *error) {
    const char *ours = context->cache->identity, *end = theirs + length;
    while (theirs < end && *ours != '\0') {
        const size_t n = strcspn(ours, "\n"),
                     m = (size_t)((const char *)memchr(theirs, '\n', (size_t)(end - theirs)) - theirs);
        if (n != m || memcmp(ours, theirs, n) != 0)
            return clmoe__fail(error, CLMOE_UNSUPPORTED, "path",
                               "\"%s\" was made for another device: it has \"%.*s\", this context has \"%.*s\"",
                               clmoe__path_end(path), (int)clmoe__min(m, 120), theirs, (int)clmoe__min(n, 120), ours);
        ours += n + 1;
        theirs += m + 1;
    }
    if (theirs == end && *ours == '\0') return CLMOE_OK;
    return clmoe__fail(error, CLMOE_UNSUPPORTED, "path", "\"%s\" was made for another device", clmoe__path_end(path));
}

static clmoe_status open_pack(const clmoe_context *context, const char *path, clmoe__pack *pack, clmoe_error *error) {
    const char *wrong = clmoe__os_map_file(path, &pack->map);
    if (wrong == NULL) wrong = check_file(&pack->map);
    if (wrong != NULL) return clmoe__fail(error, CLMOE_INVALID_FILE, "path", "\"%s\" %s", clmoe__path_end(path), wrong);
    const unsigned char *p = pack->map.data;
    const size_t identity = (size_t)clmoe__little_endian(p + AT_IDENTITY_BYTES, 8);
    TRY(check_identity(context, path, (const char *)p + HEADER, identity, error));
    pack->table = p + HEADER + identity;
    pack->count = (uint32_t)clmoe__little_endian(p + AT_COUNT, 4);
    pack->path = malloc(strlen(path) + 1);
    if (pack->path == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a pack");
    memcpy(pack->path, path, strlen(path) + 1);
    return CLMOE_OK;
}

static void free_pack(clmoe__pack *pack) {
    clmoe__os_unmap_file(&pack->map);
    free(pack->path);
    free(pack);
}

static clmoe_status check_open(const clmoe_context *context, const char *path, clmoe_error *error) {
    REQUIRE(context != NULL, error, "context", "context is NULL");
    REQUIRE(path != NULL && path[0] != '\0', error, "path", "path is %s", path == NULL ? "NULL" : "empty");
    if (context->cache->off)
        return clmoe__fail(error, CLMOE_UNSUPPORTED, "path", "the cache is off, and packs with it: %s",
                           context->cache->why);
    return CLMOE_OK;
}

clmoe_status clmoe_context_add_pack(clmoe_context *context, const char *path, clmoe_error *error) {
    TRY(check_open(context, path, error));
    clmoe__pack *pack = calloc(1, sizeof *pack);
    if (pack == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a pack");
    const clmoe_status status = open_pack(context, path, pack, error);
    if (status != CLMOE_OK) {
        free_pack(pack);
        return status;
    }
    clmoe__log(context, "cache: pack %s with %u entries", clmoe__path_end(path), pack->count);
    clmoe__mutex_lock(context->mutex);
    pack->next = context->cache->packs;
    context->cache->packs = pack;
    clmoe__mutex_unlock(context->mutex);
    return CLMOE_OK;
}

/* The row of the key, by bisection. */
static const unsigned char *find_row(const clmoe__pack *pack, const clmoe__key *key) {
    uint32_t low = 0, high = pack->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const unsigned char *row = pack->table + (size_t)middle * ROW;
        const int order = memcmp(key->bytes, row, sizeof key->bytes);
        if (order == 0) return row;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const unsigned char *clmoe__packs_find(const clmoe_context *context, const clmoe__key *key, size_t *bytes) {
    clmoe__mutex_lock(context->mutex);
    const clmoe__pack *pack = context->cache->packs;
    clmoe__mutex_unlock(context->mutex);
    for (; pack != NULL; pack = pack->next) {
        const unsigned char *row = find_row(pack, key);
        if (row == NULL) continue;
        const uint64_t offset = clmoe__little_endian(row + 32, 8), size = clmoe__little_endian(row + 40, 8);
        if (clmoe__add(offset, size) > pack->map.bytes) continue;
        *bytes = (size_t)size;
        return pack->map.data + offset;
    }
    return NULL;
}

size_t clmoe__packs_describe(const clmoe_context *context, char *text, size_t capacity) {
    size_t length = 0;
    clmoe__mutex_lock(context->mutex);
    for (const clmoe__pack *pack = context->cache->packs; pack != NULL; pack = pack->next) {
        const size_t room = length < capacity ? capacity - length : 0;
        const int added =
            snprintf(room > 0 ? text + length : NULL, room, "pack: %s, %u entries\n", pack->path, pack->count);
        if (added > 0) length += (size_t)added;
    }
    clmoe__mutex_unlock(context->mutex);
    return length;
}

void clmoe__packs_close(clmoe__cache *cache) {
    while (cache->packs != NULL) {
        clmoe__pack *next = cache->packs->next;
        free_pack(cache->packs);
        cache->packs = next;
    }
    while (cache->kept != NULL) {
        clmoe__kept_entry *next = cache->kept->next;
        free(cache->kept);
        cache->kept = next;
    }
}

/* ------------------------------------------------------------------------------------------------ writing */

static int by_key(const void *a, const void *b) {
    return memcmp((*(const clmoe__kept_entry *const *)a)->key.bytes, (*(const clmoe__kept_entry *const *)b)->key.bytes,
                  CLMOE__SHA256_BYTES);
}

/* The kept entries ordered by key, of equal keys one; malloc'd. */
static clmoe__kept_entry **ordered(const clmoe_context *context, size_t *count) {
    size_t all = 0, kept = 0;
    clmoe__mutex_lock(context->mutex);
    clmoe__kept_entry *first = context->cache->kept;
    clmoe__mutex_unlock(context->mutex);
    for (const clmoe__kept_entry *e = first; e != NULL; e = e->next) all++;
    clmoe__kept_entry **list = malloc((all + 1) * sizeof *list);
    if (list == NULL) return NULL;
    all = 0;
    for (clmoe__kept_entry *e = first; e != NULL; e = e->next) list[all++] = e;
    qsort(list, all, sizeof *list, by_key);
    for (size_t i = 0; i < all; i++)
        if (kept == 0 || by_key(&list[kept - 1], &list[i]) != 0) list[kept++] = list[i];
    *count = kept;
    return list;
}

/* Header, identity and table in one piece; malloc'd. */
static unsigned char *make_front(const char *identity, clmoe__kept_entry *const *list, size_t count, size_t *bytes) {
    const size_t identity_bytes = strlen(identity);
    uint64_t offset = *bytes = HEADER + identity_bytes + count * ROW;
    unsigned char *front = calloc(*bytes, 1);
    clmoe__sha256 hash;
    if (front == NULL) return NULL;
    memcpy(front + HEADER, identity, identity_bytes);
    unsigned char *row = front + HEADER + identity_bytes;
    for (size_t i = 0; i < count; i++, row += ROW) {
        memcpy(row, list[i]->key.bytes, CLMOE__SHA256_BYTES);
        clmoe__put_little_endian(row + 32, offset, 8);
        clmoe__put_little_endian(row + 40, list[i]->bytes, 8);
        offset += list[i]->bytes;
    }
    memcpy(front, magic, sizeof magic);
    clmoe__put_little_endian(front + AT_VERSION, LAYOUT_VERSION, 4);
    clmoe__put_little_endian(front + AT_COUNT, count, 4);
    clmoe__put_little_endian(front + AT_BYTES, offset, 8);
    clmoe__put_little_endian(front + AT_IDENTITY_BYTES, identity_bytes, 8);
    clmoe__sha256_begin(&hash);
    clmoe__sha256_add(&hash, front + HEADER, *bytes - HEADER);
    clmoe__sha256_end(&hash, front + AT_CHECKSUM);
    return front;
}

static const char *write_pack(const char *path, const unsigned char *front, size_t front_bytes,
                              clmoe__kept_entry *const *list, size_t count) {
    clmoe__file_writer *writer = NULL;
    const char *wrong = clmoe__os_writer_open(path, &writer);
    if (wrong != NULL) return wrong;
    wrong = clmoe__os_writer_write(writer, front, front_bytes);
    for (size_t i = 0; i < count && wrong == NULL; i++)
        wrong = clmoe__os_writer_write(writer, list[i]->entry, list[i]->bytes);
    if (wrong == NULL) return clmoe__os_writer_commit(writer);
    clmoe__os_writer_give_up(writer);
    return wrong;
}

clmoe_status clmoe_context_write_pack(const clmoe_context *context, const char *path, clmoe_error *error) {
    TRY(check_open(context, path, error));
    REQUIRE(context->cache->keep_for_pack, error, "keep_for_pack",
            "the context was made with keep_for_pack 0, expected 1: it has kept nothing");
    size_t count = 0, bytes = 0;
    clmoe__kept_entry **list = ordered(context, &count);
    unsigned char *front = list != NULL ? make_front(context->cache->identity, list, count, &bytes) : NULL;
    clmoe_status status = CLMOE_OK;
    if (front == NULL) {
        status = clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a pack of %zu entries", count);
    } else {
        const char *wrong = write_pack(path, front, bytes, list, count);
        if (wrong != NULL)
            status = clmoe__fail(error, CLMOE_INVALID_FILE, "path", "\"%s\" %s", clmoe__path_end(path), wrong);
    }
    free(front);
    free(list);
    return status;
}
