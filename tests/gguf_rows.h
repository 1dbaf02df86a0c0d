/* What is known of each architecture of GGUF files, written by hand from what llama.cpp reads and computes, apart from
 * the library's own rows: its metadata, the sizes and rule that must come of it, and the names of its tensors. */
#ifndef CLMOE_TESTS_GGUF_ROWS_H
#define CLMOE_TESTS_GGUF_ROWS_H

#include "model_rows.h"

/* As model_rows.h; config: {'ARCHITECTURE': {keys}}. */
extern const model_row gguf_rows[];
extern const unsigned gguf_row_count;

#endif
