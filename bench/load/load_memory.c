/* Peak of anonymous memory; see load_memory.h. A thread reads resident less shared pages of /proc/self/statm, which is
 * the RssAnon of /proc/self/status, some thousand times a second, and once more at the end. VmHWM would not do: it
 * counts the mapped file, whose pages are the page cache's and would be there without us. Calls Linux and POSIX
 * threads. */
#define _POSIX_C_SOURCE 200809L
#include "load_memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/tool.h"

#define INTERVAL_NS 300000

struct memory_watch {
    pthread_t thread;
    atomic_int ends;
    uint64_t before, peak;
};

/* 0 where the system does not tell. */
static uint64_t anonymous_bytes(void) {
    unsigned long long size, resident = 0, shared = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) return 0;
    const int found = fscanf(file, "%llu %llu %llu", &size, &resident, &shared);
    fclose(file);
    return found == 3 && resident > shared ? (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static void *watch_main(void *argument) {
    memory_watch *watch = argument;
    const struct timespec interval = {0, INTERVAL_NS};
    int last;
    do {
        last = atomic_load(&watch->ends);
        const uint64_t now = anonymous_bytes();
        if (now > watch->peak) watch->peak = now;
        if (!last) nanosleep(&interval, NULL);
    } while (!last);
    return NULL;
}

memory_watch *memory_watch_start(void) {
    memory_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL) {
        complain("out of host memory");
        return NULL;
    }
    watch->before = anonymous_bytes();
    if (watch->before != 0 && pthread_create(&watch->thread, NULL, watch_main, watch) == 0) return watch;
    complain("the memory of this process cannot be watched");
    free(watch);
    return NULL;
}

void memory_watch_stop(memory_watch *watch, uint64_t *before, uint64_t *peak) {
    atomic_store(&watch->ends, 1);
    (void)pthread_join(watch->thread, NULL);
    *before = watch->before;
    *peak = watch->peak;
    free(watch);
}
