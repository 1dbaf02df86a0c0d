/* Typed reads from a JSON object (json_get.c). Every failure is CLMOE_INVALID_FILE: the argument is the key, the
 * message names `file`, the key, what was found and what was expected.
 *
 * `key` may be a path through objects: "ffn_config.moe_top_k". A key that is absent, or null, leaves *value as it was
 * (preset it with the default) and sets *found to 0; `found` may be NULL. `object` may be NULL: nothing is found. */
#ifndef CLMOE_MODEL_JSON_H
#define CLMOE_MODEL_JSON_H

#include "model.h"

/* An integer in low..high. 8.0 is no integer. */
clmoe_status clmoe__json_u32(const json_t *object, const char *key, const char *file, uint32_t low, uint32_t high,
                             uint32_t *value, int *found, clmoe_error *error);
/* A number, also one written as an integer, in low..high. It is finite: JSON has no other. */
clmoe_status clmoe__json_double(const json_t *object, const char *key, const char *file, double low, double high,
                                double *value, int *found, clmoe_error *error);
/* true or false; *value becomes 1 or 0. */
clmoe_status clmoe__json_bool(const json_t *object, const char *key, const char *file, int *value, int *found,
                              clmoe_error *error);
/* *value lives with the tree. */
clmoe_status clmoe__json_string(const json_t *object, const char *key, const char *file, const char **value, int *found,
                                clmoe_error *error);
/* *value is borrowed from the tree. */
clmoe_status clmoe__json_array(const json_t *object, const char *key, const char *file, const json_t **value,
                               int *found, clmoe_error *error);
clmoe_status clmoe__json_object(const json_t *object, const char *key, const char *file, const json_t **value,
                                int *found, clmoe_error *error);

/* The same for element `i` of the array that was found under `key`; messages say key[i]. Past the end nothing is
 * found. */
clmoe_status clmoe__json_u32_at(const json_t *array, size_t i, const char *key, const char *file, uint32_t low,
                                uint32_t high, uint32_t *value, int *found, clmoe_error *error);
clmoe_status clmoe__json_double_at(const json_t *array, size_t i, const char *key, const char *file, double low,
                                   double high, double *value, int *found, clmoe_error *error);
clmoe_status clmoe__json_string_at(const json_t *array, size_t i, const char *key, const char *file, const char **value,
                                   int *found, clmoe_error *error);

/* What stands under `key`, for keys of more than one type (an integer or a list). NULL if absent or null. */
const json_t *clmoe__json_get(const json_t *object, const char *key);
/* The error for a key that must be there: "FILE: KEY is missing, expected EXPECTED". */
clmoe_status clmoe__json_missing(const char *key, const char *file, const char *expected, clmoe_error *error);
/* The error for a value that is not what it should be: "FILE: KEY is FOUND, expected EXPECTED". */
clmoe_status clmoe__json_wrong(const json_t *found, const char *key, const char *file, const char *expected,
                               clmoe_error *error);
/* FOUND alone: "\"text\"", "8.5", "a list of 3", "missing" (NULL). `words` has room for it (80 is enough). */
const char *clmoe__json_words(const json_t *value, char *words, size_t room);

#endif
