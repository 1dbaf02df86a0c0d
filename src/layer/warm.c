/* Launches a new stage's kernels once with nothing to do: some drivers compile at the first launch, and that belongs to
 * creation. May call src/opencl. */
#include "opencl/private_run.h"
#include "stages.h"

clmoe_status clmoe__warm(clmoe_context *context, void (*launch)(clmoe__run *run, void *stage), void *stage,
                         clmoe_error *error) {
    clmoe__private_run private_run;
    TRY(clmoe__private_run_begin(&private_run, context, error));
    private_run.run.warm = 1;
    launch(&private_run.run, stage);
    return clmoe__private_run_end(&private_run);
}
