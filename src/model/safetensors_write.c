/* A .safetensors file that appears whole or not at all. The widest elements come first, so that every tensor begins at
 * a multiple of its element's size. Calls Jansson and src/os. */
#include <stdlib.h>
#include <string.h>

#include "os/os.h"
#include "os/size.h"
#include "safetensors.h"

/* One tensor on its way: checked, and given its place. */
typedef struct placed {
    const clmoe__out_tensor *tensor;
    const clmoe__dtype *dtype;
    uint64_t bytes, begin;
} placed;

#define REFUSE(tensor, ...) return clmoe__fail(error, CLMOE_INVALID_ARGUMENT, (tensor), __VA_ARGS__)

static clmoe_status check(const clmoe__out_tensor *tensor, placed *out, clmoe_error *error) {
    if (tensor->name == NULL) REFUSE("tensors", "a tensor has no name");
    if (strcmp(tensor->name, "__metadata__") == 0) REFUSE("__metadata__", "__metadata__ is no name for a tensor");
    out->tensor = tensor;
    out->dtype = tensor->dtype != NULL ? clmoe__dtype_find(tensor->dtype) : NULL;
    if (out->dtype == NULL) {
        char known[200];
        REFUSE(tensor->name, "tensor %.100s has dtype %.40s, expected one of %s", tensor->name,
               tensor->dtype != NULL ? tensor->dtype : "NULL", clmoe__dtype_list(known, sizeof known));
    }
    if (tensor->rank > CLMOE__MAX_RANK) {
        REFUSE(tensor->name, "tensor %.100s has rank %u, expected at most %u", tensor->name, tensor->rank,
               CLMOE__MAX_RANK);
    }
    const char *const wrong = clmoe__tensor_size(out->dtype, tensor->shape, tensor->rank, &out->bytes);
    if (wrong != NULL) REFUSE(tensor->name, "tensor %.100s %s", tensor->name, wrong);
    if (out->bytes != 0 && tensor->data == NULL) REFUSE(tensor->name, "tensor %.100s has no data", tensor->name);
    return CLMOE_OK;
}

/* The widest first, otherwise in the order given. */
static int order_by_width(const void *a, const void *b) {
    const placed *const left = a, *const right = b;
    if (left->dtype->bits != right->dtype->bits) return left->dtype->bits > right->dtype->bits ? -1 : 1;
    return left->tensor < right->tensor ? -1 : left->tensor > right->tensor;
}

/* Checks all and gives each its place. */
static clmoe_status place_all(const clmoe__out_tensor *tensors, uint32_t count, placed *to, clmoe_error *error) {
    uint64_t end = 0;
    for (uint32_t i = 0; i < count; ++i) TRY(check(&tensors[i], &to[i], error));
    qsort(to, count, sizeof *to, order_by_width);
    for (uint32_t i = 0; i < count; ++i) {
        to[i].begin = end;
        end = clmoe__add(end, to[i].bytes);
    }
    if (end > INT64_MAX) REFUSE("tensors", "the tensors have more than 2^63 bytes together");
    return CLMOE_OK;
}

static json_t *describe(const placed *one) {
    json_t *const shape = json_array();
    for (uint32_t i = 0; i < one->tensor->rank; ++i) {
        (void)json_array_append_new(shape, json_integer((json_int_t)one->tensor->shape[i]));
    }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", one->dtype->name, "shape", shape, "data_offsets",
                     (json_int_t)one->begin, (json_int_t)(one->begin + one->bytes));
}

/* The header as text; the caller frees it. */
static clmoe_status make_header(const placed *all, uint32_t count, char **text, clmoe_error *error) {
    json_t *const header = json_object();
    clmoe_status status = CLMOE_OK;
    for (uint32_t i = 0; i < count && status == CLMOE_OK; ++i) {
        const char *const name = all[i].tensor->name;
        if (json_object_get(header, name) != NULL) {
            status = clmoe__fail(error, CLMOE_INVALID_ARGUMENT, name, "two tensors are named %.100s", name);
        } else if (json_object_set_new(header, name, describe(&all[i])) != 0) {
            status = clmoe__fail(error, CLMOE_INVALID_ARGUMENT, name,
                                 "%.100s cannot be written as the name of a tensor", name);
        }
    }
    *text = status == CLMOE_OK ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    if (status == CLMOE_OK && *text == NULL) {
        status = clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for the header of a safetensors file");
    }
    return status;
}

static const char *write_header(clmoe__file_writer *writer, const char *text) {
    static const char spaces[8] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};
    const size_t length = strlen(text);
    const uint64_t padded = clmoe__round_up(length, 8); /* so that the data begins at a multiple of 8 */
    unsigned char first[CLMOE__HEADER_LENGTH_BYTES];
    for (uint32_t i = 0; i < sizeof first; ++i) first[i] = (unsigned char)(padded >> (8 * i));
    const char *wrong = clmoe__os_writer_write(writer, first, sizeof first);
    if (wrong == NULL) wrong = clmoe__os_writer_write(writer, text, length);
    if (wrong == NULL) wrong = clmoe__os_writer_write(writer, spaces, (size_t)(padded - length));
    return wrong;
}

static clmoe_status write_file(const char *path, const char *text, const placed *all, uint32_t count,
                               clmoe_error *error) {
    clmoe__file_writer *writer;
    const char *wrong = clmoe__os_writer_open(path, &writer);
    if (wrong == NULL) {
        wrong = write_header(writer, text);
        for (uint32_t i = 0; i < count && wrong == NULL; ++i) {
            wrong = clmoe__os_writer_write(writer, all[i].tensor->data, (size_t)all[i].bytes);
        }
        if (wrong == NULL)
            wrong = clmoe__os_writer_commit(writer);
        else
            clmoe__os_writer_give_up(writer);
    }
    if (wrong == NULL) return CLMOE_OK;
    return clmoe__fail(error, CLMOE_INVALID_FILE, clmoe__path_name(path), "%s %s", clmoe__path_end(path), wrong);
}

clmoe_status clmoe__safetensors_write(const char *path, const clmoe__out_tensor *tensors, uint32_t count,
                                      clmoe_error *error) {
    char *text = NULL;
    placed *const all = calloc((size_t)count + 1, sizeof *all);
    if (all == NULL)
        return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for %u tensors to write", count);
    clmoe_status status = place_all(tensors, count, all, error);
    if (status == CLMOE_OK) status = make_header(all, count, &text, error);
    if (status == CLMOE_OK && strlen(text) > CLMOE__HEADER_MAX - 8) {
        status = clmoe__fail(error, CLMOE_INVALID_ARGUMENT, "tensors", "the header of %u tensors passes %llu bytes",
                             count, (unsigned long long)CLMOE__HEADER_MAX);
    }
    if (status == CLMOE_OK) status = write_file(path, text, all, count, error);
    free(text);
    free(all);
    return status;
}
