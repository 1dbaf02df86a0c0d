/* What the operating system gives: memory, mutexes, files, libraries, the CPU's features. The only folder with
 * operating-system headers; everything above includes this file instead. */
#ifndef CLMOE_OS_OS_H
#define CLMOE_OS_OS_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed memory of at least `bytes`, page aligned, in huge pages where the system has them. NULL when exhausted. */
void *clmoe__os_pages_alloc(size_t bytes);
void clmoe__os_pages_free(void *memory, size_t bytes); /* the same bytes as asked for */

typedef struct clmoe__mutex clmoe__mutex;
clmoe__mutex *clmoe__mutex_create(void); /* NULL when memory is exhausted */
void clmoe__mutex_destroy(clmoe__mutex *mutex);
void clmoe__mutex_lock(clmoe__mutex *mutex);
void clmoe__mutex_unlock(clmoe__mutex *mutex);

/* One lock for the whole process, held while platforms and devices are looked for: in POCL 3.1 a thread that asks for
 * devices during another's first such call is told there are none. */
void clmoe__global_lock(void);
void clmoe__global_unlock(void);

/* Atomic counters, for reference counts and ids. Both return the new value. */
typedef struct clmoe__counter {
    volatile int64_t value;
} clmoe__counter;
int64_t clmoe__counter_add(clmoe__counter *counter, int64_t delta);

/* A library opened at run time; NULL if it or the symbol is not there. */
void *clmoe__os_library_open(const char *name);
void *clmoe__os_library_symbol(void *library, const char *name);

/* An environment variable, NULL if unset or empty. Read only while a context is created. */
const char *clmoe__os_env(const char *name);

/* A whole file as malloc'd bytes with a 0 behind them; NULL if it cannot be read. *bytes may be NULL. */
char *clmoe__os_file_read(const char *path, size_t *bytes);

/* What this CPU can do, as far as kernels care. All 0 on other architectures. */
typedef struct clmoe__cpu {
    int avx2_fma, avx512f, avx512_bf16, avx512_vnni; /* by cpuid, and enabled by the operating system (xgetbv) */
} clmoe__cpu;
void clmoe__os_cpu(clmoe__cpu *cpu);

#endif
