/* The experts of one layer in ggml, for peer_ggml.py: the graph that llama.cpp makes of a Mixture-of-Experts block,
 * without the router. Weights go into the buffers that llama.cpp would choose: repacked where ggml can. Calls ggml.
 *
 *   x [T, H] -> gate, up [T, K, I] (ggml_mul_mat_id) -> silu(gate) * up -> down [T, K, H] -> times weight, summed */
#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct layer {
    ggml_backend_t backend;
    struct ggml_context *up_context, *down_context;
    ggml_backend_buffer_t up_buffer, down_buffer;
    struct ggml_tensor *gate, *up, *down;
    /* of layer_plan */
    struct ggml_context *plan;
    ggml_gallocr_t allocator;
    struct ggml_cgraph *graph;
    struct ggml_tensor *x, *routes, *weights, *out;
} layer;

void layer_close(layer *l);

static struct ggml_context *new_context(size_t tensors) {
    const struct ggml_init_params without_data = {tensors * ggml_tensor_overhead() + ggml_graph_overhead(), NULL, true};
    return ggml_init(without_data);
}

/* Does the processor multiply such experts from buffers of this type? */
static int multiplies(ggml_backend_dev_t device, ggml_backend_buffer_type_t type, enum ggml_type format,
                      int64_t columns, int64_t rows, int64_t experts, int64_t top_k) {
    struct ggml_context *c = new_context(4);
    struct ggml_tensor *w = ggml_new_tensor_3d(c, format, columns, rows, experts);
    struct ggml_tensor *product = ggml_mul_mat_id(c, w, ggml_new_tensor_3d(c, GGML_TYPE_F32, columns, top_k, 512),
                                                  ggml_new_tensor_2d(c, GGML_TYPE_I32, top_k, 512));
    w->buffer = ggml_backend_buft_alloc_buffer(type, 0);
    const int ok = ggml_backend_dev_supports_op(device, product);
    ggml_backend_buffer_free(w->buffer);
    ggml_free(c);
    return ok;
}

/* The first of the processor's special buffer types that takes them, else the plain one. */
static ggml_backend_buffer_type_t buffer_type(ggml_backend_t backend, enum ggml_type format, int64_t columns,
                                              int64_t rows, int64_t experts, int64_t top_k) {
    ggml_backend_dev_t device = ggml_backend_get_device(backend);
    union { /* ISO C has no cast from an object pointer to a function */
        void *address;
        ggml_backend_dev_get_extra_bufts_t call;
    } extra = {
        ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), "ggml_backend_dev_get_extra_bufts")};
    ggml_backend_buffer_type_t *types = extra.address != NULL ? extra.call(device) : NULL;
    for (; types != NULL && *types != NULL; types++) {
        if (multiplies(device, *types, format, columns, rows, experts, top_k)) return *types;
    }
    return ggml_backend_get_default_buffer_type(backend);
}

/* Expert e gets the values of expert e % given; from[] is [given, rows, columns]. */
static int fill(struct ggml_tensor *tensor, const float *from, int64_t given) {
    const int64_t columns = tensor->ne[0], rows = tensor->ne[1], experts = tensor->ne[2];
    const size_t expert_bytes = ggml_row_size(tensor->type, columns) * (size_t)rows;
    char *all = malloc(expert_bytes * (size_t)experts);
    if (all == NULL) return -1;
    if (tensor->type == GGML_TYPE_F32)
        memcpy(all, from, expert_bytes * (size_t)given);
    else
        ggml_quantize_chunk(tensor->type, from, all, 0, rows * given, columns, NULL);
    for (int64_t e = given; e < experts; e++) {
        memcpy(all + (size_t)e * expert_bytes, all + (size_t)(e % given) * expert_bytes, expert_bytes);
    }
    ggml_backend_tensor_set(tensor, all, 0, expert_bytes * (size_t)experts); /* repacks */
    free(all);
    return 0;
}

/* NULL: unknown format, a width that is no multiple of its blocks, or out of memory. gate, up [given, I, H], down
 * [given, H, I]; given <= experts. */
layer *layer_open(const char *format_name, int64_t hidden, int64_t inter, int64_t experts, int64_t top_k, int threads,
                  int64_t given, const float *gate, const float *up, const float *down) {
    int format = 0;
    while (format < GGML_TYPE_COUNT &&
           (ggml_type_name(format) == NULL || strcmp(ggml_type_name(format), format_name) != 0))
        format++;
    if (format == GGML_TYPE_COUNT || hidden % ggml_blck_size(format) != 0 || inter % ggml_blck_size(format) != 0)
        return NULL;
    layer *l = calloc(1, sizeof *l);
    if (l == NULL) return NULL;
    l->backend = ggml_backend_cpu_init();
    ggml_backend_cpu_set_n_threads(l->backend, threads);
    l->up_context = new_context(2);
    l->down_context = new_context(1);
    l->gate = ggml_new_tensor_3d(l->up_context, format, hidden, inter, experts);
    l->up = ggml_new_tensor_3d(l->up_context, format, hidden, inter, experts);
    l->down = ggml_new_tensor_3d(l->down_context, format, inter, hidden, experts);
    l->up_buffer = ggml_backend_alloc_ctx_tensors_from_buft(
        l->up_context, buffer_type(l->backend, format, hidden, inter, experts, top_k));
    l->down_buffer = ggml_backend_alloc_ctx_tensors_from_buft(
        l->down_context, buffer_type(l->backend, format, inter, hidden, experts, top_k));
    if (l->up_buffer == NULL || l->down_buffer == NULL || fill(l->gate, gate, given) != 0 ||
        fill(l->up, up, given) != 0 || fill(l->down, down, given) != 0) {
        layer_close(l);
        return NULL;
    }
    return l;
}

const char *layer_buffer(const layer *l) { return ggml_backend_buffer_name(l->up_buffer); }

static void plan_close(layer *l) {
    if (l->allocator != NULL) ggml_gallocr_free(l->allocator);
    if (l->plan != NULL) ggml_free(l->plan);
    l->allocator = NULL;
    l->plan = NULL;
}

/* Makes the graph for so many tokens; 0, or -1 without memory. */
int layer_plan(layer *l, int64_t tokens, int64_t top_k) {
    const int64_t hidden = l->gate->ne[0];
    plan_close(l);
    struct ggml_context *c = l->plan = new_context(512);
    l->x = ggml_new_tensor_3d(c, GGML_TYPE_F32, hidden, 1, tokens);
    l->routes = ggml_new_tensor_2d(c, GGML_TYPE_I32, top_k, tokens);
    l->weights = ggml_new_tensor_3d(c, GGML_TYPE_F32, 1, top_k, tokens);
    ggml_set_input(l->x);
    ggml_set_input(l->routes);
    ggml_set_input(l->weights);
    struct ggml_tensor *up = ggml_mul_mat_id(c, l->up, l->x, l->routes);
    struct ggml_tensor *gate = ggml_mul_mat_id(c, l->gate, l->x, l->routes);
    struct ggml_tensor *down = ggml_mul_mat_id(c, l->down, ggml_swiglu_split(c, gate, up), l->routes);
    struct ggml_tensor *weighted = ggml_mul(c, down, l->weights); /* [hidden, top_k, tokens] */
    l->graph = ggml_new_graph(c);
    l->out = NULL;
    for (int64_t k = 0; k < top_k; k++) {
        struct ggml_tensor *slot =
            ggml_view_2d(c, weighted, hidden, tokens, weighted->nb[2], (size_t)k * weighted->nb[1]);
        ggml_build_forward_expand(l->graph, slot);
        l->out = l->out == NULL ? slot : ggml_add(c, l->out, slot);
    }
    if (top_k == 1) l->out = ggml_cont(c, l->out);
    ggml_set_output(l->out);
    ggml_build_forward_expand(l->graph, l->out);
    l->allocator = ggml_gallocr_new(ggml_backend_get_default_buffer_type(l->backend));
    return ggml_gallocr_alloc_graph(l->allocator, l->graph) ? 0 : -1;
}

/* One forward: x [tokens, hidden], routes and weights [tokens, top_k] of the plan; 0, or -1 if ggml failed. */
int layer_run(layer *l, const float *x, const int32_t *routes, const float *weights) {
    ggml_backend_tensor_set(l->x, x, 0, ggml_nbytes(l->x));
    ggml_backend_tensor_set(l->routes, routes, 0, ggml_nbytes(l->routes));
    ggml_backend_tensor_set(l->weights, weights, 0, ggml_nbytes(l->weights));
    return ggml_backend_graph_compute(l->backend, l->graph) == GGML_STATUS_SUCCESS ? 0 : -1;
}

/* What the last forward computed: out [tokens, hidden]. */
void layer_result(const layer *l, float *out) { ggml_backend_tensor_get(l->out, out, 0, ggml_nbytes(l->out)); }

void layer_close(layer *l) {
    plan_close(l);
    ggml_backend_buffer_free(l->up_buffer);
    ggml_backend_buffer_free(l->down_buffer);
    ggml_free(l->up_context);
    ggml_free(l->down_context);
    ggml_backend_free(l->backend);
    free(l);
}
