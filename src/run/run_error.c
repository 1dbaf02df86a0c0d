/* Errors as one line on stderr. Names and keys in files are whatever somebody wrote there: control characters, which
 * could start lines or steer a terminal, are shown as '?'. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "run.h"

#define LINE 8192

static int say(const char *file, const char *text) {
    char line[2 * LINE];
    if (file != NULL) {
        snprintf(line, sizeof line, "%s: %s", file, text);
    } else {
        snprintf(line, sizeof line, "%s", text);
    }
    for (char *p = line; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '?';
    }
    return complain("%s", line);
}

int run_refused(const char *file, const char *format, ...) {
    char text[LINE];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    say(file, text);
    return EXIT_INPUT;
}

/* `list` in one line: its line breaks become ", ". */
static void append_log(char *text, size_t capacity, const char *list) {
    for (const char *part = list; *part != '\0';) {
        const size_t length = strcspn(part, "\n"), used = strlen(text);
        if (length != 0)
            snprintf(text + used, capacity - used, "%s%.*s", part == list ? "; " : ", ", (int)length, part);
        part += length + (part[length] == '\n');
    }
}

int run_failed(const char *file, const clmoe_error *error) {
    const int input = error->status == CLMOE_INVALID_FILE || error->status == CLMOE_INVALID_ARGUMENT ||
                      error->status == CLMOE_UNSUPPORTED;
    char text[LINE];
    const char *message = error->message[0] != '\0' ? error->message : clmoe_status_text(error->status);
    const int named = error->argument[0] == '\0' || strstr(message, error->argument) != NULL;
    snprintf(text, sizeof text, "%s%s%s", named ? "" : error->argument, named ? "" : ": ", message);
    if (input) append_log(text, sizeof text, error->log);
    const int file_named = error->status == CLMOE_INVALID_FILE || file == NULL || strstr(message, file) != NULL;
    say(file_named ? NULL : file, text);
    if (!input && error->log[0] != '\0') fprintf(stderr, "%s\n", error->log); /* a compiler's, of many lines */
    return input ? EXIT_INPUT : 1;
}
