/* The inside of a clmoe_workspace: one queue's arena, cl_kernels and memory of what was enqueued last. Only run.c,
 * workspace.c and recording.c look into it. */
#ifndef CLMOE_OPENCL_WORKSPACE_H
#define CLMOE_OPENCL_WORKSPACE_H

#include "run.h"

/* Numbers among a kernel's first arguments are remembered, and set again only if they change: most are the same in
 * every forward. Buffers are always set, because a new cl_mem may have the address of an old one. */
#define CLMOE__KNOWN_ARGUMENTS 48

/* This workspace's cl_kernel of a clmoe__kernel. */
typedef struct clmoe__kernel_slot {
    uint64_t id; /* 0: empty */
    uint64_t run; /* the last run that used it */
    cl_kernel opencl;
    size_t group_size; /* work-items a group may have, for this kernel on this device */
    uint64_t known;    /* bit i: argument i is a number and has the value below */
    uint64_t values[CLMOE__KNOWN_ARGUMENTS];
} clmoe__kernel_slot;

/* One launch of the last run. */
typedef struct clmoe__launch {
    const char *stage, *kernel; /* static storage */
    size_t global[3], local[3]; /* 1 in dimensions not used */
    cl_event event;             /* NULL unless profiling */
} clmoe__launch;

struct clmoe_workspace {
    clmoe_context *context; /* retained, except by the context's own workspaces */
    clmoe__mutex *mutex;    /* held from run_begin to run_end */
    cl_command_queue queue; /* retained */
    int out_of_order;       /* properties of the queue */
    int queue_profiles;

    /* The context's own workspaces, guarded by the context's mutex. */
    int is_contexts;
    clmoe_workspace *next;
    uint64_t last_use;     /* next_id when it was last handed out */
    clmoe__counter users;  /* runs that have or want the lock; leaves 0 only under the context's mutex */

    /* The arena: a block of the pool, or the caller's memory. */
    clmoe__block arena;
    clmoe_buffer memory;
    uint64_t memory_bytes;

    /* Kernels, by id in an open-addressed table. */
    clmoe__kernel_slot *slots;
    size_t slot_capacity; /* a power of two */
    size_t slot_count;
    size_t group_size; /* of the kernel being set up */
    clmoe__kernel_slot *slot; /* of the kernel being set up */

    /* What is enqueued. In-order queues need no events: `last` is then made when it is wanted, by a marker. */
    cl_event last;  /* when complete, so is everything enqueued, if not `unmarked` */
    int unmarked;   /* commands without an event followed `last` */
    int chained;    /* the next command must wait for `last` */
    int enqueued;   /* this run has enqueued something */
    cl_event *waits; /* room for a merged wait list */
    size_t wait_capacity;

    uint64_t run; /* counts runs */
    int profiling;
    clmoe__launch *launches; /* of the last run */
    size_t launch_count, launch_capacity;
};

/* The context's own workspace for a queue, made if need be, with one user more. */
clmoe_status clmoe__workspace_of_queue(clmoe_context *context, cl_command_queue queue, clmoe_workspace **workspace,
                                       clmoe_error *error);
/* Moves a locked workspace to another queue of its context; the next command waits for what it did on the old one. */
clmoe_status clmoe__workspace_move(clmoe_workspace *workspace, cl_command_queue queue, clmoe_error *error);
/* Makes `last` stand for everything enqueued; it may stay NULL if nothing ever was. */
cl_int clmoe__workspace_mark(clmoe_workspace *workspace);
/* Takes over `event` as `last`; NULL: the newest command has none. */
void clmoe__workspace_enqueued(clmoe_workspace *workspace, cl_event event);
/* Forgets the launches of the last run. */
void clmoe__workspace_forget_launches(clmoe_workspace *workspace);
/* The workspace's cl_kernel, in a slot that is valid until the next call. */
clmoe_status clmoe__workspace_kernel(clmoe_workspace *workspace, const clmoe__kernel *kernel, clmoe__kernel_slot **slot,
                                     clmoe_error *error);
/* Puts a new cl_kernel into a slot, in the table or not. */
clmoe_status clmoe__kernel_slot_fill(clmoe_workspace *workspace, const clmoe__kernel *kernel, clmoe__kernel_slot *slot,
                                     clmoe_error *error);
/* Gives up every cl_kernel of a locked workspace. Calls `each` (NULL: does not) with the ids of those the last run
 * used. */
void clmoe__workspace_drop_kernels(clmoe_workspace *workspace, void (*each)(void *user, uint64_t id), void *user);
/* Destroys the context's own workspaces. */
void clmoe__workspaces_destroy(clmoe_context *context);

#endif
