/* The queue of a simulated service; see serve_queue.h. Calls the C library only. */
#include "serve_queue.h"

#include <math.h>

#include "common/tool.h"

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Uniform in 0 .. 1, both excluded. */
static double uniform(random_state *random) { return ((double)(random_next(random) >> 12) + 0.5) * 0x1p-52; }

void serve_queue_start(serve_queue *q, const serve_rules *rules, serve_request *requests, size_t count, uint64_t seed) {
    random_state random = {seed};
    double time = 0;
    *q = (serve_queue){.rules = *rules, .requests = requests, .count = count};
    for (size_t i = 0; i < count; i++) {
        if (rules->clients == 0) time -= log(uniform(&random)) / rules->rate;
        requests[i].arrival = time;
        requests[i].state = SERVE_WAITING;
    }
    q->known = rules->clients == 0 ? count : smaller(rules->clients, count);
}

/* In a closed loop the client of an answered or dropped request sends its next. */
static void send_next(serve_queue *q, double now) {
    if (q->rules.clients == 0 || q->known == q->count) return;
    q->requests[q->known++].arrival = now;
}

static void drop_late(serve_queue *q, double now) {
    const double timeout = q->rules.timeout_s;
    while (timeout > 0 && q->next < q->known && now - q->requests[q->next].arrival > timeout) {
        serve_request *request = &q->requests[q->next++];
        request->state = SERVE_LATE;
        request->start = request->end = now;
        send_next(q, now);
    }
}

/* What could leave now. Returns whether it is as large as it can get. */
static int gather(const serve_queue *q, double now, serve_batch *batch) {
    const uint32_t most = q->rules.max_batch_tokens;
    *batch = (serve_batch){.first = q->next};
    for (size_t i = q->next; i < q->known && q->requests[i].arrival <= now; i++) {
        if (q->requests[i].tokens > most - batch->tokens) return 1;
        batch->tokens += q->requests[i].tokens;
        batch->count++;
    }
    return batch->tokens == most;
}

serve_verdict serve_queue_take(serve_queue *q, double now, serve_batch *batch, double *until) {
    drop_late(q, now);
    *until = INFINITY;
    if (q->next == q->count) return SERVE_OVER;
    if (q->next == q->known) return SERVE_LOOK_AGAIN;
    const double arrival = q->requests[q->next].arrival, leaves = arrival + q->rules.max_wait_s;
    *until = arrival;
    if (arrival > now) return SERVE_LOOK_AGAIN;
    const int is_full = gather(q, now, batch);
    if (!is_full && now < leaves) {
        const size_t after = batch->first + batch->count;
        *until = after < q->known ? fmin(leaves, q->requests[after].arrival) : leaves;
        return SERVE_LOOK_AGAIN;
    }
    for (size_t i = 0; i < batch->count; i++) {
        q->requests[q->next].start = now;
        q->requests[q->next++].state = SERVE_RUNNING;
    }
    q->batches++;
    return SERVE_TAKE;
}

void serve_queue_done(serve_queue *q, double now, const serve_batch *batch) {
    for (size_t i = batch->first; i < batch->first + batch->count; i++) {
        q->requests[i].end = now;
        if (q->requests[i].state == SERVE_RUNNING) q->requests[i].state = SERVE_ANSWERED;
        send_next(q, now);
    }
}
