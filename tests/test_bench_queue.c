/* The accounting of the bench's simulated service, by a clock that the test turns: who waits, who leaves with whom,
 * what counts. */
#include <math.h>

#include "serve/serve_queue.h"
#include "serve/serve_report.h"
#include "support.h"

#define MOST 512
static serve_request requests[MOST];

static void tokens_of(size_t count, const uint32_t *tokens) {
    memset(requests, 0, sizeof requests);
    for (size_t i = 0; i < count; i++) requests[i].tokens = tokens != NULL ? tokens[i] : 1;
}

/* An open loop with arrivals of the test's own. */
static serve_queue at_times(const double *arrivals, const uint32_t *tokens, size_t count, serve_rules rules) {
    serve_queue q;
    rules.rate = 1;
    tokens_of(count, tokens);
    serve_queue_start(&q, &rules, requests, count, 1);
    for (size_t i = 0; i < count; i++) requests[i].arrival = arrivals[i];
    return q;
}

#define TAKES(queue, time, from, many)                                                  \
    do {                                                                                \
        assert_int_equal(serve_queue_take(&(queue), time, &batch, &until), SERVE_TAKE); \
        assert_int_equal(batch.first, from);                                            \
        assert_int_equal(batch.count, many);                                            \
    } while (0)
#define LOOKS_AGAIN(queue, time, then)                                                        \
    do {                                                                                      \
        assert_int_equal(serve_queue_take(&(queue), time, &batch, &until), SERVE_LOOK_AGAIN); \
        assert_true(until == (then));                                                         \
    } while (0)

static void batches_wait_for_company(void **state) {
    (void)state;
    static const double arrivals[] = {1, 1.5, 4, 9};
    serve_batch batch;
    double until;
    serve_queue q = at_times(arrivals, NULL, 4, (serve_rules){.max_batch_tokens = 8, .max_wait_s = 2});
    LOOKS_AGAIN(q, 0, 1);
    LOOKS_AGAIN(q, 1, 1.5);
    LOOKS_AGAIN(q, 1.5, 3);
    TAKES(q, 3, 0, 2);
    assert_int_equal(batch.tokens, 2);
    assert_true(requests[0].start == 3 && requests[1].state == SERVE_RUNNING);
    LOOKS_AGAIN(q, 3, 4);
    LOOKS_AGAIN(q, 4, 6);
    serve_queue_done(&q, 5, &(serve_batch){0, 2, 2});
    assert_true(requests[0].end == 5 && requests[1].end == 5 && requests[1].state == SERVE_ANSWERED);
    TAKES(q, 10, 2, 2); /* late: the second has come meanwhile */
    assert_int_equal(serve_queue_take(&q, 10, &batch, &until), SERVE_OVER);
    assert_int_equal(q.batches, 2);
}

static void batches_fill_up(void **state) {
    (void)state;
    static const double arrivals[] = {0, 0, 0, 0, 0, 0};
    static const uint32_t tokens[] = {3, 5, 4, 8, 1, 1};
    serve_batch batch;
    double until;
    serve_queue q = at_times(arrivals, tokens, 6, (serve_rules){.max_batch_tokens = 8, .max_wait_s = 100});
    TAKES(q, 0, 0, 2); /* exactly full */
    TAKES(q, 0, 2, 1); /* the next does not fit, and nobody overtakes it */
    TAKES(q, 0, 3, 1);
    LOOKS_AGAIN(q, 0, 100); /* not full: the service cannot know that no more will come */
    TAKES(q, 100, 4, 2);
}

/* A slow service delays no arrival of an open loop: latencies grow by what it is behind. */
static void slowness_counts(void **state) {
    (void)state;
    static const double arrivals[] = {0, 1, 2, 3};
    serve_batch batch;
    double until, now = 0;
    serve_queue q = at_times(arrivals, NULL, 4, (serve_rules){.max_batch_tokens = 1});
    for (size_t i = 0; i < 4; i++) {
        TAKES(q, now, i, 1);
        now += 10;
        serve_queue_done(&q, now, &batch);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_true(requests[i].arrival == (double)i);
        assert_true(requests[i].end - requests[i].arrival == 10 * (double)(i + 1) - (double)i);
        assert_true(requests[i].start - requests[i].arrival == 9 * (double)i);
    }
}

static void clients_take_turns(void **state) {
    (void)state;
    serve_queue q;
    serve_batch first, batch;
    double until;
    tokens_of(5, NULL);
    serve_queue_start(&q, &(serve_rules){.clients = 2, .max_batch_tokens = 1}, requests, 5, 1);
    assert_int_equal(serve_queue_take(&q, 0, &first, &until), SERVE_TAKE);
    TAKES(q, 0, 1, 1);
    LOOKS_AGAIN(q, 0, (double)INFINITY); /* both wait for their answers */
    serve_queue_done(&q, 3, &first);
    assert_true(requests[2].arrival == 3);
    TAKES(q, 3, 2, 1);
    serve_queue_done(&q, 4, &batch);
    serve_queue_done(&q, 5, &(serve_batch){1, 1, 1});
    TAKES(q, 5, 3, 1);
    TAKES(q, 5, 4, 1);
    assert_true(requests[3].arrival == 4 && requests[4].arrival == 5);
    assert_int_equal(serve_queue_take(&q, 5, &batch, &until), SERVE_OVER);
}

static void late_requests_are_dropped(void **state) {
    (void)state;
    static const double arrivals[] = {0, 1, 6};
    serve_batch batch;
    double until;
    serve_queue q = at_times(arrivals, NULL, 3, (serve_rules){.max_batch_tokens = 8, .timeout_s = 5});
    TAKES(q, 6, 1, 2); /* the first has waited 6, the second exactly 5 */
    assert_true(requests[0].state == SERVE_LATE && requests[0].end == 6);
    serve_queue_done(&q, 7, &batch);
    requests[2].state = SERVE_FAILED;
    serve_result result = {0};
    const serve_times times = {.wall_s = 7};
    assert_int_equal(serve_summarise(&q, &times, 5.5e3, &result), 0);
    assert_true(result.requests == 3 && result.answered == 1 && result.late == 1 && result.failed == 1);
    assert_true(result.latency.count == 1 && fabs(result.latency.mean.value - 6000) < 1e-6);
    assert_true(fabs(result.queue.mean.value - 5000) < 1e-6 && fabs(result.compute.mean.value - 1000) < 1e-6);
    assert_true(fabs(result.tokens_per_s - 1.0 / 7) < 1e-12 && result.batch_tokens == 2);
    assert_true(result.in_time == 0);
    free(result.samples_ms);
}

/* In a closed loop a dropped request's client goes on. */
static void dropped_clients_return(void **state) {
    (void)state;
    serve_queue q;
    serve_batch batch;
    double until;
    tokens_of(3, NULL);
    serve_queue_start(&q, &(serve_rules){.clients = 2, .max_batch_tokens = 1, .timeout_s = 1}, requests, 3, 1);
    TAKES(q, 0, 0, 1);
    TAKES(q, 2, 2, 1); /* number 1 is dropped, and its client sends number 2 at once */
    assert_true(requests[1].state == SERVE_LATE && requests[2].arrival == 2);
}

static void targets_count_every_request(void **state) {
    (void)state;
    const serve_options options = {.target_latency_ms = 10, .target_throughput = 100};
    serve_result result = {.in_time = 0.95, .tokens_per_s = 100};
    assert_int_equal(serve_latency_goal(&options, &result), GOAL_MET);
    assert_int_equal(serve_throughput_goal(&options, &result), GOAL_MET);
    result.in_time = 0.949;
    result.tokens_per_s = 99.9;
    assert_int_equal(serve_latency_goal(&options, &result), GOAL_MISSED);
    assert_int_equal(serve_throughput_goal(&options, &result), GOAL_MISSED);
    const serve_options none = {0};
    assert_int_equal(serve_latency_goal(&none, &result), GOAL_NONE);
    assert_int_equal(serve_throughput_goal(&none, &result), GOAL_NONE);
}

/* Poisson arrivals: mean and variance of the gaps as those of an exponential distribution, equal for equal seeds. */
static void arrivals_are_random(void **state) {
    (void)state;
    serve_queue q;
    double sum = 0, squares = 0;
    tokens_of(MOST, NULL);
    const serve_rules rules = {.rate = 50, .max_batch_tokens = 8};
    serve_queue_start(&q, &rules, requests, MOST, 7);
    const double last = requests[MOST - 1].arrival;
    for (size_t i = 0; i < MOST; i++) {
        const double gap = requests[i].arrival - (i > 0 ? requests[i - 1].arrival : 0);
        assert_true(gap > 0);
        sum += gap * 50;
        squares += gap * 50 * gap * 50;
    }
    assert_true(fabs(sum / MOST - 1) < 0.2);
    assert_true(fabs(squares / MOST - 2) < 0.8);
    serve_queue_start(&q, &rules, requests, MOST, 7);
    assert_true(requests[MOST - 1].arrival == last);
    serve_queue_start(&q, &rules, requests, MOST, 8);
    assert_true(requests[MOST - 1].arrival != last);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(batches_wait_for_company),
                                       cmocka_unit_test(batches_fill_up),
                                       cmocka_unit_test(slowness_counts),
                                       cmocka_unit_test(clients_take_turns),
                                       cmocka_unit_test(late_requests_are_dropped),
                                       cmocka_unit_test(dropped_clients_return),
                                       cmocka_unit_test(targets_count_every_request),
                                       cmocka_unit_test(arrivals_are_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
