/* Measures one row of `clmoe-bench load`; see load_row.h. Calls both libraries. */
#include "load_row.h"

#include <clmoe/clmoe_model.h>
#include <stdlib.h>
#include <string.h>

#include "common/tool.h"
#include "layer/row_run.h"
#include "load_files.h"
#include "load_memory.h"
#include "progress.h"

#define CHECKED_TOKENS 3

typedef struct load_row {
    session *s;
    roofline *roof;
    const char *folder; /* the checkpoint's */
    load_result *row;
} load_row;

model load_row_shape(const model *shape) {
    model m = *shape;
    m.preset = "olmoe";
    m.rule = ROUTE_SOFTMAX;
    m.shared_size = m.n_group = m.topk_group = 0;
    m.biases = 0;
    m.scale = m.alpha = 1;
    m.up_offset = m.limit = 0;
    return m;
}

/* The layer's weights by a model of its own, so that every load maps the file anew; *desc (may be NULL) becomes the
 * layer's description. */
static int load(load_row *r, clmoe_weights **weights, clmoe_layer_desc *desc, double *seconds) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_model_layer info = {.struct_size = sizeof info};
    clmoe_model *opened = NULL;
    const double begin = now_seconds();
    clmoe_status status = clmoe_model_open(r->folder, &opened, &error);
    if (status == CLMOE_OK) status = clmoe_model_weights_create(opened, 0, r->s->context, NULL, weights, &error);
    *seconds = now_seconds() - begin;
    if (status == CLMOE_OK) status = clmoe_model_get_layer(opened, 0, &info, &error);
    clmoe_model_destroy(opened);
    if (desc != NULL) *desc = info.desc;
    r->row->source_bytes = info.bytes;
    return status != CLMOE_OK ? complain_clmoe("loading the layer", &error) : 0;
}

/* Runs a layer on the weights and compares sampled tokens with the oracle. */
static int check(session *s, const host_layer *host, clmoe_weights *weights, const clmoe_layer_desc *desc,
                 uint64_t seed, load_result *result) {
    clmoe_error error = {.struct_size = sizeof error};
    device_layer device = {.copies = 1};
    layer_result row = {
        .shape = host->shape, .format = host->format, .tokens = CHECKED_TOKENS, .seed = seed, .copies = 1};
    row_run run = {.s = s, .host = host, .device = &device, .row = &row};
    progress("checking %s in %s", host->shape->name, format_name(host->format));
    if (clmoe_layer_create(s->context, weights, desc, &device.layers[0], &error) != CLMOE_OK)
        return complain_clmoe("clmoe_layer_create", &error);
    const int failed = row_run_open(&run) || row_run_check(&run);
    row_run_close(&run);
    clmoe_layer_destroy(device.layers[0]);
    result->max_rel_error = row.max_rel_error;
    return failed;
}

/* Blocks that the library keeps for reuse: a load may take them again without asking the system. */
static uint64_t spare_bytes(const session *s) {
    clmoe_memory_stats stats = {.struct_size = sizeof stats};
    clmoe_error error = {.struct_size = sizeof error};
    if (clmoe_context_memory(s->context, &stats, &error) != CLMOE_OK) return 0;
    return stats.bytes_reserved - stats.bytes_in_use;
}

static int watch_memory(load_row *r) {
    clmoe_weights *weights = NULL;
    uint64_t before, peak;
    double seconds;
    const int is_cpu = r->s->is_cpu; /* whose weights are host memory */
    const uint64_t spare = is_cpu ? spare_bytes(r->s) : 0, packed = is_cpu ? r->row->packed_bytes : 0;
    memory_watch *watch = memory_watch_start();
    if (watch == NULL) return 1;
    const int failed = load(r, &weights, NULL, &seconds);
    memory_watch_stop(watch, &before, &peak);
    clmoe_weights_destroy(weights);
    r->row->extra_bytes = (double)peak + (double)spare - (double)before - (double)packed;
    if (r->row->extra_bytes < 0) r->row->extra_bytes = 0; /* the end of a block may never be touched */
    return failed;
}

static int time_loads(load_row *r, uint32_t loads) {
    load_result *row = r->row;
    double *rates = malloc(loads * sizeof *rates), *cpu = malloc(loads * sizeof *cpu);
    row->samples_s = malloc(loads * sizeof *row->samples_s);
    int failed = rates == NULL || cpu == NULL || row->samples_s == NULL ? complain("out of host memory") : 0;
    for (uint32_t i = 0; i < loads && !failed; i++) {
        clmoe_weights *weights = NULL;
        progress("%s %s: load %u of %u", row->shape->name, format_name(row->format), i + 1, loads);
        failed = roofline_launch(r->roof, PEAK_READ, &rates[i]);
        const double before = cpu_seconds();
        failed = failed || load(r, &weights, NULL, &row->samples_s[i]);
        cpu[i] = cpu_seconds() - before;
        clmoe_weights_destroy(weights);
        row->sample_count += !failed;
    }
    if (!failed) {
        row->read_gbps = median(rates, loads);
        row->cpu_s = median(cpu, loads);
        memcpy(rates, row->samples_s, loads * sizeof *rates); /* median() sorts */
        row->median_s = median(rates, loads);
        row->gbps = 1e-9 * (double)(row->source_bytes + row->packed_bytes) / row->median_s;
        row->share = row->gbps / row->read_gbps;
    }
    free(rates);
    free(cpu);
    return failed;
}

static int measure(load_row *r, const host_layer *host, uint32_t loads) {
    clmoe_layer_desc desc;
    clmoe_weights *weights = NULL;
    int failed = load(r, &weights, &desc, &r->row->first_s);
    r->row->packed_bytes = clmoe_weights_bytes(weights);
    failed = failed || check(r->s, host, weights, &desc, host->seed, r->row);
    clmoe_weights_destroy(weights);
    return failed || watch_memory(r) || time_loads(r, loads);
}

int load_row_measure(session *s, roofline *roof, const model *shape, uint32_t format, uint64_t seed, uint32_t loads,
                     load_result *row) {
    host_layer host = {0};
    load_row r = {.s = s, .roof = roof, .row = row};
    row->shape = shape;
    row->format = format;
    int failed = host_layer_make(shape, format, seed, &host);
    if (!failed) {
        progress("writing a checkpoint of %s in %s", shape->name, format_name(format));
        r.folder = load_files_write(&host);
        failed = r.folder == NULL || measure(&r, &host, loads);
        load_files_remove();
    }
    host_layer_free(&host);
    return failed;
}
