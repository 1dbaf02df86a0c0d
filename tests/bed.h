/* A bed to test src/opencl on: a temporary folder with kernels, a context that takes them from there, and runs whose
 * steps do not commute, so that a result tells the order of the launches. */
#ifndef CLMOE_TESTS_BED_H
#define CLMOE_TESTS_BED_H

#include "support.h"

#include "opencl/run.h"

#define BED_N 1000u /* elements of y, 250 groups of 4 */
#define BED_STEPS 4 /* of a mix */

/* Setup and teardown of a group of tests: the folder holds mix.cl (kernels "add" and "scale"), parts/step.clh that it
 * includes, and broken files. */
extern char bed_folder[64];
int bed_make_folder(void **state);
int bed_remove_folder(void **state);
void bed_write_file(const char *name, const char *text);

/* The library's defaults, in a struct that was full of other bytes. */
clmoe_context_desc bed_defaults(void);

typedef struct bed {
    test_device device;
    clmoe__kernel add, scale;
    test_buffer y; /* int [BED_N], zeroes at first */
} bed;
bed bed_open(const clmoe_context_desc *desc); /* desc may be NULL; its kernel_dir is the folder */
void bed_close(bed *b);
test_buffer bed_buffer(bed *b); /* another y */
void bed_expect(bed *b, const test_buffer *y, int wanted);
clmoe__kernel bed_kernel(clmoe_context *context, const char *name);

/* y = y + value; y = y * 3. */
void launch_add(clmoe__run *run, bed *b, const clmoe_buffer *y, float value);
void launch_scale(clmoe__run *run, bed *b, const clmoe_buffer *y);
extern const size_t bed_local, bed_global; /* their sizes */

/* One run: y = (y + value) * 3, BED_STEPS times; and what comes out for one element. */
clmoe_status mix(bed *b, clmoe_workspace *w, cl_command_queue queue, const test_buffer *y, int value, cl_uint n_wait,
                 const cl_event *wait, cl_event *done, clmoe_error *error);
int mixed(int y, int value);

cl_command_queue new_queue(const bed *b, cl_command_queue_properties properties);
cl_event new_user_event(const bed *b);
int is_complete(cl_event event);
void wait_and_release(cl_event event);

#endif
