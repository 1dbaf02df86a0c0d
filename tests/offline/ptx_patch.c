/* ptx_patch TARGET <PTX >PATCHED: what the library does to a program for an architecture's own instructions
 * (src/opencl/ptx.h), for offline assemblers. */
#include <stdio.h>
#include <stdlib.h>

#include "opencl/ptx.h"

int main(int argc, char **argv) {
    clmoe_error error = {.struct_size = sizeof error};
    char *text = NULL, *patched = NULL;
    size_t bytes = 0, room = 0, patched_bytes = 0, got;
    if (argc != 2) return fprintf(stderr, "usage: ptx_patch TARGET <PTX >PATCHED\n"), 2;
    do {
        char *grown = realloc(text, room += 65536);
        if (grown == NULL) return free(text), 1;
        text = grown;
        bytes += got = fread(text + bytes, 1, room - bytes, stdin);
    } while (bytes == room || got > 0);
    const clmoe_status status = clmoe__ptx_patch(text, bytes, argv[1], &patched, &patched_bytes, &error);
    if (status != CLMOE_OK) fprintf(stderr, "ptx_patch: %s\n", error.message);
    const int written = status == CLMOE_OK && fwrite(patched, 1, patched_bytes, stdout) == patched_bytes;
    free(patched);
    free(text);
    return !written;
}
