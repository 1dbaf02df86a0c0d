/* The cache under hardship: processes that write, read and shrink one folder at the same time; a folder this user may
 * read but not write; every OpenCL call made to fail, with an empty cache and with a full one. And verdicts, kept
 * beside the programs. */
#include "cache_bed.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault_cl.h"
#include "opencl/cache_parts.h"

/* ---------------------------------------------------------------------------------------------- processes */

enum { PROCESSES = 3, ROUNDS = 400, KEYS = 20, LIMIT = 60000, LARGEST = 10000, NOBODY = 65534 };

static clmoe__key key_of(const clmoe_context *context, uint32_t number) {
    clmoe__key key;
    clmoe__sha256 hash;
    clmoe__key_begin(context, CLMOE__ENTRY_VERDICT, &hash);
    clmoe__sha256_add(&hash, &number, sizeof number);
    clmoe__key_end(&hash, &key);
    return key;
}

/* Puts entries of all sizes under a few keys, and checks that what is found is whole: bytes of the key's number. */
static void hammer(clmoe_context *context, test_random *random) {
    static unsigned char payload[LARGEST];
    for (int i = 0; i < ROUNDS; i++) {
        const uint32_t number = test_random_below(random, KEYS);
        const clmoe__key key = key_of(context, number);
        size_t count = 0;
        unsigned char *found = clmoe__cache_get(context, CLMOE__ENTRY_VERDICT, &key, &count);
        for (size_t n = 0; found != NULL && n < count; n++) assert_int_equal(found[n], number);
        free(found);
        memset(payload, (int)number, sizeof payload);
        clmoe__cache_put(context, CLMOE__ENTRY_VERDICT, &key, payload, 1 + test_random_below(random, LARGEST));
    }
}

/* A process of its own: 0 if all went well. */
static int run_hammer(const char *folder, const char *number) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_cache_stats stats = {.struct_size = sizeof stats};
    clmoe_context_desc desc = cache_desc(folder);
    test_random random = test_random_new(strtoull(number, NULL, 10));
    desc.cache_max_bytes = LIMIT;
    test_device device = test_open(&desc);
    hammer(device.context, &random);
    OK(clmoe_context_cache(device.context, &stats, &error));
    test_close(&device);
    printf("process %s: %d stores, %d hits, %d misses, %d evicted, %d rejected, %d failures\n", number,
           (int)stats.stores, (int)stats.hits, (int)stats.misses, (int)stats.evicted, (int)stats.rejected,
           (int)stats.failures);
    return stats.stores == ROUNDS && stats.hits > 0 && stats.rejected == 0 && stats.failures == 0 ? 0 : 1;
}

/* As a user who may read the folder only: what is there is found, what is not cannot be kept, and all goes on. */
static int run_reader(const char *folder) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_cache_stats stats = {.struct_size = sizeof stats};
    const clmoe_context_desc desc = cache_desc(folder);
    test_device device = test_open(&desc);
    if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)) return 77;
    for (uint32_t i = 0; i < 2; i++) {
        const clmoe__key key = key_of(device.context, i);
        size_t count = 0;
        free(clmoe__cache_get(device.context, CLMOE__ENTRY_VERDICT, &key, &count));
        clmoe__cache_put(device.context, CLMOE__ENTRY_VERDICT, &key, "x", 1);
    }
    OK(clmoe_context_cache(device.context, &stats, &error));
    test_close(&device);
    printf("reader: %d hits, %d misses, %d stores, %d failures\n", (int)stats.hits, (int)stats.misses,
           (int)stats.stores, (int)stats.failures);
    return stats.hits == 1 && stats.misses == 1 && stats.stores == 0 && stats.failures == 1 ? 0 : 1;
}

static pid_t start(const char *mode, const char *folder, const char *number) {
    char *const arguments[] = {"test_cache_shared", (char *)(uintptr_t)mode, (char *)(uintptr_t)folder,
                               (char *)(uintptr_t)number, NULL};
    (void)fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)execv("/proc/self/exe", arguments);
        _exit(126);
    }
    return child;
}

static int finish(pid_t child) {
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void processes_share_a_folder(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    pid_t children[PROCESSES];
    const char *const numbers[PROCESSES] = {"1", "2", "3"};
    for (int i = 0; i < PROCESSES; i++) children[i] = start("hammer", folder.path, numbers[i]);
    for (int i = 0; i < PROCESSES; i++) assert_int_equal(finish(children[i]), 0);
    assert_true(test_folder_count(&folder) <= KEYS); /* no temporary file is left */
    assert_true(cache_folder_bytes(&folder) <= LIMIT + PROCESSES * (LIMIT / 16 + LARGEST));
    test_folder_free(&folder);
}

static void a_folder_may_be_read_only(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    const clmoe_context_desc desc = cache_desc(folder.path);
    test_device device = test_open(&desc);
    const clmoe__key key = key_of(device.context, 0);
    clmoe__cache_put(device.context, CLMOE__ENTRY_VERDICT, &key, "passed", 6);
    test_close(&device);
    assert_int_equal(chmod(folder.path, 0555), 0);
    const int status = finish(start("reader", folder.path, "0"));
    assert_int_equal(chmod(folder.path, 0755), 0);
    test_folder_free(&folder);
    if (status == 77) skip();
    assert_int_equal(status, 0);
}

/* ------------------------------------------------------------------------------------------------- faults */

typedef struct memory_store {
    struct {
        unsigned char key[32], *value;
        size_t bytes;
    } entries[64];
    size_t count;
} memory_store;
static memory_store kept;

static size_t store_get(void *user, const void *key, size_t key_bytes, void *value, size_t capacity) {
    memory_store *s = user;
    for (size_t i = 0; i < s->count; i++) {
        if (memcmp(s->entries[i].key, key, key_bytes) != 0) continue;
        if (capacity >= s->entries[i].bytes) memcpy(value, s->entries[i].value, s->entries[i].bytes);
        return s->entries[i].bytes;
    }
    return 0;
}

static int store_put(void *user, const void *key, size_t key_bytes, const void *value, size_t bytes) {
    memory_store *s = user;
    size_t i = 0;
    while (i < s->count && memcmp(s->entries[i].key, key, key_bytes) != 0) i++;
    if (i == s->count) s->entries[s->count++].value = NULL;
    assert_true(s->count < 64);
    free(s->entries[i].value);
    s->entries[i].value = malloc(bytes);
    s->entries[i].bytes = bytes;
    memcpy(s->entries[i].key, key, key_bytes);
    memcpy(s->entries[i].value, value, bytes);
    return 1;
}

static void forget(void) {
    for (size_t i = 0; i < kept.count; i++) free(kept.entries[i].value);
    kept.count = 0;
}

static clmoe_status make_dispatch(clmoe_context *context, clmoe_error *error) {
    clmoe_dispatch_desc desc;
    clmoe_dispatch *dispatch = NULL;
    clmoe_dispatch_desc_default(&desc, sizeof desc);
    desc.num_classes = desc.local_experts = 4;
    desc.slots = 2;
    desc.tile_rows = 4;
    const clmoe_status status = clmoe_dispatch_create(context, &desc, &dispatch, error);
    clmoe_dispatch_destroy(dispatch);
    return status;
}

/* A context and a stage, with one call failing. What belongs to the cache must not fail them. */
static clmoe_cache_stats scenario(fault_entry entry, unsigned nth) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_cache_stats stats = {.struct_size = sizeof stats};
    clmoe_context_desc desc;
    clmoe_context *context = NULL;
    clmoe_context_desc_default(&desc, sizeof desc);
    desc.get_symbol = fault_symbol;
    desc.cache = CLMOE_CACHE_ALWAYS;
    desc.cache_get = store_get;
    desc.cache_put = store_put;
    desc.cache_user = &kept;
    fault_reset();
    fault_plan(entry, nth);
    clmoe_status status = clmoe_context_create(&desc, &context, &error);
    if (status == CLMOE_OK) status = make_dispatch(context, &error);
    if (status != CLMOE_OK) {
        assert_true(fault_happened());
        assert_true(error.message[0] != '\0');
        if (entry == ENTRY_clGetProgramInfo || entry == ENTRY_clCreateProgramWithBinary)
            fail_msg("call %u of %s failed the creation: %s", nth, fault_name(entry), error.message);
        if (context == NULL) OK(clmoe_context_create(&desc, &context, &error));
        OK(make_dispatch(context, &error)); /* the fault is over */
    }
    OK(clmoe_context_cache(context, &stats, &error));
    clmoe_context_destroy(context);
    const fault_live alive = fault_alive();
    if (alive.devices || alive.contexts || alive.queues || alive.mems || alive.programs || alive.kernels ||
        alive.events)
        fail_msg("call %u of %s: alive are %d queues, %d buffers, %d programs, %d kernels, %d events", nth,
                 fault_name(entry), alive.queues, alive.mems, alive.programs, alive.kernels, alive.events);
    return stats;
}

static void no_fault_of_the_cache_is_a_fault(void **state) {
    (void)state;
    for (int is_full = 0; is_full < 2; is_full++) {
        forget();
        clmoe_cache_stats stats = scenario(FAULT_ENTRIES, 0);
        assert_int_equal(stats.stores, 1);
        if (is_full) stats = scenario(FAULT_ENTRIES, 0);
        assert_int_equal(stats.hits, is_full);
        const unsigned all = fault_calls(FAULT_ENTRIES), infos = fault_calls(ENTRY_clGetProgramInfo);
        assert_int_equal(fault_calls(ENTRY_clCreateProgramWithBinary), is_full);
        assert_int_equal(fault_calls(ENTRY_clCreateProgramWithSource), !is_full);
        for (unsigned n = 1; n <= all; n++) {
            if (!is_full) forget();
            (void)scenario(FAULT_ENTRIES, n);
        }
        for (unsigned n = 1; n <= infos; n++) {
            forget();
            stats = scenario(ENTRY_clGetProgramInfo, n);
            assert_int_equal(stats.failures, 1);
            assert_int_equal(kept.count, 0);
        }
        if (!is_full) continue;
        forget();
        (void)scenario(FAULT_ENTRIES, 0);
        stats = scenario(ENTRY_clCreateProgramWithBinary, 1);
        assert_int_equal(stats.rejected, 1);
        assert_int_equal(stats.stores, 1);
        stats = scenario(ENTRY_clBuildProgram, 1); /* of the binary: the source is built */
        assert_int_equal(stats.rejected, 1);
    }
    forget();
    fault_finish();
}

/* ----------------------------------------------------------------------------------------------- verdicts */

static void take_builds(void *user, const char *line) {
    if (strncmp(line, "built ", 6) == 0) ++*(int *)user;
}

/* A grouped GEMM is made; returns how many programs were built for it, and what the context says of its verdicts. */
static int builds_of_gemm(const char *folder, char *text, size_t room, clmoe_cache_stats *stats) {
    static uint16_t weight[2 * 32 * 32];
    clmoe_error error = {.struct_size = sizeof error};
    int builds = 0;
    clmoe_context_desc desc;
    clmoe_context_desc_default(&desc, sizeof desc);
    desc.cache = CLMOE_CACHE_AUTO;
    desc.cache_dir = folder;
    desc.log = take_builds;
    desc.log_user = &builds;
    assert_int_equal(setenv("CLMOE_CACHE", "auto", 1), 0);
    test_device device = test_open(&desc);
    clmoe_grouped_gemm_desc gemm_desc;
    clmoe_grouped_gemm *gemm = NULL;
    clmoe_grouped_gemm_desc_default(&gemm_desc, sizeof gemm_desc);
    gemm_desc.num_groups = 2;
    gemm_desc.in_features = gemm_desc.out_features = 32;
    gemm_desc.weight_format = gemm_desc.x_format = CLMOE_F16; /* the self-test has other sources */
    gemm_desc.weight = (clmoe_tensor){.format = CLMOE_F16, .host = weight};
    OK(clmoe_grouped_gemm_create(device.context, &gemm_desc, &gemm, &error));
    clmoe_grouped_gemm_destroy(gemm);
    OK(clmoe_context_describe(device.context, text, room, NULL, &error));
    stats->struct_size = sizeof *stats;
    OK(clmoe_context_cache(device.context, stats, &error));
    test_close(&device);
    return builds;
}

static void verdicts_are_kept(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    static char text[8192];
    clmoe_cache_stats stats;
    const int first = builds_of_gemm(folder.path, text, sizeof text, &stats);
    assert_null(strstr(text, "in an earlier process"));
    assert_non_null(strstr(text, "self-test passed\n"));
    assert_true(stats.stores > 0);
    const int second = builds_of_gemm(folder.path, text, sizeof text, &stats);
    assert_non_null(strstr(text, "self-test passed (in an earlier process)\n"));
    assert_true(stats.hits > 0 && stats.stores == 0);
    assert_true(second < first);
    test_folder_free(&folder);
}

int main(int argc, char **argv) {
    if (argc > 3 && strcmp(argv[1], "hammer") == 0) return run_hammer(argv[2], argv[3]);
    if (argc > 3 && strcmp(argv[1], "reader") == 0) return run_reader(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processes_share_a_folder),
        cmocka_unit_test(a_folder_may_be_read_only),
        cmocka_unit_test(verdicts_are_kept),
        cmocka_unit_test(no_fault_of_the_cache_is_a_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
