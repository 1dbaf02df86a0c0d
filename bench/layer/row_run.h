/* What one row of the table works with: buffers, workspaces, and a forward with tokens of its own.
 *
 * All tokens lie in one buffer; forward i reads the T tokens from row start(i) on, so that every forward has other
 * tokens and other routes without anything being written between forwards. Forward i uses copy i % copies of the
 * weights.
 */
#ifndef CLMOE_BENCH_ROW_RUN_H
#define CLMOE_BENCH_ROW_RUN_H

#include "device_layer.h"
#include "layer_report.h"

#define MAX_FORWARDS 4096 /* TIMING_MAX_RUNS */

typedef struct row_run {
    session *s;
    roofline *roof;
    const host_layer *host;
    const device_layer *device;
    layer_result *row;
    size_t rows; /* tokens in x */
    float *host_x;
    const float *host_logits; /* NULL: the router's; or the caller's, [logit_rows, E], at least as many rows as tokens
                               * */
    size_t logit_rows;
    cl_mem logits;
    cl_mem x, out, index, weight;
    cl_mem load; /* [MAX_FORWARDS, E]: each timed forward leaves the experts' loads in a row of its own */
    clmoe_workspace *workspace, *profiled;
} row_run;

/* Fills the rest of *run, whose session, host, device and row are set. 0, or 1 after a complaint; to be closed in both
 * cases. */
int row_run_open(row_run *run);
void row_run_close(row_run *run);
/* The first token of forward i, and its row of the logits. */
size_t row_run_start(const row_run *run, size_t i);
size_t row_run_logits_start(const row_run *run, size_t i);
clmoe_io row_run_io(const row_run *run, size_t i);
/* One forward to its end. *host_seconds (may be NULL) is the time in the library's call. */
int row_run_forward(row_run *run, cl_command_queue queue, const clmoe_io *io, size_t i, double *host_seconds);

/* Runs forward 0 and compares sampled tokens with the oracle (row_check.c). 0, or 1 after a complaint. */
int row_run_check(row_run *run);
/* The second half of it: index, weight and out hold what some way of computing forward 0 made of it in row->arithmetic,
 * and the queue is finished. `what` begins the complaint. */
int row_run_compare(row_run *run, const char *what);

#endif
