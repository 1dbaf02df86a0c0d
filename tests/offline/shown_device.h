/* A device as its driver would show it, for compiling what the library would build there without having one. */
#ifndef CLMOE_TESTS_SHOWN_DEVICE_H
#define CLMOE_TESTS_SHOWN_DEVICE_H

#include <clmoe/clmoe.h>

typedef struct shown_device {
    const char *target; /* as compile.sh knows it */
    const char *name, *vendor, *extensions;
    size_t max_group;
    cl_ulong local_bytes;
    cl_uint capability[2];       /* NVIDIA: major, minor */
    size_t sub_groups[4];        /* Intel: sizes, smallest first, 0 behind the last */
    cl_bool dot_is_accelerated;  /* cl_khr_integer_dot_product in hardware */
    int is_core;                 /* one of its kind that stands for others */
    const char *disable;         /* variants that fail there, as clmoe_context_desc.disable has them; NULL: none */
} shown_device;

/* The i-th device, NULL past the last. */
const shown_device *shown_device_at(size_t i);

/* Programs are not built for the device behind it: each source comes here with its options instead. */
typedef void shown_program(void *user, const char *source, const char *options);

/* OpenCL as it would be on `device`: clmoe_context_desc.get_symbol with any user pointer. What is launched does
 * nothing. One thread, one device at a time. */
void shown_device_begin(const shown_device *device, shown_program *program, void *user);
void shown_device_end(void);
void *shown_symbol(void *user, const char *name);

#endif
