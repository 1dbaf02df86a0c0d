/* What every program of the project needs: one way to complain, clocks, the names of formats. */
#ifndef CLMOE_TOOL_COMMON_H
#define CLMOE_TOOL_COMMON_H

#include <CL/cl.h>
#include <stdint.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* Prints "PROGRAM: ..." as one line on stderr and returns 1, the exit status of a failure. */
__attribute__((format(printf, 1, 2))) int complain(const char *format, ...);
/* The same for a failed OpenCL call. */
int complain_cl(const char *call, cl_int code);

/* Seconds of a clock that only moves forward. */
double now_seconds(void);
/* Seconds of CPU time that all threads of this process have had. */
double cpu_seconds(void);

/* "f32" and so on, of a clmoe_format; "none" for what is none. */
const char *format_name(uint32_t format);

#endif
