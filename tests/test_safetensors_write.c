/* The writer of .safetensors files: what it writes is read back, and a file appears whole or not at all. No OpenCL
 * device. */
#include "files.h"
#include "support.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/safetensors.h"
#include "os/os.h"

static const float floats[6] = {1, -2, 3.5f, 0, 1e30f, -1e-30f};
static const int32_t integers[3] = {1, -1, INT32_MAX};
static const unsigned char bytes[5] = {1, 2, 3, 4, 5};
static const uint64_t wide[1] = {0x0123456789abcdefu};

static const clmoe__out_tensor good[] = {
    {.name = "bytes", .dtype = "U8", .rank = 1, .shape = {5}, .data = bytes},
    {.name = "output", .dtype = "F32", .rank = 2, .shape = {2, 3}, .data = floats},
    {.name = "none", .dtype = "BF16", .rank = 3, .shape = {4, 0, 2}, .data = NULL},
    {.name = "expert \"index\" \xc3\xa9", .dtype = "I32", .rank = 2, .shape = {3, 1}, .data = integers},
    {.name = "wide", .dtype = "U64", .rank = 0, .data = wide},
};
#define GOOD (uint32_t)(sizeof good / sizeof *good)

static void expect_written(const char *path) {
    clmoe_error error = {0};
    clmoe__checkpoint *checkpoint = NULL;
    clmoe__file_map map;
    OK(clmoe__checkpoint_open(path, &checkpoint, &error));
    assert_null(clmoe__os_map_file(path, &map));
    assert_int_equal(clmoe__checkpoint_count(checkpoint), GOOD);
    assert_int_equal(map.data[0] % 8, 0); /* the data begins at a multiple of 8, and so does what is aligned in it */
    for (uint32_t i = 0; i < GOOD; ++i) {
        const clmoe__file_tensor *const tensor = clmoe__checkpoint_find(checkpoint, good[i].name);
        assert_non_null(tensor);
        assert_string_equal(tensor->dtype->name, good[i].dtype);
        assert_int_equal(tensor->rank, good[i].rank);
        assert_memory_equal(tensor->shape, good[i].shape, sizeof tensor->shape);
        if (tensor->bytes != 0) assert_memory_equal(tensor->data, good[i].data, (size_t)tensor->bytes);
        assert_int_equal((uintptr_t)tensor->data % (tensor->dtype->bits / 8), 0);
    }
    clmoe__os_unmap_file(&map);
    clmoe__os_unmap_file(&map);
    clmoe__checkpoint_close(checkpoint);
}

static void round_trip(void **state) {
    (void)state;
    clmoe_error error = {0};
    test_folder folder = test_folder_new();
    const char *const path = test_path(&folder, "out.safetensors");
    OK(clmoe__safetensors_write(path, good, GOOD, &error));
    expect_written(path);
    OK(clmoe__safetensors_write(path, good, GOOD, &error)); /* in place of what is there */
    expect_written(path);
    assert_int_equal(test_folder_count(&folder), 1);
    OK(clmoe__safetensors_write(path, NULL, 0, &error));
    clmoe__checkpoint *checkpoint = NULL;
    OK(clmoe__checkpoint_open(path, &checkpoint, &error));
    assert_int_equal(clmoe__checkpoint_count(checkpoint), 0);
    clmoe__checkpoint_close(checkpoint);
    test_folder_free(&folder);
}

/* A name without a folder is a file in the current one. */
static void relative_path(void **state) {
    (void)state;
    clmoe_error error = {0};
    test_folder folder = test_folder_new();
    char before[1024];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder.path), 0);
    const clmoe_status status = clmoe__safetensors_write("out.safetensors", good, GOOD, &error);
    assert_int_equal(chdir(before), 0);
    OK(status);
    expect_written(test_path(&folder, "out.safetensors"));
    test_folder_free(&folder);
}

static void links_and_modes_stay(void **state) {
    (void)state;
    clmoe_error error = {0};
    struct stat status;
    test_folder folder = test_folder_new();
    const char *const real = test_file(&folder, "real", "old", 3);
    const char *const link = test_path(&folder, "link");
    assert_int_equal(chmod(real, 0640), 0);
    assert_int_equal(symlink("real", link), 0);
    OK(clmoe__safetensors_write(link, good, GOOD, &error));
    expect_written(real);
    assert_int_equal(lstat(link, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(stat(real, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
    assert_int_equal(test_folder_count(&folder), 2);
    test_folder_free(&folder);
}

static void refuse(const char *path, const char *file, const char *what) {
    clmoe_error error = {0};
    test_refused(clmoe__safetensors_write(path, good, GOOD, &error), &error, file, what, NULL);
}

static void wrong_targets(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    (void)test_file(&folder, "file", "old", 3);
    refuse(test_path(&folder, "file/out.safetensors"), "out.safetensors", "a part of the path is not a folder");
    refuse(test_path(&folder, "none/out.safetensors"), "out.safetensors", "its folder does not exist");
    refuse(folder.path, folder.path, "is a folder");
    refuse("/dev/null", "/dev/null", "is not a file but a device");
    refuse("/proc/out.safetensors", "out.safetensors", "cannot be written: its folder");
    assert_int_equal(symlink("nowhere/out", test_path(&folder, "link")), 0);
    refuse(test_path(&folder, "link"), "link", "is a link that leads nowhere");
    assert_int_equal(test_folder_count(&folder), 2);
    if (geteuid() != 0) { /* root may write everywhere */
        assert_int_equal(chmod(folder.path, 0555), 0);
        refuse(test_path(&folder, "out"), "out", "its folder may not be written to");
        assert_int_equal(chmod(folder.path, 0755), 0);
    }
    test_folder_free(&folder);
}

/* The file system takes only so many bytes: the old file stays, nothing is left beside it, wherever writing stops. */
static void full_disk(void **state) {
    (void)state;
    clmoe_error error = {0};
    test_folder folder = test_folder_new();
    const size_t large = (size_t)1 << 20;
    float *const data = calloc(large, sizeof *data);
    assert_non_null(data);
    const clmoe__out_tensor tensor = {.name = "w", .dtype = "F32", .rank = 1, .shape = {large}, .data = data};
    const char *const path = test_file(&folder, "out.safetensors", "old", 3);
    static const rlim_t limits[] = {0, 8, 40, 4096, 1 << 20, (4 << 20) + 8};
    struct rlimit usual;
    void (*const handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &usual), 0);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; ++i) {
        const struct rlimit small = {limits[i], usual.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        const clmoe_status status = clmoe__safetensors_write(path, &tensor, 1, &error);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &usual), 0);
        test_refused(status, &error, "out.safetensors", "cannot be written: it would be larger", NULL);
        assert_int_equal(test_folder_count(&folder), 1);
        size_t count = 0;
        char *const text = clmoe__os_file_read(path, &count);
        assert_string_equal(text, "old");
        free(text);
    }
    (void)signal(SIGXFSZ, handler);
    OK(clmoe__safetensors_write(path, &tensor, 1, &error));
    free(data);
    test_folder_free(&folder);
}

static void a_writer_given_up(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    clmoe__file_writer *writer = NULL, *other = NULL;
    const char *const path = test_path(&folder, "out");
    assert_null(clmoe__os_writer_open(path, &writer));
    assert_null(clmoe__os_writer_open(path, &other)); /* two at a time: each has a name of its own */
    assert_null(clmoe__os_writer_write(writer, "one", 3));
    assert_null(clmoe__os_writer_write(other, "other", 5));
    assert_int_equal(test_folder_count(&folder), 2);
    assert_int_equal(clmoe__os_exists(path), 0);
    clmoe__os_writer_give_up(writer);
    assert_int_equal(test_folder_count(&folder), 1);
    assert_null(clmoe__os_writer_commit(other));
    clmoe__os_writer_give_up(NULL);
    assert_int_equal(test_folder_count(&folder), 1);
    char *const text = clmoe__os_file_read(path, NULL);
    assert_string_equal(text, "other");
    free(text);
    test_folder_free(&folder);
}

static void wrong_tensors(void **state) {
    (void)state;
    static const struct {
        clmoe__out_tensor tensors[2];
        const char *what;
    } cases[] = {
        {{{.name = NULL, .dtype = "U8", .rank = 1, .shape = {5}, .data = bytes}}, "no name"},
        {{{.name = "__metadata__", .dtype = "U8", .rank = 1, .shape = {5}, .data = bytes}}, "__metadata__ is no name"},
        {{{.name = "w", .dtype = NULL, .rank = 1, .shape = {5}, .data = bytes}}, "tensor w has dtype NULL"},
        {{{.name = "w", .dtype = "u8", .rank = 1, .shape = {5}, .data = bytes}},
         "tensor w has dtype u8, expected one of BOOL"},
        {{{.name = "w", .dtype = "U8", .rank = 9, .shape = {5}, .data = bytes}},
         "tensor w has rank 9, expected at most 8"},
        {{{.name = "w", .dtype = "U8", .rank = 2, .shape = {UINT64_MAX, 2}, .data = bytes}},
         "tensor w has a shape whose size"},
        {{{.name = "w", .dtype = "U8", .rank = 2, .shape = {UINT64_MAX, 0}, .data = bytes}},
         "tensor w has a shape whose size"},
        {{{.name = "w", .dtype = "F4", .rank = 1, .shape = {3}, .data = bytes}},
         "tensor w has elements that do not fill"},
        {{{.name = "w", .dtype = "U8", .rank = 1, .shape = {5}, .data = NULL}}, "tensor w has no data"},
        {{{.name = "\xff", .dtype = "U8", .rank = 1, .shape = {5}, .data = bytes}}, "cannot be written as the name"},
        {{{.name = "w", .dtype = "U8", .rank = 1, .shape = {5}, .data = bytes},
          {.name = "w", .dtype = "U8", .rank = 1, .shape = {5}, .data = bytes}},
         "two tensors are named w"},
    };
    clmoe_error error = {0};
    test_folder folder = test_folder_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        FAILS(clmoe__safetensors_write(test_path(&folder, "out"), cases[i].tensors,
                                       cases[i].tensors[1].name != NULL ? 2 : 1, &error),
              CLMOE_INVALID_ARGUMENT, cases[i].what);
        assert_int_equal(test_folder_count(&folder), 0);
    }
    /* together they pass 2^63 bytes */
    clmoe__out_tensor many[5];
    char names[5][2];
    for (uint32_t i = 0; i < 5; ++i) {
        (void)snprintf(names[i], sizeof names[i], "%u", i);
        many[i] = (clmoe__out_tensor){
            .name = names[i], .dtype = "U8", .rank = 1, .shape = {((uint64_t)1 << 61) - 2}, .data = bytes};
    }
    FAILS(clmoe__safetensors_write(test_path(&folder, "out"), many, 5, &error), CLMOE_INVALID_ARGUMENT, "2^63 bytes");
    assert_int_equal(test_folder_count(&folder), 0);
    test_folder_free(&folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),    cmocka_unit_test(relative_path), cmocka_unit_test(links_and_modes_stay),
        cmocka_unit_test(wrong_targets), cmocka_unit_test(full_disk),     cmocka_unit_test(a_writer_given_up),
        cmocka_unit_test(wrong_tensors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
