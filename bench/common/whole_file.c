/* Files that are there whole or not at all; see whole_file.h. Calls POSIX only. */
#define _XOPEN_SOURCE 700
#include "whole_file.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

#define PATH_ROOM 4096
#define PATHS     16

/* ------------------------------------------------------------------------------------------ what goes at the end */

static char paths[PATHS][PATH_ROOM];
static volatile sig_atomic_t used[PATHS]; /* set when the path is complete */

static void remove_all(void) {
    for (size_t i = PATHS; i-- > 0;) {
        if (!used[i]) continue;
        used[i] = 0;
        if (unlink(paths[i]) != 0) (void)rmdir(paths[i]);
    }
}

/* Everything called here is safe in a handler. SA_RESETHAND: the signal that is raised again ends the program. */
static void on_signal(int number) {
    remove_all();
    (void)raise(number);
}

static void catch_signals(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGXFSZ};
    static int done;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}, old;
    if (done++) return;
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN) continue; /* nohup */
        (void)sigaction(numbers[i], &action, NULL);
    }
    (void)atexit(remove_all);
}

int remove_at_end(const char *path) {
    size_t i = 0;
    if (strlen(path) >= PATH_ROOM)
        return complain("a path of %zu characters, expected fewer than %d", strlen(path), PATH_ROOM);
    while (i < PATHS && used[i]) i++;
    if (i == PATHS) return complain("more than %d files under way", PATHS);
    catch_signals();
    memcpy(paths[i], path, strlen(path) + 1);
    used[i] = 1;
    return 0;
}

void keep_at_end(const char *path) {
    for (size_t i = 0; i < PATHS; i++) {
        if (used[i] && strcmp(paths[i], path) == 0) used[i] = 0;
    }
}

/* ------------------------------------------------------------------------------------------------ a whole file */

static int write_and_sync(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    if (file == NULL) return 1;
    int failed = fputs(text, file) == EOF || fputc('\n', file) == EOF;
    failed |= fflush(file) != 0 || fsync(fileno(file)) != 0;
    failed |= fclose(file) != 0;
    return failed;
}

int write_whole_file(const char *path, const char *text) {
    char temporary[PATH_ROOM];
    const int length = snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof temporary) return complain("the path %.64s... is too long", path);
    if (remove_at_end(temporary)) return 1;
    const int failed = write_and_sync(temporary, text) || rename(temporary, path) != 0;
    const int code = errno;
    if (failed) (void)unlink(temporary);
    keep_at_end(temporary);
    return failed ? complain("cannot write %s: %s", path, strerror(code)) : 0;
}
