/* src/os: errors as values, versioned structs, sizes that cannot wrap, memory, mutexes, files. No OpenCL device. */
#include "support.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "os/error.h"
#include "os/os.h"
#include "os/size.h"

static void fail_writes_detail(void **state) {
    (void)state;
    clmoe_error error = {0};
    assert_int_equal(clmoe__fail(&error, CLMOE_UNSUPPORTED, "routing.top_k", "top_k is %u, expected 1..%u", 9u, 8u),
                     CLMOE_UNSUPPORTED);
    assert_int_equal(error.status, CLMOE_UNSUPPORTED);
    assert_string_equal(error.argument, "routing.top_k");
    assert_string_equal(error.message, "top_k is 9, expected 1..8");
    assert_int_equal(clmoe__fail(NULL, CLMOE_NO_DEVICE, NULL, "unused"), CLMOE_NO_DEVICE);
}

static void fail_cuts_long_texts(void **state) {
    (void)state;
    char text[5000];
    clmoe_error error = {0};
    memset(text, 'a', sizeof text - 1);
    memcpy(text + sizeof text - 4, "end", 4);
    (void)clmoe__fail(&error, CLMOE_UNSUPPORTED, text, "%s", text);
    assert_int_equal(strlen(error.argument), sizeof error.argument - 1);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    clmoe__error_log(&error, text);
    assert_int_equal(strlen(error.log), sizeof error.log - 1);
    assert_string_equal(error.log + strlen(error.log) - 3, "end");
    clmoe__error_log(&error, "short");
    assert_string_equal(error.log, "short");
}

/* A caller whose struct ends before `message` must keep what lies behind it. */
static void fail_respects_an_older_caller(void **state) {
    (void)state;
    clmoe_error error;
    memset(&error, 0x5a, sizeof error);
    error.struct_size = offsetof(clmoe_error, message);
    (void)clmoe__fail(&error, CLMOE_UNSUPPORTED, "name", "text");
    clmoe__error_log(&error, "log");
    assert_string_equal(error.argument, "name");
    assert_int_equal(error.struct_size, offsetof(clmoe_error, message));
    for (size_t i = error.struct_size; i < sizeof error; ++i) assert_int_equal(((unsigned char *)&error)[i], 0x5a);
}

static void fail_cl_maps_codes(void **state) {
    (void)state;
    static const struct {
        cl_int code;
        clmoe_status status;
        const char *text;
    } cases[] = {
        {CL_OUT_OF_HOST_MEMORY, CLMOE_OUT_OF_HOST_MEMORY, "clFinish: -6 (CL_OUT_OF_HOST_MEMORY)"},
        {CL_MEM_OBJECT_ALLOCATION_FAILURE, CLMOE_OUT_OF_DEVICE_MEMORY,
         "clFinish: -4 (CL_MEM_OBJECT_ALLOCATION_FAILURE)"},
        {CL_BUILD_PROGRAM_FAILURE, CLMOE_BUILD_FAILED, "clFinish: -11 (CL_BUILD_PROGRAM_FAILURE)"},
        {CL_INVALID_VALUE, CLMOE_OPENCL_ERROR, "clFinish: -30 (CL_INVALID_VALUE)"},
        {-1001, CLMOE_NO_DEVICE, "clFinish: -1001 (CL_PLATFORM_NOT_FOUND_KHR)"},
        {-9999, CLMOE_OPENCL_ERROR, "clFinish: -9999 (unknown code)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        clmoe_error error = {0};
        assert_int_equal(clmoe__fail_cl(&error, cases[i].code, "clFinish"), cases[i].status);
        assert_int_equal(error.cl_code, cases[i].code);
        assert_string_equal(error.message, cases[i].text);
        assert_int_equal(clmoe__fail_cl(NULL, cases[i].code, "clFinish"), cases[i].status);
    }
}

typedef struct versioned {
    size_t struct_size;
    uint32_t a, b;
    uint64_t c;
} versioned;

static const versioned versioned_defaults = {sizeof(versioned), 1, 2, 3};

static void take_fills_what_an_older_caller_lacks(void **state) {
    (void)state;
    clmoe_error error = {0};
    versioned to = versioned_defaults;
    const versioned from = {offsetof(versioned, c), 7, 8, 99};
    assert_int_equal(clmoe__take(&to, sizeof to, &from, "desc", &error), CLMOE_OK);
    assert_int_equal(to.struct_size, sizeof to);
    assert_int_equal(to.a, 7);
    assert_int_equal(to.b, 8);
    assert_int_equal(to.c, 3);
}

static void take_refuses_what_it_does_not_know(void **state) {
    (void)state;
    struct {
        versioned known;
        uint32_t later[4];
    } from = {{sizeof from, 7, 8, 9}, {0, 0, 0, 0}};
    clmoe_error error = {0};
    versioned to = versioned_defaults;
    assert_int_equal(clmoe__take(&to, sizeof to, &from, "desc", &error), CLMOE_OK);
    assert_int_equal(to.struct_size, sizeof to);
    assert_int_equal(to.c, 9);
    from.later[3] = 1;
    assert_int_equal(clmoe__take(&to, sizeof to, &from, "desc", &error), CLMOE_INVALID_ARGUMENT);
    assert_string_equal(error.argument, "desc");
    from.later[3] = 0;
    from.known.struct_size = 0;
    assert_int_equal(clmoe__take(&to, sizeof to, &from, "desc", &error), CLMOE_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "struct_size is 0"));
    from.known.struct_size = SIZE_MAX; /* memory nobody initialised: must not be walked */
    assert_int_equal(clmoe__take(&to, sizeof to, &from, "desc", &error), CLMOE_INVALID_ARGUMENT);
    assert_int_equal(clmoe__take(&to, sizeof to, NULL, "desc", &error), CLMOE_INVALID_ARGUMENT);
}

static void give_serves_every_version(void **state) {
    (void)state;
    struct {
        versioned known;
        uint32_t later[2];
    } to;
    memset(&to, 0x5a, sizeof to);
    clmoe__give(&to, sizeof to, &versioned_defaults, sizeof versioned_defaults);
    assert_int_equal(to.known.struct_size, sizeof to);
    assert_int_equal(to.known.c, 3);
    assert_int_equal(to.later[0] | to.later[1], 0);
    memset(&to, 0x5a, sizeof to);
    clmoe__give(&to, offsetof(versioned, b), &versioned_defaults, sizeof versioned_defaults);
    assert_int_equal(to.known.struct_size, offsetof(versioned, b));
    assert_int_equal(to.known.a, 1);
    assert_int_equal(to.known.b, 0x5a5a5a5a);
    clmoe__give(NULL, sizeof to, &versioned_defaults, sizeof versioned_defaults);
}

static void sizes_stick_at_the_maximum(void **state) {
    (void)state;
    assert_true(clmoe__mul(UINT64_C(1) << 32, UINT64_C(1) << 32) == UINT64_MAX);
    assert_true(clmoe__mul(UINT64_MAX, 0) == 0);
    assert_true(clmoe__mul(3, 5) == 15);
    assert_true(clmoe__add(UINT64_MAX, 1) == UINT64_MAX);
    assert_true(clmoe__round_up(UINT64_MAX - 1, 64) == UINT64_MAX);
    assert_true(clmoe__round_up(65, 64) == 128 && clmoe__round_up(64, 64) == 64 && clmoe__round_up(0, 64) == 0);
    assert_true(clmoe__div_up(UINT64_MAX, 2) == (UINT64_C(1) << 63) && clmoe__div_up(0, 3) == 0);
}

static void pages_are_zero_aligned_and_freed(void **state) {
    (void)state;
    const size_t huge = (size_t)2 << 20;
    const size_t sizes[] = {0, 1, 4096, huge - 1, huge, huge + 1, 5 * huge + 123};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
        unsigned char *memory = clmoe__os_pages_alloc(sizes[i]);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % (sizes[i] >= huge ? huge : 4096), 0);
        for (size_t j = 0; j < sizes[i]; j += 4096) assert_int_equal(memory[j], 0);
        if (sizes[i] != 0) memory[sizes[i] - 1] = 1;
        clmoe__os_pages_free(memory, sizes[i]);
    }
    assert_null(clmoe__os_pages_alloc(SIZE_MAX));
    assert_null(clmoe__os_pages_alloc(SIZE_MAX - huge));
    clmoe__os_pages_free(NULL, 1);
}

/* Address space of this process in pages; 0 where the system does not say. */
static unsigned long address_space(void) {
    char *text = clmoe__os_file_read("/proc/self/statm", NULL);
    const unsigned long pages = text == NULL ? 0 : strtoul(text, NULL, 10);
    free(text);
    return pages;
}

/* What aligning cuts off in front and behind must be given back too: 2 MiB each time. */
static void pages_do_not_leak_address_space(void **state) {
    (void)state;
    const size_t bytes = ((size_t)6 << 20) + 5;
    const unsigned long before = address_space();
    for (int i = 0; i < 1000; ++i) {
        void *memory = clmoe__os_pages_alloc(bytes);
        assert_non_null(memory);
        clmoe__os_pages_free(memory, bytes);
    }
    assert_in_range(address_space(), 0, before + ((unsigned long)256 << 20) / 4096);
}

enum { ROUNDS = 20000 };

typedef struct shared {
    clmoe__mutex *mutex;
    clmoe__counter counter;
    int guarded, global;
} shared;

static void *count(void *argument) {
    shared *all = argument;
    for (int i = 0; i < ROUNDS; ++i) {
        clmoe__mutex_lock(all->mutex);
        all->guarded += 1;
        clmoe__mutex_unlock(all->mutex);
        clmoe__global_lock();
        all->global += 1;
        clmoe__global_unlock();
        (void)clmoe__counter_add(&all->counter, 2);
    }
    return NULL;
}

static void threads_lose_no_count(void **state) {
    (void)state;
    shared all = {clmoe__mutex_create(), {0}, 0, 0};
    pthread_t threads[4];
    assert_non_null(all.mutex);
    for (int i = 0; i < 4; ++i) assert_int_equal(pthread_create(&threads[i], NULL, count, &all), 0);
    for (int i = 0; i < 4; ++i) assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(all.guarded, 4 * ROUNDS);
    assert_int_equal(all.global, 4 * ROUNDS);
    assert_int_equal(clmoe__counter_add(&all.counter, -1), 8 * ROUNDS - 1);
    clmoe__mutex_destroy(all.mutex);
    clmoe__mutex_destroy(NULL);
}

static void files_are_read_whole(void **state) {
    (void)state;
    char path[] = "/tmp/clmoe-test-XXXXXX";
    const int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    FILE *file = fdopen(descriptor, "wb");
    assert_non_null(file);
    const size_t sizes[] = {0, 1, 16382, 16383, 16384, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
        rewind(file);
        for (size_t j = 0; j < sizes[i]; ++j) (void)fputc((int)(j % 251), file);
        (void)fflush(file);
        size_t bytes = 77;
        char *text = clmoe__os_file_read(path, &bytes);
        assert_non_null(text);
        assert_int_equal(bytes, sizes[i]);
        assert_int_equal(text[bytes], 0);
        for (size_t j = 0; j < bytes; ++j) assert_int_equal((unsigned char)text[j], j % 251);
        free(text);
    }
    (void)fclose(file);
    (void)unlink(path);
    assert_null(clmoe__os_file_read(path, NULL));
    assert_null(clmoe__os_file_read("/", NULL));
}

static void environment_and_libraries(void **state) {
    (void)state;
    assert_int_equal(setenv("CLMOE_TEST_VARIABLE", "", 1), 0);
    assert_null(clmoe__os_env("CLMOE_TEST_VARIABLE"));
    assert_int_equal(setenv("CLMOE_TEST_VARIABLE", "x", 1), 0);
    assert_string_equal(clmoe__os_env("CLMOE_TEST_VARIABLE"), "x");
    assert_null(clmoe__os_library_open("libclmoe-no-such-library.so"));
    void *library = clmoe__os_library_open("libOpenCL.so.1");
    assert_non_null(library);
    assert_non_null(clmoe__os_library_symbol(library, "clGetPlatformIDs"));
    assert_null(clmoe__os_library_symbol(library, "clNoSuchFunction"));
}

static int has_flag(const char *line, const char *flag) {
    const char *end = strchr(line, '\n');
    const char *found = strstr(line, flag);
    return found != NULL && (end == NULL || found < end);
}

static void flags_agree(const clmoe__cpu *cpu, const char *line) {
    assert_int_equal(cpu->avx2_fma, has_flag(line, " avx2") && has_flag(line, " fma"));
    assert_int_equal(cpu->avx512f, has_flag(line, " avx512f") && has_flag(line, " avx512vl"));
    assert_int_equal(cpu->avx_vnni, has_flag(line, " avx_vnni"));
    assert_int_equal(cpu->avx512_bf16, has_flag(line, " avx512_bf16"));
    assert_int_equal(cpu->avx512_vnni, has_flag(line, " avx512_vnni"));
    assert_int_equal(cpu->avx512_vbmi, has_flag(line, " avx512vbmi"));
}

/* Against what the kernel says of the first CPU, where it says so. */
static void cpu_agrees_with_the_kernel(void **state) {
    (void)state;
    clmoe__cpu cpu;
    clmoe__os_cpu(&cpu);
    assert_true(!cpu.avx512_bf16 || cpu.avx512f);
    assert_true(!cpu.avx512f || cpu.avx2_fma);
    char *info = clmoe__os_file_read("/proc/cpuinfo", NULL);
    const char *flags = info == NULL ? NULL : strstr(info, "\nflags");
    if (flags != NULL) flags_agree(&cpu, flags + 1);
    free(info);
    if (flags == NULL) skip();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_writes_detail),
        cmocka_unit_test(fail_cuts_long_texts),
        cmocka_unit_test(fail_respects_an_older_caller),
        cmocka_unit_test(fail_cl_maps_codes),
        cmocka_unit_test(take_fills_what_an_older_caller_lacks),
        cmocka_unit_test(take_refuses_what_it_does_not_know),
        cmocka_unit_test(give_serves_every_version),
        cmocka_unit_test(sizes_stick_at_the_maximum),
        cmocka_unit_test(pages_are_zero_aligned_and_freed),
        cmocka_unit_test(pages_do_not_leak_address_space),
        cmocka_unit_test(threads_lose_no_count),
        cmocka_unit_test(files_are_read_whole),
        cmocka_unit_test(environment_and_libraries),
        cmocka_unit_test(cpu_agrees_with_the_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
