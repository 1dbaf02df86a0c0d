/* Files that are there whole or not at all, whatever ends the program. */
#ifndef CLMOE_BENCH_WHOLE_FILE_H
#define CLMOE_BENCH_WHOLE_FILE_H

/* Writes text and a line's end to a temporary file beside `path`, which is then renamed. 0, or 1 after a complaint. */
int write_whole_file(const char *path, const char *text);

/* What is removed when the program ends, also by Ctrl-C, SIGTERM or SIGHUP: files, and folders that are empty by then;
 * the last added goes first. To be added before it is made. At most 16 at a time. 0, or 1 after a complaint. */
int remove_at_end(const char *path);
/* It is complete, or gone. */
void keep_at_end(const char *path);

#endif
