/* JSON that subcommands wrote; see result_file.h. Calls Jansson. */
#include "result_file.h"

#include <string.h>

#include "common/tool.h"

const char *result_command(const json_t *document) {
    const json_t *command = json_object_get(document, "command");
    const json_t *first = json_array_get(json_object_get(document, "results"), 0);
    if (json_is_string(command)) return json_string_value(command);
    if (json_object_get(first, "median_ms") != NULL) return "layer";
    if (json_object_get(first, "median_seconds") != NULL) return "load";
    return json_object_get(document, "peak") != NULL ? "roofline" : NULL;
}

static int add_document(result_set *set, json_t *document, const char *path) {
    if (!json_is_object(document) || result_command(document) == NULL) {
        json_decref(document);
        return complain("%s is no result of clmoe-bench: it has no \"command\"", path);
    }
    if (set->count == MAX_RESULTS) {
        json_decref(document);
        return complain("%s: more than %d results", path, MAX_RESULTS);
    }
    set->documents[set->count++] = document;
    return 0;
}

int result_set_add(result_set *set, const char *path) {
    json_error_t error;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL && error.line <= 0) return complain("%s", error.text); /* which names the file and the reason */
    if (root == NULL) return complain("%s is not JSON: line %d: %s", path, error.line, error.text);
    json_t *documents = json_object_get(root, "documents");
    if (!json_is_array(documents)) return add_document(set, root, path);
    int failed = 0;
    for (size_t n = 0; !failed && n < json_array_size(documents); n++)
        failed = add_document(set, json_incref(json_array_get(documents, n)), path);
    json_decref(root);
    return failed;
}

void result_set_free(result_set *set) {
    for (size_t i = 0; i < set->count; i++) json_decref(set->documents[i]);
    memset(set, 0, sizeof *set);
}

const json_t *result_rows(const json_t *document) {
    const json_t *rows = json_object_get(document, "rows");
    if (rows == NULL) rows = json_object_get(document, "results");
    return json_is_array(rows) ? rows : NULL;
}

const json_t *result_find(const result_set *set, const char *command) {
    for (size_t i = set->count; i-- > 0;) {
        if (strcmp(result_command(set->documents[i]), command) == 0) return set->documents[i];
    }
    return NULL;
}

json_t *result_get(const json_t *row, const char *name) {
    json_t *item;
    char part[64];
    do {
        const size_t length = strcspn(name, ".");
        if (length >= sizeof part) return NULL;
        memcpy(part, name, length);
        part[length] = '\0';
        row = item = json_object_get(row, part);
        name += length + (name[length] == '.');
    } while (item != NULL && *name != '\0');
    return item;
}

double result_number(const json_t *row, const char *name, double otherwise) {
    const json_t *item = result_get(row, name);
    return json_is_number(item) ? json_number_value(item) : otherwise;
}

const char *result_text(const json_t *row, const char *name) {
    const json_t *item = result_get(row, name);
    return json_is_string(item) ? json_string_value(item) : "";
}
