/* The command line, read with glibc's argp. Usage errors are one line, without argp's second one. */
#define _GNU_SOURCE
#include "args.h"

#include <clmoe/clmoe.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "args_parts.h"
#include "tool.h"
#include "weight_formats.h"

error_t whole32(const struct argp_state *state, const char *option, const char *text, uint32_t high, uint32_t *value) {
    uint64_t wide = 0;
    const error_t error = whole(state, option, text, 1, high, &wide);
    *value = (uint32_t)wide;
    return error;
}

error_t writable(const struct argp_state *state, const char *option, const char *path) {
    char folder[4096];
    struct stat info;
    const char *slash = strrchr(path, '/');
    const size_t length = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    if (path[0] == '\0') return wrong(state, "%s is '', expected the name of a file", option);
    if (length >= sizeof folder)
        return wrong(state, "%s is '%.64s...', expected a path shorter than %zu", option, path, sizeof folder);
    memcpy(folder, path, length);
    folder[length] = '\0';
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) /* a rename would replace /dev/null for everybody */
        return wrong(state, "%s is '%s', expected a file, this is a folder or a device", option, path);
    if (access(length == 0 ? "." : folder, W_OK) != 0)
        return wrong(state, "%s is '%s', expected a file in a folder to write in: %s", option, path, strerror(errno));
    return 0;
}

/* ---------------------------------------------------------------------------------------- lists, by commas */

error_t each(struct argp_state *state, char *text, error_t (*item)(struct argp_state *state, char *part)) {
    char *rest = text, *part;
    while ((part = strsep(&rest, ",")) != NULL) {
        const error_t error = item(state, part);
        if (error != 0) return error;
    }
    return 0;
}

static error_t add_tokens(struct argp_state *state, char *part) {
    tool_args *args = state->input;
    if (args->token_count == MAX_TOKEN_COUNTS)
        return wrong(state, "--tokens takes at most %d numbers", MAX_TOKEN_COUNTS);
    return whole32(state, "--tokens", part, 1u << 20, &args->tokens[args->token_count++]);
}

/* A format or all of them. */
static error_t add_format(struct argp_state *state, char *part) {
    tool_args *args = state->input;
    char names[256];
    const int all = strcmp(part, "all") == 0;
    size_t found = 0;
    for (size_t i = 0; weight_format_at(i) != CLMOE_FORMAT_NONE; i++) {
        const uint32_t format = weight_format_at(i);
        if (args->plain_formats_only && weight_format_is_block(format)) continue;
        if (!all && strcmp(part, format_name(format)) != 0) continue;
        if (args->format_count == MAX_FORMATS) return wrong(state, "--weights takes at most %d formats", MAX_FORMATS);
        args->formats[args->format_count++] = format;
        found++;
    }
    if (found != 0) return 0;
    weight_format_names(args->plain_formats_only, names, sizeof names);
    return wrong(state, "--weights has '%s', expected all or one of %s", part, names);
}

static error_t add_model(struct argp_state *state, char *part) {
    tool_args *args = state->input;
    char names[512];
    const model *found = model_find(part);
    if (args->model_count == MAX_MODELS) return wrong(state, "--model takes at most %d names", MAX_MODELS);
    if (found == NULL) {
        model_names(names, sizeof names);
        return wrong(state, "--model has '%s', expected one of %s", part, names);
    }
    args->models[args->model_count++] = found;
    return 0;
}

/* ------------------------------------------------------------------------------------------------- parsers */

static error_t parse_arithmetic(struct argp_state *state, const char *text, uint32_t *arithmetic) {
    for (uint32_t i = 0; arithmetic_name(i) != NULL; i++) {
        if (strcmp(text, arithmetic_name(i)) != 0) continue;
        *arithmetic = i;
        return 0;
    }
    return wrong(state, "--arithmetic is '%s', expected auto, f32, bf16 or int8", text);
}

static error_t parse_y(struct argp_state *state, const char *text, uint32_t *format) {
    for (uint32_t f = CLMOE_F32; f <= CLMOE_BF16; f++) {
        if (strcmp(text, format_name(f)) != 0) continue;
        *format = f;
        return 0;
    }
    return wrong(state, "--y is '%s', expected f32, f16 or bf16", text);
}

error_t real(const struct argp_state *state, const char *option, const char *text, double low, double high,
             double *value) {
    char *end;
    const double number = strtod(text, &end);
    if (end == text || *end != '\0' || !(number >= low && number <= high))
        return wrong(state, "%s is '%s', expected a number from %g to %g", option, text, low, high);
    *value = number;
    return 0;
}

/* --device, --json, --quiet: what all subcommands have. */
static error_t parse_common(int key, char *text, struct argp_state *state) {
    tool_args *args = state->input;
    switch (key) {
        case ARGP_KEY_INIT: state->err_stream = NULL; return 0; /* getopt's own line is enough */
        case 'd': args->device = text; return 0;
        case 'j': args->json = text; return writable(state, "--json", text);
        case 'q': args->quiet = 1; return 0;
        case ARGP_KEY_ARG: return wrong(state, "unexpected argument '%s'", text);
        default: return ARGP_ERR_UNKNOWN;
    }
}

/* A shape by numbers needs all four, and no name. */
static error_t finish_layer(struct argp_state *state) {
    tool_args *args = state->input;
    model *m = &args->custom;
    const int given = (m->hidden_size != 0) + (m->intermediate_size != 0) + (m->num_experts != 0) + (m->top_k != 0);
    if (given != 0) {
        if (args->model_count != 0) return wrong(state, "--model and a shape by numbers exclude each other");
        if (given != 4) {
            return wrong(state, "a shape needs --hidden-size, --intermediate-size, --experts and --top-k, all four");
        }
        if (m->top_k > m->num_experts) {
            return wrong(state, "--top-k is %u, expected at most --experts, which is %u", m->top_k, m->num_experts);
        }
        args->models[args->model_count++] = m;
    }
    if (args->model_count == 0) args->models[args->model_count++] = model_find("olmoe");
    return 0;
}

error_t parse_layer(int key, char *text, struct argp_state *state) {
    tool_args *args = state->input;
    model *m = &args->custom;
    switch (key) {
        case ARGP_KEY_INIT:
            state->err_stream = NULL;
            state->child_inputs[0] = args;
            return 0;
        case 'm': return each(state, text, add_model);
        case 't': args->token_count = 0; return each(state, text, add_tokens);
        case 'w': args->format_count = 0; return each(state, text, add_format);
        case 'a': return parse_arithmetic(state, text, &args->arithmetic);
        case KEY_Y: return parse_y(state, text, &args->y_format);
        case 's': return real(state, "--seconds", text, 0.01, 3600, &args->seconds);
        case KEY_SEED: return whole(state, "--seed", text, 0, INT64_MAX, &args->seed);
        case KEY_HIDDEN: return whole32(state, "--hidden-size", text, 1u << 20, &m->hidden_size);
        case KEY_INTERMEDIATE: return whole32(state, "--intermediate-size", text, 1u << 20, &m->intermediate_size);
        case KEY_EXPERTS: return whole32(state, "--experts", text, 1024, &m->num_experts);
        case KEY_TOP_K: return whole32(state, "--top-k", text, 1024, &m->top_k);
        case KEY_LOADS: return whole32(state, "--loads", text, 1000, &args->loads);
        case ARGP_KEY_END: return finish_layer(state);
        default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option common_options[] = {
    {"device", 'd', "DEVICE", 0,
     "gpu, cpu, PLATFORM:DEVICE or part of a name; default: CLMOE_DEVICE, else the first GPU", 1},
    {"json", 'j', "FILE", 0, "write the results to FILE as JSON", 1},
    {"quiet", 'q', NULL, 0, "no progress on the terminal", 1},
    {0}};

static const struct argp_option layer_options[] = {
    SHAPE_OPTIONS,
    {"tokens", 't', "LIST", 0, "tokens of a forward (default 1,8,64,512)", 0},
    {"weights", 'w', "LIST", 0, "formats of the weights (default f32,bf16,f16), or all:", 0},
    ARITHMETIC_OPTION,
    {"y", KEY_Y, "NAME", 0, "what the experts' outputs are stored in: f32, f16 or bf16 (default f32)", 0},
    {"seconds", 's', "S", 0, "seconds of timed forwards a row (default 2)", 0},
    SEED_OPTION,
    {0}};

static const struct argp_option load_options[] = {
    SHAPE_OPTIONS,
    {"weights", 'w', "LIST", 0, "formats of the checkpoint, and of the weights made of it (default bf16), or all:", 0},
    {"loads", KEY_LOADS, "N", 0, "timed loads a row (default 9)", 0},
    SEED_OPTION,
    {0}};

static const struct argp common_argp = {common_options, parse_common, NULL, NULL, NULL, NULL, NULL};

char *layer_help(int key, const char *text, void *input) {
    char names[512], *line = NULL;
    if ((key != 'm' && key != 'w') || text == NULL) return (char *)(uintptr_t)text;
    const tool_args *args = input;
    if (key == 'm') model_names(names, sizeof names);
    if (key == 'w') weight_format_names(args != NULL && args->plain_formats_only, names, sizeof names);
    if (asprintf(&line, "%s %s", text, names) < 0) return (char *)(uintptr_t)text;
    return line;
}

const struct argp_child common_child[] = {{&common_argp, 0, NULL, 0}, {0}};

int layer_args(int argc, char **argv, tool_args *args) {
    static const struct argp argp = {
        layer_options,
        parse_layer,
        NULL,
        "Times Mixture-of-Experts layers and compares them with the limits of the device, "
        "having checked sampled rows against sums in double precision.\v"
        "Example: clmoe-bench layer --model olmoe --tokens 1,64,512 --weights bf16,q4_K --json "
        "layer.json",
        common_child,
        layer_help,
        NULL};
    static const uint32_t tokens[] = {1, 8, 64, 512}, formats[] = {CLMOE_F32, CLMOE_BF16, CLMOE_F16};
    *args = (tool_args){.seconds = 2, .seed = 1, .y_format = CLMOE_F32, .custom = model_by_numbers()};
    memcpy(args->tokens, tokens, sizeof tokens);
    memcpy(args->formats, formats, sizeof formats);
    args->token_count = COUNT_OF(tokens);
    args->format_count = COUNT_OF(formats);
    return argp_parse(&argp, argc, argv, 0, NULL, args) != 0 ? 2 : 0;
}

int load_args(int argc, char **argv, tool_args *args) {
    static const struct argp argp = {
        load_options,
        parse_layer,
        NULL,
        "Times how fast a layer's weights are made from a checkpoint in the page cache. The "
        "checkpoint is written into a folder of its own under TMPDIR, which is removed "
        "again.\vExample: clmoe-bench load --model olmoe --weights bf16 --json load.json",
        common_child,
        layer_help,
        NULL};
    *args = (tool_args){.loads = 9, .seed = 1, .custom = model_by_numbers(), .plain_formats_only = 1};
    args->formats[0] = CLMOE_BF16;
    args->format_count = 1;
    return argp_parse(&argp, argc, argv, 0, NULL, args) != 0 ? 2 : 0;
}

int common_args(int argc, char **argv, const char *purpose, tool_args *args) {
    const struct argp argp = {common_options, parse_common, NULL, purpose, NULL, NULL, NULL};
    *args = (tool_args){.seed = 1};
    return argp_parse(&argp, argc, argv, 0, NULL, args) != 0 ? 2 : 0;
}
