/* Kernels that find what a device can do at most: multiply-adds a second without touching memory, and bytes read a
 * second without computing. The host (roofline.c) knows how many of either a launch does.
 *
 *   KIND    KIND_F32, KIND_BF16, KIND_INT8: multiply_add;  KIND_READ: read_sum
 *   WIDTH   f32 lanes of a vector: 4, 8 or 16
 *   CHAINS  independent accumulators of a work-item: enough to hide an instruction's latency, few enough for registers
 *   X86     1: x86 instructions by inline assembly (bf16 and int8 products, prefetch)
 *   AHEAD   cache lines that read_sum prefetches ahead, on CPUs
 *   GPU     1: neighbouring work-items read neighbouring vectors; 0: a work-item reads a run of its own
 */
#define KIND_F32 0
#define KIND_BF16 1
#define KIND_INT8 2
#define KIND_READ 3
#ifndef KIND
#define KIND KIND_F32
#endif
#ifndef WIDTH
#define WIDTH 16
#endif
#ifndef CHAINS
#define CHAINS 24
#endif
#ifndef X86
#define X86 0
#endif
#ifndef AHEAD
#define AHEAD 64
#endif
#ifndef GPU
#define GPU 0
#endif
#if (KIND == KIND_BF16 || KIND == KIND_INT8) && !(X86 && WIDTH == 16)
#error "bf16 and int8 products are known as 512-bit x86 instructions only"
#endif

/* On CPUs a work-group is one work-item with explicit vectors. */
#if GPU
#define ONE_ITEM
#else
#define ONE_ITEM __attribute__((reqd_work_group_size(1, 1, 1)))
#endif

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)

#if KIND == KIND_READ

#if GPU
/* data is [passes][get_global_size(0)]: a pass is one coalesced read of all work-items. */
__kernel void read_sum(__global const uint4 *data, __global uint *sums, ulong passes) {
    const size_t step = get_global_size(0);
    __global const uint4 *at = data + get_global_id(0);
    uint4 a = 0, b = 0, c = 0, d = 0;
    ulong i = 0;
    for (; i + 4 <= passes; i += 4, at += 4 * step) {
        a += at[0];
        b += at[step];
        c += at[2 * step];
        d += at[3 * step];
    }
    for (; i < passes; i++, at += step) a += at[0];
    a += b + c + d;
    sums[get_global_id(0)] = a.x + a.y + a.z + a.w;
}
#else
#if X86
#define PREFETCH(line) __asm__ volatile("prefetcht0 %0" ::"m"(((__global const uchar *)(line))[AHEAD * 64]))
#else
#define PREFETCH(line)
#endif
/* data is [get_global_size(0)][lines]: every work-item reads a run of `lines` 64-byte lines, a multiple of 8. */
__kernel ONE_ITEM void read_sum(__global const uint16 *data, __global uint *sums, ulong lines) {
    __global const uint16 *at = data + get_global_id(0) * lines;
    uint16 a = 0, b = 0, c = 0, d = 0;
    for (ulong i = 0; i < lines; i += 8, at += 8) {
        PREFETCH(at);
        PREFETCH(at + 1);
        PREFETCH(at + 2);
        PREFETCH(at + 3);
        PREFETCH(at + 4);
        PREFETCH(at + 5);
        PREFETCH(at + 6);
        PREFETCH(at + 7);
        a += at[0];
        b += at[1];
        c += at[2];
        d += at[3];
        a += at[4];
        b += at[5];
        c += at[6];
        d += at[7];
    }
    a += b + c + d;
    const uint8 e = a.lo + a.hi;
    const uint4 f = e.lo + e.hi;
    sums[get_global_id(0)] = f.x + f.y + f.z + f.w;
}
#endif

#else

#if KIND == KIND_F32
#define SCALAR float
#define OPERAND float
#define OPERANDS PASTE(float, WIDTH)
#define VECTOR PASTE(float, WIDTH)
inline VECTOR multiply_add_step(VECTOR c, VECTOR a, VECTOR b) { return fma(a, b, c); }
#elif KIND == KIND_BF16
#define SCALAR float
#define OPERAND uint
#define OPERANDS uint16
#define VECTOR float16
inline float16 multiply_add_step(float16 c, uint16 a, uint16 b) {
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
}
#else
#define SCALAR int
#define OPERAND uint
#define OPERANDS uint16
#define VECTOR int16
inline int16 multiply_add_step(int16 c, uint16 a, uint16 b) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
}
#endif

#define LOAD PASTE(vload, WIDTH)
#define STORE PASTE(vstore, WIDTH)

/* sums[item][chain][WIDTH] = start[chain] + steps * (a . b). Operands and starts come from memory, so that the compiler
 * can neither fold the loop nor see that chains are alike: operands is [2][WIDTH], start [CHAINS]. */
__kernel ONE_ITEM void multiply_add(__global const OPERAND *operands, __global const SCALAR *start,
                                    __global SCALAR *sums, uint steps) {
    const OPERANDS a = LOAD(0, operands), b = LOAD(1, operands);
    VECTOR chain[CHAINS];
#pragma unroll
    for (int c = 0; c < CHAINS; c++) chain[c] = (VECTOR)(start[c]);
    for (uint i = 0; i < steps; i++) {
#pragma unroll
        for (int c = 0; c < CHAINS; c++) chain[c] = multiply_add_step(chain[c], a, b);
    }
    __global SCALAR *to = sums + get_global_id(0) * (CHAINS * WIDTH);
#pragma unroll
    for (int c = 0; c < CHAINS; c++) STORE(chain[c], 0, to + c * WIDTH);
}
#endif
