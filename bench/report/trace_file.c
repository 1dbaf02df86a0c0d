/* The trace format; see trace_file.h. Calls cJSON. */
#include "trace_file.h"

#include <stdio.h>
#include <string.h>

#include "common/tool.h"

#define LANES 64 /* later commands share the last one */

enum { EXECUTION = 1, WAIT = 2 };    /* processes */
enum { KERNELS = 1, TRANSFERS = 2 }; /* threads of execution */

double trace_us(const trace_event *first, uint64_t moment) {
    const uint64_t since = first->launch.queued;
    return moment >= since ? 1e-3 * (double)(moment - since) : -1e-3 * (double)(since - moment);
}

/* Whole nanoseconds, however long ago the first command was. */
static void add_us(cJSON *object, const char *name, double us) {
    char text[48];
    snprintf(text, sizeof text, "%.3f", us);
    cJSON_AddRawToObject(object, name, text);
}

static cJSON *add_event(cJSON *list, const char *name, const char *phase, int process, int thread) {
    cJSON *event = cJSON_CreateObject();
    cJSON_AddItemToArray(list, event);
    cJSON_AddStringToObject(event, "name", name);
    cJSON_AddStringToObject(event, "ph", phase);
    cJSON_AddNumberToObject(event, "pid", process);
    cJSON_AddNumberToObject(event, "tid", thread);
    return cJSON_AddObjectToObject(event, "args");
}

/* A name for a process (thread 0) or a thread. */
static void add_name(cJSON *list, int process, int thread, const char *name) {
    cJSON *args = add_event(list, thread == 0 ? "process_name" : "thread_name", "M", process, thread);
    cJSON_AddStringToObject(args, "name", name);
}

static void add_slice(cJSON *list, const trace_event *first, const trace_event *e, int process, int thread,
                      const char *category) {
    const clmoe_launch_time *l = &e->launch;
    const uint64_t from = process == WAIT ? l->queued : l->started, to = process == WAIT ? l->started : l->ended;
    cJSON *args = add_event(list, l->stage, "X", process, thread);
    cJSON *event = cJSON_GetArrayItem(list, cJSON_GetArraySize(list) - 1);
    cJSON_AddStringToObject(event, "cat", category);
    add_us(event, "ts", trace_us(first, from));
    add_us(event, "dur", to > from ? 1e-3 * (double)(to - from) : 0);
    if (e->bytes != 0) {
        cJSON_AddNumberToObject(args, "bytes", (double)e->bytes);
    } else {
        cJSON_AddStringToObject(args, "kernel", l->kernel);
        cJSON *global = cJSON_AddArrayToObject(args, "global_size"),
              *local = cJSON_AddArrayToObject(args, "local_size");
        for (size_t i = 0; i < 3; i++) {
            cJSON_AddItemToArray(global, cJSON_CreateNumber((double)l->global_size[i]));
            cJSON_AddItemToArray(local, cJSON_CreateNumber((double)l->local_size[i]));
        }
    }
    add_us(args, "queued_us", trace_us(first, l->queued));
    add_us(args, "submitted_us", trace_us(first, l->submitted));
    add_us(args, "started_us", trace_us(first, l->started));
    add_us(args, "ended_us", trace_us(first, l->ended));
}

/* The first lane whose last wait is over. */
static int free_lane(uint64_t busy_until[LANES], const clmoe_launch_time *l) {
    int lane = 0;
    while (lane + 1 < LANES && busy_until[lane] > l->queued) lane++;
    busy_until[lane] = l->started;
    return lane + 1;
}

void trace_events_add(cJSON *root, const trace_event *events, size_t count) {
    uint64_t busy_until[LANES] = {0};
    int lanes = 0;
    char name[32];
    cJSON_AddStringToObject(root, "displayTimeUnit", "ns");
    cJSON *list = cJSON_AddArrayToObject(root, "traceEvents");
    add_name(list, EXECUTION, 0, "execution");
    add_name(list, EXECUTION, KERNELS, "kernels");
    add_name(list, EXECUTION, TRANSFERS, "transfers");
    add_name(list, WAIT, 0, "queue wait");
    for (size_t i = 0; i < count; i++) {
        const trace_event *e = &events[i];
        const char *category = e->bytes != 0 ? "transfer" : "kernel";
        const int lane = free_lane(busy_until, &e->launch);
        add_slice(list, events, e, EXECUTION, e->bytes != 0 ? TRANSFERS : KERNELS, category);
        add_slice(list, events, e, WAIT, lane, category);
        lanes = lane > lanes ? lane : lanes;
    }
    for (int lane = 1; lane <= lanes; lane++) {
        snprintf(name, sizeof name, "lane %d", lane);
        add_name(list, WAIT, lane, name);
    }
}
