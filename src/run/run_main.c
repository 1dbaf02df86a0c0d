/* clmoe-run: one Mixture-of-Experts layer of a model, from file to file; see run.h. */
#include "pin_pocl.h"
#include "run.h"

int main(int argc, char **argv) {
    run_args args;
    pin_pocl();
    const int status = run_args_read(argc, argv, &args);
    if (status != 0) return status;
    return args.list ? run_list(&args) : run_layer(&args);
}
