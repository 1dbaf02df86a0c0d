/* The bytes of a GGUF file, each read only after it is known to be there; see gguf.h. Calls src/os/error. */
#include "gguf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void clmoe__reader_subject(clmoe__reader *reader, const char *kind, const clmoe__span *name, uint64_t number) {
    if (name != NULL) {
        const int length = (int)(name->length < 100 ? name->length : 100);
        (void)snprintf(reader->subject, sizeof reader->subject, "%s %.*s", kind, length, name->text);
        (void)snprintf(reader->argument, sizeof reader->argument, "%.*s", length, name->text);
    } else {
        (void)snprintf(reader->subject, sizeof reader->subject, "%s %llu", kind, (unsigned long long)number);
        (void)snprintf(reader->argument, sizeof reader->argument, "%s", clmoe__path_name(reader->file));
    }
}

clmoe_status clmoe__reader_refuse(const clmoe__reader *reader, const char *format, ...) {
    char text[320];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return clmoe__fail(reader->error, CLMOE_INVALID_FILE, reader->argument, "%s: %s %s", clmoe__path_end(reader->file),
                       reader->subject, text);
}

clmoe_status clmoe__reader_need(const clmoe__reader *reader, uint64_t bytes, const char *what) {
    if (bytes <= reader->bytes - reader->at) return CLMOE_OK;
    return clmoe__reader_refuse(
        reader, "needs %llu bytes for %s at byte %llu, but the file ends at %llu: is it cut short?",
        (unsigned long long)bytes, what, (unsigned long long)reader->at, (unsigned long long)reader->bytes);
}

uint64_t clmoe__little(const unsigned char *data, uint32_t bytes) {
    uint64_t value = 0;
    for (uint32_t i = 0; i < bytes; i++) value |= (uint64_t)data[i] << (8 * i);
    return value;
}

clmoe_status clmoe__reader_u32(clmoe__reader *reader, const char *what, uint32_t *value) {
    TRY(clmoe__reader_need(reader, 4, what));
    *value = (uint32_t)clmoe__little(reader->data + reader->at, 4);
    reader->at += 4;
    return CLMOE_OK;
}

clmoe_status clmoe__reader_u64(clmoe__reader *reader, const char *what, uint64_t *value) {
    TRY(clmoe__reader_need(reader, 8, what));
    *value = clmoe__little(reader->data + reader->at, 8);
    reader->at += 8;
    return CLMOE_OK;
}

clmoe_status clmoe__reader_string(clmoe__reader *reader, const char *what, clmoe__span *value) {
    TRY(clmoe__reader_u64(reader, what, &value->length));
    TRY(clmoe__reader_need(reader, value->length, what));
    value->text = (const char *)reader->data + reader->at;
    reader->at += value->length;
    return CLMOE_OK;
}

int clmoe__span_order(const clmoe__span *a, const clmoe__span *b) {
    if (a->length != b->length) return a->length < b->length ? -1 : 1;
    return memcmp(a->text, b->text, (size_t)a->length);
}

int clmoe__span_is(const clmoe__span *span, const char *text) {
    return strlen(text) == span->length && memcmp(span->text, text, (size_t)span->length) == 0;
}
