/* Text of any bytes as JSON: names of devices, paths and variables of the environment need not be UTF-8. */
#ifndef CLMOE_TOOL_JSON_ANY_TEXT_H
#define CLMOE_TOOL_JSON_ANY_TEXT_H

#include <jansson.h>

/* A new string; where the text is no UTF-8, bytes beyond ASCII become '?'. NULL without memory. */
json_t *json_any_text(const char *text);

#endif
