/* Files and the environment, as far as the C library alone can tell. Calls nothing else. */
#include <stdio.h>
#include <stdlib.h>

#include "os.h"

const char *clmoe__os_env(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* Reads to the end, growing as it goes: the size of a file may change, or not be known (pipes). */
static char *read_all(FILE *file, size_t *bytes) {
    size_t used = 0, capacity = 0;
    char *text = NULL;
    for (;;) {
        if (capacity - used < 2) {
            const size_t larger = capacity == 0 ? 16384 : capacity * 2;
            char *moved = larger > capacity ? realloc(text, larger) : NULL;
            if (moved == NULL) break;
            text = moved;
            capacity = larger;
        }
        const size_t got = fread(text + used, 1, capacity - used - 1, file);
        used += got;
        if (got == 0) {
            if (ferror(file)) break;
            text[used] = '\0';
            if (bytes != NULL) *bytes = used;
            return text;
        }
    }
    free(text);
    return NULL;
}

char *clmoe__os_file_read(const char *path, size_t *bytes) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) return NULL;
    char *text = read_all(file, bytes);
    (void)fclose(file);
    return text;
}
