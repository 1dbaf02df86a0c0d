/* Bandwidth while something else is timed; see read_watch.h. */
#include "read_watch.h"

#include "common/tool.h"

int read_watch_between(void *watch, double share) {
    read_watch *w = watch;
    if (w->count == READ_WATCH_PROBES || share < (double)w->count / READ_WATCH_PROBES) return 0;
    return roofline_launch(w->roof, PEAK_READ, &w->rates[w->count++]);
}

double read_watch_gbps(read_watch *watch) { return median(watch->rates, watch->count); }
