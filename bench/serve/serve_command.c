/* `clmoe-bench serve`: a service on one layer, simulated: requests arrive, are batched, and are run by several
 * threads; the same requests one by one before that, for comparison. See serve_queue.h for the rules, latency.h for
 * the statistics. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common/args_parts.h"
#include "common/tool.h"
#include "common/weight_formats.h"
#include "progress.h"
#include "serve_report.h"

#define MAX_REQUESTS     1000000
#define MAX_BATCH_TOKENS (1u << 20)
#define MAX_SERVE_MS     3600000

enum {
    KEY_CONCURRENCY = KEY_OWN,
    KEY_RATE,
    KEY_REQUESTS,
    KEY_BATCH,
    KEY_WAIT,
    KEY_THREADS,
    KEY_TIMEOUT,
    KEY_LATENCY,
    KEY_THROUGHPUT
};

/* ------------------------------------------------------------------------------------------------- running */

/* Tokens and payloads of the requests, the same for both ways of serving them. */
static void draw_requests(const serve_service *service, uint64_t seed, serve_request *requests, size_t count) {
    random_state random = {seed + 29};
    for (size_t i = 0; i < count; i++) {
        const uint32_t payload = (uint32_t)(random_next(&random) % service->payloads.count);
        requests[i] = (serve_request){.payload = payload, .tokens = service->payloads.tokens[payload]};
    }
}

static int serve_one_way(serve_service *service, const tool_args *args, const serve_rules *rules, uint32_t threads,
                         serve_result *result) {
    const size_t count = args->serve.requests;
    serve_request *requests = malloc(count * sizeof *requests);
    serve_queue queue;
    serve_times times;
    if (requests == NULL) return complain("out of host memory for the requests");
    draw_requests(service, args->seed, requests, count);
    serve_queue_start(&queue, rules, requests, count, args->seed + 41);
    const int failed = serve_service_run(service, &queue, threads, &times) ||
                       serve_summarise(&queue, &times, args->serve.target_latency_ms, result);
    free(requests);
    return failed;
}

static int serve_both(serve_service *service, const tool_args *args, serve_result results[2]) {
    const serve_options *o = &args->serve;
    const serve_rules one = {.clients = 1, .max_batch_tokens = o->high_tokens};
    const serve_rules asked = {.clients = o->clients,
                               .rate = o->rate,
                               .max_batch_tokens = o->max_batch_tokens,
                               .max_wait_s = 1e-3 * o->max_wait_ms,
                               .timeout_s = 1e-3 * o->timeout_ms};
    results[0].mode = "sequential";
    results[1].mode = "concurrent";
    if (serve_one_way(service, args, &one, 1, &results[0])) return 1;
    return serve_one_way(service, args, &asked, o->threads, &results[1]);
}

/* Reports, and tells whether everything is as it should be: 0 or 1. */
static int finish(const tool_args *args, const serve_service *service, const serve_result results[2]) {
    int failed = 0;
    serve_print(args, service, results);
    if (args->json != NULL) failed = serve_write_json(args, service, results);
    for (int i = 0; i < 2; i++) {
        if (results[i].times.wrong != 0)
            failed = complain("%s: %zu answers differ from those of the same requests alone", results[i].mode,
                              results[i].times.wrong);
        failed |= results[i].times.errors != 0;
    }
    return failed || serve_latency_goal(&args->serve, &results[1]) == GOAL_MISSED ||
           serve_throughput_goal(&args->serve, &results[1]) == GOAL_MISSED;
}

int serve_command(const tool_args *args) {
    const model *m = args->models[0];
    const uint32_t format = args->formats[0], lengths[] = {m->hidden_size, m->intermediate_size, m->shared_size};
    session s;
    host_layer host;
    device_layer device = {.copies = 0};
    serve_result results[2] = {{0}};
    char why[160];
    progress_start(args->quiet);
    if (!weight_format_allows(format, args->arithmetic, lengths, COUNT_OF(lengths), why, sizeof why))
        return complain("%s %s: %s", m->name, format_name(format), why);
    const int refused = session_open(args->device, &s);
    if (refused) return refused;
    progress("making the layer");
    serve_service service = {.s = &s, .host = &host, .device = &device};
    int failed = host_layer_make(m, format, args->seed, &host) ||
                 device_layer_add(&s, &host, args->arithmetic, &device) ||
                 serve_service_open(&service, args->serve.low_tokens, args->serve.high_tokens, args->serve.requests,
                                    args->seed) ||
                 serve_both(&service, args, results) || finish(args, &service, results);
    for (int i = 0; i < 2; i++) free(results[i].samples_ms);
    serve_service_close(&service);
    device_layer_free(&device);
    host_layer_free(&host);
    session_close(&s);
    return failed;
}

/* ------------------------------------------------------------------------------------------- command line */

/* "16" or "1-64". */
static error_t parse_tokens(struct argp_state *state, char *text, serve_options *o) {
    char *dash = strchr(text, '-');
    if (dash != NULL) *dash = '\0';
    error_t error = whole32(state, "--tokens", text, MAX_BATCH_TOKENS, &o->low_tokens);
    o->high_tokens = o->low_tokens;
    if (error == 0 && dash != NULL) error = whole32(state, "--tokens", dash + 1, MAX_BATCH_TOKENS, &o->high_tokens);
    if (error == 0 && o->high_tokens < o->low_tokens)
        return wrong(state, "--tokens is %u-%u, expected the smaller number first", o->low_tokens, o->high_tokens);
    return error;
}

static error_t check_end(struct argp_state *state) {
    tool_args *args = state->input;
    serve_options *o = &args->serve;
    if (args->model_count != 1) return wrong(state, "--model has %zu names, expected one", args->model_count);
    if (args->format_count != 1) return wrong(state, "--weights has %zu formats, expected one", args->format_count);
    if (o->clients != 0 && o->rate > 0) return wrong(state, "--concurrency and --rate exclude each other");
    if (o->clients == 0 && o->rate <= 0) o->clients = 8;
    if (o->high_tokens > o->max_batch_tokens)
        return wrong(state, "--tokens is %u, expected at most --max-batch-tokens, which is %u", o->high_tokens,
                     o->max_batch_tokens);
    return 0;
}

static error_t parse(int key, char *text, struct argp_state *state) {
    tool_args *args = state->input;
    serve_options *o = &args->serve;
    error_t error;
    switch (key) {
        case 't': return parse_tokens(state, text, o);
        case KEY_CONCURRENCY: return whole32(state, "--concurrency", text, MAX_REQUESTS, &o->clients);
        case KEY_RATE: return real(state, "--rate", text, 0.001, 1e6, &o->rate);
        case KEY_REQUESTS: return whole32(state, "--requests", text, MAX_REQUESTS, &o->requests);
        case KEY_BATCH: return whole32(state, "--max-batch-tokens", text, MAX_BATCH_TOKENS, &o->max_batch_tokens);
        case KEY_WAIT: return real(state, "--max-wait-ms", text, 0, MAX_SERVE_MS, &o->max_wait_ms);
        case KEY_THREADS: return whole32(state, "--threads", text, SERVE_MAX_THREADS, &o->threads);
        case KEY_TIMEOUT: return real(state, "--timeout-ms", text, 0.001, MAX_SERVE_MS, &o->timeout_ms);
        case KEY_LATENCY: return real(state, "--target-latency-ms", text, 0.001, MAX_SERVE_MS, &o->target_latency_ms);
        case KEY_THROUGHPUT: return real(state, "--target-throughput", text, 0.001, 1e12, &o->target_throughput);
        case ARGP_KEY_END: error = parse_layer(key, text, state); return error != 0 ? error : check_end(state);
        default: return parse_layer(key, text, state);
    }
}

int serve_args(int argc, char **argv, tool_args *args) {
    static const struct argp_option options[] = {
        SHAPE_OPTIONS,
        {"weights", 'w', "NAME", 0, "format of the weights (default bf16):", 0},
        ARITHMETIC_OPTION,
        {"concurrency", KEY_CONCURRENCY, "N", 0,
         "closed loop: so many clients, each waiting for its answer (default 8)", 0},
        {"rate", KEY_RATE, "R", 0, "open loop instead: R requests a second, at random times", 0},
        {"requests", KEY_REQUESTS, "N", 0, "requests in all (default 400)", 0},
        {"tokens", 't', "N|A-B", 0, "tokens of a request, N or evenly from A to B (default 16)", 0},
        {"max-batch-tokens", KEY_BATCH, "N", 0, "tokens of a batch at most (default 512)", 0},
        {"max-wait-ms", KEY_WAIT, "MS", 0, "how long a request waits for others to share its batch (default 2)", 0},
        {"threads", KEY_THREADS, "N", 0, "host threads, each with a queue and a workspace (default 2)", 0},
        {"timeout-ms", KEY_TIMEOUT, "MS", 0,
         "drop requests that have waited longer when their turn comes (default: none)", 0},
        {"target-latency-ms", KEY_LATENCY, "MS", 0,
         "95% of all requests are to be answered in this time; missed: exit status 1", 0},
        {"target-throughput", KEY_THROUGHPUT, "N", 0, "answered tokens a second to be reached; missed: exit status 1",
         0},
        SEED_OPTION,
        {0}};
    static const struct argp argp = {
        options,
        parse,
        NULL,
        "A service on one layer, simulated: requests arrive, are batched, and several threads run the batches. Latency "
        "counts from the scheduled arrival, whatever the service does; every answer is compared with that of the "
        "request alone. The same requests one by one are measured first.\v"
        "Example: clmoe-bench serve --model olmoe --rate 40 --tokens 1-64 --target-latency-ms 200 --json serve.json",
        common_child,
        layer_help,
        NULL};
    *args = (tool_args){.seed = 1, .custom = model_by_numbers()};
    args->serve = (serve_options){
        .requests = 400, .low_tokens = 16, .high_tokens = 16, .max_batch_tokens = 512, .threads = 2, .max_wait_ms = 2};
    args->formats[0] = CLMOE_BF16;
    args->format_count = 1;
    return argp_parse(&argp, argc, argv, 0, NULL, args) != 0 ? 2 : 0;
}
