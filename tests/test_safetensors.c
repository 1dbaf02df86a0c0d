/* One .safetensors file: every way in which its header can be wrong, and what a right one gives. No OpenCL device. */
#include "files.h"
#include "support.h"

#include <sys/resource.h>
#include <unistd.h>

#include "model/safetensors.h"

#define NAME "bad.safetensors"

static void refuse_file(const char *path, const char *what, const char *more) {
    clmoe_error error = {0};
    clmoe__checkpoint *checkpoint = (clmoe__checkpoint *)&error;
    test_refused(clmoe__checkpoint_open(path, &checkpoint, &error), &error, clmoe__path_name(path), what, more);
    assert_null(checkpoint);
    assert_int_equal(clmoe__checkpoint_open(path, &checkpoint, NULL), CLMOE_INVALID_FILE);
}

#define T(dtype, shape, offsets) "{\"dtype\": \"" dtype "\", \"shape\": [" shape "], \"data_offsets\": [" offsets "]}"
#define GOOD                     "\"good\": " T("F32", "2", "0, 8")

/* What is wrong with tensor w, or with the whole. */
static const struct {
    const char *header;
    size_t data_bytes;
    const char *what, *more;
} bad_headers[] = {
    /* JSON */
    {"", 0, "line 1", NULL},
    {"[]", 0, "a list of 0", "an object"},
    {"7", 0, "is 7", "an object"},
    {"{", 0, "line 1", NULL},
    {"{} x", 0, "line 1", "end of file expected"},
    {"{\"w\": " T("F32", "1", "0, 4") ", \"w\": " T("F32", "1", "4, 8") "}", 8, "duplicate object key", "\"w\""},
    {"{\"w\": {\"dtype\": \"F32\", \"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}", 4,
     "duplicate object key", "\"dtype\""},
    /* entries */
    {"{\"w\": 7}", 0, "tensor w has an entry that is 7", "an object"},
    {"{\"w\": null}", 0, "tensor w has an entry that is null", "an object"},
    {"{\"w\": [1]}", 0, "tensor w", "a list of 1"},
    {"{\"__metadata__\": 7}", 0, "__metadata__ is 7", "an object"},
    {"{\"__metadata__\": {\"format\": 7}}", 0, "__metadata__.format is 7", "a string"},
    /* dtype */
    {"{\"w\": {\"shape\": [1], \"data_offsets\": [0, 4]}}", 4, "tensor w has dtype missing", "one of BOOL, U8"},
    {"{\"w\": {\"dtype\": 7, \"shape\": [1], \"data_offsets\": [0, 4]}}", 4, "tensor w has dtype 7", "BF16"},
    {"{\"w\": " T("Q4_K", "1", "0, 4") "}", 4, "tensor w has dtype \"Q4_K\"", "F4"},
    {"{\"w\": " T("f32", "1", "0, 4") "}", 4, "tensor w has dtype \"f32\"", "F32"},
    {"{\"w\": " T("", "1", "0, 4") "}", 4, "tensor w has dtype \"\"", "F32"},
    /* shape */
    {"{\"w\": {\"dtype\": \"F32\", \"data_offsets\": [0, 4]}}", 4, "tensor w has shape missing", "a list"},
    {"{\"w\": {\"dtype\": \"F32\", \"shape\": 1, \"data_offsets\": [0, 4]}}", 4, "tensor w has shape 1", "a list"},
    {"{\"w\": {\"dtype\": \"F32\", \"shape\": null, \"data_offsets\": [0, 4]}}", 4, "tensor w has shape null",
     "a list"},
    {"{\"w\": " T("F32", "-1", "0, 4") "}", 4, "tensor w has shape[0] -1", "0 or more"},
    {"{\"w\": " T("F32", "1, 1.5", "0, 4") "}", 4, "tensor w has shape[1] 1.5", "0 or more"},
    {"{\"w\": " T("F32", "1.0", "0, 4") "}", 4, "tensor w has shape[0] 1.0", "0 or more"},
    {"{\"w\": " T("F32", "\"1\"", "0, 4") "}", 4, "tensor w has shape[0] \"1\"", "0 or more"},
    {"{\"w\": " T("F32", "[1]", "0, 4") "}", 4, "tensor w has shape[0] a list of 1", "0 or more"},
    {"{\"w\": " T("F32", "NaN", "0, 4") "}", 4, "tensor w has shape[0] null", "0 or more"},
    {"{\"w\": " T("F32", "1, 1, 1, 1, 1, 1, 1, 1, 1", "0, 4") "}", 4, "tensor w has a shape of 9 dimensions",
     "at most 8"},
    {"{\"w\": " T("F32", "4294967296, 4294967296", "0, 4") "}", 4, "tensor w has a shape whose size", "64 bits"},
    {"{\"w\": " T("F32", "9223372036854775807, 2", "0, 4") "}", 4, "tensor w has a shape whose size", "64 bits"},
    {"{\"w\": " T("F32", "4611686018427387904", "0, 0") "}", 0, "tensor w has a shape whose size", "64 bits"},
    {"{\"w\": " T("F32", "9223372036854775807, 0, 9223372036854775807", "0, 0") "}", 0, "tensor w has a shape whose",
     "64 bits"},
    {"{\"w\": " T("F32", "9223372036854775808", "0, 4") "}", 4, "too big integer", "9223372036854775808"},
    {"{\"w\": " T("F4", "3", "0, 2") "}", 2, "tensor w has elements that do not fill its last byte", NULL},
    {"{\"w\": " T("F6_E2M3", "5", "0, 4") "}", 4, "tensor w has elements that do not fill its last byte", NULL},
    /* offsets */
    {"{\"w\": {\"dtype\": \"F32\", \"shape\": [1]}}", 4, "tensor w has data_offsets missing", "two integers"},
    {"{\"w\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": {}}}", 4, "tensor w has data_offsets",
     "two integers"},
    {"{\"w\": " T("F32", "1", "4") "}", 4, "tensor w has data_offsets a list of 1", "two integers"},
    {"{\"w\": " T("F32", "1", "0, 2, 4") "}", 4, "tensor w has data_offsets a list of 3", "two integers"},
    {"{\"w\": " T("F32", "1", "-4, 0") "}", 4, "tensor w has data_offsets[0] -4", "0 or more"},
    {"{\"w\": " T("F32", "1", "0, 4.0") "}", 4, "tensor w has data_offsets[1] 4.0", "0 or more"},
    {"{\"w\": " T("F32", "1", "null, 4") "}", 4, "tensor w has data_offsets[0] null", "0 or more"},
    {"{\"w\": " T("F32", "1", "4, 0") "}", 4, "tensor w has data_offsets [4, 0]", "backwards"},
    {"{\"w\": " T("F32", "1", "0, 4") "}", 3, "tensor w has data_offsets [0, 4]", "only 3 bytes of data"},
    {"{\"w\": " T("F32", "1", "4, 8") "}", 4, "tensor w has data_offsets [4, 8]", "only 4 bytes of data"},
    {"{\"w\": " T("F32", "1", "9223372036854775803, 9223372036854775807") "}", 4, "tensor w", "only 4 bytes of data"},
    {"{\"w\": " T("F32", "2", "0, 4") "}", 4, "tensor w has data_offsets [0, 4], 4 bytes", "dtype F32 ask for 8"},
    {"{\"w\": " T("BF16", "1", "0, 4") "}", 4, "tensor w has data_offsets [0, 4], 4 bytes", "dtype BF16 ask for 2"},
    {"{\"w\": " T("F32", "0", "0, 4") "}", 4, "tensor w has data_offsets [0, 4], 4 bytes", "ask for 0"},
    {"{\"w\": " T("F32", "", "0, 0") "}", 0, "tensor w has data_offsets [0, 0], 0 bytes", "ask for 4"},
    /* tensors beside each other */
    {"{" GOOD ", \"w\": " T("F32", "1", "4, 8") "}", 8, "tensor w begins at byte 4",
     "within tensor good, which ends at 8"},
    {"{" GOOD ", \"w\": " T("F32", "2", "0, 8") "}", 8, "begins at byte 0 of the data, within tensor",
     "which ends at 8"},
    {"{" GOOD ", \"w\": " T("F32", "1", "7, 11") "}", 11, "tensor w begins at byte 7", "within tensor good"},
    {"{" GOOD ", \"w\": " T("F32", "0", "4, 4") "}", 8, "tensor w begins at byte 4", "within tensor good"},
    {"{" GOOD ", \"w\": " T("F32", "1", "9, 13") "}", 13, "tensor w begins at byte 9",
     "bytes 8 to 9 before it belong to no tensor"},
    {"{\"w\": " T("F32", "1", "4, 8") "}", 8, "tensor w begins at byte 4",
     "bytes 0 to 4 before it belong to no tensor"},
    {"{" GOOD "}", 9, "has 9 bytes of data, but its tensors end at byte 8", NULL},
    {"{}", 1, "has 1 bytes of data, but its tensors end at byte 0", NULL},
};

static void wrong_headers(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    for (size_t i = 0; i < sizeof bad_headers / sizeof *bad_headers; ++i) {
        refuse_file(test_tensors(&folder, NAME, bad_headers[i].header, bad_headers[i].data_bytes), bad_headers[i].what,
                    bad_headers[i].more);
    }
    test_folder_free(&folder);
}

/* The same nesting as in a config. */
static void nested_header(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    char *const header = malloc(1000032);
    assert_non_null(header);
    const size_t used = (size_t)sprintf(header, "{\"w\": ");
    memset(header + used, '[', 1000000);
    header[used + 1000000] = '\0';
    refuse_file(test_tensors(&folder, NAME, header, 0), "nested deeper than 64", "line 1, column 70");
    free(header);
    test_folder_free(&folder);
}

static void wrong_lengths(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    static const struct {
        unsigned char bytes[16];
        size_t count;
        const char *what, *more;
    } cases[] = {
        {{0}, 1, "has 1 bytes", "the 8 of its header's length"},
        {{2, 0, 0, 0, 0, 0, 0}, 7, "has 7 bytes", "the 8 of its header's length"},
        {{0}, 8, "line 1", NULL},
        {{2, 0, 0, 0, 0, 0, 0, 0}, 8, "has 2 bytes, but only 0 follow", NULL},
        {{3, 0, 0, 0, 0, 0, 0, 0, '{', '}'}, 10, "has 3 bytes, but only 2 follow", "cut short"},
        {{0, 0xe1, 0xf5, 5, 0, 0, 0, 0, '{', '}'}, 10, "has 100000000 bytes, but only 2 follow", NULL},
        {{1, 0xe1, 0xf5, 5, 0, 0, 0, 0, '{', '}'}, 10, "has 100000001 bytes, at most 100000000", NULL},
        {{255, 255, 255, 255, 255, 255, 255, 255, '{', '}'}, 10, "has 18446744073709551615 bytes, at most", NULL},
        {{247, 255, 255, 255, 255, 255, 255, 255, '{', '}'}, 10, "has 18446744073709551607 bytes, at most", NULL},
        {{1, 0, 0, 0, 0, 0, 0, 0, '{', '}'}, 10, "line 1", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        refuse_file(test_file(&folder, NAME, cases[i].bytes, cases[i].count), cases[i].what, cases[i].more);
    }
    refuse_file(test_file(&folder, NAME, "", 0), "is empty", NULL);
    test_folder_free(&folder);
}

/* Cut anywhere, a right file is a wrong one. */
static void every_truncation(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    const char *const whole =
        test_tensors(&folder, "whole.safetensors", "{" GOOD ", \"w\": " T("I64", "2", "8, 24") "}", 24);
    FILE *const file = fopen(whole, "rb");
    unsigned char bytes[512];
    assert_non_null(file);
    const size_t count = fread(bytes, 1, sizeof bytes, file);
    (void)fclose(file);
    clmoe_error error = {0};
    clmoe__safetensors contents;
    for (size_t cut = 0; cut < count; ++cut) {
        unsigned char *const copy = malloc(cut + (cut == 0)); /* AddressSanitizer sees a read past the end */
        assert_non_null(copy);
        memcpy(copy, bytes, cut);
        test_refused(clmoe__safetensors_parse(copy, cut, NAME, &contents, &error), &error, NAME, NULL, NULL);
        assert_null(contents.tensors);
        free(copy);
    }
    OK(clmoe__safetensors_parse(bytes, count, NAME, &contents, &error));
    assert_int_equal(contents.count, 2);
    clmoe__safetensors_free(&contents);
    clmoe__safetensors_free(&contents);
    test_folder_free(&folder);
}

static void right_files(void **state) {
    (void)state;
    clmoe_error error = {0};
    clmoe__checkpoint *checkpoint = NULL;
    test_folder folder = test_folder_new();
    /* names out of order, no elements in the middle and at the ends, a scalar, spaces behind the header, unknown
     * keys */
    const char *const path = test_tensors(
        &folder, "model.safetensors",
        "{\"z\": " T("F32", "2, 3", "4, 28") ", \"__metadata__\": {\"format\": \"pt\"}, \"b.none\": " T(
            "BF16", "3, 0",
            "4, 4") ", \"a.scalar\": " T("F32", "",
                                         "0, 4") ", \"first\": " T("U8", "0",
                                                                   "0, 0") ", \"last\": " T("F64", "0, 7",
                                                                                            "30, 30") ", \"f4\": "
                                                                                                      "{\"dtype\": "
                                                                                                      "\"F4\", "
                                                                                                      "\"shape\": [2, "
                                                                                                      "2], "
                                                                                                      "\"data_"
                                                                                                      "offsets\": [28, "
                                                                                                      "30], \"other\": "
                                                                                                      "[1]}}      ",
        30);
    OK(clmoe__checkpoint_open(path, &checkpoint, &error));
    static const char *const names[] = {"a.scalar", "b.none", "f4", "first", "last", "z"};
    assert_int_equal(clmoe__checkpoint_count(checkpoint), 6);
    for (uint64_t i = 0; i < 6; ++i) {
        assert_string_equal(clmoe__checkpoint_at(checkpoint, i)->name, names[i]);
        assert_ptr_equal(clmoe__checkpoint_find(checkpoint, names[i]), clmoe__checkpoint_at(checkpoint, i));
        assert_string_equal(clmoe__checkpoint_at(checkpoint, i)->file, path);
    }
    assert_null(clmoe__checkpoint_at(checkpoint, 6));
    assert_null(clmoe__checkpoint_find(checkpoint, "y"));
    assert_null(clmoe__checkpoint_find(checkpoint, ""));
    assert_null(clmoe__checkpoint_find(checkpoint, "__metadata__"));
    const clmoe__file_tensor *const z = clmoe__checkpoint_find(checkpoint, "z");
    assert_string_equal(z->dtype->name, "F32");
    assert_int_equal(z->dtype->format, CLMOE_F32);
    assert_true(z->rank == 2 && z->shape[0] == 2 && z->shape[1] == 3 && z->bytes == 24);
    for (uint32_t i = 0; i < 24; ++i) assert_int_equal(z->data[i], 4 + i);
    assert_int_equal(clmoe__checkpoint_find(checkpoint, "a.scalar")->rank, 0);
    assert_int_equal(clmoe__checkpoint_find(checkpoint, "b.none")->bytes, 0);
    assert_int_equal(clmoe__checkpoint_find(checkpoint, "f4")->bytes, 2);
    assert_int_equal(clmoe__checkpoint_find(checkpoint, "f4")->dtype->format, CLMOE_F4_E2M1);
    assert_int_equal(clmoe__checkpoint_files(checkpoint), 1);
    assert_string_equal(clmoe__checkpoint_path(checkpoint), path);
    clmoe__checkpoint_close(checkpoint);
    OK(clmoe__checkpoint_open(test_tensors(&folder, "none.safetensors", "{}", 0), &checkpoint, &error));
    assert_int_equal(clmoe__checkpoint_count(checkpoint), 0);
    assert_int_equal(clmoe__checkpoint_bytes(checkpoint), 10);
    assert_null(clmoe__checkpoint_find(checkpoint, "z"));
    clmoe__checkpoint_close(checkpoint);
    clmoe__checkpoint_close(NULL);
    test_folder_free(&folder);
}

/* A file of 64 GiB, nearly all of it a hole, opens with a handful of pages read. */
static void opening_leaves_the_data_alone(void **state) {
    (void)state;
    clmoe_error error = {0};
    clmoe__checkpoint *checkpoint = NULL;
    test_folder folder = test_folder_new();
    const char *const header = "{\"w\": " T("U8", "64, 1073741824", "0, 68719476736") "}";
    const char *const path = test_tensors(&folder, "large.safetensors", header, 0);
    if (truncate(path, (off_t)(8 + strlen(header)) + ((off_t)64 << 30)) != 0) {
        test_folder_free(&folder);
        skip(); /* a file system without holes */
    }
    struct rusage before, after;
    assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
    OK(clmoe__checkpoint_open(path, &checkpoint, &error));
    assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
    const clmoe__file_tensor *const w = clmoe__checkpoint_find(checkpoint, "w");
    assert_non_null(w);
    assert_true(w->bytes == (uint64_t)64 << 30);
    assert_true(after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt < 10000);
    assert_int_equal(w->data[w->bytes - 1], 0);
    clmoe__checkpoint_close(checkpoint);
    test_folder_free(&folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_headers), cmocka_unit_test(nested_header),
        cmocka_unit_test(wrong_lengths), cmocka_unit_test(every_truncation),
        cmocka_unit_test(right_files),   cmocka_unit_test(opening_leaves_the_data_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
