/* What the files of fault_cl share: fault_cl.c (counting, plans, devices, queues, memory), fault_cl_programs.c and
 * fault_cl_commands.c. */
#ifndef CLMOE_TESTS_FAULT_CL_PARTS_H
#define CLMOE_TESTS_FAULT_CL_PARTS_H

#include "fault_cl.h"

typedef enum fault_kind { DEVICE, CONTEXT, QUEUE, MEM, PROGRAM, KERNEL, EVENT, COMMAND_BUFFER, KINDS } fault_kind;

/* Counts a call; whether it is to fail. */
int fault_fails(fault_entry entry);
void fault_made(fault_kind kind);
void fault_dropped(fault_kind kind);
/* NULL, the value stored in *code if that is wanted. */
void *fault_refuse(cl_int *code, cl_int value);
/* Releases the programs that are kept. */
void fault_finish_programs(void);

#define REFUSE(name) \
    if (fault_fails(ENTRY_##name)) return CL_OUT_OF_RESOURCES

/* The entry points, of the types that OpenCL gives them. */
#define FAULT_DECLARE(name) __typeof__(name) fault_##name;
CLMOE__CL_LIST(FAULT_DECLARE)
#undef FAULT_DECLARE

#endif
