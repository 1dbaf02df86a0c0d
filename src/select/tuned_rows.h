/* Rows for single devices that users measured and contributed. */
#ifndef CLMOE_SELECT_TUNED_ROWS_H
#define CLMOE_SELECT_TUNED_ROWS_H

#include <stdint.h>

/* The i-th as `clmoe-bench tune` prints it, without the end of the line; NULL past the last. */
const char *clmoe__tuned_row_at(uint32_t i);

#endif
