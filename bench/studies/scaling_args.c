/* The command line of `clmoe-bench scaling`. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "common/args_parts.h"
#include "common/tool.h"
#include "scaling.h"

enum { KEY_OVER = KEY_OWN, KEY_EXPERT_COUNTS, KEY_TOP_KS, KEY_UNITS, KEY_FIXED_TOKENS };

static error_t add_axis(struct argp_state *state, char *part) {
    static const char *const names[SCALING_AXES] = {"tokens", "experts", "top-k", "units"};
    tool_args *args = state->input;
    for (size_t i = 0; i < SCALING_AXES; i++) {
        if (strcmp(part, names[i]) != 0) continue;
        args->scaling.on[i] = 1;
        return 0;
    }
    return wrong(state, "--over has '%s', expected tokens, experts, top-k or units", part);
}

static error_t add_value(struct argp_state *state, const char *option, scaling_axis axis, uint32_t high,
                         const char *part) {
    tool_args *args = state->input;
    if (args->scaling.axes[axis].count == MAX_SCALING_VALUES)
        return wrong(state, "%s takes at most %d numbers", option, MAX_SCALING_VALUES);
    return whole32(state, option, part, high, &args->scaling.axes[axis].values[args->scaling.axes[axis].count++]);
}

static error_t add_experts(struct argp_state *state, char *part) {
    return add_value(state, "--expert-counts", AXIS_EXPERTS, 1024, part);
}

static error_t add_top_k(struct argp_state *state, char *part) {
    return add_value(state, "--top-ks", AXIS_TOP_K, 1024, part);
}

static error_t add_units(struct argp_state *state, char *part) {
    return add_value(state, "--units", AXIS_UNITS, 65536, part);
}

static error_t parse(int key, char *text, struct argp_state *state) {
    tool_args *args = state->input;
    switch (key) {
        case KEY_OVER: memset(args->scaling.on, 0, sizeof args->scaling.on); return each(state, text, add_axis);
        case KEY_EXPERT_COUNTS: args->scaling.axes[AXIS_EXPERTS].count = 0; return each(state, text, add_experts);
        case KEY_TOP_KS: args->scaling.axes[AXIS_TOP_K].count = 0; return each(state, text, add_top_k);
        case KEY_UNITS: args->scaling.axes[AXIS_UNITS].count = 0; return each(state, text, add_units);
        case KEY_FIXED_TOKENS: return whole32(state, "--fixed-tokens", text, 1u << 20, &args->scaling.fixed_tokens);
        default: return parse_layer(key, text, state);
    }
}

int scaling_args(int argc, char **argv, tool_args *args) {
    static const struct argp_option options[] = {
        SHAPE_OPTIONS,
        {"over", KEY_OVER, "LIST", 0, "what grows: tokens, experts, top-k, units (default all four)", 0},
        {"tokens", 't', "LIST", 0, "tokens of a forward (default 1,4,16 and so on to 65536)", 0},
        {"expert-counts", KEY_EXPERT_COUNTS, "LIST", 0,
         "experts (default a quarter, a half, all and twice the shape's)", 0},
        {"top-ks", KEY_TOP_KS, "LIST", 0, "experts a token (default 1,2,4 and so on to twice the shape's)", 0},
        {"units", KEY_UNITS, "LIST", 0, "compute units, as parts of the device (default 1,2,4 and so on to all)", 0},
        {"fixed-tokens", KEY_FIXED_TOKENS, "N", 0, "tokens where something else grows (default 512)", 0},
        {"weights", 'w', "LIST", 0, "formats of the weights (default bf16), or all:", 0},
        ARITHMETIC_OPTION,
        {"seconds", 's', "S", 0, "seconds a row is timed for at most (default 1)", 0},
        SEED_OPTION,
        {0}};
    static const struct argp argp = {options,
                                     parse,
                                     NULL,
                                     "Times layers as work grows, each row checked and set beside the time that the "
                                     "device's limits allow. `work` and `time` "
                                     "are operations and median over those of the first row of its kind: where time "
                                     "grows less than work, weights that are "
                                     "read once serve more tokens.\v"
                                     "Example: clmoe-bench scaling --over tokens --tokens 1,16,256 --json s.json",
                                     common_child,
                                     layer_help,
                                     NULL};
    static const uint32_t tokens[] = {1, 4, 16, 64, 256, 1024, 4096, 16384, 65536};
    *args = (tool_args){.seconds = 1, .seed = 1, .custom = model_by_numbers()};
    memcpy(args->tokens, tokens, sizeof tokens);
    args->token_count = COUNT_OF(tokens);
    args->formats[0] = CLMOE_BF16;
    args->format_count = 1;
    args->scaling.fixed_tokens = 512;
    for (size_t i = 0; i < SCALING_AXES; i++) args->scaling.on[i] = 1;
    return argp_parse(&argp, argc, argv, 0, NULL, args) != 0 ? 2 : 0;
}
