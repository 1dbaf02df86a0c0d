/* What cache entries depend on: the identity of library, device and driver, and keys made of it and of what their
 * makers add. Calls no OpenCL function. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache_parts.h"
#include "kernels.h"

_Static_assert(sizeof(clmoe__cpu) % sizeof(int) == 0, "flags, all of them int");

/* A digit for each flag of clmoe__cpu: verdicts depend on what inline assembly may use. Empty unless it is this host's
 * CPU. */
static void write_features(const clmoe__device *d, char text[sizeof(clmoe__cpu) / sizeof(int) + 1]) {
    int flags[sizeof(clmoe__cpu) / sizeof(int)];
    clmoe__cpu cpu;
    size_t count = 0;
    clmoe__os_cpu(&cpu);
    memcpy(flags, &cpu, sizeof flags);
    for (; d->is_this_host && count < sizeof flags / sizeof *flags; count++) text[count] = flags[count] ? '1' : '0';
    text[count] = '\0';
}

/* A line each, "what: value", because packs say which one differs. */
static int write_identity(const clmoe__device *d, char *text, size_t capacity) {
    char features[sizeof(clmoe__cpu) / sizeof(int) + 1];
    write_features(d, features);
    return snprintf(
        text, capacity,
        "library version: %s\nplatform: %s\nplatform version: %s\ndevice: %s\nvendor: %s\ndevice version: %s\n"
        "driver version: %s\nCPU features: %s\n",
        clmoe_version_string(), d->platform, d->platform_version, d->name, d->vendor, d->device_version,
        d->driver_version, features);
}

char *clmoe__cache_identity(const clmoe__device *device) {
    const int length = write_identity(device, NULL, 0);
    char *text = length > 0 ? malloc((size_t)length + 1) : NULL;
    if (text != NULL) (void)write_identity(device, text, (size_t)length + 1);
    return text;
}

/* With its length, so that no two sequences of texts are the same bytes. */
void clmoe__key_text(clmoe__sha256 *hash, const char *text) {
    const size_t count = strlen(text);
    unsigned char length[8];
    clmoe__put_little_endian(length, count, 8);
    clmoe__sha256_add(hash, length, sizeof length);
    clmoe__sha256_add(hash, text, count);
}

void clmoe__key_begin(const clmoe_context *context, clmoe__entry_kind kind, clmoe__sha256 *hash) {
    clmoe__sha256_begin(hash);
    clmoe__key_text(hash, context->cache->identity);
    clmoe__key_text(hash, kind == CLMOE__ENTRY_PROGRAM ? "program" : "verdict");
}

void clmoe__key_library(clmoe__sha256 *hash) { clmoe__key_text(hash, clmoe__source_hash); }

void clmoe__key_end(clmoe__sha256 *hash, clmoe__key *key) { clmoe__sha256_end(hash, key->bytes); }
