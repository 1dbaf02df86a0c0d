/* See ptx.h. The text alone: calls nothing of OpenCL. */
#include "ptx.h"

#include <stdlib.h>
#include <string.h>

#define MARK "//@"

int clmoe__ptx_target(const char *options, char *target, size_t capacity) {
    const char *at = strstr(options, CLMOE__PTX_OPTION);
    if (at == NULL) return 0;
    at += strlen(CLMOE__PTX_OPTION);
    size_t length = strcspn(at, " ");
    if (length > capacity - 1) length = capacity - 1;
    memcpy(target, at, length);
    target[length] = '\0';
    return 1;
}

/* A part of the text, which has no '\0' at its end. */
typedef struct piece {
    const char *at;
    size_t bytes;
} piece;

static int begins(piece p, const char *with) {
    return p.bytes >= strlen(with) && memcmp(p.at, with, strlen(with)) == 0;
}

static piece behind(piece p, size_t bytes) { return (piece){p.at + bytes, p.bytes - bytes}; }

static piece behind_blanks(piece p) {
    while (p.bytes > 0 && (*p.at == ' ' || *p.at == '\t')) p = behind(p, 1);
    return p;
}

/* The text's next line with its end. */
static piece next_line(piece text) {
    const char *end = memchr(text.at, '\n', text.bytes);
    return (piece){text.at, end != NULL ? (size_t)(end - text.at) + 1 : text.bytes};
}

/* The line behind "//@TARGET " and blanks before it; at NULL if it is not marked. */
static piece unmarked(piece line, const char *target) {
    piece p = behind_blanks(line);
    if (!begins(p, MARK)) return (piece){NULL, 0};
    p = behind(p, strlen(MARK));
    if (!begins(p, target)) return (piece){NULL, 0};
    p = behind(p, strlen(target));
    return begins(p, " ") ? behind(p, 1) : (piece){NULL, 0};
}

/* The architecture that a ".target" line names; at NULL if it is another line. */
static piece architecture(piece line) {
    piece p = behind_blanks(line);
    size_t length = 0;
    if (!begins(p, ".target") || p.bytes < 8 || (p.at[7] != ' ' && p.at[7] != '\t')) return (piece){NULL, 0};
    p = behind_blanks(behind(p, 7));
    while (length < p.bytes && memchr(", \t\r\n", p.at[length], 5) == NULL) length++;
    return (piece){p.at, length};
}

/* "sm_90" or "sm_90a", where "sm_90a" is wanted. */
static int leads_to(piece found, const char *target) {
    const size_t length = strlen(target);
    if (length < 2 || (found.bytes != length && found.bytes != length - 1)) return 0;
    return memcmp(found.at, target, found.bytes) == 0;
}

typedef struct writer {
    char *to;
    size_t bytes;
} writer;

static void put(writer *w, const char *from, size_t bytes) {
    memcpy(w->to + w->bytes, from, bytes);
    w->bytes += bytes;
}

/* Copies line by line. NULL, or what is wrong; at most one byte more than there was is written. */
static const char *copy(writer *w, piece text, const char *target) {
    int versions = 0, targets = 0, marked = 0;
    while (text.bytes > 0) {
        const piece line = next_line(text), bare = unmarked(line, target), found = architecture(line);
        versions += begins(behind_blanks(line), ".version");
        if (found.at != NULL) {
            if (targets++ > 0) return "it has several .target lines";
            if (!leads_to(found, target)) return "it is for another target";
            put(w, line.at, (size_t)(found.at - line.at));
            put(w, target, strlen(target));
            put(w, found.at + found.bytes, (size_t)(line.at + line.bytes - found.at) - found.bytes);
        } else if (bare.at != NULL) {
            marked++;
            put(w, bare.at, bare.bytes);
        } else {
            put(w, line.at, line.bytes);
        }
        text = behind(text, line.bytes);
    }
    if (versions == 0 || targets == 0) return "it is no PTX text";
    return marked > 0 ? NULL : "no line in it is marked for that";
}

clmoe_status clmoe__ptx_patch(const char *text, size_t bytes, const char *target, char **patched, size_t *patched_bytes,
                              clmoe_error *error) {
    size_t length = bytes;
    *patched = NULL;
    while (length > 0 && text[length - 1] == '\0') length--; /* drivers may count the string's end */
    if (length == 0 || memchr(text, '\0', length) != NULL)
        return clmoe__fail(error, CLMOE_BUILD_FAILED, NULL,
                           "the compiled program cannot be assembled for %s: it is no PTX text (%zu bytes)", target,
                           bytes);
    writer w = {malloc(bytes + 1), 0};
    if (w.to == NULL)
        return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for %zu bytes of PTX", bytes);
    const char *wrong = copy(&w, (piece){text, length}, target);
    if (wrong != NULL) {
        free(w.to);
        return clmoe__fail(error, CLMOE_BUILD_FAILED, NULL, "the compiled program cannot be assembled for %s: %s",
                           target, wrong);
    }
    put(&w, text + length, bytes - length);
    *patched = w.to;
    *patched_bytes = w.bytes;
    return CLMOE_OK;
}
