/* The ladder of `clmoe-bench variants`: one layer computed in several ways, each with one idea more than the rung
 * below. All rungs see the same tokens and leave their routes in the same place, so that one oracle judges them. */
#ifndef CLMOE_BENCH_LADDER_H
#define CLMOE_BENCH_LADDER_H

#include <clmoe/clmoe_stages.h>

#include "layer/row_run.h"

/* What a rung works with. */
typedef struct ladder {
    session *s;
    const host_layer *host;
    uint32_t arithmetic;        /* clmoe_arithmetic asked for */
    row_run run;                /* tokens, and buffers for out, index and weight */
    cl_command_queue queue;     /* to enqueue on: of the session, in order */
    clmoe_workspace *workspace; /* of that queue */
    int keep_routes;            /* 1: forwards must leave index and weight in the run's buffers */
    uint64_t activation_bytes;  /* of the buffers that a rung made itself */
    cl_program program;         /* ladder.cl, for this shape */
} ladder;

typedef struct rung {
    const char *name, *brings;
    /* Everything that is made once; sets run.row->arithmetic. 0; 1 after a complaint; 2 if this rung cannot be had
     * here, why[] says it. close is called in all cases. */
    int (*open)(ladder *l, const struct rung *rung, void **state, char *why, size_t capacity);
    /* Forward i on l->queue, enqueued but perhaps not finished. 0, or 1 after a complaint. */
    int (*forward)(ladder *l, void *state, size_t i);
    void (*close)(ladder *l, void *state);
    /* Bytes that the launches of a forward read and write by what they compute, each operand once a launch; `active`
     * experts have rows. */
    double (*moved)(const ladder *l, const void *state, double active);
    int fused, equal_tiles; /* of rungs made of the library's stages */
} rung;

/* The i-th from the ground; NULL past the last. */
const rung *ladder_rung(size_t i);

/* The three kinds of rungs (ladder_vanilla.c, ladder_stages.c, ladder_full.c). */
int vanilla_open(ladder *l, const rung *r, void **state, char *why, size_t capacity);
int vanilla_forward(ladder *l, void *state, size_t i);
void vanilla_close(ladder *l, void *state);
double vanilla_moved(const ladder *l, const void *state, double active);
int stages_open(ladder *l, const rung *r, void **state, char *why, size_t capacity);
int stages_forward(ladder *l, void *state, size_t i);
void stages_close(ladder *l, void *state);
double stages_moved(const ladder *l, const void *state, double active);
int full_open(ladder *l, const rung *r, void **state, char *why, size_t capacity);
int full_forward(ladder *l, void *state, size_t i);
void full_close(ladder *l, void *state);
double full_moved(const ladder *l, const void *state, double active);

/* ------------------------------------------------------------------------------ what several rungs use */

/* The kernels of ladder.cl for this shape and device. 0, or 1 after a complaint. */
int ladder_program(ladder *l);
/* One of them; NULL after a complaint. */
cl_kernel ladder_kernel(const ladder *l, const char *name);
/* `rows` work-groups, one for each row. The arguments are set. 0, or 1 after a complaint. */
int ladder_launch(const ladder *l, cl_kernel kernel, size_t rows);
/* A buffer for activations, counted. NULL after a complaint. */
cl_mem ladder_buffer(ladder *l, uint64_t bytes);

/* The router: logits and select as the library's stages, which every rung but the full one begins with. */
typedef struct ladder_router {
    clmoe_logits *logits;
    clmoe_select *select;
    cl_mem values; /* [T, E] */
} ladder_router;
int ladder_router_open(ladder *l, ladder_router *router);
void ladder_router_close(ladder_router *router);
/* Enqueues both: run.index and run.weight. */
int ladder_router_enqueue(ladder *l, ladder_router *router, size_t i);
double ladder_router_moved(const ladder *l);

/* The distance of forward i's first token in x, in elements. */
uint64_t ladder_x_offset(const ladder *l, size_t i);
/* Bytes of a row of `values` as a GEMM multiplies it: packed, on devices that pack rows. */
double ladder_operand_bytes(const ladder *l, double values);

#endif
