/* Pictures by gnuplot: how it is run, and what all pictures have in common. Calls POSIX. */
#ifndef CLMOE_BENCH_PLOT_H
#define CLMOE_BENCH_PLOT_H

#include <stdio.h>

#include "result_file.h"

/* One picture of the report: a row of data. */
typedef struct plot {
    const char *file;            /* "roofline.png" */
    const char *command;         /* whose result it shows */
    int height;                  /* pixels; all are 880 wide */
    const char *title, *caption; /* in the page */
    /* Writes the commands that draw it, from `set title` to `plot`. 0, or 1 if the document has nothing to draw. */
    int (*draw)(const result_set *set, const json_t *document, FILE *script);
} plot;

extern const plot plots[];
extern const size_t plot_count;

/* 0, or 1 after a complaint that says how to get gnuplot. */
int plot_ready(void);
/* Draws to DIR/file. 0: drawn; 1: failed, after a complaint; 2: there is nothing to draw. */
int plot_draw(const plot *p, const result_set *set, const char *folder);

/* The i-th colour, as gnuplot has it ("#0072b2"): Okabe and Ito's set, which colour-blind readers can tell apart. */
const char *plot_colour(size_t i);
#define PLOT_COLOURS 8
/* A string in gnuplot's single quotes; text of models and devices may hold anything. */
void plot_quote(FILE *script, const char *text);

/* `set title`, with the model of the document's rows if they are all of one. */
void plot_title(FILE *script, const char *title, const json_t *document);
/* A logarithmic axis ("x", "y" or "cb") from low to high, with ticks at 1, 2 and 5 of each decade, or at 1 alone where
 * there are many; k, M and G for thousands. */
void plot_logarithmic(FILE *script, const char *axis, double low, double high);

int draw_latency(const result_set *set, const json_t *document, FILE *script);
int draw_memory(const result_set *set, const json_t *document, FILE *script);
int draw_scaling(const result_set *set, const json_t *document, FILE *script);
int draw_expert_load(const result_set *set, const json_t *document, FILE *script);
int draw_roofline(const result_set *set, const json_t *document, FILE *script);

#endif
