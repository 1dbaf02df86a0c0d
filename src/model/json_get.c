/* Typed reads from JSON objects, and the errors that name file, key, value and range. Calls Jansson. */
#include "json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SHOWN "%.100s" /* a key or value from a file; the rest of the message must fit behind it */

/* ------------------------------------------------------------------------------------------------ errors */

clmoe_status clmoe__json_missing(const char *key, const char *file, const char *expected, clmoe_error *error) {
    return clmoe__fail(error, CLMOE_INVALID_FILE, key, "%s: " SHOWN " is missing, expected " SHOWN,
                       clmoe__path_end(file), key, expected);
}

const char *clmoe__json_words(const json_t *value, char *words, size_t room) {
    if (value == NULL) return "missing";
    switch (json_typeof(value)) {
        case JSON_OBJECT: return json_object_size(value) != 0 ? "an object" : "an empty object";
        case JSON_ARRAY: (void)snprintf(words, room, "a list of %zu", json_array_size(value)); return words;
        case JSON_STRING: (void)snprintf(words, room, "\"%.60s\"", json_string_value(value)); return words;
        case JSON_INTEGER:
            (void)snprintf(words, room, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
            return words;
        case JSON_REAL: (void)snprintf(words, room, "%#.9g", json_real_value(value)); return words;
        case JSON_TRUE: return "true";
        case JSON_FALSE: return "false";
        case JSON_NULL: break;
    }
    return "null";
}

clmoe_status clmoe__json_wrong(const json_t *found, const char *key, const char *file, const char *expected,
                               clmoe_error *error) {
    char words[80];
    return clmoe__fail(error, CLMOE_INVALID_FILE, key, "%s: " SHOWN " is %s, expected " SHOWN, clmoe__path_end(file),
                       key, clmoe__json_words(found, words, sizeof words), expected);
}

/* ----------------------------------------------------------------------------------------------- finding */

static const json_t *absent_if_null(const json_t *value) { return value == NULL || json_is_null(value) ? NULL : value; }

/* Follows the path `key`. Where something on it is no object, *stop (may be NULL) is the end of that part of the
 * key. */
static const json_t *follow(const json_t *object, const char *key, const char **stop) {
    const json_t *value = absent_if_null(object);
    for (const char *part = key; value != NULL;) {
        if (!json_is_object(value)) {
            if (stop != NULL) *stop = part;
            return part == key ? NULL : value;
        }
        const size_t length = strcspn(part, ".");
        value = absent_if_null(json_object_getn(value, part, length));
        if (part[length] == '\0') break;
        part += length + 1;
    }
    return value;
}

const json_t *clmoe__json_get(const json_t *object, const char *key) {
    const char *stop = NULL;
    const json_t *const value = follow(object, key, &stop);
    return stop == NULL ? value : NULL;
}

/* The value under `key`; NULL, and no failure, if there is none. */
static clmoe_status find(const json_t *object, const char *key, const char *file, const json_t **value,
                         clmoe_error *error) {
    const char *stop = NULL;
    *value = follow(object, key, &stop);
    if (stop == NULL || *value == NULL) return CLMOE_OK;
    char part[64];
    (void)snprintf(part, sizeof part, "%.*s", (int)(stop - key - 1), key);
    return clmoe__json_wrong(*value, part, file, "an object", error);
}

/* The name of an element, "key[3]". */
typedef struct element_name {
    char text[100];
} element_name;

static element_name name_element(const char *key, size_t i) {
    element_name name;
    (void)snprintf(name.text, sizeof name.text, "%.70s[%zu]", key, i);
    return name;
}

/* --------------------------------------------------------------------------------------------- conversion */

/* Each takes the value that was found (NULL = none) and tells in *found whether there was one. */
static int take(const json_t *value, int *found) {
    if (found != NULL) *found = value != NULL;
    return value != NULL;
}

static clmoe_status wrong_range(const json_t *value, const char *key, const char *file, clmoe_error *error,
                                const char *format, ...) CLMOE__PRINTF(5, 6);
static clmoe_status wrong_range(const json_t *value, const char *key, const char *file, clmoe_error *error,
                                const char *format, ...) {
    char expected[100];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(expected, sizeof expected, format, list);
    va_end(list);
    return clmoe__json_wrong(value, key, file, expected, error);
}

static clmoe_status take_u32(const json_t *from, const char *key, const char *file, uint32_t low, uint32_t high,
                             uint32_t *value, int *found, clmoe_error *error) {
    if (!take(from, found)) return CLMOE_OK;
    const json_int_t number = json_integer_value(from);
    if (!json_is_integer(from) || number < (json_int_t)low || number > (json_int_t)high) {
        return wrong_range(from, key, file, error, "an integer in %u..%u", low, high);
    }
    *value = (uint32_t)number;
    return CLMOE_OK;
}

static clmoe_status take_double(const json_t *from, const char *key, const char *file, double low, double high,
                                double *value, int *found, clmoe_error *error) {
    if (!take(from, found)) return CLMOE_OK;
    const double number = json_number_value(from);
    if (!json_is_number(from) || number < low || number > high) {
        return wrong_range(from, key, file, error, "a number in %g..%g", low, high);
    }
    *value = number;
    return CLMOE_OK;
}

static clmoe_status take_string(const json_t *from, const char *key, const char *file, const char **value, int *found,
                                clmoe_error *error) {
    if (!take(from, found)) return CLMOE_OK;
    if (!json_is_string(from)) return clmoe__json_wrong(from, key, file, "a string", error);
    *value = json_string_value(from);
    return CLMOE_OK;
}

clmoe_status clmoe__json_u32(const json_t *object, const char *key, const char *file, uint32_t low, uint32_t high,
                             uint32_t *value, int *found, clmoe_error *error) {
    const json_t *from;
    TRY(find(object, key, file, &from, error));
    return take_u32(from, key, file, low, high, value, found, error);
}

clmoe_status clmoe__json_double(const json_t *object, const char *key, const char *file, double low, double high,
                                double *value, int *found, clmoe_error *error) {
    const json_t *from;
    TRY(find(object, key, file, &from, error));
    return take_double(from, key, file, low, high, value, found, error);
}

clmoe_status clmoe__json_bool(const json_t *object, const char *key, const char *file, int *value, int *found,
                              clmoe_error *error) {
    const json_t *from;
    TRY(find(object, key, file, &from, error));
    if (!take(from, found)) return CLMOE_OK;
    if (!json_is_boolean(from)) return clmoe__json_wrong(from, key, file, "true or false", error);
    *value = json_is_true(from);
    return CLMOE_OK;
}

clmoe_status clmoe__json_string(const json_t *object, const char *key, const char *file, const char **value, int *found,
                                clmoe_error *error) {
    const json_t *from;
    TRY(find(object, key, file, &from, error));
    return take_string(from, key, file, value, found, error);
}

clmoe_status clmoe__json_array(const json_t *object, const char *key, const char *file, const json_t **value,
                               int *found, clmoe_error *error) {
    const json_t *from;
    TRY(find(object, key, file, &from, error));
    if (!take(from, found)) return CLMOE_OK;
    if (!json_is_array(from)) return clmoe__json_wrong(from, key, file, "a list", error);
    *value = from;
    return CLMOE_OK;
}

clmoe_status clmoe__json_object(const json_t *object, const char *key, const char *file, const json_t **value,
                                int *found, clmoe_error *error) {
    const json_t *from;
    TRY(find(object, key, file, &from, error));
    if (!take(from, found)) return CLMOE_OK;
    if (!json_is_object(from)) return clmoe__json_wrong(from, key, file, "an object", error);
    *value = from;
    return CLMOE_OK;
}

clmoe_status clmoe__json_u32_at(const json_t *array, size_t i, const char *key, const char *file, uint32_t low,
                                uint32_t high, uint32_t *value, int *found, clmoe_error *error) {
    const json_t *const from = absent_if_null(json_array_get(array, i));
    return take_u32(from, name_element(key, i).text, file, low, high, value, found, error);
}

clmoe_status clmoe__json_double_at(const json_t *array, size_t i, const char *key, const char *file, double low,
                                   double high, double *value, int *found, clmoe_error *error) {
    const json_t *const from = absent_if_null(json_array_get(array, i));
    return take_double(from, name_element(key, i).text, file, low, high, value, found, error);
}

clmoe_status clmoe__json_string_at(const json_t *array, size_t i, const char *key, const char *file, const char **value,
                                   int *found, clmoe_error *error) {
    const json_t *const from = absent_if_null(json_array_get(array, i));
    return take_string(from, name_element(key, i).text, file, value, found, error);
}
