/* Layers with other numbers than the shipped ones: made, and proved to compute the same. Calls the library and OpenCL.
 * */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/tool.h"
#include "tune.h"

void tune_row(const tuner *t, size_t g, const tune_setting *setting, char *text, size_t capacity) {
    const clmoe_tuning *gemm = &t->gemms[g];
    size_t used = (size_t)snprintf(text, capacity, "%s", gemm->key);
    for (uint32_t i = 0; i < gemm->count && used < capacity; i++)
        used += (size_t)snprintf(text + used, capacity - used, " %s=%u", gemm->numbers[i].name, setting->values[g][i]);
}

void tune_shipped(const tuner *t, tune_setting *setting) {
    memset(setting, 0, sizeof *setting);
    for (size_t g = 0; g < TUNE_GEMMS; g++)
        for (uint32_t i = 0; i < t->gemms[g].count; i++) setting->values[g][i] = t->gemms[g].numbers[i].value;
}

int tune_is_one_row(const tuner *t) { return strcmp(t->gemms[TUNE_UP].key, t->gemms[TUNE_DOWN].key) == 0; }

void tune_layers_free(tune_layers *layers) {
    for (uint32_t i = 0; i < layers->device.copies; i++) clmoe_layer_destroy(layers->device.layers[i]);
    memset(layers, 0, sizeof *layers);
}

int tune_set_rows(tuner *t, const tune_setting *setting) {
    clmoe_error error = {.struct_size = sizeof error};
    char row[1024];
    for (size_t g = 0; g < TUNE_GEMMS; g++) {
        tune_row(t, g, setting, row, sizeof row);
        const clmoe_status status = clmoe_context_tune(t->s.context, row, &error);
        if (status == CLMOE_UNSUPPORTED) return 1;
        if (status != CLMOE_OK) return complain_clmoe("clmoe_context_tune", &error), 3;
    }
    return 0;
}

static int create_layers(tuner *t, tune_layers *made) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_layer_desc desc;
    if (device_layer_desc(t->host->shape, &desc, &error) != CLMOE_OK)
        return complain_clmoe("a layer's description", &error);
    for (uint32_t i = 0; i < t->shipped.copies; i++) {
        made->device.weights[i] = t->shipped.weights[i];
        if (clmoe_layer_create(t->s.context, t->shipped.weights[i], &desc, &made->device.layers[i], &error) != CLMOE_OK)
            return complain_clmoe("clmoe_layer_create", &error);
        made->device.copies++;
    }
    return 0;
}

/* Whether the layers have the numbers that were asked for: a row that fails its self-test is not used. */
static int took_rows(const tuner *t, const tune_layers *made) {
    clmoe_error error = {.struct_size = sizeof error};
    for (uint32_t g = 0; g < TUNE_GEMMS; g++) {
        clmoe_tuning now;
        clmoe_tuning_default(&now, sizeof now);
        if (clmoe_layer_tuning(made->device.layers[0], g, &now, &error) != CLMOE_OK) return 0;
        for (uint32_t i = 0; i < now.count; i++)
            if (now.numbers[i].value != made->setting.values[g][i]) return 0;
    }
    return t->gemms[0].count != 0;
}

/* Forward 0 of a row, its output in *out, malloc'd; with_oracle: sampled tokens checked. */
static int run_first(row_run *run, int with_oracle, float **out) {
    const size_t bytes = (size_t)run->row->tokens * run->host->shape->hidden_size * sizeof(float);
    const clmoe_io io = row_run_io(run, 0);
    *out = malloc(bytes);
    if (*out == NULL) return complain("out of host memory");
    if (with_oracle && row_run_check(run)) return 2;
    if (!with_oracle && row_run_forward(run, run->s->queue, &io, 0, NULL)) return 1;
    const cl_int code = clEnqueueReadBuffer(run->s->queue, run->out, CL_TRUE, 0, bytes, *out, 0, NULL, NULL);
    return code != CL_SUCCESS ? complain_cl("clEnqueueReadBuffer", code) : 0;
}

int tune_take_wanted(tuner *t) {
    for (size_t i = 0; i < t->run_count; i++) {
        t->runs[i].device = &t->shipped;
        if (run_first(&t->runs[i], 1, &t->wanted[i])) return 1;
    }
    return 0;
}

/* The oracle has seen the shipped layer's output at every number of tokens, so equal bits are right ones; it sees the
 * candidate's at one. */
static int check(tuner *t, tune_layers *made) {
    for (size_t i = 0; i < t->run_count; i++) {
        row_run *run = &t->runs[i];
        float *out = NULL;
        run->device = &made->device;
        int failed = run_first(run, i == 0, &out);
        const size_t bytes = (size_t)run->row->tokens * run->host->shape->hidden_size * sizeof(float);
        if (!failed && memcmp(out, t->wanted[i], bytes) != 0) {
            complain("%u tokens: the bits differ from those of the shipped row", run->row->tokens);
            failed = 2;
        }
        free(out);
        if (failed) return failed == 2 ? 2 : 3;
    }
    return 0;
}

int tune_layers_make(tuner *t, const tune_setting *setting, tune_layers *made) {
    clmoe_error error = {.struct_size = sizeof error};
    memset(made, 0, sizeof *made);
    made->setting = *setting;
    int failed = tune_set_rows(t, setting);
    if (!failed && create_layers(t, made)) failed = 3;
    if (clmoe_context_tune(t->s.context, NULL, &error) != CLMOE_OK) failed = 3;
    if (!failed && !took_rows(t, made)) failed = 1;
    if (!failed) failed = check(t, made);
    if (failed == 2) {
        char row[1024];
        tune_row(t, 0, setting, row, sizeof row);
        complain("wrong results with %s", row);
    }
    if (failed) tune_layers_free(made);
    return failed;
}
