/* A scenario that is run again and again, a different OpenCL call failing each time (fault_cl.h). Each step that fails
 * is tried again, the fault being over, and must then succeed; at the end of every run no OpenCL object may be
 * alive. */
#ifndef CLMOE_TESTS_FAULT_TRIAL_H
#define CLMOE_TESTS_FAULT_TRIAL_H

#include "fault_cl.h"
#include "support.h"

extern clmoe_error fault_error;

/* Whether it failed: allowed once a run, only if the planned fault came, and it has to say something in fault_error. */
int fault_failed(clmoe_status status);

/* Runs a step that writes to fault_error, and once more where it failed. */
#define STEP(call)                                        \
    do {                                                  \
        fault_error.struct_size = sizeof fault_error;     \
        if (fault_failed(call)) (void)fault_failed(call); \
    } while (0)

/* First, second, third and last call of every entry point fail; then all calls in turn, in strides from a random start,
 * until `seconds` have passed (CLMOE_TEST_SECONDS in their place, if it is set). The first run, without a fault, builds
 * what there is to build. */
void fault_trial(void (*scenario)(void), double seconds, test_random *random);

/* A teardown: which call had failed when a test ended early. */
int fault_say_which(void **state);

#endif
