/* JSON that subcommands wrote; see result_file.h. Calls cJSON. */
#include "result_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/tool.h"

#define MOST_BYTES ((size_t)256 << 20)

/* The whole file as text, to be freed; NULL after a complaint. */
static char *read_text(const char *path) {
    size_t used = 0, room = 1 << 16;
    char *text = NULL;
    FILE *file = fopen(path, "r");
    if (file == NULL) return complain("%s: %s", path, strerror(errno)), NULL;
    do {
        room *= 2;
        char *grown = realloc(text, room);
        if (grown == NULL) break;
        text = grown;
        used += fread(text + used, 1, room - 1 - used, file);
    } while (used == room - 1 && room < MOST_BYTES);
    const int failed = ferror(file) || !feof(file);
    fclose(file);
    if (text != NULL && !failed) {
        text[used] = '\0';
        return text;
    }
    free(text);
    return complain("%s cannot be read", path), NULL;
}

const char *result_command(const cJSON *document) {
    const cJSON *command = cJSON_GetObjectItemCaseSensitive(document, "command");
    const cJSON *first = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(document, "results"), 0);
    if (cJSON_IsString(command)) return command->valuestring;
    if (cJSON_HasObjectItem(first, "median_ms")) return "layer";
    if (cJSON_HasObjectItem(first, "median_seconds")) return "load";
    return cJSON_HasObjectItem(document, "peak") ? "roofline" : NULL;
}

static int add_document(result_set *set, cJSON *document, const char *path) {
    if (!cJSON_IsObject(document) || result_command(document) == NULL) {
        cJSON_Delete(document);
        return complain("%s is no result of clmoe-bench: it has no \"command\"", path);
    }
    if (set->count == MAX_RESULTS) {
        cJSON_Delete(document);
        return complain("%s: more than %d results", path, MAX_RESULTS);
    }
    set->documents[set->count++] = document;
    return 0;
}

int result_set_add(result_set *set, const char *path) {
    char *text = read_text(path);
    if (text == NULL) return 1;
    cJSON *root = cJSON_Parse(text);
    free(text);
    if (root == NULL) return complain("%s is not JSON", path);
    cJSON *documents = cJSON_GetObjectItemCaseSensitive(root, "documents");
    if (!cJSON_IsArray(documents)) return add_document(set, root, path);
    int failed = 0;
    while (!failed && cJSON_GetArraySize(documents) > 0)
        failed = add_document(set, cJSON_DetachItemFromArray(documents, 0), path);
    cJSON_Delete(root);
    return failed;
}

void result_set_free(result_set *set) {
    for (size_t i = 0; i < set->count; i++) cJSON_Delete(set->documents[i]);
    memset(set, 0, sizeof *set);
}

const cJSON *result_rows(const cJSON *document) {
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(document, "rows");
    if (rows == NULL) rows = cJSON_GetObjectItemCaseSensitive(document, "results");
    return cJSON_IsArray(rows) ? rows : NULL;
}

const cJSON *result_find(const result_set *set, const char *command) {
    for (size_t i = set->count; i-- > 0;) {
        if (strcmp(result_command(set->documents[i]), command) == 0) return set->documents[i];
    }
    return NULL;
}

const cJSON *result_get(const cJSON *row, const char *name) {
    char part[64];
    while (row != NULL && *name != '\0') {
        const size_t length = strcspn(name, ".");
        if (length >= sizeof part) return NULL;
        memcpy(part, name, length);
        part[length] = '\0';
        row = cJSON_GetObjectItemCaseSensitive(row, part);
        name += length + (name[length] == '.');
    }
    return row;
}

double result_number(const cJSON *row, const char *name, double otherwise) {
    const cJSON *item = result_get(row, name);
    return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

const char *result_text(const cJSON *row, const char *name) {
    const cJSON *item = result_get(row, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}
