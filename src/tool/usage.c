/* Usage errors; see usage.h. Calls glibc's argp. */
#define _GNU_SOURCE
#include "usage.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

error_t wrong(const struct argp_state *state, const char *format, ...) {
    va_list list;
    va_start(list, format);
    fprintf(stderr, "%s: ", state->name);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    return EINVAL;
}

error_t whole(const struct argp_state *state, const char *option, const char *text, uint64_t low, uint64_t high,
              uint64_t *value) {
    char *end;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || number < low || number > high) {
        return wrong(state, "%s is '%s', expected a whole number from %llu to %llu", option, text,
                     (unsigned long long)low, (unsigned long long)high);
    }
    *value = number;
    return 0;
}
