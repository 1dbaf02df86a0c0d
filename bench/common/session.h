/* The device a subcommand works on, opened through the library, with queues of its own; and facts about machine and
 * software for the reports. */
#ifndef CLMOE_BENCH_SESSION_H
#define CLMOE_BENCH_SESSION_H

#include <clmoe/clmoe.h>

typedef struct session {
    clmoe_context *context;
    cl_context cl;                    /* the context's */
    cl_device_id device;              /* the context's */
    cl_command_queue queue, profiled; /* in order; the second measures its launches */
    int is_cpu;
    cl_uint compute_units;
    char name[256];
} session;

/* device as in clmoe_context_desc. 0; after a complaint 2 if the device that was named is not there, else 1. */
int session_open(const char *device, session *s);
void session_close(session *s);
/* The same, keeping every program for clmoe_context_write_pack. */
int session_open_for_pack(const char *device, session *s);
/* The same without the user's file of tuned rows. */
int session_open_untuned(const char *device, session *s);
/* The same on an OpenCL context and device that exist, and outlive the session: a part of a device, for example. */
int session_adopt(cl_context context, cl_device_id device, session *s);

/* A complaint about a call of the library; returns 1. */
int complain_clmoe(const char *what, const clmoe_error *error);

/* Bytes that can still be had: of the host for CPU devices, else what the device has in all. 0 = unknown. */
uint64_t memory_available(const session *s);

/* One string of device or platform; "" where it cannot be had. */
void device_text(cl_device_id device, cl_device_info what, char *text, size_t capacity);
void platform_text(cl_device_id device, cl_platform_info what, char *text, size_t capacity);

/* The processor's name by the system; "" if it does not say. */
void cpu_name(char *text, size_t capacity);

/* Environment variables that change results; name of the i-th, NULL past the last. */
const char *environment_variable(size_t i);

#endif
