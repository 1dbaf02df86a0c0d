/* A checkpoint of one layer for `clmoe-bench load`: config.json and model.safetensors, of the kind "olmoe", in a folder
 * of their own under TMPDIR. The folder is removed by load_files_remove, and without it at the end of the program, also
 * one by Ctrl-C, SIGTERM or SIGHUP. One such folder at a time. */
#ifndef CLMOE_BENCH_LOAD_FILES_H
#define CLMOE_BENCH_LOAD_FILES_H

#include "layer/host_layer.h"

/* Whether a checkpoint of so many bytes fits there: 0, or 1 after a complaint. */
int load_files_fit(uint64_t bytes);
/* Writes the layer as layer 0, its bytes on the disk when this returns, so that no writing disturbs what follows; they
 * are in the page cache as well. Gives the folder's path, or NULL after a complaint, nothing being left then. */
const char *load_files_write(const host_layer *layer);
void load_files_remove(void);

#endif
