/* JSON that subcommands wrote, read again: for `report` and `compare`. */
#ifndef CLMOE_BENCH_RESULT_FILE_H
#define CLMOE_BENCH_RESULT_FILE_H

#include <jansson.h>
#include <stddef.h>

#define MAX_RESULTS 64

typedef struct result_set {
    json_t *documents[MAX_RESULTS]; /* each has a "command"; of a results.json its "documents" one by one */
    size_t count;
} result_set;

/* Adds a file's document, or all documents of a file that `report` wrote. 0, or 1 after a complaint that names it. */
int result_set_add(result_set *set, const char *path);
void result_set_free(result_set *set);

/* "layer" ...; files older than the key are of `layer`, `load` or `roofline`, and say so by what they hold. */
const char *result_command(const json_t *document);
/* The document's list of rows; NULL if it has none. */
const json_t *result_rows(const json_t *document);
/* The last document of this command; NULL if there is none. */
const json_t *result_find(const result_set *set, const char *command);

/* A number, also one nested by dots ("latency_ms.median"); `otherwise` where there is none. */
double result_number(const json_t *row, const char *name, double otherwise);
/* A string, also nested; "" where there is none. */
const char *result_text(const json_t *row, const char *name);
/* Any member, also nested; NULL where there is none. */
json_t *result_get(const json_t *row, const char *name);

#endif
