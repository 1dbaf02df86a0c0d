/* `clmoe-bench prebuild`: compiles what layers of these shapes need on a device, proves it, and writes it into one
 * file that an application ships (clmoe_context_add_pack). The layers have their true sizes but no memory, so a pack
 * for a model larger than the device costs nothing but the compiler's time. Calls the library. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "common/args_parts.h"
#include "common/tool.h"
#include "common/weight_formats.h"
#include "device/json_report.h"
#include "layer/device_layer.h"
#include "progress.h"

enum { KEY_OUT = 'o', KEY_ACTIVATIONS = KEY_OWN };

static const uint32_t activation_formats[] = {CLMOE_F32, CLMOE_F16, CLMOE_BF16};

/* -------------------------------------------------------------------------------------------- command line */

static error_t add_activations(struct argp_state *state, char *part) {
    prebuild_options *options = &((tool_args *)state->input)->prebuild;
    for (size_t i = 0; i < COUNT_OF(activation_formats); i++) {
        if (strcmp(part, format_name(activation_formats[i])) != 0) continue;
        if (options->activation_count == COUNT_OF(options->activations))
            return wrong(state, "--activations takes at most %zu names", COUNT_OF(options->activations));
        options->activations[options->activation_count++] = activation_formats[i];
        return 0;
    }
    return wrong(state, "--activations has '%s', expected f32, f16 or bf16", part);
}

static error_t parse(int key, char *text, struct argp_state *state) {
    tool_args *args = state->input;
    switch (key) {
        case KEY_OUT: args->prebuild.out = text; return writable(state, "--out", text);
        case KEY_ACTIVATIONS: args->prebuild.activation_count = 0; return each(state, text, add_activations);
        case ARGP_KEY_END:
            if (args->prebuild.out == NULL)
                return wrong(state, "--out is missing, expected the name of the pack to write");
            return parse_layer(key, text, state);
        default: return parse_layer(key, text, state);
    }
}

int prebuild_args(int argc, char **argv, tool_args *args) {
    static const struct argp_option options[] = {
        SHAPE_OPTIONS,
        {"out", KEY_OUT, "FILE", 0, "the pack to write", 0},
        {"weights", 'w', "LIST", 0, "formats of the weights (default f32,bf16,f16), or all:", 0},
        ARITHMETIC_OPTION,
        {"activations", KEY_ACTIVATIONS, "LIST", 0, "formats of x and out: f32, f16, bf16 (default f32)", 0},
        {0}};
    static const struct argp argp = {
        options,
        parse,
        NULL,
        "Compiles what layers of these shapes need, and packs it into a file that programs start from on devices and "
        "drivers "
        "like this one, compiling nothing.\v"
        "Example: clmoe-bench prebuild --out olmoe.pack --model olmoe --weights bf16,q4_0\n"
        "Then, in the program: clmoe_context_add_pack(context, \"olmoe.pack\", &error).",
        common_child,
        layer_help,
        NULL};
    *args = (tool_args){.seed = 1, .custom = model_by_numbers()};
    args->formats[0] = CLMOE_F32;
    args->formats[1] = CLMOE_BF16;
    args->formats[2] = CLMOE_F16;
    args->format_count = 3;
    args->prebuild.activations[0] = CLMOE_F32;
    args->prebuild.activation_count = 1;
    return argp_parse(&argp, argc, argv, 0, NULL, args) != 0 ? 2 : 0;
}

/* ------------------------------------------------------------------------------------------------ building */

/* The layer with activations in this format, a row of the JSON; its kernels stay in the session's context. */
static int build_layer(const session *s, const model *m, const device_layer *planned, uint32_t format,
                       uint32_t activations, json_t *rows) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_layer_desc desc;
    clmoe_layer *layer = NULL;
    if (device_layer_desc(m, &desc, &error) != CLMOE_OK) return complain_clmoe(m->preset, &error);
    desc.x_format = desc.out_format = activations;
    if (clmoe_layer_create(s->context, planned->weights[0], &desc, &layer, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_layer_create", &error);
    json_t *row = put_layer_row(rows, m, format);
    put_text(row, "arithmetic", arithmetic_name(layer_arithmetic(layer)));
    put_text(row, "activations", format_name(activations));
    clmoe_layer_destroy(layer);
    return 0;
}

static int build(session *s, const tool_args *args, const model *m, uint32_t format, json_t *rows) {
    const prebuild_options *options = &args->prebuild;
    const uint32_t lengths[] = {m->hidden_size, m->intermediate_size, m->shared_size};
    device_layer planned = {0};
    char why[160];
    if (!weight_format_allows(format, args->arithmetic, lengths, COUNT_OF(lengths), why, sizeof why)) {
        printf("%s %s: %s: skipped\n", m->name, format_name(format), why);
        return 0;
    }
    progress("%s %s", m->name, format_name(format));
    int failed = device_layer_pack_one(s, m, format, args->arithmetic) ||
                 device_layer_plan(s, m, format, args->arithmetic, &planned);
    for (size_t i = 0; i < options->activation_count && !failed; i++)
        failed = build_layer(s, m, &planned, format, options->activations[i], rows);
    device_layer_free(&planned);
    progress_clear();
    return failed;
}

/* An empty pack, written beside and removed: that it cannot be done is better known before minutes of compiling. */
static int check_place(const session *s, const char *path) {
    clmoe_error error = {.struct_size = sizeof error};
    char trial[4096];
    if ((size_t)snprintf(trial, sizeof trial, "%s.trial", path) >= sizeof trial) return complain("--out is too long");
    if (clmoe_context_write_pack(s->context, trial, &error) != CLMOE_OK) return complain_clmoe("no pack", &error);
    return remove(trial) != 0;
}

static int write_pack(const session *s, const char *path, double seconds) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_cache_stats stats = {.struct_size = sizeof stats};
    if (clmoe_context_cache(s->context, &stats, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_context_cache", &error);
    if (stats.failures != 0)
        return complain("%llu programs could not be taken from the driver or kept: no pack is written",
                        (unsigned long long)stats.failures);
    if (clmoe_context_write_pack(s->context, path, &error) != CLMOE_OK) return complain_clmoe("no pack", &error);
    printf("%s: for %s, made in %.1f s\n", path, s->name, seconds);
    return 0;
}

int prebuild_command(const tool_args *args) {
    session s;
    const double start = now_seconds();
    const int refused = session_open_for_pack(args->device, &s);
    if (refused) return refused;
    progress_start(args->quiet);
    json_t *root = json_report_start("prebuild", &s, NULL), *rows = put_list(root, "rows");
    int failed = check_place(&s, args->prebuild.out);
    for (size_t m = 0; m < args->model_count && !failed; m++)
        for (size_t f = 0; f < args->format_count && !failed; f++)
            failed = build(&s, args, args->models[m], args->formats[f], rows);
    const double seconds = now_seconds() - start;
    if (!failed) failed = write_pack(&s, args->prebuild.out, seconds);
    put_text(root, "pack", args->prebuild.out);
    put_number(root, "seconds", seconds);
    if (!failed && args->json != NULL)
        failed = json_report_write(args->json, root);
    else
        json_decref(root);
    session_close(&s);
    return failed;
}
