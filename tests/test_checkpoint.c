/* The tensors of a model: a folder, one file, or several and their index. No OpenCL device. */
#include "files.h"
#include "support.h"

#include <sys/stat.h>
#include <unistd.h>

#include "model/safetensors.h"
#include "os/error.h"

#define INDEX       "model.safetensors.index.json"
#define ONE         "model-1.safetensors"
#define TWO         "model-2.safetensors"
#define T(from, to) "{\"dtype\": \"U8\", \"shape\": [4], \"data_offsets\": [" from ", " to "]}"

static const char *write_index(const test_folder *folder, const char *text) {
    return test_file(folder, INDEX, text, strlen(text));
}

static void refuse(const char *path, const char *file, const char *what, const char *more) {
    clmoe_error error = {0};
    clmoe__checkpoint *checkpoint = (clmoe__checkpoint *)&error;
    test_refused(clmoe__checkpoint_open(path, &checkpoint, &error), &error, file, what, more);
    assert_null(checkpoint);
}

/* Two files with the tensors a, c and b, d. */
static test_folder two_files(void) {
    const test_folder folder = test_folder_new();
    (void)test_tensors(&folder, ONE, "{\"a\": " T("0", "4") ", \"c\": " T("4", "8") "}", 8);
    (void)test_tensors(&folder, TWO, "{\"d\": " T("0", "4") ", \"b\": " T("4", "8") "}", 8);
    return folder;
}

static void expect_two_files(const char *path, const char *tensors, const char *index_path) {
    clmoe_error error = {0};
    clmoe__checkpoint *checkpoint = NULL;
    OK(clmoe__checkpoint_open(path, &checkpoint, &error));
    assert_int_equal(clmoe__checkpoint_count(checkpoint), strlen(tensors));
    for (uint64_t i = 0; tensors[i] != '\0'; ++i) {
        const char name[2] = {tensors[i], '\0'};
        const clmoe__file_tensor *const tensor = clmoe__checkpoint_find(checkpoint, name);
        assert_non_null(tensor);
        assert_ptr_equal(tensor, clmoe__checkpoint_at(checkpoint, i));
        assert_string_equal(clmoe__path_name(tensor->file), strchr("ac", name[0]) != NULL ? ONE : TWO);
        assert_int_equal(tensor->data[0], strchr("ad", name[0]) != NULL ? 0 : 4);
    }
    assert_int_equal(clmoe__checkpoint_files(checkpoint), 2);
    assert_string_equal(clmoe__checkpoint_path(checkpoint), index_path);
    struct stat one, two;
    assert_int_equal(stat(clmoe__checkpoint_find(checkpoint, "a")->file, &one), 0);
    assert_int_equal(stat(clmoe__checkpoint_find(checkpoint, "b")->file, &two), 0);
    assert_int_equal(clmoe__checkpoint_bytes(checkpoint), one.st_size + two.st_size);
    clmoe__checkpoint_close(checkpoint);
}

static void several_files(void **state) {
    (void)state;
    test_folder folder = two_files();
    const char *const index = write_index(&folder, "{\"metadata\": {\"total_size\": 16}, \"weight_map\": {\"b\": \"" TWO
                                                   "\", \"a\": \"" ONE "\", \"d\": \"" TWO "\", \"c\": \"" ONE "\"}}");
    char with_slash[300];
    (void)snprintf(with_slash, sizeof with_slash, "%s/", folder.path);
    expect_two_files(folder.path, "abcd", index);
    expect_two_files(index, "abcd", index);
    expect_two_files(with_slash, "abcd", index);
    /* What the index does not name is not there. */
    (void)write_index(&folder, "{\"weight_map\": {\"b\": \"" TWO "\", \"a\": \"" ONE "\"}}");
    expect_two_files(folder.path, "ab", index);
    /* One file goes before an index. */
    clmoe_error error = {0};
    clmoe__checkpoint *checkpoint = NULL;
    (void)test_tensors(&folder, "model.safetensors", "{\"single\": " T("0", "4") "}", 4);
    OK(clmoe__checkpoint_open(folder.path, &checkpoint, &error));
    assert_int_equal(clmoe__checkpoint_files(checkpoint), 1);
    assert_non_null(clmoe__checkpoint_find(checkpoint, "single"));
    clmoe__checkpoint_close(checkpoint);
    test_folder_free(&folder);
}

#define MAP(entries) "{\"weight_map\": {" entries "}}"
#define A_IN_ONE     "\"a\": \"" ONE "\""

static const struct {
    const char *index, *what, *more;
} bad_indexes[] = {
    {"", "is empty", NULL},
    {"{", "line 1", NULL},
    {"[]", "a list of 0", "an object"},
    {"{}", "weight_map is missing", "the file of each tensor"},
    {"{\"weight_map\": null}", "weight_map is missing", NULL},
    {"{\"weight_map\": []}", "weight_map is a list of 0", "an object"},
    {"{\"weight_map\": {}}", "weight_map is an empty object", NULL},
    {MAP(A_IN_ONE ", " A_IN_ONE), "duplicate object key", "\"a\""},
    {MAP("\"a\": 7"), "weight_map.a is 7", "a file in the same folder"},
    {MAP("\"a\": null"), "weight_map.a is null", "a file in the same folder"},
    {MAP("\"a\": [\"" ONE "\"]"), "weight_map.a is a list of 1", "a file in the same folder"},
    {MAP("\"a\": \"\""), "weight_map.a is \"\"", "a file in the same folder"},
    {MAP("\"a\": \".\""), "weight_map.a is \".\"", "a file in the same folder"},
    {MAP("\"a\": \"..\""), "weight_map.a is \"..\"", "a file in the same folder"},
    {MAP("\"a\": \"../" ONE "\""), "weight_map.a is \"../" ONE "\"", "a file in the same folder"},
    {MAP("\"a\": \"./" ONE "\""), "weight_map.a is \"./", "a file in the same folder"},
    {MAP("\"a\": \"/etc/passwd\""), "weight_map.a is \"/etc/passwd\"", "a file in the same folder"},
    {MAP("\"a\": \"..\\\\x\""), "weight_map.a is \"..\\x\"", "a file in the same folder"},
    {MAP("\"a\": \"c:x\""), "weight_map.a is \"c:x\"", "a file in the same folder"},
    {MAP(A_IN_ONE ", \"b\": \"model-3.safetensors\""), "model-3.safetensors, named by weight_map in", "does not exist"},
    {MAP(A_IN_ONE ", \"b\": \"" ONE "\", \"d\": \"" TWO "\""), "tensor b is in " ONE, "but it is in " TWO},
    {MAP(A_IN_ONE ", \"x\": \"" TWO "\""), "tensor x is in " TWO, "none of the files"},
    {MAP(A_IN_ONE ", \"d\": \"" ONE "\""), "tensor d is in " ONE, "none of the files"},
};

static void wrong_indexes(void **state) {
    (void)state;
    test_folder folder = two_files();
    for (size_t i = 0; i < sizeof bad_indexes / sizeof *bad_indexes; ++i) {
        (void)write_index(&folder, bad_indexes[i].index);
        refuse(folder.path, INDEX, bad_indexes[i].what, bad_indexes[i].more);
    }
    test_folder_free(&folder);
}

static void wrong_shards(void **state) {
    (void)state;
    test_folder folder = two_files();
    (void)write_index(&folder, MAP(A_IN_ONE ", \"b\": \"" TWO "\""));
    /* a tensor in two files, whether the index names it or not */
    (void)test_tensors(&folder, TWO, "{\"b\": " T("0", "4") ", \"a\": " T("4", "8") "}", 8);
    refuse(folder.path, INDEX, "tensor a is in two files", ONE " and " TWO);
    (void)test_tensors(&folder, TWO, "{\"b\": " T("0", "4") ", \"c\": " T("4", "8") "}", 8);
    refuse(folder.path, INDEX, "tensor c is in two files", ONE " and " TWO);
    /* a file that is wrong in itself */
    (void)test_tensors(&folder, TWO, "{\"b\": " T("0", "4") "}", 3);
    refuse(folder.path, TWO, "tensor b", "only 3 bytes of data");
    (void)test_file(&folder, TWO, "", 0);
    refuse(folder.path, TWO, "is empty", INDEX);
    assert_int_equal(unlink(test_path(&folder, TWO)), 0);
    assert_int_equal(mkdir(test_path(&folder, TWO), 0777), 0);
    refuse(folder.path, TWO, "is a folder", INDEX);
    assert_int_equal(rmdir(test_path(&folder, TWO)), 0);
    test_folder_free(&folder);
}

static void wrong_paths(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    refuse(folder.path, folder.path, "neither model.safetensors nor " INDEX, NULL);
    refuse(test_path(&folder, "none"), "none", "does not exist", NULL);
    refuse(test_path(&folder, "none.json"), "none.json", "does not exist", NULL);
    (void)test_file(&folder, "file", "12345678", 8);
    refuse(test_path(&folder, "file/model.safetensors"), "model.safetensors", "a part of the path is not a folder",
           NULL);
    refuse("/dev/null", "/dev/null", "is not a file but a device", NULL);
    assert_int_equal(mkdir(test_path(&folder, "model.safetensors"), 0777), 0);
    refuse(folder.path, "model.safetensors", "is a folder", NULL);
    assert_int_equal(rmdir(test_path(&folder, "model.safetensors")), 0);
    assert_int_equal(symlink("model.safetensors", test_path(&folder, "model.safetensors")), 0);
    refuse(test_path(&folder, "model.safetensors"), "model.safetensors", "a link that leads back to itself", NULL);
    if (geteuid() != 0) { /* root may read everything */
        const char *const path = test_tensors(&folder, "secret.safetensors", "{}", 0);
        assert_int_equal(chmod(path, 0), 0);
        refuse(path, "secret.safetensors", "permission denied", NULL);
    }
    test_folder_free(&folder);
}

/* As the hub has it: three files and an index, or one file. 32 + 17 + 31 entries, each file with its __metadata__. */
static void real_checkpoints(void **state) {
    (void)state;
    clmoe_error error = {0};
    clmoe__checkpoint *checkpoint = NULL;
    OK(clmoe__checkpoint_open(CLMOE_TEST_DATA "/golden/hf/deepseek_v3", &checkpoint, &error));
    assert_int_equal(clmoe__checkpoint_files(checkpoint), 3);
    assert_int_equal(clmoe__checkpoint_count(checkpoint), 77);
    const clmoe__file_tensor *const router = clmoe__checkpoint_find(checkpoint, "model.layers.1.mlp.gate.weight");
    assert_non_null(router);
    assert_true(router->rank == 2 && router->shape[0] == 16 && router->shape[1] == 64 && router->bytes == 4096);
    assert_string_equal(clmoe__path_name(router->file), "model-00003-of-00003.safetensors");
    clmoe__checkpoint_close(checkpoint);
    OK(clmoe__checkpoint_open(CLMOE_TEST_DATA "/golden/hf/olmoe", &checkpoint, &error));
    assert_int_equal(clmoe__checkpoint_files(checkpoint), 1);
    assert_non_null(clmoe__checkpoint_find(checkpoint, "model.layers.0.mlp.gate.weight"));
    clmoe__checkpoint_close(checkpoint);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_files), cmocka_unit_test(wrong_indexes),    cmocka_unit_test(wrong_shards),
        cmocka_unit_test(wrong_paths),   cmocka_unit_test(real_checkpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
