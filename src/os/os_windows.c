/* Memory, mutexes and libraries on Windows. Calls kernel32 only. */
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <stdlib.h>

#include "os.h"

/* Large pages need a privilege that ordinary programs lack, so these are ordinary pages (64 KiB aligned). */
void *clmoe__os_pages_alloc(size_t bytes) {
    return VirtualAlloc(NULL, bytes != 0 ? bytes : 1, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

void clmoe__os_pages_free(void *memory, size_t bytes) {
    (void)bytes;
    if (memory != NULL) (void)VirtualFree(memory, 0, MEM_RELEASE);
}

size_t clmoe__os_pages_huge(size_t bytes) {
    (void)bytes;
    return 0;
}

/* A hint that Windows can do without: it maps several pages at each fault. */
void clmoe__os_pages_expect(const void *memory, size_t bytes) {
    (void)memory;
    (void)bytes;
}

struct clmoe__mutex {
    CRITICAL_SECTION section;
};

clmoe__mutex *clmoe__mutex_create(void) {
    clmoe__mutex *mutex = malloc(sizeof *mutex);
    if (mutex != NULL) InitializeCriticalSection(&mutex->section);
    return mutex;
}

void clmoe__mutex_destroy(clmoe__mutex *mutex) {
    if (mutex == NULL) return;
    DeleteCriticalSection(&mutex->section);
    free(mutex);
}

void clmoe__mutex_lock(clmoe__mutex *mutex) { EnterCriticalSection(&mutex->section); }
void clmoe__mutex_unlock(clmoe__mutex *mutex) { LeaveCriticalSection(&mutex->section); }

static SRWLOCK global_mutex = SRWLOCK_INIT;
void clmoe__global_lock(void) { AcquireSRWLockExclusive(&global_mutex); }
void clmoe__global_unlock(void) { ReleaseSRWLockExclusive(&global_mutex); }

int64_t clmoe__counter_add(clmoe__counter *counter, int64_t delta) {
    return InterlockedExchangeAdd64((volatile LONG64 *)&counter->value, delta) + delta;
}

void *clmoe__os_library_open(const char *name) { return (void *)LoadLibraryA(name); }

void *clmoe__os_library_symbol(void *library, const char *name) {
    /* FARPROC becomes an object pointer through a union: ISO C has no cast between the two. */
    union {
        FARPROC function;
        void *object;
    } symbol;
    symbol.function = GetProcAddress((HMODULE)library, name);
    return symbol.object;
}

#else
typedef int clmoe__os_windows_is_empty; /* ISO C wants a declaration in every file */
#endif
