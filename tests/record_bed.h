/* What the tests of recordings share: a device, a layer with shared experts, and replays that overlap. */
#ifndef CLMOE_TESTS_RECORD_BED_H
#define CLMOE_TESTS_RECORD_BED_H

#include "layer_case.h"

enum { H = 40, T = 37, K = 3 };

typedef struct record_bed {
    test_device device;
    layer_case *of; /* with shared experts */
    int has_extension;
} record_bed;

extern record_bed record;

/* For a group of tests. */
int record_open(void **state);
int record_close(void **state);

#define NEEDS_EXTENSION()                  \
    do {                                   \
        (void)state;                       \
        if (!record.has_extension) skip(); \
    } while (0)

/* Waits for it. */
void record_write(const test_buffer *to, cl_command_queue queue, const void *from);
cl_command_queue record_queue(cl_command_queue_properties properties);
/* out += result, several times in a queue before anyone waits. */
void record_in_flight(layer_case *of, cl_command_queue queue, int rounds);

#endif
