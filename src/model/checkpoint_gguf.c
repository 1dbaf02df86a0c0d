/* The tensors of a GGUF model, in one file or in parts named PREFIX-00001-of-00005.gguf: metadata stands in the first,
 * and each part has the offsets of its own tensors. Calls gguf.c and src/os. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "gguf.h"

#define END       ".gguf"
#define PART_ROOM 32u /* "-00001-of-00005.gguf" */

/* The number of the part that a name ends with, from 1, and the number of parts. 0: it ends otherwise. */
static uint32_t part_of(const char *name, uint32_t *parts) {
    static const char shape[] = "-99999-of-99999" END;
    const size_t length = strlen(name), tail = sizeof shape - 1;
    uint32_t numbers[2] = {0, 0}, which = 0;
    *parts = 0;
    if (length <= tail) return 0;
    for (size_t i = 0; i < tail; i++) {
        const char c = name[length - tail + i];
        if (shape[i] == '9' ? c < '0' || c > '9' : c != shape[i]) return 0;
        if (shape[i] == 'o') which = 1;
        if (shape[i] == '9') numbers[which] = numbers[which] * 10 + (uint32_t)(c - '0');
    }
    *parts = numbers[1];
    return numbers[0];
}

/* ------------------------------------------------------------------------------------------------ in a folder */

/* What a walk over the names found. */
typedef struct search {
    char *names[2]; /* of the first two models; owned */
    uint32_t count;
    int no_memory;
} search;

/* Later parts belong to the first. What turns pictures into tokens is no model of its own. */
static int is_model(const char *name) {
    uint32_t parts;
    return clmoe__ends_with(name, END) && part_of(name, &parts) <= 1 && strstr(name, "mmproj") == NULL;
}

static void look(void *user, const char *name) {
    search *s = user;
    if (!is_model(name)) return;
    if (s->count < 2) {
        s->names[s->count] = clmoe__path_join("", 0, name);
        s->no_memory |= s->names[s->count] == NULL;
    }
    s->count++;
}

clmoe_status clmoe__gguf_in_folder(const char *folder, char **path, clmoe_error *error) {
    search s = {{NULL, NULL}, 0, 0};
    *path = NULL;
    const char *const wrong = clmoe__os_list_folder(folder, look, &s);
    clmoe_status status = CLMOE_OK;
    if (wrong != NULL) {
        status =
            clmoe__fail(error, CLMOE_INVALID_FILE, clmoe__path_name(folder), "%s %s", clmoe__path_end(folder), wrong);
    } else if (s.no_memory) {
        status = clmoe__checkpoint_no_memory(error);
    } else if (s.count > 1) {
        const int swapped = strcmp(s.names[0], s.names[1]) > 0; /* folders have no order */
        status = clmoe__fail(error, CLMOE_INVALID_FILE, s.names[swapped],
                             "%s holds %u GGUF models, %.100s and %.100s among them: name the file",
                             clmoe__path_end(folder), s.count, s.names[swapped], s.names[!swapped]);
    } else if (s.count == 1) {
        *path = clmoe__path_join(folder, strlen(folder), s.names[0]);
        if (*path == NULL) status = clmoe__checkpoint_no_memory(error);
    }
    free(s.names[0]);
    free(s.names[1]);
    return status;
}

/* ---------------------------------------------------------------------------------------------------- the parts */

/* Maps a part and moves what it holds into the list. `of` is the first part, NULL for itself. */
static clmoe_status open_part(clmoe__checkpoint *checkpoint, char *path, const char *of, clmoe__gguf *gguf,
                              clmoe_error *error) {
    clmoe__shard *const shard = &checkpoint->shards[checkpoint->num_shards];
    if (path == NULL) return clmoe__checkpoint_no_memory(error);
    shard->path = path;
    checkpoint->num_shards++;
    const char *const wrong = clmoe__os_map_file(path, &shard->map);
    if (wrong != NULL)
        return clmoe__fail(error, CLMOE_INVALID_FILE, clmoe__path_name(path), "%s%s%s %s", clmoe__path_end(path),
                           of != NULL ? ", a part of " : "", of != NULL ? clmoe__path_name(of) : "", wrong);
    TRY(clmoe__gguf_parse(shard->map.data, shard->map.bytes, path, gguf, error));
    shard->contents = (clmoe__safetensors){gguf->tensors, gguf->count, gguf->names};
    if (checkpoint->metadata == NULL)
        checkpoint->metadata = gguf->metadata;
    else
        json_decref(gguf->metadata);
    return CLMOE_OK;
}

static clmoe_status refuse_split(const clmoe__shard *shard, const char *key, uint32_t found, const char *expected,
                                 uint32_t number, clmoe_error *error) {
    return clmoe__fail(error, CLMOE_INVALID_FILE, key, "%s: %s is %u, %s %u", clmoe__path_end(shard->path), key, found,
                       expected, number);
}

/* Names and keys of the first part agree, and it is the first. */
static clmoe_status check_first(const clmoe__shard *first, const clmoe__gguf *gguf, clmoe_error *error) {
    uint32_t parts;
    const uint32_t part = part_of(clmoe__path_name(first->path), &parts);
    if (gguf->split_no != 0)
        return clmoe__fail(error, CLMOE_INVALID_FILE, "split.no",
                           "%s: split.no is %u of %u, expected 0: name the first part of the model",
                           clmoe__path_end(first->path), gguf->split_no, gguf->split_count);
    if (gguf->split_count == 1) return CLMOE_OK;
    if (part != 1 || parts != gguf->split_count)
        return clmoe__fail(error, CLMOE_INVALID_FILE, "split.count",
                           "%s: split.count is %u, expected a name that ends with -00001-of-%05u" END,
                           clmoe__path_end(first->path), gguf->split_count, gguf->split_count);
    return CLMOE_OK;
}

/* "PREFIX-00003-of-00005.gguf" beside the first part, malloc'd. */
static char *part_path(const char *first, uint32_t part, uint32_t parts) {
    char end[PART_ROOM];
    const int length = snprintf(end, sizeof end, "-%05u-of-%05u" END, part + 1, parts);
    char *const path = clmoe__path_join("", 0, first);
    if (path != NULL) memcpy(path + strlen(path) - (size_t)length, end, (size_t)length);
    return path;
}

static clmoe_status open_parts(clmoe__checkpoint *checkpoint, const clmoe__gguf *first, clmoe_error *error) {
    uint64_t tensors = first->count;
    clmoe__shard *const moved = realloc(checkpoint->shards, first->split_count * sizeof *moved);
    if (moved == NULL) return clmoe__checkpoint_no_memory(error);
    checkpoint->shards = moved;
    memset(moved + 1, 0, (first->split_count - 1) * sizeof *moved);
    for (uint32_t i = 1; i < first->split_count; i++) {
        clmoe__gguf gguf;
        TRY(open_part(checkpoint, part_path(checkpoint->path, i, first->split_count), checkpoint->path, &gguf, error));
        if (gguf.split_count != first->split_count)
            return refuse_split(&moved[i], "split.count", gguf.split_count, "but the first part says",
                                first->split_count, error);
        if (gguf.split_no != i) return refuse_split(&moved[i], "split.no", gguf.split_no, "expected", i, error);
        tensors += gguf.count;
    }
    if (first->has_split_tensors && first->split_tensors != tensors)
        return clmoe__fail(error, CLMOE_INVALID_FILE, "split.tensors.count",
                           "%s: split.tensors.count is %llu, but its %u parts hold %llu tensors",
                           clmoe__path_end(checkpoint->path), (unsigned long long)first->split_tensors,
                           first->split_count, (unsigned long long)tensors);
    return CLMOE_OK;
}

clmoe_status clmoe__checkpoint_open_gguf(clmoe__checkpoint *checkpoint, clmoe_error *error) {
    clmoe__gguf first;
    checkpoint->shards = calloc(1, sizeof *checkpoint->shards);
    if (checkpoint->shards == NULL) return clmoe__checkpoint_no_memory(error);
    TRY(open_part(checkpoint, clmoe__path_join("", 0, checkpoint->path), NULL, &first, error));
    TRY(check_first(checkpoint->shards, &first, error));
    if (first.split_count > 1) TRY(open_parts(checkpoint, &first, error));
    return clmoe__checkpoint_merge(checkpoint, error);
}
