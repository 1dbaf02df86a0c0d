/* Rows for single devices, in the words of tuning files (src/layer/tuning.h): paste here what `clmoe-bench tune`
 * printed. A name may end in *, which stands for any end; "*" as the driver for all of them. A user's own rows come
 * first. */
#include "tuned_rows.h"

#include <stddef.h>

static const char *const rows[] = {
    NULL,
};

const char *clmoe__tuned_row_at(uint32_t i) { return i < sizeof rows / sizeof *rows ? rows[i] : NULL; }
