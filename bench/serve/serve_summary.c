/* From requests to figures; see serve_report.h. Calls the C library only. */
#include <stdlib.h>

#include "common/tool.h"
#include "serve_report.h"

/* Milliseconds of every answered request, by one of its parts. */
static size_t collect(const serve_queue *q, int part, double *values) {
    size_t count = 0;
    for (size_t i = 0; i < q->count; i++) {
        const serve_request *r = &q->requests[i];
        if (r->state != SERVE_ANSWERED) continue;
        const double parts[] = {r->end - r->arrival, r->start - r->arrival, r->end - r->start};
        values[count++] = 1e3 * parts[part];
    }
    return count;
}

static void count_states(const serve_queue *q, double target_ms, serve_result *result) {
    uint64_t answered_tokens = 0, tokens = 0, run_tokens = 0;
    size_t in_time = 0;
    for (size_t i = 0; i < q->count; i++) {
        const serve_request *r = &q->requests[i];
        const unsigned is_answered = r->state == SERVE_ANSWERED;
        result->answered += is_answered;
        result->late += r->state == SERVE_LATE;
        answered_tokens += is_answered ? r->tokens : 0;
        tokens += r->tokens;
        run_tokens += r->state != SERVE_LATE && r->state != SERVE_WAITING ? r->tokens : 0;
        in_time += is_answered && 1e3 * (r->end - r->arrival) <= target_ms;
    }
    const double last = q->count != 0 ? q->requests[q->count - 1].arrival : 0;
    result->requests = q->count;
    result->failed = q->count - result->answered - result->late;
    result->batches = q->batches;
    result->in_time = q->count != 0 ? (double)in_time / (double)q->count : 0;
    if (result->times.wall_s > 0) result->tokens_per_s = (double)answered_tokens / result->times.wall_s;
    if (q->rules.clients == 0 && last > 0) result->offered_tokens_per_s = (double)tokens / last;
    if (q->batches != 0) result->batch_tokens = (double)run_tokens / (double)q->batches;
}

int serve_summarise(const serve_queue *q, const serve_times *times, double target_ms, serve_result *result) {
    double *values = malloc((q->count + 1) * sizeof *values);
    result->samples_ms = malloc((q->count + 1) * sizeof *values);
    if (values == NULL || result->samples_ms == NULL) {
        free(values);
        return complain("out of host memory for the latencies");
    }
    result->times = *times;
    count_states(q, target_ms, result);
    latency_stats *const stats[] = {&result->latency, &result->queue, &result->compute};
    collect(q, 0, result->samples_ms);
    for (int part = 0; part < 3; part++) latency_statistics(values, collect(q, part, values), stats[part]);
    free(values);
    return 0;
}

serve_goal serve_latency_goal(const serve_options *options, const serve_result *result) {
    if (options->target_latency_ms <= 0) return GOAL_NONE;
    return result->in_time >= 0.95 ? GOAL_MET : GOAL_MISSED;
}

serve_goal serve_throughput_goal(const serve_options *options, const serve_result *result) {
    if (options->target_throughput <= 0) return GOAL_NONE;
    return result->tokens_per_s >= options->target_throughput ? GOAL_MET : GOAL_MISSED;
}
