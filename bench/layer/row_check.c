/* Compares what the device computes with the oracle, for sampled tokens of one forward; see row_run.h. */
#include <stdlib.h>

#include "check.h"
#include "common/tool.h"
#include "common/weight_formats.h"
#include "row_run.h"

#define SAMPLED_TOKENS 3

/* Reads one token's index, weight and out into the arrays. */
static int read_token(row_run *run, size_t token, int32_t *index, float *weight, float *out) {
    const size_t slots = run->host->shape->top_k * sizeof(int32_t),
                 hidden = run->host->shape->hidden_size * sizeof(float);
    cl_command_queue queue = run->s->queue;
    cl_int code = clEnqueueReadBuffer(queue, run->index, CL_TRUE, token * slots, slots, index, 0, NULL, NULL);
    if (code == CL_SUCCESS)
        code = clEnqueueReadBuffer(queue, run->weight, CL_TRUE, token * slots, slots, weight, 0, NULL, NULL);
    if (code == CL_SUCCESS)
        code = clEnqueueReadBuffer(queue, run->out, CL_TRUE, token * hidden, hidden, out, 0, NULL, NULL);
    return code != CL_SUCCESS ? complain_cl("clEnqueueReadBuffer", code) : 0;
}

/* The first token, the last, and one between them that the seed picks. */
static size_t sample_tokens(const row_run *run, size_t sampled[SAMPLED_TOKENS]) {
    const size_t tokens = run->row->tokens;
    random_state random = {run->row->seed + tokens};
    sampled[0] = 0;
    sampled[1] = tokens - 1;
    if (tokens <= 2) return tokens;
    sampled[2] = 1 + (size_t)(random_next(&random) % (tokens - 2));
    return 3;
}

static int compare_with(row_run *run, const char *what, int32_t *index, float *weight, float *out) {
    const model *m = run->host->shape;
    token_result results[SAMPLED_TOKENS];
    size_t sampled[SAMPLED_TOKENS];
    const size_t count = sample_tokens(run, sampled);
    for (size_t i = 0; i < count; i++) {
        results[i] = (token_result){.x = run->host_x + (row_run_start(run, 0) + sampled[i]) * m->hidden_size,
                                    .index = index + i * m->top_k,
                                    .weight = weight + i * m->top_k,
                                    .out = out + i * m->hidden_size};
        if (run->host_logits != NULL)
            results[i].logits = run->host_logits + (row_run_logits_start(run, 0) + sampled[i]) * m->num_experts;
        if (read_token(run, sampled[i], index + i * m->top_k, weight + i * m->top_k, out + i * m->hidden_size))
            return 1;
    }
    check_result result;
    char why[256];
    const uint32_t y_format = run->device != NULL ? run->device->y_format : CLMOE_F32; /* a rung has no layers */
    if (check_tokens(run->host, run->row->arithmetic, y_format, results, count, &result, why, sizeof why)) {
        return complain("%s %s in %s, %u tokens: not timed, because the results are wrong: %s", what,
                        format_name(run->host->format), arithmetic_name(run->row->arithmetic), run->row->tokens, why);
    }
    run->row->max_rel_error = result.max_rel_error;
    run->row->tolerance = result.tolerance;
    run->row->nmse = result.nmse;
    return 0;
}

int row_run_compare(row_run *run, const char *what) {
    const model *m = run->host->shape;
    int32_t *index = malloc(SAMPLED_TOKENS * m->top_k * sizeof *index);
    float *weight = malloc(SAMPLED_TOKENS * m->top_k * sizeof *weight);
    float *out = malloc(SAMPLED_TOKENS * m->hidden_size * sizeof *out);
    const int failed = index == NULL || weight == NULL || out == NULL ? complain("out of host memory")
                                                                      : compare_with(run, what, index, weight, out);
    free(index);
    free(weight);
    free(out);
    return failed;
}

int row_run_check(row_run *run) {
    clmoe_io io = row_run_io(run, 0);
    io.out_index = clmoe_cl_mem(run->index, 0);
    io.out_weight = clmoe_cl_mem(run->weight, 0);
    if (row_run_forward(run, run->s->queue, &io, 0, NULL)) return 1;
    run->row->arithmetic = layer_arithmetic(run->device->layers[0]);
    return run->row->arithmetic == 0 || row_run_compare(run, run->host->shape->name);
}
