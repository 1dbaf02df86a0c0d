/* POCL's threads pinned to CPUs, which only the environment can ask for. */
#ifndef CLMOE_TOOL_PIN_POCL_H
#define CLMOE_TOOL_PIN_POCL_H

/* Sets POCL_AFFINITY=1 where the user has not and the process may use the CPUs that POCL would pin its threads to. Must
 * come before the first OpenCL call. */
void pin_pocl(void);
/* What pin_pocl found, as one sentence. */
const char *pin_pocl_verdict(void);

#endif
