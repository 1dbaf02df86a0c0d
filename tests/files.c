/* Files for tests; see files.h. */
#include "files.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "support.h"

test_folder test_folder_new(void) {
    test_folder folder;
    const char *const temporary = getenv("TMPDIR");
    const int length = snprintf(folder.path, sizeof folder.path, "%s/clmoe-test-XXXXXX",
                                temporary != NULL && temporary[0] != '\0' ? temporary : "/tmp");
    assert_true(length > 0 && (size_t)length < sizeof folder.path);
    assert_non_null(mkdtemp(folder.path));
    return folder;
}

/* Calls on each thing in the folder, except "." and "..". */
static size_t walk(const test_folder *folder, void (*each)(const char *path)) {
    size_t count = 0;
    DIR *const open_folder = opendir(folder->path);
    assert_non_null(open_folder);
    for (const struct dirent *at; (at = readdir(open_folder)) != NULL;) {
        if (strcmp(at->d_name, ".") == 0 || strcmp(at->d_name, "..") == 0) continue;
        if (each != NULL) each(test_path(folder, at->d_name));
        ++count;
    }
    (void)closedir(open_folder);
    return count;
}

static void remove_file(const char *path) { assert_int_equal(unlink(path), 0); }

void test_folder_free(test_folder *folder) {
    (void)walk(folder, remove_file);
    assert_int_equal(rmdir(folder->path), 0);
}

size_t test_folder_count(const test_folder *folder) { return walk(folder, NULL); }

const char *test_path(const test_folder *folder, const char *name) {
    static char paths[8][600];
    static unsigned next;
    char *const path = paths[next++ % 8];
    const int length = snprintf(path, sizeof *paths, "%s/%s", folder->path, name);
    assert_true(length > 0 && (size_t)length < sizeof *paths);
    return path;
}

const char *test_file(const test_folder *folder, const char *name, const void *bytes, size_t count) {
    const char *const path = test_path(folder, name);
    FILE *const file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
    return path;
}

const char *test_tensors(const test_folder *folder, const char *name, const char *header, size_t data_bytes) {
    const size_t length = strlen(header);
    unsigned char *const all = malloc(8 + length + data_bytes);
    assert_non_null(all);
    for (unsigned i = 0; i < 8; ++i) all[i] = (unsigned char)((uint64_t)length >> (8 * i));
    memcpy(all + 8, header, length);
    for (size_t i = 0; i < data_bytes; ++i) all[8 + length + i] = (unsigned char)i;
    const char *const path = test_file(folder, name, all, 8 + length + data_bytes);
    free(all);
    return path;
}

static void holds(const char *message, const char *text) {
    if (text != NULL && strstr(message, text) == NULL) fail_msg("'%s' does not contain '%s'", message, text);
}

void test_refused(clmoe_status status, const clmoe_error *error, const char *file, const char *what, const char *more) {
    if (status != CLMOE_INVALID_FILE)
        fail_msg("%s: %s, expected INVALID_FILE", clmoe_status_name(status), error->message);
    assert_int_equal(error->status, CLMOE_INVALID_FILE);
    assert_true(error->argument[0] != '\0');
    holds(error->message, file);
    holds(error->message, what);
    holds(error->message, more);
}
