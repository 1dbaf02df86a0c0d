/* The GGUF reader on files that are right: values of every type, shapes, sizes of blocks, alignments, both versions,
 * models in parts, and the ways to name a model. No OpenCL device. */
#include <math.h>
#include <stdio.h>

#include "gguf_file.h"
#include "model/gguf.h"
#include "model/json.h"
#include "os/error.h"
#include "support.h"

static clmoe__checkpoint *open_file(const char *path) {
    clmoe_error error = {0};
    clmoe__checkpoint *checkpoint = NULL;
    OK(clmoe__checkpoint_open(path, &checkpoint, &error));
    return checkpoint;
}

/* ------------------------------------------------------------------------------------------------ metadata */

static void put_value(gguf_file *f, const char *name, uint32_t type, uint64_t bits, uint32_t bytes) {
    gguf_key(f, name, type);
    gguf_put(&f->keys, bits, bytes);
}

static void values_of_every_type(void **state) {
    (void)state;
    static const struct {
        const char *name;
        uint32_t type;
        uint64_t bits;
        uint32_t bytes;
        double value;
        int integer;
    } rows[] = {
        {"m.u8", GGUF_U8, 250, 1, 250, 1},
        {"m.i8", GGUF_I8, 0xf9, 1, -7, 1},
        {"m.u16", GGUF_U16, 65000, 2, 65000, 1},
        {"m.i16", GGUF_I16, 0x8ad0, 2, -30000, 1},
        {"m.u32", GGUF_U32, 4000000000u, 4, 4e9, 1},
        {"m.i32", GGUF_I32, 0xc0000000u, 4, -1073741824, 1},
        {"m.u64", GGUF_U64, 9223372036854775807u, 8, 9223372036854775807.0, 1},
        {"m.big", GGUF_U64, 9223372036854775808u, 8, 9223372036854775808.0, 0},
        {"m.i64", GGUF_I64, 0xc000000000000000u, 8, -4611686018427387904.0, 1},
        {"m.f32", GGUF_F32, 0x40200000, 4, 2.5, 0},
        {"m.f64", GGUF_F64, 0x3fb999999999999a, 8, 0.1, 0},
        {"m.deep.er.value", GGUF_U8, 1, 1, 1, 1},
    };
    gguf_file f = gguf_new();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        put_value(&f, rows[i].name, rows[i].type, rows[i].bits, rows[i].bytes);
    put_value(&f, "m.yes", GGUF_BOOL, 1, 1);
    put_value(&f, "m.no", GGUF_BOOL, 0, 1);
    put_value(&f, "m.nan", GGUF_F32, 0x7fc00000, 4);
    put_value(&f, "m.infinite", GGUF_F64, 0xfff0000000000000, 8);
    put_value(&f, "other.key", GGUF_U8, 1, 1);
    gguf_text(&f, "m.text", "na\xc3\xafve");
    gguf_text(&f, "general.license", "of another name");
    gguf_text(&f, "general.license.name", "which is no trouble");
    gguf_text(&f, "general.architecture", "m"); /* behind its keys */
    gguf_bytes image = gguf_image(&f);
    clmoe__gguf gguf;
    clmoe_error error = {0};
    OK(clmoe__gguf_parse(image.at, image.count, "a.gguf", &gguf, &error));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const json_t *value = clmoe__json_get(gguf.metadata, rows[i].name);
        if (value == NULL || json_is_integer(value) != rows[i].integer || json_number_value(value) < rows[i].value ||
            json_number_value(value) > rows[i].value)
            fail_msg("%s", rows[i].name);
    }
    assert_true(json_is_true(clmoe__json_get(gguf.metadata, "m.yes")));
    assert_true(json_is_false(clmoe__json_get(gguf.metadata, "m.no")));
    assert_true(json_is_string(clmoe__json_get(gguf.metadata, "m.nan")));
    assert_true(json_is_string(clmoe__json_get(gguf.metadata, "m.infinite")));
    assert_string_equal(json_string_value(clmoe__json_get(gguf.metadata, "m.text")), "na\xc3\xafve");
    assert_string_equal(json_string_value(clmoe__json_get(gguf.metadata, "general.architecture")), "m");
    assert_int_equal(json_object_size(gguf.metadata), 2);
    clmoe__gguf_free(&gguf);
    free(image.at);
    gguf_free(&f);
}

static void put_array(gguf_file *f, const char *name, uint32_t type, uint64_t count, uint32_t bytes) {
    gguf_key(f, name, GGUF_ARRAY);
    gguf_put(&f->keys, type, 4);
    gguf_put(&f->keys, count, 8);
    for (uint64_t i = 0; i < count; i++) {
        if (type == GGUF_STRING)
            gguf_put_string(&f->keys, "word");
        else
            gguf_put(&f->keys, i & 1, bytes);
    }
}

/* Short arrays of numbers and flags are kept, all others read and passed over. */
static void arrays(void **state) {
    (void)state;
    gguf_file f = gguf_small();
    put_array(&f, "olmoe.empty", GGUF_U8, 0, 1);
    put_array(&f, "olmoe.numbers", GGUF_I32, 1024, 4);
    put_array(&f, "olmoe.flags", GGUF_BOOL, 3, 1);
    put_array(&f, "olmoe.long", GGUF_U16, 1025, 2);
    put_array(&f, "olmoe.words", GGUF_STRING, 3, 0);
    put_array(&f, "tokenizer.ggml.tokens", GGUF_STRING, 100000, 0);
    gguf_bytes image = gguf_image(&f);
    clmoe__gguf gguf;
    clmoe_error error = {0};
    OK(clmoe__gguf_parse(image.at, image.count, "a.gguf", &gguf, &error));
    assert_int_equal(json_array_size(clmoe__json_get(gguf.metadata, "olmoe.empty")), 0);
    assert_true(json_is_array(clmoe__json_get(gguf.metadata, "olmoe.empty")));
    assert_int_equal(json_array_size(clmoe__json_get(gguf.metadata, "olmoe.numbers")), 1024);
    assert_int_equal(json_integer_value(json_array_get(clmoe__json_get(gguf.metadata, "olmoe.numbers"), 1023)), 1);
    assert_true(json_is_true(json_array_get(clmoe__json_get(gguf.metadata, "olmoe.flags"), 1)));
    assert_null(clmoe__json_get(gguf.metadata, "olmoe.long"));
    assert_null(clmoe__json_get(gguf.metadata, "olmoe.words"));
    assert_null(clmoe__json_get(gguf.metadata, "tokenizer"));
    clmoe__gguf_free(&gguf);
    free(image.at);
    gguf_free(&f);
}

/* ------------------------------------------------------------------------------------------------- tensors */

/* ggml's types by number: name, values a block, bytes a block. */
static const struct {
    uint32_t type;
    const char *name;
    uint32_t values, bytes, format;
} types[] = {
    {0, "f32", 1, 4, CLMOE_F32},
    {1, "f16", 1, 2, CLMOE_F16},
    {2, "q4_0", 32, 18, CLMOE_Q4_0},
    {3, "q4_1", 32, 20, CLMOE_Q4_1},
    {6, "q5_0", 32, 22, CLMOE_Q5_0},
    {7, "q5_1", 32, 24, CLMOE_Q5_1},
    {8, "q8_0", 32, 34, CLMOE_Q8_0},
    {10, "q2_K", 256, 84, CLMOE_Q2_K},
    {11, "q3_K", 256, 110, CLMOE_Q3_K},
    {12, "q4_K", 256, 144, CLMOE_Q4_K},
    {13, "q5_K", 256, 176, CLMOE_Q5_K},
    {14, "q6_K", 256, 210, CLMOE_Q6_K},
    {19, "iq1_s", 256, 50, 0},
    {20, "iq4_nl", 32, 18, CLMOE_IQ4_NL},
    {22, "iq2_s", 256, 82, 0},
    {23, "iq4_xs", 256, 136, CLMOE_IQ4_XS},
    {26, "i32", 1, 4, 0},
    {28, "f64", 1, 8, 0},
    {30, "bf16", 1, 2, CLMOE_BF16},
    {34, "tq1_0", 256, 54, CLMOE_TQ1_0},
    {35, "tq2_0", 256, 66, CLMOE_TQ2_0},
    {39, "mxfp4", 32, 17, CLMOE_MXFP4},
    {40, "nvfp4", 64, 36, CLMOE_NVFP4},
};

static void tensors_of_every_type(void **state) {
    (void)state;
    enum { COUNT = sizeof types / sizeof *types };
    gguf_file f = gguf_new();
    unsigned char data[256 * 6 * 8];
    test_folder folder = test_folder_new();
    for (size_t i = 0; i < COUNT; i++) {
        const uint64_t sizes[3] = {types[i].values, 3, 2};
        memset(data, (int)i, sizeof data);
        gguf_tensor(&f, types[i].name, types[i].type, 3, sizes, data, 6u * types[i].bytes);
    }
    clmoe__checkpoint *checkpoint = open_file(gguf_write(&f, &folder, "all.gguf"));
    assert_int_equal(clmoe__checkpoint_count(checkpoint), COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        const clmoe__file_tensor *t = clmoe__checkpoint_find(checkpoint, types[i].name);
        assert_non_null(t);
        assert_string_equal(t->dtype->name, types[i].name);
        assert_int_equal(t->dtype->format, types[i].format);
        assert_int_equal(t->bytes, 6u * types[i].bytes);
        assert_int_equal(t->rank, 3);
        assert_true(t->shape[0] == 2 && t->shape[1] == 3 && t->shape[2] == types[i].values);
        assert_true(t->data[0] == i && t->data[t->bytes - 1] == i);
    }
    clmoe__checkpoint_close(checkpoint);
    gguf_free(&f);
    test_folder_free(&folder);
}

static void alignments_and_versions(void **state) {
    (void)state;
    static const uint32_t alignments[] = {8, 16, 24, 32, 64, 4096};
    static const uint64_t sizes[1] = {5};
    static const float one[5] = {1, 1, 1, 1, 1}, two[5] = {2, 2, 2, 2, 2};
    test_folder folder = test_folder_new();
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        for (uint32_t version = 2; version <= 3; version++) {
            gguf_file f = gguf_new();
            f.version = version;
            f.alignment = alignments[i];
            gguf_u32(&f, "general.alignment", alignments[i]);
            gguf_tensor(&f, "one", GGUF_TYPE_F32, 1, sizes, one, sizeof one);
            gguf_tensor(&f, "two", GGUF_TYPE_F32, 1, sizes, two, sizeof two);
            clmoe__checkpoint *checkpoint = open_file(gguf_write(&f, &folder, "a.gguf"));
            const clmoe__file_tensor *t = clmoe__checkpoint_find(checkpoint, "two");
            if ((alignments[i] & (alignments[i] - 1)) == 0) assert_int_equal((uintptr_t)t->data % alignments[i], 0);
            assert_memory_equal(t->data, two, sizeof two);
            assert_memory_equal(clmoe__checkpoint_find(checkpoint, "one")->data, one, sizeof one);
            clmoe__checkpoint_close(checkpoint);
            gguf_free(&f);
        }
    }
    test_folder_free(&folder);
}

/* --------------------------------------------------------------------------------------------------- parts */

/* A part with one tensor "tNO". */
static void write_part(const test_folder *folder, const char *name, uint32_t no, uint32_t count, uint32_t tensors) {
    static const uint64_t sizes[1] = {4};
    const float numbers[4] = {(float)no, 0, 0, 0};
    gguf_file f = gguf_new();
    char tensor[16];
    (void)snprintf(tensor, sizeof tensor, "t%u", no);
    if (no == 0) gguf_text(&f, "general.architecture", "olmoe");
    put_value(&f, "split.no", GGUF_U16, no, 2);
    put_value(&f, "split.count", GGUF_U16, count, 2);
    put_value(&f, "split.tensors.count", GGUF_I32, tensors, 4);
    gguf_tensor(&f, tensor, GGUF_TYPE_F32, 1, sizes, numbers, sizeof numbers);
    (void)gguf_write(&f, folder, name);
    gguf_free(&f);
}

#define PART(n) "model-0000" n "-of-00003.gguf"

static void expect_three(const char *path) {
    clmoe__checkpoint *checkpoint = open_file(path);
    assert_int_equal(clmoe__checkpoint_files(checkpoint), 3);
    assert_int_equal(clmoe__checkpoint_count(checkpoint), 3);
    assert_string_equal(clmoe__path_name(clmoe__checkpoint_path(checkpoint)), PART("1"));
    for (uint32_t i = 0; i < 3; i++) {
        const clmoe__file_tensor *t = clmoe__checkpoint_at(checkpoint, i);
        float first;
        memcpy(&first, t->data, 4);
        assert_true(first >= (float)i && first <= (float)i);
        assert_string_equal(clmoe__path_name(t->file), i == 0 ? PART("1") : i == 1 ? PART("2") : PART("3"));
    }
    clmoe__checkpoint_close(checkpoint);
}

static void parts(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    write_part(&folder, PART("1"), 0, 3, 3);
    write_part(&folder, PART("2"), 1, 3, 3);
    write_part(&folder, PART("3"), 2, 3, 3);
    (void)test_file(&folder, "mmproj-model.gguf", "?", 1);
    expect_three(folder.path);
    expect_three(test_path(&folder, PART("1")));
    clmoe_error error = {0};
    clmoe__checkpoint *checkpoint;
#define REFUSE(file, what) \
    test_refused(clmoe__checkpoint_open(test_path(&folder, PART("1")), &checkpoint, &error), &error, file, what, NULL)
    test_refused(clmoe__checkpoint_open(test_path(&folder, PART("2")), &checkpoint, &error), &error, PART("2"),
                 "split.no", "first part");
    write_part(&folder, PART("2"), 2, 3, 3);
    REFUSE(PART("2"), "split.no is 2, expected 1");
    write_part(&folder, PART("2"), 1, 4, 3);
    REFUSE(PART("2"), "split.count is 4");
    (void)remove(test_path(&folder, PART("2")));
    REFUSE(PART("2"), "does not exist");
    write_part(&folder, PART("2"), 1, 3, 3);
    write_part(&folder, PART("1"), 0, 3, 4);
    REFUSE(PART("1"), "split.tensors.count is 4");
    write_part(&folder, PART("1"), 0, 4, 3);
    REFUSE(PART("1"), "split.count is 4");
    write_part(&folder, PART("1"), 0, 3, 3);
    write_part(&folder, PART("3"), 2, 3, 3);
    expect_three(folder.path);
    test_folder_free(&folder);
}

/* The same tensor in two parts. */
static void tensor_in_two_parts(void **state) {
    (void)state;
    static const uint64_t sizes[1] = {1};
    const float number = 1;
    test_folder folder = test_folder_new();
    for (uint32_t i = 0; i < 2; i++) {
        gguf_file f = gguf_new();
        put_value(&f, "split.no", GGUF_U16, i, 2);
        put_value(&f, "split.count", GGUF_U16, 2, 2);
        gguf_tensor(&f, "twice", GGUF_TYPE_F32, 1, sizes, &number, 4);
        (void)gguf_write(&f, &folder, i == 0 ? "m-00001-of-00002.gguf" : "m-00002-of-00002.gguf");
        gguf_free(&f);
    }
    clmoe_error error = {0};
    clmoe__checkpoint *checkpoint;
    test_refused(clmoe__checkpoint_open(folder.path, &checkpoint, &error), &error, "m-00001-of-00002.gguf", "twice",
                 "two files");
    test_folder_free(&folder);
}

/* ----------------------------------------------------------------------------------------- naming a model */

static void folders_and_files(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    clmoe_error error = {0};
    clmoe_model *model = NULL;
    gguf_file f = gguf_small();
    (void)gguf_write(&f, &folder, "a.gguf");
    OK(clmoe_model_open(folder.path, &model, &error));
    clmoe_model_info info = {.struct_size = sizeof info};
    OK(clmoe_model_get_info(model, &info, &error));
    assert_string_equal(info.model_type, "olmoe");
    assert_int_equal(info.num_moe_layers, 1);
    clmoe_model_destroy(model);
    (void)gguf_write(&f, &folder, "no-end"); /* known by its first bytes */
    OK(clmoe_model_open(test_path(&folder, "no-end"), &model, &error));
    clmoe_model_destroy(model);
    (void)gguf_write(&f, &folder, "b.gguf");
    test_refused(clmoe_model_open(folder.path, &model, &error), &error, "a.gguf", "2 GGUF models", "b.gguf");
    OK(clmoe_model_open(test_path(&folder, "b.gguf"), &model, &error));
    clmoe_model_destroy(model);
    test_refused(clmoe_model_open(test_path(&folder, "c.gguf"), &model, &error), &error, "c.gguf", "does not exist",
                 NULL);
    /* Safetensors go first. */
    (void)test_tensors(&folder, "model.safetensors", "{}", 0);
    test_refused(clmoe_model_open(folder.path, &model, &error), &error, "config.json", "does not exist", NULL);
    gguf_free(&f);
    test_folder_free(&folder);
}

static void unknown_architecture(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_model *model = NULL;
    gguf_file f = gguf_new();
    gguf_text(&f, "general.architecture", "clip");
    const clmoe_status status = clmoe_model_open(gguf_write(&f, &folder, "a.gguf"), &model, &error);
    test_fails(status, &error, CLMOE_UNSUPPORTED, "\"clip\"");
    assert_non_null(strstr(error.log, "qwen3moe"));
    assert_null(model);
    gguf_free(&f);
    test_folder_free(&folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_type),
        cmocka_unit_test(arrays),
        cmocka_unit_test(tensors_of_every_type),
        cmocka_unit_test(alignments_and_versions),
        cmocka_unit_test(parts),
        cmocka_unit_test(tensor_in_two_parts),
        cmocka_unit_test(folders_and_files),
        cmocka_unit_test(unknown_architecture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
