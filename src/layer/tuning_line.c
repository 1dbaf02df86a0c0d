/* A row of tuning as a line of text, read strictly: it may come from anywhere. Calls src/select only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tuning.h"

/* What is left of a line. */
typedef struct cursor {
    const char *at, *end;
    char *reason;
    size_t capacity;
} cursor;

typedef struct word {
    const char *text;
    size_t length;
} word;

#define WRONG(c, ...) (snprintf((c)->reason, (c)->capacity, __VA_ARGS__), 0)

static int is_space(char c) { return c == ' ' || c == '\t'; }

static void skip_spaces(cursor *c) {
    while (c->at < c->end && is_space(*c->at)) c->at++;
}

/* Up to the next space; length 0 at the end. */
static word next_word(cursor *c) {
    skip_spaces(c);
    word w = {c->at, 0};
    while (c->at < c->end && !is_space(*c->at)) c->at++;
    w.length = (size_t)(c->at - w.text);
    return w;
}

static int word_is(word w, const char *text) { return w.length == strlen(text) && memcmp(w.text, text, w.length) == 0; }

/* For messages: not more than fits in one. */
static int shown(word w) { return w.length < 40 ? (int)w.length : 40; }

static int take_name(cursor *c, const char *what, char *to, size_t capacity) {
    skip_spaces(c);
    if (c->at == c->end || *c->at != '"') return WRONG(c, "%s is missing, expected a name in quotes", what);
    const char *begin = ++c->at;
    while (c->at < c->end && *c->at != '"') c->at++;
    const size_t length = (size_t)(c->at - begin);
    if (c->at == c->end) return WRONG(c, "%s has no closing quote", what);
    if (length == 0 || length >= capacity)
        return WRONG(c, "%s has %zu bytes, expected 1 to %zu", what, length, capacity - 1);
    memcpy(to, begin, length);
    to[length] = '\0';
    c->at++;
    return c->at == c->end || is_space(*c->at) ? 1 : WRONG(c, "%s has something behind its closing quote", what);
}

static int take_variant(cursor *c, clmoe__tuning_row *row) {
    const word w = next_word(c);
    for (uint32_t i = 0; (row->variant = clmoe__gemm_variant_at(i)) != NULL; i++)
        if (word_is(w, row->variant->name)) return 1;
    return WRONG(c, "'%.*s' is no variant", shown(w), w.text);
}

static int take_format(cursor *c, clmoe__tuning_row *row) {
    const word w = next_word(c);
    for (row->format = CLMOE_F32; row->format < 256; row->format++) {
        const int is_kept = clmoe__format_is_wide(row->format) || clmoe__format_is_kept_block(row->format);
        if (is_kept && word_is(w, clmoe__format_name(row->format))) return 1;
    }
    return WRONG(c, "'%.*s' is no format that weights are kept in", shown(w), w.text);
}

static int take_arithmetic(cursor *c, clmoe__tuning_row *row) {
    const word w = next_word(c);
    for (row->arithmetic = CLMOE_ARITHMETIC_F32; row->arithmetic <= CLMOE_ARITHMETIC_INT8; row->arithmetic++) {
        if (!word_is(w, clmoe__arithmetic_name(row->arithmetic))) continue;
        if ((row->variant->arithmetics >> row->arithmetic & 1u) != 0) return 1;
        return WRONG(c, "%s has no %s arithmetic", row->variant->name, clmoe__arithmetic_name(row->arithmetic));
    }
    return WRONG(c, "'%.*s' is no arithmetic, expected f32, bf16 or int8", shown(w), w.text);
}

/* Decimal digits and nothing else, without leading zeros. */
static int number(word w, uint32_t *value) {
    uint64_t sum = 0;
    if (w.length == 0 || w.length > 10 || (w.length > 1 && w.text[0] == '0')) return 0;
    for (size_t i = 0; i < w.length; i++) {
        if (w.text[i] < '0' || w.text[i] > '9') return 0;
        sum = 10 * sum + (uint64_t)(w.text[i] - '0');
    }
    *value = (uint32_t)sum;
    return sum <= UINT32_MAX;
}

static int take_class(cursor *c, clmoe__tuning_row *row) {
    const word w = next_word(c);
    if (word_is(w, "any")) return 1;
    const char *comma = memchr(w.text, ',', w.length);
    if (comma != NULL && w.text[0] == 'k' && (size_t)(comma - w.text) + 1 < w.length && comma[1] == 'n') {
        const word k = {w.text + 1, (size_t)(comma - w.text) - 1},
                   n = {comma + 2, w.length - (size_t)(comma + 2 - w.text)};
        if (number(k, &row->k) && number(n, &row->columns) && clmoe__size_class(row->k) == row->k &&
            clmoe__size_class(row->columns) == row->columns)
            return 1;
    }
    return WRONG(c, "'%.*s' is no class of sizes, expected any or kK,nN with powers of two from 64 to 65536", shown(w),
                 w.text);
}

/* NAME=VALUE; *seen has a bit for each number. */
static int take_value(cursor *c, word w, clmoe__tuning_row *row, uint32_t *seen) {
    const char *equals = memchr(w.text, '=', w.length);
    if (equals == NULL) return WRONG(c, "'%.*s' is no NAME=VALUE", shown(w), w.text);
    const word name = {w.text, (size_t)(equals - w.text)},
               text = {equals + 1, w.length - (size_t)(equals + 1 - w.text)};
    const clmoe__tuning_field *field;
    for (uint32_t i = 0; (field = clmoe__tuning_field_at(row->variant->macro, i)) != NULL; i++) {
        if (!word_is(name, field->name)) continue;
        if ((*seen >> i & 1u) != 0) return WRONG(c, "%s is there twice", field->name);
        *seen |= 1u << i;
        if (number(text, &row->values[i]) && row->values[i] >= field->low && row->values[i] <= field->high) return 1;
        return WRONG(c, "%s is '%.*s', expected %u to %u", field->name, shown(text), text.text, field->low,
                     field->high);
    }
    return WRONG(c, "%s has no number '%.*s'", row->variant->name, shown(name), name.text);
}

static int take_values(cursor *c, clmoe__tuning_row *row) {
    uint32_t seen = 0;
    for (word w = next_word(c); w.length != 0; w = next_word(c))
        if (!take_value(c, w, row, &seen)) return 0;
    for (uint32_t i = 0; clmoe__tuning_field_at(row->variant->macro, i) != NULL; i++)
        if ((seen >> i & 1u) == 0)
            return WRONG(c, "%s is missing", clmoe__tuning_field_at(row->variant->macro, i)->name);
    return 1;
}

const char *clmoe__tuning_parse(const char *line, size_t length, clmoe__tuning_row *row, char *reason,
                                size_t capacity) {
    cursor c = {line, line + length, reason, capacity};
    memset(row, 0, sizeof *row);
    snprintf(reason, capacity, "is longer than %d bytes", CLMOE__TUNING_LINE);
    if (length > CLMOE__TUNING_LINE) return reason;
    snprintf(reason, capacity, "has a control character");
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < 32 && line[i] != '\t') return reason;
    if (!take_name(&c, "the device", row->device, sizeof row->device) ||
        !take_name(&c, "the driver", row->driver, sizeof row->driver) || !take_variant(&c, row) ||
        !take_format(&c, row) || !take_arithmetic(&c, row) || !take_class(&c, row) || !take_values(&c, row))
        return reason;
    if (clmoe__arithmetic_check(row->format, row->arithmetic, NULL) == CLMOE_OK) return NULL;
    snprintf(reason, capacity, "%s weights have no %s arithmetic", clmoe__format_name(row->format),
             clmoe__arithmetic_name(row->arithmetic));
    return reason;
}

void clmoe__tuning_name(const char *from, char *to, size_t capacity) {
    size_t i = 0;
    for (; from[i] != '\0' && i + 1 < capacity; i++)
        to[i] = (unsigned char)from[i] < 32 || from[i] == '"' ? '?' : from[i];
    to[i] = '\0';
    if (i == 0) snprintf(to, capacity, "?");
}

int clmoe__tuning_print(const clmoe__tuning_row *row, int key_only, char *text, size_t capacity) {
    char class[32] = "any";
    if (row->k != 0) snprintf(class, sizeof class, "k%u,n%u", row->k, row->columns);
    int length = snprintf(text, capacity, "\"%s\" \"%s\" %s %s %s %s", row->device, row->driver, row->variant->name,
                          clmoe__format_name(row->format), clmoe__arithmetic_name(row->arithmetic), class);
    const clmoe__tuning_field *field;
    for (uint32_t i = 0; !key_only && (field = clmoe__tuning_field_at(row->variant->macro, i)) != NULL; i++) {
        const size_t used = (size_t)length < capacity ? (size_t)length : capacity;
        length += snprintf(text + used, capacity - used, " %s=%u", field->name, row->values[i]);
    }
    return length;
}

int clmoe__tuning_print_values(const clmoe__gemm_choice *choice, char *text, size_t capacity) {
    int length = 0;
    const clmoe__tuning_field *field;
    for (uint32_t i = 0; (field = clmoe__tuning_field_at(choice->variant->macro, i)) != NULL; i++) {
        const size_t used = (size_t)length < capacity ? (size_t)length : capacity;
        length += snprintf(text + used, capacity - used, "%s%s=%u", i == 0 ? "" : " ", field->name,
                           clmoe__tuning_get(choice, field));
    }
    return length;
}

int clmoe__tuning_same_key(const clmoe__tuning_row *a, const clmoe__tuning_row *b) {
    return strcmp(a->device, b->device) == 0 && strcmp(a->driver, b->driver) == 0 && a->variant == b->variant &&
           a->format == b->format && a->arithmetic == b->arithmetic && a->k == b->k && a->columns == b->columns;
}
