/* See fault_trial.h. */
#include "fault_trial.h"

#include <stdio.h>
#include <time.h>

clmoe_error fault_error;
static int failures;     /* of this run */
static char current[96]; /* the call that fails in it */

int fault_failed(clmoe_status status) {
    if (status == CLMOE_OK) return 0;
    if (!fault_happened()) fail_msg("%s without a fault: %s", clmoe_status_name(status), fault_error.message);
    if (++failures > 1) {
        fail_msg("a second failure after one fault: %s %s", clmoe_status_name(status), fault_error.message);
    }
    assert_int_equal(fault_error.status, status);
    assert_true(fault_error.message[0] != 0);
    return 1;
}

int fault_say_which(void **state) {
    (void)state;
    if (current[0] != 0) print_message("the call made to fail: %s\n", current);
    return 0;
}

static void run(void (*scenario)(void), fault_entry entry, unsigned nth) {
    failures = 0;
    fault_reset();
    fault_plan(entry, nth);
    scenario();
    const fault_live alive = fault_alive();
    if (alive.devices || alive.contexts || alive.queues || alive.mems || alive.programs || alive.kernels ||
        alive.events || alive.command_buffers) {
        fail_msg("alive are %d devices, %d contexts, %d queues, %d buffers, %d programs, %d kernels, %d events, %d "
                 "command buffers",
                 alive.devices, alive.contexts, alive.queues, alive.mems, alive.programs, alive.kernels, alive.events,
                 alive.command_buffers);
    }
}

static void run_faulty(void (*scenario)(void), fault_entry entry, unsigned nth) {
    (void)snprintf(current, sizeof current, "call %u of %s", nth, fault_name(entry));
    if (getenv("CLMOE_TEST_VERBOSE") != NULL) print_message("%s\n", current);
    run(scenario, entry, nth);
    /* Reuse of memory follows the device's pace: the very last calls may not come every time. */
    if (!fault_happened() && nth == 1) fail_msg("it did not come");
    current[0] = 0;
}

void fault_trial(void (*scenario)(void), double seconds, test_random *random) {
    const char *text = getenv("CLMOE_TEST_SECONDS");
    if (text != NULL && *text != 0) seconds = strtod(text, NULL);
    run(scenario, FAULT_ENTRIES, 0); /* builds every kernel */
    const time_t since = time(NULL);
    run(scenario, FAULT_ENTRIES, 0);
    unsigned calls[FAULT_ENTRIES], all = fault_calls(FAULT_ENTRIES), runs = 0;
    for (int e = 0; e < FAULT_ENTRIES; e++) calls[e] = fault_calls((fault_entry)e);
    for (int e = 0; e < FAULT_ENTRIES; e++) {
        for (unsigned n = 1; n <= calls[e]; n = n < 3 || n == calls[e] ? n + 1 : calls[e], runs++) {
            run_faulty(scenario, (fault_entry)e, n);
        }
    }
    const unsigned stride = 101, start = test_random_below(random, stride);
    unsigned in_turn = 0;
    for (unsigned n = start, lap = 0; lap < stride && difftime(time(NULL), since) < seconds;) {
        if (n >= all) {
            n = (start + ++lap) % stride;
            continue;
        }
        run_faulty(scenario, FAULT_ENTRIES, n + 1);
        in_turn++;
        n += stride;
    }
    print_message("%u calls a run, %u of them made to fail, and %u more of the entries' first and last\n", all, in_turn,
                  runs);
}
