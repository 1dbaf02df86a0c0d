/* A device's limits over time; see device_limits.h. Calls roofline. */
#include "device_limits.h"

#include <string.h>

#include "common/tool.h"
#include "progress.h"

#define FIRST_ROUNDS 3
#define JUST_SECONDS 2 /* a measurement takes a quarter of a second, short rows less */

static int measure(limits *l, int rounds) {
    peaks now;
    progress("measuring the device's limits");
    if (roofline_measure(l->roof, rounds, &now)) return 1;
    peaks_improve(&l->best, &now);
    l->measured_at = now_seconds();
    return 0;
}

int limits_open(const session *s, limits *l) {
    memset(l, 0, sizeof *l);
    progress("compiling the probes");
    return roofline_open(s->cl, s->device, &l->roof) || measure(l, FIRST_ROUNDS);
}

int limits_refresh(limits *l) { return now_seconds() - l->measured_at >= JUST_SECONDS && measure(l, 1); }

void limits_close(limits *l) {
    roofline_close(l->roof);
    memset(l, 0, sizeof *l);
}
