/* The command line of every subcommand, read with glibc's argp. */
#ifndef CLMOE_BENCH_ARGS_H
#define CLMOE_BENCH_ARGS_H

#include <stddef.h>
#include <stdint.h>

#include "models.h"

#define MAX_TOKEN_COUNTS 32
#define MAX_MODELS       16
#define MAX_FORMATS      20

typedef struct serve_options {
    uint32_t clients; /* of a closed loop; 0: open */
    double rate;      /* requests a second of an open loop */
    uint32_t requests, low_tokens, high_tokens, max_batch_tokens, threads;
    double max_wait_ms;
    double timeout_ms, target_latency_ms, target_throughput; /* 0: none */
} serve_options;

typedef struct cost_options {
    double tokens_per_s; /* of one layer on one device; 0: measured */
    double price_per_hour;
    uint32_t layers; /* 0: the model's */
    uint32_t devices;
} cost_options;

#define MAX_SCALING_VALUES 16

/* What is scaled; the others keep the shape's values. */
typedef enum scaling_axis { AXIS_TOKENS, AXIS_EXPERTS, AXIS_TOP_K, AXIS_UNITS, SCALING_AXES } scaling_axis;

typedef struct scaling_options {
    int on[SCALING_AXES];
    struct {
        uint32_t values[MAX_SCALING_VALUES];
        size_t count; /* 0: what the shape and the device suggest */
    } axes[SCALING_AXES]; /* that of the tokens is in `tokens` */
    uint32_t fixed_tokens; /* of the axes that are not tokens */
} scaling_options;

#define MAX_ZIPFS 8

typedef struct balance_options {
    double zipf[MAX_ZIPFS]; /* exponents */
    size_t zipf_count;
    const char *logits; /* a file of router logits; NULL: none */
} balance_options;

typedef struct prebuild_options {
    const char *out; /* the pack */
    uint32_t activations[3]; /* clmoe_format of x and out */
    size_t activation_count;
} prebuild_options;

typedef struct tool_args {
    const char *device; /* as clmoe_context_desc.device; NULL: the default */
    const char *json;   /* file to write, NULL: none */
    int quiet;          /* no progress */
    double seconds;     /* timed seconds a row */
    uint32_t loads;     /* timed loads a row */
    uint64_t seed;
    const model *models[MAX_MODELS];
    size_t model_count;
    model custom; /* the shape given by numbers; models[0] points here then */
    uint32_t tokens[MAX_TOKEN_COUNTS];
    size_t token_count;
    uint32_t formats[MAX_FORMATS]; /* clmoe_format */
    size_t format_count;
    int plain_formats_only; /* set before the command line is read: no block formats */
    uint32_t arithmetic;    /* clmoe_arithmetic */
    uint32_t y_format;      /* clmoe_format of the experts' outputs: f32, f16, bf16 */
    int predict;            /* memory: nothing is allocated */
    serve_options serve;
    cost_options cost;
    scaling_options scaling;
    balance_options balance;
    prebuild_options prebuild;
} tool_args;

/* All fill *args, which must stay where it is, from argv[1..]; argv[0] is the name for messages. 0, or 2 after one
 * line on stderr that says what is wrong. --help prints and exits. */
int layer_args(int argc, char **argv, tool_args *args);
int load_args(int argc, char **argv, tool_args *args);
int common_args(int argc, char **argv, const char *purpose, tool_args *args);

#endif
