/* Errors as values, and the versioned structs of the public interface. Calls nothing but the C library. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "size.h"

/* A caller's struct is never larger than this; a larger struct_size is memory that nobody initialised. */
#define STRUCT_SIZE_MAX 65536u

/* How much of the caller's error may be written. */
static size_t error_capacity(const clmoe_error *error) {
    return error->struct_size == 0 || error->struct_size > sizeof *error ? sizeof *error : error->struct_size;
}

/* Copies what the caller's struct has room for; struct_size stays his. */
static void error_store(clmoe_error *error, const clmoe_error *from) {
    const size_t first = offsetof(clmoe_error, status);
    const size_t capacity = error_capacity(error);
    if (capacity > first) memcpy((char *)error + first, (const char *)from + first, capacity - first);
}

/* Names out of files and drivers may hold control characters, which a terminal would obey. */
static void make_printable(char *text) {
    for (; *text != '\0'; ++text) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = '?';
    }
}

static void error_write(clmoe_error *error, clmoe_status status, cl_int code, const char *argument, const char *format,
                        va_list list) {
    clmoe_error full;
    memset(&full, 0, sizeof full);
    full.status = status;
    full.cl_code = code;
    if (argument != NULL) (void)snprintf(full.argument, sizeof full.argument, "%s", argument);
    (void)vsnprintf(full.message, sizeof full.message, format, list);
    make_printable(full.argument);
    make_printable(full.message);
    error_store(error, &full);
}

clmoe_status clmoe__fail(clmoe_error *error, clmoe_status status, const char *argument, const char *format, ...) {
    if (error == NULL) return status;
    va_list list;
    va_start(list, format);
    error_write(error, status, 0, argument, format, list);
    va_end(list);
    return status;
}

/* X(code): the OpenCL codes a caller may meet, by name. */
#define CL_CODE_LIST(X)                             \
    X(CL_DEVICE_NOT_FOUND)                          \
    X(CL_DEVICE_NOT_AVAILABLE)                      \
    X(CL_COMPILER_NOT_AVAILABLE)                    \
    X(CL_MEM_OBJECT_ALLOCATION_FAILURE)             \
    X(CL_OUT_OF_RESOURCES)                          \
    X(CL_OUT_OF_HOST_MEMORY)                        \
    X(CL_PROFILING_INFO_NOT_AVAILABLE)              \
    X(CL_MEM_COPY_OVERLAP)                          \
    X(CL_BUILD_PROGRAM_FAILURE)                     \
    X(CL_MISALIGNED_SUB_BUFFER_OFFSET)              \
    X(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST) \
    X(CL_COMPILE_PROGRAM_FAILURE)                   \
    X(CL_LINKER_NOT_AVAILABLE)                      \
    X(CL_LINK_PROGRAM_FAILURE)                      \
    X(CL_KERNEL_ARG_INFO_NOT_AVAILABLE)             \
    X(CL_INVALID_VALUE)                             \
    X(CL_INVALID_DEVICE_TYPE)                       \
    X(CL_INVALID_PLATFORM)                          \
    X(CL_INVALID_DEVICE)                            \
    X(CL_INVALID_CONTEXT)                           \
    X(CL_INVALID_QUEUE_PROPERTIES)                  \
    X(CL_INVALID_COMMAND_QUEUE)                     \
    X(CL_INVALID_HOST_PTR)                          \
    X(CL_INVALID_MEM_OBJECT)                        \
    X(CL_INVALID_BINARY)                            \
    X(CL_INVALID_BUILD_OPTIONS)                     \
    X(CL_INVALID_PROGRAM)                           \
    X(CL_INVALID_PROGRAM_EXECUTABLE)                \
    X(CL_INVALID_KERNEL_NAME)                       \
    X(CL_INVALID_KERNEL_DEFINITION)                 \
    X(CL_INVALID_KERNEL)                            \
    X(CL_INVALID_ARG_INDEX)                         \
    X(CL_INVALID_ARG_VALUE)                         \
    X(CL_INVALID_ARG_SIZE)                          \
    X(CL_INVALID_KERNEL_ARGS)                       \
    X(CL_INVALID_WORK_DIMENSION)                    \
    X(CL_INVALID_WORK_GROUP_SIZE)                   \
    X(CL_INVALID_WORK_ITEM_SIZE)                    \
    X(CL_INVALID_GLOBAL_OFFSET)                     \
    X(CL_INVALID_EVENT_WAIT_LIST)                   \
    X(CL_INVALID_EVENT)                             \
    X(CL_INVALID_OPERATION)                         \
    X(CL_INVALID_BUFFER_SIZE)                       \
    X(CL_INVALID_GLOBAL_WORK_SIZE)                  \
    X(CL_INVALID_PROPERTY)                          \
    X(CL_INVALID_COMPILER_OPTIONS)                  \
    X(CL_INVALID_LINKER_OPTIONS)                    \
    X(CL_INVALID_DEVICE_PARTITION_COUNT)

/* CLBlast's own; it shares those above with OpenCL. */
static const char *clblast_code_name(cl_int code) {
    static const struct {
        cl_int code;
        const char *name;
    } names[] = {{-1024, "CLBlastNotImplemented"},           {-1022, "CLBlastInvalidMatrixA"},
                 {-1021, "CLBlastInvalidMatrixB"},           {-1020, "CLBlastInvalidMatrixC"},
                 {-1017, "CLBlastInvalidDimension"},         {-1016, "CLBlastInvalidLeadDimA"},
                 {-1015, "CLBlastInvalidLeadDimB"},          {-1014, "CLBlastInvalidLeadDimC"},
                 {-1011, "CLBlastInsufficientMemoryA"},      {-1010, "CLBlastInsufficientMemoryB"},
                 {-1009, "CLBlastInsufficientMemoryC"},      {-2050, "CLBlastInsufficientMemoryTemp"},
                 {-2048, "CLBlastInvalidOverrideKernel"},    {-2047, "CLBlastMissingOverrideParameter"},
                 {-2046, "CLBlastInvalidLocalMemUsage"},     {-2045, "CLBlastNoHalfPrecision"},
                 {-2041, "CLBlastDatabaseError"},            {-2040, "CLBlastUnknownError"},
                 {-2039, "CLBlastUnexpectedError"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code) return names[i].name;
    return "unknown code";
}

static const char *cl_code_name(cl_int code) {
    switch (code) {
#define CL_CODE_NAME(name) \
    case name: return #name;
        CL_CODE_LIST(CL_CODE_NAME)
#undef CL_CODE_NAME
        case -1001: return "CL_PLATFORM_NOT_FOUND_KHR";
        default: return clblast_code_name(code);
    }
}

static clmoe_status cl_code_status(cl_int code) {
    switch (code) {
        case CL_OUT_OF_HOST_MEMORY: return CLMOE_OUT_OF_HOST_MEMORY;
        case CL_MEM_OBJECT_ALLOCATION_FAILURE:
        case CL_OUT_OF_RESOURCES: return CLMOE_OUT_OF_DEVICE_MEMORY;
        case CL_BUILD_PROGRAM_FAILURE:
        case CL_COMPILE_PROGRAM_FAILURE:
        case CL_LINK_PROGRAM_FAILURE: return CLMOE_BUILD_FAILED;
        case -2046: return CLMOE_UNSUPPORTED; /* CLBlast needs more local memory than there is */
        case CL_DEVICE_NOT_FOUND:
        case -1001: return CLMOE_NO_DEVICE;
        default: return CLMOE_OPENCL_ERROR;
    }
}

static void fail_cl_write(clmoe_error *error, clmoe_status status, cl_int code, const char *format, ...)
    CLMOE__PRINTF(4, 5);
static void fail_cl_write(clmoe_error *error, clmoe_status status, cl_int code, const char *format, ...) {
    va_list list;
    va_start(list, format);
    error_write(error, status, code, NULL, format, list);
    va_end(list);
}

clmoe_status clmoe__fail_cl(clmoe_error *error, cl_int code, const char *call) {
    const clmoe_status status = cl_code_status(code);
    if (error != NULL) fail_cl_write(error, status, code, "%s: %d (%s)", call, (int)code, cl_code_name(code));
    return status;
}

void clmoe__error_log(clmoe_error *error, const char *log) {
    if (error == NULL || log == NULL) return;
    const size_t start = offsetof(clmoe_error, log);
    const size_t capacity = error_capacity(error);
    if (capacity < start + sizeof error->log) return; /* this caller's version has no log */
    const size_t length = strlen(log);
    const size_t room = sizeof error->log - 1;
    /* The end of a build log says what stopped the build. */
    (void)snprintf(error->log, sizeof error->log, "%s", length > room ? log + (length - room) : log);
}

#define PATH_SHOWN 200u
#if defined(_WIN32)
#define PATH_SEPARATORS "/\\"
#else
#define PATH_SEPARATORS "/"
#endif

const char *clmoe__path_end(const char *path) {
    const size_t length = strlen(path);
    if (length <= PATH_SHOWN) return path;
    path += length - PATH_SHOWN;
    while (((unsigned char)*path & 0xc0) == 0x80) ++path; /* not in the middle of a UTF-8 sequence */
    return path;
}

const char *clmoe__path_name(const char *path) {
    const char *name = path;
    for (; *path != '\0'; ++path) {
        if (strchr(PATH_SEPARATORS, *path) != NULL && path[1] != '\0') name = path + 1;
    }
    return name;
}

clmoe_status clmoe__take(void *to, size_t size, const void *from, const char *name, clmoe_error *error) {
    size_t given;
    REQUIRE(from != NULL, error, name, "%s is NULL", name);
    memcpy(&given, from, sizeof given);
    REQUIRE(given >= sizeof given && given <= STRUCT_SIZE_MAX, error, name,
            "%s.struct_size is %zu, expected %zu: fill the struct with its _default function first", name, given, size);
    for (size_t i = size; i < given; ++i) {
        REQUIRE(((const unsigned char *)from)[i] == 0, error, name,
                "%s sets byte %zu, but this version of the library knows only %zu bytes of it", name, i, size);
    }
    memcpy(to, from, given < size ? given : size);
    memcpy(to, &size, sizeof size);
    return CLMOE_OK;
}

void clmoe__give(void *to, size_t struct_size, const void *defaults, size_t size) {
    if (to == NULL || struct_size < sizeof struct_size) return;
    memset(to, 0, struct_size); /* fields that only a newer caller has are 0, which clmoe__take accepts */
    memcpy(to, defaults, struct_size < size ? struct_size : size);
    memcpy(to, &struct_size, sizeof struct_size);
}
