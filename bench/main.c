/* clmoe-bench: measures Mixture-of-Experts layers and the limits of OpenCL devices. This file finds the subcommand. */
#define _POSIX_C_SOURCE 200809L
#include <clmoe/clmoe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common/tool.h"
#include "pin_pocl.h"

static int roofline_args(int argc, char **argv, tool_args *args) {
    return common_args(argc, argv, "Measures what a device can do at most: multiply-adds and bytes read a second.\v"
                       "Example: clmoe-bench roofline --device cpu --json roofline.json",
                       args);
}

static int devices_args(int argc, char **argv, tool_args *args) {
    return common_args(argc, argv,
                       "Lists devices, what they can do, and the kernel variant chosen for each stage.\v"
                       "Example: clmoe-bench devices --json devices.json", args);
}

static const struct {
    const char *name, *summary;
    int (*parse)(int argc, char **argv, tool_args *args); /* 0, or the exit status */
    int (*run)(const tool_args *args);
} commands[] = {
    {"variants", "time one layer in several ways: what each optimisation brings", variants_args, variants_command},
    {"scaling", "time layers as tokens, experts, top-k and compute units grow", scaling_args, scaling_command},
    {"balance", "how evenly experts are used, and what unevenness costs in time", balance_args, balance_command},
    {"layer", "time layers, checked, against the limits of the device", layer_args, layer_command},
#ifdef CLMOE_BENCH_LOAD
    {"load", "time how a checkpoint becomes a layer's weights", load_args, load_command},
#endif
    {"roofline", "measure those limits: multiply-adds and bytes read a second", roofline_args, roofline_command},
    {"trace", "record every kernel and transfer of a forward pass for Perfetto", trace_args, trace_command},
    {"report", "run the set of measurements; tables, pictures and a page of them", report_args, report_command},
    {"compare", "two results as ratios with noise bounds; exit status 1 if something got worse", compare_args,
     compare_command},
    {"serve", "simulate a service: latency and throughput of batched requests", serve_args, serve_command},
    {"cost", "days, device-hours and price of tokens, from the speed of a layer", cost_args, cost_command},
    {"memory", "what layers take of the device's memory, predicted and measured", memory_args, memory_command},
    {"prebuild", "compile what layers need into one file that programs start from", prebuild_args, prebuild_command},
    {"tune", "look for faster tile sizes, prove them, keep them for this device", tune_args, tune_command},
    {"devices", "list devices, what they can do, and the kernel variant chosen for each stage", devices_args,
     devices_command},
};

static int print_usage(void) {
    printf("Usage: clmoe-bench COMMAND [OPTION...]\n\n");
    for (size_t i = 0; i < COUNT_OF(commands); i++) printf("  %-9s  %s\n", commands[i].name, commands[i].summary);
    return printf("\nclmoe-bench COMMAND --help explains a command's options and shows an example. Exit status: 0, 1 "
                  "after a\n"
                  "failure or a missed target, 2 for a wrong argument.\n\n"
                  "Examples: clmoe-bench report out --quick\n"
                  "          clmoe-bench layer --model olmoe --tokens 1,64,512 --weights bf16,q4_K\n"
                  "          clmoe-bench serve --rate 40 --target-latency-ms 200\n") < 0;
}

/* argv from the command on, its name being what messages start with. */
static int run(size_t command, int argc, char **argv) {
    static tool_args args;
    char name[64];
    snprintf(name, sizeof name, "clmoe-bench %s", commands[command].name);
    argv[0] = name;
    const int wrong = commands[command].parse(argc, argv, &args);
    return wrong != 0 ? wrong : commands[command].run(&args);
}

int main(int argc, char **argv) {
    (void)setenv("ARGP_HELP_FMT", "no-dup-args-note", 0); /* a paragraph about short options that helps nobody */
    pin_pocl();
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) return print_usage();
    if (argc > 1 && strcmp(argv[1], "--version") == 0) return printf("clmoe-bench %s\n", clmoe_version_string()) < 0;
    for (size_t i = 0; argc > 1 && i < COUNT_OF(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) return run(i, argc - 1, argv + 1);
    }
    fprintf(stderr, "clmoe-bench: %s%s%s, expected", argc > 1 ? "unknown command '" : "no command",
            argc > 1 ? argv[1] : "", argc > 1 ? "'" : "");
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        fprintf(stderr, "%s %s", i == 0 ? "" : i + 1 < COUNT_OF(commands) ? "," : " or", commands[i].name);
    fputc('\n', stderr);
    return 2;
}
