/* What every test file shares: a context on the device under test, device buffers with guard bytes, random numbers,
 * storage formats, and the double-precision oracle (oracle.h). The device is the one CLMOE_DEVICE names. */
#ifndef CLMOE_TESTS_SUPPORT_H
#define CLMOE_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clmoe/clmoe.h>
#include <clmoe/clmoe_stages.h>

/* A context with its queue; fails the test with the error's message if there is none. desc may be NULL. Vectors wider
 * than the device's become the device's own. CLMOE_TEST_SUB_DEVICE=1: on half of the device's compute units. */
typedef struct test_device {
    clmoe_context *context;
    cl_context cl;
    cl_device_id id;
    cl_command_queue queue; /* in order */
    cl_device_id halves[2]; /* NULL where the device is whole */
} test_device;
test_device test_open(const clmoe_context_desc *desc);
void test_close(test_device *device);

/* Asserts success, printing the error's message and log otherwise. */
void test_ok(clmoe_status status, const clmoe_error *error);
#define OK(call) test_ok((call), &error)
/* Asserts that the call failed with this status and that message or argument contain the text. */
void test_fails(clmoe_status status, const clmoe_error *error, clmoe_status wanted, const char *contains);
#define FAILS(call, wanted, contains) test_fails((call), &error, (wanted), (contains))

/* One wrong thing at a time: `copy`, which the call reads, becomes `good` changed by the statements behind `name`, and
 * the answer must be INVALID_ARGUMENT about `name`. */
#define REFUSED(call, copy, good, name, ...)       \
    do {                                           \
        (copy) = (good);                           \
        __VA_ARGS__;                               \
        FAILS(call, CLMOE_INVALID_ARGUMENT, name); \
    } while (0)
/* What every stage's create function refuses. `object`, a variable, is NULL afterwards. */
#define REFUSED_CREATE(create, context, desc, object, name)                               \
    do {                                                                                  \
        memset(&(object), 1, sizeof(object));                                             \
        FAILS(create(NULL, desc, &(object), &error), CLMOE_INVALID_ARGUMENT, "context");  \
        assert_null(object);                                                              \
        FAILS(create(context, NULL, &(object), &error), CLMOE_INVALID_ARGUMENT, "desc");  \
        FAILS(create(context, desc, NULL, &error), CLMOE_INVALID_ARGUMENT, name);         \
        assert_int_equal(create(context, NULL, &(object), NULL), CLMOE_INVALID_ARGUMENT); \
    } while (0)
/* And every enqueue function. */
#define REFUSED_ENQUEUE(enqueue, object, queue, io, name)                                               \
    do {                                                                                                \
        FAILS(enqueue(NULL, NULL, queue, io, 0, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, name);     \
        FAILS(enqueue(object, NULL, NULL, io, 0, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "queue"); \
        FAILS(enqueue(object, NULL, queue, NULL, 0, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "io"); \
        FAILS(enqueue(object, NULL, queue, io, 2, NULL, NULL, &error), CLMOE_INVALID_ARGUMENT, "wait"); \
    } while (0)

/* Device memory with 64 guard bytes before and behind, filled with poison (0xCD...), placed at an offset so that only
 * element alignment holds. `at` is what the library gets. */
typedef struct test_buffer {
    cl_mem mem;
    clmoe_buffer at;
    size_t bytes;
    uint8_t *guard;
} test_buffer;
test_buffer test_buffer_new(test_device *device, size_t bytes, const void *from); /* from NULL: poison */
void test_buffer_read(test_device *device, const test_buffer *buffer, void *to);
void test_buffer_untouched(test_device *device, const test_buffer *buffer); /* asserts that it is poison still */
void test_buffer_free(test_device *device, test_buffer *buffer); /* asserts that the guards are intact */

/* Random numbers: xoshiro seeded by splitmix64. The seed of a process is fresh each run, printed once, and fixed by
 * CLMOE_TEST_SEED. */
typedef struct test_random {
    uint64_t s[4];
} test_random;
test_random test_random_new(uint64_t stream);
uint64_t test_random_u64(test_random *random);
uint32_t test_random_below(test_random *random, uint32_t bound);
double test_random_normal(test_random *random);

/* Storage formats, written apart from the library's own code. */
size_t test_format_bytes(uint32_t format);
void test_store(void *array, uint32_t format, size_t index, double value); /* rounds to nearest even; at any address */
double test_load(const void *array, uint32_t format, size_t index);

#endif
