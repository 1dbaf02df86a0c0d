/* results.json and results.csv; see report_files.h. Calls cJSON. */
#define _POSIX_C_SOURCE 200809L
#include "report_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/json_report.h"
#include "common/tool.h"
#include "common/whole_file.h"

#define MAX_COLUMNS 512
#define NAME_ROOM   96

/* ------------------------------------------------------------------------------------------------------ walking */

static int walk(const cJSON *item, char *name, size_t length,
                int (*leaf)(void *user, const char *name, const cJSON *value), void *user) {
    const cJSON *child;
    cJSON_ArrayForEach(child, item) {
        const int added = snprintf(name + length, NAME_ROOM - length, "%s%s", length == 0 ? "" : ".", child->string);
        if (added < 0 || (size_t)added >= NAME_ROOM - length) continue; /* deeper than any row of the bench */
        const int stop = cJSON_IsObject(child)  ? walk(child, name, length + (size_t)added, leaf, user)
                         : cJSON_IsArray(child) ? 0
                                                : leaf(user, name, child);
        if (stop != 0) return stop;
    }
    return 0;
}

int result_walk(const cJSON *item, int (*leaf)(void *user, const char *name, const cJSON *value), void *user) {
    char name[NAME_ROOM] = "";
    return cJSON_IsObject(item) ? walk(item, name, 0, leaf, user) : 0;
}

const char *result_device(const result_set *set) {
    for (size_t i = 0; i < set->count; i++) {
        const char *device = result_text(set->documents[i], "device");
        if (device[0] != '\0' && strcmp(device, "none") != 0) return device;
    }
    return "none";
}

const cJSON *result_environment(const result_set *set) {
    const cJSON *found = NULL;
    for (size_t i = 0; i < set->count; i++) {
        const cJSON *environment = result_get(set->documents[i], "environment");
        if (found == NULL || (!cJSON_HasObjectItem(found, "platform") && cJSON_HasObjectItem(environment, "platform")))
            found = environment;
    }
    return found;
}

/* --------------------------------------------------------------------------------------------------------- JSON */

int write_results_json(const result_set *set, const char *path) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "command", "report");
    cJSON_AddStringToObject(root, "device", result_device(set));
    cJSON_AddItemToObject(root, "environment", cJSON_Duplicate(result_environment(set), 1));
    cJSON *documents = cJSON_AddArrayToObject(root, "documents");
    for (size_t i = 0; i < set->count; i++) cJSON_AddItemToArray(documents, cJSON_Duplicate(set->documents[i], 1));
    return json_report_write(path, root);
}

/* ---------------------------------------------------------------------------------------------------------- CSV */

typedef struct csv {
    char columns[MAX_COLUMNS][NAME_ROOM];
    size_t count;
    const cJSON *values[MAX_COLUMNS]; /* of the row being written */
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

static int take_value(void *user, const char *name, const cJSON *value) {
    csv *c = user;
    const size_t i = column_of(c, name);
    if (i == MAX_COLUMNS) return complain("more than %d columns in results.csv", MAX_COLUMNS);
    c->values[i] = value;
    return 0;
}

/* Quoted where a comma, a quote or a line's end is in it. */
static void put_text(FILE *file, const char *text) {
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

static void put_value(FILE *file, const cJSON *value) {
    char *text;
    if (value == NULL || cJSON_IsNull(value)) return;
    if (cJSON_IsString(value)) {
        put_text(file, value->valuestring);
    } else if ((text = cJSON_PrintUnformatted(value)) != NULL) {
        fputs(text, file);
        cJSON_free(text);
    }
}

static int put_rows(csv *c, const result_set *set, FILE *file) {
    for (size_t d = 0; d < set->count; d++) {
        const cJSON *row;
        cJSON_ArrayForEach(row, result_rows(set->documents[d])) {
            memset(c->values, 0, sizeof c->values);
            if (result_walk(row, take_value, c)) return 1;
            put_text(file, result_command(set->documents[d]));
            for (size_t i = 0; i < c->count; i++) {
                fputc(',', file);
                put_value(file, c->values[i]);
            }
            fputc('\n', file);
        }
    }
    return 0;
}

static int find_columns(csv *c, const result_set *set) {
    for (size_t d = 0; d < set->count; d++) {
        const cJSON *row;
        cJSON_ArrayForEach(row, result_rows(set->documents[d])) {
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
            put_text(file, c->columns[i]);
        }
        fputc('\n', file);
        failed = put_rows(c, set, file);
    }
    if (file != NULL && fclose(file) != 0 && !failed) failed = complain("out of memory");
    if (!failed && bytes > 0) text[bytes - 1] = '\0'; /* write_whole_file ends the last line */
    failed = failed || write_whole_file(path, text);
    free(text);
    free(c);
    return failed;
}
