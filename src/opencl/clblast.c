/* Finding CLBlast and calling its SGEMM; see clblast.h. Calls CLBlast, and waits of the table. */
#include "clblast.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CLBlast's C interface, declared here because its header is not needed for anything else. */
enum { ROW_MAJOR = 101, NOT_TRANSPOSED = 111 };
typedef int sgemm_function(unsigned layout, unsigned transpose_a, unsigned transpose_b, size_t m, size_t n, size_t k,
                           float alpha, cl_mem a, size_t a_offset, size_t a_stride, cl_mem b, size_t b_offset,
                           size_t b_stride, float beta, cl_mem c, size_t c_offset, size_t c_stride,
                           cl_command_queue *queue, cl_event *event);
typedef int clear_function(void);

struct clmoe__clblast {
    int is_tried;          /* whether the rest says how it is; the context's mutex guards it */
    sgemm_function *sgemm; /* NULL: not there */
    clear_function *clear;
    int is_callers; /* from desc.get_symbol */
    int is_wanted;  /* the cache may have something of this context's */
};

static void take(struct clmoe__clblast *clblast, void *sgemm, void *clear) {
    clblast->is_tried = 1;
    if (sgemm == NULL || clear == NULL) return;
    memcpy(&clblast->sgemm, &sgemm, sizeof sgemm);
    memcpy(&clblast->clear, &clear, sizeof clear);
}

/* The library stays open for the life of the process: its cache ends with it. */
static void load(struct clmoe__clblast *clblast) {
    clblast->is_tried = 1;
#ifdef CLMOE_CLBLAST
    static const char *const names[] = {"libclblast.so.1", "libclblast.so", "clblast.dll", "libclblast.1.dylib",
                                        "libclblast.dylib"};
    for (size_t i = 0; i < sizeof names / sizeof names[0] && clblast->sgemm == NULL; i++) {
        void *library = clmoe__os_library_open(names[i]);
        if (library == NULL) continue;
        take(clblast, clmoe__os_library_symbol(library, "CLBlastSgemm"),
             clmoe__os_library_symbol(library, "CLBlastClearCache"));
    }
#endif
}

clmoe_status clmoe__clblast_open(clmoe_context *context, const clmoe_context_desc *desc, clmoe_error *error) {
    context->clblast = calloc(1, sizeof *context->clblast);
    if (context->clblast == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a context");
    context->clblast->is_callers = desc->get_symbol != NULL;
    if (desc->get_symbol != NULL)
        take(context->clblast, desc->get_symbol(desc->get_symbol_user, "CLBlastSgemm"),
             desc->get_symbol(desc->get_symbol_user, "CLBlastClearCache"));
    return CLMOE_OK;
}

void clmoe__clblast_close(clmoe_context *context) {
    struct clmoe__clblast *clblast = context->clblast;
    if (clblast != NULL && clblast->is_wanted) (void)clblast->clear();
    free(clblast);
    context->clblast = NULL;
}

const char *clmoe__clblast_missing(const clmoe_context *context) {
    struct clmoe__clblast *clblast = context->clblast;
    clmoe__mutex_lock(context->mutex);
    if (!clblast->is_tried) load(clblast);
    clblast->is_wanted = clblast->sgemm != NULL;
    clmoe__mutex_unlock(context->mutex);
    if (clblast->sgemm != NULL) return NULL;
    if (clblast->is_callers) return "desc.get_symbol has no CLBlast";
#ifdef CLMOE_CLBLAST
    return "CLBlast (libclblast.so.1) is not on this machine";
#else
    return "this library was built without it (CLMOE_CLBLAST)";
#endif
}

/* ------------------------------------------------------------------------------------------------ products */

typedef struct call {
    const clmoe__run *run;
    const clmoe__product *product;
    cl_event event; /* the run's */
    char name[96];
} call;

static size_t element(const clmoe_buffer *buffer) { return (size_t)(buffer->offset / sizeof(float)); }

static cl_int enqueue(void *user, cl_command_queue queue, cl_uint n_wait, const cl_event *wait, cl_event *event) {
    call *c = user;
    const clmoe__product *p = c->product;
    const clmoe_context *context = c->run->context;
    if (n_wait > 0) {
        const cl_int code = context->cl.clWaitForEvents(n_wait, wait);
        if (code != CL_SUCCESS) return code;
    }
    const cl_int code = context->clblast->sgemm(
        ROW_MAJOR, NOT_TRANSPOSED, NOT_TRANSPOSED, p->rows, p->columns, p->k, 1.0f, (cl_mem)p->x.handle, element(&p->x),
        (size_t)p->x_stride, (cl_mem)p->w.handle, element(&p->w), (size_t)p->w_stride, 0.0f, (cl_mem)p->y.handle,
        element(&p->y), (size_t)p->y_stride, &queue, event);
    if (code == CL_SUCCESS) c->event = *event;
    return code;
}

void clmoe__clblast_multiply(clmoe__run *run, const clmoe__product *product) {
    call c = {.run = run, .product = product};
    const size_t sizes[2] = {product->columns, product->rows};
    if (run->status != CLMOE_OK || product->rows == 0) return;
    snprintf(c.name, sizeof c.name, "CLBlastSgemm(%u rows, %u columns, k %u)", product->rows, product->columns,
             product->k);
    clmoe__run_command(run, c.name, enqueue, &c);
    clmoe__run_note(run, product->stage, "CLBlastSgemm", sizes, c.event);
}
