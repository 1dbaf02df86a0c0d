/* clmoe: what all its headers share: statuses and errors, formats of numbers, places in device memory. Part of
 * <clmoe/clmoe.h>, whose conventions hold here. */
#ifndef CLMOE_CLMOE_TYPES_H
#define CLMOE_CLMOE_TYPES_H

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>
#include <stddef.h>
#include <stdint.h>

#if defined(CLMOE_STATIC)
#define CLMOE_API
#elif defined(_WIN32)
#ifdef CLMOE_BUILDING
#define CLMOE_API __declspec(dllexport)
#else
#define CLMOE_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define CLMOE_API __attribute__((visibility("default")))
#else
#define CLMOE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------ errors */

/* X(name, value, text). Values never change. */
#define CLMOE_STATUS_LIST(X)                                                                   \
    X(CLMOE_OK, 0, "success")                                                                  \
    X(CLMOE_INVALID_ARGUMENT, 1, "an argument is NULL, out of range or inconsistent")          \
    X(CLMOE_UNSUPPORTED, 2, "valid, but this build or device cannot do it")                    \
    X(CLMOE_OUT_OF_HOST_MEMORY, 3, "host memory is exhausted")                                 \
    X(CLMOE_OUT_OF_DEVICE_MEMORY, 4, "device memory is exhausted or a limit forbids the size") \
    X(CLMOE_NO_OPENCL, 5, "no OpenCL loader or a required entry point is missing")             \
    X(CLMOE_NO_DEVICE, 6, "no OpenCL device matches")                                          \
    X(CLMOE_OPENCL_ERROR, 7, "an OpenCL call failed")                                          \
    X(CLMOE_BUILD_FAILED, 8, "a kernel did not compile")                                       \
    X(CLMOE_KERNEL_SOURCE, 9, "a kernel source file is missing or unreadable")                 \
    X(CLMOE_NO_VARIANT, 10, "every kernel variant was refused")                                \
    X(CLMOE_INVALID_FILE, 11, "a file is missing, unreadable, malformed or contradicts itself")

typedef enum clmoe_status {
#define CLMOE_STATUS_ENUM(name, value, text) name = value,
    CLMOE_STATUS_LIST(CLMOE_STATUS_ENUM)
#undef CLMOE_STATUS_ENUM
} clmoe_status;

/* "CLMOE_OK" and so on; "unknown status" for other values. Static storage. */
CLMOE_API const char *clmoe_status_name(clmoe_status status);
/* The sentence of CLMOE_STATUS_LIST. Static storage. */
CLMOE_API const char *clmoe_status_text(clmoe_status status);

/* What went wrong, written on every call that fails and was given one. Plain data, nothing to free. The library fills
 * at most struct_size bytes; a struct_size of 0 is taken as the size of this version. */
typedef struct clmoe_error {
    size_t struct_size;
    clmoe_status status;
    cl_int cl_code;     /* the failing OpenCL call's code, or 0 */
    char argument[64];  /* the offending argument or field, for example "routing.top_k"; may be empty */
    char message[512];  /* one sentence that names the value and the range */
    char log[3072];     /* the end of the compiler's build log; may be empty */
} clmoe_error;

/* ------------------------------------------------------------------------------------------------ values */

/* How numbers are stored. 4 to 6 occur in the sources of weights only and are decoded when packed.
 *
 * From 16 on: block formats, whose values lie along k in blocks with scales of their own. in_features must be a
 * multiple of the values a block holds (32; NVFP4 64; the K formats, IQ4_XS and the TQ formats 256; those named G
 * their number). The bytes of a block up to 36 are exactly as ggml and GGUF files have them. 32 to 36 are sources
 * only: they are decoded when packed.
 *
 * From 40 on: groups of integers, as GPTQ, AWQ and compressed-tensors checkpoints have them (clmoe_groups), value =
 * scale * (code - zero) with unsigned codes. U has a zero point for each group, S none: zero is 8 (S4) or 128 (S8). A
 * block is the group's codes, of 4 bits the first in the lower half of a byte; the scale, f16; of U the zero point,
 * one byte.
 *
 * F8_B128: what F8_E4M3 tensors are kept in, never a source: their codes, and an f32 scale for 128 neighbouring k of
 * two neighbouring columns of y, 1.6% more bytes. It takes scales (clmoe_scales) of any format that do not differ
 * within those, as the 128 x 128 blocks of DeepSeek-V3, one for a tensor, or none; in_features may be anything. */
typedef enum clmoe_format {
    CLMOE_FORMAT_NONE = 0,
    CLMOE_F32 = 1,
    CLMOE_F16 = 2,
    CLMOE_BF16 = 3,
    CLMOE_F8_E4M3 = 4, /* 0x7f and 0xff are NaN, no infinities (OCP 8-bit floating point, E4M3) */
    CLMOE_F4_E2M1 = 5, /* two to a byte, the even element in the low bits: 0 .5 1 1.5 2 3 4 6, sign (OCP, likewise) */
    CLMOE_F8_E8M0 = 6, /* scales only: 2^(byte - 127), 255 is NaN (OCP microscaling) */
    CLMOE_Q8_0 = 16,
    CLMOE_Q4_0 = 17,
    CLMOE_Q4_1 = 18,
    CLMOE_Q5_0 = 19,
    CLMOE_Q5_1 = 20,
    CLMOE_Q4_K = 21,
    CLMOE_Q5_K = 22,
    CLMOE_Q6_K = 23,
    CLMOE_IQ4_NL = 24,
    CLMOE_MXFP4 = 25,
    CLMOE_NVFP4 = 26,
    CLMOE_Q2_K = 32,
    CLMOE_Q3_K = 33,
    CLMOE_IQ4_XS = 34,
    CLMOE_TQ1_0 = 35,
    CLMOE_TQ2_0 = 36,
    CLMOE_U4_G32 = 40,
    CLMOE_U4_G64 = 41,
    CLMOE_U4_G128 = 42,
    CLMOE_U4_G256 = 43,
    CLMOE_S4_G32 = 44,
    CLMOE_S4_G64 = 45,
    CLMOE_S4_G128 = 46,
    CLMOE_S4_G256 = 47,
    CLMOE_U8_G32 = 48,
    CLMOE_U8_G64 = 49,
    CLMOE_U8_G128 = 50,
    CLMOE_U8_G256 = 51,
    CLMOE_S8_G32 = 52,
    CLMOE_S8_G64 = 53,
    CLMOE_S8_G128 = 54,
    CLMOE_S8_G256 = 55,
    CLMOE_F8_B128 = 56
} clmoe_format;

/* What the products of the experts are computed from. Sums of f32 are f32.
 *   F32   weights decoded to f32, activations f32.
 *   BF16  weights bf16 (block formats and F8_B128: decoded to bf16), activations rounded to bf16 (nearest even) before
 *         each matrix product.
 *   INT8  block formats but F8_B128: activations rounded to 8 bits, one scale for 128 neighbours (largest magnitude /
 *         127); integer dot products, exact, a run of equal scales at a time; their f32 sum in rising k, 128 at a time.
 *   AUTO  BF16 for bf16 weights and F8_B128 where the device multiplies bf16 in hardware; INT8 for block formats where
 *         it has integer dot products of bytes; else F32.
 * Normalised mean squared errors, measured against exact products of the weights as they are kept: of a product F32
 * 1e-13, BF16 3e-6, INT8 4e-5; of a layer's output F32 3e-12, BF16 2e-6 to 2e-5, INT8 1.5e-4 to 2.6e-4. */
typedef enum clmoe_arithmetic {
    CLMOE_ARITHMETIC_AUTO = 0,
    CLMOE_ARITHMETIC_F32 = 1,
    CLMOE_ARITHMETIC_BF16 = 2,
    CLMOE_ARITHMETIC_INT8 = 3
} clmoe_arithmetic;

typedef enum clmoe_buffer_kind {
    CLMOE_BUFFER_NONE = 0,  /* absent */
    CLMOE_BUFFER_CL_MEM = 1 /* handle is a cl_mem of the context's cl_context */
                            /* 2 and 3 are kept for unified shared memory and shared virtual memory */
} clmoe_buffer_kind;

/* A place in device memory. offset is in bytes and must be a multiple of the element size, nothing more. The library
 * retains the cl_mem for as long as enqueued work needs it; it never makes sub-buffers and never touches bytes
 * outside [offset, offset + what the shape needs). */
typedef struct clmoe_buffer {
    uint32_t kind; /* clmoe_buffer_kind */
    uint32_t reserved;
    void *handle;
    uint64_t offset;
} clmoe_buffer;

/* The buffer that starts `offset` bytes into `mem`. */
static inline clmoe_buffer clmoe_cl_mem(cl_mem mem, uint64_t offset) {
    clmoe_buffer buffer = {CLMOE_BUFFER_CL_MEM, 0, NULL, 0};
    buffer.handle = (void *)mem;
    buffer.offset = offset;
    return buffer;
}

#ifdef __cplusplus
}
#endif
#endif
