/* What `clmoe-bench serve` prints and writes; see serve_report.h. Calls Jansson. */
#include "serve_report.h"

#include <math.h>
#include <stdio.h>

#include "common/tool.h"
#include "common/weight_formats.h"
#include "device/json_report.h"

static const char *const goal_words[] = {"", "met", "missed"};

/* ----------------------------------------------------------------------------------------------- terminal */

static void print_estimate(const char *name, const estimate *e) {
    char low[16] = "?", high[16] = "?";
    if (!isnan(e->low)) snprintf(low, sizeof low, "%.2f", e->low);
    if (!isnan(e->high)) snprintf(high, sizeof high, "%.2f", e->high);
    printf("  %-7s %9.2f  [%s, %s]\n", name, e->value, low, high);
}

static void print_result(const serve_result *r) {
    printf("%s: %zu requests, %zu answered, %zu late, %zu failed: success rate %.2f%%; %zu batches of %.1f tokens\n",
           r->mode, r->requests, r->answered, r->late, r->failed,
           r->requests != 0 ? 100 * (double)r->answered / (double)r->requests : 0, r->batches, r->batch_tokens);
    if (r->answered == 0) return;
    printf("  latency        ms  [95%% interval, from %.0f independent values; ?: too few for this end]\n",
           r->latency.effective);
    print_estimate("mean", &r->latency.mean);
    print_estimate("median", &r->latency.median);
    print_estimate("p95", &r->latency.p95);
    print_estimate("p99", &r->latency.p99);
    printf("  largest %9.2f\n", r->latency.largest);
    printf("  of the mean, %.2f ms in the queue and %.2f ms being computed\n", r->queue.mean.value,
           r->compute.mean.value);
    printf("  throughput %.0f tokens/s", r->tokens_per_s);
    if (r->offered_tokens_per_s > 0) printf(", %.0f offered", r->offered_tokens_per_s);
    printf("\n");
    if (r->offered_tokens_per_s > 1.05 * r->tokens_per_s)
        printf("  requests come faster than they are served: latencies grow as long as that lasts\n");
    if (r->times.wrong != 0) printf("  %zu answers differ from those of the same requests alone\n", r->times.wrong);
}

static void print_goals(const serve_options *o, const serve_result *r) {
    const serve_goal latency = serve_latency_goal(o, r), throughput = serve_throughput_goal(o, r);
    if (latency != GOAL_NONE)
        printf("target latency %.2f ms: %s (%.2f%% of the requests were answered in it, 95%% are wanted)\n",
               o->target_latency_ms, goal_words[latency], 100 * r->in_time);
    if (throughput != GOAL_NONE)
        printf("target throughput %.0f tokens/s: %s (%.0f)\n", o->target_throughput, goal_words[throughput],
               r->tokens_per_s);
}

static void print_question(const tool_args *args, const serve_service *service) {
    const serve_options *o = &args->serve;
    printf("%s, %s weights, %s arithmetic, on %s\n", service->host->shape->name, format_name(service->host->format),
           arithmetic_name(service->arithmetic), service->s->name);
    if (o->clients != 0)
        printf("closed loop of %u clients", o->clients);
    else
        printf("open loop, %g requests/s", o->rate);
    if (o->low_tokens != o->high_tokens) printf(", %u to %u tokens each", o->low_tokens, o->high_tokens);
    if (o->low_tokens == o->high_tokens) printf(", %u token%s each", o->low_tokens, o->low_tokens == 1 ? "" : "s");
    printf("; batches up to %u tokens, waiting up to %g ms; %u thread%s\n", o->max_batch_tokens, o->max_wait_ms,
           o->threads, o->threads == 1 ? "" : "s");
}

void serve_print(const tool_args *args, const serve_service *service, const serve_result results[2]) {
    print_question(args, service);
    for (int i = 0; i < 2; i++) print_result(&results[i]);
    if (args->serve.clients != 0 && results[0].tokens_per_s > 0)
        printf("concurrent throughput is %.2f times the sequential\n",
               results[1].tokens_per_s / results[0].tokens_per_s);
    print_goals(&args->serve, &results[1]);
    fflush(stdout);
}

/* --------------------------------------------------------------------------------------------------- JSON */

static void add_end(json_t *array, double value) {
    json_array_append_new(array, isnan(value) ? json_null() : json_real(value));
}

static void add_estimate(json_t *object, const char *name, const char *interval_name, const estimate *e) {
    put_number(object, name, e->value);
    json_t *interval = put_list(object, interval_name);
    add_end(interval, e->low);
    add_end(interval, e->high);
}

static void add_stats(json_t *root, const char *name, const latency_stats *stats) {
    json_t *object = put_object(root, name);
    add_estimate(object, "mean", "mean_interval", &stats->mean);
    add_estimate(object, "median", "median_interval", &stats->median);
    add_estimate(object, "p95", "p95_interval", &stats->p95);
    add_estimate(object, "p99", "p99_interval", &stats->p99);
    put_number(object, "largest", stats->largest);
    put_number(object, "independent_values", stats->effective);
}

static void add_result(json_t *object, const serve_result *r) {
    add_stats(object, "latency_ms", &r->latency);
    add_stats(object, "queue_ms", &r->queue);
    add_stats(object, "compute_ms", &r->compute);
    put_number(object, "throughput_tokens_per_s", r->tokens_per_s);
    put_number_or_null(object, "offered_tokens_per_s", r->offered_tokens_per_s);
    put_number(object, "success_rate", r->requests != 0 ? (double)r->answered / (double)r->requests : 0);
    put_count(object, "requests", r->requests);
    put_count(object, "answered", r->answered);
    put_count(object, "late", r->late);
    put_count(object, "failed", r->failed);
    put_count(object, "wrong_answers", r->times.wrong);
    put_count(object, "batches", r->batches);
    put_number(object, "mean_batch_tokens", r->batch_tokens);
    put_number(object, "wall_s", r->times.wall_s);
    put_number(object, "compare_s", r->times.compare_s);
}

static void add_service(json_t *root, const tool_args *args) {
    const serve_options *o = &args->serve;
    json_t *object = put_object(root, "service");
    put_text(object, "loop", o->clients != 0 ? "closed" : "open");
    if (o->clients != 0) put_count(object, "concurrency", o->clients);
    if (o->clients == 0) put_number(object, "rate", o->rate);
    put_count(object, "least_tokens", o->low_tokens);
    put_count(object, "most_tokens", o->high_tokens);
    put_count(object, "max_batch_tokens", o->max_batch_tokens);
    put_number(object, "max_wait_ms", o->max_wait_ms);
    put_number_or_null(object, "timeout_ms", o->timeout_ms);
    put_count(object, "threads", o->threads);
    put_count(object, "seed", args->seed);
}

static void add_goal(json_t *targets, const char *name, double value, serve_goal goal) {
    if (goal == GOAL_NONE) return;
    json_t *object = put_object(targets, name);
    put_number(object, "target", value);
    put_bool(object, "met", goal == GOAL_MET);
}

static void add_goals(json_t *root, const serve_options *o, const serve_result *r) {
    json_t *targets = put_object(root, "targets");
    add_goal(targets, "latency_ms", o->target_latency_ms, serve_latency_goal(o, r));
    add_goal(targets, "throughput_tokens_per_s", o->target_throughput, serve_throughput_goal(o, r));
}

static void add_row(json_t *rows, const serve_service *service, const serve_result *r) {
    json_t *object = put_layer_row(rows, service->host->shape, service->host->format);
    put_text(object, "arithmetic", arithmetic_name(service->arithmetic));
    put_text(object, "mode", r->mode);
    put_number(object, "median_ms", r->latency.median.value);
    put_number(object, "p95_ms", r->latency.p95.value);
    put_number(object, "p99_ms", r->latency.p99.value);
    put_numbers(object, "samples_ms", r->samples_ms, r->latency.count);
    put_number(object, "tokens_per_s", r->tokens_per_s);
}

int serve_write_json(const tool_args *args, const serve_service *service, const serve_result results[2]) {
    json_t *root = json_report_start("serve", service->s, NULL);
    add_service(root, args);
    add_result(root, &results[1]);
    add_result(put_object(root, "sequential"), &results[0]);
    add_goals(root, &args->serve, &results[1]);
    json_t *rows = put_list(root, "rows");
    for (int i = 0; i < 2; i++) add_row(rows, service, &results[i]);
    put_text(
        json_object_get(root, "environment"), "method",
        "a latency runs from the scheduled arrival to the answer in host memory; figures at the top are of the service "
        "as asked for, under 'sequential' those of one client and one thread; latencies are of answered requests, "
        "dropped and failed ones are in success_rate and, as late for ever, in the latency target (95% of all "
        "requests); intervals are 95%: Student's t for means, order statistics for quantiles, both of as many "
        "independent values as the variance of 20 batch means leaves; null: so few values give no such end; every "
        "answer was compared bit by bit with that of the same request alone");
    return json_report_write(args->json, root);
}
