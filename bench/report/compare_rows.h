/* Rows of two results that measure the same thing, and what a figure's noise is. */
#ifndef CLMOE_BENCH_COMPARE_ROWS_H
#define CLMOE_BENCH_COMPARE_ROWS_H

#include "result_file.h"

/* A figure that can get worse: a row of data. */
typedef struct measure {
    const char *name;       /* JSON key, nested by dots */
    const char *samples;    /* key of its samples; NULL: it has none */
    const char *low, *high; /* keys of its interval; NULL: it has none */
    int more_is_better;
} measure;

extern const measure measures[];
extern const size_t measure_count;

typedef struct figure {
    double value, low, high; /* the interval holds the value; all equal where nothing is known of its noise */
} figure;

/* 0, or 1 if the row has no such figure. The interval is the widest of
 *   the one that is stored           the 95% confidence interval of the median, as timing.h has it
 *   the same from the samples        where none is stored
 *   medians of eighths of the run    the samples are in the order taken, so a machine that drifts shows here */
int figure_take(const json_t *row, const measure *m, figure *out);

/* Whether two rows measure the same: all names (strings) and sizes are equal. */
int same_row(json_t *a, json_t *b);
/* What tells a row from others: "olmoe bf16 64 tokens". */
void row_label(json_t *row, char *text, size_t capacity);

#endif
