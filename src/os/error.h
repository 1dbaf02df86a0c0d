/* Errors as values: fills the caller's clmoe_error and hands the status back. Called by every folder of src/. */
#ifndef CLMOE_OS_ERROR_H
#define CLMOE_OS_ERROR_H

#include <clmoe/clmoe.h>

#if defined(__MINGW32__)
#include <stdio.h> /* says which printf this is, C11's or Microsoft's */
#define CLMOE__PRINTF(format_index, first) __attribute__((format(__MINGW_PRINTF_FORMAT, format_index, first)))
#elif defined(__GNUC__)
#define CLMOE__PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define CLMOE__PRINTF(format_index, first)
#endif

/* Writes the detail into *error (may be NULL) and returns `status`. `argument` may be NULL. Control characters become
 * '?'. */
clmoe_status clmoe__fail(clmoe_error *error, clmoe_status status, const char *argument, const char *format, ...)
    CLMOE__PRINTF(4, 5);
/* The same for a failed OpenCL call: maps the code to a status and names call and code, "clCreateBuffer: -61
 * (CL_...)". */
clmoe_status clmoe__fail_cl(clmoe_error *error, cl_int code, const char *call);
/* Adds the end of a build log to an error already written. */
void clmoe__error_log(clmoe_error *error, const char *log);

/* The end of a path, short enough for a message to hold what follows it; the path itself if it is short. */
const char *clmoe__path_end(const char *path);
/* The last part of a path: "config.json". */
const char *clmoe__path_name(const char *path);

/* Returns from the calling function with an INVALID_ARGUMENT that names the argument if `condition` holds. */
#define REQUIRE(condition, error, argument, ...)                                               \
    do {                                                                                       \
        if (!(condition)) return clmoe__fail((error), CLMOE_INVALID_ARGUMENT, (argument), __VA_ARGS__); \
    } while (0)

/* Passes a failure on to the caller. */
#define TRY(call)                                  \
    do {                                           \
        const clmoe_status try_status_ = (call);   \
        if (try_status_ != CLMOE_OK) return try_status_; \
    } while (0)

/* Copies a caller's versioned struct over `to`, which holds this version's defaults: min(*from, size) bytes; then sets
 * the size of this version. Fails if a newer caller set bytes this version does not know. */
clmoe_status clmoe__take(void *to, size_t size, const void *from, const char *name, clmoe_error *error);
/* The start of every *_default(): zeroes min(struct_size, size) bytes' worth of struct and stores its size. Copies
 * `defaults` (a struct of this version, `size` bytes), truncated to what the caller has. */
void clmoe__give(void *to, size_t struct_size, const void *defaults, size_t size);

#endif
