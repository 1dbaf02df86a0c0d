/* Pinning POCL's threads; see pin_pocl.h. Calls Linux. */
#define _GNU_SOURCE
#include "pin_pocl.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum { PIN_NONE, PIN_BY_USER, PIN_OFF_BY_USER, PIN_SET, PIN_FORBIDDEN } pinned;

/* POCL runs one thread for each CPU of the system, at most POCL_MAX_PTHREAD_COUNT, and pins thread i to CPU i. */
static int cpu_set_allows(void) {
    cpu_set_t set;
    const char *limit = getenv("POCL_MAX_PTHREAD_COUNT");
    long threads = sysconf(_SC_NPROCESSORS_ONLN);
    if (limit != NULL && atol(limit) > 0 && atol(limit) < threads) threads = atol(limit);
    if (threads > CPU_SETSIZE || sched_getaffinity(0, sizeof set, &set) != 0) return 0;
    for (long i = 0; i < threads; i++) {
        if (!CPU_ISSET((size_t)i, &set)) return 0;
    }
    return 1;
}

void pin_pocl(void) {
    const char *value = getenv("POCL_AFFINITY");
    if (value != NULL) {
        pinned = strcmp(value, "1") == 0 ? PIN_BY_USER : PIN_OFF_BY_USER;
    } else if (cpu_set_allows()) {
        pinned = setenv("POCL_AFFINITY", "1", 1) == 0 ? PIN_SET : PIN_NONE;
    } else {
        pinned = PIN_FORBIDDEN;
    }
}

const char *pin_pocl_verdict(void) {
    switch (pinned) {
        case PIN_BY_USER: return "POCL_AFFINITY=1 is set: POCL's threads keep to one CPU each";
        case PIN_OFF_BY_USER:
            return "POCL_AFFINITY is set to something else than 1: POCL's threads may share a CPU for milliseconds, "
                   "and "
                   "short launches then take twice as long";
        case PIN_SET:
            return "POCL_AFFINITY is missing in the environment: this tool sets it to 1 for itself; programs should "
                   "set it "
                   "before their first OpenCL call, else half of the short launches take twice as long on POCL";
        case PIN_FORBIDDEN:
            return "POCL_AFFINITY is missing, and the CPU set of this process does not hold the CPUs that POCL would "
                   "pin "
                   "its threads to: short launches may take twice as long on POCL";
        default: return "POCL_AFFINITY is missing";
    }
}
