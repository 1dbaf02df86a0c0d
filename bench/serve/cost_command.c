/* `clmoe-bench cost`: what a model's tokens cost, from one layer's speed, given or measured here. See cost.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "common/args_parts.h"
#include "common/tool.h"
#include "common/weight_formats.h"
#include "cost.h"
#include "device/json_report.h"
#include "layer/layer_row.h"
#include "progress.h"

enum { KEY_TOKENS_PER_S = KEY_OWN, KEY_PRICE, KEY_LAYERS, KEY_DEVICES };

/* ------------------------------------------------------------------------------------------------ measuring */

static int measure_on(session *s, const tool_args *args, const host_layer *host, device_layer *device,
                      layer_result *row) {
    roofline *roof = NULL;
    progress("compiling the probes");
    const int failed = device_layer_add(s, host, args->arithmetic, device) || roofline_open(s->cl, s->device, &roof) ||
                       measure_row(s, roof, host, device, args->seconds, row);
    roofline_close(roof);
    return failed;
}

/* One row as `clmoe-bench layer` has it. row->samples_ms is to be freed. */
static int measure(session *s, const tool_args *args, layer_result *row) {
    const model *m = args->models[0];
    const uint32_t format = args->formats[0], lengths[] = {m->hidden_size, m->intermediate_size, m->shared_size};
    host_layer host;
    device_layer device = {.copies = 0};
    char why[160];
    if (!weight_format_allows(format, args->arithmetic, lengths, COUNT_OF(lengths), why, sizeof why))
        return complain("%s %s: %s", m->name, format_name(format), why);
    *row = (layer_result){.shape = m, .format = format, .tokens = args->tokens[0], .seed = args->seed, .copies = 1};
    const int failed = host_layer_make(m, format, args->seed, &host) || measure_on(s, args, &host, &device, row);
    device_layer_free(&device);
    host_layer_free(&host);
    progress_clear();
    return failed;
}

/* ------------------------------------------------------------------------------------------------ reporting */

/* Four digits: more is known of no measurement. Whole numbers and thousandths, as people read money and days. */
static void print_figure(const char *name, double value) {
    const int after = value >= 1000 || value <= 0 ? 0 : value >= 1 ? 2 : 2 - (int)floor(log10(value)) + 1;
    printf("  %-30s %20.*f\n", name, after < 12 ? after : 12, value);
}

static void print(const model *m, const layer_result *row, const cost_question *q, const cost_answer *a) {
    if (row != NULL)
        printf("%s, %s weights, %s arithmetic, %u tokens a forward: %.0f tokens/s in one layer, measured\n", m->name,
               format_name(row->format), arithmetic_name(row->arithmetic), row->tokens, q->layer_tokens_per_s);
    else
        printf("%s: %.0f tokens/s in one layer, as given\n", m->name, q->layer_tokens_per_s);
    printf(
        "%u layer%s with experts, %u device%s, a price of %g an hour for each; nothing but these layers is counted\n",
        q->layers, q->layers == 1 ? "" : "s", q->devices, q->devices == 1 ? "" : "s", q->price_per_hour);
    print_figure("tokens a second", a->tokens_per_s);
    print_figure("tokens a day", a->tokens_per_day);
    print_figure("price of 10^6 tokens", a->price_per_million_tokens);
    print_figure("device-hours for 10^12 tokens", a->device_hours);
    print_figure("days for 10^12 tokens", a->days);
    print_figure("price of 10^12 tokens", a->price);
}

static int write_json(const tool_args *args, const session *s, const layer_result *row, const cost_question *q,
                      const cost_answer *a) {
    json_t *root = json_report_start("cost", s, NULL);
    json_t *object = put_layer_row(put_list(root, "rows"), args->models[0], args->formats[0]);
    put_bool(object, "measured", row != NULL);
    if (row != NULL) {
        put_text(object, "arithmetic", arithmetic_name(row->arithmetic));
        put_count(object, "tokens", row->tokens);
        put_count(object, "seed", row->seed);
        put_number(object, "median_ms", row->median_ms);
        put_numbers(object, "samples_ms", row->samples_ms, row->sample_count);
    }
    put_number(object, "layer_tokens_per_s", q->layer_tokens_per_s);
    put_count(object, "layers", q->layers);
    put_count(object, "devices", q->devices);
    put_number(object, "price_per_hour", q->price_per_hour);
    put_number(object, "tokens_per_s", a->tokens_per_s);
    put_number(object, "tokens_per_day", a->tokens_per_day);
    put_number(object, "price_per_million_tokens", a->price_per_million_tokens);
    put_number(object, "device_hours_per_trillion_tokens", a->device_hours);
    put_number(object, "days_per_trillion_tokens", a->days);
    put_number(object, "price_per_trillion_tokens", a->price);
    return json_report_write(args->json, root);
}

static int answer(const tool_args *args, const session *s, const layer_result *row) {
    const cost_options *o = &args->cost;
    const cost_question q = {.layer_tokens_per_s = row != NULL ? row->tokens_per_s : o->tokens_per_s,
                             .layers = o->layers != 0 ? o->layers : args->models[0]->layers,
                             .devices = o->devices,
                             .price_per_hour = o->price_per_hour};
    const cost_answer a = cost_of(&q);
    print(args->models[0], row, &q, &a);
    return args->json != NULL ? write_json(args, s, row, &q, &a) : 0;
}

int cost_command(const tool_args *args) {
    session s;
    layer_result row;
    progress_start(args->quiet);
    if (args->cost.tokens_per_s > 0) return answer(args, NULL, NULL);
    const int refused = session_open(args->device, &s);
    if (refused) return refused;
    row.samples_ms = NULL;
    const int failed = measure(&s, args, &row) || answer(args, &s, &row);
    free(row.samples_ms);
    session_close(&s);
    return failed;
}

/* ------------------------------------------------------------------------------------------- command line */

static error_t check_end(struct argp_state *state) {
    const tool_args *args = state->input;
    if (args->model_count != 1) return wrong(state, "--model has %zu names, expected one", args->model_count);
    if (args->format_count != 1) return wrong(state, "--weights has %zu formats, expected one", args->format_count);
    if (args->token_count != 1) return wrong(state, "--tokens has %zu numbers, expected one", args->token_count);
    return 0;
}

static error_t parse(int key, char *text, struct argp_state *state) {
    tool_args *args = state->input;
    cost_options *o = &args->cost;
    error_t error;
    switch (key) {
        case KEY_TOKENS_PER_S: return real(state, "--tokens-per-s", text, 1e-6, 1e15, &o->tokens_per_s);
        case KEY_PRICE: return real(state, "--price-per-hour", text, 0, 1e9, &o->price_per_hour);
        case KEY_LAYERS: return whole32(state, "--layers", text, 100000, &o->layers);
        case KEY_DEVICES: return whole32(state, "--devices", text, 1000000, &o->devices);
        case ARGP_KEY_END: error = parse_layer(key, text, state); return error != 0 ? error : check_end(state);
        default: return parse_layer(key, text, state);
    }
}

int cost_args(int argc, char **argv, tool_args *args) {
    static const struct argp_option options[] = {
        SHAPE_OPTIONS,
        {"weights", 'w', "NAME", 0, "format of the weights (default bf16):", 0},
        ARITHMETIC_OPTION,
        {"tokens", 't', "N", 0, "tokens of a measured forward (default 512)", 0},
        {"seconds", 's', "S", 0, "seconds of timed forwards (default 2)", 0},
        {"tokens-per-s", KEY_TOKENS_PER_S, "N", 0,
         "tokens a second of one layer on one device; without it, they are measured on this device", 0},
        {"layers", KEY_LAYERS, "N", 0, "layers with experts (default: the model's; 1 for a shape by numbers)", 0},
        {"devices", KEY_DEVICES, "N", 0, "devices that share the tokens (default 1)", 0},
        {"price-per-hour", KEY_PRICE, "P", 0, "of a device, in any currency (default 1)", 0},
        SEED_OPTION,
        {0}};
    static const struct argp argp = {
        options,
        parse,
        NULL,
        "What tokens cost: tokens a day, device-hours, days and price of 10^12 tokens, from the speed of one layer, "
        "given or measured here. Only the layers with experts are counted.\v"
        "Example: clmoe-bench cost --model olmoe --price-per-hour 0.08 --devices 16\n"
        "Example: clmoe-bench cost --model deepseek-v3 --tokens-per-s 250000 --price-per-hour 2.5 --devices 64",
        common_child,
        layer_help,
        NULL};
    *args = (tool_args){.seed = 1, .seconds = 2, .custom = model_by_numbers(), .tokens = {512}, .token_count = 1};
    args->cost = (cost_options){.devices = 1, .price_per_hour = 1};
    args->formats[0] = CLMOE_BF16;
    args->format_count = 1;
    return argp_parse(&argp, argc, argv, 0, NULL, args) != 0 ? 2 : 0;
}
