/* See json_any_text.h. Calls Jansson, which refuses strings that are no UTF-8. */
#include "json_any_text.h"

#include <stdlib.h>
#include <string.h>

json_t *json_any_text(const char *text) {
    json_t *value = json_string(text);
    char *copy = value == NULL ? calloc(1, strlen(text) + 1) : NULL;
    if (copy == NULL) return value;
    for (size_t i = 0; text[i] != '\0'; i++) copy[i] = (char)((unsigned char)text[i] < 0x80 ? text[i] : '?');
    value = json_string(copy);
    free(copy);
    return value;
}
