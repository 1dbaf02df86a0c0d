/* clmoe-bench: measures Mixture-of-Experts layers and the limits of OpenCL devices. This file finds the subcommand. */
#include <clmoe/clmoe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "pin_pocl.h"
#include "tool.h"

static const char usage[] =
    "Usage: clmoe-bench COMMAND [OPTION...]\n"
    "\n"
    "  layer      time layers, checked, against the limits of the device\n"
    "  roofline   measure those limits: multiply-adds and bytes read a second\n"
    "  devices    list devices, what they can do, and the kernel variant chosen for each stage\n"
    "\n"
    "clmoe-bench COMMAND --help explains a command's options.\n";

/* argv from the command on, its name being what messages start with. */
static int run(const char *command, int argc, char **argv) {
    static tool_args args;
    char name[64];
    snprintf(name, sizeof name, "clmoe-bench %s", command);
    argv[0] = name;
    if (strcmp(command, "layer") == 0) {
        const int wrong = layer_args(argc, argv, &args);
        return wrong != 0 ? wrong : layer_command(&args);
    }
    const int roofline = strcmp(command, "roofline") == 0;
    const char *purpose = roofline ? "Measures what a device can do at most: multiply-adds and bytes read a second."
                                   : "Lists devices, what they can do, and the kernel variant chosen for each stage.";
    const int wrong = common_args(argc, argv, purpose, &args);
    if (wrong != 0) return wrong;
    return roofline ? roofline_command(&args) : devices_command(&args);
}

int main(int argc, char **argv) {
    static const char *const commands[] = {"layer", "roofline", "devices"};
    pin_pocl();
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) return fputs(usage, stdout) == EOF;
    if (argc > 1 && strcmp(argv[1], "--version") == 0) return printf("clmoe-bench %s\n", clmoe_version_string()) < 0;
    for (size_t i = 0; argc > 1 && i < COUNT_OF(commands); i++) {
        if (strcmp(argv[1], commands[i]) == 0) return run(commands[i], argc - 1, argv + 1);
    }
    fprintf(stderr, "clmoe-bench: %s%s%s, expected layer, roofline or devices\n",
            argc > 1 ? "unknown command '" : "no command", argc > 1 ? argv[1] : "", argc > 1 ? "'" : "");
    return 2;
}
