/* See sha256.h. Calls nothing but memcpy. */
#include "sha256.h"

#include <string.h>

#define BLOCK 64u

static const uint32_t first_state[8] = {0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
                                        0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u};

static const uint32_t round_constants[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u, 0xab1c5ed5u,
    0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u,
    0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau,
    0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u,
    0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u,
    0xa2bfe8a1u, 0xa81a664bu, 0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u,
    0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u};

static uint32_t turned(uint32_t x, unsigned bits) { return x >> bits | x << (32u - bits); }

static uint32_t big_endian(const unsigned char *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The message schedule: 16 words of the block, the others from those before. */
static void schedule(const unsigned char *block, uint32_t w[64]) {
    for (unsigned i = 0; i < 16; i++) w[i] = big_endian(block + 4u * i);
    for (unsigned i = 16; i < 64; i++) {
        const uint32_t a = w[i - 15], b = w[i - 2];
        w[i] =
            w[i - 16] + (turned(a, 7) ^ turned(a, 18) ^ a >> 3) + w[i - 7] + (turned(b, 17) ^ turned(b, 19) ^ b >> 10);
    }
}

static void mix_block(uint32_t state[8], const unsigned char *block) {
    uint32_t w[64], s[8]; /* a..h of the standard */
    schedule(block, w);
    memcpy(s, state, sizeof s);
    for (unsigned i = 0; i < 64; i++) {
        const uint32_t choose = (s[4] & s[5]) ^ (~s[4] & s[6]);
        const uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        const uint32_t t1 =
            s[7] + (turned(s[4], 6) ^ turned(s[4], 11) ^ turned(s[4], 25)) + choose + round_constants[i] + w[i];
        const uint32_t t2 = (turned(s[0], 2) ^ turned(s[0], 13) ^ turned(s[0], 22)) + majority;
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (unsigned i = 0; i < 8; i++) state[i] += s[i];
}

void clmoe__sha256_begin(clmoe__sha256 *hash) {
    memcpy(hash->state, first_state, sizeof hash->state);
    hash->length = 0;
}

void clmoe__sha256_add(clmoe__sha256 *hash, const void *bytes, size_t count) {
    const unsigned char *from = bytes;
    while (count > 0) {
        const size_t used = (size_t)(hash->length % BLOCK);
        const size_t step = count < BLOCK - used ? count : BLOCK - used;
        if (step == BLOCK) {
            mix_block(hash->state, from);
        } else {
            memcpy(hash->block + used, from, step);
            if (used + step == BLOCK) mix_block(hash->state, hash->block);
        }
        hash->length += step;
        from += step;
        count -= step;
    }
}

/* A bit 1, zeroes, and the length in bits as the last 8 bytes of a block. */
void clmoe__sha256_end(clmoe__sha256 *hash, unsigned char digest[CLMOE__SHA256_BYTES]) {
    static const unsigned char padding[BLOCK] = {0x80};
    const uint64_t bits = hash->length * 8u;
    const size_t used = (size_t)(hash->length % BLOCK);
    unsigned char length[8];
    for (unsigned i = 0; i < 8; i++) length[i] = (unsigned char)(bits >> (56u - 8u * i));
    clmoe__sha256_add(hash, padding, used < 56 ? 56 - used : 120 - used);
    clmoe__sha256_add(hash, length, sizeof length);
    for (unsigned i = 0; i < CLMOE__SHA256_BYTES; i++)
        digest[i] = (unsigned char)(hash->state[i / 4] >> (24u - 8u * (i % 4)));
}
