/* Programs that the bench runs; see child.h. Calls Linux. */
#define _GNU_SOURCE
#include "child.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int child_run(const char *program, const char *const *arguments, int in) {
    const pid_t parent = getpid();
    int status = 0;
    fflush(stdout);
    const pid_t child = fork();
    if (child < 0) return 127;
    if (child == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent || dup2(in, STDIN_FILENO) < 0) _exit(127);
        execvp(program, (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) return 127;
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
