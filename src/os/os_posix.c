/* Memory, mutexes and libraries on POSIX systems (Linux first). Calls libc, libpthread and libdl only. */
#if !defined(_WIN32)
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, madvise */
#if defined(__APPLE__)
#define _DARWIN_C_SOURCE
#endif

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os.h"
#include "size.h"

#define HUGE_PAGE ((uint64_t)2 << 20)
#define FAULT_AROUND ((size_t)64 << 10) /* what Linux maps at a fault unless told otherwise */

/* What the mapping of `bytes` occupies, so that freeing needs nothing but the size asked for; 0 if it cannot be. */
static size_t mapped_bytes(size_t bytes) {
    const long page = sysconf(_SC_PAGESIZE);
    const uint64_t step = bytes >= HUGE_PAGE ? HUGE_PAGE : page > 0 ? (uint64_t)page : 4096u;
    const uint64_t rounded = clmoe__round_up(bytes != 0 ? bytes : 1, step);
    return rounded > SIZE_MAX - HUGE_PAGE ? 0 : (size_t)rounded;
}

static void *map(size_t length) {
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/*    | head |  length, starts at a multiple of 2 MiB  | tail |     head + tail = 2 MiB are given back at once */
static void *map_huge(size_t length) {
    char *const memory = map(length + HUGE_PAGE);
    if (memory == NULL) return NULL;
    const size_t head = (size_t)(clmoe__round_up((uintptr_t)memory, HUGE_PAGE) - (uintptr_t)memory);
    const size_t tail = (size_t)HUGE_PAGE - head;
    if (head != 0) (void)munmap(memory, head);
    if (tail != 0) (void)munmap(memory + head + length, tail);
#if defined(MADV_HUGEPAGE)
    (void)madvise(memory + head, length, MADV_HUGEPAGE); /* a wish: without it the memory is as good, only slower */
#endif
    return memory + head;
}

void *clmoe__os_pages_alloc(size_t bytes) {
    const size_t length = mapped_bytes(bytes);
    if (length == 0) return NULL;
    return bytes >= HUGE_PAGE ? map_huge(length) : map(length);
}

void clmoe__os_pages_free(void *memory, size_t bytes) {
    if (memory != NULL) (void)munmap(memory, mapped_bytes(bytes));
}

size_t clmoe__os_pages_huge(size_t bytes) { return bytes >= HUGE_PAGE ? (size_t)HUGE_PAGE : 0; }

void clmoe__os_pages_expect(const void *memory, size_t bytes) {
#if defined(__linux__)
    /* One fault maps all the pages around it that the page cache has; MADV_POPULATE_READ goes page by page and takes
     * several times as long. */
    const volatile char *from = memory;
    for (size_t i = 0; i < bytes; i += FAULT_AROUND) (void)from[i];
#else
    (void)memory;
    (void)bytes;
#endif
}

struct clmoe__mutex {
    pthread_mutex_t handle;
};

clmoe__mutex *clmoe__mutex_create(void) {
    clmoe__mutex *mutex = malloc(sizeof *mutex);
    if (mutex != NULL && pthread_mutex_init(&mutex->handle, NULL) != 0) {
        free(mutex);
        mutex = NULL;
    }
    return mutex;
}

void clmoe__mutex_destroy(clmoe__mutex *mutex) {
    if (mutex == NULL) return;
    (void)pthread_mutex_destroy(&mutex->handle);
    free(mutex);
}

void clmoe__mutex_lock(clmoe__mutex *mutex) { (void)pthread_mutex_lock(&mutex->handle); }
void clmoe__mutex_unlock(clmoe__mutex *mutex) { (void)pthread_mutex_unlock(&mutex->handle); }

static pthread_mutex_t global_mutex = PTHREAD_MUTEX_INITIALIZER;
void clmoe__global_lock(void) { (void)pthread_mutex_lock(&global_mutex); }
void clmoe__global_unlock(void) { (void)pthread_mutex_unlock(&global_mutex); }

int64_t clmoe__counter_add(clmoe__counter *counter, int64_t delta) {
    return __atomic_add_fetch(&counter->value, delta, __ATOMIC_ACQ_REL);
}

void *clmoe__os_library_open(const char *name) { return dlopen(name, RTLD_NOW | RTLD_LOCAL); }
void *clmoe__os_library_symbol(void *library, const char *name) { return dlsym(library, name); }

#else
typedef int clmoe__os_posix_is_empty; /* ISO C wants a declaration in every file */
#endif
