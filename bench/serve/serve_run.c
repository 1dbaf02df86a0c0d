/* The threads of a service; see serve_run.h. Calls the library, OpenCL and POSIX threads. */
#define _POSIX_C_SOURCE 200809L
#include "serve_run.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/tool.h"
#include "progress.h"

/* What the threads share. The mutex guards the queue and the sums. */
typedef struct hall {
    serve_service *service;
    serve_queue *queue;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* by a finished batch */
    double epoch;           /* now_seconds() at time 0 of the queue */
    serve_times times;
    double last_end, shown;
} hall;

typedef struct worker {
    hall *hall;
    pthread_t thread;
    cl_command_queue queue;
    clmoe_workspace *workspace;
    cl_mem x, out;
    float *answers; /* [max_batch_tokens, H] */
} worker;

/* ------------------------------------------------------------------------------------------------- a batch */

static int run_forward(worker *w, uint32_t tokens) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_io io;
    clmoe_io_default(&io, sizeof io);
    io.tokens = tokens;
    io.x = clmoe_cl_mem(w->x, 0);
    io.out = clmoe_cl_mem(w->out, 0);
    if (clmoe_forward(w->hall->service->device->layers[0], w->workspace, w->queue, &io, 0, NULL, NULL, &error) !=
        CLMOE_OK)
        return complain_clmoe("clmoe_forward", &error);
    return 0;
}

/* Inputs to the device, the layer, the answers back. */
static int compute(worker *w, const serve_batch *batch) {
    const serve_payloads *p = &w->hall->service->payloads;
    const size_t row = w->hall->service->host->shape->hidden_size * sizeof(float);
    size_t at = 0;
    cl_int code = CL_SUCCESS;
    for (size_t i = batch->first; i < batch->first + batch->count && code == CL_SUCCESS; i++) {
        const uint32_t payload = w->hall->queue->requests[i].payload;
        const size_t bytes = p->tokens[payload] * row;
        code = clEnqueueWriteBuffer(w->queue, w->x, CL_FALSE, at, bytes, (const char *)p->x + p->first[payload] * row,
                                    0, NULL, NULL);
        at += bytes;
    }
    if (code != CL_SUCCESS) return complain_cl("clEnqueueWriteBuffer", code);
    if (run_forward(w, batch->tokens)) return 1;
    code = clEnqueueReadBuffer(w->queue, w->out, CL_TRUE, 0, at, w->answers, 0, NULL, NULL);
    return code != CL_SUCCESS ? complain_cl("clEnqueueReadBuffer", code) : 0;
}

/* Marks requests whose answer is another than alone, and returns how many. Only this thread touches the batch's
 * requests. */
static size_t compare(worker *w, const serve_batch *batch) {
    const serve_payloads *p = &w->hall->service->payloads;
    const size_t hidden = w->hall->service->host->shape->hidden_size;
    const float *answer = w->answers;
    size_t wrong = 0;
    for (size_t i = batch->first; i < batch->first + batch->count; i++) {
        serve_request *request = &w->hall->queue->requests[i];
        const size_t values = p->tokens[request->payload] * hidden;
        if (memcmp(answer, p->answers + p->first[request->payload] * hidden, values * sizeof *answer) != 0) {
            request->state = SERVE_FAILED;
            wrong++;
        }
        answer += values;
    }
    return wrong;
}

static void mark_failed(worker *w, const serve_batch *batch) {
    for (size_t i = batch->first; i < batch->first + batch->count; i++)
        w->hall->queue->requests[i].state = SERVE_FAILED;
}

/* ------------------------------------------------------------------------------------------------- threads */

static void wait_until(hall *h, double until) {
    if (isinf(until)) {
        pthread_cond_wait(&h->changed, &h->mutex);
        return;
    }
    const double time = h->epoch + until;
    const struct timespec deadline = {(time_t)time, (long)((time - floor(time)) * 1e9)};
    pthread_cond_timedwait(&h->changed, &h->mutex, &deadline);
}

static void show(hall *h, double now) {
    if (now - h->shown < 0.2) return;
    h->shown = now;
    progress("request %zu of %zu", h->queue->next, h->queue->count);
}

/* With the mutex locked, which is open while the batch runs. A request ends when its answer is there; comparing that
 * comes after, in time that is the thread's, and no request's. */
static void serve(worker *w, const serve_batch *batch) {
    hall *h = w->hall;
    size_t wrong = 0;
    pthread_mutex_unlock(&h->mutex);
    const int failed = compute(w, batch);
    pthread_mutex_lock(&h->mutex);
    const double end = now_seconds() - h->epoch;
    serve_queue_done(h->queue, end, batch);
    h->last_end = end;
    h->times.errors += failed != 0;
    show(h, end);
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->mutex);
    if (failed)
        mark_failed(w, batch);
    else
        wrong = compare(w, batch);
    const double compared = now_seconds() - h->epoch - end;
    pthread_mutex_lock(&h->mutex);
    h->times.wrong += wrong;
    h->times.compare_s += compared;
}

static void *work(void *argument) {
    worker *w = argument;
    hall *h = w->hall;
    pthread_mutex_lock(&h->mutex);
    for (;;) {
        serve_batch batch;
        double until;
        const serve_verdict verdict = serve_queue_take(h->queue, now_seconds() - h->epoch, &batch, &until);
        if (verdict == SERVE_OVER || h->times.errors != 0) break;
        if (verdict == SERVE_TAKE)
            serve(w, &batch);
        else
            wait_until(h, until);
    }
    pthread_mutex_unlock(&h->mutex);
    pthread_cond_broadcast(&h->changed);
    return NULL;
}

/* ------------------------------------------------------------------------------------------------ opening */

/* Buffers for the largest batch, and one forward of it, so that the workspace has grown before the first request. */
static int worker_open(worker *w) {
    const serve_service *service = w->hall->service;
    const uint32_t tokens = w->hall->queue->rules.max_batch_tokens;
    const size_t bytes = (size_t)tokens * service->host->shape->hidden_size * sizeof(float);
    clmoe_error error = {.struct_size = sizeof error};
    const float zero = 0;
    cl_int code;
    w->queue = clCreateCommandQueue(service->s->cl, service->s->device, 0, &code);
    if (code == CL_SUCCESS) w->x = clCreateBuffer(service->s->cl, CL_MEM_READ_WRITE, bytes, NULL, &code);
    if (code == CL_SUCCESS) w->out = clCreateBuffer(service->s->cl, CL_MEM_READ_WRITE, bytes, NULL, &code);
    if (code == CL_SUCCESS) code = clEnqueueFillBuffer(w->queue, w->x, &zero, sizeof zero, 0, bytes, 0, NULL, NULL);
    if (code != CL_SUCCESS) return complain_cl("opening a queue", code);
    w->answers = malloc(bytes);
    if (w->answers == NULL) return complain("out of host memory for a batch");
    if (clmoe_workspace_create(service->s->context, w->queue, NULL, &w->workspace, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_workspace_create", &error);
    if (run_forward(w, tokens)) return 1;
    code = clFinish(w->queue);
    return code != CL_SUCCESS ? complain_cl("clFinish", code) : 0;
}

static void worker_close(worker *w) {
    if (w->queue != NULL) clFinish(w->queue);
    clmoe_workspace_destroy(w->workspace);
    if (w->x != NULL) clReleaseMemObject(w->x);
    if (w->out != NULL) clReleaseMemObject(w->out);
    if (w->queue != NULL) clReleaseCommandQueue(w->queue);
    free(w->answers);
}

static int run_threads(hall *h, worker *workers, uint32_t count) {
    uint32_t started = 0;
    h->epoch = now_seconds();
    while (started < count && pthread_create(&workers[started].thread, NULL, work, &workers[started]) == 0) started++;
    for (uint32_t i = 0; i < started; i++) pthread_join(workers[i].thread, NULL);
    progress_clear();
    return started < count ? complain("only %u of %u threads could be started", started, count) : 0;
}

static int hall_open(hall *h) {
    pthread_condattr_t attributes;
    if (pthread_mutex_init(&h->mutex, NULL) != 0 || pthread_condattr_init(&attributes) != 0) return 1;
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* the clock of now_seconds() */
    return pthread_cond_init(&h->changed, &attributes) != 0;
}

int serve_service_run(serve_service *service, serve_queue *queue, uint32_t threads, serve_times *times) {
    hall h = {.service = service, .queue = queue};
    worker workers[SERVE_MAX_THREADS] = {{0}};
    int failed = 0;
    if (hall_open(&h)) return complain("no mutex can be had");
    for (uint32_t i = 0; i < threads && !failed; i++) {
        workers[i].hall = &h;
        failed = worker_open(&workers[i]);
    }
    failed = failed || run_threads(&h, workers, threads);
    for (uint32_t i = 0; i < threads; i++) worker_close(&workers[i]);
    pthread_cond_destroy(&h.changed);
    pthread_mutex_destroy(&h.mutex);
    h.times.wall_s = h.last_end - (queue->count != 0 ? queue->requests[0].arrival : 0);
    *times = h.times;
    return failed;
}
