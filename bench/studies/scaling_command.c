/* `clmoe-bench scaling`: how cost grows as work grows. One axis after another, each row a layer that is checked,
 * timed and compared with the limits of the device, or of the part of it that the row ran on. Calls the library
 * through session and device_layer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common/tool.h"
#include "device/device_limits.h"
#include "layer/flops.h"
#include "layer/layer_row.h"
#include "layer/possible.h"
#include "layer/row_json.h"
#include "progress.h"
#include "scaling.h"

/* A device, or a part of it, with its limits. */
typedef struct place {
    session s;
    limits limits;
} place;

typedef struct scaling_bench {
    const tool_args *args;
    place whole;
    scaling_result *results;
    size_t count;
    int failed;
} scaling_bench;

/* The layer that is open, kept for as long as rows ask for the same. */
typedef struct open_layer {
    place *at;
    model shape;
    host_layer host;
    device_layer device;
} open_layer;

static void place_close(place *p) {
    limits_close(&p->limits);
    session_close(&p->s);
}

/* -------------------------------------------------------------------------------------------------- one row */

static void close_layer(open_layer *layer) {
    device_layer_free(&layer->device);
    host_layer_free(&layer->host);
    layer->at = NULL;
}

/* 0; 1 after a complaint; 2 after a line that says why not. */
static int open_for(scaling_bench *b, place *at, const model *shape, uint32_t format, uint32_t tokens,
                    open_layer *layer) {
    char why[160];
    const uint32_t wanted = copies_needed(shape, format, tokens, last_level_cache(at->s.device));
    if (layer->at == at && layer->shape.num_experts == shape->num_experts && layer->shape.top_k == shape->top_k &&
        layer->host.format == format && layer->device.copies >= wanted)
        return 0;
    close_layer(layer);
    const uint32_t copies =
        possible_copies(&at->s, shape, format, b->args->arithmetic, wanted, row_bytes(shape, tokens), why, sizeof why);
    if (copies == 0) {
        progress_clear();
        printf("%-14s %-6s %u experts, %u a token, %u tokens: %s: skipped\n", shape->name, format_name(format),
               shape->num_experts, shape->top_k, tokens, why);
        fflush(stdout);
        return 2;
    }
    layer->at = at;
    layer->shape = *shape;
    if (host_layer_make(&layer->shape, format, b->args->seed, &layer->host)) return 1;
    for (uint32_t i = 0; i < copies; i++) {
        if (device_layer_add(&at->s, &layer->host, b->args->arithmetic, &layer->device)) return 1;
    }
    return 0;
}

/* Operations and time over those of the first row of this axis, shape and format. */
static void compare_with_first(const scaling_bench *b, scaling_result *result) {
    const scaling_result *first = result;
    for (size_t i = b->count; i-- > 0;) {
        const scaling_result *other = &b->results[i];
        if (other->axis != result->axis || other->row.format != result->row.format ||
            strcmp(other->shape.name, result->shape.name) != 0)
            break;
        first = other;
    }
    result->work = flops_matrix(&result->shape, (double)result->row.tokens) /
                   flops_matrix(&first->shape, (double)first->row.tokens);
    result->time = result->row.median_ms / first->row.median_ms;
}

static int run_point(scaling_bench *b, place *at, open_layer *layer, const model *shape, uint32_t format,
                     uint32_t tokens, scaling_axis axis, uint32_t value) {
    scaling_result *result = &b->results[b->count];
    progress("%s %s, %s %u: making weights", shape->name, format_name(format), scaling_axis_name(axis), value);
    const int opened = open_for(b, at, shape, format, tokens, layer);
    if (opened != 0) return opened == 1;
    memset(result, 0, sizeof *result);
    result->shape = *shape;
    result->axis = axis;
    result->value = value;
    result->compute_units = at->s.compute_units;
    result->row = (layer_result){.shape = &result->shape, .format = format, .tokens = tokens, .seed = b->args->seed};
    const uint32_t wanted = copies_needed(shape, format, tokens, last_level_cache(at->s.device));
    result->row.copies = wanted < layer->device.copies ? wanted : layer->device.copies;
    if (measure_row(&at->s, at->limits.roof, &layer->host, &layer->device, b->args->seconds, &result->row) ||
        limits_refresh(&at->limits)) {
        free(result->row.samples_ms);
        return 1;
    }
    compare_with_limits(&result->row, &at->limits.best);
    compare_with_first(b, result);
    b->count++;
    progress_clear();
    print_scaling_row(result);
    return 0;
}

/* --------------------------------------------------------------------------------------------------- axes */

/* The shape with another number of experts or another top_k. 0 where that is none: the rule's groups must still be
 * equal and hold top_k experts. */
static int reshape(const model *m, scaling_axis axis, uint32_t value, model *shape) {
    *shape = *m;
    if (axis == AXIS_EXPERTS) shape->num_experts = value;
    if (axis == AXIS_TOP_K) shape->top_k = value;
    if (shape->top_k > shape->num_experts) return 0;
    if (shape->n_group < 2) return 1;
    return shape->num_experts % shape->n_group == 0 &&
           shape->top_k <= shape->num_experts / shape->n_group * shape->topk_group;
}

/* What the shape suggests where the command line has no list. */
static size_t default_values(const model *m, scaling_axis axis, uint32_t units, uint32_t values[MAX_SCALING_VALUES]) {
    const uint32_t experts[] = {m->num_experts / 4, m->num_experts / 2, m->num_experts, 2 * m->num_experts};
    const uint32_t last = axis == AXIS_TOP_K ? 2 * m->top_k : units;
    size_t count = 0;
    if (axis == AXIS_EXPERTS) {
        for (size_t i = 0; i < COUNT_OF(experts); i++)
            if (experts[i] >= m->top_k && experts[i] <= 1024) values[count++] = experts[i];
        return count;
    }
    for (uint32_t value = 1; value < last && count < MAX_SCALING_VALUES - 1; value *= 2)
        if (axis == AXIS_UNITS || value <= m->num_experts) values[count++] = value;
    if (axis == AXIS_UNITS || last <= m->num_experts) values[count++] = last;
    return count;
}

/* One value of the compute units: a part of the device, or all of it. */
static int run_part(scaling_bench *b, const model *m, uint32_t format, uint32_t units) {
    char why[160];
    device_part part = {0};
    place p = {0};
    open_layer layer = {0};
    const uint32_t tokens = b->args->scaling.fixed_tokens;
    if (units == b->whole.s.compute_units) {
        const int failed = run_point(b, &b->whole, &layer, m, format, tokens, AXIS_UNITS, units);
        close_layer(&layer);
        return failed;
    }
    if (device_part_open(b->whole.s.device, units, &part, why, sizeof why)) {
        progress_clear();
        printf("%-14s %-6s %s: skipped\n", m->name, format_name(format), why);
        fflush(stdout);
        device_part_close(&part);
        return 0;
    }
    const int failed = session_adopt(part.context, part.device, &p.s) || limits_open(&p.s, &p.limits) ||
                       run_point(b, &p, &layer, m, format, tokens, AXIS_UNITS, units);
    close_layer(&layer);
    place_close(&p);
    device_part_close(&part);
    return failed;
}

/* Failures of a row do not keep the next ones from running. */
static void run_axis(scaling_bench *b, const model *m, uint32_t format, scaling_axis axis) {
    const tool_args *args = b->args;
    uint32_t values[MAX_TOKEN_COUNTS];
    size_t count = args->scaling.axes[axis].count;
    open_layer layer = {0};
    if (axis == AXIS_TOKENS) {
        count = args->token_count;
        memcpy(values, args->tokens, count * sizeof *values);
    } else if (count != 0) {
        memcpy(values, args->scaling.axes[axis].values, count * sizeof *values);
    } else {
        count = default_values(m, axis, b->whole.s.compute_units, values);
    }
    for (size_t i = 0; i < count; i++) {
        model shape;
        if (!reshape(m, axis, values[i], &shape)) {
            progress_clear();
            printf("%-14s %s %u does not go with %u experts, %u a token: skipped\n", m->name, scaling_axis_name(axis),
                   values[i], shape.num_experts, shape.top_k);
            continue;
        }
        if (axis == AXIS_UNITS) {
            b->failed |= run_part(b, m, format, values[i]);
            continue;
        }
        const uint32_t tokens = axis == AXIS_TOKENS ? values[i] : args->scaling.fixed_tokens;
        if (run_point(b, &b->whole, &layer, &shape, format, tokens, axis, values[i])) {
            b->failed = 1;
            close_layer(&layer);
        }
    }
    close_layer(&layer);
}

static int run_all(scaling_bench *b) {
    const tool_args *args = b->args;
    size_t unsteady = 0;
    if (limits_open(&b->whole.s, &b->whole.limits)) return 1;
    progress_clear();
    print_peaks(&b->whole.s, &b->whole.limits.best);
    print_scaling_heading();
    for (size_t m = 0; m < args->model_count; m++) {
        for (size_t f = 0; f < args->format_count; f++) {
            for (int axis = 0; axis < SCALING_AXES; axis++) {
                if (args->scaling.on[axis]) run_axis(b, args->models[m], args->formats[f], (scaling_axis)axis);
            }
        }
    }
    progress_clear();
    for (size_t i = 0; i < b->count; i++) unsteady += b->results[i].row.unsteady != 0;
    print_unsteady_note(unsteady, b->count);
    for (size_t m = 0; m < args->model_count; m++) print_gating(args->models[m], args->scaling.fixed_tokens);
    return args->json != NULL &&
           write_scaling_json(args->json, &b->whole.s, &b->whole.limits.best, b->results, b->count);
}

int scaling_command(const tool_args *args) {
    scaling_bench b = {.args = args};
    progress_start(args->quiet);
    const int refused = session_open(args->device, &b.whole.s);
    if (refused) return refused;
    const size_t most = MAX_TOKEN_COUNTS + (SCALING_AXES - 1) * MAX_SCALING_VALUES;
    b.results = calloc(args->model_count * args->format_count * most, sizeof *b.results);
    const int failed = b.results == NULL ? complain("out of host memory") : run_all(&b);
    for (size_t i = 0; i < b.count; i++) free(b.results[i].row.samples_ms);
    free(b.results);
    place_close(&b.whole);
    return failed || b.failed;
}
