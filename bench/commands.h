/* The subcommands. Each returns the exit status of the program: 0, or 1 after a complaint. */
#ifndef CLMOE_BENCH_COMMANDS_H
#define CLMOE_BENCH_COMMANDS_H

#include "args.h"

int layer_command(const tool_args *args);
int load_command(const tool_args *args); /* only where clmoe::model is built */
int roofline_command(const tool_args *args);
int devices_command(const tool_args *args);

#endif
