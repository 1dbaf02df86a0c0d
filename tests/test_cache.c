/* The cache in a folder: what is found again, what is let go, who may use it; the modes and places. Damaged
 * entries: test_cache_damaged.c. */
#include "cache_bed.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "opencl/cache_parts.h"

enum { ROOM = 1 << 20 };
static unsigned char bytes[ROOM + 1];

static void what_was_built_is_found_again(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    const clmoe_context_desc desc = cache_desc(folder.path);
    cache_use use = cache_use_once(&desc, NULL, 3, NULL);
    cache_expect(&use, 0, 1, 1, 0);
    CONTAINS(use.log, "built cl/mix.cl -DFACTOR=3");
    CONTAINS(use.described, folder.path);
    assert_int_equal(use.stats.bytes_written, cache_folder_bytes(&folder));
    use = cache_use_once(&desc, NULL, 3, NULL);
    cache_expect(&use, 1, 0, 0, 0);
    CONTAINS(use.log, "loaded cl/mix.cl -DFACTOR=3");
    assert_int_equal(use.stats.bytes_read, cache_folder_bytes(&folder));
    assert_int_equal(use.stats.pack_hits, 0);
    use = cache_use_once(&desc, NULL, 5, NULL); /* other options */
    cache_expect(&use, 0, 1, 1, 0);
    use = cache_use_once(&desc, NULL, 3, NULL);
    cache_expect(&use, 1, 0, 0, 0);
    test_folder_free(&folder);
}

/* A changed include is another source. */
static void sources_are_told_apart(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    const clmoe_context_desc desc = cache_desc(folder.path);
    unsigned char step[1024];
    char path[160];
    (void)snprintf(path, sizeof path, "%s/parts/step.clh", bed_folder);
    const size_t count = cache_read_file(path, step, sizeof step - 1);
    step[count] = '\0';
    cache_use use = cache_use_once(&desc, NULL, 3, NULL);
    cache_expect(&use, 0, 1, 1, 0);
    (void)snprintf((char *)bytes, sizeof bytes, "/* something else */\n%s", (const char *)step);
    bed_write_file("parts/step.clh", (const char *)bytes);
    use = cache_use_once(&desc, NULL, 3, NULL);
    cache_expect(&use, 0, 1, 1, 0);
    bed_write_file("parts/step.clh", (const char *)step);
    use = cache_use_once(&desc, NULL, 3, NULL);
    cache_expect(&use, 1, 0, 0, 0);
    test_folder_free(&folder);
}

/* --------------------------------------------------------------------------------------------- its bounds */

static void put_number(clmoe_context *context, uint32_t number, size_t count) {
    clmoe__key key;
    clmoe__sha256 hash;
    clmoe__key_begin(context, CLMOE__ENTRY_VERDICT, &hash);
    clmoe__sha256_add(&hash, &number, sizeof number);
    clmoe__key_end(&hash, &key);
    memset(bytes, (int)number, count);
    clmoe__cache_put(context, CLMOE__ENTRY_VERDICT, &key, bytes, count);
}

static int has_number(clmoe_context *context, uint32_t number) {
    clmoe__key key;
    clmoe__sha256 hash;
    size_t count = 0;
    clmoe__key_begin(context, CLMOE__ENTRY_VERDICT, &hash);
    clmoe__sha256_add(&hash, &number, sizeof number);
    clmoe__key_end(&hash, &key);
    unsigned char *found = clmoe__cache_get(context, CLMOE__ENTRY_VERDICT, &key, &count);
    const int has = found != NULL;
    free(found);
    return has;
}

/* Another driver's entries are other entries. */
static void the_device_is_part_of_every_key(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    const clmoe_context_desc desc = cache_desc(folder.path);
    test_device device = test_open(&desc);
    const clmoe__device *facts = &device.context->device;
    const char *const parts[] = {clmoe_version_string(),  facts->name,           facts->vendor,        facts->platform,
                                 facts->platform_version, facts->device_version, facts->driver_version};
    char *identity = device.context->cache->identity;
    put_number(device.context, 1, 10);
    assert_true(has_number(device.context, 1));
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char *at = strstr(identity, parts[i]);
        assert_non_null(at);
        *at = (char)(*at + 1);
        assert_false(has_number(device.context, 1));
        *at = (char)(*at - 1);
    }
    assert_true(has_number(device.context, 1));
    test_close(&device);
    test_folder_free(&folder);
}

static void wait_a_moment(void) { /* longer than the ticks that file systems tell time by */
    const struct timespec moment = {0, 20000000};
    (void)nanosleep(&moment, NULL);
}

static void the_folder_is_bounded(void **state) {
    (void)state;
    enum { LIMIT = 20000, ENTRY = 1000 };
    test_folder folder = test_folder_new();
    clmoe_context_desc desc = cache_desc(folder.path);
    desc.cache_max_bytes = LIMIT;
    (void)test_file(&folder, "readme.txt", "not ours", 8); /* stays, and does not count */
    test_device device = test_open(&desc);
    for (uint32_t i = 0; i < 15; i++) put_number(device.context, i, ENTRY);
    wait_a_moment();
    assert_true(has_number(device.context, 0)); /* used just now */
    wait_a_moment();
    for (uint32_t i = 15; i < 30; i++) put_number(device.context, i, ENTRY);
    assert_true(cache_folder_bytes(&folder) <= LIMIT + 8);
    assert_true(has_number(device.context, 0) && has_number(device.context, 29));
    int left = 0;
    for (uint32_t i = 1; i < 15; i++) left += has_number(device.context, i);
    assert_true(left < 4);
    put_number(device.context, 99, LIMIT + 1); /* larger than all of it: not kept, and nothing goes for it */
    assert_false(has_number(device.context, 99));
    assert_true(has_number(device.context, 29));
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_cache_stats stats = {.struct_size = sizeof stats};
    OK(clmoe_context_cache(device.context, &stats, &error));
    assert_int_equal(stats.stores - stats.evicted, test_folder_count(&folder) - 1);
    assert_int_equal(stats.failures, 0);
    test_close(&device);
    assert_int_equal(access(test_path(&folder, "readme.txt"), F_OK), 0);
    test_folder_free(&folder);
}

/* ---------------------------------------------------------------------------------- a folder that is none */

static void what_cannot_be_kept_fails_nothing(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    char path[600];
    (void)snprintf(path, sizeof path, "%s/cache", test_file(&folder, "file", "x", 1));
    const clmoe_context_desc desc = cache_desc(path);
    cache_use use = cache_use_once(&desc, NULL, 3, NULL);
    assert_int_equal(use.stats.failures, 1);
    assert_int_equal(use.stats.stores, 0);
    CONTAINS(use.log, "there is a file of that name; nothing more is kept there");
    test_folder_free(&folder);
}

/* -------------------------------------------------------------------------------------- modes and places */

static void with_variable(const char *name, const char *value) {
    assert_int_equal(value != NULL ? setenv(name, value, 1) : unsetenv(name), 0);
}

static void off_means_off(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    clmoe_context_desc desc = cache_desc(folder.path);
    (void)cache_use_once(&desc, NULL, 3, NULL);
    desc.cache = CLMOE_CACHE_OFF;
    cache_use use = cache_use_once(&desc, NULL, 3, NULL);
    cache_expect(&use, 0, 0, 0, 0);
    CONTAINS(use.described, "cache: off (switched off)");
    desc.cache = CLMOE_CACHE_AUTO;
    with_variable("CLMOE_CACHE", "off");
    use = cache_use_once(&desc, NULL, 3, NULL);
    cache_expect(&use, 0, 0, 0, 0);
    with_variable("CLMOE_CACHE", "always");
    use = cache_use_once(&desc, NULL, 3, NULL);
    cache_expect(&use, 1, 0, 0, 0);
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_context *context = NULL;
    with_variable("CLMOE_CACHE", "sometimes");
    FAILS(clmoe_context_create(&desc, &context, &error), CLMOE_INVALID_ARGUMENT,
          "\"sometimes\", expected auto, off or always");
    with_variable("CLMOE_CACHE", NULL);
    desc.cache = 3;
    FAILS(clmoe_context_create(&desc, &context, &error), CLMOE_INVALID_ARGUMENT, "cache");
    desc.cache = 0;
    desc.keep_for_pack = 2;
    FAILS(clmoe_context_create(&desc, &context, &error), CLMOE_INVALID_ARGUMENT, "keep_for_pack");
    test_folder_free(&folder);
}

static void described_place(const char *wanted) {
    clmoe_error error = {.struct_size = sizeof error};
    char text[4096], line[512];
    clmoe_context_desc desc = cache_desc(NULL);
    test_device device = test_open(&desc);
    OK(clmoe_context_describe(device.context, text, sizeof text, NULL, &error));
    (void)snprintf(line, sizeof line, "\ncache: %s\n", wanted);
    CONTAINS(text, line);
    test_close(&device);
}

static void the_environment_says_where(void **state) {
    (void)state;
    const char *home = getenv("HOME"), *xdg = getenv("XDG_CACHE_HOME");
    char home_before[512] = "", xdg_before[512] = "";
    if (home != NULL) (void)snprintf(home_before, sizeof home_before, "%s", home);
    if (xdg != NULL) (void)snprintf(xdg_before, sizeof xdg_before, "%s", xdg);
    with_variable("CLMOE_CACHE_DIR", "/dev/null/cache");
    described_place("/dev/null/cache");
    with_variable("CLMOE_CACHE_DIR", NULL);
    with_variable("XDG_CACHE_HOME", "/xdg");
    with_variable("HOME", "/home/me");
    described_place("/xdg/clmoe");
    with_variable("XDG_CACHE_HOME", "relative");
    described_place("/home/me/.cache/clmoe");
    with_variable("XDG_CACHE_HOME", NULL);
    with_variable("HOME", NULL);
    described_place("no folder");
    if (home_before[0] != '\0') with_variable("HOME", home_before);
    if (xdg_before[0] != '\0') with_variable("XDG_CACHE_HOME", xdg_before);
}

/* Where taking a binary is dear it is not taken unasked, but used if it is there. */
static void automatic_is_frugal(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    clmoe_context_desc desc = cache_desc(folder.path);
    test_device device = test_open(&desc);
    const int is_pocl = strcmp(device.context->device.platform, "Portable Computing Language") == 0;
    test_close(&device);
    with_variable("CLMOE_CACHE", NULL);
    desc.cache = CLMOE_CACHE_AUTO;
    cache_use use = cache_use_once(&desc, NULL, 3, NULL);
    cache_expect(&use, 0, 1, is_pocl ? 0 : 1, 0);
    desc.cache = CLMOE_CACHE_ALWAYS;
    (void)cache_use_once(&desc, NULL, 3, NULL);
    desc.cache = CLMOE_CACHE_AUTO;
    use = cache_use_once(&desc, NULL, 3, NULL);
    cache_expect(&use, 1, 0, 0, 0);
    test_folder_free(&folder);
}

/* Drivers give no binary for a part of a device. */
static void parts_of_a_device_have_no_cache(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    clmoe_context_desc desc = cache_desc(folder.path);
    test_device device = test_open(&desc);
    const cl_device_partition_property halves[] = {CL_DEVICE_PARTITION_EQUALLY, 1, 0};
    cl_device_id parts[64];
    cl_uint count = 0;
    if (clCreateSubDevices(device.id, halves, 64, parts, &count) != CL_SUCCESS) {
        test_close(&device);
        test_folder_free(&folder);
        skip();
    }
    desc.adopt_context = clCreateContext(NULL, count, parts, NULL, NULL, NULL);
    desc.adopt_device = parts[0];
    const cache_use use = cache_use_once(&desc, NULL, 3, NULL);
    cache_expect(&use, 0, 0, 0, 0);
    CONTAINS(use.described, "cache: off (drivers give no binaries for parts of a device)");
    assert_int_equal(test_folder_count(&folder), 0);
    (void)clReleaseContext(desc.adopt_context);
    for (cl_uint i = 0; i < count; i++) (void)clReleaseDevice(parts[i]);
    test_close(&device);
    test_folder_free(&folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_built_is_found_again),
        cmocka_unit_test(sources_are_told_apart),
        cmocka_unit_test(the_device_is_part_of_every_key),
        cmocka_unit_test(the_folder_is_bounded),
        cmocka_unit_test(what_cannot_be_kept_fails_nothing),
        cmocka_unit_test(off_means_off),
        cmocka_unit_test(the_environment_says_where),
        cmocka_unit_test(automatic_is_frugal),
        cmocka_unit_test(parts_of_a_device_have_no_cache),
    };
    return cmocka_run_group_tests(tests, bed_make_folder, bed_remove_folder);
}
