/* OpenCL entry points for contexts on oclgrind's device. After a host write to a part of a buffer its check for uninitialised
 * values forgets that kernels wrote the rest; here such writes are done by a kernel, which it follows correctly. */
#ifndef CLMOE_TESTS_CHECKED_CL_H
#define CLMOE_TESTS_CHECKED_CL_H

/* For clmoe_context_desc.get_symbol. */
void *checked_symbol(void *user, const char *name);

#endif
