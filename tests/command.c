/* Programs run by tests; see command.h. Output goes through files, so that no pipe can fill up. */
#include "command.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define MAX_ARGUMENTS 32

/* In the child: never comes back. */
static void become(const char *program, char *const *arguments, FILE *out, FILE *err) {
    const int nothing = open("/dev/null", O_RDONLY);
    if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(fileno(out), 1) < 0 || dup2(fileno(err), 2) < 0) _exit(126);
    execv(program, arguments);
    _exit(127);
}

static void take(FILE *file, char *text, size_t room) {
    rewind(file);
    const size_t length = fread(text, 1, room - 1, file);
    text[length] = '\0';
    assert_true(length < room - 1);
    (void)fclose(file);
}

static void run_once(const char *program, const char *const *arguments, command_result *result) {
    char *list[MAX_ARGUMENTS] = {(char *)(uintptr_t)program};
    size_t count = 1;
    for (; arguments[count - 1] != NULL; ++count) {
        assert_true(count + 1 < MAX_ARGUMENTS);
        list[count] = (char *)(uintptr_t)arguments[count - 1];
    }
    FILE *const out = tmpfile(), *const err = tmpfile();
    assert_true(out != NULL && err != NULL);
    (void)fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) become(program, list, out, err);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    take(out, result->out, sizeof result->out);
    take(err, result->err, sizeof result->err);
    if (!WIFEXITED(status) || WEXITSTATUS(status) >= 126)
        fail_msg("%s ended with wait status %d: %s", program, status, result->err);
    result->status = WEXITSTATUS(status);
}

const command_result *command_run(const char *program, const char *const *arguments) {
    static command_result result;
    run_once(program, arguments, &result);
    /* The leak checker's own tracer dies now and then, of a thread that ends under it: that says nothing of leaks. */
    if (strstr(result.err, "LeakSanitizer has encountered a fatal error") != NULL) {
        print_message("run again, the leak checker died: %s", result.err);
        run_once(program, arguments, &result);
    }
    return &result;
}
