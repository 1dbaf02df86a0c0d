/* One line of progress on a terminal; see progress.h. */
#define _POSIX_C_SOURCE 200809L
#include "progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static int on, shown;

void progress_start(int quiet) { on = !quiet && isatty(STDERR_FILENO); }

void progress(const char *format, ...) {
    va_list list;
    if (!on) return;
    va_start(list, format);
    fputs("\r\033[K", stderr);
    vfprintf(stderr, format, list);
    fflush(stderr);
    va_end(list);
    shown = 1;
}

void progress_clear(void) {
    if (!shown) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    shown = 0;
}
