/* The subcommands. Each returns the exit status of the program: 0, after a complaint 1, or 2 for a wrong argument. */
#ifndef CLMOE_BENCH_COMMANDS_H
#define CLMOE_BENCH_COMMANDS_H

#include "common/args.h"

int layer_command(const tool_args *args);
int scaling_command(const tool_args *args);
int scaling_args(int argc, char **argv, tool_args *args);
int balance_command(const tool_args *args);
int balance_args(int argc, char **argv, tool_args *args);
int variants_command(const tool_args *args);
int variants_args(int argc, char **argv, tool_args *args);
int load_command(const tool_args *args); /* only where clmoe::model is built */
int roofline_command(const tool_args *args);
int devices_command(const tool_args *args);
int trace_command(const tool_args *args);
int trace_args(int argc, char **argv, tool_args *args);
int report_command(const tool_args *args);
int report_args(int argc, char **argv, tool_args *args);
int compare_command(const tool_args *args); /* 1: something got worse, 2: nothing to compare */
int compare_args(int argc, char **argv, tool_args *args);
int serve_command(const tool_args *args);
int serve_args(int argc, char **argv, tool_args *args);
int cost_command(const tool_args *args);
int cost_args(int argc, char **argv, tool_args *args);
int memory_command(const tool_args *args);
int memory_args(int argc, char **argv, tool_args *args);
int prebuild_command(const tool_args *args);
int prebuild_args(int argc, char **argv, tool_args *args);
int tune_command(const tool_args *args); /* 1 also where a setting computed something else */
int tune_args(int argc, char **argv, tool_args *args);

#endif
