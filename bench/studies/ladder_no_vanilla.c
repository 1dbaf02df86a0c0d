/* The lowest rung where the build found no CLBlast: it says so; see ladder.h. Calls nothing of it. */
#include <stdio.h>

#include "common/tool.h"
#include "ladder.h"

int vanilla_open(ladder *l, const rung *r, void **state, char *why, size_t capacity) {
    (void)l, (void)r, (void)state;
    snprintf(why, capacity, "this program was built without CLBlast (Debian: libclblast-dev)");
    return 2;
}

int vanilla_forward(ladder *l, void *state, size_t i) {
    (void)l, (void)state, (void)i;
    return complain("this program was built without CLBlast");
}

void vanilla_close(ladder *l, void *state) { (void)l, (void)state; }

double vanilla_moved(const ladder *l, const void *state, double active) {
    (void)l, (void)state, (void)active;
    return 0;
}
