/* Packs, written and read; wrong ones refused. And the application's own store in place of a folder. */
#include "cache_bed.h"

#include <stdio.h>

#include "opencl/cache_parts.h"

enum { ROOM = 1 << 20, HEADER = 64 };
static unsigned char bytes[ROOM + 1];

/* A pack with the kernels for 3, in `folder`. */
static const char *make_pack(const test_folder *folder) {
    clmoe_context_desc desc = cache_desc("/dev/null/cache");
    const char *path = test_path(folder, "my.pack");
    desc.cache = CLMOE_CACHE_AUTO; /* keep_for_pack takes binaries everywhere */
    desc.keep_for_pack = 1;
    const cache_use use = cache_use_once(&desc, NULL, 3, path);
    assert_int_equal(use.stats.hits, 0);
    return path;
}

static void a_pack_saves_the_compiler(void **state) {
    (void)state;
    test_folder folder = test_folder_new(), cache = test_folder_new();
    assert_int_equal(setenv("CLMOE_CACHE", "auto", 1), 0);
    const char *pack = make_pack(&folder), *const packs[] = {pack, NULL};
    clmoe_context_desc desc = cache_desc(cache.path);
    cache_use use = cache_use_once(&desc, packs, 3, NULL);
    assert_int_equal(use.stats.pack_hits, 1);
    assert_int_equal(use.stats.hits, 1);
    assert_int_equal(use.stats.misses + use.stats.stores + use.stats.rejected + use.stats.failures, 0);
    assert_non_null(strstr(use.log, "loaded cl/mix.cl"));
    assert_non_null(strstr(use.described, "my.pack, 1 entries"));
    use = cache_use_once(&desc, packs, 5, NULL); /* not in it: the cache comes after */
    assert_int_equal(use.stats.misses, 1);
    assert_int_equal(use.stats.stores, 1);
    use = cache_use_once(&desc, packs, 5, NULL);
    assert_int_equal(use.stats.hits, 1);
    assert_int_equal(use.stats.pack_hits, 0);
    /* what came from a pack and from the cache goes into the next pack */
    desc.keep_for_pack = 1;
    use = cache_use_once(&desc, packs, 3, test_path(&folder, "second.pack"));
    static unsigned char second[ROOM];
    const size_t count = cache_read_file(pack, bytes, sizeof bytes);
    assert_int_equal(cache_read_file(test_path(&folder, "second.pack"), second, sizeof second), count);
    assert_memory_equal(bytes, second, count);
    test_folder_free(&folder);
    test_folder_free(&cache);
}

/* A damaged entry of a sound pack: the cache, then the compiler. */
static void entries_of_packs_are_checked(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    const char *pack = make_pack(&folder), *const packs[] = {pack, NULL};
    const size_t count = cache_read_file(pack, bytes, sizeof bytes);
    bytes[count - 5] ^= 1;
    (void)test_file(&folder, "my.pack", bytes, count);
    const clmoe_context_desc desc = cache_desc("/dev/null/cache");
    const cache_use use = cache_use_once(&desc, packs, 3, NULL);
    assert_int_equal(use.stats.rejected, 1);
    assert_int_equal(use.stats.misses, 1);
    assert_non_null(strstr(use.log, "built cl/mix.cl"));
    test_folder_free(&folder);
}

static void seal(void) {
    clmoe__sha256 hash;
    const size_t front = (size_t)clmoe__little_endian(bytes + 24, 8) + 48 * (size_t)clmoe__little_endian(bytes + 12, 4);
    clmoe__sha256_begin(&hash);
    clmoe__sha256_add(&hash, bytes + HEADER, front);
    clmoe__sha256_end(&hash, bytes + 32);
}

static void replace_in_identity(const char *line, char with) {
    unsigned char *at = bytes + HEADER;
    const size_t length = strlen(line);
    while (memcmp(at, line, length) != 0) at++;
    at[length] = (unsigned char)with;
    seal();
}

static size_t other_driver(size_t count) { return replace_in_identity("driver version: ", '~'), count; }
static size_t other_device(size_t count) { return replace_in_identity("\ndevice: ", '~'), count; }
static size_t other_library(size_t count) { return replace_in_identity("library version: ", '~'), count; }
static size_t text_file(size_t count) { return (void)count, (size_t)snprintf((char *)bytes, 64, "no pack at all"); }
static size_t only_magic(size_t count) { return (void)count, 8; }
static size_t cut_last(size_t count) { return count - 1; }
static size_t cut_half(size_t count) { return count / 2; }
static size_t flip_identity(size_t count) { return bytes[HEADER + 3] ^= 1, count; }
static size_t flip_count(size_t count) { return bytes[12] ^= 1, count; }
static size_t huge_count(size_t count) { return memset(bytes + 12, 0xff, 4), count; }
static size_t huge_identity(size_t count) { return memset(bytes + 24, 0xff, 8), count; }
static size_t no_identity(size_t count) { return memset(bytes + 24, 0, 8), count; }
static size_t newer_layout(size_t count) { return bytes[8] = 2, count; }
/* The table's only row names bytes outside the file: found, and no entry. */
static size_t row_outside(size_t count) {
    const size_t row = HEADER + (size_t)clmoe__little_endian(bytes + 24, 8);
    clmoe__put_little_endian(bytes + row + 32, UINT64_MAX - 3, 8);
    seal();
    return count;
}

static void wrong_packs_are_refused(void **state) {
    (void)state;
    static const struct {
        size_t (*damage)(size_t count); /* changes `bytes`, returns how many */
        clmoe_status status;
        const char *said;
    } cases[] = {
        {other_driver, CLMOE_UNSUPPORTED, "made for another device: it has \"driver version: ~"},
        {other_device, CLMOE_UNSUPPORTED, "it has \"device: ~"},
        {other_library, CLMOE_UNSUPPORTED, "it has \"library version: ~"},
        {text_file, CLMOE_INVALID_FILE, "is no pack of clmoe"},
        {only_magic, CLMOE_INVALID_FILE, "is cut short"},
        {cut_last, CLMOE_INVALID_FILE, "has not the size it says"},
        {cut_half, CLMOE_INVALID_FILE, "has not the size it says"},
        {flip_identity, CLMOE_INVALID_FILE, "is damaged"},
        {flip_count, CLMOE_INVALID_FILE, "is damaged"},
        {huge_count, CLMOE_INVALID_FILE, "is damaged"},
        {huge_identity, CLMOE_INVALID_FILE, "is damaged"},
        {no_identity, CLMOE_INVALID_FILE, "is damaged"},
        {newer_layout, CLMOE_INVALID_FILE, "is a pack of another version of the library"},
    };
    clmoe_error error = {.struct_size = sizeof error};
    test_folder folder = test_folder_new();
    const char *pack = make_pack(&folder);
    static unsigned char whole[ROOM];
    const size_t count = cache_read_file(pack, whole, sizeof whole);
    const clmoe_context_desc desc = cache_desc("/dev/null/cache");
    test_device device = test_open(&desc);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memcpy(bytes, whole, count);
        const size_t left = cases[i].damage(count);
        pack = test_file(&folder, "wrong.pack", bytes, left);
        FAILS(clmoe_context_add_pack(device.context, pack, &error), cases[i].status, cases[i].said);
        assert_non_null(strstr(error.message, "wrong.pack"));
        assert_string_equal(error.argument, "path");
    }
    FAILS(clmoe_context_add_pack(device.context, test_path(&folder, "absent"), &error), CLMOE_INVALID_FILE,
          "does not exist");
    FAILS(clmoe_context_add_pack(device.context, folder.path, &error), CLMOE_INVALID_FILE, "is a folder");
    FAILS(clmoe_context_add_pack(device.context, NULL, &error), CLMOE_INVALID_ARGUMENT, "path");
    FAILS(clmoe_context_add_pack(NULL, pack, &error), CLMOE_INVALID_ARGUMENT, "context");
    FAILS(clmoe_context_write_pack(device.context, pack, &error), CLMOE_INVALID_ARGUMENT, "keep_for_pack");
    FAILS(clmoe_context_write_pack(NULL, pack, &error), CLMOE_INVALID_ARGUMENT, "context");
    FAILS(clmoe_context_cache(NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "context");
    FAILS(clmoe_context_cache(device.context, NULL, &error), CLMOE_INVALID_ARGUMENT, "stats");
    test_close(&device);
    memcpy(bytes, whole, count);
    const size_t left = row_outside(count);
    const char *const packs[] = {test_file(&folder, "wrong.pack", bytes, left), NULL};
    const cache_use use = cache_use_once(&desc, packs, 3, NULL);
    assert_int_equal(use.stats.hits, 0);
    test_folder_free(&folder);
}

static void off_means_no_packs_either(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    test_folder folder = test_folder_new();
    const char *pack = make_pack(&folder);
    clmoe_context_desc desc = cache_desc(NULL);
    desc.cache = CLMOE_CACHE_OFF;
    desc.keep_for_pack = 1;
    test_device device = test_open(&desc);
    FAILS(clmoe_context_add_pack(device.context, pack, &error), CLMOE_UNSUPPORTED, "the cache is off");
    FAILS(clmoe_context_write_pack(device.context, pack, &error), CLMOE_UNSUPPORTED, "the cache is off");
    test_close(&device);
    desc.cache = CLMOE_CACHE_ALWAYS;
    device = test_open(&desc);
    FAILS(clmoe_context_write_pack(device.context, "/dev/null/all.pack", &error), CLMOE_INVALID_FILE,
          "a part of the path is not a folder");
    OK(clmoe_context_write_pack(device.context, test_path(&folder, "empty.pack"), &error)); /* nothing was built */
    OK(clmoe_context_add_pack(device.context, test_path(&folder, "empty.pack"), &error));
    test_close(&device);
    test_folder_free(&folder);
}

/* ---------------------------------------------------------------------------------------- an own store */

typedef struct store {
    unsigned char key[64], value[ROOM];
    size_t key_bytes, value_bytes;
    int gets, puts, refuses, grows;
} store;

static size_t store_get(void *user, const void *key, size_t key_bytes, void *value, size_t capacity) {
    store *s = user;
    s->gets++;
    if (s->value_bytes == 0 || key_bytes != s->key_bytes || memcmp(key, s->key, key_bytes) != 0) return 0;
    if (s->grows && capacity == 0) return s->value_bytes - 7; /* as if it were replaced by a larger one in between */
    if (capacity >= s->value_bytes) memcpy(value, s->value, s->value_bytes);
    return s->value_bytes;
}

static int store_put(void *user, const void *key, size_t key_bytes, const void *value, size_t value_bytes) {
    store *s = user;
    s->puts++;
    if (s->refuses) return 0;
    assert_true(key_bytes <= sizeof s->key && value_bytes <= sizeof s->value);
    memcpy(s->key, key, s->key_bytes = key_bytes);
    memcpy(s->value, value, s->value_bytes = value_bytes);
    return 1;
}

static void the_application_may_keep_entries(void **state) {
    (void)state;
    static store s;
    clmoe_context_desc desc = cache_desc("/dev/null/cache");
    desc.cache_get = store_get;
    desc.cache_put = store_put;
    desc.cache_user = &s;
    cache_use use = cache_use_once(&desc, NULL, 3, NULL);
    assert_int_equal(use.stats.stores, 1);
    assert_int_equal(s.puts, 1);
    assert_int_equal(s.key_bytes, 32);
    assert_non_null(strstr(use.described, "cache: the application's store\n"));
    for (s.grows = 0; s.grows < 2; s.grows++) {
        use = cache_use_once(&desc, NULL, 3, NULL);
        assert_int_equal(use.stats.hits, 1);
        assert_int_equal(s.puts, 1);
    }
    s.value[s.value_bytes - 1] ^= 1; /* it is checked as the folder is */
    use = cache_use_once(&desc, NULL, 3, NULL);
    assert_int_equal(use.stats.rejected, 1);
    assert_int_equal(s.puts, 2);
    desc.cache_get = NULL;
    use = cache_use_once(&desc, NULL, 3, NULL);
    assert_int_equal(use.stats.hits, 0);
    assert_int_equal(s.puts, 3);
    desc.cache_get = store_get;
    desc.cache_put = NULL;
    use = cache_use_once(&desc, NULL, 5, NULL); /* nothing is taken from the driver for nobody */
    assert_int_equal(use.stats.misses, 1);
    assert_int_equal(use.stats.stores + use.stats.failures, 0);
}

static void a_store_that_refuses_is_left_alone(void **state) {
    (void)state;
    static store s;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_context_desc desc = cache_desc(NULL);
    desc.cache_put = store_put;
    desc.cache_user = &s;
    s.refuses = 1;
    const cache_use use = cache_use_once(&desc, NULL, 3, NULL);
    assert_int_equal(use.stats.failures, 1);
    assert_non_null(strstr(use.log, "the application's store does not take entries; nothing more is kept there"));
    test_device device = test_open(&desc);
    const clmoe__key key = {{1}};
    for (int i = 0; i < 3; i++) clmoe__cache_put(device.context, CLMOE__ENTRY_VERDICT, &key, "x", 1);
    assert_int_equal(s.puts, 2);
    clmoe_cache_stats stats = {.struct_size = sizeof stats};
    OK(clmoe_context_cache(device.context, &stats, &error));
    assert_int_equal(stats.failures, 1);
    test_close(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pack_saves_the_compiler),        cmocka_unit_test(entries_of_packs_are_checked),
        cmocka_unit_test(wrong_packs_are_refused),          cmocka_unit_test(off_means_no_packs_either),
        cmocka_unit_test(the_application_may_keep_entries), cmocka_unit_test(a_store_that_refuses_is_left_alone),
    };
    return cmocka_run_group_tests(tests, bed_make_folder, bed_remove_folder);
}
