/* The user's file of tuned rows: read when a context is created, written by clmoe__tuning_save. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tuning.h"

#define MAX_BYTES (UINT64_C(1) << 20) /* no file of ours is larger */

/* ------------------------------------------------------------------------------------------------ lines of it */

/* A line with or without its end. */
typedef struct text_line {
    const char *text;
    size_t length; /* without the end */
    size_t whole;  /* with it */
    int has_end;
} text_line;

static int next_line(const char *text, size_t bytes, size_t *at, text_line *line) {
    if (*at >= bytes) return 0;
    line->text = text + *at;
    const char *end = memchr(line->text, '\n', bytes - *at);
    line->has_end = end != NULL;
    line->length = end != NULL ? (size_t)(end - line->text) : bytes - *at;
    line->whole = line->length + (size_t)line->has_end;
    if (line->has_end && line->length > 0 && line->text[line->length - 1] == '\r') line->length--;
    *at += line->whole;
    return 1;
}

static int is_header(const text_line *line) {
    return line->has_end && line->length == strlen(CLMOE__TUNING_HEADER) &&
           memcmp(line->text, CLMOE__TUNING_HEADER, line->length) == 0;
}

/* Comments and lines of nothing but spaces. */
static int is_empty(const text_line *line) {
    for (size_t i = 0; i < line->length; i++)
        if (line->text[i] != ' ' && line->text[i] != '\t') return line->text[i] == '#';
    return 1;
}

/* ---------------------------------------------------------------------------------------------------- reading */

static void note(clmoe_context *context, const char *format, ...) CLMOE__PRINTF(2, 3);

/* To the log, and to the notes as far as they have room. */
static void note(clmoe_context *context, const char *format, ...) {
    char line[384];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    for (char *at = line; *at != '\0'; at++)
        if ((unsigned char)*at < 32) *at = '?';
    char *notes = context->tuning->notes;
    const size_t used = strlen(notes), room = sizeof context->tuning->notes - used;
    if (strlen(line) + sizeof "tuning: \n" <= room) (void)snprintf(notes + used, room, "tuning: %s\n", line);
    clmoe__log(context, "tuning: %s: %s", clmoe__path_end(context->tuning->path), line);
}

static clmoe_status read_line(clmoe_context *context, const text_line *line, uint32_t number, clmoe_error *error) {
    clmoe__tuning_row row;
    char reason[320];
    const char *wrong = clmoe__tuning_parse(line->text, line->length, &row, reason, sizeof reason);
    if (!line->has_end) wrong = "has no end, it may be cut short";
    if (wrong == NULL && clmoe__tuning_is_foreign(&row, &context->device, reason, sizeof reason) != NULL) {
        context->tuning->foreign++;
        return CLMOE_OK;
    }
    if (wrong != NULL) {
        context->tuning->ignored++;
        note(context, "line %u is ignored: %s", number, wrong);
        return CLMOE_OK;
    }
    row.origin = CLMOE__TUNING_FILE;
    row.line = number;
    return clmoe__tuning_add(context, &row, error);
}

static clmoe_status read_text(clmoe_context *context, const char *text, size_t bytes, clmoe_error *error) {
    size_t at = 0;
    text_line line;
    for (uint32_t number = 1; next_line(text, bytes, &at, &line); number++) {
        if (number == 1 && !is_header(&line)) {
            note(context, "the file is ignored: its first line is not \"%s\"", CLMOE__TUNING_HEADER);
            return CLMOE_OK;
        }
        if (number != 1 && !is_empty(&line)) TRY(read_line(context, &line, number, error));
    }
    return CLMOE_OK;
}

/* NULL with *text NULL: there is no file. */
static const char *load(const char *path, char **text, size_t *bytes) {
    uint64_t size = 0, modified;
    *text = NULL;
    *bytes = 0;
    if (!clmoe__os_exists(path)) return NULL;
    if (!clmoe__os_file_info(path, &size, &modified)) return "is no file";
    if (size > MAX_BYTES) return "is larger than 1 MiB";
    *text = clmoe__os_file_read(path, bytes);
    return *text != NULL ? NULL : "cannot be read";
}

clmoe_status clmoe__tuning_read(clmoe_context *context, clmoe_error *error) {
    char *text;
    size_t bytes;
    const char *wrong = load(context->tuning->path, &text, &bytes);
    if (wrong != NULL) note(context, "the file is ignored: it %s", wrong);
    const clmoe_status status = text != NULL ? read_text(context, text, bytes, error) : CLMOE_OK;
    free(text);
    return status;
}

/* ---------------------------------------------------------------------------------------------------- writing */

static int is_row_of(const text_line *line, const clmoe__tuning_row *key) {
    clmoe__tuning_row row;
    char reason[320];
    return clmoe__tuning_parse(line->text, line->length, &row, reason, sizeof reason) == NULL &&
           clmoe__tuning_same_key(&row, key);
}

/* The old lines but those of the row's key. What was cut short becomes a comment: with an end it might say something.
 * */
static const char *copy_others(clmoe__file_writer *writer, const char *text, size_t bytes,
                               const clmoe__tuning_row *row) {
    size_t at = 0;
    text_line line;
    const char *wrong = NULL;
    while (wrong == NULL && next_line(text, bytes, &at, &line)) {
        if (line.has_end && is_row_of(&line, row)) continue;
        if (!line.has_end) wrong = clmoe__os_writer_write(writer, "# cut short: ", strlen("# cut short: "));
        if (wrong == NULL) wrong = clmoe__os_writer_write(writer, line.text, line.whole);
        if (wrong == NULL && !line.has_end) wrong = clmoe__os_writer_write(writer, "\n", 1);
    }
    return wrong;
}

static const char *replace(const char *path, const char *text, size_t bytes, const clmoe__tuning_row *row) {
    char line[CLMOE__TUNING_LINE + 2];
    clmoe__file_writer *writer;
    const int length = clmoe__tuning_print(row, 0, line, sizeof line - 1);
    if (length < 0 || length > CLMOE__TUNING_LINE) return "would get a line that is too long";
    memcpy(line + length, "\n", 2);
    const char *wrong = clmoe__os_writer_open(path, &writer);
    if (wrong != NULL) return wrong;
    if (bytes == 0)
        wrong = clmoe__os_writer_write(writer, CLMOE__TUNING_HEADER "\n", strlen(CLMOE__TUNING_HEADER "\n"));
    if (wrong == NULL) wrong = copy_others(writer, text, bytes, row);
    if (wrong == NULL) wrong = clmoe__os_writer_write(writer, line, (size_t)length + 1);
    if (wrong == NULL) return clmoe__os_writer_commit(writer);
    clmoe__os_writer_give_up(writer);
    return wrong;
}

/* With the lock held, so that what another process adds is not lost. */
static const char *update(const char *path, const clmoe__tuning_row *row) {
    char *text;
    size_t bytes, at = 0;
    text_line first;
    const char *wrong = load(path, &text, &bytes);
    if (wrong == NULL && bytes > 0 && !(next_line(text, bytes, &at, &first) && is_header(&first)))
        wrong = "is left as it is: its first line is not \"" CLMOE__TUNING_HEADER "\"";
    if (wrong == NULL) wrong = replace(path, text, bytes, row);
    free(text);
    return wrong;
}

static void make_folder_of(char *path) {
    char *slash = strrchr(path, '/'), *backslash = strrchr(path, '\\');
    char *last = slash == NULL || (backslash != NULL && backslash > slash) ? backslash : slash;
    if (last == NULL || last == path) return;
    const char kept = *last;
    *last = '\0';
    (void)clmoe__os_make_folders(path); /* opening the file says what is wrong */
    *last = kept;
}

clmoe_status clmoe__tuning_save(const char *path, const clmoe__tuning_row *row, clmoe_error *error) {
    const size_t bytes = strlen(path) + sizeof ".lock";
    char *name = malloc(bytes);
    clmoe__file_lock *lock;
    if (name == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory to save a row of tuning");
    memcpy(name, path, strlen(path) + 1);
    make_folder_of(name);
    (void)snprintf(name, bytes, "%s.lock", path);
    const char *wrong = clmoe__os_lock_file(name, &lock);
    if (wrong == NULL) {
        wrong = update(path, row);
        clmoe__os_unlock_file(lock);
    }
    free(name);
    if (wrong == NULL) return CLMOE_OK;
    return clmoe__fail(error, CLMOE_INVALID_FILE, "path", "%s %s", clmoe__path_end(path), wrong);
}
