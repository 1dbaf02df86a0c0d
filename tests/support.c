/* The plumbing of every test: opening the device, judging statuses, guarded buffers, random numbers, storage formats.
 * It shares no code with src/ and may call the public API, OpenCL and CMocka. */
#include "support.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "checked_cl.h"

/* ------------------------------------------------------------------------------------------------ device */

static int is_set(const char *variable) {
    const char *value = getenv(variable);
    return value != NULL && *value == '1';
}

/* Whether the device checks memory itself (oclgrind's). */
static int is_checked(void) { return is_set("CLMOE_TEST_SMALL"); }

/* Halves of the device that *desc asks for; *desc adopts a context of the first. */
static void take_half(clmoe_context_desc *desc, cl_device_id halves[2]) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_context *whole = NULL;
    cl_device_id device = NULL;
    cl_uint units = 0;
    cl_int code = CL_SUCCESS;
    OK(clmoe_context_create(desc, &whole, &error));
    OK(clmoe_context_opencl(whole, &desc->adopt_context, &device, &error));
    assert_int_equal(clGetDeviceInfo(device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL), CL_SUCCESS);
    const cl_device_partition_property each = (cl_device_partition_property)(units + 1) / 2;
    const cl_device_partition_property cut[] = {CL_DEVICE_PARTITION_EQUALLY, each, 0};
    assert_int_equal(clCreateSubDevices(device, cut, 2, halves, NULL), CL_SUCCESS);
    desc->adopt_context = clCreateContext(NULL, 1, halves, NULL, NULL, &code);
    desc->adopt_device = halves[0];
    assert_int_equal(code, CL_SUCCESS);
    clmoe_context_destroy(whole);
}

/* Once a process, as the seed: a log says where the test ran, conformance_table.sh repeats it. */
static void say_device(cl_device_id id) {
    static atomic_flag said = ATOMIC_FLAG_INIT;
    char name[256] = "?", driver[256] = "?", platform_name[256] = "?";
    cl_platform_id platform = NULL;
    if (atomic_flag_test_and_set(&said)) return;
    (void)clGetDeviceInfo(id, CL_DEVICE_NAME, sizeof name, name, NULL);
    (void)clGetDeviceInfo(id, CL_DRIVER_VERSION, sizeof driver, driver, NULL);
    (void)clGetDeviceInfo(id, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL);
    (void)clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof platform_name, platform_name, NULL);
    print_message("device: %s, %s, driver %s\n", name, platform_name, driver);
}

/* The library's own kernels need no function that its short header lacks (opencl/short_header.h): programs that do are
 * right, but take long to build. */
static atomic_int needs_more;
static void watch_headers(void *user, const char *line) {
    (void)user;
    if (strstr(line, "needs more than the short header") != NULL) (void)atomic_fetch_add(&needs_more, 1);
}

test_device test_open(const clmoe_context_desc *desc) {
    test_device device = {0};
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_context_desc full;
    clmoe_context_desc_default(&full, sizeof full);
    if (desc != NULL) full = *desc;
    const int is_own = full.get_symbol == NULL && full.kernel_dir == NULL && getenv("CLMOE_KERNEL_DIR") == NULL;
    if (is_own && full.log == NULL) full.log = watch_headers;
    if (is_checked() && full.get_symbol == NULL) full.get_symbol = checked_symbol;
    const int half = is_set("CLMOE_TEST_SUB_DEVICE") && full.adopt_context == NULL;
    if (half) take_half(&full, device.halves);
    clmoe_status status = clmoe_context_create(&full, &device.context, &error);
    if (status == CLMOE_INVALID_ARGUMENT && full.vector_width > 4 && strcmp(error.argument, "vector_width") == 0) {
        full.vector_width = 0; /* the device has no vectors as wide as the test would like */
        status = clmoe_context_create(&full, &device.context, &error);
    }
    OK(status);
    if (half) assert_int_equal(clReleaseContext(full.adopt_context), CL_SUCCESS); /* the context has a reference */
    OK(clmoe_context_opencl(device.context, &device.cl, &device.id, &error));
    say_device(device.id);
    cl_int code = CL_SUCCESS;
    device.queue = clCreateCommandQueue(device.cl, device.id, 0, &code);
    assert_int_equal(code, CL_SUCCESS);
    return device;
}

void test_close(test_device *device) {
    assert_int_equal(atomic_load(&needs_more), 0);
    if (device->queue != NULL) {
        assert_int_equal(clFinish(device->queue), CL_SUCCESS);
        /* POCL 3.1's threads use a queue for a moment after its commands are complete. */
        (void)nanosleep(&(struct timespec){0, 5000000}, NULL);
        assert_int_equal(clReleaseCommandQueue(device->queue), CL_SUCCESS);
    }
    clmoe_context_destroy(device->context);
    for (int i = 0; i < 2; i++)
        if (device->halves[i] != NULL) assert_int_equal(clReleaseDevice(device->halves[i]), CL_SUCCESS);
    *device = (test_device){0};
}

/* ------------------------------------------------------------------------------------------------ status */

void test_ok(clmoe_status status, const clmoe_error *error) {
    if (status == CLMOE_OK) return;
    fail_msg("%s (OpenCL %d) [%s] %s\n%s", clmoe_status_name(status), (int)error->cl_code, error->argument,
             error->message, error->log);
}

void test_fails(clmoe_status status, const clmoe_error *error, clmoe_status wanted, const char *contains) {
    if (status != wanted) {
        fail_msg("got %s, wanted %s about \"%s\": [%s] %s", clmoe_status_name(status), clmoe_status_name(wanted),
                 contains, status == CLMOE_OK ? "" : error->argument, status == CLMOE_OK ? "" : error->message);
    }
    if (error->status != wanted) fail_msg("error->status is %s", clmoe_status_name(error->status));
    if (error->message[0] == 0) fail_msg("no message with %s about \"%s\"", clmoe_status_name(wanted), contains);
    if (strstr(error->message, contains) == NULL && strstr(error->argument, contains) == NULL) {
        fail_msg("neither [%s] nor \"%s\" names \"%s\"", error->argument, error->message, contains);
    }
}

/* ------------------------------------------------------------------------------------------------ buffer */

#define GUARD 64u
#define POISON 0xCD

/* Guard bytes on either side; none on a device that checks bounds itself, which would take them for memory in use. */
static size_t guard_bytes(void) { return is_checked() ? 0 : GUARD; }

/* Memory:  [ front: 64 bytes + 4 (or 2, where the size shows that elements have two bytes) ][ bytes ][ 64 ]
 * so that the place is aligned for its elements and for nothing larger. */
test_buffer test_buffer_new(test_device *device, size_t bytes, const void *from) {
    const size_t guard = guard_bytes(), front = guard + (bytes % 4 == 0 ? 4u : 2u);
    const size_t total = front + bytes + guard;
    test_buffer buffer = {.bytes = bytes};
    buffer.guard = malloc(total);
    assert_non_null(buffer.guard);
    memset(buffer.guard, POISON, total);
    for (size_t i = 0; i < guard; i++) {
        buffer.guard[i] = (uint8_t)(i * 7 + 1);
        buffer.guard[front + bytes + i] = (uint8_t)(i * 11 + 3);
    }
    if (from != NULL) memcpy(buffer.guard + front, from, bytes);
    cl_int code = CL_SUCCESS;
    buffer.mem = clCreateBuffer(device->cl, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, total, buffer.guard, &code);
    assert_int_equal(code, CL_SUCCESS);
    buffer.at = clmoe_cl_mem(buffer.mem, front);
    return buffer;
}

void test_buffer_read(test_device *device, const test_buffer *buffer, void *to) {
    assert_int_equal(clFinish(device->queue), CL_SUCCESS);
    if (buffer->bytes == 0) return;
    assert_int_equal(clEnqueueReadBuffer(device->queue, buffer->mem, CL_TRUE, (size_t)buffer->at.offset, buffer->bytes,
                                         to, 0, NULL, NULL),
                     CL_SUCCESS);
}

void test_buffer_untouched(test_device *device, const test_buffer *buffer) {
    uint8_t *now = malloc(buffer->bytes + 1);
    assert_non_null(now);
    test_buffer_read(device, buffer, now);
    for (size_t i = 0; i < buffer->bytes; i++) {
        if (now[i] != POISON) fail_msg("byte %zu of %zu was written, nothing should be", i, buffer->bytes);
    }
    free(now);
}

void test_buffer_free(test_device *device, test_buffer *buffer) {
    if (buffer->mem == NULL) return;
    const size_t front = (size_t)buffer->at.offset, total = front + buffer->bytes + guard_bytes();
    uint8_t *now = malloc(total);
    assert_non_null(now);
    assert_int_equal(clFinish(device->queue), CL_SUCCESS);
    assert_int_equal(clEnqueueReadBuffer(device->queue, buffer->mem, CL_TRUE, 0, total, now, 0, NULL, NULL),
                     CL_SUCCESS);
    for (size_t i = 0; i < total; i++) {
        if (i >= front && i < front + buffer->bytes) continue;
        if (now[i] != buffer->guard[i]) {
            fail_msg("guard byte %td from the %s of %zu bytes was overwritten with %02x",
                     i < front ? (ptrdiff_t)i - (ptrdiff_t)front : (ptrdiff_t)(i - front - buffer->bytes),
                     i < front ? "start" : "end", buffer->bytes, now[i]);
        }
    }
    free(now);
    free(buffer->guard);
    if (!is_checked()) assert_int_equal(clReleaseMemObject(buffer->mem), CL_SUCCESS);
    *buffer = (test_buffer){0};
}

/* ------------------------------------------------------------------------------------------------ random */

static uint64_t splitmix64(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Not thread-safe at its first call: a test that starts threads makes its random numbers before. */
static uint64_t process_seed(void) {
    static uint64_t seed;
    static int known;
    if (known) return seed;
    const char *text = getenv("CLMOE_TEST_SEED");
    if (text != NULL && *text != 0) {
        seed = strtoull(text, NULL, 0);
    } else {
        struct timespec now = {0};
        (void)timespec_get(&now, TIME_UTC);
        uint64_t state = (uint64_t)now.tv_sec * 1000000007u ^ (uint64_t)now.tv_nsec;
        seed = splitmix64(&state) >> 16;
    }
    known = 1;
    print_message("CLMOE_TEST_SEED=%" PRIu64 "\n", seed);
    return seed;
}

test_random test_random_new(uint64_t stream) {
    uint64_t state = process_seed() ^ (stream * 0xD1342543DE82EF95u);
    test_random random;
    for (int i = 0; i < 4; i++) random.s[i] = splitmix64(&state);
    return random;
}

static uint64_t rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

uint64_t test_random_u64(test_random *random) {
    uint64_t *s = random->s;
    const uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint32_t test_random_below(test_random *random, uint32_t bound) {
    return bound == 0 ? 0 : (uint32_t)(((test_random_u64(random) >> 32) * bound) >> 32);
}

double test_random_normal(test_random *random) {
    const double u = ((double)(test_random_u64(random) >> 11) + 1.0) * 0x1p-53; /* (0, 1] */
    const double v = (double)(test_random_u64(random) >> 11) * 0x1p-53;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

/* ----------------------------------------------------------------------------------------------- formats */

size_t test_format_bytes(uint32_t format) { return format == CLMOE_F32 ? 4 : 2; }

/* A 16-bit float with `mantissa` stored bits: rounds by value (a multiple of the last place), not by bit tricks. */
static uint16_t small_from_double(double value, int mantissa) {
    const int exponent_bits = 15 - mantissa, bias = (1 << (exponent_bits - 1)) - 1;
    const uint16_t sign = signbit(value) ? 0x8000u : 0, infinity = (uint16_t)(((1u << exponent_bits) - 1u) << mantissa);
    if (isnan(value)) return (uint16_t)(infinity | 1u << (mantissa - 1));
    if (isinf(value)) return sign | infinity;
    int exponent = 0;
    const double magnitude = fabs(value);
    (void)frexp(magnitude, &exponent); /* magnitude in [2^(exponent - 1), 2^exponent) */
    exponent -= 1;
    if (exponent < 1 - bias) exponent = 1 - bias;
    double units = nearbyint(ldexp(magnitude, mantissa - exponent)); /* 0 .. 2^(mantissa + 1) */
    if (units >= ldexp(1.0, mantissa + 1)) {
        units /= 2;
        exponent++;
    }
    if (exponent > bias) return sign | infinity;
    const uint32_t integer = (uint32_t)units, one = 1u << mantissa;
    if (integer < one) return (uint16_t)(sign | integer); /* subnormal or zero */
    return (uint16_t)(sign | ((uint32_t)(exponent + bias) << mantissa) | (integer - one));
}

static double small_to_double(uint16_t bits, int mantissa) {
    const int exponent_bits = 15 - mantissa, bias = (1 << (exponent_bits - 1)) - 1;
    const int exponent = (bits >> mantissa) & ((1 << exponent_bits) - 1), fraction = bits & ((1 << mantissa) - 1);
    double value;
    if (exponent == (1 << exponent_bits) - 1) {
        value = fraction != 0 ? (double)NAN : (double)INFINITY;
    } else if (exponent == 0) {
        value = ldexp(fraction, 1 - bias - mantissa);
    } else {
        value = ldexp(fraction + (1 << mantissa), exponent - bias - mantissa);
    }
    return (bits & 0x8000u) != 0 ? -value : value;
}

void test_store(void *array, uint32_t format, size_t index, double value) {
    const float wide = (float)value;
    const uint16_t narrow = format == CLMOE_F32 ? 0 : small_from_double(value, format == CLMOE_F16 ? 10 : 7);
    if (format == CLMOE_F32) memcpy((char *)array + index * sizeof wide, &wide, sizeof wide);
    else memcpy((char *)array + index * sizeof narrow, &narrow, sizeof narrow);
}

double test_load(const void *array, uint32_t format, size_t index) {
    float wide;
    uint16_t narrow;
    if (format == CLMOE_F32) return memcpy(&wide, (const char *)array + index * sizeof wide, sizeof wide), (double)wide;
    memcpy(&narrow, (const char *)array + index * sizeof narrow, sizeof narrow);
    return small_to_double(narrow, format == CLMOE_F16 ? 10 : 7);
}
