/* What `clmoe-bench memory` prints and writes of a row. */
#ifndef CLMOE_BENCH_MEMORY_REPORT_H
#define CLMOE_BENCH_MEMORY_REPORT_H

#include <jansson.h>

#include "memory_row.h"

void memory_print(const memory_row *row);
void memory_add_json(json_t *rows, const memory_row *row);

#endif
