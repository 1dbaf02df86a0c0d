/* Usage errors of command lines read with glibc's argp. Each is one line on stderr; set state->err_stream to NULL on
 * ARGP_KEY_INIT, so that argp adds no second one. */
#ifndef CLMOE_TOOL_USAGE_H
#define CLMOE_TOOL_USAGE_H

#include <argp.h>
#include <stdint.h>

/* Prints "NAME: ..." and returns EINVAL, which a parser passes on. */
__attribute__((format(printf, 2, 3))) error_t wrong(const struct argp_state *state, const char *format, ...);
/* A whole decimal number in low..high. */
error_t whole(const struct argp_state *state, const char *option, const char *text, uint64_t low, uint64_t high,
              uint64_t *value);

#endif
