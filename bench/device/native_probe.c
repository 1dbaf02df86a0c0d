/* clmoe-native-probe: shows that the limits which clmoe-bench measures through OpenCL are the machine's own. The same
 * operations are written with x86 intrinsics and run on as many pinned threads as the OpenCL device has compute units,
 * in turns with the OpenCL kernels, so that both see the same neighbours. Prints both medians, both maxima and their
 * ratios.
 *
 *   clmoe-native-probe [TURNS]
 *
 * Exit status: 0 if every OpenCL median is at least 97% of the native one, 1 if not, 2 where nothing can be compared.
 */
#define _GNU_SOURCE
#include <CL/cl.h>
#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/tool.h"
#include "roofline.h"

#define THREADS_MAX 256
#define TURNS_MAX   1001
#define CHUNKS      8 /* pieces a thread's share is cut into, as the OpenCL launch is */
#define READ_BYTES  ((size_t)1 << 30)
#define HUGE_PAGE   ((size_t)2 << 20)

/* 24 accumulators as variables of their own: an indexed array is spilled to the stack by some compilers. */
#define CHAINS 24
#define EACH_CHAIN(X)                                                                                              \
    X(0)                                                                                                           \
    X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) \
        X(21) X(22) X(23)

typedef struct work {
    peak_kind kind;
    uint32_t steps;
    char *data;
    size_t bytes, chunks;
    atomic_size_t next;
    atomic_int used; /* takes a bit of every result, so that nothing is optimised away */
} work;

__attribute__((target("avx512f"))) static int chunk_f32(uint32_t steps, volatile float *seed) {
    const __m512 a = _mm512_set1_ps(seed[0]), b = _mm512_set1_ps(seed[1]);
#define START(i) __m512 c##i = _mm512_set1_ps(seed[2] * (i));
    EACH_CHAIN(START)
#undef START
    for (uint32_t n = 0; n < steps; n++) {
#define STEP(i) c##i = _mm512_fmadd_ps(a, b, c##i);
        EACH_CHAIN(STEP)
#undef STEP
    }
    __m512 sum = _mm512_setzero_ps();
#define ADD(i) sum = _mm512_add_ps(sum, c##i);
    EACH_CHAIN(ADD)
#undef ADD
    return (int)_mm512_reduce_add_ps(sum);
}

__attribute__((target("avx512f,avx512bf16"))) static int chunk_bf16(uint32_t steps, volatile float *seed) {
    const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(seed[0]), _mm512_set1_ps(seed[0]));
    const __m512bh b = _mm512_cvtne2ps_pbh(_mm512_set1_ps(seed[1]), _mm512_set1_ps(seed[1]));
#define START(i) __m512 c##i = _mm512_set1_ps(seed[2] * (i));
    EACH_CHAIN(START)
#undef START
    for (uint32_t n = 0; n < steps; n++) {
#define STEP(i) c##i = _mm512_dpbf16_ps(c##i, a, b);
        EACH_CHAIN(STEP)
#undef STEP
    }
    __m512 sum = _mm512_setzero_ps();
#define ADD(i) sum = _mm512_add_ps(sum, c##i);
    EACH_CHAIN(ADD)
#undef ADD
    return (int)_mm512_reduce_add_ps(sum);
}

__attribute__((target("avx512f,avx512vnni"))) static int chunk_int8(uint32_t steps, volatile float *seed) {
    const __m512i a = _mm512_castps_si512(_mm512_set1_ps(seed[0])), b = _mm512_castps_si512(_mm512_set1_ps(seed[1]));
#define START(i) __m512i c##i = _mm512_set1_epi32((int)seed[2] + (i));
    EACH_CHAIN(START)
#undef START
    for (uint32_t n = 0; n < steps; n++) {
#define STEP(i) c##i = _mm512_dpbusd_epi32(c##i, a, b);
        EACH_CHAIN(STEP)
#undef STEP
    }
    __m512i sum = _mm512_setzero_si512();
#define ADD(i) sum = _mm512_add_epi32(sum, c##i);
    EACH_CHAIN(ADD)
#undef ADD
    return _mm512_reduce_add_epi32(sum);
}

__attribute__((target("avx512f"))) static int chunk_read(const char *from, size_t bytes) {
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    for (const char *at = from; at < from + bytes; at += 256) {
        a = _mm512_add_epi32(a, _mm512_load_si512((const void *)at));
        b = _mm512_add_epi32(b, _mm512_load_si512((const void *)(at + 64)));
        c = _mm512_add_epi32(c, _mm512_load_si512((const void *)(at + 128)));
        d = _mm512_add_epi32(d, _mm512_load_si512((const void *)(at + 192)));
    }
    return _mm512_reduce_add_epi32(_mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d)));
}

static void *thread_main(void *argument) {
    work *w = argument;
    volatile float seed[3] = {0x1p-10f, 0x1p-10f, 0x1p-6f};
    size_t i;
    while ((i = atomic_fetch_add(&w->next, 1)) < w->chunks) {
        const size_t bytes = w->bytes / w->chunks / 256 * 256;
        const int used = w->kind == PEAK_F32    ? chunk_f32(w->steps, seed)
                         : w->kind == PEAK_BF16 ? chunk_bf16(w->steps, seed)
                         : w->kind == PEAK_INT8 ? chunk_int8(w->steps, seed)
                                                : chunk_read(w->data + i * bytes, bytes);
        atomic_fetch_xor(&w->used, used & 1);
    }
    return NULL;
}

/* Billions a second of one run; 0 if threads cannot be made. */
static double native_run(work *w, unsigned threads) {
    pthread_t thread[THREADS_MAX];
    unsigned made = 0;
    w->chunks = (size_t)threads * CHUNKS;
    atomic_store(&w->next, 0);
    const double begin = now_seconds();
    for (; made < threads; made++) {
        pthread_attr_t attributes;
        cpu_set_t cpu;
        CPU_ZERO(&cpu);
        CPU_SET(made, &cpu);
        pthread_attr_init(&attributes);
        pthread_attr_setaffinity_np(&attributes, sizeof cpu, &cpu);
        const int failed = pthread_create(&thread[made], &attributes, thread_main, w);
        pthread_attr_destroy(&attributes);
        if (failed) break;
    }
    for (unsigned i = 0; i < made; i++) pthread_join(thread[i], NULL);
    const double seconds = now_seconds() - begin;
    if (made < threads) return 0;
    if (w->kind == PEAK_READ) return 1e-9 * (double)(w->bytes / w->chunks / 256 * 256 * w->chunks) / seconds;
    const double lanes = w->kind == PEAK_F32 ? 16 : w->kind == PEAK_BF16 ? 32 : 64;
    return 1e-9 * 2 * lanes * CHAINS * w->steps * (double)w->chunks / seconds;
}

/* Enough steps for some 10 ms. */
static void calibrate(work *w, unsigned threads) {
    const double lanes = w->kind == PEAK_F32 ? 16 : w->kind == PEAK_BF16 ? 32 : 64;
    if (w->kind == PEAK_READ) return;
    w->steps = 20000;
    for (int i = 0; i < 3; i++) {
        const double steps = native_run(w, threads) * 1e9 * 0.01 / (2 * lanes * CHAINS * threads * CHUNKS);
        if (steps >= 1) w->steps = (uint32_t)steps;
    }
}

static int compare(roofline *roof, work *w, unsigned threads, size_t turns, int *below) {
    static double native[TURNS_MAX], opencl[TURNS_MAX];
    calibrate(w, threads);
    for (size_t i = 0; i < turns; i++) {
        native[i] = native_run(w, threads);
        if (roofline_launch(roof, w->kind, &opencl[i])) return 1;
    }
    const double n = median(native, turns), o = median(opencl, turns);
    printf("%-5s %-6s  native median %8.1f max %8.1f   OpenCL median %8.1f max %8.1f   ratio %.3f max %.3f\n",
           peak_name(w->kind), peak_unit(w->kind), n, native[turns - 1], o, opencl[turns - 1], o / n,
           opencl[turns - 1] / native[turns - 1]);
    fflush(stdout);
    *below |= o < 0.97 * n;
    return 0;
}

static int supported(peak_kind kind) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && (kind != PEAK_BF16 || __builtin_cpu_supports("avx512bf16")) &&
           (kind != PEAK_INT8 || __builtin_cpu_supports("avx512vnni"));
}

/* The first CPU device of any platform. */
static int find_cpu(cl_device_id *device) {
    cl_platform_id platforms[16];
    cl_uint count = 0;
    if (clGetPlatformIDs(16, platforms, &count) != CL_SUCCESS) return 1;
    for (cl_uint i = 0; i < count && i < 16; i++) {
        if (clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_CPU, 1, device, NULL) == CL_SUCCESS) return 0;
    }
    return 1;
}

int main(int argc, char **argv) {
    const long asked = argc > 1 ? strtol(argv[1], NULL, 10) : 21;
    const size_t turns = asked < 1 ? 1 : asked > TURNS_MAX ? TURNS_MAX : (size_t)asked;
    setenv("POCL_AFFINITY", "1", 0);
    cl_device_id device;
    cl_uint units = 0;
    cl_int code;
    roofline *roof;
    if (find_cpu(&device)) return complain("no OpenCL device that is a CPU"), 2;
    clGetDeviceInfo(device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL);
    cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, &code);
    if (code != CL_SUCCESS) return complain_cl("clCreateContext", code), 2;
    if (units > THREADS_MAX || roofline_open(context, device, &roof)) return 2;
    static work w;
    w.bytes = READ_BYTES;
    w.data = mmap(NULL, READ_BYTES + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (w.data == MAP_FAILED) return complain("out of memory"), 2;
    w.data = (char *)(((uintptr_t)w.data + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
    madvise(w.data, READ_BYTES, MADV_HUGEPAGE);
    memset(w.data, 1, READ_BYTES); /* pages never written are all one page of zeros */
    int below = 0, compared = 0;
    for (int kind = 0; kind < PEAK_KINDS; kind++) {
        w.kind = (peak_kind)kind;
        if (!supported(w.kind) || !roofline_has(roof, w.kind)) continue;
        if (compare(roof, &w, units, turns, &below)) return 2;
        compared++;
    }
    roofline_close(roof);
    clReleaseContext(context);
    return compared == 0 ? 2 : below;
}
