/* GGUF files written, opened and described by the model library, to be refused or accepted. */
#ifndef CLMOE_TESTS_GGUF_HOSTILE_H
#define CLMOE_TESTS_GGUF_HOSTILE_H

#include "gguf_file.h"

#define GGUF_NAME "hostile.gguf"

/* They take the file over. Refused is CLMOE_INVALID_FILE with a message that names the file, `what` and `more`. */
void gguf_refused(gguf_file f, const char *what, const char *more);
/* Only its first `keep` bytes; 0: all. */
void gguf_refused_cut(gguf_file f, size_t keep, const char *what, const char *more);
void gguf_accepted(gguf_file f);

#endif
