/* A short header in place of a driver's own: some drivers read declarations of all of OpenCL C before every program,
 * from the cache or not, and that is most of the time a build takes. */
#ifndef CLMOE_OPENCL_SHORT_HEADER_H
#define CLMOE_OPENCL_SHORT_HEADER_H

#include "device.h"

typedef struct clmoe__short_header {
    const char *option; /* keeps the driver from reading its own */
    const char *text;   /* goes before the program */
    size_t length;
} clmoe__short_header;

/* The one for this device's driver; option is NULL where programs are built as they are. */
clmoe__short_header clmoe__short_header_for(const clmoe__device *device);

#endif
