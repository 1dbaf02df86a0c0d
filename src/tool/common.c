/* What every program needs; see common.h. Calls the C library and POSIX clocks only. */
#define _GNU_SOURCE
#include "common.h"

#include <clmoe/clmoe.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "progress.h"

int complain(const char *format, ...) {
    progress_clear();
    va_list list;
    va_start(list, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    return 1;
}

int complain_cl(const char *call, cl_int code) { return complain("%s failed with OpenCL error %d", call, (int)code); }

static double clock_seconds(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

double now_seconds(void) { return clock_seconds(CLOCK_MONOTONIC); }

double cpu_seconds(void) { return clock_seconds(CLOCK_PROCESS_CPUTIME_ID); }

const char *format_name(uint32_t format) {
    static const char *const names[] = {
        [CLMOE_F32] = "f32",         [CLMOE_F16] = "f16",         [CLMOE_BF16] = "bf16",
        [CLMOE_F8_E4M3] = "f8_e4m3", [CLMOE_F4_E2M1] = "f4_e2m1", [CLMOE_F8_E8M0] = "f8_e8m0",
        [CLMOE_Q8_0] = "q8_0",       [CLMOE_Q4_0] = "q4_0",       [CLMOE_Q4_1] = "q4_1",
        [CLMOE_Q5_0] = "q5_0",       [CLMOE_Q5_1] = "q5_1",       [CLMOE_Q4_K] = "q4_K",
        [CLMOE_Q5_K] = "q5_K",       [CLMOE_Q6_K] = "q6_K",       [CLMOE_IQ4_NL] = "iq4_nl",
        [CLMOE_MXFP4] = "mxfp4",     [CLMOE_NVFP4] = "nvfp4",     [CLMOE_Q2_K] = "q2_K",
        [CLMOE_Q3_K] = "q3_K",       [CLMOE_IQ4_XS] = "iq4_xs",   [CLMOE_TQ1_0] = "tq1_0",
        [CLMOE_TQ2_0] = "tq2_0",     [CLMOE_U4_G32] = "u4_g32",   [CLMOE_U4_G64] = "u4_g64",
        [CLMOE_U4_G128] = "u4_g128", [CLMOE_U4_G256] = "u4_g256", [CLMOE_S4_G32] = "s4_g32",
        [CLMOE_S4_G64] = "s4_g64",   [CLMOE_S4_G128] = "s4_g128", [CLMOE_S4_G256] = "s4_g256",
        [CLMOE_U8_G32] = "u8_g32",   [CLMOE_U8_G64] = "u8_g64",   [CLMOE_U8_G128] = "u8_g128",
        [CLMOE_U8_G256] = "u8_g256", [CLMOE_S8_G32] = "s8_g32",   [CLMOE_S8_G64] = "s8_g64",
        [CLMOE_S8_G128] = "s8_g128", [CLMOE_S8_G256] = "s8_g256", [CLMOE_F8_B128] = "f8_b128",
    };
    return format < COUNT_OF(names) && names[format] != NULL ? names[format] : "none";
}
