/* Threads whose first OpenCL calls coincide: each gets its context, though a driver may answer the later one while it
 * is still starting up for the earlier one. A program of its own, because a process starts a driver once. */
#include "support.h"

#include <pthread.h>

enum { THREADS = 4 };

typedef struct opener {
    pthread_t thread;
    pthread_barrier_t *start;
    clmoe_status status;
    clmoe_error error;
} opener;

static void *open_context(void *argument) {
    opener *o = argument;
    clmoe_context *context = NULL;
    (void)pthread_barrier_wait(o->start);
    o->status = clmoe_context_create(NULL, &context, &o->error);
    clmoe_context_destroy(context);
    return NULL;
}

static void first_contexts_at_once(void **state) {
    (void)state;
    pthread_barrier_t start;
    static opener openers[THREADS];
    assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++) {
        openers[i].start = &start;
        openers[i].error.struct_size = sizeof openers[i].error;
        assert_int_equal(pthread_create(&openers[i].thread, NULL, open_context, &openers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(openers[i].thread, NULL), 0);
    for (int i = 0; i < THREADS; i++) test_ok(openers[i].status, &openers[i].error);
    (void)pthread_barrier_destroy(&start);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(first_contexts_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
