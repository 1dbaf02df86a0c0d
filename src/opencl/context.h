/* The inside of a clmoe_context, for the folders that build on it. */
#ifndef CLMOE_OPENCL_CONTEXT_H
#define CLMOE_OPENCL_CONTEXT_H

#include "cl_table.h"
#include "device.h"
#include "os/error.h"
#include "os/os.h"

struct clmoe__program;
struct clmoe__pool;
struct clmoe__cache;
struct clmoe__private_queue;
struct clmoe__tuning;
struct clmoe__clblast;

struct clmoe_context {
    clmoe__counter references;
    clmoe__counter next_id; /* ids of kernels */
    clmoe__cl cl;
    cl_context opencl;
    clmoe__device device;
    clmoe__mutex *mutex; /* guards programs, workspaces, verdicts */
    struct clmoe__program *programs; /* cache by (file, options) */
    struct clmoe__pool *pool;
    struct clmoe__cache *cache;                  /* programs and verdicts of earlier processes */
    struct clmoe__private_queue *private_queues; /* those no private run uses at the moment */
    struct clmoe_workspace *workspaces; /* the context's own, one a queue */
    void *verdicts;                     /* src/select's: which variants passed their self-test here */
    void (*free_verdicts)(void *verdicts);
    /* Set with verdicts, may be NULL: writes its lines of clmoe_context_describe as snprintf does, and returns the
     * length. */
    size_t (*describe_verdicts)(const clmoe_context *context, char *text, size_t capacity);
    struct clmoe__clblast *clblast; /* a library that may not be there (clblast.h) */
    struct clmoe__tuning *tuning; /* src/layer's: rows of numbers in place of shipped ones */
    char *kernel_dir; /* NULL: embedded kernels */
    char *disable;    /* "a,b": CLMOE_DISABLE and the description's, joined; never NULL */
    char *prefer;     /* the same of CLMOE_PREFER */
    void (*log)(void *user, const char *line);
    void *log_user;
};

/* What a floor above adds to every context: src/layer/tuning.c does. */
typedef struct clmoe__context_part {
    clmoe_status (*open)(clmoe_context *context, const clmoe_context_desc *desc, clmoe_error *error);
    void (*close)(clmoe_context *context); /* also of a part that was opened in part or not at all */
    /* Its lines of clmoe_context_describe, written as snprintf does; the length. */
    size_t (*describe)(const clmoe_context *context, char *text, size_t capacity);
} clmoe__context_part;
extern const clmoe__context_part clmoe__tuning_part;
/* And what it checks first, for it knows the variants: that `disable`, `prefer` and their variables name some. Defined
 * in src/select/variant_names.c. */
clmoe_status clmoe__names_check(const clmoe_context_desc *desc, clmoe_error *error);

void clmoe__context_retain(clmoe_context *context);
void clmoe__context_release(clmoe_context *context);
/* One line to the caller's log, if he has one. */
void clmoe__log(const clmoe_context *context, const char *format, ...) CLMOE__PRINTF(2, 3);

#endif
