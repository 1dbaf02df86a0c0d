/* Programs run by tests: started, waited for, their output caught. */
#ifndef CLMOE_TESTS_COMMAND_H
#define CLMOE_TESTS_COMMAND_H

typedef struct command_result {
    int status; /* of the exit; the test fails if a signal ended it */
    char out[1 << 16];
    char err[1 << 14];
} command_result;

/* Runs program with arguments (the last is NULL), standard input empty. The result is static: the next run takes it
 * again. */
const command_result *command_run(const char *program, const char *const *arguments);
/* The same, with the arguments listed: COMMAND(program, "--list", folder). */
#define COMMAND(program, ...) command_run((program), (const char *const[]){__VA_ARGS__, NULL})

#endif
