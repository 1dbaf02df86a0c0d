/* What the operating system gives: memory, mutexes, files, libraries, the CPU's features. The only folder with
 * operating-system headers; everything above includes this file instead. */
#ifndef CLMOE_OS_OS_H
#define CLMOE_OS_OS_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed memory of at least `bytes`, page aligned, in huge pages where the system has them. NULL when exhausted. */
void *clmoe__os_pages_alloc(size_t bytes);
void clmoe__os_pages_free(void *memory, size_t bytes); /* the same bytes as asked for */
/* Bytes of a huge page of such memory: it begins at a multiple of them, and the first write to one of them may clear it
 * as a whole. 0: there are none, or fewer than one were asked for. */
size_t clmoe__os_pages_huge(size_t bytes);
/* Maps what is read next, so that prefetching works there from the first line on. Touches the memory now and then. */
void clmoe__os_pages_expect(const void *memory, size_t bytes);

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

/* What is wrong with a file is said in words that follow its path: "does not exist", "is a folder", "is empty", "cannot
 * be opened: permission denied". Static storage; NULL = nothing is wrong. Paths are in the system's own encoding. */
int clmoe__os_is_folder(const char *path);
int clmoe__os_exists(const char *path); /* whatever it is; 0 also where it cannot be told */
/* Calls `each` with the name of everything in a folder, in no particular order. What is wrong, in words as above. */
const char *clmoe__os_list_folder(const char *path, void (*each)(void *user, const char *name), void *user);

/* A file of at least one byte in the address space, read only; pages come from the disk when they are touched. Nothing
 * is held open but the mapping. */
typedef struct clmoe__file_map {
    const unsigned char *data;
    uint64_t bytes;
} clmoe__file_map;
const char *clmoe__os_map_file(const char *path, clmoe__file_map *map);
void clmoe__os_unmap_file(clmoe__file_map *map); /* zeroes it; one that is zero already: nothing */

/* A file that appears whole or not at all: it is written beside `path` under a name of its own (PATH.NUMBER.tmp), and
 * takes the place of `path` when its bytes are on the disk. Where `path` is a link, what it leads to is replaced.
 * Folders and devices are refused. */
typedef struct clmoe__file_writer clmoe__file_writer;
const char *clmoe__os_writer_open(const char *path, clmoe__file_writer **writer);
const char *clmoe__os_writer_write(clmoe__file_writer *writer, const void *data, size_t bytes);
/* Both end the writer. A commit that fails leaves `path` as it was and nothing beside it; so does giving up. */
const char *clmoe__os_writer_commit(clmoe__file_writer *writer);
void clmoe__os_writer_give_up(clmoe__file_writer *writer); /* NULL: nothing */
/* As commit, but without waiting for the disk: after a crash of the system the file may be cut short. For what carries
 * a checksum and can be made again. */
const char *clmoe__os_writer_replace(clmoe__file_writer *writer);

/* One holder at a time, among threads and processes: waits until it has the lock that a file of this name stands for,
 * which is made and stays. Ends with its process at the latest. What is wrong, in words as above. */
typedef struct clmoe__file_lock clmoe__file_lock;
const char *clmoe__os_lock_file(const char *path, clmoe__file_lock **lock);
void clmoe__os_unlock_file(clmoe__file_lock *lock);

/* Where this user's programs keep what can be made again: $XDG_CACHE_HOME/clmoe or ~/.cache/clmoe, on Windows below
 * LOCALAPPDATA. 0 if there is no such place. The folder need not exist. */
int clmoe__os_cache_folder(char *path, size_t capacity);
/* Where this user's programs keep settings: $XDG_CONFIG_HOME/clmoe or ~/.config/clmoe, on Windows below APPDATA.
 * Likewise. */
int clmoe__os_config_folder(char *path, size_t capacity);
/* Makes a folder, readable by its owner only, and those above it that are missing. What is wrong, in words as above. */
const char *clmoe__os_make_folders(const char *path);
/* Size of a file, and when it was last written or touched, in nanoseconds of the clock below. 0 if it is no file. */
int clmoe__os_file_info(const char *path, uint64_t *bytes, uint64_t *modified);
uint64_t clmoe__os_file_clock(void);
void clmoe__os_file_touch(const char *path); /* best effort */
int clmoe__os_file_remove(const char *path); /* 1: it is gone */

/* What this CPU can do, as far as kernels care. All 0 on other architectures. */
typedef struct clmoe__cpu {
    int avx2_fma, avx_vnni, avx512f, avx512_bf16, avx512_vnni, avx512_vbmi; /* by cpuid, and enabled by the operating
                                                                             * system (xgetbv) */
} clmoe__cpu;
void clmoe__os_cpu(clmoe__cpu *cpu);

#endif
