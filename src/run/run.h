/* clmoe-run in parts. Functions that return an int return the exit status of the program: 0, or, after one line on
 * stderr, 1 or EXIT_INPUT.
 *
 *   run_main.c    starts: command line, then one of the two below
 *   run_args.c    the command line
 *   run_list.c    --list: the MoE layers of a model
 *   run_layer.c   one layer, from file to file, in order
 *   run_input.c   the tensor hidden_states and the fit of files and layer
 *   run_output.c  where the output goes
 *   run_device.c  the forward pass on the device; the only file here that calls OpenCL
 *   run_report.c  what was done, as text and JSON
 *   run_error.c   errors of the library as one line
 */
#ifndef CLMOE_RUN_RUN_H
#define CLMOE_RUN_RUN_H

#include "common.h"
#include "model/model.h"

#define EXIT_INPUT 2 /* usage, or something wrong in a file */

typedef struct run_args {
    const char *model;
    const char *input, *output;
    const char *device; /* as clmoe_context_desc.device */
    uint32_t layer;
    uint32_t format;     /* clmoe_format of the weights; 0 = as the files have it */
    uint32_t arithmetic; /* clmoe_arithmetic */
    int has_layer, list, json, quiet;
} run_args;

/* Fills *args from argv. --help and --version print and exit. */
int run_args_read(int argc, char **argv, run_args *args);

int run_list(const run_args *args);
int run_layer(const run_args *args);

/* ------------------------------------------------------------------------------------------------- errors */

/* Prints the error as one line, names `file` where the message does not, and returns 1 or EXIT_INPUT by its status. */
int run_failed(const char *file, const clmoe_error *error);
/* "file: ..." as one line whatever the text holds; returns EXIT_INPUT. */
__attribute__((format(printf, 2, 3))) int run_refused(const char *file, const char *format, ...);

/* -------------------------------------------------------------------------------------------------- files */

/* hidden_states in a file of the user's. Leading dimensions count tokens. */
typedef struct run_input {
    clmoe__checkpoint *file;
    const clmoe__file_tensor *x;
    const clmoe__file_tensor *router_input; /* where the layer's router has an input of its own, else NULL */
    uint64_t tokens;
} run_input;

int run_input_open(const char *path, run_input *input);
void run_input_close(run_input *input);
/* Does the layer take it? */
int run_input_fits(const char *path, run_input *input, const clmoe_model_layer *layer);

/* Can the output be put there, without harm to what is read? */
int run_output_check(const run_args *args, const run_input *input, const clmoe_model *model);

/* What a forward made, on the host; owned. */
typedef struct run_result {
    uint32_t tokens, slots, classes;
    float *out;     /* [tokens, hidden_size] */
    int32_t *index; /* [tokens, slots] */
    float *weight;  /* [tokens, slots] */
    int32_t *load;  /* [classes] */
} run_result;

void run_result_free(run_result *result);
int run_output_write(const char *path, const run_input *input, const run_result *result);

/* ------------------------------------------------------------------------------------------------- device */

typedef struct run_device {
    clmoe_context *context;
    cl_context cl;   /* the context's */
    cl_device_id id; /* the context's */
    cl_command_queue queue;
    char name[256];
} run_device;

int run_device_open(const char *name, run_device *device);
void run_device_close(run_device *device);

/* Seconds of each part, in order. */
enum run_part { PART_OPEN, PART_DEVICE, PART_WEIGHTS, PART_LAYER, PART_COPY, PART_FORWARD, PART_WRITE, PARTS };

/* Runs the layer and waits. Adds to seconds[PART_COPY] and [PART_FORWARD]. */
int run_forward(const run_device *device, clmoe_layer *layer, const clmoe_model_layer *info, const run_input *input,
                run_result *result, double seconds[PARTS]);

/* ------------------------------------------------------------------------------------------------- report */

typedef struct run_report {
    const run_args *args;
    clmoe_model_info model;
    const clmoe_model_layer *layer;
    const run_input *input;
    const char *device;
    const char *variants;  /* clmoe_layer_describe's text */
    uint32_t format;       /* clmoe_format the weights were to be kept in, NONE: the library's choice */
    uint64_t weight_bytes; /* device memory */
    double seconds[PARTS];
} run_report;

/* On stdout: JSON with --json, nothing with --quiet, else a few lines. */
int run_report_print(const run_report *report);

/* Prints the object on stdout and drops it. NULL counts as out of memory. */
int run_json_print(json_t *root);
/* "37", or "512+256" where the router also has identities. */
void run_experts_text(const clmoe_model_layer *layer, char text[32]);
/* Adds what the files say of a layer. */
void run_json_layer(json_t *object, const clmoe_model_layer *layer);

#endif
