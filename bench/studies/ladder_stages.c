/* The middle rungs: the library's stages one by one, with gather and activation as launches of their own or fused; see
 * ladder.h. Calls the library and OpenCL. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/tool.h"
#include "common/weight_formats.h"
#include "ladder.h"

/* A feed-forward: gate, up and down apart; fused: up does gate and activation too, and gate is NULL. */
typedef struct ffn {
    clmoe_grouped_gemm *gate, *up, *down;
    cl_mem gate_out, h; /* [rows, I]; the first only where gate is */
} ffn;

typedef struct stages {
    int fused;
    ladder_router router;
    clmoe_dispatch *dispatch;
    clmoe_combine *combine;
    clmoe_plan_layout layout;
    ffn experts, shared;
    cl_mem plan, gathered, y, shared_out; /* [rows, H]; shared_out [T, H] */
    cl_kernel gather, activate;
} stages;

/* ------------------------------------------------------------------------------------------------ creation */

/* Which matrices one GEMM is of. */
typedef struct gemm_parts {
    const void **first, **second; /* [out, in] an expert; with a second one: gate and up, activated */
    const float *first_bias, *second_bias;
    uint32_t groups, in, out, slots;
    int planned;
} gemm_parts;

static clmoe_tensor matrices(const host_layer *host, const void **list) {
    return (clmoe_tensor){.format = host->format, .host_list = list};
}

static clmoe_tensor biases(const float *host) { return (clmoe_tensor){.format = CLMOE_F32, .host = host}; }

static int make_gemm(ladder *l, const rung *r, const gemm_parts *parts, const clmoe_activation *activation,
                     clmoe_grouped_gemm **gemm) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_grouped_gemm_desc desc;
    clmoe_grouped_gemm_desc_default(&desc, sizeof desc);
    desc.num_groups = parts->groups;
    desc.in_features = parts->in;
    desc.out_features = parts->out;
    desc.weight_format = l->host->format;
    desc.arithmetic = l->arithmetic;
    desc.slots = parts->slots;
    desc.full_tiles = parts->planned && !r->equal_tiles;
    desc.weight = matrices(l->host, parts->second != NULL ? parts->second : parts->first);
    if (parts->first_bias != NULL) desc.bias = biases(parts->second != NULL ? parts->second_bias : parts->first_bias);
    if (parts->second != NULL) {
        desc.activate = 1;
        desc.activation = *activation;
        desc.gate_up = CLMOE_GATE_UP_SEPARATE;
        desc.gate = matrices(l->host, parts->first);
        if (parts->first_bias != NULL) desc.gate_bias = biases(parts->first_bias);
    }
    if (clmoe_grouped_gemm_create(l->s->context, &desc, gemm, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_grouped_gemm_create", &error);
    return 0;
}

/* The experts, or with e == E the shared one. */
static int make_ffn(ladder *l, const rung *r, uint32_t e, const clmoe_activation *activation, ffn *f) {
    const host_layer *host = l->host;
    const model *m = host->shape;
    const int shared = e == m->num_experts;
    const uint32_t groups = shared ? 1 : m->num_experts, wide = shared ? m->shared_size : m->intermediate_size;
    const gemm_parts gate = {.first = host->gate + e,
                             .first_bias = shared ? NULL : host->gate_bias,
                             .groups = groups,
                             .in = m->hidden_size,
                             .out = wide,
                             .slots = shared || !r->fused ? 0 : m->top_k,
                             .planned = !shared};
    gemm_parts up = gate, both = gate, down = gate;
    up.first = both.second = host->up + e;
    up.first_bias = both.second_bias = shared ? NULL : host->up_bias;
    down.first = host->down + e;
    down.first_bias = shared ? NULL : host->down_bias;
    down.in = wide;
    down.out = m->hidden_size;
    down.slots = 0;
    const uint64_t rows = (uint64_t)l->run.row->tokens * (shared ? 1 : m->top_k);
    f->h = ladder_buffer(l, rows * wide * 4);
    if (f->h == NULL) return 1;
    if (!r->fused) {
        f->gate_out = ladder_buffer(l, rows * wide * 4);
        if (f->gate_out == NULL || make_gemm(l, r, &gate, activation, &f->gate)) return 1;
    }
    return make_gemm(l, r, r->fused ? &both : &up, activation, &f->up) || make_gemm(l, r, &down, activation, &f->down);
}

static void free_ffn(ffn *f) {
    clmoe_grouped_gemm_destroy(f->gate);
    clmoe_grouped_gemm_destroy(f->up);
    clmoe_grouped_gemm_destroy(f->down);
    if (f->gate_out != NULL) clReleaseMemObject(f->gate_out);
    if (f->h != NULL) clReleaseMemObject(f->h);
}

static int make_plan(ladder *l, const rung *r, stages *t) {
    const model *m = l->host->shape;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_dispatch_desc desc;
    clmoe_dispatch_desc_default(&desc, sizeof desc);
    desc.num_classes = desc.local_experts = m->num_experts;
    desc.slots = m->top_k;
    desc.tile_rows = clmoe_grouped_gemm_tile_rows(t->experts.up);
    desc.full_tiles = !r->equal_tiles;
    if (desc.tile_rows != clmoe_grouped_gemm_tile_rows(t->experts.down))
        return complain("up and down want tiles of %u and %u rows", desc.tile_rows,
                        clmoe_grouped_gemm_tile_rows(t->experts.down));
    if (clmoe_dispatch_create(l->s->context, &desc, &t->dispatch, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_dispatch_create", &error);
    t->layout.struct_size = sizeof t->layout;
    if (clmoe_dispatch_plan_layout(t->dispatch, l->run.row->tokens, 0, &t->layout, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_dispatch_plan_layout", &error);
    t->plan = ladder_buffer(l, t->layout.total * 4);
    return t->plan == NULL;
}

static int make_combine(ladder *l, stages *t) {
    const model *m = l->host->shape;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_combine_desc desc;
    clmoe_combine_desc_default(&desc, sizeof desc);
    desc.hidden_size = m->hidden_size;
    desc.slots = m->top_k;
    desc.num_experts = m->num_experts;
    desc.has_shared = m->shared_size != 0;
    if (clmoe_combine_create(l->s->context, &desc, &t->combine, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_combine_create", &error);
    return 0;
}

static uint32_t gemm_arithmetic(const clmoe_grouped_gemm *gemm) {
    char wanted[32];
    for (uint32_t i = CLMOE_ARITHMETIC_F32; arithmetic_name(i) != NULL; i++) {
        snprintf(wanted, sizeof wanted, "(%s arithmetic)", arithmetic_name(i));
        if (strstr(clmoe_grouped_gemm_variant(gemm), wanted) != NULL) return i;
    }
    complain("the GEMM's variant '%s' names no arithmetic", clmoe_grouped_gemm_variant(gemm));
    return 0;
}

int stages_open(ladder *l, const rung *r, void **state, char *why, size_t capacity) {
    const model *m = l->host->shape;
    const uint64_t rows = (uint64_t)l->run.row->tokens * m->top_k, hidden = m->hidden_size;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_layer_desc layer;
    stages *t = calloc(1, sizeof *t);
    (void)why, (void)capacity;
    if (t == NULL) return complain("out of host memory");
    *state = t;
    t->fused = r->fused;
    if (device_layer_desc(m, &layer, &error) != CLMOE_OK) return complain_clmoe(m->preset, &error);
    if (ladder_router_open(l, &t->router) || make_ffn(l, r, 0, &layer.activation, &t->experts)) return 1;
    if (m->shared_size != 0) {
        t->shared_out = ladder_buffer(l, (uint64_t)l->run.row->tokens * hidden * 4);
        if (t->shared_out == NULL || make_ffn(l, r, m->num_experts, &layer.shared_activation, &t->shared)) return 1;
    }
    t->y = ladder_buffer(l, rows * hidden * 4);
    if (t->y == NULL || make_plan(l, r, t) || make_combine(l, t)) return 1;
    l->run.row->arithmetic = gemm_arithmetic(t->experts.up);
    if (l->run.row->arithmetic == 0 || r->fused) return l->run.row->arithmetic == 0;
    t->gathered = ladder_buffer(l, rows * hidden * 4);
    t->gather = ladder_kernel(l, "gather_rows");
    t->activate = ladder_kernel(l, "activate");
    return t->gathered == NULL || t->gather == NULL || t->activate == NULL;
}

void stages_close(ladder *l, void *state) {
    stages *t = state;
    (void)l;
    if (t == NULL) return;
    const cl_mem buffers[] = {t->plan, t->gathered, t->y, t->shared_out};
    ladder_router_close(&t->router);
    free_ffn(&t->experts);
    free_ffn(&t->shared);
    clmoe_dispatch_destroy(t->dispatch);
    clmoe_combine_destroy(t->combine);
    for (size_t i = 0; i < COUNT_OF(buffers); i++)
        if (buffers[i] != NULL) clReleaseMemObject(buffers[i]);
    if (t->gather != NULL) clReleaseKernel(t->gather);
    if (t->activate != NULL) clReleaseKernel(t->activate);
    free(t);
}

/* ------------------------------------------------------------------------------------------------- forward */

static int run_dispatch(ladder *l, stages *t) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_dispatch_io io;
    clmoe_dispatch_io_default(&io, sizeof io);
    io.tokens = l->run.row->tokens;
    io.index = clmoe_cl_mem(l->run.index, 0);
    io.plan = clmoe_cl_mem(t->plan, 0);
    if (clmoe_dispatch_enqueue(t->dispatch, l->workspace, l->queue, &io, 0, NULL, NULL, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_dispatch_enqueue", &error);
    return 0;
}

static int run_gather(ladder *l, const stages *t, size_t i) {
    const cl_ulong x_offset = ladder_x_offset(l, i), slot_offset = t->layout.row_slot;
    const cl_uint slots = l->host->shape->top_k, columns = l->host->shape->hidden_size;
    const struct {
        size_t size;
        const void *value;
    } arguments[] = {
        {sizeof(cl_mem), &l->run.x}, {8, &x_offset}, {sizeof(cl_mem), &t->plan},    {8, &slot_offset}, {4, &slots},
        {sizeof(cl_mem), &t->plan},  {4, &columns},  {sizeof(cl_mem), &t->gathered}};
    for (cl_uint a = 0; a < COUNT_OF(arguments); a++) {
        const cl_int code = clSetKernelArg(t->gather, a, arguments[a].size, arguments[a].value);
        if (code != CL_SUCCESS) return complain_cl("clSetKernelArg", code);
    }
    return ladder_launch(l, t->gather, (size_t)l->run.row->tokens * slots);
}

/* gate_out and h become h. The GEMMs have added the biases. rows: NULL, or the plan, which begins with their number. */
static int run_activation(ladder *l, const stages *t, const ffn *f, const cl_mem *rows, size_t most, uint32_t wide,
                          cl_uint plain) {
    const cl_ulong none = 0;
    const cl_uint columns = wide;
    const struct {
        size_t size;
        const void *value;
    } arguments[] = {{sizeof(cl_mem), &f->gate_out},
                     {sizeof(cl_mem), &f->h},
                     {sizeof(cl_mem), NULL},
                     {sizeof(cl_mem), NULL},
                     {8, &none},
                     {sizeof(cl_mem), rows},
                     {4, &columns},
                     {4, &plain}};
    for (cl_uint a = 0; a < COUNT_OF(arguments); a++) {
        const cl_int code = clSetKernelArg(t->activate, a, arguments[a].size, arguments[a].value);
        if (code != CL_SUCCESS) return complain_cl("clSetKernelArg", code);
    }
    return ladder_launch(l, t->activate, most);
}

static int run_gemm(ladder *l, clmoe_grouped_gemm *gemm, const stages *t, int planned, clmoe_buffer x, cl_mem y) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_grouped_gemm_io io;
    clmoe_grouped_gemm_io_default(&io, sizeof io);
    io.tokens = l->run.row->tokens;
    if (planned) {
        io.plan = clmoe_cl_mem(t->plan, 0);
        io.max_rows = t->layout.max_rows;
    }
    io.x = x;
    io.y = clmoe_cl_mem(y, 0);
    if (clmoe_grouped_gemm_enqueue(gemm, l->workspace, l->queue, &io, 0, NULL, NULL, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_grouped_gemm_enqueue", &error);
    return 0;
}

/* y = down(act(gate(x)) * up(x)) */
static int run_ffn(ladder *l, stages *t, const ffn *f, int shared, clmoe_buffer x, cl_mem y) {
    const model *m = l->host->shape;
    const size_t rows = (size_t)l->run.row->tokens * (shared ? 1 : m->top_k);
    if (f->gate != NULL && run_gemm(l, f->gate, t, !shared, x, f->gate_out)) return 1;
    if (run_gemm(l, f->up, t, !shared, x, f->h)) return 1;
    if (f->gate != NULL && run_activation(l, t, f, shared ? NULL : &t->plan, rows,
                                          shared ? m->shared_size : m->intermediate_size, (cl_uint)shared))
        return 1;
    return run_gemm(l, f->down, t, !shared, clmoe_cl_mem(f->gate != NULL ? f->gate_out : f->h, 0), y);
}

static int run_combine(ladder *l, const stages *t) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_combine_io io;
    clmoe_combine_io_default(&io, sizeof io);
    io.tokens = l->run.row->tokens;
    io.y = clmoe_cl_mem(t->y, 0);
    io.slot_row = clmoe_cl_mem(t->plan, t->layout.slot_row * 4);
    io.weight = clmoe_cl_mem(l->run.weight, 0);
    if (t->shared_out != NULL) io.shared = clmoe_cl_mem(t->shared_out, 0);
    io.out = clmoe_cl_mem(l->run.out, 0);
    if (clmoe_combine_enqueue(t->combine, l->workspace, l->queue, &io, 0, NULL, NULL, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_combine_enqueue", &error);
    return 0;
}

int stages_forward(ladder *l, void *state, size_t i) {
    stages *t = state;
    const clmoe_buffer x = clmoe_cl_mem(l->run.x, 4 * ladder_x_offset(l, i));
    if (ladder_router_enqueue(l, &t->router, i) || run_dispatch(l, t) || (!t->fused && run_gather(l, t, i))) return 1;
    if (run_ffn(l, t, &t->experts, 0, t->fused ? x : clmoe_cl_mem(t->gathered, 0), t->y)) return 1;
    if (t->shared_out != NULL && run_ffn(l, t, &t->shared, 1, x, t->shared_out)) return 1;
    return run_combine(l, t);
}

/* A feed-forward of `rows` rows. Where rows are packed, each GEMM's are written and read once more. */
static double ffn_moved(const ladder *l, int fused, double rows, double wide) {
    const double hidden = (double)l->host->shape->hidden_size;
    const double in = rows * hidden * 4 + (l->s->is_cpu ? 2 * ladder_operand_bytes(l, rows * hidden) : 0);
    const double down =
        rows * wide * 4 + (l->s->is_cpu ? 2 * ladder_operand_bytes(l, rows * wide) : 0) + rows * hidden * 4;
    if (fused) return in + rows * wide * 4 + down;
    return 2 * (in + rows * wide * 4) + 3 * rows * wide * 4 + down;
}

double stages_moved(const ladder *l, const void *state, double active) {
    const stages *t = state;
    const model *m = l->host->shape;
    const double tokens = (double)l->run.row->tokens, rows = tokens * m->top_k, hidden = (double)m->hidden_size;
    double bytes = ladder_router_moved(l) + active * (double)expert_bytes(m, l->host->format);
    if (!t->fused) bytes += 2 * rows * hidden * 4;
    bytes += ffn_moved(l, t->fused, rows, (double)m->intermediate_size);
    if (m->shared_size != 0)
        bytes += (double)shared_bytes(m, l->host->format) + ffn_moved(l, t->fused, tokens, (double)m->shared_size) +
                 tokens * hidden * 4;
    return bytes + rows * hidden * 4 + rows * 4 + tokens * hidden * 4;
}
