/* Files for tests: a folder of its own for each test, and .safetensors files made of any header, right or wrong. */
#ifndef CLMOE_TESTS_FILES_H
#define CLMOE_TESTS_FILES_H

#include <stddef.h>

#include <clmoe/clmoe.h>

/* A new folder under $TMPDIR or /tmp. */
typedef struct test_folder {
    char path[256];
} test_folder;
test_folder test_folder_new(void);
/* Removes the folder; its files too, but no folders in it. */
void test_folder_free(test_folder *folder);
size_t test_folder_count(const test_folder *folder); /* of things in it */

/* "FOLDER/NAME" in static memory that the eighth next call takes again. */
const char *test_path(const test_folder *folder, const char *name);
/* Writes a file; hands back its path as test_path does. */
const char *test_file(const test_folder *folder, const char *name, const void *bytes, size_t count);
/* Writes a .safetensors file with this header and data of so many bytes: 0, 1, 2, ... */
const char *test_tensors(const test_folder *folder, const char *name, const char *header, size_t data_bytes);

/* Asserts that a file was refused: CLMOE_INVALID_FILE, and a message that names the file and holds `what` and `more`
 * (NULL = no matter). */
void test_refused(clmoe_status status, const clmoe_error *error, const char *file, const char *what, const char *more);

#endif
