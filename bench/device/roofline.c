/* Measures what an OpenCL device can do at most, with the kernels of roofline.cl. Calls OpenCL only, so that it stands
 * beside the library and not on it. roofline_open.c makes the probes.
 *
 *   multiply-adds   every work-item runs `steps` rounds over its accumulators; sums are checked to the bit
 *   reading         1 GiB, each byte once a launch; the sum is checked
 */
#include <string.h>
#include <unistd.h>

#include "common/tool.h"
#include "roofline_probe.h"

const char *peak_name(peak_kind kind) {
    static const char *const names[PEAK_KINDS] = {"f32", "bf16", "int8", "read"};
    return names[kind];
}

const char *peak_unit(peak_kind kind) {
    static const char *const units[PEAK_KINDS] = {"GFLOPS", "GFLOPS", "GOPS", "GB/s"};
    return units[kind];
}

void probe_start_value(peak_kind kind, uint32_t chain, int32_t *bits) {
    const float value = (float)chain * 0x1p-6f;
    if (kind == PEAK_INT8) {
        *bits = (int32_t)chain;
    } else {
        memcpy(bits, &value, sizeof value);
    }
}

int probe_timed_launch(roofline *roof, probe *p, double *seconds) {
    const double begin = now_seconds();
    cl_int code = clEnqueueNDRangeKernel(roof->queue, p->kernel, 1, NULL, &p->global, &p->local, 0, NULL, NULL);
    if (code == CL_SUCCESS) code = clFinish(roof->queue);
    *seconds = now_seconds() - begin;
    return code != CL_SUCCESS;
}

double probe_operations(const roofline *roof, const probe *p, peak_kind kind) {
    const double pairs = kind == PEAK_F32 ? 1 : kind == PEAK_BF16 ? 2 : 4;
    return 2 * pairs * roof->width * p->chains * p->steps * (double)p->global;
}

static int sums_are_right(roofline *roof, probe *p, peak_kind kind) {
    const size_t lanes = (size_t)p->chains * roof->width, count = p->global * lanes;
    if (clEnqueueReadBuffer(roof->queue, p->sums, CL_TRUE, 0, count * 4, p->result, 0, NULL, NULL) != CL_SUCCESS)
        return 0;
    for (size_t i = 0; i < count; i++) {
        const uint32_t chain = (uint32_t)(i % lanes / roof->width);
        const float sum = (float)chain * 0x1p-6f + (float)p->steps * 0x1p-20f;
        int32_t expected = (int32_t)chain - 18 * (int32_t)p->steps;
        if (kind != PEAK_INT8) memcpy(&expected, &sum, sizeof sum);
        if (p->result[i] != expected) return 0;
    }
    return 1;
}

int probe_multiply_add(roofline *roof, peak_kind kind, double *rate) {
    probe *p = &roof->probes[kind];
    double seconds;
    const cl_uint steps = p->steps;
    if (clSetKernelArg(p->kernel, 3, sizeof steps, &steps) != CL_SUCCESS || probe_timed_launch(roof, p, &seconds))
        return 1;
    if (!sums_are_right(roof, p, kind)) return 1;
    *rate = 1e-9 * probe_operations(roof, p, kind) / seconds;
    return 0;
}

/* The sum of all words is known, because they are all alike. */
int probe_read(roofline *roof, double *rate) {
    probe *p = &roof->probes[PEAK_READ];
    double seconds;
    if (probe_timed_launch(roof, p, &seconds)) return 1;
    if (clEnqueueReadBuffer(roof->queue, p->sums, CL_TRUE, 0, p->global * 4, p->result, 0, NULL, NULL) != CL_SUCCESS)
        return 1;
    uint32_t sum = 0;
    for (size_t i = 0; i < p->global; i++) sum += (uint32_t)p->result[i];
    if (sum != (uint32_t)(roof->read_bytes / 4) * READ_PATTERN) return 1;
    *rate = 1e-9 * (double)roof->read_bytes / seconds;
    return 0;
}

int roofline_has(const roofline *roof, peak_kind kind) { return roof->probes[kind].kernel != NULL; }

int roofline_launch(roofline *roof, peak_kind kind, double *rate) {
    const int failed = kind == PEAK_READ ? probe_read(roof, rate) : probe_multiply_add(roof, kind, rate);
    return failed ? complain("the %s probe failed or computed wrong sums", peak_name(kind)) : 0;
}

/* ------------------------------------------------------------------------------------------------- measuring */

static int measure_round(roofline *roof, peaks *best) {
    for (int kind = 0; kind < PEAK_KINDS; kind++) {
        double rates[5];
        if (!roofline_has(roof, (peak_kind)kind)) continue;
        for (size_t i = 0; i < COUNT_OF(rates); i++) {
            if (roofline_launch(roof, (peak_kind)kind, &rates[i])) return 1;
        }
        const double rate = median(rates, COUNT_OF(rates));
        if (rate > best->rate[kind]) best->rate[kind] = rate;
    }
    return 0;
}

int roofline_measure(roofline *roof, int rounds, peaks *out) {
    memset(out, 0, sizeof *out);
    for (int kind = 0; kind < PEAK_KINDS; kind++) memcpy(out->note[kind], roof->note[kind], sizeof out->note[kind]);
    for (int i = 0; i < rounds; i++) {
        if (measure_round(roof, out)) return 1;
    }
    /* A CPU without the instruction multiplies bf16 as f32. */
    if (roof->is_cpu && !roofline_has(roof, PEAK_BF16)) out->rate[PEAK_BF16] = out->rate[PEAK_F32];
    return 0;
}

void peaks_improve(peaks *best, const peaks *now) {
    memcpy(best->note, now->note, sizeof best->note);
    for (int kind = 0; kind < PEAK_KINDS; kind++) {
        if (now->rate[kind] > best->rate[kind]) best->rate[kind] = now->rate[kind];
    }
}

uint64_t last_level_cache(cl_device_id device) {
    cl_ulong bytes = 0;
    cl_device_type type = 0;
    clGetDeviceInfo(device, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, sizeof bytes, &bytes, NULL);
    clGetDeviceInfo(device, CL_DEVICE_TYPE, sizeof type, &type, NULL);
    if ((type & CL_DEVICE_TYPE_CPU) == 0) {
        const cl_ulong usual = (cl_ulong)64 << 20; /* drivers report one level of several: allow for a large one */
        return bytes > usual ? bytes : usual;
    }
#ifdef _SC_LEVEL3_CACHE_SIZE
    if (bytes != 0) return bytes; /* in virtual machines sysconf may speak of the whole socket */
    const long l3 = sysconf(_SC_LEVEL3_CACHE_SIZE), l2 = sysconf(_SC_LEVEL2_CACHE_SIZE);
    if (l3 > 0 && (cl_ulong)l3 > bytes) bytes = (cl_ulong)l3;
    if (l2 > 0 && (cl_ulong)l2 > bytes) bytes = (cl_ulong)l2;
#endif
    return bytes;
}
