/* One line of progress on a terminal, overwritten in place; nothing where stderr is no terminal. */
#ifndef CLMOE_TOOL_PROGRESS_H
#define CLMOE_TOOL_PROGRESS_H

void progress_start(int quiet);
__attribute__((format(printf, 1, 2))) void progress(const char *format, ...);
/* Empties the line; to be called before anything else is printed. */
void progress_clear(void);

#endif
