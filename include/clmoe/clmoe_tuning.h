/* clmoe: what a layer costs on a device, and how to make it less: bytes, the numbers its kernels are built with, times
 * of launches. Part of <clmoe/clmoe_stages.h>: not yet stable, it may change with a minor version. */
#ifndef CLMOE_CLMOE_TUNING_H
#define CLMOE_CLMOE_TUNING_H

#include <clmoe/clmoe.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------ memory */

/* What weights would take, found out without taking it: as clmoe_weights_create, but nothing is read or packed, no
 * memory is held, and no size is too large for the device. Host pointers of tensors may be anything but NULL.
 * clmoe_weights_bytes, clmoe_layer_create and the queries of a layer work as ever; a forward is refused. */
CLMOE_API clmoe_status clmoe_weights_plan(clmoe_context *context, const clmoe_weights_desc *desc,
                                          clmoe_weights **weights, clmoe_error *error);

/* Gives the memory that a context's pool keeps for reuse back to OpenCL: after loading weights, for example, whose
 * staging would stay. bytes_reserved is bytes_in_use then. */
CLMOE_API clmoe_status clmoe_context_trim(clmoe_context *context, clmoe_error *error);

/* Bytes of device memory. */
typedef struct clmoe_layer_memory {
    size_t struct_size;
    uint64_t weights; /* clmoe_weights_bytes, the sum of the next four */
    uint64_t experts, shared, router;
    uint64_t others;  /* latent matrices, biases and factors of the routing */
    uint64_t padding; /* of the weights: columns that fill the last panel, values that fill the last block, rounding */
    uint64_t workspace; /* clmoe_layer_workspace_bytes, the sum of the next six */
    uint64_t plan;      /* the dispatch's */
    uint64_t logits;
    uint64_t routes; /* index and weight of every slot, and a count */
    uint64_t inputs; /* rows gathered for a GEMM; small where GEMMs gather themselves */
    uint64_t hidden; /* what the up-projection leaves behind its activation */
    uint64_t rows;   /* what the experts put out, a row for each slot */
    uint64_t arena;  /* what a workspace takes that has memory of its own: `workspace`, rounded up as the pool does */
    uint64_t max_rows;    /* no bytes: rows that inputs, hidden and rows are made for */
    uint32_t pass_tokens; /* no bytes: tokens that one pass takes; fewer than asked for: there are several passes */
    uint32_t reserved;
} clmoe_layer_memory;

CLMOE_API void clmoe_layer_memory_default(clmoe_layer_memory *memory, size_t struct_size);
/* What a layer takes, with a workspace for this many tokens in one pass. */
CLMOE_API clmoe_status clmoe_layer_memory_query(const clmoe_layer *layer, uint32_t tokens, clmoe_layer_memory *memory,
                                                clmoe_error *error);

/* ---------------------------------------------------------------------------------------------- tuning */

/* How a grouped GEMM is cut into tiles, how far it reads ahead: numbers that decide how fast it runs, and no bit of
 * what it computes. They are fixed when a layer or stage is created. A row of them is a line of text,
 *
 *   "DEVICE" "DRIVER" VARIANT FORMAT ARITHMETIC CLASS NAME=VALUE ...
 *
 * for one class of matrices: "k2048,n4096", in_features and columns (2I where gate and up are one matrix) rounded up to
 * powers of two, or "any". A matrix takes the first of: a row that was set; one of the user's file
 * (clmoe_context_desc.tuning); one that the library ships for the device; else numbers for devices of the kind. A row
 * passes the self-test before it is used. `clmoe-bench tune` looks for good ones. */
typedef struct clmoe_tuning_number {
    char name[24];
    uint32_t value;     /* in use */
    uint32_t of_plan;   /* 1: up- and down-projection have one plan, so the smaller of theirs counts for both */
    uint32_t tries[14]; /* worth trying, the one in use may be among them */
    uint32_t try_count;
    uint32_t reserved;
} clmoe_tuning_number;

typedef struct clmoe_tuning {
    size_t struct_size;
    char stage[24]; /* as in clmoe_launch_time */
    char key[400];  /* a row of this GEMM up to its numbers: add " NAME=VALUE" for each of them */
    char from[256]; /* where the numbers come from, and why a row that was meant is not used */
    uint32_t count;
    clmoe_tuning_number numbers[24];
} clmoe_tuning;

CLMOE_API void clmoe_tuning_default(clmoe_tuning *tuning, size_t struct_size);
/* The i-th grouped GEMM of a layer: 0 is the experts' up-projection, 1 the down-projection, others follow.
 * INVALID_ARGUMENT past the last. */
CLMOE_API clmoe_status clmoe_layer_tuning(const clmoe_layer *layer, uint32_t i, clmoe_tuning *tuning,
                                          clmoe_error *error);
/* Sets a row for what is created from now on, in place of an earlier one of its key; NULL forgets all that were set.
 * Errors: INVALID_ARGUMENT (no row, or for another device), UNSUPPORTED (the device cannot run it). Any thread. */
CLMOE_API clmoe_status clmoe_context_tune(clmoe_context *context, const char *row, clmoe_error *error);
/* Keeps a row in a file of tuned rows, in place of an earlier one of its key; path NULL: the user's. Everything else in
 * the file stays as it is, also while other processes do the same. Errors: as above; INVALID_FILE. */
CLMOE_API clmoe_status clmoe_context_save_tuning(const clmoe_context *context, const char *path, const char *row,
                                                 clmoe_error *error);
/* The user's file, whether it exists or not; NULL: switched off, or there is no place for it. As long as the context
 * lives. */
CLMOE_API const char *clmoe_context_tuning_path(const clmoe_context *context);

/* ------------------------------------------------------------------------------------------ measurements */

/* One kernel launch of the last forward on a workspace. The four moments are nanoseconds of the device's clock, as
 * CL_PROFILING_COMMAND_QUEUED and its siblings give them, so that they compare with those of the caller's own events;
 * all times are 0 unless the launch was kept and the queue has CL_QUEUE_PROFILING_ENABLE. */
typedef struct clmoe_launch_time {
    char stage[24];       /* "logits", "select", "dispatch", "gather", "up", "down", "shared", "combine" ... */
    uint64_t nanoseconds; /* on the device: ended - started */
    char kernel[40];      /* name of the kernel function, cut to fit */
    uint64_t global_size[3], local_size[3]; /* work-items in all, and in a group; 1 in dimensions not used */
    uint64_t queued, submitted, started, ended;
} clmoe_launch_time;

/* Keeps (1) or stops keeping (0) the events of each forward's launches. Keeping costs an event a launch, not keeping
 * nothing. */
CLMOE_API clmoe_status clmoe_workspace_set_profiling(clmoe_workspace *workspace, int enable, clmoe_error *error);
/* Waits for the last forward and copies up to `capacity` of its launches; *count (may be NULL) receives how many there
 * were. Launches are counted without profiling too, with empty times. */
CLMOE_API clmoe_status clmoe_workspace_launches(clmoe_workspace *workspace, clmoe_launch_time *launches,
                                                uint32_t capacity, uint32_t *count, clmoe_error *error);

#ifdef __cplusplus
}
#endif
#endif
