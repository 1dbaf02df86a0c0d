/* `clmoe-bench devices`: every OpenCL device, what the library knows about it, and which kernel variant it takes for
 * each stage of a layer, with the reasons against better ones. Calls the library. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "device_layer.h"
#include "pin_pocl.h"
#include "report.h"
#include "tool.h"

/* Text of unknown length from one of the library's describe functions; to be freed. NULL after a complaint. */
typedef clmoe_status (*describe_function)(const void *object, char *text, size_t capacity, size_t *length,
                                          clmoe_error *error);

static clmoe_status describe_context(const void *object, char *text, size_t capacity, size_t *length,
                                     clmoe_error *error) {
    return clmoe_context_describe(object, text, capacity, length, error);
}

static clmoe_status describe_one_layer(const void *object, char *text, size_t capacity, size_t *length,
                                       clmoe_error *error) {
    return clmoe_layer_describe(object, text, capacity, length, error);
}

static char *described(describe_function describe, const void *object) {
    clmoe_error error = {.struct_size = sizeof error};
    size_t length = 0;
    char *text = NULL;
    if (describe(object, NULL, 0, &length, &error) == CLMOE_OK) {
        text = malloc(length + 1);
        if (text != NULL && describe(object, text, length + 1, NULL, &error) == CLMOE_OK) return text;
    }
    free(text);
    complain_clmoe("describe", &error);
    return NULL;
}

/* Prints a text of several lines, indented. */
static void print_indented(const char *text, const char *indent) {
    while (*text != '\0') {
        const size_t length = strcspn(text, "\n");
        printf("%s%.*s\n", indent, (int)length, text);
        text += length + (text[length] == '\n');
    }
}

/* The stages of a small layer whose weights have this format. */
static int print_layer(session *s, uint32_t format) {
    model tiny = model_by_numbers();
    host_layer host;
    device_layer device = {0};
    tiny.hidden_size = 256; /* a block of any format */
    tiny.intermediate_size = 256;
    tiny.num_experts = 4;
    tiny.top_k = 2;
    int failed = host_layer_make(&tiny, format, 1, &host) || device_layer_add(s, &host, CLMOE_ARITHMETIC_AUTO, &device);
    if (!failed) {
        char *text = described(describe_one_layer, device.layers[0]);
        failed = text == NULL;
        if (text != NULL) {
            printf("    weights %s\n", format_name(format));
            print_indented(text, "      ");
        }
        free(text);
    }
    device_layer_free(&device);
    host_layer_free(&host);
    return failed;
}

static int print_device(const char *place, const char *heading) {
    static const uint32_t formats[] = {CLMOE_F32, CLMOE_BF16, CLMOE_F16, CLMOE_Q8_0, CLMOE_Q4_K};
    session s;
    printf("%s %s\n", place, heading);
    if (session_open(place, &s)) return 1;
    char *text = described(describe_context, s.context);
    int failed = text == NULL;
    if (text != NULL) print_indented(text, "    ");
    free(text);
    for (size_t i = 0; i < COUNT_OF(formats) && !failed; i++) failed = print_layer(&s, formats[i]);
    fflush(stdout);
    session_close(&s);
    return failed;
}

static int print_platform(cl_platform_id platform, cl_uint number, cl_uint *seen) {
    cl_device_id devices[64];
    cl_uint count = 0;
    int failed = 0;
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, COUNT_OF(devices), devices, &count) != CL_SUCCESS) return 0;
    for (cl_uint i = 0; i < count && i < COUNT_OF(devices); i++) {
        char place[32], name[256], version[256], heading[600];
        snprintf(place, sizeof place, "%u:%u", number, i);
        device_text(devices[i], CL_DEVICE_NAME, name, sizeof name);
        platform_text(devices[i], CL_PLATFORM_NAME, version, sizeof version);
        snprintf(heading, sizeof heading, "%s (%s)", name, version);
        failed |= print_device(place, heading);
        ++*seen;
    }
    return failed;
}

/* --device shows that one alone; --json has no meaning here and is refused by its value. */
int devices_command(const tool_args *args) {
    cl_platform_id platforms[32];
    cl_uint count = 0, seen = 0;
    int failed = 0;
    if (args->json != NULL) return complain("devices writes no JSON"), 2;
    if (args->device != NULL) {
        failed = print_device(args->device, "");
    } else {
        if (clGetPlatformIDs(COUNT_OF(platforms), platforms, &count) != CL_SUCCESS) count = 0;
        for (cl_uint i = 0; i < count && i < COUNT_OF(platforms); i++) failed |= print_platform(platforms[i], i, &seen);
        if (seen == 0) return complain("no OpenCL device on this system (Debian: install pocl-opencl-icd for the CPU)");
    }
    printf("%s\n", pin_pocl_verdict());
    return failed;
}
