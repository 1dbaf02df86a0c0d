/* The top rung: clmoe_forward as users call it; see ladder.h. Calls the library. */
#include <stdlib.h>

#include "common/tool.h"
#include "ladder.h"

int full_open(ladder *l, const rung *r, void **state, char *why, size_t capacity) {
    (void)r, (void)why, (void)capacity;
    device_layer *device = calloc(1, sizeof *device);
    if (device == NULL) return complain("out of host memory");
    *state = device;
    if (device_layer_add(l->s, l->host, l->arithmetic, device)) return 1;
    l->run.row->arithmetic = layer_arithmetic(device->layers[0]);
    return l->run.row->arithmetic == 0;
}

void full_close(ladder *l, void *state) {
    (void)l;
    if (state == NULL) return;
    device_layer_free(state);
    free(state);
}

int full_forward(ladder *l, void *state, size_t i) {
    const device_layer *device = state;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_io io = row_run_io(&l->run, i);
    if (l->keep_routes) {
        io.out_index = clmoe_cl_mem(l->run.index, 0);
        io.out_weight = clmoe_cl_mem(l->run.weight, 0);
    }
    if (clmoe_forward(device->layers[0], l->workspace, l->queue, &io, 0, NULL, NULL, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_forward", &error);
    return 0;
}

/* x gathered where rows are packed, the weights that are hit, h and the experts' rows written and read, out. */
double full_moved(const ladder *l, const void *state, double active) {
    const model *m = l->host->shape;
    const double tokens = (double)l->run.row->tokens, rows = tokens * m->top_k;
    const double hidden = (double)m->hidden_size, wide = (double)m->intermediate_size, shared = (double)m->shared_size;
    const double packed = l->s->is_cpu ? ladder_operand_bytes(l, rows * hidden) : 0;
    double bytes = ladder_router_moved(l) + rows * hidden * 4 + 2 * packed;
    (void)state;
    bytes += active * (double)expert_bytes(m, l->host->format) + 2 * ladder_operand_bytes(l, rows * wide);
    bytes += 2 * rows * hidden * 4 + rows * 4 + tokens * hidden * 4;
    if (m->shared_size != 0)
        bytes += tokens * hidden * 4 + (l->s->is_cpu ? 2 * ladder_operand_bytes(l, tokens * hidden) : 0) +
                 (double)shared_bytes(m, l->host->format) + 2 * ladder_operand_bytes(l, tokens * shared) +
                 2 * tokens * hidden * 4;
    return bytes;
}
