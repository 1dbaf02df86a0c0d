/* Names of variants in lists, and the refusal of lists with names that are none: a word mistyped would otherwise leave
 * in use what was to be refused. May call src/os. */
#include "variant_names.h"

#include <stdio.h>
#include <string.h>

#include "gemm_variants.h"

static int is_named(const char *word, size_t length, const char *name) {
    const char *behind = strchr(name, '/') + 1;
    const size_t before = (size_t)(behind - 1 - name);
    return (length == strlen(name) && memcmp(word, name, length) == 0) ||
           (length == before && memcmp(word, name, length) == 0) ||
           (length == strlen(behind) && memcmp(word, behind, length) == 0);
}

int clmoe__variant_listed(const char *list, const char *name) {
    for (const char *word = list; *word != '\0';) {
        const size_t length = strcspn(word, ",");
        if (is_named(word, length, name)) return 1;
        word += length;
        word += *word == ',';
    }
    return 0;
}

/* "cpu/ avx2 fma; gpu/ tile": every name, its part before '/' once. */
static void write_names(char *text, size_t capacity) {
    const clmoe__gemm_variant *variant;
    const char *group = "";
    size_t used = 0;
    for (uint32_t i = 0; (variant = clmoe__gemm_variant_at(i)) != NULL; i++) {
        const char *name = variant->name;
        const size_t prefix = (size_t)(strchr(name, '/') + 1 - name);
        const int is_new = strncmp(group, name, prefix) != 0;
        const int added = snprintf(text + used, capacity - used, "%s%.*s %s", is_new && used > 0 ? "; " : "",
                                   is_new ? (int)prefix : 0, name, name + prefix);
        if (added < 0 || (size_t)added >= capacity - used) return;
        used += (size_t)added;
        group = name;
    }
}

static int is_variant(const char *word, size_t length) {
    const clmoe__gemm_variant *variant;
    for (uint32_t i = 0; (variant = clmoe__gemm_variant_at(i)) != NULL; i++)
        if (is_named(word, length, variant->name)) return 1;
    return 0;
}

/* `source` is the variable or the field that holds the list, which may be NULL. */
static clmoe_status check_list(const char *source, const char *list, clmoe_error *error) {
    char names[400];
    for (const char *word = list; word != NULL && *word != '\0';) {
        const size_t length = strcspn(word, ",");
        if (length > 0 && !is_variant(word, length)) {
            write_names(names, sizeof names);
            return clmoe__fail(error, CLMOE_INVALID_ARGUMENT, source,
                               "%s: \"%.*s\" is no variant, expected, separated by commas, some of %s", source,
                               length < 40 ? (int)length : 40, word, names);
        }
        word += length;
        word += *word == ',';
    }
    return CLMOE_OK;
}

clmoe_status clmoe__names_check(const clmoe_context_desc *desc, clmoe_error *error) {
    TRY(check_list("CLMOE_DISABLE", clmoe__os_env("CLMOE_DISABLE"), error));
    TRY(check_list("CLMOE_PREFER", clmoe__os_env("CLMOE_PREFER"), error));
    TRY(check_list("disable", desc->disable, error));
    return check_list("prefer", desc->prefer, error);
}
