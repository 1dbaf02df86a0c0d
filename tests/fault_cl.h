/* OpenCL entry points that count, that fail on demand, and that know how many objects are alive: what a context gets
 * through clmoe_context_desc.get_symbol. Programs and the cl_context are kept behind them for the whole process, so
 * that thousands of contexts in a row compile every kernel once. */
#ifndef CLMOE_TESTS_FAULT_CL_H
#define CLMOE_TESTS_FAULT_CL_H

#include <clmoe/clmoe.h>

#include "opencl/command_buffer.h"

typedef enum fault_entry {
#define FAULT_ENTRY(name) ENTRY_##name,
    CLMOE__CL_LIST(FAULT_ENTRY)
    CLMOE__COMMAND_BUFFER_LIST(FAULT_ENTRY)
#undef FAULT_ENTRY
    FAULT_ENTRIES
} fault_entry;

/* For clmoe_context_desc.get_symbol. */
void *fault_symbol(void *user, const char *name);

const char *fault_name(fault_entry entry);
/* Forgets all counts and plans. Nothing may be alive. */
void fault_reset(void);
/* The nth call (from 1) of this entry will fail; calls of FAULT_ENTRIES: the nth call of any entry. 0: none. */
void fault_plan(fault_entry entry, unsigned nth);
/* Whether the planned call came, and whether it was one of this entry. */
int fault_happened(void);
int fault_happened_in(fault_entry entry);
unsigned fault_calls(fault_entry entry);

/* Objects created or retained, not yet released, through these entry points. */
typedef struct fault_live {
    int devices, contexts, queues, mems, programs, kernels, events, command_buffers;
} fault_live;
fault_live fault_alive(void);
/* Releases an event the library handed to its caller. */
void fault_release_event(cl_event event);
/* The context all fault contexts share; NULL before the first. */
cl_context fault_shared_context(void);
/* Releases what is kept for the process. */
void fault_finish(void);

#endif
