/* See json_layout.h. Calls Jansson, whose own layouts put either everything on one line or each sample on its own. */
#include "json_layout.h"

#include <stdlib.h>

static void write_value(FILE *file, json_t *value, int depth);

/* As few digits as give the number again; a whole one without ".0". */
static void write_real(FILE *file, double value) {
    char text[32];
    for (int digits = 15; digits <= 17; digits += 2) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    fputs(text, file);
}

static void write_break(FILE *file, int depth) {
    fputc('\n', file);
    for (int i = 0; i < depth; i++) fputc('\t', file);
}

static void write_object(FILE *file, json_t *object, int depth) {
    const char *name;
    json_t *member;
    const char *between = "";
    fputc('{', file);
    json_object_foreach(object, name, member) {
        json_t *key = json_string(name);
        fputs(between, file);
        write_break(file, depth + 1);
        json_dumpf(key, file, JSON_ENCODE_ANY);
        fputs(":\t", file);
        write_value(file, member, depth + 1);
        json_decref(key);
        between = ",";
    }
    write_break(file, depth);
    fputc('}', file);
}

static void write_list(FILE *file, json_t *list, int depth) {
    fputc('[', file);
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (i != 0) fputs(", ", file);
        write_value(file, json_array_get(list, i), depth + 1);
    }
    fputc(']', file);
}

static void write_value(FILE *file, json_t *value, int depth) {
    if (json_is_object(value))
        write_object(file, value, depth);
    else if (json_is_array(value))
        write_list(file, value, depth);
    else if (json_is_real(value))
        write_real(file, json_real_value(value));
    else
        json_dumpf(value, file, JSON_ENCODE_ANY);
}

void json_layout_write(FILE *file, json_t *value) { write_value(file, value, 0); }
