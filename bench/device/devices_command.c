/* `clmoe-bench devices`: every OpenCL device, what the library knows about it, and which kernel variant it takes for
 * each stage of a layer, with the reasons against better ones. Calls the library. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common/tool.h"
#include "json_any_text.h"
#include "json_report.h"
#include "layer/device_layer.h"
#include "layer/layer_report.h"
#include "pin_pocl.h"

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

/* The lines of a text as a list. */
static void add_lines(json_t *object, const char *name, const char *text) {
    json_t *lines = put_list(object, name);
    while (*text != '\0') {
        char line[512];
        const size_t length = strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", (int)length, text);
        json_array_append_new(lines, json_any_text(line));
        text += length + (text[length] == '\n');
    }
}

/* Prints a text of several lines, indented. */
static void print_indented(const char *text, const char *indent) {
    while (*text != '\0') {
        const size_t length = strcspn(text, "\n");
        printf("%s%.*s\n", indent, (int)length, text);
        text += length + (text[length] == '\n');
    }
}

/* The stages of a small layer whose weights have this format; added to the row's list as well. */
static int print_layer(session *s, uint32_t format, json_t *layers) {
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
            json_t *object = put_row(layers);
            put_text(object, "weights", format_name(format));
            add_lines(object, "stages", text);
        }
        free(text);
    }
    device_layer_free(&device);
    host_layer_free(&host);
    return failed;
}

static int print_device(const char *place, const char *heading, json_t *rows) {
    static const uint32_t formats[] = {CLMOE_F32, CLMOE_BF16, CLMOE_F16, CLMOE_Q8_0, CLMOE_Q4_K};
    session s;
    if (heading[0] != '\0') printf("%s %s\n", place, heading);
    const int refused = session_open(place, &s);
    if (refused) return refused;
    if (heading[0] == '\0') printf("%s\n", s.name);
    char *text = described(describe_context, s.context);
    int failed = text == NULL;
    json_t *row = put_row(rows);
    put_text(row, "place", place);
    put_text(row, "name", s.name);
    put_count(row, "compute_units", s.compute_units);
    if (text != NULL) {
        print_indented(text, "    ");
        add_lines(row, "facts", text);
    }
    free(text);
    json_t *layers = put_list(row, "layers");
    for (size_t i = 0; i < COUNT_OF(formats) && !failed; i++) failed = print_layer(&s, formats[i], layers);
    fflush(stdout);
    session_close(&s);
    return failed;
}

static int print_platform(cl_platform_id platform, cl_uint number, cl_uint *seen, json_t *rows) {
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
        failed |= print_device(place, heading, rows);
        ++*seen;
    }
    return failed;
}

/* Every device, or the one that was asked for. */
static int print_devices(const char *wanted, json_t *rows) {
    cl_platform_id platforms[32];
    cl_uint count = 0, seen = 0;
    int failed = 0;
    if (wanted != NULL) return print_device(wanted, "", rows);
    if (clGetPlatformIDs(COUNT_OF(platforms), platforms, &count) != CL_SUCCESS) count = 0;
    for (cl_uint i = 0; i < count && i < COUNT_OF(platforms); i++)
        failed |= print_platform(platforms[i], i, &seen, rows);
    if (seen == 0) return complain("no OpenCL device on this system (Debian: install pocl-opencl-icd for the CPU)");
    return failed;
}

int devices_command(const tool_args *args) {
    json_t *root = json_report_start("devices", NULL, NULL);
    int failed = print_devices(args->device, put_list(root, "rows"));
    if (!failed) printf("%s\n", pin_pocl_verdict());
    put_text(json_object_get(root, "environment"), "pinning", pin_pocl_verdict());
    if (failed || args->json == NULL)
        json_decref(root);
    else
        failed = json_report_write(args->json, root);
    return failed;
}
