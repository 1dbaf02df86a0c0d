/* results.json and results.csv; see report_files.h. Calls Jansson. */
#define _POSIX_C_SOURCE 200809L
#include "report_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/json_layout.h"
#include "device/json_report.h"
#include "common/tool.h"
#include "common/whole_file.h"

#define MAX_COLUMNS 512
#define NAME_ROOM   96

/* ------------------------------------------------------------------------------------------------------ walking */

static int walk(json_t *item, char *name, size_t length,
                int (*leaf)(void *user, const char *name, json_t *value), void *user) {
    const char *key;
    json_t *child;
    json_object_foreach(item, key, child) {
        const int added = snprintf(name + length, NAME_ROOM - length, "%s%s", length == 0 ? "" : ".", key);
        if (added < 0 || (size_t)added >= NAME_ROOM - length) continue; /* deeper than any row of the bench */
        const int stop = json_is_object(child)  ? walk(child, name, length + (size_t)added, leaf, user)
                         : json_is_array(child) ? 0
                                                : leaf(user, name, child);
        if (stop != 0) return stop;
    }
    return 0;
}

int result_walk(json_t *item, int (*leaf)(void *user, const char *name, json_t *value), void *user) {
    char name[NAME_ROOM] = "";
    return json_is_object(item) ? walk(item, name, 0, leaf, user) : 0;
}

const char *result_device(const result_set *set) {
    for (size_t i = 0; i < set->count; i++) {
        const char *device = result_text(set->documents[i], "device");
        if (device[0] != '\0' && strcmp(device, "none") != 0) return device;
    }
    return "none";
}

json_t *result_environment(const result_set *set) {
    json_t *found = NULL;
    for (size_t i = 0; i < set->count; i++) {
        json_t *environment = result_get(set->documents[i], "environment");
        if (found == NULL || (!json_object_get(found, "platform") && json_object_get(environment, "platform")))
            found = environment;
    }
    return found;
}

/* --------------------------------------------------------------------------------------------------------- JSON */

int write_results_json(const result_set *set, const char *path) {
    json_t *root = json_object();
    put_text(root, "command", "report");
    put_text(root, "device", result_device(set));
    json_object_set(root, "environment", result_environment(set));
    json_t *documents = put_list(root, "documents");
    for (size_t i = 0; i < set->count; i++) json_array_append(documents, set->documents[i]);
    return json_report_write(path, root);
}

/* ---------------------------------------------------------------------------------------------------------- CSV */

typedef struct csv {
    char columns[MAX_COLUMNS][NAME_ROOM];
    size_t count;
    json_t *values[MAX_COLUMNS]; /* of the row being written */
} csv;

/* The column of this name, made if need be; MAX_COLUMNS when there are too many. */
static size_t column_of(csv *c, const char *name) {
    size_t i = 0;
    while (i < c->count && strcmp(c->columns[i], name) != 0) i++;
    if (i < c->count || i == MAX_COLUMNS) return i;
    memcpy(c->columns[i], name, strlen(name) + 1);
    c->count++;
    return i;
}

static int take_value(void *user, const char *name, json_t *value) {
    csv *c = user;
    const size_t i = column_of(c, name);
    if (i == MAX_COLUMNS) return complain("more than %d columns in results.csv", MAX_COLUMNS);
    c->values[i] = value;
    return 0;
}

/* Quoted where a comma, a quote or a line's end is in it. */
static void csv_text(FILE *file, const char *text) {
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, file);
        return;
    }
    fputc('"', file);
    for (; *text != '\0'; text++) {
        if (*text == '"') fputc('"', file);
        fputc(*text, file);
    }
    fputc('"', file);
}

static void csv_value(FILE *file, json_t *value) {
    if (value == NULL || json_is_null(value)) return;
    if (json_is_string(value))
        csv_text(file, json_string_value(value));
    else
        json_layout_write(file, value);
}

static int csv_rows(csv *c, const result_set *set, FILE *file) {
    for (size_t d = 0; d < set->count; d++) {
        const json_t *rows = result_rows(set->documents[d]);
        for (size_t n = 0; n < json_array_size(rows); n++) {
            json_t *row = json_array_get(rows, n);
            memset(c->values, 0, sizeof c->values);
            if (result_walk(row, take_value, c)) return 1;
            csv_text(file, result_command(set->documents[d]));
            for (size_t i = 0; i < c->count; i++) {
                fputc(',', file);
                csv_value(file, c->values[i]);
            }
            fputc('\n', file);
        }
    }
    return 0;
}

static int find_columns(csv *c, const result_set *set) {
    for (size_t d = 0; d < set->count; d++) {
        const json_t *rows = result_rows(set->documents[d]);
        for (size_t n = 0; n < json_array_size(rows); n++) {
            json_t *row = json_array_get(rows, n);
            if (result_walk(row, take_value, c)) return 1;
        }
    }
    return 0;
}

int write_results_csv(const result_set *set, const char *folder) {
    char path[4096], *text = NULL;
    size_t bytes = 0;
    const int length = snprintf(path, sizeof path, "%s/results.csv", folder);
    if (length < 0 || (size_t)length >= sizeof path) return complain("the path %.64s... is too long", folder);
    csv *c = calloc(1, sizeof *c);
    FILE *file = open_memstream(&text, &bytes);
    int failed = c == NULL || file == NULL ? complain("out of memory") : find_columns(c, set);
    if (!failed) {
        fputs("command", file);
        for (size_t i = 0; i < c->count; i++) {
            fputc(',', file);
            csv_text(file, c->columns[i]);
        }
        fputc('\n', file);
        failed = csv_rows(c, set, file);
    }
    if (file != NULL && fclose(file) != 0 && !failed) failed = complain("out of memory");
    if (!failed && bytes > 0) text[bytes - 1] = '\0'; /* write_whole_file ends the last line */
    failed = failed || write_whole_file(path, text);
    free(text);
    free(c);
    return failed;
}
