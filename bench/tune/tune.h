/* What the files of `clmoe-bench tune` share. Up- and down-projection of a layer are tuned at once: a candidate changes
 * a number of both, and each is judged by its own launches' device time. Numbers that belong to their common plan are
 * judged by the sum. On CPUs, CPU time of the whole forward decides as well, for both.
 *
 * Two settings are compared round by round: each round runs both at every number of tokens, on the same tokens and with
 * other copies of the weights, so that neither finds what the other left in a cache; who is first changes from round to
 * round. A round's figure is the geometric mean over the numbers of tokens of the ratio of times: every number counts
 * the same. The verdict is the median of the rounds with its 95% interval (timing.h).
 *
 * Then, where the library can call CLBlast, each GEMM is tried through it, against the best setting found, by the time
 * of whole forwards: the host waits in them, and CLBlast's kernels are not the library's to time. */
#ifndef CLMOE_BENCH_TUNE_H
#define CLMOE_BENCH_TUNE_H

#include <clmoe/clmoe_stages.h>

#include "common/args.h"
#include "layer/row_run.h"

#define TUNE_GEMMS  2 /* up, down */
#define TUNE_ROUNDS 41

/* Numbers of both GEMMs, in the library's order. */
typedef struct tune_setting {
    uint32_t values[TUNE_GEMMS][COUNT_OF(((clmoe_tuning *)0)->numbers)];
} tune_setting;

/* Layers made with a setting, one for each copy of the weights. */
typedef struct tune_layers {
    device_layer device; /* weights belong to the tuner's first */
    tune_setting setting;
} tune_layers;

typedef struct tuner {
    session s;
    const tool_args *args;
    const host_layer *host;
    device_layer shipped;           /* owns the weights */
    clmoe_tuning gemms[TUNE_GEMMS]; /* of the shipped layer */
    row_run runs[MAX_TOKEN_COUNTS]; /* one for each number of tokens */
    layer_result rows[MAX_TOKEN_COUNTS];
    float *wanted[MAX_TOKEN_COUNTS]; /* what the shipped layer makes of forward 0, to the bit */
    size_t run_count;
    double started, ends; /* by now_seconds() */
    double seconds;       /* of searching and proving; the rest of the command line's is for CLBlast */
    char no_clblast[256]; /* why nothing goes through CLBlast; "" where it does */
    uint32_t tried, impossible, wrong;
    size_t turn; /* forwards so far: which copy of the weights is next */
} tuner;

/* The ratio of times of two settings: below 1, the second is faster. */
typedef struct tune_ratio {
    double median, low, high;
    double at_tokens[MAX_TOKEN_COUNTS]; /* medians */
    size_t rounds;
} tune_ratio;

/* Device times of the launches of a GEMM, and of both; from the call to the end of a forward; and, where the device is
 * this machine's CPU, CPU time of all threads in it: what others do on the machine disturbs that least, but it is of
 * both GEMMs. */
enum { TUNE_UP, TUNE_DOWN, TUNE_BOTH, TUNE_WALL, TUNE_CPU, TUNE_TIMES };

/* Whether a setting is faster beyond doubt. */
int tune_is_faster(const tune_ratio *ratio);

/* ------------------------------------------------------------------------------------------- tune_layers.c */

/* A row of GEMM g with these numbers. */
void tune_row(const tuner *t, size_t g, const tune_setting *setting, char *text, size_t capacity);
/* Sets the rows of a setting in the context. 0; 1: the device cannot run them; 3 after a complaint. */
int tune_set_rows(tuner *t, const tune_setting *setting);
/* Makes the layers of a setting and checks them: the oracle's numbers, and the shipped layer's bits. 0; 1: the device
 * cannot run it; 2: it computes something else, which was complained of; 3: after another complaint. Nothing remains
 * unless 0. */
int tune_layers_make(tuner *t, const tune_setting *setting, tune_layers *made);
void tune_layers_free(tune_layers *layers);
/* What the shipped layer makes of forward 0 at every number of tokens; 0, or 1 after a complaint. */
int tune_take_wanted(tuner *t);

/* -------------------------------------------------------------------------------------------- tune_compare.c */

/* Compares for `most` rounds at most, fewer when it is clear that `second` is not faster, or at this time. 0, or 1
 * after a complaint. */
int tune_compare(tuner *t, tune_layers *first, tune_layers *second, size_t most, double until,
                 tune_ratio ratios[TUNE_TIMES]);

/* --------------------------------------------------------------------------------------------- tune_search.c */

/* Improves *best, which begins as the shipped setting, until the time is over or nothing is left to try. Likewise. */
int tune_search(tuner *t, tune_setting *best);
/* Whether both GEMMs are of one class, so that a row is for both. */
int tune_is_one_row(const tuner *t);
/* The shipped setting. */
void tune_shipped(const tuner *t, tune_setting *setting);

/* -------------------------------------------------------------------------------------------- tune_clblast.c */

/* A GEMM through CLBlast. */
typedef struct tune_rival {
    tune_ratio ratio; /* of a forward's time, over the library's own; rounds 0: it was not timed */
    char row[1024];   /* what was measured, as a row; "" where that is not enough */
} tune_rival;

/* Finds out whether the library can call CLBlast for such weights: t->no_clblast. 0, or 1 after a complaint. */
int tune_find_clblast(tuner *t);
/* Times each GEMM through CLBlast against layers with `own` numbers, for that many seconds in all, apart from making
 * and checking the layers. GEMMs of one class go together: the second has no rival. Likewise. */
int tune_time_clblast(tuner *t, const tune_setting *own, double seconds, tune_rival rivals[TUNE_GEMMS]);

#endif
