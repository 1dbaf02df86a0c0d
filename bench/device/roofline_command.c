/* `clmoe-bench roofline`: prints and writes the limits of one device. */
#include "commands.h"
#include "layer/layer_report.h"
#include "progress.h"

int roofline_command(const tool_args *args) {
    session s;
    roofline *roof = NULL;
    peaks limits;
    progress_start(args->quiet);
    const int refused = session_open(args->device, &s);
    if (refused) return refused;
    progress("compiling the probes");
    int failed = roofline_open(s.cl, s.device, &roof);
    if (!failed) {
        progress("measuring");
        failed = roofline_measure(roof, 5, &limits);
    }
    progress_clear();
    if (!failed) print_peaks(&s, &limits);
    if (!failed && args->json != NULL) failed = write_roofline_json(args->json, &s, &limits);
    roofline_close(roof);
    session_close(&s);
    return failed;
}
