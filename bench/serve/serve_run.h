/* A service on a layer: threads that take batches from the queue (serve_queue.h) and run them, each with a command
 * queue, a workspace and buffers of its own. An input goes from host memory to the device and the answer back, as a
 * service's do: the time of both counts as computing.
 *
 * There are few different inputs, the payloads, and many requests. Each payload is run alone before the service
 * starts, and every answer is compared with that, bit by bit; the first payload's also with sums in double
 * precision. */
#ifndef CLMOE_BENCH_SERVE_RUN_H
#define CLMOE_BENCH_SERVE_RUN_H

#include "layer/device_layer.h"
#include "serve_queue.h"

#define SERVE_MAX_THREADS 64

typedef struct serve_payloads {
    uint32_t count;
    uint32_t *tokens;   /* [count] */
    size_t *first;      /* [count]: the payload's first row in x and answers */
    float *x, *answers; /* [rows, H] */
} serve_payloads;

typedef struct serve_service {
    session *s;
    const host_layer *host;
    device_layer *device; /* one copy */
    uint32_t arithmetic;  /* clmoe_arithmetic, as chosen */
    serve_payloads payloads;
} serve_service;

/* Draws payloads of low..high tokens, at most `requests` of them and about 256 MiB, and runs each alone; session, host
 * and device are set. 0, or 1 after a complaint; to be closed in both cases. */
int serve_service_open(serve_service *service, uint32_t low, uint32_t high, size_t requests, uint64_t seed);
void serve_service_close(serve_service *service);

typedef struct serve_times {
    double wall_s;    /* from the first arrival to the last answer */
    double compare_s; /* of the threads, spent on comparing answers; it belongs to no request */
    size_t wrong;     /* answers that differ from those of the request alone */
    size_t errors;    /* batches that the library failed to run; the first has been complained of */
} serve_times;

/* Serves all of the queue's requests. 0, or 1 after a complaint about the service itself. */
int serve_service_run(serve_service *service, serve_queue *queue, uint32_t threads, serve_times *times);

#endif
