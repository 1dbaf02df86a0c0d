/* SHA-256 (FIPS 180-4): names for things by their contents, and proof that bytes are the ones that were written. */
#ifndef CLMOE_OS_SHA256_H
#define CLMOE_OS_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define CLMOE__SHA256_BYTES 32

typedef struct clmoe__sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    unsigned char block[64];
} clmoe__sha256;

void clmoe__sha256_begin(clmoe__sha256 *hash);
void clmoe__sha256_add(clmoe__sha256 *hash, const void *bytes, size_t count);
void clmoe__sha256_end(clmoe__sha256 *hash, unsigned char digest[CLMOE__SHA256_BYTES]);

#endif
