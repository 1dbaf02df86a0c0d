/* The trace format; see trace_file.h. Calls Jansson. */
#include "trace_file.h"

#include <math.h>
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
static void add_us(json_t *object, const char *name, double us) {
    json_object_set_new(object, name, json_real(round(1e3 * us) / 1e3));
}

static json_t *add_event(json_t *list, const char *name, const char *phase, int process, int thread) {
    json_t *event = put_row(list);
    put_text(event, "name", name);
    put_text(event, "ph", phase);
    put_count(event, "pid", (uint64_t)process);
    put_count(event, "tid", (uint64_t)thread);
    return put_object(event, "args");
}

/* A name for a process (thread 0) or a thread. */
static void add_name(json_t *list, int process, int thread, const char *name) {
    json_t *args = add_event(list, thread == 0 ? "process_name" : "thread_name", "M", process, thread);
    put_text(args, "name", name);
}

static void add_slice(json_t *list, const trace_event *first, const trace_event *e, int process, int thread,
                      const char *category) {
    const clmoe_launch_time *l = &e->launch;
    const uint64_t from = process == WAIT ? l->queued : l->started, to = process == WAIT ? l->started : l->ended;
    json_t *args = add_event(list, l->stage, "X", process, thread);
    json_t *event = json_array_get(list, json_array_size(list) - 1);
    put_text(event, "cat", category);
    add_us(event, "ts", trace_us(first, from));
    add_us(event, "dur", to > from ? 1e-3 * (double)(to - from) : 0);
    if (e->bytes != 0) {
        put_count(args, "bytes", e->bytes);
    } else {
        put_text(args, "kernel", l->kernel);
        json_t *global = put_list(args, "global_size"),
              *local = put_list(args, "local_size");
        for (size_t i = 0; i < 3; i++) {
            json_array_append_new(global, json_integer((json_int_t)l->global_size[i]));
            json_array_append_new(local, json_integer((json_int_t)l->local_size[i]));
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

void trace_events_add(json_t *root, const trace_event *events, size_t count) {
    uint64_t busy_until[LANES] = {0};
    int lanes = 0;
    char name[32];
    put_text(root, "displayTimeUnit", "ns");
    json_t *list = put_list(root, "traceEvents");
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
