/* report.html: everything in one file; see report_files.h. Calls POSIX. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/tool.h"
#include "common/whole_file.h"
#include "plot.h"
#include "report_files.h"

/* Text of an element or attribute. */
static void put_escaped(FILE *page, const char *text) {
    for (; *text != '\0'; text++) {
        switch (*text) {
            case '&': fputs("&amp;", page); break;
            case '<': fputs("&lt;", page); break;
            case '>': fputs("&gt;", page); break;
            case '"': fputs("&quot;", page); break;
            default: fputc(*text, page);
        }
    }
}

static void put_base64(FILE *page, FILE *file) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char in[3];
    size_t count;
    while ((count = fread(in, 1, sizeof in, file)) > 0) {
        if (count < 3) memset(in + count, 0, 3 - count);
        fputc(digits[in[0] >> 2], page);
        fputc(digits[(in[0] & 3) << 4 | in[1] >> 4], page);
        fputc(count > 1 ? digits[(in[1] & 15) << 2 | in[2] >> 6] : '=', page);
        fputc(count > 2 ? digits[in[2] & 63] : '=', page);
    }
}

static void put_head(FILE *page, const result_set *set) {
    const time_t now = time(NULL);
    char date[32] = "";
    struct tm utc;
    if (gmtime_r(&now, &utc) != NULL) strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", &utc);
    fputs(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>clmoe-bench "
        "report</title>\n<style>\n"
        "body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#222}\n"
        "h1,h2{line-height:1.2}h2{margin-top:2em}img{max-width:100%;height:auto;border:1px solid #ddd}\n"
        "table{border-collapse:collapse;font-size:13px}td,th{border:1px solid #ddd;padding:.25em "
        ".6em;text-align:right}\n"
        "th{background:#f4f4f4}td:first-child,th:first-child{text-align:left}.scroll{overflow-x:auto}\n"
        "code{background:#f4f4f4;padding:.1em .3em}figcaption{color:#555}figure{margin:1em 0}\n</style></head><body>\n"
        "<h1>clmoe-bench report</h1>\n<p>",
        page);
    put_escaped(page, result_device(set));
    fprintf(page, "<br>%s</p>\n", date);
}

static void put_picture(FILE *page, const plot *p, const result_set *set, const char *folder) {
    char path[4096];
    fprintf(page, "<h2>%s</h2>\n", p->title);
    snprintf(path, sizeof path, "%s/%s", folder, p->file);
    FILE *file = result_find(set, p->command) != NULL ? fopen(path, "rb") : NULL;
    if (file == NULL) {
        fprintf(page, "<p>Not drawn: no results of <code>clmoe-bench %s</code>.</p>\n", p->command);
        return;
    }
    fprintf(page, "<figure><img alt=\"%s\" src=\"data:image/png;base64,", p->caption);
    put_base64(page, file);
    fprintf(page, "\"><figcaption>%s</figcaption></figure>\n", p->caption);
    fclose(file);
}

static int put_fact(void *user, const char *name, json_t *value) {
    FILE *page = user;
    char number[64];
    fputs("<tr><td>", page);
    put_escaped(page, name);
    fputs("</td><td style=\"text-align:left\">", page);
    if (json_is_number(value)) {
        snprintf(number, sizeof number, "%.6g", json_number_value(value));
        put_escaped(page, number);
    } else {
        put_escaped(page, json_is_string(value) ? json_string_value(value) : json_is_true(value) ? "yes" : "no");
    }
    fputs("</td></tr>\n", page);
    return 0;
}

/* -------------------------------------------------------------------------------------------- tables of results */

typedef struct heading {
    const char *names[64];
    size_t count;
} heading;

static int is_shown(const json_t *value) {
    return json_is_number(value) || json_is_string(value) || json_is_boolean(value);
}

/* The plain members of all rows. */
static void find_heading(const json_t *rows, heading *h) {
    const char *name;
    const json_t *member;
    h->count = 0;
    for (size_t n = 0; n < json_array_size(rows); n++) {
        json_t *row = json_array_get(rows, n);
        json_object_foreach(row, name, member) {
            size_t i = 0;
            while (i < h->count && strcmp(h->names[i], name) != 0) i++;
            if (i == h->count && i < COUNT_OF(h->names) && is_shown(member)) h->names[h->count++] = name;
        }
    }
}

static void put_cell(FILE *page, const json_t *value) {
    fputs("<td>", page);
    if (json_is_number(value)) fprintf(page, "%.6g", json_number_value(value));
    if (json_is_string(value)) put_escaped(page, json_string_value(value));
    if (json_is_boolean(value)) fputs(json_is_true(value) ? "yes" : "no", page);
    fputs("</td>", page);
}

static void put_table(FILE *page, const json_t *document) {
    heading h;
    const json_t *rows = result_rows(document);
    find_heading(rows, &h);
    if (h.count == 0) return;
    fprintf(page, "<details><summary>Rows of <code>clmoe-bench %s</code></summary><div class=\"scroll\"><table><tr>",
            result_command(document));
    for (size_t i = 0; i < h.count; i++) {
        fputs("<th>", page);
        put_escaped(page, h.names[i]);
        fputs("</th>", page);
    }
    fputs("</tr>\n", page);
    for (size_t n = 0; n < json_array_size(rows); n++) {
        const json_t *row = json_array_get(rows, n);
        fputs("<tr>", page);
        for (size_t i = 0; i < h.count; i++) put_cell(page, json_object_get(row, h.names[i]));
        fputs("</tr>\n", page);
    }
    fputs("</table></div></details>\n", page);
}

/* ------------------------------------------------------------------------------------------------------ the page */

static void put_page(FILE *page, const result_set *set, const char *folder, const char *const *commands) {
    put_head(page, set);
    for (size_t i = 0; i < plot_count; i++) put_picture(page, &plots[i], set, folder);
    fputs("<h2>Results</h2>\n", page);
    for (size_t i = 0; i < set->count; i++) put_table(page, set->documents[i]);
    fputs("<h2>Environment</h2>\n<div class=\"scroll\"><table>\n", page);
    (void)result_walk(result_environment(set), put_fact, page);
    fputs("</table></div>\n", page);
    if (commands[0] != NULL) fputs("<h2>Commands</h2>\n<pre>\n", page);
    for (size_t i = 0; commands[i] != NULL; i++) {
        put_escaped(page, commands[i]);
        fputc('\n', page);
    }
    if (commands[0] != NULL) fputs("</pre>\n", page);
    fputs("</body></html>", page);
}

int write_report_page(const result_set *set, const char *folder, const char *const *commands) {
    char path[4096], *text = NULL;
    size_t bytes = 0;
    const int length = snprintf(path, sizeof path, "%s/report.html", folder);
    if (length < 0 || (size_t)length >= sizeof path) return complain("the path %.64s... is too long", folder);
    FILE *page = open_memstream(&text, &bytes);
    if (page == NULL) return complain("out of memory");
    put_page(page, set, folder, commands);
    const int failed = fclose(page) != 0 ? complain("out of memory") : write_whole_file(path, text);
    free(text);
    return failed;
}
