/* What the config*.c files share: reading keys of the text part by the names that families.h has. */
#ifndef CLMOE_MODEL_CONFIG_H
#define CLMOE_MODEL_CONFIG_H

#include "families.h"
#include "json.h"

#define CLMOE__KEY_ROOM 160

#define CLMOE__MAX_LAYERS   1024u
#define CLMOE__MAX_EXPERTS  1024u
#define CLMOE__MAX_FEATURES (1u << 20)

/* The first of the alternatives "a|b" that has a value, else that is null, else the first, as a path from the root. */
const char *clmoe__config_key(const clmoe__config *config, const char *keys, char full[CLMOE__KEY_ROOM]);
/* 1 if that key is there as null. */
int clmoe__config_null(const clmoe__config *config, const char *keys);
/* What stands under the key, NULL if absent or null. */
const json_t *clmoe__config_get(const clmoe__config *config, const char *keys);
/* An integer; absent or null leaves *value. found may be NULL. */
clmoe_status clmoe__config_u32(const clmoe__config *config, const char *keys, uint32_t low, uint32_t high,
                               uint32_t *value, int *found, clmoe_error *error);

/* Is there, in a GGUF file, the tensor of a layer that the row names so? (config_layers.c) */
int clmoe__config_tensor(const clmoe__config *config, const char *pattern, uint32_t layer);

/* "a|b": the length of what stands before the next '|', and how to go on. */
size_t clmoe__word_length(const char *words);
const char *clmoe__word_next(const char *words); /* NULL behind the last */

/* Fills num_layers and moe_layers. (config_layers.c) */
clmoe_status clmoe__config_find_layers(clmoe__config *config, clmoe_error *error);

/* The rule of a layer into out->desc, whose sizes are set. (config_rule.c) */
clmoe_status clmoe__config_rule(const clmoe__config *config, uint32_t layer, clmoe__layer_config *out,
                                clmoe_error *error);

#endif
