/* The cache as a folder: a file for each entry, named by its key in hexadecimal digits. Files appear whole or not at
 * all, so any number of processes may use one folder. The time a file was last written is when its entry was last
 * used. Calls no OpenCL function.
 *
 *     FOLDER/0a1b...(64 digits).clmoe            an entry
 *     FOLDER/0a1b...(64 digits).clmoe.N-M.tmp    one that a process is writing, or died over
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache_parts.h"
#include "os/size.h"

#define DIGITS       (2 * CLMOE__SHA256_BYTES)
#define SUFFIX       ".clmoe"
#define ORPHAN_AGE   UINT64_C(3600000000000) /* nanoseconds after which a temporary file has lost its writer */
#define WRITE_TRIES  3                       /* another process may remove the file that is about to be replaced */
#define MEASURE_PART 16 /* the folder is measured again when this part of its limit has been written */

static char *entry_path(const char *folder, const char *name) {
    const size_t bytes = strlen(folder) + strlen(name) + 2;
    char *path = malloc(bytes);
    if (path != NULL) (void)snprintf(path, bytes, "%s/%s", folder, name);
    return path;
}

static char *path_of_key(const char *folder, const clmoe__key *key) {
    char name[DIGITS + sizeof SUFFIX];
    for (size_t i = 0; i < CLMOE__SHA256_BYTES; i++) (void)snprintf(name + 2 * i, 3, "%02x", key->bytes[i]);
    memcpy(name + DIGITS, SUFFIX, sizeof SUFFIX);
    return entry_path(folder, name);
}

unsigned char *clmoe__folder_get(const clmoe__cache *cache, const clmoe__key *key, size_t *bytes) {
    char *path = path_of_key(cache->folder, key);
    if (path == NULL) return NULL;
    char *entry = clmoe__os_file_read(path, bytes);
    if (entry != NULL) clmoe__os_file_touch(path);
    free(path);
    return (unsigned char *)entry;
}

/* ---------------------------------------------------------------------------------------- keeping it small */

typedef struct found_file {
    char *path;
    uint64_t bytes, used;
} found_file;

typedef struct found_files {
    const char *folder;
    found_file *files;
    size_t count, capacity;
    uint64_t bytes, now;
} found_files;

/* 1: an entry, 2: one being written, 0: none of ours. */
static int kind_of_name(const char *name) {
    if (strspn(name, "0123456789abcdef") != DIGITS) return 0;
    if (strcmp(name + DIGITS, SUFFIX) == 0) return 1;
    const size_t length = strlen(name);
    return strncmp(name + DIGITS, SUFFIX ".", sizeof SUFFIX) == 0 && strcmp(name + length - 4, ".tmp") == 0 ? 2 : 0;
}

static int has_room(found_files *all) {
    if (all->count < all->capacity) return 1;
    const size_t capacity = all->capacity == 0 ? 256 : 2 * all->capacity;
    found_file *grown = realloc(all->files, capacity * sizeof *grown);
    if (grown == NULL) return 0;
    all->files = grown;
    all->capacity = capacity;
    return 1;
}

/* Takes note of an entry; removes what a process that died has left. */
static void look_at(void *user, const char *name) {
    found_files *all = user;
    found_file file = {NULL, 0, 0};
    const int kind = kind_of_name(name);
    if (kind == 0) return;
    file.path = entry_path(all->folder, name);
    if (file.path != NULL && clmoe__os_file_info(file.path, &file.bytes, &file.used)) {
        if (kind == 2 && file.used < all->now && all->now - file.used > ORPHAN_AGE)
            (void)clmoe__os_file_remove(file.path);
        if (kind == 1 && has_room(all)) {
            all->files[all->count++] = file;
            all->bytes = clmoe__add(all->bytes, file.bytes);
            return;
        }
    }
    free(file.path);
}

static int by_use(const void *a, const void *b) {
    const uint64_t x = ((const found_file *)a)->used, y = ((const found_file *)b)->used;
    return (x > y) - (x < y);
}

/* Removes the entries that were not used for longest, until a part of the limit is free again. */
static void shrink(const clmoe__cache *cache, uint64_t *evicted) {
    found_files all = {.folder = cache->folder, .now = clmoe__os_file_clock()};
    if (clmoe__os_list_folder(cache->folder, look_at, &all) == NULL && all.bytes > cache->max_bytes) {
        const uint64_t goal = cache->max_bytes - cache->max_bytes / MEASURE_PART;
        qsort(all.files, all.count, sizeof *all.files, by_use);
        for (size_t i = 0; i < all.count && all.bytes > goal; i++) {
            if (!clmoe__os_file_remove(all.files[i].path))
                continue; /* another process was first, or may and we may not */
            all.bytes -= all.files[i].bytes;
            ++*evicted;
        }
    }
    for (size_t i = 0; i < all.count; i++) free(all.files[i].path);
    free(all.files);
}

/* ------------------------------------------------------------------------------------------------ writing */

static const char *write_file(const char *path, const unsigned char *entry, size_t bytes) {
    clmoe__file_writer *writer = NULL;
    const char *wrong = clmoe__os_writer_open(path, &writer);
    if (wrong != NULL) return wrong;
    wrong = clmoe__os_writer_write(writer, entry, bytes);
    if (wrong == NULL) return clmoe__os_writer_replace(writer);
    clmoe__os_writer_give_up(writer);
    return wrong;
}

const char *clmoe__folder_put(clmoe__cache *cache, const clmoe__key *key, const unsigned char *entry, size_t bytes,
                              uint64_t *evicted) {
    *evicted = 0;
    const char *wrong = clmoe__os_make_folders(cache->folder);
    if (wrong != NULL) return wrong;
    char *path = path_of_key(cache->folder, key);
    if (path == NULL) return "cannot be written: memory is exhausted";
    wrong = write_file(path, entry, bytes);
    for (int i = 1; wrong != NULL && i < WRITE_TRIES; i++) wrong = write_file(path, entry, bytes);
    free(path);
    if (wrong != NULL) return wrong;
    const int64_t grown = clmoe__counter_add(&cache->grown, (int64_t)bytes);
    if ((uint64_t)grown > cache->max_bytes / MEASURE_PART) {
        (void)clmoe__counter_add(&cache->grown, -grown);
        shrink(cache, evicted);
    }
    return NULL;
}
