/* The metadata of a GGUF file: every value is checked, the architecture's own become a tree. Two walks, since the
 * architecture may be named behind its keys. Calls gguf_read.c and Jansson. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gguf.h"
#include "os/size.h"

#define KEY_BYTES_MIN 13u /* of the shortest key there can be: no name, a type, one byte */
#define KEY_NAME_MAX  65535u
#define PARTS_MAX     8u /* of a kept name, between dots */
#define ALIGNMENT     32u

enum value_type { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64, TYPES };

static const struct {
    const char *name;
    uint32_t bytes; /* 0: its length stands before it */
} value_types[TYPES] = {
    [U8] = {"uint8", 1},      [I8] = {"int8", 1},     [U16] = {"uint16", 2},  [I16] = {"int16", 2},
    [U32] = {"uint32", 4},    [I32] = {"int32", 4},   [F32] = {"float32", 4}, [BOOL] = {"bool", 1},
    [STRING] = {"string", 0}, [ARRAY] = {"array", 0}, [U64] = {"uint64", 8},  [I64] = {"int64", 8},
    [F64] = {"float64", 8},
};

typedef struct entry {
    clmoe__span name;
    uint32_t type, of; /* of: type of an array's elements */
    uint64_t count;    /* elements of an array; else 1 */
    clmoe__span string;
    const unsigned char *value; /* of numbers */
} entry;

/* ------------------------------------------------------------------------------------------- the first walk */

static clmoe_status check_flags(const clmoe__reader *reader, const entry *e) {
    for (uint64_t i = 0; i < e->count; i++)
        if (e->value[i] > 1) return clmoe__reader_refuse(reader, "is a bool of %u, expected 0 or 1", e->value[i]);
    return CLMOE_OK;
}

/* Numbers and flags, one behind the other. */
static clmoe_status read_numbers(clmoe__reader *reader, uint32_t type, entry *e) {
    const uint64_t bytes = clmoe__mul(e->count, value_types[type].bytes);
    TRY(clmoe__reader_need(reader, bytes, "its value"));
    e->value = reader->data + reader->at;
    reader->at += bytes;
    return type == BOOL ? check_flags(reader, e) : CLMOE_OK;
}

static clmoe_status read_array(clmoe__reader *reader, entry *e) {
    TRY(clmoe__reader_u32(reader, "the type of its elements", &e->of));
    TRY(clmoe__reader_u64(reader, "the number of its elements", &e->count));
    if (e->of == ARRAY) return clmoe__reader_refuse(reader, "is an array of arrays, which are not read");
    if (e->of >= TYPES)
        return clmoe__reader_refuse(reader, "is an array of type %u, expected a type of 0..%u", e->of, TYPES - 1);
    if (e->of != STRING) return read_numbers(reader, e->of, e);
    /* Not a walk of years: each string has at least its length. */
    TRY(clmoe__reader_need(reader, clmoe__mul(e->count, 8), "its strings"));
    clmoe__span string;
    for (uint64_t i = 0; i < e->count; i++) TRY(clmoe__reader_string(reader, "one of its strings", &string));
    return CLMOE_OK;
}

static clmoe_status read_entry(clmoe__reader *reader, uint64_t number, entry *e) {
    clmoe__reader_subject(reader, "key", NULL, number);
    TRY(clmoe__reader_string(reader, "its name", &e->name));
    if (e->name.length == 0 || e->name.length > KEY_NAME_MAX)
        return clmoe__reader_refuse(reader, "has a name of %llu bytes, expected 1..%u",
                                    (unsigned long long)e->name.length, KEY_NAME_MAX);
    if (memchr(e->name.text, '\0', (size_t)e->name.length) != NULL)
        return clmoe__reader_refuse(reader, "has a name with a zero byte in it");
    clmoe__reader_subject(reader, "key", &e->name, 0);
    TRY(clmoe__reader_u32(reader, "its type", &e->type));
    e->count = 1;
    if (e->type >= TYPES)
        return clmoe__reader_refuse(reader, "has a value of type %u, expected a type of 0..%u", e->type, TYPES - 1);
    if (e->type == STRING) return clmoe__reader_string(reader, "its value", &e->string);
    return e->type == ARRAY ? read_array(reader, e) : read_numbers(reader, e->type, e);
}

static int order_by_name(const void *a, const void *b) {
    return clmoe__span_order(&((const entry *)a)->name, &((const entry *)b)->name);
}

static clmoe_status refuse_twice(clmoe__reader *reader, const entry *entries, uint64_t count) {
    for (uint64_t i = 1; i < count; i++) {
        if (order_by_name(&entries[i - 1], &entries[i]) != 0) continue;
        clmoe__reader_subject(reader, "key", &entries[i].name, 0);
        return clmoe__reader_refuse(reader, "is there twice");
    }
    return CLMOE_OK;
}

static const entry *find(const entry *entries, uint64_t count, const char *name) {
    const entry wanted = {.name = {name, strlen(name)}};
    return count != 0 ? bsearch(&wanted, entries, (size_t)count, sizeof wanted, order_by_name) : NULL;
}

/* -------------------------------------------------------------------------------- what the reader itself needs */

/* An integer of any type in low..high; absent leaves *value. */
static clmoe_status integer(clmoe__reader *reader, const entry *e, uint64_t low, uint64_t high, uint64_t *value) {
    if (e == NULL) return CLMOE_OK;
    clmoe__reader_subject(reader, "key", &e->name, 0);
    const int is_signed = e->type == I8 || e->type == I16 || e->type == I32 || e->type == I64;
    if (!is_signed && e->type != U8 && e->type != U16 && e->type != U32 && e->type != U64)
        return clmoe__reader_refuse(reader, "is of type %s, expected an integer", value_types[e->type].name);
    const uint32_t bytes = value_types[e->type].bytes;
    const uint64_t found = clmoe__little(e->value, bytes);
    const int negative = is_signed && found >> (8 * bytes - 1) != 0;
    if (negative || found < low || found > high)
        return clmoe__reader_refuse(reader, "is %s%llu, expected %llu..%llu", negative ? "negative, bits " : "",
                                    (unsigned long long)found, (unsigned long long)low, (unsigned long long)high);
    *value = found;
    return CLMOE_OK;
}

static clmoe_status read_own_keys(clmoe__reader *reader, const entry *entries, uint64_t count, clmoe__gguf *out,
                                  uint64_t *alignment) {
    uint64_t parts = 1, part = 0;
    const entry *const aligned = find(entries, count, "general.alignment");
    const entry *const tensors = find(entries, count, "split.tensors.count");
    *alignment = ALIGNMENT;
    if (aligned != NULL && aligned->type != U32) {
        clmoe__reader_subject(reader, "key", &aligned->name, 0);
        return clmoe__reader_refuse(reader, "is of type %s, expected uint32", value_types[aligned->type].name);
    }
    TRY(integer(reader, aligned, 0, UINT32_MAX, alignment));
    if (*alignment == 0 || *alignment % 8 != 0)
        return clmoe__reader_refuse(reader, "is %llu, expected a multiple of 8", (unsigned long long)*alignment);
    TRY(integer(reader, find(entries, count, "split.count"), 0, UINT16_MAX, &parts));
    out->split_count = parts != 0 ? (uint32_t)parts : 1;
    TRY(integer(reader, find(entries, count, "split.no"), 0, out->split_count - 1, &part));
    out->split_no = (uint32_t)part;
    out->has_split_tensors = tensors != NULL;
    return integer(reader, tensors, 0, INT32_MAX, &out->split_tensors);
}

/* ------------------------------------------------------------------------------------------ the second walk */

static clmoe_status no_memory(const clmoe__reader *reader) {
    return clmoe__fail(reader->error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "%s: no memory for its metadata",
                       clmoe__path_end(reader->file));
}

/* JSON has no such numbers: they become words, which no getter takes for a number. */
static json_t *real(double value) {
    if (isnan(value)) return json_string("nan");
    return isinf(value) ? json_string("inf") : json_real(value);
}

static json_t *number(uint32_t type, const unsigned char *data) {
    const uint32_t bytes = value_types[type].bytes;
    const uint64_t bits = clmoe__little(data, bytes);
    float narrow;
    double wide;
    const uint32_t low = (uint32_t)bits;
    switch (type) {
        case F32: memcpy(&narrow, &low, 4); return real((double)narrow);
        case F64: memcpy(&wide, &bits, 8); return real(wide);
        case BOOL: return json_boolean(bits != 0);
        case I8: return json_integer((int8_t)bits);
        case I16: return json_integer((int16_t)bits);
        case I32: return json_integer((int32_t)bits);
        case I64: return json_integer((int64_t)bits);
        default: return bits > INT64_MAX ? json_real((double)bits) : json_integer((json_int_t)bits);
    }
}

/* *value is NULL where nothing is kept of it. */
static clmoe_status make_value(const clmoe__reader *reader, const entry *e, json_t **value) {
    *value = NULL;
    if (e->type == STRING) {
        if (e->string.length > CLMOE__GGUF_KEPT_MAX) return CLMOE_OK;
        *value = json_stringn(e->string.text, (size_t)e->string.length);
        if (*value == NULL || memchr(e->string.text, '\0', (size_t)e->string.length) != NULL) {
            json_decref(*value);
            return clmoe__reader_refuse(reader, "is no text in UTF-8");
        }
        return CLMOE_OK;
    }
    if (e->type != ARRAY) {
        *value = number(e->type, e->value);
        return *value != NULL ? CLMOE_OK : no_memory(reader);
    }
    if (e->of == STRING || e->count > CLMOE__GGUF_KEPT_MAX) return CLMOE_OK;
    *value = json_array();
    for (uint64_t i = 0; i < e->count; i++)
        if (json_array_append_new(*value, number(e->of, e->value + i * value_types[e->of].bytes)) != 0) {
            json_decref(*value);
            return no_memory(reader);
        }
    return *value != NULL ? CLMOE_OK : no_memory(reader);
}

/* Puts *value into the tree under a name with dots. Takes it over. */
static clmoe_status put(clmoe__reader *reader, json_t *root, const clmoe__span *name, json_t *value) {
    const char *part = name->text, *const end = name->text + name->length;
    json_t *object = root;
    for (;;) {
        const char *dot = memchr(part, '.', (size_t)(end - part));
        const size_t length = (size_t)((dot != NULL ? dot : end) - part);
        json_t *inner = json_object_getn(object, part, length);
        if (dot == NULL) {
            if (inner == NULL && json_object_setn_new(object, part, length, value) == 0) return CLMOE_OK;
            if (inner != NULL) json_decref(value);
            return clmoe__reader_refuse(reader, inner != NULL ? "is a value, but other keys lead through it"
                                                              : "has a name that is no text in UTF-8");
        }
        if (inner == NULL) {
            inner = json_object();
            if (json_object_setn_new(object, part, length, inner) != 0) {
                json_decref(value);
                return clmoe__reader_refuse(reader, "has a name that is no text in UTF-8");
            }
        }
        if (!json_is_object(inner)) {
            json_decref(value);
            return clmoe__reader_refuse(reader, "leads through a key that is a value");
        }
        object = inner;
        part = dot + 1;
    }
}

/* Is the name the architecture's, and of a sane depth? */
static int is_kept(const clmoe__span *name, const clmoe__span *architecture) {
    uint32_t parts = 1;
    if (name->length <= architecture->length || name->text[architecture->length] != '.') return 0;
    if (memcmp(name->text, architecture->text, (size_t)architecture->length) != 0) return 0;
    for (uint64_t i = 0; i < name->length && parts <= PARTS_MAX; i++) parts += name->text[i] == '.';
    return parts <= PARTS_MAX;
}

static clmoe_status keep(clmoe__reader *reader, const entry *entries, uint64_t count, clmoe__gguf *out) {
    const entry *const named = find(entries, count, "general.architecture");
    json_t *value;
    out->metadata = json_object();
    if (out->metadata == NULL) return no_memory(reader);
    if (named == NULL) return CLMOE_OK;
    clmoe__reader_subject(reader, "key", &named->name, 0);
    if (named->type != STRING)
        return clmoe__reader_refuse(reader, "is of type %s, expected string", value_types[named->type].name);
    if (named->string.length == 0 || named->string.length > 60 || clmoe__span_is(&named->string, "general"))
        return clmoe__reader_refuse(reader, "is no name of an architecture, which has 1..60 bytes");
    TRY(make_value(reader, named, &value));
    TRY(put(reader, out->metadata, &named->name, value));
    for (uint64_t i = 0; i < count; i++) {
        if (!is_kept(&entries[i].name, &named->string)) continue;
        clmoe__reader_subject(reader, "key", &entries[i].name, 0);
        TRY(make_value(reader, &entries[i], &value));
        if (value != NULL) TRY(put(reader, out->metadata, &entries[i].name, value));
    }
    return CLMOE_OK;
}

clmoe_status clmoe__gguf_metadata(clmoe__reader *reader, uint64_t count, clmoe__gguf *out, uint64_t *alignment) {
    if (count > CLMOE__GGUF_KEYS_MAX || count > (reader->bytes - reader->at) / KEY_BYTES_MIN)
        return clmoe__reader_refuse(
            reader,
            "says that %llu keys follow, but at most %u are read, and only %llu bytes are left: "
            "is it cut short?",
            (unsigned long long)count, CLMOE__GGUF_KEYS_MAX, (unsigned long long)(reader->bytes - reader->at));
    entry *const entries = calloc((size_t)count + 1, sizeof *entries);
    if (entries == NULL) return no_memory(reader);
    clmoe_status status = CLMOE_OK;
    for (uint64_t i = 0; i < count && status == CLMOE_OK; i++) status = read_entry(reader, i, &entries[i]);
    if (status == CLMOE_OK) {
        qsort(entries, (size_t)count, sizeof *entries, order_by_name);
        status = refuse_twice(reader, entries, count);
    }
    if (status == CLMOE_OK) status = read_own_keys(reader, entries, count, out, alignment);
    if (status == CLMOE_OK) status = keep(reader, entries, count, out);
    free(entries);
    return status;
}
