/* See gguf_file.h. */
#include "gguf_file.h"

#include <stdio.h>

#include "support.h"

gguf_file gguf_new(void) { return (gguf_file){.version = 3, .alignment = 32, .magic = {'G', 'G', 'U', 'F'}}; }

void gguf_free(gguf_file *file) {
    free(file->keys.at);
    free(file->infos.at);
    free(file->data.at);
    *file = (gguf_file){0};
}

void gguf_put_bytes(gguf_bytes *to, const void *data, size_t count) {
    if (to->count + count >= to->room) {
        to->room = 2 * (to->count + count) + 1;
        to->at = realloc(to->at, to->room);
        assert_non_null(to->at);
    }
    if (count != 0) memcpy(to->at + to->count, data, count);
    to->count += count;
}

void gguf_put(gguf_bytes *to, uint64_t value, uint32_t bytes) {
    unsigned char little[8];
    for (uint32_t i = 0; i < 8; i++) little[i] = (unsigned char)(value >> (8 * i));
    gguf_put_bytes(to, little, bytes);
}

void gguf_put_string(gguf_bytes *to, const char *text) {
    gguf_put(to, strlen(text), 8);
    gguf_put_bytes(to, text, strlen(text));
}

void gguf_key(gguf_file *file, const char *name, uint32_t type) {
    gguf_put_string(&file->keys, name);
    gguf_put(&file->keys, type, 4);
    file->num_keys++;
}

void gguf_u32(gguf_file *file, const char *name, uint32_t value) {
    gguf_key(file, name, GGUF_U32);
    gguf_put(&file->keys, value, 4);
}

static void put_float(gguf_bytes *to, float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    gguf_put(to, bits, 4);
}

void gguf_f32(gguf_file *file, const char *name, float value) {
    gguf_key(file, name, GGUF_F32);
    put_float(&file->keys, value);
}

void gguf_text(gguf_file *file, const char *name, const char *text) {
    gguf_key(file, name, GGUF_STRING);
    gguf_put_string(&file->keys, text);
}

/* ------------------------------------------------------------------------------------------------- from JSON */

/* An array has the type of its first element. */
static void put_array(gguf_file *file, const json_t *list) {
    const json_t *first = json_array_get(list, 0);
    const uint32_t type = json_is_real(first) ? GGUF_F32 : json_is_boolean(first) ? GGUF_BOOL : GGUF_I32;
    gguf_put(&file->keys, type, 4);
    gguf_put(&file->keys, json_array_size(list), 8);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        if (type == GGUF_F32)
            put_float(&file->keys, (float)json_number_value(one));
        else
            gguf_put(&file->keys, type == GGUF_BOOL ? json_is_true(one) : (uint64_t)json_integer_value(one),
                     type == GGUF_BOOL ? 1 : 4);
    }
}

void gguf_tree(gguf_file *file, const char *prefix, const json_t *object) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        char name[200];
        (void)snprintf(name, sizeof name, "%s.%s", prefix, key);
        if (json_is_object(value)) {
            gguf_tree(file, name, value);
        } else if (json_is_string(value)) {
            gguf_text(file, name, json_string_value(value));
        } else if (json_is_array(value)) {
            gguf_key(file, name, GGUF_ARRAY);
            put_array(file, value);
        } else if (json_is_boolean(value)) {
            gguf_key(file, name, GGUF_BOOL);
            gguf_put(&file->keys, json_is_true(value), 1);
        } else if (json_is_real(value)) {
            gguf_f32(file, name, (float)json_real_value(value));
        } else if (json_integer_value(value) >= 0) {
            gguf_u32(file, name, (uint32_t)json_integer_value(value));
        } else {
            gguf_key(file, name, GGUF_I64);
            gguf_put(&file->keys, (uint64_t)json_integer_value(value), 8);
        }
    }
}

/* ---------------------------------------------------------------------------------------------------- tensors */

void gguf_info(gguf_file *file, const char *name, uint32_t type, uint32_t rank, const uint64_t *sizes,
               uint64_t offset) {
    gguf_put_string(&file->infos, name);
    gguf_put(&file->infos, rank, 4);
    for (uint32_t i = 0; i < rank; i++) gguf_put(&file->infos, sizes[i], 8);
    gguf_put(&file->infos, type, 4);
    gguf_put(&file->infos, offset, 8);
    file->num_tensors++;
}

void gguf_tensor(gguf_file *file, const char *name, uint32_t type, uint32_t rank, const uint64_t *sizes,
                 const void *data, size_t bytes) {
    while (file->data.count % file->alignment != 0) gguf_put(&file->data, 0, 1);
    gguf_info(file, name, type, rank, sizes, file->data.count);
    gguf_put_bytes(&file->data, data, bytes);
}

void gguf_out_tensor(gguf_file *file, const clmoe__out_tensor *tensor) {
    const int f32 = strcmp(tensor->dtype, "F32") == 0, f16 = strcmp(tensor->dtype, "F16") == 0;
    uint64_t sizes[8], count = 1;
    uint32_t rank = tensor->rank;
    for (uint32_t i = 0; i < rank; i++) {
        sizes[i] = tensor->shape[rank - 1 - i];
        count *= sizes[i];
    }
    while (rank > 1 && sizes[rank - 1] == 1) rank--; /* ggml does not write them */
    gguf_tensor(file, tensor->name,
                f32   ? GGUF_TYPE_F32
                : f16 ? GGUF_TYPE_F16
                      : GGUF_TYPE_BF16,
                rank, sizes, tensor->data, (size_t)count * (f32 ? 4 : 2));
}

gguf_bytes gguf_image(const gguf_file *file) {
    gguf_bytes all = {0};
    gguf_put_bytes(&all, file->magic, 4);
    gguf_put(&all, file->version, 4);
    gguf_put(&all, file->num_tensors, 8);
    gguf_put(&all, file->num_keys, 8);
    gguf_put_bytes(&all, file->keys.at, file->keys.count);
    gguf_put_bytes(&all, file->infos.at, file->infos.count);
    while (file->data.count != 0 && all.count % file->alignment != 0) gguf_put(&all, 0, 1);
    gguf_put_bytes(&all, file->data.at, file->data.count);
    all.at = realloc(all.at, all.count); /* a sanitizer sees a byte too far */
    all.room = all.count;
    return all;
}

const char *gguf_write(const gguf_file *file, const test_folder *folder, const char *name) {
    gguf_bytes all = gguf_image(file);
    const char *const path = test_file(folder, name, all.at, all.count);
    free(all.at);
    return path;
}

static void small_u32(gguf_file *f, const char *without, const char *name, uint32_t value) {
    if (strcmp(name, without) != 0) gguf_u32(f, name, value);
}

static void small_tensor(gguf_file *f, const char *without, const char *name, uint32_t rank, const uint64_t *sizes,
                         const float *numbers, size_t bytes) {
    if (strcmp(name, without) != 0) gguf_tensor(f, name, GGUF_TYPE_F32, rank, sizes, numbers, bytes);
}

gguf_file gguf_small_without(const char *name) {
    static float numbers[64];
    static const uint64_t router[2] = {8, 2}, up[3] = {8, 4, 2}, down[3] = {4, 8, 2};
    gguf_file f = gguf_new();
    for (int i = 0; i < 64; i++) numbers[i] = (float)(i % 7) * 0.125f - 0.375f;
    if (strcmp(name, "general.architecture") != 0) gguf_text(&f, "general.architecture", "olmoe");
    small_u32(&f, name, "olmoe.block_count", 1);
    small_u32(&f, name, "olmoe.embedding_length", 8);
    small_u32(&f, name, "olmoe.feed_forward_length", 4);
    small_u32(&f, name, "olmoe.expert_count", 2);
    small_u32(&f, name, "olmoe.expert_used_count", 1);
    small_tensor(&f, name, "blk.0.ffn_gate_inp.weight", 2, router, numbers, 64);
    small_tensor(&f, name, "blk.0.ffn_gate_exps.weight", 3, up, numbers, 256);
    small_tensor(&f, name, "blk.0.ffn_up_exps.weight", 3, up, numbers, 256);
    small_tensor(&f, name, "blk.0.ffn_down_exps.weight", 3, down, numbers, 256);
    return f;
}

gguf_file gguf_small(void) { return gguf_small_without(""); }
