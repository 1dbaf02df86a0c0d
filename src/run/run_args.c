/* The command line of clmoe-run, read with glibc's argp. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"
#include "usage.h"

enum { KEY_LIST = 256, KEY_VERSION };

static const struct argp_option options[] = {
    {"layer", 'l', "N", 0, "the layer to run, counted from 0, dense ones included", 0},
    {"input", 'i', "FILE", 0,
     "a safetensors file with hidden_states [tokens, hidden_size] in F32, F16 or BF16, and router_input like it where "
     "the router has an input of its own",
     0},
    {"output", 'o', "FILE", 0, "gets output [tokens, hidden_size], expert_index, expert_weight and expert_load", 0},
    {"device", 'd', "DEVICE", 0,
     "gpu, cpu, PLATFORM:DEVICE or part of a name; default: CLMOE_DEVICE, else the first GPU", 0},
    {"weights", 'w', "FORMAT", 0,
     "keep the experts in f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_K, q5_K, q6_K, iq4_nl, mxfp4, nvfp4 or "
     "f8_b128; "
     "default: as the files have them",
     0},
    {"arithmetic", 'a', "KIND", 0,
     "multiply in f32, bf16 or int8; default: auto, the fastest that the weights and the device allow", 0},
    {"list", KEY_LIST, NULL, 0, "print the model's MoE layers instead", 0},
    {"json", 'j', NULL, 0, "print what was done and how long each part took as JSON", 1},
    {"quiet", 'q', NULL, 0, "no progress, no summary", 1},
    {"version", KEY_VERSION, NULL, 0, "print the version", -1},
    {0}};

static error_t parse_weights(const struct argp_state *state, const char *text, uint32_t *format) {
    static const uint32_t formats[] = {CLMOE_F32,  CLMOE_F16,    CLMOE_BF16,  CLMOE_Q8_0, CLMOE_Q4_0,
                                       CLMOE_Q4_1, CLMOE_Q5_0,   CLMOE_Q5_1,  CLMOE_Q4_K, CLMOE_Q5_K,
                                       CLMOE_Q6_K, CLMOE_IQ4_NL, CLMOE_MXFP4, CLMOE_NVFP4,  CLMOE_F8_B128};
    char expected[160] = "";
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        const size_t used = strlen(expected);
        const char *const between = i == 0 ? "" : i + 1 < COUNT_OF(formats) ? ", " : " or ";
        *format = formats[i];
        if (strcmp(text, format_name(formats[i])) == 0) return 0;
        snprintf(expected + used, sizeof expected - used, "%s%s", between, format_name(formats[i]));
    }
    return wrong(state, "--weights is '%s', expected %s", text, expected);
}

static error_t parse_arithmetic(const struct argp_state *state, const char *text, uint32_t *arithmetic) {
    static const char *const names[] = {[CLMOE_ARITHMETIC_AUTO] = "auto",
                                        [CLMOE_ARITHMETIC_F32] = "f32",
                                        [CLMOE_ARITHMETIC_BF16] = "bf16",
                                        [CLMOE_ARITHMETIC_INT8] = "int8"};
    for (uint32_t i = 0; i < COUNT_OF(names); i++) {
        *arithmetic = i;
        if (strcmp(text, names[i]) == 0) return 0;
    }
    return wrong(state, "--arithmetic is '%s', expected auto, f32, bf16 or int8", text);
}

static error_t finish(const struct argp_state *state, const run_args *args) {
    if (args->model == NULL || args->model[0] == '\0')
        return wrong(state,
                     "MODEL is %s: a folder with config.json and safetensors files, or a GGUF file (--help says more)",
                     args->model == NULL ? "missing" : "empty");
    if (args->list) {
        if (args->has_layer || args->input != NULL || args->output != NULL || args->device != NULL ||
            args->format != 0 || args->arithmetic != 0)
            return wrong(state, "--list goes with MODEL, --json and --quiet alone");
        return 0;
    }
    if (!args->has_layer) return wrong(state, "--layer is missing (--list prints the layers)");
    if (args->input == NULL) return wrong(state, "--input is missing");
    if (args->output == NULL) return wrong(state, "--output is missing");
    return 0;
}

static error_t parse(int key, char *text, struct argp_state *state) {
    run_args *args = state->input;
    uint64_t number = 0;
    switch (key) {
        case ARGP_KEY_INIT: state->err_stream = NULL; return 0; /* getopt's own line is enough */
        case 'l':
            args->has_layer = 1;
            if (whole(state, "--layer", text, 0, UINT32_MAX, &number) != 0) return EINVAL;
            args->layer = (uint32_t)number;
            return 0;
        case 'i': args->input = text; return 0;
        case 'o': args->output = text; return 0;
        case 'd': args->device = text; return 0;
        case 'w': return parse_weights(state, text, &args->format);
        case 'a': return parse_arithmetic(state, text, &args->arithmetic);
        case 'j': args->json = 1; return 0;
        case 'q': args->quiet = 1; return 0;
        case KEY_LIST: args->list = 1; return 0;
        case KEY_VERSION: printf("clmoe-run %s\n", clmoe_version_string()); exit(fflush(stdout) != 0);
        case ARGP_KEY_ARG:
            if (args->model != NULL) return wrong(state, "unexpected argument '%s'", text);
            args->model = text;
            return 0;
        case ARGP_KEY_END: return finish(state, args);
        default: return ARGP_ERR_UNKNOWN;
    }
}

int run_args_read(int argc, char **argv, run_args *args) {
    static const struct argp argp = {
        options,
        parse,
        "MODEL --layer N --input FILE --output FILE\nMODEL --list",
        "Runs one Mixture-of-Experts layer of a model, router included, on any OpenCL "
        "device. MODEL is a folder as the Hugging Face hub has it, or a file in it; or a GGUF file, of several parts "
        "the first.\v"
        "Exit status: 0 done, 2 wrong usage or something wrong in a file, 1 anything else. "
        "The output file appears complete or not at all.",
        NULL,
        NULL,
        NULL};
    *args = (run_args){0};
    /* getopt begins its lines with it. */
    if (argc > 0 && strrchr(argv[0], '/') != NULL) argv[0] = strrchr(argv[0], '/') + 1;
    return argp_parse(&argp, argc, argv, 0, NULL, args) != 0 ? EXIT_INPUT : 0;
}
