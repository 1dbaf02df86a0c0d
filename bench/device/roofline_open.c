/* Makes the probes of a roofline: compiles each kernel, proves it, and finds the form of it that this device runs
 * fastest. Calls OpenCL and Linux's memory functions. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/tool.h"
#include "roofline_probe.h"

#define READ_BYTES     ((uint64_t)1 << 30)
#define HUGE_PAGE      ((size_t)2 << 20)
#define MAX_CHAINS     24
#define MAX_WIDTH      16
#define LAUNCH_SECONDS 0.01
#define MAX_STEPS      (1u << 22) /* a float counts 2^22 steps of 2^-20 exactly */

/* The embedded kernel file; made by the build. */
extern const char roofline_source[];

/* Does this process's CPU have the instruction? Asked for CPU devices only. */
static int cpu_has(peak_kind kind) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_cpu_init();
    if (kind == PEAK_BF16) return __builtin_cpu_supports("avx512bf16") != 0;
    if (kind == PEAK_INT8) return __builtin_cpu_supports("avx512vnni") != 0;
    return 1;
#else
    (void)kind;
    return 0;
#endif
}

static void probe_close(probe *p) {
    if (p->kernel != NULL) clReleaseKernel(p->kernel);
    if (p->program != NULL) clReleaseProgram(p->program);
    if (p->operands != NULL) clReleaseMemObject(p->operands);
    if (p->start != NULL) clReleaseMemObject(p->start);
    if (p->sums != NULL) clReleaseMemObject(p->sums);
    free(p->result);
    memset(p, 0, sizeof *p);
}

/* ------------------------------------------------------------------------------------------------- building */

/* Silent: a device may refuse a kernel, which is an answer. */
static int build(roofline *roof, probe *p, const char *kernel, const char *options) {
    cl_int code;
    const char *source = roofline_source;
    p->program = clCreateProgramWithSource(roof->context, 1, &source, NULL, &code);
    if (code != CL_SUCCESS) return 1;
    if (clBuildProgram(p->program, 1, &roof->device, options, NULL, NULL) != CL_SUCCESS) return 1;
    p->kernel = clCreateKernel(p->program, kernel, &code);
    return code != CL_SUCCESS;
}

static cl_mem buffer_of(roofline *roof, size_t bytes, void *from) {
    cl_int code;
    const cl_mem_flags copy = from != NULL ? CL_MEM_COPY_HOST_PTR : 0;
    return clCreateBuffer(roof->context, CL_MEM_READ_WRITE | copy, bytes, from, &code);
}

/* Operand pairs whose product each step adds is exactly 2^-20 (f32, bf16) or -18 (int8). */
static void fill_operands(peak_kind kind, uint32_t width, uint32_t *operands) {
    for (uint32_t i = 0; i < width; i++) {
        const uint32_t f32[2] = {0x3a800000u, 0x3a800000u};  /* 2^-10, 2^-10 */
        const uint32_t bf16[2] = {0x3a803a80u, 0x3a003a00u}; /* two of 2^-10, two of 2^-11 */
        const uint32_t int8[2] = {0x04030201u, 0xf807fa05u}; /* 1 2 3 4 times 5 -6 7 -8 */
        const uint32_t *pair = kind == PEAK_F32 ? f32 : kind == PEAK_BF16 ? bf16 : int8;
        operands[i] = pair[0];
        operands[width + i] = pair[1];
    }
}

static int arguments(roofline *roof, probe *p, peak_kind kind) {
    uint32_t operands[2 * MAX_WIDTH];
    int32_t start[MAX_CHAINS];
    fill_operands(kind, roof->width, operands);
    for (uint32_t i = 0; i < p->chains; i++) probe_start_value(kind, i, &start[i]);
    const size_t bytes = p->global * p->chains * roof->width * 4;
    p->operands = buffer_of(roof, 2 * roof->width * sizeof *operands, operands);
    p->start = buffer_of(roof, p->chains * sizeof *start, start);
    p->sums = buffer_of(roof, bytes, NULL);
    p->result = malloc(bytes);
    return p->operands == NULL || p->start == NULL || p->sums == NULL || p->result == NULL ||
           clSetKernelArg(p->kernel, 0, sizeof(cl_mem), &p->operands) != CL_SUCCESS ||
           clSetKernelArg(p->kernel, 1, sizeof(cl_mem), &p->start) != CL_SUCCESS ||
           clSetKernelArg(p->kernel, 2, sizeof(cl_mem), &p->sums) != CL_SUCCESS;
}

/* ------------------------------------------------------------------------------------------------- opening */

/* Doubles the steps until a launch takes long enough, then aims at LAUNCH_SECONDS. */
static int calibrate(roofline *roof, peak_kind kind) {
    probe *p = &roof->probes[kind];
    double rate;
    p->steps = 1;
    if (probe_multiply_add(roof, kind, &rate)) return 1; /* the first launch compiles */
    for (p->steps = 1u << 8;; p->steps *= 2) {
        if (probe_multiply_add(roof, kind, &rate)) return 1;
        const double seconds = 1e-9 * probe_operations(roof, p, kind) / rate;
        if (seconds < LAUNCH_SECONDS / 8 && p->steps < MAX_STEPS / 2) continue;
        const double wanted = p->steps * LAUNCH_SECONDS / seconds;
        p->steps = wanted < 1 ? 1 : wanted > MAX_STEPS ? MAX_STEPS : (uint32_t)wanted;
        return 0;
    }
}

static int open_multiply_add(roofline *roof, peak_kind kind, uint32_t chains, double *rate) {
    probe *p = &roof->probes[kind];
    char options[160];
    snprintf(options, sizeof options, "-cl-std=CL1.2 -DKIND=%d -DWIDTH=%u -DCHAINS=%u -DX86=%d -DGPU=%d", (int)kind,
             roof->width, chains, kind != PEAK_F32, !roof->is_cpu);
    p->chains = chains;
    p->local = roof->is_cpu ? 1 : 128;
    p->global = roof->is_cpu ? roof->units * 8 : (size_t)roof->units * 16 * p->local;
    if (build(roof, p, "multiply_add", options) || arguments(roof, p, kind) || calibrate(roof, kind) ||
        probe_multiply_add(roof, kind, rate)) {
        probe_close(p);
        return 1;
    }
    return 0;
}

/* How many accumulators fit the registers differs by instruction set: the faster of three counts stays. */
static int open_best_chains(roofline *roof, peak_kind kind) {
    static const uint32_t counts[] = {MAX_CHAINS, 12, 8};
    probe best = {0};
    double best_rate = 0, rate;
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        if (open_multiply_add(roof, kind, counts[i], &rate)) continue;
        if (rate > best_rate * 1.02) {
            probe_close(&best);
            best = roof->probes[kind];
            best_rate = rate;
            memset(&roof->probes[kind], 0, sizeof best);
        } else {
            probe_close(&roof->probes[kind]);
        }
    }
    roof->probes[kind] = best;
    return best.kernel == NULL;
}

static void open_x86(roofline *roof, peak_kind kind) {
    const char *instruction = kind == PEAK_BF16 ? "vdpbf16ps" : "vpdpbusd";
    const char *instead = kind == PEAK_BF16 ? "; this is the f32 peak" : "";
    double rate;
    char *note = roof->note[kind];
    if (!roof->is_cpu) {
        snprintf(note, sizeof roof->note[kind], "no instruction for it is known on this device");
    } else if (!cpu_has(kind)) {
        snprintf(note, sizeof roof->note[kind], "this CPU has no %s%s", instruction, instead);
    } else if (roof->width != 16 || open_multiply_add(roof, kind, MAX_CHAINS, &rate)) {
        snprintf(note, sizeof roof->note[kind], "the OpenCL compiler refuses %s or computes wrong sums%s", instruction,
                 instead);
    }
}

/* Host memory in huge pages where the device is the host, as the library's weights are; else the device's own. */
static int open_data(roofline *roof) {
    cl_int code;
    if (roof->is_cpu) {
        roof->pages_bytes = (size_t)roof->read_bytes + HUGE_PAGE;
        roof->pages = mmap(NULL, roof->pages_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (roof->pages == MAP_FAILED) {
            roof->pages = NULL;
            return complain("no memory for the %.1f GiB the read probe needs", (double)roof->pages_bytes / 0x1p30);
        }
        char *aligned = (char *)(((uintptr_t)roof->pages + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
        madvise(aligned, (size_t)roof->read_bytes, MADV_HUGEPAGE); /* a wish: the probe works without */
        memset(aligned, READ_PATTERN & 0xff, (size_t)roof->read_bytes);
        roof->data = clCreateBuffer(roof->context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, (size_t)roof->read_bytes,
                                    aligned, &code);
        return code != CL_SUCCESS ? complain_cl("clCreateBuffer", code) : 0;
    }
    const cl_uint pattern = READ_PATTERN;
    roof->data = clCreateBuffer(roof->context, CL_MEM_READ_WRITE, (size_t)roof->read_bytes, NULL, &code);
    if (code != CL_SUCCESS) return complain_cl("clCreateBuffer", code);
    code = clEnqueueFillBuffer(roof->queue, roof->data, &pattern, sizeof pattern, 0, (size_t)roof->read_bytes, 0, NULL,
                               NULL);
    return code != CL_SUCCESS ? complain_cl("clEnqueueFillBuffer", code) : 0;
}

/* Sizes the launch so that it covers the buffer exactly, which may shrink the buffer a little. */
static void shape_read(roofline *roof, probe *p, uint64_t limit, cl_ulong *each) {
    const uint64_t bytes = limit < READ_BYTES ? limit : READ_BYTES;
    p->local = roof->is_cpu ? 1 : 128;
    p->global = roof->is_cpu ? roof->units * 8 : (size_t)roof->units * 16 * p->local;
    const uint64_t step = roof->is_cpu ? (uint64_t)p->global * 8 * 64 : (uint64_t)p->global * 16;
    roof->read_bytes = bytes / step * step;
    *each = roof->is_cpu ? bytes / step * 8 : bytes / step; /* lines, or passes */
}

/* Builds read_sum in one form. A compiler may refuse the prefetch. */
static int build_read(roofline *roof, probe *p, int x86, cl_ulong each) {
    char options[160];
    snprintf(options, sizeof options, "-cl-std=CL1.2 -DKIND=%d -DX86=%d -DGPU=%d", (int)PEAK_READ, x86, !roof->is_cpu);
    p->sums = buffer_of(roof, p->global * 4, NULL);
    p->result = malloc(p->global * 4);
    double seconds;
    return build(roof, p, "read_sum", options) || p->sums == NULL || p->result == NULL ||
           clSetKernelArg(p->kernel, 0, sizeof(cl_mem), &roof->data) != CL_SUCCESS ||
           clSetKernelArg(p->kernel, 1, sizeof(cl_mem), &p->sums) != CL_SUCCESS ||
           clSetKernelArg(p->kernel, 2, sizeof each, &each) != CL_SUCCESS || probe_timed_launch(roof, p, &seconds);
}

/* Whether prefetching helps differs by CPU: both forms take turns, the faster stays. */
static int open_read(roofline *roof) {
    probe *now = &roof->probes[PEAK_READ], forms[2];
    double rates[2][5] = {{0}};
    cl_ulong limit = READ_BYTES, each;
    clGetDeviceInfo(roof->device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof limit, &limit, NULL);
    shape_read(roof, now, limit, &each);
    if (open_data(roof)) return 1;
    for (int x86 = 0; x86 < 2; x86++) {
        forms[x86] = *now;
        if ((x86 && !(roof->is_cpu && cpu_has(PEAK_READ))) || build_read(roof, &forms[x86], x86, each))
            probe_close(&forms[x86]);
    }
    for (size_t i = 0; i < COUNT_OF(rates[0]); i++) {
        for (int x86 = 0; x86 < 2; x86++) {
            *now = forms[x86];
            if (now->kernel != NULL && probe_read(roof, &rates[x86][i])) rates[x86][i] = 0;
        }
    }
    const double plain = median(rates[0], COUNT_OF(rates[0])), ahead = median(rates[1], COUNT_OF(rates[1]));
    *now = forms[ahead > plain];
    probe_close(&forms[ahead <= plain]);
    return plain > 0 || ahead > 0 ? 0 : complain("the kernel that measures reading fails on this device");
}

static int open_device(roofline *roof) {
    cl_device_type type = 0;
    cl_uint units = 0, width = 0;
    cl_int code = clGetDeviceInfo(roof->device, CL_DEVICE_TYPE, sizeof type, &type, NULL);
    if (code == CL_SUCCESS)
        code = clGetDeviceInfo(roof->device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL);
    if (code == CL_SUCCESS)
        code = clGetDeviceInfo(roof->device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, sizeof width, &width, NULL);
    if (code != CL_SUCCESS) return complain_cl("clGetDeviceInfo", code);
    roof->is_cpu = (type & CL_DEVICE_TYPE_CPU) != 0;
    roof->units = units;
    roof->width = !roof->is_cpu || width < 8 ? 4 : width < 16 ? 8 : 16;
    roof->queue = clCreateCommandQueue(roof->context, roof->device, 0, &code);
    return code != CL_SUCCESS ? complain_cl("clCreateCommandQueue", code) : 0;
}

int roofline_open(cl_context context, cl_device_id device, roofline **out) {
    *out = NULL;
    roofline *roof = calloc(1, sizeof *roof);
    if (roof == NULL) return complain("out of memory");
    roof->context = context;
    roof->device = device;
    if (open_device(roof) || open_read(roof)) {
        roofline_close(roof);
        return 1;
    }
    if (open_best_chains(roof, PEAK_F32)) {
        roofline_close(roof);
        return complain(
            "the kernel that measures f32 multiply-adds does not build or computes wrong sums on this device");
    }
    open_x86(roof, PEAK_BF16);
    open_x86(roof, PEAK_INT8);
    *out = roof;
    return 0;
}

void roofline_close(roofline *roof) {
    if (roof == NULL) return;
    for (int kind = 0; kind < PEAK_KINDS; kind++) probe_close(&roof->probes[kind]);
    if (roof->data != NULL) clReleaseMemObject(roof->data);
    if (roof->queue != NULL) {
        clFinish(roof->queue);
        clReleaseCommandQueue(roof->queue);
    }
    if (roof->pages != NULL) munmap(roof->pages, roof->pages_bytes);
    free(roof);
}

uint64_t roofline_bytes(const roofline *roof) { return roof->read_bytes; }
