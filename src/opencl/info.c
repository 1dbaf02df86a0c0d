/* Texts about devices and platforms. Calls clGetDeviceInfo and clGetPlatformInfo through the table. */
#include "info.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* The whole text of a device (platform NULL) or a platform, as malloc'd memory. */
static cl_int read_text(const clmoe__cl *cl, cl_device_id device, cl_platform_id platform, cl_uint what, char **text) {
    size_t size = 0;
    cl_int code = platform != NULL ? cl->clGetPlatformInfo(platform, what, 0, NULL, &size)
                                   : cl->clGetDeviceInfo(device, what, 0, NULL, &size);
    if (code != CL_SUCCESS) return code;
    char *whole = calloc(size + 1, 1); /* one more: a 0 even where the driver forgets it */
    if (whole == NULL) return CL_OUT_OF_HOST_MEMORY;
    if (size > 0) {
        code = platform != NULL ? cl->clGetPlatformInfo(platform, what, size, whole, NULL)
                                : cl->clGetDeviceInfo(device, what, size, whole, NULL);
    }
    if (code != CL_SUCCESS) {
        free(whole);
        return code;
    }
    *text = whole;
    return CL_SUCCESS;
}

static cl_int copy_text(const clmoe__cl *cl, cl_device_id device, cl_platform_id platform, cl_uint what, char *text,
                        size_t capacity) {
    char *whole = NULL;
    const cl_int code = read_text(cl, device, platform, what, &whole);
    if (code != CL_SUCCESS) return code;
    const char *start = whole;
    while (isspace((unsigned char)*start)) start++;
    size_t length = strlen(start);
    while (length > 0 && isspace((unsigned char)start[length - 1])) length--;
    if (length >= capacity) length = capacity - 1;
    memcpy(text, start, length);
    text[length] = '\0';
    free(whole);
    return CL_SUCCESS;
}

cl_int clmoe__device_text(const clmoe__cl *cl, cl_device_id device, cl_device_info what, char *text, size_t capacity) {
    return copy_text(cl, device, NULL, what, text, capacity);
}

cl_int clmoe__platform_text(const clmoe__cl *cl, cl_platform_id platform, cl_platform_info what, char *text,
                            size_t capacity) {
    return copy_text(cl, NULL, platform, what, text, capacity);
}

cl_int clmoe__device_extension(const clmoe__cl *cl, cl_device_id device, const char *extension, int *has) {
    char *all = NULL;
    const cl_int code = read_text(cl, device, NULL, CL_DEVICE_EXTENSIONS, &all);
    if (code != CL_SUCCESS) return code;
    const size_t length = strlen(extension);
    *has = 0;
    for (const char *at = strstr(all, extension); at != NULL; at = strstr(at + length, extension)) {
        if ((at == all || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0')) *has = 1;
    }
    free(all);
    return CL_SUCCESS;
}
