/* The queue of a simulated service, without clocks and threads: who is told the time says what happens next.
 *
 *   open loop    requests come as a Poisson process, all of their times drawn before the service starts: a slow
 *                service delays no arrival
 *   closed loop  so many clients, each of which sends its next request at once when its last one is answered
 *
 * Requests stand in the order of their arrival and are served in it. A batch begins with the request that has waited
 * longest and takes those behind it while they fit; it leaves when the next does not fit, or when its first request
 * has waited long enough. The service does not know what is to come: it waits for the end of that time for the last
 * request as for any other.
 *
 *     latency = end - arrival = (start - arrival) in the queue + (end - start) being computed
 */
#ifndef CLMOE_BENCH_SERVE_QUEUE_H
#define CLMOE_BENCH_SERVE_QUEUE_H

#include <stddef.h>
#include <stdint.h>

typedef enum serve_state {
    SERVE_WAITING,
    SERVE_RUNNING,
    SERVE_ANSWERED,
    SERVE_LATE,  /* its time was up before its turn came: dropped */
    SERVE_FAILED /* the library failed, or the answer was not that of the request alone */
} serve_state;

typedef struct serve_request {
    double arrival, start, end; /* seconds from the start of the service */
    uint32_t tokens;
    uint32_t payload; /* which of the prepared inputs */
    serve_state state;
} serve_request;

typedef struct serve_rules {
    uint32_t clients; /* of a closed loop; 0: open */
    double rate;      /* requests a second of an open loop */
    uint32_t max_batch_tokens;
    double max_wait_s;
    double timeout_s; /* 0: none */
} serve_rules;

typedef struct serve_queue {
    serve_rules rules;
    serve_request *requests; /* [count], the caller's */
    size_t count;
    size_t known; /* the arrivals of so many are known */
    size_t next;  /* the first that waits */
    size_t batches;
} serve_queue;

/* Requests [first, first + count). */
typedef struct serve_batch {
    size_t first, count;
    uint32_t tokens;
} serve_batch;

typedef enum serve_verdict { SERVE_TAKE, SERVE_LOOK_AGAIN, SERVE_OVER } serve_verdict;

/* Every request has tokens (at most max_batch_tokens) and payload; the seed draws the arrivals. */
void serve_queue_start(serve_queue *queue, const serve_rules *rules, serve_request *requests, size_t count,
                       uint64_t seed);
/* At time `now`, which never goes back. SERVE_TAKE: *batch is the caller's to run. SERVE_LOOK_AGAIN: nothing changes
 * before *until, except by serve_queue_done; INFINITY: by that alone. SERVE_OVER: every request has been taken or
 * dropped. */
serve_verdict serve_queue_take(serve_queue *queue, double now, serve_batch *batch, double *until);
/* A batch is finished. Requests that failed have been marked so. */
void serve_queue_done(serve_queue *queue, double now, const serve_batch *batch);

#endif
