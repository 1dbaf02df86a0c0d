/* Programs that the bench runs: itself for `report`, gnuplot for pictures. */
#ifndef CLMOE_BENCH_CHILD_H
#define CLMOE_BENCH_CHILD_H

/* Runs a program, looked for in PATH, to its end; it goes when this process goes. The last argument is NULL, the first
 * the name it goes by; in: its standard input. Gives its exit status; 127 if it cannot be started, 128 + N if signal N
 * ended it. */
int child_run(const char *program, const char *const *arguments, int in);

#endif
