/* The peak of this process's anonymous memory while something runs. */
#ifndef CLMOE_BENCH_LOAD_MEMORY_H
#define CLMOE_BENCH_LOAD_MEMORY_H

#include <stdint.h>

typedef struct memory_watch memory_watch;

/* Starts watching; NULL after a complaint. */
memory_watch *memory_watch_start(void);
/* Ends it and frees the watch. Bytes: at the start and at the peak. */
void memory_watch_stop(memory_watch *watch, uint64_t *before, uint64_t *peak);

#endif
