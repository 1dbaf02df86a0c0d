/* The measurements of `clmoe-bench report`, each made by this program as a process of its own, so that none finds
 * memory, queues or kernels of another. */
#ifndef CLMOE_BENCH_REPORT_SET_H
#define CLMOE_BENCH_REPORT_SET_H

#include "result_file.h"

#define MAX_STEPS 16

typedef struct report_run {
    const char *folder;
    int quick;                     /* few tokens, short times */
    const char *const *common;     /* options for every step, the last NULL: device, shape, seed */
    const char *weights;           /* NULL: each step's own */
    char commands[MAX_STEPS][512]; /* what was run, without the JSON file's name, for readers */
    size_t count;
} report_run;

/* Runs every step and adds its JSON, DIR/COMMAND.json, to the set. Steps that fail do not keep the next from running;
 * 1 then, after complaints, else 0. */
int report_set_run(report_run *run, result_set *set);

#endif
