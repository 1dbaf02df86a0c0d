/* Entries of the cache that are damaged, foreign or made up: each is noticed, and replaced. */
#include "cache_bed.h"

#include <stdio.h>

#include "opencl/cache_parts.h"

enum { ROOM = 1 << 20 };
static unsigned char bytes[ROOM + 1];

static size_t write_bytes(const char *path, size_t count) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    return (size_t)fclose(file);
}

/* A whole entry of this key whose payload the driver cannot take. */
static size_t seal_nonsense(const unsigned char *entry, size_t count) {
    (void)count;
    clmoe__key key;
    size_t sealed = 0;
    memcpy(key.bytes, entry + 16, sizeof key.bytes);
    unsigned char *made = clmoe__entry_seal(CLMOE__ENTRY_PROGRAM, &key, "this is no program", 18, &sealed);
    assert_non_null(made);
    memcpy(bytes, made, sealed);
    free(made);
    return sealed;
}

static size_t flip_payload(const unsigned char *entry, size_t count) {
    return (void)entry, bytes[count / 2] ^= 1, count;
}
static size_t flip_key(const unsigned char *entry, size_t count) { return (void)entry, bytes[20] ^= 1, count; }
static size_t flip_kind(const unsigned char *entry, size_t count) { return (void)entry, bytes[12] ^= 3, count; }
static size_t newer_layout(const unsigned char *entry, size_t count) { return (void)entry, bytes[8]++, count; }
static size_t cut_half(const unsigned char *entry, size_t count) { return (void)entry, count / 2; }
static size_t cut_last(const unsigned char *entry, size_t count) { return (void)entry, count - 1; }
static size_t cut_header(const unsigned char *entry, size_t count) { return (void)entry, (void)count, 40; }
static size_t cut_all(const unsigned char *entry, size_t count) { return (void)entry, (void)count, 0; }
static size_t grow(const unsigned char *entry, size_t count) { return (void)entry, bytes[count] = 0, count + 1; }
static size_t zero_all(const unsigned char *entry, size_t count) { return (void)entry, memset(bytes, 0, count), count; }
static size_t huge_length(const unsigned char *entry, size_t count) {
    return (void)entry, memset(bytes + 48, 0xff, 8), count;
}
static size_t foreign(const unsigned char *entry, size_t count) {
    return (void)entry, (void)count, (size_t)snprintf((char *)bytes, 64, "\177ELF and so on, somebody else's file");
}

static void damaged_entries_are_replaced(void **state) {
    (void)state;
    static const struct {
        size_t (*damage)(const unsigned char *entry, size_t count); /* changes `bytes`, returns how many */
        const char *said;
    } cases[] = {
        {flip_payload, "does not match its checksum"},
        {flip_key, "belongs to another key"},
        {flip_kind, "is of another kind"},
        {newer_layout, "has another version's layout"},
        {cut_half, "is cut short"},
        {cut_last, "is cut short"},
        {cut_header, "is cut short"},
        {cut_all, "is cut short"},
        {grow, "is longer than it says"},
        {zero_all, "is no entry of this cache"},
        {huge_length, "is cut short"},
        {foreign, "is cut short"},
        {seal_nonsense, "is refused by the driver"},
    };
    test_folder folder = test_folder_new();
    const clmoe_context_desc desc = cache_desc(folder.path);
    static unsigned char whole[ROOM], now[ROOM];
    (void)cache_use_once(&desc, NULL, 3, NULL);
    const char *path = cache_entry(&folder, 0, 1);
    const size_t count = cache_read_file(path, whole, sizeof whole);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memcpy(bytes, whole, count);
        path = cache_entry(&folder, 0, 1);
        assert_int_equal(write_bytes(path, cases[i].damage(whole, count)), 0);
        cache_use use = cache_use_once(&desc, NULL, 3, NULL);
        CONTAINS(use.log, cases[i].said);
        /* a refused one was found, and counts as a hit too */
        const uint64_t found = cases[i].damage == seal_nonsense;
        cache_expect(&use, found, 1 - found, 1, 1);
        const size_t replaced = cache_read_file(path, now, sizeof now);
        assert_null(clmoe__entry_check(now, replaced, CLMOE__ENTRY_PROGRAM, (const clmoe__key *)(void *)(whole + 16)));
    }
    test_folder_free(&folder);
}

/* Examples of FIPS 180-4, fed in pieces of every length. */
static void hashes_are_sha256(void **state) {
    (void)state;
    static const struct {
        const char *text, *digest;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqr"
         "stu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const size_t length = strlen(cases[i].text);
        for (size_t step = 1; step <= length + 1; step++) {
            unsigned char digest[CLMOE__SHA256_BYTES];
            char text[2 * sizeof digest + 1];
            clmoe__sha256 hash;
            clmoe__sha256_begin(&hash);
            for (size_t at = 0; at < length; at += step)
                clmoe__sha256_add(&hash, cases[i].text + at, step < length - at ? step : length - at);
            clmoe__sha256_end(&hash, digest);
            for (size_t d = 0; d < sizeof digest; d++) (void)snprintf(text + 2 * d, 3, "%02x", digest[d]);
            assert_string_equal(text, cases[i].digest);
        }
    }
}

static void every_byte_of_an_entry_counts(void **state) {
    (void)state;
    clmoe__key key;
    size_t count = 0;
    memset(key.bytes, 0x5a, sizeof key.bytes);
    unsigned char *entry = clmoe__entry_seal(CLMOE__ENTRY_VERDICT, &key, "a payload", 9, &count);
    assert_non_null(entry);
    assert_null(clmoe__entry_check(entry, count, CLMOE__ENTRY_VERDICT, &key));
    for (size_t i = 0; i < count; i++) {
        entry[i] ^= 0x10;
        assert_non_null(clmoe__entry_check(entry, count, CLMOE__ENTRY_VERDICT, &key));
        entry[i] ^= 0x10;
        assert_non_null(clmoe__entry_check(entry, i, CLMOE__ENTRY_VERDICT, &key));
    }
    free(entry);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_entries_are_replaced),
        cmocka_unit_test(hashes_are_sha256),
        cmocka_unit_test(every_byte_of_an_entry_counts),
    };
    return cmocka_run_group_tests(tests, bed_make_folder, bed_remove_folder);
}
