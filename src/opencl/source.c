/* Finds kernel sources and expands `#include "name"` lines, because OpenCL 1.2 compilers have no common way to be given
 * a folder or several files. Names are relative to cl/. Calls no OpenCL function.
 *
 * Every include is replaced by the file's text; `#line` keeps file and line right in build logs:
 *
 *     #line 1 "select.cl"                 #line 1 "select.cl"
 *     #include "common.clh"        ->     #line 1 "common.clh"
 *     ...                                 ...
 *                                         #line 2 "select.cl"
 */
#include "source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

#define NAME_MAX_BYTES 128
#define DEPTH_MAX 16

/* Text that grows; `failed` once memory ran out, and then everything is ignored. */
typedef struct growing_text {
    char *bytes;
    size_t length, capacity;
    int failed;
} growing_text;

static void append(growing_text *text, const char *bytes, size_t length) {
    if (text->failed) return;
    if (text->capacity - text->length <= length) { /* one byte stays free for the 0 */
        const size_t capacity = (text->length + length + 1) * 2;
        char *grown = realloc(text->bytes, capacity);
        if (grown == NULL) {
            text->failed = 1;
            return;
        }
        text->bytes = grown;
        text->capacity = capacity;
    }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

static void append_line_number(growing_text *text, unsigned line, const char *name) {
    char directive[NAME_MAX_BYTES + 32];
    const int length = snprintf(directive, sizeof directive, "#line %u \"%s\"\n", line, name);
    append(text, directive, (size_t)length);
}

/* A file that is being expanded, and the one that includes it. */
typedef struct open_file {
    const char *name;
    const struct open_file *includer;
    int depth;
} open_file;

/* What the previous lines of a file mean for the next. */
typedef struct scanner {
    int in_comment;  /* inside a block comment */
    int continued;   /* the line before ended in a backslash */
    int has_include; /* some include was expanded */
} scanner;

static const char *skip_blanks(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\t')) at++;
    return at;
}

/* Whether a block comment is open at the end of a line, given whether one was at its start. */
static int comment_after(const char *at, const char *end, int in_comment) {
    int in_text = 0;
    for (; at < end; at++) {
        const char next = at + 1 < end ? at[1] : '\0';
        if (in_comment) {
            if (at[0] == '*' && next == '/') in_comment = 0, at++;
        } else if (in_text) {
            if (at[0] == '\\') at++;
            else if (at[0] == '"') in_text = 0;
        } else if (at[0] == '/' && next == '*') {
            in_comment = 1, at++;
        } else if (at[0] == '/' && next == '/') {
            return 0;
        } else if (at[0] == '"') {
            in_text = 1;
        }
    }
    return in_comment;
}

/* The word behind '#', or NULL if the line is no directive. *end_of_word follows it. */
static const char *directive(const char *at, const char *end, const char **end_of_word) {
    at = skip_blanks(at, end);
    if (at == end || *at != '#') return NULL;
    at = skip_blanks(at + 1, end);
    const char *word = at;
    while (at < end && *at >= 'a' && *at <= 'z') at++;
    *end_of_word = at;
    return word;
}

static int is_word(const char *word, const char *end, const char *wanted) {
    return (size_t)(end - word) == strlen(wanted) && memcmp(word, wanted, strlen(wanted)) == 0;
}

/* Copies the name of `#include "name"`; 0 if the line is something else. */
static int parse_include(const char *line, const char *end, char name[NAME_MAX_BYTES]) {
    const char *after = NULL;
    const char *word = directive(line, end, &after);
    if (word == NULL || !is_word(word, after, "include")) return 0;
    const char *start = skip_blanks(after, end);
    if (start == end || *start != '"') return 0;
    start++;
    const char *stop = start;
    while (stop < end && *stop != '"') stop++;
    if (stop == end || stop == start || stop - start >= NAME_MAX_BYTES) return 0;
    memcpy(name, start, (size_t)(stop - start));
    name[stop - start] = '\0';
    return 1;
}

/* After these, the compiler may come from lines it skipped, `#line` among them. */
static int ends_skipping(const char *line, const char *end) {
    const char *after = NULL;
    const char *word = directive(line, end, &after);
    return word != NULL &&
           (is_word(word, after, "else") || is_word(word, after, "elif") || is_word(word, after, "endif"));
}

/* The bytes of one file. *owned is to be freed, NULL for embedded ones. */
static clmoe_status find(const clmoe_context *context, const open_file *file, const char **bytes, size_t *size,
                         char **owned, clmoe_error *error) {
    const char *wanted_by = file->includer != NULL ? file->includer->name : "the library";
    *owned = NULL;
    if (context->kernel_dir != NULL) {
        const size_t length = strlen(context->kernel_dir) + strlen(file->name) + 2;
        char *path = malloc(length);
        if (path == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a kernel source");
        (void)snprintf(path, length, "%s/%s", context->kernel_dir, file->name);
        *owned = clmoe__os_file_read(path, size);
        *bytes = *owned;
        const clmoe_status status = *owned != NULL
                                        ? CLMOE_OK
                                        : clmoe__fail(error, CLMOE_KERNEL_SOURCE, "kernel_dir",
                                                      "cannot read \"%.300s\", wanted by %s", path, wanted_by);
        free(path);
        return status;
    }
    for (size_t i = 0; i < clmoe__embedded_count; i++) {
        if (strcmp(clmoe__embedded_kernels[i].name, file->name) != 0) continue;
        *bytes = (const char *)clmoe__embedded_kernels[i].bytes;
        *size = clmoe__embedded_kernels[i].size;
        return CLMOE_OK;
    }
    return clmoe__fail(error, CLMOE_KERNEL_SOURCE, NULL, "the library holds no kernel file \"%s\", wanted by %s",
                       file->name, wanted_by);
}

static clmoe_status check_chain(const open_file *file, clmoe_error *error) {
    for (const open_file *up = file->includer; up != NULL; up = up->includer) {
        if (strcmp(up->name, file->name) == 0) {
            return clmoe__fail(error, CLMOE_KERNEL_SOURCE, NULL, "\"%s\" includes itself, through \"%s\"", file->name,
                               file->includer->name);
        }
    }
    if (file->depth > DEPTH_MAX) {
        return clmoe__fail(error, CLMOE_KERNEL_SOURCE, NULL, "\"%s\" is included %d levels deep, expected %d at most",
                           file->name, file->depth, DEPTH_MAX);
    }
    return CLMOE_OK;
}

static clmoe_status expand(const clmoe_context *context, growing_text *text, const open_file *file, clmoe_error *error);

/* Appends one line (its newline included), or what it includes. `number` counts from 1. */
static clmoe_status expand_line(const clmoe_context *context, growing_text *text, const open_file *file, scanner *scan,
                                const char *line, const char *end, unsigned number, clmoe_error *error) {
    char name[NAME_MAX_BYTES];
    const int plain = scan->in_comment || scan->continued;
    scan->in_comment = comment_after(line, end, scan->in_comment);
    scan->continued = end - line >= 2 && end[-1] == '\n' && (end[-2] == '\\' || (end[-2] == '\r' && end - line >= 3 &&
                                                                                 end[-3] == '\\'));
    if (!plain && parse_include(line, end, name)) {
        const open_file included = {name, file, file->depth + 1};
        TRY(expand(context, text, &included, error));
        append_line_number(text, number + 1, file->name);
        scan->has_include = 1;
        return CLMOE_OK;
    }
    append(text, line, (size_t)(end - line));
    if (end[-1] != '\n') append(text, "\n", 1);
    if (!plain && scan->has_include && !scan->in_comment && ends_skipping(line, end)) {
        append_line_number(text, number + 1, file->name);
    }
    return CLMOE_OK;
}

static clmoe_status expand(const clmoe_context *context, growing_text *text, const open_file *file,
                           clmoe_error *error) {
    const char *bytes = NULL;
    char *owned = NULL;
    size_t size = 0;
    TRY(check_chain(file, error));
    TRY(find(context, file, &bytes, &size, &owned, error));
    append_line_number(text, 1, file->name);
    scanner scan = {0, 0, 0};
    clmoe_status status = CLMOE_OK;
    unsigned number = 1;
    for (const char *line = bytes; line < bytes + size && status == CLMOE_OK; number++) {
        const char *newline = memchr(line, '\n', (size_t)(bytes + size - line));
        const char *end = newline != NULL ? newline + 1 : bytes + size;
        status = expand_line(context, text, file, &scan, line, end, number, error);
        line = end;
    }
    free(owned);
    return status;
}

clmoe_status clmoe__source_read(const clmoe_context *context, const char *file, char **text, size_t *length,
                                clmoe_error *error) {
    growing_text expanded = {NULL, 0, 0, 0};
    const open_file top = {file, NULL, 0};
    clmoe_status status = CLMOE_OK;
    if (strlen(file) >= NAME_MAX_BYTES) {
        status = clmoe__fail(error, CLMOE_KERNEL_SOURCE, NULL, "the name of \"%.200s\" is too long", file);
    } else {
        status = expand(context, &expanded, &top, error);
    }
    if (status == CLMOE_OK && expanded.failed) {
        status = clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for the source of %s", file);
    }
    if (status != CLMOE_OK) {
        free(expanded.bytes);
        return status;
    }
    *text = expanded.bytes;
    *length = expanded.length;
    return CLMOE_OK;
}
