/* The header of a .gguf file, checked so that no later reader has to: every tensor lies inside the file, is aligned and
 * overlaps no other. Calls gguf_read.c, gguf_meta.c and ggml_types.c. */
#include "gguf.h"

#include <stdlib.h>
#include <string.h>

#include "os/size.h"
#include "safetensors.h"

#define RANK_MAX         4u
#define TENSOR_BYTES_MIN 33u /* of what stands in the header: a name of one byte, one size */

static const unsigned char magic[4] = {'G', 'G', 'U', 'F'};

int clmoe__gguf_magic(const unsigned char *data, uint64_t bytes) {
    return bytes >= sizeof magic && memcmp(data, magic, sizeof magic) == 0;
}

static clmoe_status no_memory(const clmoe__reader *reader) {
    return clmoe__fail(reader->error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "%s: no memory for the list of its tensors",
                       clmoe__path_end(reader->file));
}

/* ----------------------------------------------------------------------------------------------- one tensor */

static clmoe_status read_name(clmoe__reader *reader, uint64_t number, clmoe__span *name) {
    clmoe__reader_subject(reader, "tensor", NULL, number);
    TRY(clmoe__reader_string(reader, "its name", name));
    if (name->length == 0 || name->length > CLMOE__GGUF_NAME_MAX)
        return clmoe__reader_refuse(reader, "has a name of %llu bytes, expected 1..%u",
                                    (unsigned long long)name->length, CLMOE__GGUF_NAME_MAX);
    if (memchr(name->text, '\0', (size_t)name->length) != NULL)
        return clmoe__reader_refuse(reader, "has a name with a zero byte in it");
    clmoe__reader_subject(reader, "tensor", name, 0);
    return CLMOE_OK;
}

/* Sizes stand innermost first; here the innermost is the last. */
static clmoe_status read_shape(clmoe__reader *reader, clmoe__file_tensor *tensor) {
    TRY(clmoe__reader_u32(reader, "the number of its dimensions", &tensor->rank));
    if (tensor->rank < 1 || tensor->rank > RANK_MAX)
        return clmoe__reader_refuse(reader, "has %u dimensions, expected 1..%u", tensor->rank, RANK_MAX);
    for (uint32_t i = 0; i < tensor->rank; i++) {
        uint64_t *const size = &tensor->shape[tensor->rank - 1 - i];
        TRY(clmoe__reader_u64(reader, "its dimensions", size));
        if (*size == 0 || *size > INT64_MAX)
            return clmoe__reader_refuse(reader, "has %llu as dimension %u, expected 1..%lld", (unsigned long long)*size,
                                        i, (long long)INT64_MAX);
    }
    return CLMOE_OK;
}

/* The name is not yet kept, and the data's place not yet known: *offset counts from its beginning. */
static clmoe_status read_tensor(clmoe__reader *reader, uint64_t number, clmoe__span *name, clmoe__file_tensor *tensor,
                                uint64_t *offset) {
    uint32_t type;
    TRY(read_name(reader, number, name));
    TRY(read_shape(reader, tensor));
    TRY(clmoe__reader_u32(reader, "its type", &type));
    TRY(clmoe__reader_u64(reader, "its offset", offset));
    tensor->dtype = clmoe__ggml_type(type);
    if (tensor->dtype == NULL) return clmoe__reader_refuse(reader, "is of type %u, which is unknown", type);
    const char *const wrong = clmoe__tensor_size(tensor->dtype, tensor->shape, tensor->rank, &tensor->bytes);
    if (wrong == NULL) return CLMOE_OK;
    return clmoe__reader_refuse(reader, "%s: %llu values a row of %s", wrong,
                                (unsigned long long)tensor->shape[tensor->rank - 1], tensor->dtype->name);
}

/* ---------------------------------------------------------------------------------------------- all of them */

/* What the header says before names and data have their place. */
typedef struct info {
    clmoe__span name;
    uint64_t offset;
} info;

static clmoe_status read_infos(clmoe__reader *reader, uint64_t count, clmoe__gguf *out, info *infos) {
    uint64_t length = 1;
    for (uint64_t i = 0; i < count; i++) {
        TRY(read_tensor(reader, i, &infos[i].name, &out->tensors[i], &infos[i].offset));
        length += infos[i].name.length + 1;
    }
    out->names = malloc((size_t)length);
    if (out->names == NULL) return no_memory(reader);
    char *to = out->names;
    for (uint64_t i = 0; i < count; i++) {
        memcpy(to, infos[i].name.text, (size_t)infos[i].name.length);
        to[infos[i].name.length] = '\0';
        out->tensors[i].name = to;
        out->tensors[i].file = reader->file;
        to += infos[i].name.length + 1;
    }
    out->count = count;
    return CLMOE_OK;
}

/* Each lies in the file, where it may. */
static clmoe_status place(clmoe__reader *reader, uint64_t alignment, clmoe__gguf *out, const info *infos) {
    const uint64_t begin = clmoe__round_up(reader->at, alignment);
    for (uint64_t i = 0; i < out->count; i++) {
        clmoe__file_tensor *const tensor = &out->tensors[i];
        const uint64_t offset = infos[i].offset, end = clmoe__add(clmoe__add(begin, offset), tensor->bytes);
        clmoe__reader_subject(reader, "tensor", &infos[i].name, 0);
        if (offset % alignment != 0)
            return clmoe__reader_refuse(reader, "begins at byte %llu of the data, expected a multiple of %llu",
                                        (unsigned long long)offset, (unsigned long long)alignment);
        if (end > reader->bytes)
            return clmoe__reader_refuse(reader,
                                        "has %llu bytes from byte %llu of the data on, but the file has only "
                                        "%llu there: is it cut short?",
                                        (unsigned long long)tensor->bytes, (unsigned long long)offset,
                                        (unsigned long long)(reader->bytes > begin ? reader->bytes - begin : 0));
        tensor->data = reader->data + begin + offset;
    }
    return CLMOE_OK;
}

static int order_by_place(const void *a, const void *b) {
    const clmoe__file_tensor *const left = a, *const right = b;
    return left->data != right->data ? (left->data < right->data ? -1 : 1) : strcmp(left->name, right->name);
}

static clmoe_status refuse_pair(clmoe__reader *reader, const clmoe__file_tensor *tensor, const char *words,
                                const char *other) {
    const clmoe__span name = {tensor->name, strlen(tensor->name)};
    clmoe__reader_subject(reader, "tensor", &name, 0);
    return clmoe__reader_refuse(reader, "%s%.100s", words, other);
}

/* Leaves the tensors in name order. */
static clmoe_status check_pairs(clmoe__reader *reader, const clmoe__gguf *out) {
    qsort(out->tensors, (size_t)out->count, sizeof *out->tensors, order_by_place);
    for (uint64_t i = 1; i < out->count; i++) {
        const clmoe__file_tensor *const one = &out->tensors[i - 1], *const two = &out->tensors[i];
        if ((uint64_t)(two->data - one->data) < one->bytes)
            return refuse_pair(reader, two, "begins within the data of tensor ", one->name);
    }
    qsort(out->tensors, (size_t)out->count, sizeof *out->tensors, clmoe__tensor_order);
    for (uint64_t i = 1; i < out->count; i++)
        if (strcmp(out->tensors[i - 1].name, out->tensors[i].name) == 0)
            return refuse_pair(reader, &out->tensors[i], "is there twice", "");
    return CLMOE_OK;
}

static clmoe_status read_tensors(clmoe__reader *reader, uint64_t count, uint64_t alignment, clmoe__gguf *out) {
    const uint64_t left = reader->bytes - reader->at;
    clmoe__reader_subject(reader, "the list of tensors", NULL, count);
    if (count > CLMOE__GGUF_TENSORS_MAX || count > left / TENSOR_BYTES_MIN)
        return clmoe__reader_refuse(reader,
                                    "is too long: at most %u tensors are read, and only %llu bytes are left: is it cut "
                                    "short?",
                                    CLMOE__GGUF_TENSORS_MAX, (unsigned long long)left);
    info *const infos = calloc((size_t)count + 1, sizeof *infos);
    out->tensors = calloc((size_t)count + 1, sizeof *out->tensors);
    clmoe_status status = infos != NULL && out->tensors != NULL ? CLMOE_OK : no_memory(reader);
    if (status == CLMOE_OK) status = read_infos(reader, count, out, infos);
    if (status == CLMOE_OK) status = place(reader, alignment, out, infos);
    free(infos);
    return status == CLMOE_OK ? check_pairs(reader, out) : status;
}

/* --------------------------------------------------------------------------------------------------- a file */

/* The numbers of a file are little-endian and are used where they lie. */
static int is_little_endian(void) {
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 1;
}

static clmoe_status read_version(clmoe__reader *reader) {
    uint32_t version;
    TRY(clmoe__reader_need(reader, sizeof magic, "its magic"));
    if (!clmoe__gguf_magic(reader->data, reader->bytes))
        return clmoe__reader_refuse(reader, "begins with bytes %02x %02x %02x %02x, expected GGUF", reader->data[0],
                                    reader->data[1], reader->data[2], reader->data[3]);
    reader->at = sizeof magic;
    TRY(clmoe__reader_u32(reader, "its version", &version));
    if (version == 2 || version == 3) return CLMOE_OK;
    return clmoe__reader_refuse(reader, "is of version %u, expected 2 or 3%s", version,
                                version != 0 && version % 65536 == 0 ? ", little-endian" : "");
}

static clmoe_status parse(clmoe__reader *reader, clmoe__gguf *out) {
    uint64_t tensors, keys, alignment;
    TRY(read_version(reader));
    TRY(clmoe__reader_u64(reader, "the number of its tensors", &tensors));
    TRY(clmoe__reader_u64(reader, "the number of its keys", &keys));
    TRY(clmoe__gguf_metadata(reader, keys, out, &alignment));
    return read_tensors(reader, tensors, alignment, out);
}

clmoe_status clmoe__gguf_parse(const unsigned char *data, uint64_t bytes, const char *file, clmoe__gguf *out,
                               clmoe_error *error) {
    clmoe__reader reader = {.data = data, .bytes = bytes, .file = file, .subject = "the header", .error = error};
    *out = (clmoe__gguf){0};
    if (!is_little_endian())
        return clmoe__fail(error, CLMOE_UNSUPPORTED, NULL, "GGUF files are read on little-endian machines only");
    const char *const name = clmoe__path_name(file);
    memcpy(reader.argument, name, strlen(name) < sizeof reader.argument ? strlen(name) : sizeof reader.argument - 1);
    const clmoe_status status = parse(&reader, out);
    if (status != CLMOE_OK) clmoe__gguf_free(out);
    return status;
}

void clmoe__gguf_free(clmoe__gguf *gguf) {
    free(gguf->tensors);
    free(gguf->names);
    json_decref(gguf->metadata);
    *gguf = (clmoe__gguf){0};
}
