/* What the command lines of the subcommands are made of. A subcommand with options of its own has a table of them,
 * and a parser that hands the keys it does not know to parse_layer:
 *
 *     static const struct argp_option options[] = {SHAPE_OPTIONS, {"zipf", KEY_ZIPF, ...}, SEED_OPTION, {0}};
 *     static error_t parse(int key, char *text, struct argp_state *state) {
 *         switch (key) { case KEY_ZIPF: ...; default: return parse_layer(key, text, state); }
 *     }
 *     static const struct argp argp = {options, parse, NULL, "What it is for.", common_child, layer_help, NULL};
 *
 * Text behind a \v in the purpose follows the options: examples go there. */
#ifndef CLMOE_BENCH_ARGS_PARTS_H
#define CLMOE_BENCH_ARGS_PARTS_H

#include "args.h"
#include "usage.h"

/* Keys of shared options that have no letter; a subcommand's own begin at KEY_OWN. */
enum { KEY_HIDDEN = 256, KEY_INTERMEDIATE, KEY_EXPERTS, KEY_TOP_K, KEY_SEED, KEY_LOADS, KEY_Y, KEY_OWN };

#define SHAPE_OPTIONS                                                                   \
    {"model", 'm', "NAME[,NAME]", 0, "shapes of known models (default olmoe):", 0},     \
        {"hidden-size", KEY_HIDDEN, "H", 0, "a shape by numbers: width of a token", 0}, \
        {"intermediate-size", KEY_INTERMEDIATE, "I", 0, "width of an expert", 0},       \
        {"experts", KEY_EXPERTS, "E", 0, "experts", 0}, {                               \
        "top-k", KEY_TOP_K, "K", 0, "experts a token", 0                                \
    }
#define ARITHMETIC_OPTION \
    { "arithmetic", 'a', "NAME", 0, "auto, f32, bf16 or int8 (default auto)", 0 }
#define SEED_OPTION \
    { "seed", KEY_SEED, "N", 0, "seed of weights and tokens (default 1)", 0 }

/* Keys m, t, w, a, s and those of the enum; checks the shape at the end. */
error_t parse_layer(int key, char *text, struct argp_state *state);
/* Device, JSON file and quiet, for `children`. */
extern const struct argp_child common_child[];
/* Adds the names of models and formats to --help. */
char *layer_help(int key, const char *text, void *input);

/* A number in low..high. */
error_t real(const struct argp_state *state, const char *option, const char *text, double low, double high,
             double *value);
/* A whole number in 1..high. */
error_t whole32(const struct argp_state *state, const char *option, const char *text, uint32_t high, uint32_t *value);
/* The name of a file to write: its folder is there and takes files. Said before hours of measuring, not after. */
error_t writable(const struct argp_state *state, const char *option, const char *path);
/* Calls `item` for each part of "a,b,c". `text` is argv's own and is cut up. */
error_t each(struct argp_state *state, char *text, error_t (*item)(struct argp_state *state, char *part));

#endif
