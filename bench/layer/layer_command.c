/* `clmoe-bench layer`: every model in every format at every number of tokens, as far as memory allows, each row
 * compared with the limits of the device. Multiply-add peaks are measured before, between and after the rows, and the
 * best counts, because a neighbour can only lower them; bandwidth is measured while each row is timed. Calls the
 * library through session and device_layer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common/tool.h"
#include "common/weight_formats.h"
#include "layer_row.h"
#include "progress.h"

#define STAGING_BYTES ((uint64_t)64 << 20) /* what the library takes while it packs */

typedef struct layer_bench {
    const tool_args *args;
    session s;
    roofline *roof;
    uint64_t cache;
    peaks best;      /* of all measurements so far */
    double read_sum; /* of `measured` measurements between rows */
    size_t measured;
    layer_result *rows;
    size_t count, wanted;
    int failed; /* a row was refused or an error occurred */
} layer_bench;

static int measure_limits(layer_bench *b, int rounds) {
    peaks now;
    progress("measuring the device's limits");
    if (roofline_measure(b->roof, rounds, &now)) return 1;
    peaks_improve(&b->best, &now);
    b->read_sum += now.rate[PEAK_READ];
    b->measured++;
    return 0;
}

/* Bytes of memory for `copies` of a layer, on top of what is held already. */
static uint64_t bytes_needed(const layer_bench *b, const model *m, uint32_t format, uint32_t copies) {
    uint64_t most = 0;
    for (size_t i = 0; i < b->args->token_count; i++) {
        const uint64_t bytes = row_bytes(m, b->args->tokens[i]);
        most = bytes > most ? bytes : most;
    }
    return copies * layer_bytes(m, format) + pool_bytes(m, format) + STAGING_BYTES + most;
}

/* How many copies of the weights to make: what the caches ask for, as far as memory allows; 0 and a line if not even
 * one. */
static uint32_t copies_possible(const layer_bench *b, const model *m, uint32_t format) {
    const uint64_t usable = memory_available(&b->s) / 10 * 9; /* the system and others live here too */
    uint32_t copies = 1;
    for (size_t i = 0; i < b->args->token_count; i++) {
        const uint32_t needed = copies_needed(m, format, b->args->tokens[i], b->cache);
        copies = needed > copies ? needed : copies;
    }
    if (usable == 0) return copies;
    if (bytes_needed(b, m, format, 1) > usable) {
        progress_clear();
        printf("%-14s %-6s needs %.1f GiB (weights %.1f GiB), %.1f GiB can be had: skipped\n", m->name,
               format_name(format), (double)bytes_needed(b, m, format, 1) / 0x1p30,
               (double)layer_bytes(m, format) / 0x1p30, (double)usable / 0x1p30);
        fflush(stdout);
        return 0;
    }
    while (copies > 1 && bytes_needed(b, m, format, copies) > usable) copies--;
    return copies;
}

static int run_row(layer_bench *b, const host_layer *host, const device_layer *device, uint32_t tokens) {
    layer_result *row = &b->rows[b->count];
    const uint32_t needed = copies_needed(host->shape, host->format, tokens, b->cache);
    memset(row, 0, sizeof *row);
    row->shape = host->shape;
    row->format = host->format;
    row->tokens = tokens;
    row->y_format = device->y_format;
    row->seed = host->seed;
    row->copies = needed < device->copies ? needed : device->copies;
    row->weight_bytes = clmoe_weights_bytes(device->weights[0]);
    row->source_bytes = source_bytes(host->shape, host->format);
    if (measure_row(&b->s, b->roof, host, device, b->args->seconds, row) || measure_limits(b, 1)) {
        free(row->samples_ms);
        return 1;
    }
    compare_with_limits(row, &b->best);
    b->count++;
    progress_clear();
    print_layer_row(row);
    if (row->copies < needed) {
        printf("  caches may hold some of these weights: %u copies would take turns, memory allows %u\n", needed,
               row->copies);
    }
    return 0;
}

/* Whether these weights can exist; 0 and a line if not. */
static int is_possible(const layer_bench *b, const model *m, uint32_t format) {
    const uint32_t lengths[] = {m->hidden_size, m->intermediate_size, m->shared_size};
    char why[160];
    if (weight_format_allows(format, b->args->arithmetic, lengths, COUNT_OF(lengths), why, sizeof why)) return 1;
    progress_clear();
    printf("%-14s %-6s %s: skipped\n", m->name, format_name(format), why);
    fflush(stdout);
    return 0;
}

/* One model in one format. Failures of a row do not keep the next ones from running. */
static int run_layer(layer_bench *b, const model *m, uint32_t format) {
    host_layer host = {0};
    device_layer device = {.y_format = b->args->y_format};
    const uint32_t copies = is_possible(b, m, format) ? copies_possible(b, m, format) : 0;
    if (copies == 0) return 0;
    progress("%s %s: making %.1f GiB of weights", m->name, format_name(format),
             copies * (double)layer_bytes(m, format) / 0x1p30);
    int failed = host_layer_make(m, format, b->args->seed, &host);
    for (uint32_t i = 0; i < copies && !failed; i++)
        failed = device_layer_add(&b->s, &host, b->args->arithmetic, &device);
    for (size_t i = 0; i < b->args->token_count && !failed; i++) {
        progress("[%zu/%zu] %s %s", b->count + 1, b->wanted, m->name, format_name(format));
        b->failed |= run_row(b, &host, &device, b->args->tokens[i]);
    }
    device_layer_free(&device);
    host_layer_free(&host);
    return failed;
}

/* A row printed while a neighbour still held the peaks down is printed again with the peaks as they turned out. */
static void correct_shares(layer_bench *b) {
    int corrected = 0;
    for (size_t i = 0; i < b->count; i++) {
        const double printed = b->rows[i].roofline_share;
        compare_with_limits(&b->rows[i], &b->best);
        if (printed - b->rows[i].roofline_share < 0.005) continue;
        if (!corrected++)
            printf("\ncorrected: the multiply-add peak turned out higher after these rows were printed\n");
        print_layer_row(&b->rows[i]);
    }
}

static int finish(layer_bench *b) {
    peaks limits = b->best;
    limits.rate[PEAK_READ] = b->read_sum / (double)b->measured;
    progress_clear();
    correct_shares(b);
    print_unsteady(b->rows, b->count);
    print_stages(b->rows, b->count);
    if (b->count != 0) {
        printf("\nlimits: best multiply-add rates, mean bandwidth of %zu measurements\n", b->measured);
        print_peaks(&b->s, &limits);
    }
    if (b->args->json == NULL) return 0;
    return write_layer_json(b->args->json, &b->s, &limits, b->rows, b->count);
}

static int run_all(layer_bench *b) {
    const tool_args *args = b->args;
    progress("compiling the probes");
    if (roofline_open(b->s.cl, b->s.device, &b->roof) || measure_limits(b, 3)) return 1;
    progress_clear();
    print_peaks(&b->s, &b->best);
    if (args->y_format != CLMOE_F32) printf("experts' outputs wait in %s\n", format_name(args->y_format));
    print_layer_heading();
    for (size_t m = 0; m < args->model_count; m++) {
        for (size_t f = 0; f < args->format_count; f++) b->failed |= run_layer(b, args->models[m], args->formats[f]);
    }
    return finish(b);
}

int layer_command(const tool_args *args) {
    layer_bench b = {.args = args, .wanted = args->model_count * args->format_count * args->token_count};
    progress_start(args->quiet);
    const int refused = session_open(args->device, &b.s);
    if (refused) return refused;
    b.cache = last_level_cache(b.s.device);
    b.rows = calloc(b.wanted, sizeof *b.rows);
    const int failed = b.rows == NULL ? complain("out of host memory") : run_all(&b);
    for (size_t i = 0; i < b.count; i++) free(b.rows[i].samples_ms);
    free(b.rows);
    roofline_close(b.roof);
    session_close(&b.s);
    return failed || b.failed;
}
