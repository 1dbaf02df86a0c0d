/* Finds the OpenCL device a caller names, by kind, by number or by a part of its name. Calls the platform and device
 * queries of the table. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "info.h"
#include "os/error.h"
#include "os/os.h"

typedef struct candidate {
    cl_device_id id;
    cl_device_type type;
    unsigned platform, number; /* as in "PLATFORM:DEVICE" */
    int available;
    char name[128], platform_name[128];
} candidate;

typedef struct device_list {
    candidate *items;
    size_t count;
    char broken[128]; /* what the first platform that could not be read said */
} device_list;

static int equal_ignoring_case(const char *a, const char *b, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (tolower((unsigned char)a[i]) != tolower((unsigned char)b[i])) return 0;
    }
    return 1;
}

static int contains(const char *text, const char *part) {
    const size_t length = strlen(part);
    for (size_t i = 0; i + length <= strlen(text); i++) {
        if (equal_ignoring_case(text + i, part, length)) return 1;
    }
    return 0;
}

static int is_word(const char *text, const char *word) {
    return strlen(text) == strlen(word) && equal_ignoring_case(text, word, strlen(word));
}

/* "3:1": two decimal numbers and nothing else. */
static int parse_numbers(const char *text, unsigned *platform, unsigned *number) {
    int end = 0;
    if (!isdigit((unsigned char)text[0]) || strlen(text) > 12) return 0;
    if (sscanf(text, "%6u:%5u%n", platform, number, &end) != 2) return 0;
    return text[end] == '\0' && isdigit((unsigned char)strchr(text, ':')[1]);
}

static cl_int read_candidate(const clmoe__cl *cl, candidate *c) {
    cl_bool available = CL_FALSE;
    cl_int code = cl->clGetDeviceInfo(c->id, CL_DEVICE_TYPE, sizeof c->type, &c->type, NULL);
    if (code == CL_SUCCESS) code = cl->clGetDeviceInfo(c->id, CL_DEVICE_AVAILABLE, sizeof available, &available, NULL);
    if (code == CL_SUCCESS) code = clmoe__device_text(cl, c->id, CL_DEVICE_NAME, c->name, sizeof c->name);
    c->available = available != CL_FALSE;
    return code;
}

/* Appends the devices of one platform. What was appended before a failure stays and is whole. */
static cl_int list_platform(const clmoe__cl *cl, cl_platform_id platform, unsigned number, device_list *list) {
    char name[128] = "";
    cl_int code = clmoe__platform_text(cl, platform, CL_PLATFORM_NAME, name, sizeof name);
    if (code != CL_SUCCESS) return code;
    cl_uint count = 0;
    code = cl->clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &count);
    if (code == CL_DEVICE_NOT_FOUND || (code == CL_SUCCESS && count == 0)) return CL_SUCCESS;
    if (code != CL_SUCCESS) return code;

    candidate *items = realloc(list->items, (list->count + count) * sizeof *items);
    if (items == NULL) return CL_OUT_OF_HOST_MEMORY;
    list->items = items;
    cl_device_id *ids = calloc(count, sizeof *ids);
    if (ids == NULL) return CL_OUT_OF_HOST_MEMORY;
    code = cl->clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, ids, NULL);
    for (cl_uint i = 0; i < count && code == CL_SUCCESS; i++) {
        candidate *c = &list->items[list->count];
        memset(c, 0, sizeof *c);
        c->id = ids[i];
        c->platform = number;
        c->number = i;
        memcpy(c->platform_name, name, sizeof name);
        code = read_candidate(cl, c);
        if (code == CL_SUCCESS) list->count++;
    }
    free(ids);
    return code;
}

/* Lists what there is. A platform that fails is passed over, so that one broken driver does not hide the others. */
static clmoe_status list_devices(const clmoe__cl *cl, device_list *list, clmoe_error *error) {
    enum { PLATFORM_NOT_FOUND = -1001 }; /* the ICD loader's answer where no driver is installed */
    cl_uint count = 0;
    cl_int code = cl->clGetPlatformIDs(0, NULL, &count);
    if (code == PLATFORM_NOT_FOUND || (code == CL_SUCCESS && count == 0)) return CLMOE_OK;
    if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clGetPlatformIDs");
    cl_platform_id *platforms = calloc(count, sizeof *platforms);
    if (platforms == NULL)
        return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for %u platforms", count);
    code = cl->clGetPlatformIDs(count, platforms, NULL);
    if (code != CL_SUCCESS) {
        free(platforms);
        return clmoe__fail_cl(error, code, "clGetPlatformIDs");
    }
    for (cl_uint i = 0; i < count; i++) {
        code = list_platform(cl, platforms[i], i, list);
        if (code != CL_SUCCESS && list->broken[0] == '\0') {
            snprintf(list->broken, sizeof list->broken, "; platform %u fails with OpenCL error %d", i, (int)code);
        }
    }
    free(platforms);
    return CLMOE_OK;
}

static const candidate *first_of_type(const device_list *list, cl_device_type type) {
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].available && (list->items[i].type & type) != 0) return &list->items[i];
    }
    return NULL;
}

static const candidate *choose(const device_list *list, const char *text) {
    if (text == NULL) {
        const candidate *c = first_of_type(list, CL_DEVICE_TYPE_GPU);
        if (c == NULL) c = first_of_type(list, CL_DEVICE_TYPE_ACCELERATOR);
        if (c == NULL) c = first_of_type(list, CL_DEVICE_TYPE_CPU);
        return c;
    }
    if (is_word(text, "gpu")) return first_of_type(list, CL_DEVICE_TYPE_GPU);
    if (is_word(text, "cpu")) return first_of_type(list, CL_DEVICE_TYPE_CPU);
    unsigned platform = 0, number = 0;
    const int numbered = parse_numbers(text, &platform, &number);
    for (size_t i = 0; i < list->count; i++) {
        const candidate *c = &list->items[i];
        if (numbered ? c->platform == platform && c->number == number
                     : c->available && (contains(c->name, text) || contains(c->platform_name, text))) {
            return c;
        }
    }
    return NULL;
}

static const char *kind_of(const candidate *c) {
    if (!c->available) return "not available";
    if ((c->type & CL_DEVICE_TYPE_GPU) != 0) return "gpu";
    if ((c->type & CL_DEVICE_TYPE_ACCELERATOR) != 0) return "accelerator";
    return (c->type & CL_DEVICE_TYPE_CPU) != 0 ? "cpu" : "other";
}

static clmoe_status fail_with_list(const device_list *list, const char *text, int from_environment,
                                   clmoe_error *error) {
    const char *argument = from_environment ? "CLMOE_DEVICE" : "device";
    char all[360] = "";
    size_t used = 0;
    if (list->count == 0)
        return clmoe__fail(error, CLMOE_NO_DEVICE, argument,
                           "there is no OpenCL device: the loader found no driver that has one (POCL makes one of the "
                           "CPU)%s",
                           list->broken);
    for (size_t i = 0; i < list->count && used < sizeof all; i++) {
        const candidate *c = &list->items[i];
        const int n = snprintf(all + used, sizeof all - used, "%s%u:%u %s (%s, %s)", i == 0 ? "" : ", ", c->platform,
                               c->number, c->name, kind_of(c), c->platform_name);
        used += n > 0 ? (size_t)n : 0;
    }
    return clmoe__fail(error, CLMOE_NO_DEVICE, argument, "no OpenCL device matches %s\"%.64s\"; there is %s%s",
                       from_environment ? "CLMOE_DEVICE=" : "", text != NULL ? text : "gpu, accelerator or cpu", all,
                       list->broken);
}

clmoe_status clmoe__device_find(const clmoe__cl *cl, const char *text, cl_device_id *device, clmoe_error *error) {
    device_list list = {NULL, 0, ""};
    const int given = text != NULL && text[0] != '\0';
    if (!given) text = clmoe__os_env("CLMOE_DEVICE");
    clmoe__global_lock(); /* one thread starts the drivers, the others wait for it */
    clmoe_status status = list_devices(cl, &list, error);
    clmoe__global_unlock();
    if (status == CLMOE_OK) {
        const candidate *c = choose(&list, text);
        if (c != NULL) {
            *device = c->id;
        } else {
            status = fail_with_list(&list, text, !given && text != NULL, error);
        }
    }
    free(list.items);
    return status;
}
