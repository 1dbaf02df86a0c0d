/* What the CPU of this process can do, by cpuid. Calls nothing. */
#include <string.h>

#include "os.h"

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
#include <cpuid.h>

/* Which register files the operating system saves: XCR0. Only legal if cpuid reports OSXSAVE. */
static uint64_t enabled_state(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static int has(uint32_t word, unsigned bit) { return (int)(word >> bit & 1u); }

void clmoe__os_cpu(clmoe__cpu *cpu) {
    enum { FMA = 12, OSXSAVE = 27, AVX2 = 5, AVX512F = 16, AVX512DQ = 17, AVX512BW = 30, AVX512VL = 31 };
    enum { AVX512_VBMI = 1, AVX512_VNNI = 11, AVX_VNNI = 4, AVX512_BF16 = 5 };
    const uint64_t avx_state = 0x6, avx512_state = 0xe6;
    uint32_t a, b, c, d, b7, c7, d7, a71 = 0;
    memset(cpu, 0, sizeof *cpu);
    if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, OSXSAVE)) return;
    const int fma = has(c, FMA);
    if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d7)) return;
    if (a >= 1) (void)__get_cpuid_count(7, 1, &a71, &b, &c, &d);
    const uint64_t state = enabled_state();
    cpu->avx2_fma = (state & avx_state) == avx_state && fma && has(b7, AVX2);
    cpu->avx_vnni = cpu->avx2_fma && has(a71, AVX_VNNI);
    /* One flag for the set every AVX-512 server and desktop CPU has; compilers assume it as a whole. */
    cpu->avx512f = cpu->avx2_fma && (state & avx512_state) == avx512_state && has(b7, AVX512F) && has(b7, AVX512DQ) &&
                   has(b7, AVX512BW) && has(b7, AVX512VL);
    cpu->avx512_bf16 = cpu->avx512f && has(a71, AVX512_BF16);
    cpu->avx512_vnni = cpu->avx512f && has(c7, AVX512_VNNI);
    cpu->avx512_vbmi = cpu->avx512f && has(c7, AVX512_VBMI);
}

#else
void clmoe__os_cpu(clmoe__cpu *cpu) { memset(cpu, 0, sizeof *cpu); }
#endif
