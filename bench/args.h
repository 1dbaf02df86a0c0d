/* The command line of every subcommand, read with glibc's argp. */
#ifndef CLMOE_BENCH_ARGS_H
#define CLMOE_BENCH_ARGS_H

#include <stddef.h>
#include <stdint.h>

#include "models.h"

#define MAX_TOKEN_COUNTS 32
#define MAX_MODELS       16
#define MAX_FORMATS      16

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
} tool_args;

/* All fill *args, which must stay where it is, from argv[1..]; argv[0] is the name for messages. 0, or 2 after one
 * line on stderr that says what is wrong. --help prints and exits. */
int layer_args(int argc, char **argv, tool_args *args);
int load_args(int argc, char **argv, tool_args *args);
int common_args(int argc, char **argv, const char *purpose, tool_args *args);

#endif
