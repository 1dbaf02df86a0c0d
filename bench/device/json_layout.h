/* JSON as the bench's files have it: a member a line, a list of numbers on one, so that a person can read a result and
 * compare two of them line by line. */
#ifndef CLMOE_BENCH_JSON_LAYOUT_H
#define CLMOE_BENCH_JSON_LAYOUT_H

#include <jansson.h>
#include <stdio.h>

/* Writes a value. Errors are the file's: they show when it is closed. */
void json_layout_write(FILE *file, json_t *value);

#endif
