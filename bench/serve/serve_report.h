/* What `clmoe-bench serve` prints and writes. */
#ifndef CLMOE_BENCH_SERVE_REPORT_H
#define CLMOE_BENCH_SERVE_REPORT_H

#include "common/args.h"
#include "latency.h"
#include "serve_run.h"

/* Requests served one way. */
typedef struct serve_result {
    const char *mode;                      /* "sequential" or "concurrent" */
    double *samples_ms;                    /* [latency.count] latencies of answered requests, in the order of arrival */
    latency_stats latency, queue, compute; /* milliseconds, of answered requests */
    size_t requests, answered, late, failed, batches;
    double tokens_per_s;         /* of answered requests */
    double offered_tokens_per_s; /* by the arrivals of an open loop; 0 in a closed one */
    double batch_tokens;         /* mean */
    double in_time;              /* share of the requests that were answered within --target-latency-ms */
    serve_times times;
} serve_result;

typedef enum serve_goal { GOAL_NONE, GOAL_MET, GOAL_MISSED } serve_goal;
/* The 95th percentile, dropped and failed requests counting as late for ever; and answered tokens a second. */
serve_goal serve_latency_goal(const serve_options *options, const serve_result *result);
serve_goal serve_throughput_goal(const serve_options *options, const serve_result *result);

/* Takes stock of finished requests. 0, or 1 after a complaint; samples_ms is to be freed. */
int serve_summarise(const serve_queue *queue, const serve_times *times, double target_latency_ms, serve_result *result);

void serve_print(const tool_args *args, const serve_service *service, const serve_result results[2]);
int serve_write_json(const tool_args *args, const serve_service *service, const serve_result results[2]);

#endif
