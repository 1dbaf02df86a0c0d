/* Cache entries as bytes; the layout is drawn in cache_parts.h. Calls no OpenCL function. */
#include <stdlib.h>
#include <string.h>

#include "cache_parts.h"

#define LAYOUT_VERSION 1u

enum { AT_VERSION = 8, AT_KIND = 12, AT_KEY = 16, AT_BYTES = 48, AT_CHECKSUM = 56 };

static const char magic[8] = {'C', 'L', 'M', 'O', 'E', 'B', 'I', 'N'};

uint64_t clmoe__little_endian(const unsigned char *from, unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = bytes; i-- > 0;) value = value << 8 | from[i];
    return value;
}

void clmoe__put_little_endian(unsigned char *to, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++, value >>= 8) to[i] = (unsigned char)value;
}

static void checksum(const void *payload, size_t bytes, unsigned char digest[CLMOE__SHA256_BYTES]) {
    clmoe__sha256 hash;
    clmoe__sha256_begin(&hash);
    clmoe__sha256_add(&hash, payload, bytes);
    clmoe__sha256_end(&hash, digest);
}

unsigned char *clmoe__entry_seal(clmoe__entry_kind kind, const clmoe__key *key, const void *payload, size_t bytes,
                                 size_t *entry_bytes) {
    if (bytes > SIZE_MAX - CLMOE__ENTRY_HEADER) return NULL;
    unsigned char *entry = malloc(CLMOE__ENTRY_HEADER + bytes);
    if (entry == NULL) return NULL;
    memcpy(entry, magic, sizeof magic);
    clmoe__put_little_endian(entry + AT_VERSION, LAYOUT_VERSION, 4);
    clmoe__put_little_endian(entry + AT_KIND, (uint64_t)kind, 4);
    memcpy(entry + AT_KEY, key->bytes, sizeof key->bytes);
    clmoe__put_little_endian(entry + AT_BYTES, bytes, 8);
    checksum(payload, bytes, entry + AT_CHECKSUM);
    memcpy(entry + CLMOE__ENTRY_HEADER, payload, bytes);
    *entry_bytes = CLMOE__ENTRY_HEADER + bytes;
    return entry;
}

const char *clmoe__entry_check(const unsigned char *entry, size_t entry_bytes, clmoe__entry_kind kind,
                               const clmoe__key *key) {
    unsigned char digest[CLMOE__SHA256_BYTES];
    if (entry_bytes < CLMOE__ENTRY_HEADER) return "is cut short";
    if (memcmp(entry, magic, sizeof magic) != 0) return "is no entry of this cache";
    if (clmoe__little_endian(entry + AT_VERSION, 4) != LAYOUT_VERSION) return "has another version's layout";
    if (clmoe__little_endian(entry + AT_KIND, 4) != (uint64_t)kind) return "is of another kind";
    if (memcmp(entry + AT_KEY, key->bytes, sizeof key->bytes) != 0) return "belongs to another key";
    const uint64_t bytes = clmoe__little_endian(entry + AT_BYTES, 8);
    if (bytes > entry_bytes - CLMOE__ENTRY_HEADER) return "is cut short";
    if (bytes < entry_bytes - CLMOE__ENTRY_HEADER) return "is longer than it says";
    checksum(entry + CLMOE__ENTRY_HEADER, (size_t)bytes, digest);
    return memcmp(digest, entry + AT_CHECKSUM, sizeof digest) != 0 ? "does not match its checksum" : NULL;
}
