/* clmoe: the context: a device, the memory taken of it, and the cache of kernels compiled for it. Part of
 * <clmoe/clmoe.h>, whose conventions hold here. */
#ifndef CLMOE_CLMOE_CONTEXT_H
#define CLMOE_CLMOE_CONTEXT_H

#include <clmoe/clmoe_types.h>

#ifdef __cplusplus
extern "C" {
#endif

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
     * it lacks. Called only during clmoe_context_create. Also asked for CLBlastSgemm and CLBlastClearCache, which it
     * may lack: the system's CLBlast is not used then, for it might call another OpenCL. */
    void *(*get_symbol)(void *user, const char *name);
    void *get_symbol_user;
    /* Receives one line of text (no newline) on events worth a log: device chosen, variant refused, pool grown. May be
     * called from any thread that uses the context. */
    void (*log)(void *user, const char *line);
    void *log_user;
    /* A folder with .cl and .clh files used instead of the embedded kernels, which must exist. NULL: CLMOE_KERNEL_DIR,
     * else embedded. */
    const char *kernel_dir;
    /* Names of variants to refuse, separated by commas, added to those in CLMOE_DISABLE: "cpu/avx512_bf16", or the part
     * before or behind the '/', which stands for all that have it. clmoe_layer_describe says which one runs and why
     * others do not. A word that names no variant is an error, here and in the variable; the message lists the names.
     */
    const char *disable;
    /* Limits lowered below the device's own; 0 = the device's. For tests and for sharing a device. */
    uint64_t max_alloc_bytes;     /* largest single buffer */
    uint64_t max_local_bytes;     /* local memory of a work-group */
    uint32_t max_work_group_size; /* work-items in a work-group */
    uint32_t vector_width;        /* f32 lanes of explicit vectors: 4, 8, 16; 0 = CLMOE_VECTOR_WIDTH, else its own */
    uint64_t max_workspace_bytes; /* arena of one workspace; a larger forward is done in passes */
    /* Names, as in `disable`, of variants to try before all others, in the library's order, added to those in
     * CLMOE_PREFER. */
    const char *prefer;
    /* The cache of compiled kernels, explained below. */
    uint32_t cache;           /* clmoe_cache_mode; AUTO: as the variable CLMOE_CACHE says (auto, off, always) */
    uint32_t keep_for_pack;   /* 1: keep every entry in memory too, for clmoe_context_write_pack */
    const char *cache_dir;    /* its folder. NULL: CLMOE_CACHE_DIR, else this user's: $XDG_CACHE_HOME/clmoe or
                               * ~/.cache/clmoe, on Windows %LOCALAPPDATA%\clmoe\cache */
    uint64_t cache_max_bytes; /* of the folder; 0 = 256 MiB */
    /* The application's own store in place of the folder, if one of the two is set. Keys and values are plain bytes;
     * keys have 32, values up to some MiB. Both are called by any thread that creates objects of the context, several
     * at once, never by a forward; they must not call the library.
     *   get   returns the size of the key's value, 0 = there is none, and copies it to `value` if it is not larger than
     *         `capacity`; called with capacity 0 first. NULL: nothing is ever found
     *   put   keeps a copy of the value, replacing an older one; returns 1, or 0 if it cannot, after which it is not
     *         called again. NULL: nothing is kept */
    size_t (*cache_get)(void *user, const void *key, size_t key_bytes, void *value, size_t capacity);
    int (*cache_put)(void *user, const void *key, size_t key_bytes, const void *value, size_t value_bytes);
    void *cache_user;
    /* The user's file of tuned rows (<clmoe/clmoe_tuning.h>), read when the context is created; "off": none.
     * NULL: CLMOE_TUNING, else $XDG_CONFIG_HOME/clmoe/tuning or ~/.config/clmoe/tuning, on Windows
     * %APPDATA%\clmoe\tuning. Lines that are damaged or for other devices are ignored; clmoe_context_describe and the
     * log say why. */
    const char *tuning;
} clmoe_context_desc;

CLMOE_API void clmoe_context_desc_default(clmoe_context_desc *desc, size_t struct_size);

/* Opens a device. desc may be NULL for all defaults. *context is to be destroyed by the caller.
 * Errors: NO_OPENCL, NO_DEVICE (the message lists what there is), INVALID_ARGUMENT, OPENCL_ERROR, out of memory. */
CLMOE_API clmoe_status clmoe_context_create(const clmoe_context_desc *desc, clmoe_context **context,
                                            clmoe_error *error);
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

CLMOE_API clmoe_status clmoe_context_memory(const clmoe_context *context, clmoe_memory_stats *stats,
                                            clmoe_error *error);

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
    CLMOE_CACHE_AUTO = 0,  /* binaries are read everywhere, taken where that is cheap: not on POCL, which compiles all
                            * again for it, twice as long as the first time, and keeps programs itself (a layer from
                            * POCL's own cache takes 0.15 s, from this one 0.05 s) */
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

#ifdef __cplusplus
}
#endif
#endif
