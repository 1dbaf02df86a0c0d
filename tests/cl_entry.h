/* OpenCL's own entry points by name: what a get_symbol with functions of its own hands on for the rest. */
#ifndef CLMOE_TESTS_CL_ENTRY_H
#define CLMOE_TESTS_CL_ENTRY_H

/* NULL: the library asks for none of that name. */
void *cl_entry(const char *name);

#endif
