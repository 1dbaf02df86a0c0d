/* The header of a .safetensors file, checked so that no later reader has to: every tensor lies inside the data, has
 * exactly the bytes that shape and dtype ask for, overlaps no other, and no byte belongs to none. Calls Jansson and
 * src/os. */
#include "safetensors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "os/size.h"

/* Where we are, for messages. */
typedef struct place {
    const char *file;
    const char *tensor;
    clmoe_error *error;
} place;

/* "FILE: tensor NAME ..." */
static clmoe_status refuse(const place *at, const char *format, ...) CLMOE__PRINTF(2, 3);
static clmoe_status refuse(const place *at, const char *format, ...) {
    char text[320];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return clmoe__fail(at->error, CLMOE_INVALID_FILE, at->tensor, "%s: tensor %.100s %s", clmoe__path_end(at->file),
                       at->tensor, text);
}

/* A key of the tensor's entry that is not what it must be. */
static clmoe_status refuse_key(const place *at, const char *key, const json_t *found, const char *expected) {
    char words[80];
    return refuse(at, "has %s %s, expected %s", key, clmoe__json_words(found, words, sizeof words), expected);
}

static clmoe_status no_memory(const char *file, clmoe_error *error) {
    return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "%s: no memory for the list of its tensors",
                       clmoe__path_end(file));
}

/* The N of the header; the bytes behind the header in *data_bytes. */
static clmoe_status read_length(const unsigned char *data, uint64_t bytes, const char *file, uint64_t *length,
                                clmoe_error *error) {
    const char *const shown = clmoe__path_end(file);
    const char *const name = clmoe__path_name(file);
    if (bytes < CLMOE__HEADER_LENGTH_BYTES) {
        return clmoe__fail(error, CLMOE_INVALID_FILE, name,
                           "%s: has %llu bytes, a safetensors file begins with the 8 of its header's length", shown,
                           (unsigned long long)bytes);
    }
    *length = 0;
    for (uint32_t i = 0; i < CLMOE__HEADER_LENGTH_BYTES; ++i) *length |= (uint64_t)data[i] << (8 * i);
    const uint64_t rest = bytes - CLMOE__HEADER_LENGTH_BYTES;
    if (*length > CLMOE__HEADER_MAX) {
        return clmoe__fail(error, CLMOE_INVALID_FILE, name,
                           "%s: says that its header has %llu bytes, at most %llu are allowed: not a safetensors file?",
                           shown, (unsigned long long)*length, (unsigned long long)CLMOE__HEADER_MAX);
    }
    if (*length > rest) {
        return clmoe__fail(error, CLMOE_INVALID_FILE, name,
                           "%s: says that its header has %llu bytes, but only %llu follow: is it cut short?", shown,
                           (unsigned long long)*length, (unsigned long long)rest);
    }
    return CLMOE_OK;
}

static clmoe_status read_dtype(const place *at, const json_t *entry, const clmoe__dtype **dtype) {
    const json_t *const found = json_object_get(entry, "dtype");
    *dtype = json_is_string(found) ? clmoe__dtype_find(json_string_value(found)) : NULL;
    if (*dtype != NULL) return CLMOE_OK;
    char known[200], expected[220];
    (void)snprintf(expected, sizeof expected, "one of %s", clmoe__dtype_list(known, sizeof known));
    return refuse_key(at, "dtype", found, expected);
}

static clmoe_status read_shape(const place *at, const json_t *entry, clmoe__file_tensor *tensor) {
    const json_t *const list = json_object_get(entry, "shape");
    if (!json_is_array(list)) return refuse_key(at, "shape", list, "a list of integers");
    const size_t rank = json_array_size(list);
    if (rank > CLMOE__MAX_RANK)
        return refuse(at, "has a shape of %zu dimensions, at most %u are read", rank, CLMOE__MAX_RANK);
    tensor->rank = (uint32_t)rank;
    for (uint32_t i = 0; i < tensor->rank; ++i) {
        const json_t *const size = json_array_get(list, i);
        char key[24];
        (void)snprintf(key, sizeof key, "shape[%u]", i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return refuse_key(at, key, size, "an integer of 0 or more");
        tensor->shape[i] = (uint64_t)json_integer_value(size);
    }
    return CLMOE_OK;
}

/* Offsets count from the end of the header. */
static clmoe_status read_offsets(const place *at, const json_t *entry, uint64_t data_bytes, uint64_t offsets[2]) {
    const json_t *const list = json_object_get(entry, "data_offsets");
    if (json_array_size(list) != 2) return refuse_key(at, "data_offsets", list, "a list of two integers");
    for (uint32_t i = 0; i < 2; ++i) {
        const json_t *const offset = json_array_get(list, i);
        const char *const key = i == 0 ? "data_offsets[0]" : "data_offsets[1]";
        if (!json_is_integer(offset) || json_integer_value(offset) < 0) {
            return refuse_key(at, key, offset, "an integer of 0 or more");
        }
        offsets[i] = (uint64_t)json_integer_value(offset);
    }
    if (offsets[1] < offsets[0]) {
        return refuse(at, "has data_offsets [%llu, %llu], which run backwards", (unsigned long long)offsets[0],
                      (unsigned long long)offsets[1]);
    }
    if (offsets[1] > data_bytes) {
        return refuse(at, "has data_offsets [%llu, %llu], but the file has only %llu bytes of data: is it cut short?",
                      (unsigned long long)offsets[0], (unsigned long long)offsets[1], (unsigned long long)data_bytes);
    }
    return CLMOE_OK;
}

/* Everything but name and file. `data` is where offset 0 is. */
static clmoe_status read_tensor(const place *at, const json_t *entry, const unsigned char *data, uint64_t data_bytes,
                                clmoe__file_tensor *tensor) {
    uint64_t offsets[2] = {0, 0};
    if (!json_is_object(entry)) return refuse_key(at, "an entry that is", entry, "an object");
    TRY(read_dtype(at, entry, &tensor->dtype));
    TRY(read_shape(at, entry, tensor));
    TRY(read_offsets(at, entry, data_bytes, offsets));
    const char *const wrong = clmoe__tensor_size(tensor->dtype, tensor->shape, tensor->rank, &tensor->bytes);
    if (wrong != NULL) return refuse(at, "%s", wrong);
    if (offsets[1] - offsets[0] != tensor->bytes) {
        return refuse(at, "has data_offsets [%llu, %llu], %llu bytes, but its shape and dtype %s ask for %llu",
                      (unsigned long long)offsets[0], (unsigned long long)offsets[1],
                      (unsigned long long)(offsets[1] - offsets[0]), tensor->dtype->name,
                      (unsigned long long)tensor->bytes);
    }
    tensor->data = data + offsets[0];
    return CLMOE_OK;
}

static clmoe_status check_metadata(json_t *metadata, const char *file, clmoe_error *error) {
    const char *key;
    json_t *value;
    if (!json_is_object(metadata)) return clmoe__json_wrong(metadata, "__metadata__", file, "an object", error);
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value)) {
            char name[80];
            (void)snprintf(name, sizeof name, "__metadata__.%.60s", key);
            return clmoe__json_wrong(value, name, file, "a string", error);
        }
    }
    return CLMOE_OK;
}

static int order_by_place(const void *a, const void *b) {
    const clmoe__file_tensor *const left = a, *const right = b;
    if (left->data != right->data) return left->data < right->data ? -1 : 1;
    return left->bytes < right->bytes ? -1 : left->bytes > right->bytes;
}

int clmoe__tensor_order(const void *a, const void *b) {
    return strcmp(((const clmoe__file_tensor *)a)->name, ((const clmoe__file_tensor *)b)->name);
}

/* Tensor behind tensor without overlap or gap, as the format demands: a gap could hide anything. Leaves them in that
 * order. */
static clmoe_status check_layout(const clmoe__safetensors *in, const unsigned char *data, uint64_t data_bytes,
                                 const char *file, clmoe_error *error) {
    const unsigned char *end = data;
    qsort(in->tensors, (size_t)in->count, sizeof *in->tensors, order_by_place);
    for (uint64_t i = 0; i < in->count; ++i) {
        const clmoe__file_tensor *const tensor = &in->tensors[i];
        const place at = {file, tensor->name, error};
        const unsigned long long begin = (unsigned long long)(tensor->data - data),
                                 wanted = (unsigned long long)(end - data);
        if (tensor->data < end) {
            return refuse(&at, "begins at byte %llu of the data, within tensor %.100s, which ends at %llu", begin,
                          in->tensors[i - 1].name, wanted);
        }
        if (tensor->data > end) {
            return refuse(&at, "begins at byte %llu of the data, but bytes %llu to %llu before it belong to no tensor",
                          begin, wanted, begin);
        }
        end += tensor->bytes;
    }
    const uint64_t used = (uint64_t)(end - data);
    if (used == data_bytes) return CLMOE_OK;
    return clmoe__fail(error, CLMOE_INVALID_FILE, clmoe__path_name(file),
                       "%s: has %llu bytes of data, but its tensors end at byte %llu", clmoe__path_end(file),
                       (unsigned long long)data_bytes, (unsigned long long)used);
}

/* Room for every entry of the header and its name. */
static clmoe_status allocate(json_t *header, const char *file, clmoe__safetensors *out, clmoe_error *error) {
    const char *key;
    json_t *entry;
    size_t length = 1;
    json_object_foreach(header, key, entry) length += strlen(key) + 1;
    out->tensors = calloc(json_object_size(header) + 1, sizeof *out->tensors);
    out->names = malloc(length);
    return out->tensors != NULL && out->names != NULL ? CLMOE_OK : no_memory(file, error);
}

static clmoe_status read_entries(json_t *header, const unsigned char *data, uint64_t data_bytes, const char *file,
                                 clmoe__safetensors *out, clmoe_error *error) {
    const char *key;
    json_t *entry;
    TRY(allocate(header, file, out, error));
    char *name = out->names;
    json_object_foreach(header, key, entry) {
        if (strcmp(key, "__metadata__") == 0) {
            TRY(check_metadata(entry, file, error));
            continue;
        }
        clmoe__file_tensor *const tensor = &out->tensors[out->count++];
        const size_t length = strlen(key) + 1;
        memcpy(name, key, length);
        tensor->name = name;
        tensor->file = file;
        name += length;
        const place at = {file, tensor->name, error};
        TRY(read_tensor(&at, entry, data, data_bytes, tensor));
    }
    TRY(check_layout(out, data, data_bytes, file, error));
    qsort(out->tensors, (size_t)out->count, sizeof *out->tensors, clmoe__tensor_order);
    return CLMOE_OK;
}

/* The numbers of a file are little-endian and are used where they lie. */
static int is_little_endian(void) {
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 1;
}

clmoe_status clmoe__safetensors_parse(const unsigned char *data, uint64_t bytes, const char *file,
                                      clmoe__safetensors *out, clmoe_error *error) {
    uint64_t length = 0;
    json_t *header = NULL;
    memset(out, 0, sizeof *out);
    if (!is_little_endian()) {
        return clmoe__fail(error, CLMOE_UNSUPPORTED, NULL, "safetensors files are read on little-endian machines only");
    }
    TRY(read_length(data, bytes, file, &length, error));
    const unsigned char *const text = data + CLMOE__HEADER_LENGTH_BYTES;
    TRY(clmoe__json_parse((const char *)text, (size_t)length, file, &header, error));
    const clmoe_status status =
        read_entries(header, text + length, bytes - CLMOE__HEADER_LENGTH_BYTES - length, file, out, error);
    json_decref(header);
    if (status != CLMOE_OK) clmoe__safetensors_free(out);
    return status;
}

void clmoe__safetensors_free(clmoe__safetensors *safetensors) {
    free(safetensors->tensors);
    free(safetensors->names);
    memset(safetensors, 0, sizeof *safetensors);
}
