/* The tensors of a model, wherever they lie: one .safetensors file, or several and an index that says which tensor is
 * in which, or a GGUF model. Files are mapped, their headers read; no byte of data is touched. Calls safetensors.c,
 * checkpoint_gguf.c, json.c and src/os.
 *
 * Index and files must agree: every tensor of the index is in the file that the index names. A tensor that the index
 * does not name does not exist for us, as for the library that defined the index, but one that two files hold is
 * refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "gguf.h"
#include "json.h"

#define SINGLE "model.safetensors"
#define INDEX  "model.safetensors.index.json"

/* One line of the index. Both live with its JSON. */
typedef struct entry {
    const char *tensor, *file;
} entry;

clmoe_status clmoe__checkpoint_no_memory(clmoe_error *error) {
    return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for the list of a model's tensors");
}

char *clmoe__path_join(const char *folder, size_t folder_length, const char *name) {
    const int slash = folder_length > 0 && folder[folder_length - 1] != '/';
    const size_t room = folder_length + strlen(name) + 2;
    char *const path = malloc(room);
    if (path != NULL) (void)snprintf(path, room, "%.*s%s%s", (int)folder_length, folder, slash ? "/" : "", name);
    return path;
}

static clmoe_status open_shard(clmoe__shard *one, const char *wanted_by, clmoe_error *error) {
    const char *const wrong = clmoe__os_map_file(one->path, &one->map);
    if (wrong != NULL) {
        return clmoe__fail(error, CLMOE_INVALID_FILE, clmoe__path_name(one->path), "%s%s%s %s",
                           clmoe__path_end(one->path), wanted_by != NULL ? ", named by weight_map in " : "",
                           wanted_by != NULL ? clmoe__path_name(wanted_by) : "", wrong);
    }
    return clmoe__safetensors_parse(one->map.data, one->map.bytes, one->path, &one->contents, error);
}

clmoe_status clmoe__checkpoint_merge(clmoe__checkpoint *checkpoint, clmoe_error *error) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < checkpoint->num_shards; ++i) count += checkpoint->shards[i].contents.count;
    checkpoint->tensors = calloc((size_t)count + 1, sizeof *checkpoint->tensors);
    if (checkpoint->tensors == NULL) return clmoe__checkpoint_no_memory(error);
    for (uint32_t i = 0; i < checkpoint->num_shards; ++i) {
        clmoe__safetensors *const contents = &checkpoint->shards[i].contents;
        if (contents->count == 0) continue;
        memcpy(checkpoint->tensors + checkpoint->count, contents->tensors,
               (size_t)contents->count * sizeof *contents->tensors);
        checkpoint->count += contents->count;
        free(contents->tensors);
        contents->tensors = NULL;
    }
    qsort(checkpoint->tensors, (size_t)count, sizeof *checkpoint->tensors, clmoe__tensor_order);
    for (uint64_t i = 1; i < count; ++i) {
        const clmoe__file_tensor *const one = &checkpoint->tensors[i - 1], *const two = &checkpoint->tensors[i];
        if (strcmp(one->name, two->name) != 0) continue;
        return clmoe__fail(error, CLMOE_INVALID_FILE, two->name, "%s: tensor %.100s is in two files, %.60s and %.60s",
                           clmoe__path_end(checkpoint->path), two->name, clmoe__path_name(one->file),
                           clmoe__path_name(two->file));
    }
    return CLMOE_OK;
}

/* ------------------------------------------------------------------------------------------ several files */

static int order_by_file(const void *a, const void *b) {
    return strcmp(((const entry *)a)->file, ((const entry *)b)->file);
}
static int order_by_tensor(const void *a, const void *b) {
    return strcmp(((const entry *)a)->tensor, ((const entry *)b)->tensor);
}

/* A file of the model's own folder: an index may not lead elsewhere. */
static int is_plain_name(const char *name) {
    return name[0] != '\0' && strpbrk(name, "/\\:") == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static clmoe_status read_entries(const json_t *map, const char *path, entry **entries, size_t *count,
                                 clmoe_error *error) {
    const char *key;
    json_t *value;
    *count = json_object_size(map);
    *entries = calloc(*count, sizeof **entries);
    if (*entries == NULL) return clmoe__checkpoint_no_memory(error);
    entry *next = *entries;
    json_object_foreach((json_t *)map, key, value) {
        char name[120];
        (void)snprintf(name, sizeof name, "weight_map.%.100s", key);
        if (!json_is_string(value) || !is_plain_name(json_string_value(value))) {
            return clmoe__json_wrong(value, name, path, "the name of a file in the same folder", error);
        }
        next->tensor = key;
        next->file = json_string_value(value);
        ++next;
    }
    return CLMOE_OK;
}

/* Opens every file that the entries name, once. Leaves the entries in file order. */
static clmoe_status open_shards(clmoe__checkpoint *checkpoint, entry *entries, size_t count, clmoe_error *error) {
    const size_t folder = (size_t)(clmoe__path_name(checkpoint->path) - checkpoint->path);
    uint32_t files = 0;
    qsort(entries, count, sizeof *entries, order_by_file);
    for (size_t i = 0; i < count; ++i) files += i == 0 || strcmp(entries[i].file, entries[i - 1].file) != 0;
    checkpoint->shards = calloc(files, sizeof *checkpoint->shards);
    if (checkpoint->shards == NULL) return clmoe__checkpoint_no_memory(error);
    for (size_t i = 0; i < count; ++i) {
        if (i > 0 && strcmp(entries[i].file, entries[i - 1].file) == 0) continue;
        clmoe__shard *const one = &checkpoint->shards[checkpoint->num_shards];
        one->path = clmoe__path_join(checkpoint->path, folder, entries[i].file);
        if (one->path == NULL) return clmoe__checkpoint_no_memory(error);
        ++checkpoint->num_shards;
        TRY(open_shard(one, checkpoint->path, error));
    }
    return CLMOE_OK;
}

/* Every entry is in its file; what no entry names is dropped. */
static clmoe_status match(clmoe__checkpoint *checkpoint, entry *entries, size_t count, clmoe_error *error) {
    uint64_t kept = 0, at = 0;
    qsort(entries, count, sizeof *entries, order_by_tensor);
    for (size_t i = 0; i < count; ++i) {
        while (at < checkpoint->count && strcmp(checkpoint->tensors[at].name, entries[i].tensor) < 0) ++at;
        const clmoe__file_tensor *const tensor = at < checkpoint->count ? &checkpoint->tensors[at] : NULL;
        const int there = tensor != NULL && strcmp(tensor->name, entries[i].tensor) == 0;
        const char *const file = there ? clmoe__path_name(tensor->file) : NULL;
        if (!there || strcmp(file, entries[i].file) != 0) {
            return clmoe__fail(error, CLMOE_INVALID_FILE, entries[i].tensor,
                               "%s: weight_map says that tensor %.100s is in %.60s, but it is in %.60s",
                               clmoe__path_end(checkpoint->path), entries[i].tensor, entries[i].file,
                               there ? file : "none of the files");
        }
        checkpoint->tensors[kept++] = *tensor;
        ++at;
    }
    checkpoint->count = kept;
    return CLMOE_OK;
}

static clmoe_status open_listed(clmoe__checkpoint *checkpoint, const json_t *index, clmoe_error *error) {
    const json_t *map = NULL;
    entry *entries = NULL;
    size_t count = 0;
    TRY(clmoe__json_object(index, "weight_map", checkpoint->path, &map, NULL, error));
    if (json_object_size(map) == 0) {
        return clmoe__json_wrong(map, "weight_map", checkpoint->path, "an object that names the file of each tensor",
                                 error);
    }
    clmoe_status status = read_entries(map, checkpoint->path, &entries, &count, error);
    if (status == CLMOE_OK) status = open_shards(checkpoint, entries, count, error);
    if (status == CLMOE_OK) status = clmoe__checkpoint_merge(checkpoint, error);
    if (status == CLMOE_OK) status = match(checkpoint, entries, count, error);
    free(entries);
    return status;
}

static clmoe_status open_index(clmoe__checkpoint *checkpoint, clmoe_error *error) {
    json_t *index;
    TRY(clmoe__json_read(checkpoint->path, &index, error));
    const clmoe_status status = open_listed(checkpoint, index, error);
    json_decref(index);
    return status;
}

static clmoe_status open_single(clmoe__checkpoint *checkpoint, clmoe_error *error) {
    checkpoint->shards = calloc(1, sizeof *checkpoint->shards);
    char *const path = clmoe__path_join("", 0, checkpoint->path);
    if (checkpoint->shards == NULL || path == NULL) {
        free(path);
        return clmoe__checkpoint_no_memory(error);
    }
    checkpoint->shards[0].path = path;
    checkpoint->num_shards = 1;
    TRY(open_shard(checkpoint->shards, NULL, error));
    return clmoe__checkpoint_merge(checkpoint, error);
}

/* ----------------------------------------------------------------------------------------- what others call */

int clmoe__ends_with(const char *text, const char *end) {
    const size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

/* The safetensors file or index in a folder, malloc'd; NULL without failure if there is none. */
static clmoe_status resolve_safetensors(const char *folder, char **found, clmoe_error *error) {
    static const char *const names[] = {SINGLE, INDEX}; /* in the order in which the hub's own code looks for them */
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        *found = clmoe__path_join(folder, strlen(folder), names[i]);
        if (*found == NULL) return clmoe__checkpoint_no_memory(error);
        if (clmoe__os_exists(*found)) return CLMOE_OK;
        free(*found);
    }
    *found = NULL;
    return CLMOE_OK;
}

/* The file or index that `path` leads to, malloc'd. */
static clmoe_status resolve(const char *path, char **found, clmoe_error *error) {
    if (!clmoe__os_is_folder(path)) {
        *found = clmoe__path_join("", 0, path);
        return *found != NULL ? CLMOE_OK : clmoe__checkpoint_no_memory(error);
    }
    TRY(resolve_safetensors(path, found, error));
    if (*found == NULL) TRY(clmoe__gguf_in_folder(path, found, error));
    if (*found != NULL) return CLMOE_OK;
    return clmoe__fail(error, CLMOE_INVALID_FILE, SINGLE, "%s holds neither " SINGLE " nor " INDEX ", nor a .gguf file",
                       clmoe__path_end(path));
}

/* By its name, else by its first bytes: some programs keep GGUF files under names without an end. */
static int is_gguf_file(const char *path) {
    clmoe__file_map map;
    if (clmoe__ends_with(path, ".gguf")) return 1;
    if (clmoe__ends_with(path, ".json") || clmoe__ends_with(path, ".safetensors")) return 0;
    if (clmoe__os_map_file(path, &map) != NULL) return 0;
    const int is = clmoe__gguf_magic(map.data, map.bytes);
    clmoe__os_unmap_file(&map);
    return is;
}

int clmoe__checkpoint_is_gguf(const char *path) {
    char *found = NULL;
    if (!clmoe__os_is_folder(path)) return is_gguf_file(path);
    if (resolve_safetensors(path, &found, NULL) == CLMOE_OK && found == NULL) {
        const clmoe_status status = clmoe__gguf_in_folder(path, &found, NULL);
        const int is = status != CLMOE_OK || found != NULL; /* several, say: opening tells */
        free(found);
        return is;
    }
    free(found);
    return 0;
}

static clmoe_status open_resolved(clmoe__checkpoint *checkpoint, clmoe_error *error) {
    if (clmoe__ends_with(checkpoint->path, ".json")) return open_index(checkpoint, error);
    if (is_gguf_file(checkpoint->path)) return clmoe__checkpoint_open_gguf(checkpoint, error);
    return open_single(checkpoint, error);
}

clmoe_status clmoe__checkpoint_open(const char *path, clmoe__checkpoint **out, clmoe_error *error) {
    *out = NULL;
    clmoe__checkpoint *const checkpoint = calloc(1, sizeof *checkpoint);
    if (checkpoint == NULL) return clmoe__checkpoint_no_memory(error);
    clmoe_status status = resolve(path, &checkpoint->path, error);
    if (status == CLMOE_OK) status = open_resolved(checkpoint, error);
    if (status != CLMOE_OK) {
        clmoe__checkpoint_close(checkpoint);
        return status;
    }
    *out = checkpoint;
    return CLMOE_OK;
}

void clmoe__checkpoint_close(clmoe__checkpoint *checkpoint) {
    if (checkpoint == NULL) return;
    for (uint32_t i = 0; i < checkpoint->num_shards; ++i) {
        clmoe__safetensors_free(&checkpoint->shards[i].contents);
        clmoe__os_unmap_file(&checkpoint->shards[i].map);
        free(checkpoint->shards[i].path);
    }
    free(checkpoint->shards);
    free(checkpoint->tensors);
    free(checkpoint->path);
    json_decref(checkpoint->metadata);
    free(checkpoint);
}

const clmoe__file_tensor *clmoe__checkpoint_find(const clmoe__checkpoint *checkpoint, const char *name) {
    const clmoe__file_tensor wanted = {.name = name};
    if (checkpoint->count == 0) return NULL;
    return bsearch(&wanted, checkpoint->tensors, (size_t)checkpoint->count, sizeof wanted, clmoe__tensor_order);
}

uint64_t clmoe__checkpoint_count(const clmoe__checkpoint *checkpoint) { return checkpoint->count; }

const clmoe__file_tensor *clmoe__checkpoint_at(const clmoe__checkpoint *checkpoint, uint64_t i) {
    return i < checkpoint->count ? &checkpoint->tensors[i] : NULL;
}

uint32_t clmoe__checkpoint_files(const clmoe__checkpoint *checkpoint) { return checkpoint->num_shards; }

uint64_t clmoe__checkpoint_bytes(const clmoe__checkpoint *checkpoint) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < checkpoint->num_shards; ++i) bytes += checkpoint->shards[i].map.bytes;
    return bytes;
}

const char *clmoe__checkpoint_path(const clmoe__checkpoint *checkpoint) { return checkpoint->path; }

json_t *clmoe__checkpoint_metadata(const clmoe__checkpoint *checkpoint) { return checkpoint->metadata; }
