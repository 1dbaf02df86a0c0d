/* JSON texts and files as Jansson trees, within limits. Calls Jansson and src/os. */
#include "json.h"

#include <stdlib.h>
#include <string.h>

#include "os/os.h"

#define DEPTH_MAX      64u
#define FILE_BYTES_MAX ((uint64_t)64 << 20)
/* What Python writes for numbers that JSON does not have. */
static const struct {
    const char *word;
    size_t length;
} not_finite[] = {{"NaN", 3}, {"Infinity", 8}, {"-Infinity", 9}};

static int is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '+' || c == '.';
}

/* The length of such a word at text[at], 0 if there is none. */
static size_t not_finite_at(const char *text, size_t bytes, size_t at) {
    if (at > 0 && is_word(text[at - 1])) return 0;
    for (size_t i = 0; i < sizeof not_finite / sizeof *not_finite; ++i) {
        const size_t length = not_finite[i].length;
        if (bytes - at < length || memcmp(text + at, not_finite[i].word, length) != 0) continue;
        if (bytes - at == length || !is_word(text[at + length])) return length;
    }
    return 0;
}

/* One walk over a text, outside of strings. */
typedef struct scan {
    size_t words;    /* not finite */
    size_t too_deep; /* where nesting passes the limit; SIZE_MAX = nowhere */
    size_t length;   /* of the text with those words as null */
} scan;

/* Fills `to` (may be NULL) with the text, those words replaced by null. Strings are told by their quotes alone; where
 * that is wrong, Jansson stops before it comes any deeper. */
static scan scan_text(const char *text, size_t bytes, char *to) {
    scan result = {0, SIZE_MAX, 0};
    uint32_t depth = 0;
    int in_string = 0;
    for (size_t at = 0; at < bytes; ++at) {
        const char c = text[at];
        const size_t word = in_string || (c != 'N' && c != 'I' && c != '-') ? 0 : not_finite_at(text, bytes, at);
        if (word != 0) {
            if (to != NULL) memcpy(to + result.length, "null", 4);
            result.length += 4;
            result.words += 1;
            at += word - 1;
            continue;
        }
        const int escaped = in_string && c == '\\' && at + 1 < bytes;
        for (int i = 0; i <= escaped; ++i, ++result.length) {
            if (to != NULL) to[result.length] = text[at + (size_t)i];
        }
        if (escaped)
            ++at;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '{' || c == '[') && ++depth > DEPTH_MAX && result.too_deep == SIZE_MAX)
            result.too_deep = at;
        else if (!in_string && (c == '}' || c == ']') && depth > 0)
            --depth;
    }
    return result;
}

static clmoe_status too_deep(const char *text, size_t at, const char *file, clmoe_error *error) {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at; ++i) {
        ++column;
        if (text[i] == '\n') ++line, column = 1;
    }
    return clmoe__fail(error, CLMOE_INVALID_FILE, clmoe__path_name(file),
                       "%s: line %zu, column %zu: nested deeper than %u, the limit", clmoe__path_end(file), line,
                       column, DEPTH_MAX);
}

static clmoe_status load(const char *text, size_t bytes, const char *file, json_t **root, clmoe_error *error) {
    json_error_t found;
    json_t *const tree = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &found);
    if (tree == NULL && json_error_code(&found) == json_error_out_of_memory) {
        return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "%s: its JSON does not fit into memory",
                           clmoe__path_end(file));
    }
    if (tree == NULL) {
        return clmoe__fail(error, CLMOE_INVALID_FILE, clmoe__path_name(file), "%s: line %d, column %d: %s",
                           clmoe__path_end(file), found.line, found.column, found.text);
    }
    if (!json_is_object(tree)) {
        const clmoe_status status = clmoe__json_wrong(tree, "the whole of it", file, "an object", error);
        json_decref(tree);
        return status;
    }
    *root = tree;
    return CLMOE_OK;
}

clmoe_status clmoe__json_parse(const char *text, size_t bytes, const char *file, json_t **root, clmoe_error *error) {
    *root = NULL;
    const scan first = scan_text(text, bytes, NULL);
    if (first.too_deep != SIZE_MAX) return too_deep(text, first.too_deep, file, error);
    if (first.words == 0) return load(text, bytes, file, root, error);
    char *const copy = malloc(first.length);
    if (copy == NULL)
        return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "malloc of %zu bytes failed", first.length);
    (void)scan_text(text, bytes, copy);
    const clmoe_status status = load(copy, first.length, file, root, error);
    free(copy);
    return status;
}

clmoe_status clmoe__json_read(const char *path, json_t **root, clmoe_error *error) {
    clmoe__file_map map;
    *root = NULL;
    const char *const wrong = clmoe__os_map_file(path, &map);
    if (wrong != NULL) {
        return clmoe__fail(error, CLMOE_INVALID_FILE, clmoe__path_name(path), "%s %s", clmoe__path_end(path), wrong);
    }
    clmoe_status status;
    if (map.bytes > FILE_BYTES_MAX) {
        status = clmoe__fail(error, CLMOE_INVALID_FILE, clmoe__path_name(path),
                             "%s has %llu bytes, JSON of at most %llu is read", clmoe__path_end(path),
                             (unsigned long long)map.bytes, (unsigned long long)FILE_BYTES_MAX);
    } else {
        status = clmoe__json_parse((const char *)map.data, (size_t)map.bytes, path, root, error);
    }
    clmoe__os_unmap_file(&map);
    return status;
}
