/* clmoe: Mixture-of-Experts layers on any OpenCL device.
 *
 * This header is the whole stable interface: contexts, weights, layers, workspaces and the forward pass. The single
 * stages of a layer, profiling and tuning are in <clmoe/clmoe_stages.h>.
 *
 * Conventions, true of every function below unless it says otherwise:
 *   - Shapes are written [rows, columns], row-major. T = tokens, H = hidden_size, I = intermediate_size,
 *     E = num_experts, K = top_k, slots = clmoe_routing_slots() = the (token, expert) pairs a token may have.
 *   - Functions return a clmoe_status. With `error` not NULL the detail is written there; NULL is allowed everywhere.
 *     After an error nothing was created (a *create function stores NULL), and unless an OpenCL call failed midway
 *     nothing was enqueued or written; if one did, the call has waited for what was enqueued and the outputs are
 *     undefined.
 *   - Structs start with struct_size. NAME_default(&s, sizeof s) fills every field with its default; set what differs.
 *     A library newer than its caller treats the fields the caller lacks as defaults.
 *   - The library never prints, exits or aborts, and reads the environment only while a context is created.
 *   - Objects are reference counted inside: destroying them in any order is legal, also while device work that uses
 *     them is still running. NAME_destroy(NULL) does nothing.
 *   - Contexts, weights and layers may be used by any number of threads at once. A workspace serialises its callers.
 */
#ifndef CLMOE_CLMOE_H
#define CLMOE_CLMOE_H

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

#define CLMOE_VERSION_MAJOR 0
#define CLMOE_VERSION_MINOR 1
#define CLMOE_VERSION_PATCH 0

/* The version of the library that is running: major * 1000000 + minor * 1000 + patch. */
CLMOE_API uint32_t clmoe_version(void);
/* The same as text, "0.1.0". Static storage. */
CLMOE_API const char *clmoe_version_string(void);

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
 * F8_B128: what F8_E4M3 tensors are kept in, never a source: their codes, and an f32 scale for 128 neighbouring k of two
 * neighbouring columns of y, 1.6% more bytes. It takes scales (clmoe_scales) of any format that do not differ within those,
 * as the 128 x 128 blocks of DeepSeek-V3, one for a tensor, or none; in_features may be anything. */
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
 *   BF16  weights bf16 (block formats and F8_B128: decoded to bf16), activations rounded to bf16 (nearest even) before each matrix
 *         product.
 *   INT8  block formats but F8_B128: activations rounded to 8 bits, one scale for 128 neighbours (largest magnitude /
 *         127); integer dot products, exact, a run of equal scales at a time; their f32 sum in rising k, 128 at a time.
 *   AUTO  BF16 for bf16 weights and F8_B128 where the device multiplies bf16 in hardware; INT8 for block formats where it has integer
 *         dot products of bytes; else F32.
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

/* ----------------------------------------------------------------------------------------------- context */

/* A context is one OpenCL device with everything shared on it: programs, memory pool, verdicts on variants. */
typedef struct clmoe_context clmoe_context;

typedef struct clmoe_context_desc {
    size_t struct_size;
    /* Which device: "gpu", "cpu", "PLATFORM:DEVICE" (two numbers counted from 0) or part of the device's or platform's
     * name, case ignored. NULL: the environment variable CLMOE_DEVICE, else the first GPU, else the first accelerator,
     * else the first CPU. Ignored when adopting. */
    const char *device;
    /* Both or neither: use this context and device instead of making one. They are retained. */
    cl_context adopt_context;
    cl_device_id adopt_device;
    /* Where OpenCL entry points come from; NULL: the loader the library was linked to or loads. Returns NULL for what
     * it lacks. Called only during clmoe_context_create. Also asked for CLBlastSgemm and CLBlastClearCache, which it may
     * lack: the system's CLBlast is not used then, for it might call another OpenCL. */
    void *(*get_symbol)(void *user, const char *name);
    void *get_symbol_user;
    /* Receives one line of text (no newline) on events worth a log: device chosen, variant refused, pool grown. May be
     * called from any thread that uses the context. */
    void (*log)(void *user, const char *line);
    void *log_user;
    /* A folder with .cl and .clh files used instead of the embedded kernels. NULL: CLMOE_KERNEL_DIR, else embedded. */
    const char *kernel_dir;
    /* Names of variants to refuse, separated by commas, added to those in CLMOE_DISABLE. */
    const char *disable;
    /* Limits lowered below the device's own; 0 = the device's. For tests and for sharing a device. */
    uint64_t max_alloc_bytes;     /* largest single buffer */
    uint64_t max_local_bytes;     /* local memory of a work-group */
    uint32_t max_work_group_size; /* work-items in a work-group */
    uint32_t vector_width;        /* f32 lanes of explicit vectors: 4, 8 or 16; 0 = CLMOE_VECTOR_WIDTH, else the device's */
    uint64_t max_workspace_bytes; /* arena of one workspace; a larger forward is done in passes */
    /* Names of variants to try before all others, in the library's order, added to those in CLMOE_PREFER. */
    const char *prefer;
    /* The cache of compiled kernels, explained below. */
    uint32_t cache;           /* clmoe_cache_mode; AUTO: as the environment variable CLMOE_CACHE says (auto, off, always) */
    uint32_t keep_for_pack;   /* 1: keep every entry in memory too, for clmoe_context_write_pack */
    const char *cache_dir;    /* its folder. NULL: CLMOE_CACHE_DIR, else this user's: $XDG_CACHE_HOME/clmoe or
                               * ~/.cache/clmoe, on Windows %LOCALAPPDATA%\clmoe\cache */
    uint64_t cache_max_bytes; /* of the folder; 0 = 256 MiB */
    /* The application's own store in place of the folder, if one of the two is set. Keys and values are plain bytes;
     * keys have 32, values up to some MiB. Both are called by any thread that creates objects of the context, several
     * at once, never by a forward; they must not call the library.
     *   get   returns the size of the key's value, 0 = there is none, and copies it to `value` if it is not larger than
     *         `capacity`; called with capacity 0 first. NULL: nothing is ever found
     *   put   keeps a copy of the value, replacing an older one; returns 1, or 0 if it cannot, after which it is not called
     *         again. NULL: nothing is kept */
    size_t (*cache_get)(void *user, const void *key, size_t key_bytes, void *value, size_t capacity);
    int (*cache_put)(void *user, const void *key, size_t key_bytes, const void *value, size_t value_bytes);
    void *cache_user;
    /* The user's file of tuned rows (<clmoe/clmoe_stages.h>, tuning), read when the context is created; "off": none. NULL:
     * CLMOE_TUNING, else $XDG_CONFIG_HOME/clmoe/tuning or ~/.config/clmoe/tuning, on Windows %APPDATA%\clmoe\tuning. Lines that
     * are damaged or for other devices are ignored; clmoe_context_describe and the log say why. */
    const char *tuning;
} clmoe_context_desc;

CLMOE_API void clmoe_context_desc_default(clmoe_context_desc *desc, size_t struct_size);

/* Opens a device. desc may be NULL for all defaults. *context is to be destroyed by the caller.
 * Errors: NO_OPENCL, NO_DEVICE (the message lists what there is), INVALID_ARGUMENT, OPENCL_ERROR, out of memory. */
CLMOE_API clmoe_status clmoe_context_create(const clmoe_context_desc *desc, clmoe_context **context, clmoe_error *error);
CLMOE_API void clmoe_context_destroy(clmoe_context *context);

/* The OpenCL objects behind a context, not retained for the caller: retain them to outlive it. Either may be NULL. */
CLMOE_API clmoe_status clmoe_context_opencl(const clmoe_context *context, cl_context *cl, cl_device_id *device,
                                            clmoe_error *error);

/* Device memory the library allocated itself: weights, workspaces, staging. All in bytes and counts since creation. */
typedef struct clmoe_memory_stats {
    size_t struct_size;
    uint64_t bytes_in_use;   /* held by live objects */
    uint64_t bytes_reserved; /* the same plus what the pool keeps for reuse */
    uint64_t high_water;     /* largest bytes_reserved so far */
    uint64_t requests;       /* allocations asked of the pool */
    uint64_t hits;           /* of those, served without an OpenCL call */
} clmoe_memory_stats;

CLMOE_API clmoe_status clmoe_context_memory(const clmoe_context *context, clmoe_memory_stats *stats, clmoe_error *error);

/* The cache. Compiled kernels and the verdicts of self-tests are kept between processes, each under a key made of all
 * that it depends on: source with its includes, options, library version, names and versions of platform, device and
 * driver. Binaries are taken when an object's creation has launched its kernels once, never during a forward. Entries
 * that are corrupt, cut short or foreign, or that the driver refuses, are made again and replaced. A cache that cannot
 * be read or written never fails a call: the log says it, the statistics count it.
 *
 * The folder may be used by any number of processes at once: files appear whole or not at all, and the entries that
 * were not used for longest are removed where it outgrows its limit. A driver loads as code what it finds there: only
 * users who may run code as this one should be able to write to it. */
typedef enum clmoe_cache_mode {
    CLMOE_CACHE_AUTO = 0,  /* binaries are read everywhere, taken where that is cheap: not on POCL, which compiles again for
                            * it (and keeps programs itself, to start less quickly from) */
    CLMOE_CACHE_OFF = 1,   /* nothing is read or written, packs included */
    CLMOE_CACHE_ALWAYS = 2 /* binaries are taken everywhere */
} clmoe_cache_mode;

/* What a context's cache did since creation. An entry is a program or a verdict. */
typedef struct clmoe_cache_stats {
    size_t struct_size;
    uint64_t hits;      /* entries found and sound */
    uint64_t pack_hits; /* of those, in packs */
    uint64_t misses;    /* entries looked for in vain */
    uint64_t stores;    /* entries written */
    uint64_t rejected;  /* entries found that were corrupt, foreign or refused by the driver */
    uint64_t evicted;   /* entries removed to keep the folder within its limit */
    uint64_t failures;  /* entries that could not be taken from the driver or written */
    uint64_t bytes_read, bytes_written;
} clmoe_cache_stats;

CLMOE_API clmoe_status clmoe_context_cache(const clmoe_context *context, clmoe_cache_stats *stats, clmoe_error *error);

/* A pack holds entries for one device and driver in one file, read-only, for an application to ship: where it fits,
 * the first start compiles nothing. Packs are looked into before the cache, the newest first. `clmoe-bench prebuild`
 * writes them, or a program of one's own: create a context with keep_for_pack, create the layers that will be needed,
 * write the pack.
 *
 * Adds a pack; the file must stay as it is until the context is destroyed. Errors: INVALID_FILE (missing, no pack,
 * damaged), UNSUPPORTED (made for another device, driver or library version: the message names both; or the cache is
 * off). After an error the context is as good as before: an application may try each pack it has. */
CLMOE_API clmoe_status clmoe_context_add_pack(clmoe_context *context, const char *path, clmoe_error *error);
/* Writes what the context has built or loaded so far. The file appears whole or not at all. Errors: INVALID_ARGUMENT
 * (the context was made without keep_for_pack), UNSUPPORTED (the cache is off), INVALID_FILE (cannot be written). */
CLMOE_API clmoe_status clmoe_context_write_pack(const clmoe_context *context, const char *path, clmoe_error *error);

/* Text about the device: names, driver, limits in use, variants and why better ones were refused. Writes at most
 * capacity bytes with a terminating 0 and stores the full length without it in *length (may be NULL); capacity 0 with
 * text NULL asks for the length. */
CLMOE_API clmoe_status clmoe_context_describe(const clmoe_context *context, char *text, size_t capacity, size_t *length,
                                              clmoe_error *error);

/* ----------------------------------------------------------------------------------------------- routing */

/* How experts are chosen from logits, as data. Every field is one axis of the rules the known models use; the
 * presets below name the combinations. All arithmetic is f32.
 *
 *   l  = logit * logit_scale;  if logit_softcap > 0: l = softcap * tanh(l / softcap)
 *   p  = score(l)                                     over all classes (score_position BEFORE)
 *   key = p + select_bias   or   l + select_bias      what is compared; the bias never enters the weight. Without a
 *         bias (and without TOP2_SUM groups) l is compared in either case, which orders the same and does not saturate;
 *         a MASK_ZERO of scores then is a MASK_NEG_INF of logits
 *   groups: experts in n_group equal runs; a group's score from its keys; the best topk_group stay, others are masked
 *   chosen = the top_k largest keys; equal keys: the lower index wins; NaN ranks below everything, -inf included
 *   w  = p[chosen], or score over the K chosen logits (score_position AFTER)
 *   w  = w / max(sum + norm_eps, norm_floor), or w / p-norm likewise;  w = w * scale * expert_scale[chosen]
 *
 * Weights come in slot order: slot 0 has the largest key. What is not finite: an infinite logit counts as the largest
 * finite number of its sign; a NaN logit takes no part in sums and is chosen only for want of numbers, then its weight
 * is NaN. A token's indices are always in range and differ from each other. */
typedef enum clmoe_method {
    CLMOE_TOP_K = 0,
    CLMOE_SPARSEMIXER = 1,  /* Phi-3.5-MoE, arXiv:2409.12136: top_k = 2, masks by sparsemixer_eps */
    CLMOE_EXPERT_CHOICE = 2 /* arXiv:2202.09368: every expert takes its ceil(T * capacity_factor / E) best tokens */
} clmoe_method;

typedef enum clmoe_score {
    CLMOE_SCORE_NONE = 0,
    CLMOE_SOFTMAX = 1,
    CLMOE_SIGMOID = 2,
    CLMOE_SQRT_SOFTPLUS = 3 /* sqrt(log(1 + exp(l))) */
} clmoe_score;

typedef enum clmoe_score_position { CLMOE_SCORE_BEFORE = 0, CLMOE_SCORE_AFTER = 1 } clmoe_score_position;
typedef enum clmoe_bias_on { CLMOE_BIAS_ON_SCORE = 0, CLMOE_BIAS_ON_LOGIT = 1 } clmoe_bias_on;
typedef enum clmoe_group_score { CLMOE_GROUP_MAX = 0, CLMOE_GROUP_TOP2_SUM = 1 } clmoe_group_score;
typedef enum clmoe_group_mask { CLMOE_MASK_NEG_INF = 0, CLMOE_MASK_ZERO = 1 } clmoe_group_mask;
typedef enum clmoe_normalize { CLMOE_NORM_NONE = 0, CLMOE_NORM_SUM = 1, CLMOE_NORM_P = 2 } clmoe_normalize;
typedef enum clmoe_weight_on { CLMOE_WEIGHT_ON_OUTPUT = 0, CLMOE_WEIGHT_ON_INPUT = 1 } clmoe_weight_on;

/* Classes, in logit order: num_experts experts with weights, then zero_experts identities (they add weight * x), then
 * skip_experts that add nothing. clmoe_routing_classes() is their sum, the logits' row length, at most 1024. */
typedef struct clmoe_routing {
    size_t struct_size;
    uint32_t num_experts;    /* 1..1024, of the whole model */
    uint32_t top_k;          /* 1..classes; ignored by expert choice */
    uint32_t method;         /* clmoe_method */
    uint32_t score;          /* clmoe_score; default softmax */
    uint32_t score_position; /* clmoe_score_position */
    uint32_t bias_on;        /* clmoe_bias_on: where the select_bias of the weights goes */
    float logit_scale;       /* default 1 */
    float logit_softcap;     /* 0 = none */
    uint32_t n_group;        /* 0 or 1 = no groups; must divide num_experts */
    uint32_t topk_group;     /* 1..n_group; top_k experts must fit in them */
    uint32_t group_score;    /* clmoe_group_score */
    uint32_t group_mask;     /* clmoe_group_mask */
    uint32_t normalize;      /* clmoe_normalize */
    float norm_eps;          /* added to the sum or norm */
    float norm_floor;        /* the divisor is at least this */
    float norm_p;            /* the p of the p-norm, > 0 */
    float scale;             /* default 1 */
    uint32_t weight_on;      /* clmoe_weight_on */
    uint32_t zero_experts;
    uint32_t skip_experts;
    uint32_t always_experts; /* the last n of num_experts are chosen for every token, in slots behind the top_k, and
                              * share in the normalisation (Inkling's shared experts) */
    float sparsemixer_eps;   /* the band of SPARSEMIXER, >= 0 */
    float capacity_factor;   /* of EXPERT_CHOICE, > 0 */
    uint32_t reserved[8];    /* 0: room to grow, because layer descriptions hold a clmoe_routing by value */
} clmoe_routing;

CLMOE_API void clmoe_routing_default(clmoe_routing *routing, size_t struct_size);
/* num_experts + zero_experts + skip_experts; 0 if the sum overflows. */
CLMOE_API uint32_t clmoe_routing_classes(const clmoe_routing *routing);
/* Slots a token has in index and weight arrays: top_k + always_experts; num_experts for expert choice. */
CLMOE_API uint32_t clmoe_routing_slots(const clmoe_routing *routing);
/* INVALID_ARGUMENT with the field's name if the combination has no meaning. */
CLMOE_API clmoe_status clmoe_routing_validate(const clmoe_routing *routing, clmoe_error *error);

/* Fills the rule of a model family, "mixtral", "deepseek_v3", "gpt_oss" ...: method, score, normalisation, masks; sizes
 * (num_experts, top_k, groups, scale) stay as they are. Where a family leaves it to its configuration, normalisation is
 * what the family's published checkpoints use. UNSUPPORTED lists the known names in the error's log. */
CLMOE_API clmoe_status clmoe_routing_preset(clmoe_routing *routing, const char *model, clmoe_error *error);
/* The i-th preset's name, NULL past the last. Static storage. */
CLMOE_API const char *clmoe_routing_preset_name(uint32_t i);

/* -------------------------------------------------------------------------------------------- activation */

typedef enum clmoe_activation_kind {
    CLMOE_SILU = 0,
    CLMOE_GELU = 1,      /* erf */
    CLMOE_GELU_TANH = 2,
    CLMOE_RELU = 3,
    CLMOE_RELU2 = 4,     /* relu squared */
    CLMOE_IDENTITY = 5
} clmoe_activation_kind;

typedef enum clmoe_limit_position { CLMOE_LIMIT_BEFORE = 0, CLMOE_LIMIT_AFTER = 1 } clmoe_limit_position;

/* h = act(g) * (u + up_offset), or act(u) when not gated. SILU is g * sigmoid(alpha * g). With limit > 0:
 *   BEFORE  g = min(g, limit), u = clamp(u, -limit, limit), then the above        (DeepSeek-V4, gpt-oss)
 *   AFTER   act(g) = min(act(g), limit), u clamped likewise                       (Step-3.5)
 * Not gated, only the upper limit applies, to u or to act(u).
 * With gate_softcap > 0 the gate's factor is softcap * tanh(g / softcap) * sigmoid(alpha * g), with up_softcap > 0 u is
 * capped likewise (Inkling-2). */
typedef struct clmoe_activation {
    uint32_t kind;  /* clmoe_activation_kind */
    uint32_t gated; /* 1: gate and up matrices (default), 0: up only */
    float alpha;    /* default 1; SILU only */
    float up_offset;
    float limit; /* 0 = none */
    uint32_t limit_position;
    float gate_softcap; /* 0 = none; SILU only */
    float up_softcap;
    uint32_t reserved[4];
} clmoe_activation;

/* ----------------------------------------------------------------------------------------------- weights */

typedef enum clmoe_layout {
    CLMOE_OUT_IN = 0, /* [out, in], as a linear layer's weight in PyTorch */
    CLMOE_IN_OUT = 1  /* [in, out] */
} clmoe_layout;

/* One factor for each block of a matrix: element (r, c) of the OUT_IN matrix is multiplied by
 * scale[r / block_rows][c / block_columns], [ceil(rows / block_rows), ceil(columns / block_columns)] without gaps.
 * DeepSeek-V3's fp8 has F32 scales of 128 x 128 blocks, mxfp4 has F8_E8M0 scales of 1 x 32. One of the sources is
 * set. */
typedef struct clmoe_scales {
    uint32_t format; /* clmoe_format: F32, F16, BF16 or F8_E8M0 */
    uint32_t block_rows, block_columns;
    uint32_t reserved;
    const void *host;                /* all experts, one behind the other */
    const void *const *host_list;    /* one pointer an expert */
    clmoe_buffer buffer;             /* device memory, one expert behind the other */
    const clmoe_buffer *buffer_list; /* one an expert */
} clmoe_scales;

/* One tensor for every expert. Exactly one of the sources is set; none = absent. */
typedef struct clmoe_pieces {
    const void *host;                /* all experts, one behind the other */
    const void *const *host_list;    /* one pointer an expert */
    clmoe_buffer buffer;             /* device memory, one expert behind the other */
    const clmoe_buffer *buffer_list; /* one an expert */
} clmoe_pieces;

/* How the codes of a matrix [N, K] lie in 32-bit words, 32 / bits to a word, the first in the lowest bits. */
typedef enum clmoe_code_order {
    CLMOE_CODES_GPTQ = 0, /* codes [K / w, N] of neighbouring k; scales [G, N]; zeros [G, N / w] of neighbouring columns */
    CLMOE_CODES_AWQ = 1,  /* codes [K, N / w] of neighbouring columns, the even ones of a word first (0 2 4 6 1 3 5 7);
                           * scales [G, N]; zeros [G, N / w] in the same order */
    CLMOE_CODES_ROWS = 2  /* codes [N, K / w] of neighbouring k; scales [N, G]; zeros [ceil(N / w), G] of neighbouring rows
                           * (compressed-tensors) */
} clmoe_code_order;

/* A matrix whose format is one of groups (CLMOE_U4_G32 ...), in tensors of its own for codes, scales and zero points,
 * as checkpoints have them. The tensor's sources are the words of codes, without gaps; its layout and strides stay 0.
 * G groups of group_size neighbouring k each, the last may be shorter; a group is one or several of the format's
 * blocks, which repeat its scale. N and K must be multiples of the codes in a word where those share one. */
typedef struct clmoe_groups {
    uint32_t order;        /* clmoe_code_order */
    uint32_t group_size;   /* k that share a scale, a multiple of the format's block; 0 = all of a row */
    uint32_t scale_format; /* F16; F32 and BF16 are rounded to it (BF16 from 2^-17 on keeps all its bits) */
    uint32_t zeros_less_1; /* 1: zero points are stored one less, words modulo 2^32, as GPTQ's first format has them */
    clmoe_pieces scales;
    clmoe_pieces zeros; /* given with the U formats, absent with the S formats */
} clmoe_groups;

/* A matrix or vector for every expert, on the host or in device memory. Exactly one of host, host_list, buffer and
 * buffer_list is set; none = the tensor is absent. Sources are read during the create call only. */
typedef struct clmoe_tensor {
    uint32_t format; /* clmoe_format of the source: F32, F16 or BF16; matrices also F8_E4M3, F4_E2M1 and block formats, these
                      * all in OUT_IN layout, with strides that are multiples of the values a block (or byte) holds */
    uint32_t layout; /* clmoe_layout */
    const void *host;                /* all experts, expert_stride apart */
    const void *const *host_list;    /* one pointer an expert */
    clmoe_buffer buffer;             /* device memory, expert_stride apart */
    const clmoe_buffer *buffer_list; /* one an expert */
    uint64_t expert_stride;          /* elements from one expert to the next; 0 = no gap */
    uint64_t row_stride;             /* elements from one stored row to the next; 0 = no gap */
    const clmoe_scales *scales;      /* NULL = none; for F8_E4M3 and F4_E2M1 in OUT_IN layout only */
    const clmoe_groups *groups;      /* NULL = none; a matrix in a format of groups, in separate tensors */
    uint64_t reserved;
} clmoe_tensor;

typedef enum clmoe_gate_up {
    CLMOE_GATE_UP_SEPARATE = 0,     /* `gate` [I, H] and `up` [I, H]; only `up` where not gated */
    CLMOE_GATE_UP_CONCATENATED = 1, /* `up` [2I, H]: all gate rows, then all up rows; `gate` absent */
    CLMOE_GATE_UP_INTERLEAVED = 2   /* `up` [2I, H]: gate and up rows take turns; `gate` absent */
} clmoe_gate_up;

/* One set of feed-forward experts. Shapes are for OUT_IN. Biases follow the arrangement of their matrices. */
typedef struct clmoe_ffn {
    uint32_t num_experts;       /* experts held here; for the shared experts 1 */
    uint32_t intermediate_size; /* I; 0 = this set is absent */
    uint32_t gated;
    uint32_t gate_up;       /* clmoe_gate_up */
    clmoe_tensor gate;      /* [I, H] */
    clmoe_tensor up;        /* [I, H] or [2I, H] */
    clmoe_tensor down;      /* [H, I] */
    clmoe_tensor gate_bias; /* [I], optional */
    clmoe_tensor up_bias;   /* [I] or [2I], optional */
    clmoe_tensor down_bias; /* [H], optional */
    /* [num_experts] each, in one place (host or buffer), optional: factors on the products with a matrix, before the
     * bias (nvfp4 files have them). Separate gate and up: both or neither; merged: up_scale is of both halves. */
    clmoe_tensor gate_scale, up_scale, down_scale;
    uint64_t reserved[8];   /* 0 */
} clmoe_ffn;

typedef struct clmoe_weights_desc {
    size_t struct_size;
    uint32_t hidden_size; /* H */
    /* clmoe_format in which matrices are kept (the router: always F32): F32, F16, BF16 or a block format that is no
     * mere source. F32, F16 and BF16 are quantised to Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q6_K and MXFP4, the bytes
     * ggml writes, and F8_E4M3 becomes F8_B128; no other conversion to a block format exists (UNSUPPORTED, as where in_features is no multiple of
     * the block's values). Default, for each matrix: its source's format if that is a block format, F16 for those that
     * are mere sources, F32 where gate and up differ in a block format; F8_B128 for F8_E4M3 where it takes the scales;
     * all others as experts.up, or as themselves where that has a block format, BF16 where that is a narrow one. */
    uint32_t format;
    uint32_t arithmetic;  /* clmoe_arithmetic; the experts' formats must allow it, shared and latent matrices that do not are
                           * computed in F32 */
    uint32_t num_classes; /* rows of router, router_bias, select_bias and expert_scale; 0 = none of them is given */
    clmoe_ffn experts;
    clmoe_ffn shared;           /* all shared experts as one, intermediate_size their sum */
    clmoe_tensor shared_gate;   /* [1, H]: the shared output is multiplied by sigmoid(x . shared_gate); optional */
    clmoe_tensor router;        /* [num_classes, H], kept in f32; optional where the caller brings logits or routes */
    clmoe_tensor router_bias;   /* [num_classes], added to the logits; optional */
    clmoe_tensor select_bias;   /* [num_classes], for selection only; optional */
    clmoe_tensor expert_scale;  /* [num_classes], factor on the weights; optional */
    clmoe_tensor output_bias;   /* [H], added to the block's output once a token (JetMoE); optional */
    /* Experts that work in a smaller space (Nemotron-H): they see latent_in . x and their weighted sum goes through
     * latent_out. The matrices of `experts` then have latent_size where H stands; router and shared experts see x.
     * 0 = none, and the tensors are absent. Not with zero_experts. */
    uint32_t latent_size; /* L */
    clmoe_tensor latent_in;  /* [L, H] */
    clmoe_tensor latent_out; /* [H, L] */
    /* Called when the source of a tensor (and of one expert of it) has been read and may be freed. NULL = no call. */
    void (*released)(void *user, const char *tensor, uint32_t expert);
    void *released_user;
    uint32_t allow_variance; /* 1: matrices may be packed for a variant whose results depend on the batch, as explained at
                              * clmoe_layer_desc.allow_variance, which must be 1 as well then */
} clmoe_weights_desc;

CLMOE_API void clmoe_weights_desc_default(clmoe_weights_desc *desc, size_t struct_size);

/* A layer's weights on the device, packed once, immutable, shareable by any number of layers and threads. */
typedef struct clmoe_weights clmoe_weights;

/* Packs weights on the device and waits for it. `desc->experts.num_experts` counts what is held here, which is the
 * whole model's or one device's share. Device memory: the packed tensors, columns rounded up to whole panels, and at
 * most 64 MiB of staging while it runs. Tensors larger than the largest single buffer are split in up to 8 buffers. */
CLMOE_API clmoe_status clmoe_weights_create(clmoe_context *context, const clmoe_weights_desc *desc, clmoe_weights **weights,
                                            clmoe_error *error);
CLMOE_API void clmoe_weights_destroy(clmoe_weights *weights);
/* Bytes of device memory they occupy. 0 for NULL. */
CLMOE_API uint64_t clmoe_weights_bytes(const clmoe_weights *weights);

/* ------------------------------------------------------------------------------------------------- layer */

typedef struct clmoe_layer_desc {
    size_t struct_size;
    clmoe_routing routing;
    clmoe_activation activation;        /* of the experts; gated must match the weights */
    clmoe_activation shared_activation; /* of the shared experts */
    uint32_t x_format;                  /* clmoe_format of x and router_input; default F32 */
    uint32_t out_format;                /* of out; default F32 */
    float routed_scale;                 /* factor on the routed sum; default 1 */
    float shared_scale;                 /* factor on the shared output; default 1 */
    uint32_t first_expert;              /* this device's share: weights hold experts [first_expert, + local_experts) */
    uint32_t local_experts;             /* 0 = all. Routes to other experts add nothing here */
    uint32_t omit_shared;               /* 1: leave shared experts, zero experts and output_bias to another device */
    /* 1: variants may be used that do not keep the fixed summation order. There is one, clblast/gemm: f32 weights of
     * experts, shared experts and latent space multiplied by CLBlast, a call for each expert that has rows, on machines
     * that have that library (it is looked up at run time). Which of its kernels runs depends on the number of an expert's
     * rows, so a token's result depends on its batch in its last bits; infinities and NaN are CLBlast's affair; and
     * clmoe_forward waits on the host until the experts' rows are counted. It is chosen only where the weights were packed
     * for it: with allow_variance in their description, for matrices for which a row of tuning says that it was measured
     * faster (own_percent below 100: its time in percent of the library's own variant's), or, without any
     * allow_variance, where CLMOE_PREFER or clmoe_context_desc.prefer names it. */
    uint32_t allow_variance;
} clmoe_layer_desc;

CLMOE_API void clmoe_layer_desc_default(clmoe_layer_desc *desc, size_t struct_size);

/* Weights and rule, ready to run: every kernel is compiled and proved when creation returns. Immutable. */
typedef struct clmoe_layer clmoe_layer;

CLMOE_API clmoe_status clmoe_layer_create(clmoe_context *context, clmoe_weights *weights, const clmoe_layer_desc *desc,
                                          clmoe_layer **layer, clmoe_error *error);
CLMOE_API void clmoe_layer_destroy(clmoe_layer *layer);
/* Text: the variant of each stage, and why better ones were refused. As clmoe_context_describe. */
CLMOE_API clmoe_status clmoe_layer_describe(const clmoe_layer *layer, char *text, size_t capacity, size_t *length,
                                            clmoe_error *error);

/* --------------------------------------------------------------------------------------------- workspace */

/* The memory and kernels one queue needs to run layers of one context. Any number of layers share it. */
typedef struct clmoe_workspace clmoe_workspace;

typedef struct clmoe_workspace_desc {
    size_t struct_size;
    clmoe_buffer memory;   /* the arena, if the caller owns it; absent: the library's, grown when needed */
    uint64_t memory_bytes; /* its size from memory.offset on */
} clmoe_workspace_desc;

CLMOE_API void clmoe_workspace_desc_default(clmoe_workspace_desc *desc, size_t struct_size);

/* desc may be NULL. The queue must belong to the context's cl_context and device; it is retained. In-order and
 * out-of-order queues both work. */
CLMOE_API clmoe_status clmoe_workspace_create(clmoe_context *context, cl_command_queue queue,
                                              const clmoe_workspace_desc *desc, clmoe_workspace **workspace,
                                              clmoe_error *error);
CLMOE_API void clmoe_workspace_destroy(clmoe_workspace *workspace);
/* Arena bytes for a forward of this many tokens in one pass. A smaller arena means passes with the same bits, down to
 * what one token needs. */
CLMOE_API clmoe_status clmoe_layer_workspace_bytes(const clmoe_layer *layer, uint32_t tokens, uint64_t *bytes,
                                                   clmoe_error *error);

/* ----------------------------------------------------------------------------------------------- forward */

/* What a forward reads and writes. x, out and tokens are required, the rest is optional. */
typedef struct clmoe_io {
    size_t struct_size;
    uint32_t tokens;        /* T, 0 allowed; below 2^31 / slots */
    uint32_t accumulate;    /* 1: out += result instead of out = result */
    clmoe_buffer x;         /* [T, H] in x_format */
    uint64_t x_stride;      /* elements from token to token; 0 = H */
    clmoe_buffer out;       /* [T, H] in out_format; must not overlap x */
    uint64_t out_stride;    /* 0 = H */
    clmoe_buffer token_count;   /* int32 [1]: how many of the T tokens are valid, known on the device only. It is
                                 * clamped to 0..T; rows behind it are neither read nor written */
    clmoe_buffer router_input;  /* [T, H] in x_format: what the router multiplies in place of x (Gemma-4) */
    uint64_t router_input_stride;
    clmoe_buffer logits;        /* f32 [T, classes] in place of the router */
    clmoe_buffer index;         /* int32 [T, slots] with weight, in place of the whole routing. -1 = unused slot; any
                                 * other value outside 0..classes-1 is taken as unused as well */
    clmoe_buffer weight;        /* f32 [T, slots] */
    clmoe_buffer out_index;     /* int32 [T, slots]: the chosen classes, -1 = unused. Not with index */
    clmoe_buffer out_weight;    /* f32 [T, slots]: their weights. Not with index */
    clmoe_buffer out_load;      /* int32 [classes]: tokens each class was chosen for, of all devices' experts */
    clmoe_buffer sequence_offsets;  /* reserved: must be absent */
    clmoe_buffer saved_activations; /* reserved: must be absent */
} clmoe_io;

CLMOE_API void clmoe_io_default(clmoe_io *io, size_t struct_size);

/* Enqueues a forward pass on `queue` and returns at once (it flushes, it never waits; with variants that need
 * clmoe_layer_desc.allow_variance, the host waits for the routing, on out-of-order queues also for each product).
 *   workspace  made for this queue, or NULL: the context keeps one for each queue it meets
 *   wait       n_wait events that the first kernel waits for
 *   done       NULL, or receives an event the caller releases; also for zero tokens
 * The caller keeps buffers of `io` unchanged until the event. Two runs give equal bits, and a token's result does not
 * depend on the other tokens (expert choice excepted). Any thread; calls on one workspace are serialised. */
CLMOE_API clmoe_status clmoe_forward(clmoe_layer *layer, clmoe_workspace *workspace, cl_command_queue queue,
                                     const clmoe_io *io, cl_uint n_wait, const cl_event *wait, cl_event *done,
                                     clmoe_error *error);

/* The same from host memory, finished when it returns: x [tokens, H] in x_format, y [tokens, H] in out_format. Uses a
 * queue and buffers that the layer keeps; concurrent calls on one layer take turns. */
CLMOE_API clmoe_status clmoe_forward_host(clmoe_layer *layer, const void *x, uint32_t tokens, void *y, clmoe_error *error);

/* --------------------------------------------------------------------------------------------- recordings */

/* A forward pass kept in a command buffer of the driver (cl_khr_command_buffer, versions 0.9 and 1.x), to be enqueued
 * again and again as one command: an engine that runs the same shapes in every step pays for the launches once.
 *
 * What is recorded is what clmoe_forward(layer, ..., queue, io, ...) would enqueue, and every replay gives its bits. A
 * replay reads and writes the buffers of `io` as they are then: contents may change between replays, the number of
 * tokens through io->token_count, of which io->tokens is the bound. Shapes, buffers, offsets and queue are fixed. */
typedef struct clmoe_recording clmoe_recording;

/* Records, and executes nothing.
 *   memory  the arena, as for clmoe_workspace_create; NULL: the recording has one of its own. Recordings may share
 *           memory if their replays never overlap, as on one queue
 *   queue   in order, else as for clmoe_workspace_create; every replay goes there. It is retained. Events tie replays to
 *           other queues, out-of-order ones too
 *   io      copied; its buffers are retained until the recording is destroyed
 * The recording keeps layer, weights and context alive. CLMOE_UNSUPPORTED names the device and what it lacks: the
 * extension, a version of it that is known, or its support for the queue's properties; or names what in the layer cannot
 * be recorded (experts through CLBlast). There is no fallback: clmoe_forward is for these. Any thread. */
CLMOE_API clmoe_status clmoe_record(clmoe_layer *layer, const clmoe_workspace_desc *memory, cl_command_queue queue,
                                    const clmoe_io *io, clmoe_recording **recording, clmoe_error *error);
/* Enqueues the recorded forward and returns at once, as clmoe_forward does: behind the n_wait events of `wait` and behind
 * the replay before; `done` is NULL, or receives an event the caller releases. Only where the device takes a command
 * buffer once at a time (it lacks the capability of simultaneous use) the call waits for the replay before to end. Any
 * thread; calls on one recording are serialised. */
CLMOE_API clmoe_status clmoe_replay(clmoe_recording *recording, cl_uint n_wait, const cl_event *wait, cl_event *done,
                                    clmoe_error *error);
/* Waits for replays that are still running. */
CLMOE_API void clmoe_recording_destroy(clmoe_recording *recording);

/* ------------------------------------------------------------------------------------------- expert load */

/* How evenly experts were used, from the counts of out_load copied to the host. */
typedef struct clmoe_load_stats {
    size_t struct_size;
    uint64_t total;          /* sum of the counts */
    uint32_t active_experts; /* count > 0 */
    uint32_t idle_experts;
    double max_over_mean;    /* 1 = perfectly even; 0 without rows */
    double entropy;          /* -sum p ln p, in nats; ln(num_experts) = perfectly even */
} clmoe_load_stats;

CLMOE_API clmoe_status clmoe_load_statistics(const int32_t *load, uint32_t num_experts, clmoe_load_stats *stats,
                                             clmoe_error *error);

#ifdef __cplusplus
}
#endif
#endif
