/* OpenCL entry points for contexts on oclgrind's device, around two gaps in its check for uninitialised values (21.10):
 * after a host write to a part of a buffer it takes the rest for uninitialised, whatever kernels wrote there, and it
 * knows too little of a buffer at an address that had been another's. So host writes are done by a kernel, and no
 * buffer is released. */
#ifndef CLMOE_TESTS_CHECKED_CL_H
#define CLMOE_TESTS_CHECKED_CL_H

/* For clmoe_context_desc.get_symbol. */
void *checked_symbol(void *user, const char *name);

#endif
