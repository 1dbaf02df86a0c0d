/* `clmoe-bench load`: how fast a checkpoint in the page cache becomes a layer's weights, against the bandwidth that the
 * read probe finds between the loads. Each row:
 *
 *   write a checkpoint (load_files.c)             removed at the end of the row, and whatever ends the program
 *   load it once                                  first s: kernels are set up, tested, compiled if there is no cache
 *   run a layer on the weights                    max error: sampled tokens against the oracle
 *   load it, watching memory (load_memory.c)      extra MiB: peak of anonymous memory less the packed weights
 *   load it --loads times                         median s, and read + packed bytes over it
 *
 * A load opens the model and makes the weights: mapping the file and giving fresh pages to the weights are parts of it,
 * destroying both is not. */
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "common/tool.h"
#include "load_files.h"
#include "load_row.h"
#include "progress.h"

typedef struct load_bench {
    const tool_args *args;
    session s;
    roofline *roof;
    load_result *rows;
    size_t count;
    model shapes[MAX_MODELS];
} load_bench;

/* Whether file and weights fit into memory, and the file on the disk; 0 and a line if not. */
static int is_possible(const load_bench *b, const model *m, uint32_t format) {
    const uint64_t usable = memory_available(&b->s) / 10 * 9, bytes = layer_bytes(m, format);
    if (usable != 0 && 2 * bytes > usable) {
        progress_clear();
        printf("%-14s %-4s needs %.1f GiB for file and weights, %.1f GiB can be had: skipped\n", m->name,
               format_name(format), 2 * (double)bytes / 0x1p30, (double)usable / 0x1p30);
        fflush(stdout);
        return 0;
    }
    return 1;
}

static int run_row(load_bench *b, const model *m, uint32_t format) {
    load_result *row = &b->rows[b->count];
    if (!is_possible(b, m, format)) return 0;
    if (load_files_fit(layer_bytes(m, format))) return 1;
    b->count++;
    const int failed = load_row_measure(&b->s, b->roof, m, format, b->args->seed, b->args->loads, row);
    progress_clear();
    if (failed) {
        free(row->samples_s);
        b->count--;
    } else {
        print_load_row(row);
    }
    return failed;
}

static int write_json(const load_bench *b) {
    peaks limits = {{0}};
    for (size_t i = 0; i < b->count; i++) limits.rate[PEAK_READ] += b->rows[i].read_gbps / (double)b->count;
    return write_load_json(b->args->json, &b->s, &limits, b->rows, b->count);
}

static int run_all(load_bench *b) {
    const tool_args *args = b->args;
    int failed = 0;
    progress("compiling the probes");
    if (roofline_open(b->s.cl, b->s.device, &b->roof)) return 1;
    progress_clear();
    printf("%s\n", b->s.name);
    print_load_heading();
    for (size_t m = 0; m < args->model_count; m++) {
        b->shapes[m] = load_row_shape(args->models[m]);
        for (size_t f = 0; f < args->format_count; f++) failed |= run_row(b, &b->shapes[m], args->formats[f]);
    }
    if (args->json != NULL) failed |= write_json(b);
    return failed;
}

int load_command(const tool_args *args) {
    load_bench b = {.args = args};
    progress_start(args->quiet);
    const int refused = session_open(args->device, &b.s);
    if (refused) return refused;
    b.rows = calloc(args->model_count * args->format_count, sizeof *b.rows);
    const int failed = b.rows == NULL ? complain("out of host memory") : run_all(&b);
    for (size_t i = 0; i < b.count; i++) free(b.rows[i].samples_s);
    free(b.rows);
    roofline_close(b.roof);
    session_close(&b.s);
    return failed;
}
