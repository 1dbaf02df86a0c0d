/* A context's rows of tuning: where they come from, which one counts, and what clmoe_context_describe says of them. */
#include "tuning.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "select/tuned_rows.h"

#define PATH_ROOM 4096

/* -------------------------------------------------------------------------------------------------- looking up */

/* A pattern's last * stands for any end. */
static int matches(const char *pattern, const char *name) {
    const size_t length = strlen(pattern);
    if (pattern[length - 1] == '*') return strncmp(pattern, name, length - 1) == 0;
    return strcmp(pattern, name) == 0;
}

const char *clmoe__tuning_is_foreign(const clmoe__tuning_row *row, const clmoe__device *device, char *reason,
                                     size_t capacity) {
    char name[sizeof row->device], driver[sizeof row->driver];
    clmoe__tuning_name(device->name, name, sizeof name);
    clmoe__tuning_name(device->driver_version, driver, sizeof driver);
    if (!matches(row->device, name))
        snprintf(reason, capacity, "is for \"%s\", not for \"%s\"", row->device, name);
    else if (!matches(row->driver, driver))
        snprintf(reason, capacity, "is for driver \"%s\", not for \"%s\"", row->driver, driver);
    else
        return NULL;
    return reason;
}

/* How well a row serves; 0: not at all. */
static uint32_t rank(const clmoe__tuning_row *row, const clmoe__gemm_choice *choice, const clmoe__matrix *matrix) {
    const uint64_t columns = (uint64_t)matrix->out_features * (matrix->gated ? 2 : 1);
    if (row->variant != choice->variant || row->format != matrix->format || row->arithmetic != matrix->arithmetic)
        return 0;
    if (row->k == 0) return 2 * (uint32_t)row->origin;
    const int same = row->k == clmoe__size_class(matrix->in_features) && row->columns == clmoe__size_class(columns);
    return same ? 2 * (uint32_t)row->origin + 1 : 0;
}

int clmoe__tuning_find(clmoe_context *context, const clmoe__gemm_choice *choice, const clmoe__matrix *matrix,
                       clmoe__tuning_row *row) {
    const clmoe__tuning *tuning = context->tuning;
    uint32_t best = 0;
    clmoe__mutex_lock(context->mutex);
    for (size_t i = 0; i < tuning->count; i++) {
        const uint32_t is = rank(&tuning->rows[i], choice, matrix);
        if (is == 0 || is < best) continue;
        best = is;
        *row = tuning->rows[i];
    }
    clmoe__mutex_unlock(context->mutex);
    return best != 0;
}

void clmoe__tuning_apply(const clmoe__tuning_row *row, clmoe__gemm_choice *choice) {
    const clmoe__tuning_field *field;
    for (uint32_t i = 0; (field = clmoe__tuning_field_at(choice->variant->macro, i)) != NULL; i++)
        clmoe__tuning_set(choice, field, row->values[i]);
}

/* --------------------------------------------------------------------------------------------------- the list */

static int has_room(clmoe__tuning *tuning) {
    if (tuning->count < tuning->capacity) return 1;
    const size_t capacity = tuning->capacity == 0 ? 16 : 2 * tuning->capacity;
    clmoe__tuning_row *grown = realloc(tuning->rows, capacity * sizeof *grown);
    if (grown == NULL) return 0;
    tuning->rows = grown;
    tuning->capacity = capacity;
    return 1;
}

clmoe_status clmoe__tuning_add(clmoe_context *context, const clmoe__tuning_row *row, clmoe_error *error) {
    clmoe__tuning *tuning = context->tuning;
    size_t i = 0;
    clmoe__mutex_lock(context->mutex);
    while (i < tuning->count &&
           (tuning->rows[i].origin != row->origin || !clmoe__tuning_same_key(&tuning->rows[i], row)))
        i++;
    const int fits = i < tuning->count || has_room(tuning);
    if (fits) tuning->rows[i] = *row;
    if (fits && i == tuning->count) tuning->count++;
    clmoe__mutex_unlock(context->mutex);
    if (!fits) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a row of tuning");
    return CLMOE_OK;
}

void clmoe__tuning_forget(clmoe_context *context, clmoe__tuning_origin origin) {
    clmoe__tuning *tuning = context->tuning;
    size_t left = 0;
    clmoe__mutex_lock(context->mutex);
    for (size_t i = 0; i < tuning->count; i++)
        if (tuning->rows[i].origin != origin) tuning->rows[left++] = tuning->rows[i];
    tuning->count = left;
    clmoe__mutex_unlock(context->mutex);
}

/* -------------------------------------------------------------------------------------- as a part of a context */

/* The description's file, else the environment's, else this user's. */
static clmoe_status take_path(clmoe__tuning *tuning, const clmoe_context_desc *desc, clmoe_error *error) {
    char own[PATH_ROOM];
    const char *path = desc->tuning;
    if (path == NULL || path[0] == '\0') path = clmoe__os_env("CLMOE_TUNING");
    tuning->is_off = path != NULL && strcmp(path, "off") == 0;
    if (tuning->is_off) return CLMOE_OK;
    if (path == NULL && clmoe__os_config_folder(own, sizeof own - sizeof "/tuning")) {
        strcat(own, "/tuning");
        path = own;
    }
    if (path == NULL) return CLMOE_OK;
    tuning->path = malloc(strlen(path) + 1);
    if (tuning->path == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a context");
    memcpy(tuning->path, path, strlen(path) + 1);
    return CLMOE_OK;
}

static clmoe_status take_shipped(clmoe_context *context, clmoe_error *error) {
    const char *line;
    char reason[256];
    clmoe__tuning_row row;
    for (uint32_t i = 0; (line = clmoe__tuned_row_at(i)) != NULL; i++) {
        const char *wrong = clmoe__tuning_parse(line, strlen(line), &row, reason, sizeof reason);
        row.origin = CLMOE__TUNING_SHIPPED;
        if (wrong != NULL)
            clmoe__log(context, "tuning: row %u of the library: %s", i, wrong);
        else if (clmoe__tuning_is_foreign(&row, &context->device, reason, sizeof reason) == NULL)
            TRY(clmoe__tuning_add(context, &row, error));
    }
    return CLMOE_OK;
}

static clmoe_status open_part(clmoe_context *context, const clmoe_context_desc *desc, clmoe_error *error) {
    clmoe__tuning *tuning = context->tuning = calloc(1, sizeof *tuning);
    if (tuning == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a context");
    TRY(take_path(tuning, desc, error));
    TRY(take_shipped(context, error));
    return tuning->path != NULL ? clmoe__tuning_read(context, error) : CLMOE_OK;
}

static void close_part(clmoe_context *context) {
    clmoe__tuning *tuning = context->tuning;
    if (tuning == NULL) return;
    free(tuning->path);
    free(tuning->rows);
    free(tuning);
    context->tuning = NULL;
}

/* The caller's text, and how long it would be if it all fitted. */
typedef struct description {
    char *text;
    size_t capacity, length;
} description;

static void say(description *d, const char *format, ...) CLMOE__PRINTF(2, 3);

static void say(description *d, const char *format, ...) {
    const size_t room = d->length < d->capacity ? d->capacity - d->length : 0;
    va_list arguments;
    va_start(arguments, format);
    const int added = vsnprintf(room > 0 ? d->text + d->length : NULL, room, format, arguments);
    va_end(arguments);
    d->length += added > 0 ? (size_t)added : 0;
}

static size_t describe_part(const clmoe_context *context, char *text, size_t capacity) {
    static const char *const origins[] = {"", "shipped", "of the file", "set"};
    const clmoe__tuning *tuning = context->tuning;
    description d = {text, capacity, 0};
    char row[CLMOE__TUNING_LINE];
    if (tuning->path != NULL)
        say(&d, "tuning: %s, %u lines for other devices or drivers, %u ignored\n%s", tuning->path, tuning->foreign,
            tuning->ignored, tuning->notes);
    else
        say(&d, "tuning: %s\n", tuning->is_off ? "no file, switched off" : "this user has no folder for settings");
    clmoe__mutex_lock(context->mutex);
    for (size_t i = 0; i < tuning->count; i++) {
        (void)clmoe__tuning_print(&tuning->rows[i], 0, row, sizeof row);
        say(&d, "tuning, row %s: %s\n", origins[tuning->rows[i].origin], row);
    }
    clmoe__mutex_unlock(context->mutex);
    return d.length;
}

const clmoe__context_part clmoe__tuning_part = {open_part, close_part, describe_part};
