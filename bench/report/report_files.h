/* The files `clmoe-bench report` writes beside the pictures. Each is there whole or not at all. */
#ifndef CLMOE_BENCH_REPORT_FILES_H
#define CLMOE_BENCH_REPORT_FILES_H

#include "result_file.h"

/* {"command": "report", "device", "environment", "documents": [...]}; 0, or 1 after a complaint. */
int write_results_json(const result_set *set, const char *path);
/* DIR/results.csv: a line for each row of each document. The columns are those of all documents, in the order of first
 * appearance; nested names have dots ("stages.up"); lists, such as samples, are left out. */
int write_results_csv(const result_set *set, const char *folder);
/* DIR/report.html: one file without links to others, the pictures inside. */
int write_report_page(const result_set *set, const char *folder, const char *const *commands);

/* Calls `leaf` for every number, string and boolean below `item`; name: its path, with dots. Stops at the first that
 * returns not 0 and returns that. */
int result_walk(json_t *item, int (*leaf)(void *user, const char *name, json_t *value), void *user);
/* The environment of a document that has one, the device's among them if any does; NULL without documents. */
json_t *result_environment(const result_set *set);
/* The first device that is named; "none" without one. */
const char *result_device(const result_set *set);

#endif
