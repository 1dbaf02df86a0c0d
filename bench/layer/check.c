/* The oracle of the bench: straight loops in double precision; see check.h. */
#include "check.h"

#include <clmoe/clmoe.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/tool.h"
#include "common/weight_formats.h"

#define MAX_EXPERTS 1024
#define TIE         1e-4 /* keys closer than this may rank either way in f32 */

/* -------------------------------------------------------------------------------------------------- routes */

typedef struct router {
    double logit[MAX_EXPERTS], score[MAX_EXPERTS], key[MAX_EXPERTS];
    int uncertain; /* a group stands at the border: which experts compete is open */
} router;

static double router_logit(const host_layer *layer, const float *x, uint32_t e) {
    const uint32_t hidden = layer->shape->hidden_size;
    double dot = layer->router_bias != NULL ? (double)layer->router_bias[e] : 0;
    for (uint32_t h = 0; h < hidden; h++) dot += (double)x[h] * (double)layer->router[(size_t)e * hidden + h];
    return dot;
}

static void score_all(const host_layer *layer, const token_result *token, router *r) {
    const model *m = layer->shape;
    double largest = -INFINITY, sum = 0;
    for (uint32_t e = 0; e < m->num_experts; e++) {
        r->logit[e] = token->logits != NULL ? (double)token->logits[e] : router_logit(layer, token->x, e);
        if (r->logit[e] > largest) largest = r->logit[e];
    }
    for (uint32_t e = 0; e < m->num_experts; e++) {
        const int sigmoid = m->rule == ROUTE_SIGMOID_GROUPS;
        r->score[e] = sigmoid ? 1 / (1 + exp(-r->logit[e])) : exp(r->logit[e] - largest);
        sum += r->score[e];
    }
    for (uint32_t e = 0; e < m->num_experts; e++) {
        if (m->rule != ROUTE_SIGMOID_GROUPS) r->score[e] /= sum;
        /* logits rank as their softmax does, and are as far apart whatever the number of experts */
        r->key[e] = m->rule == ROUTE_SIGMOID_GROUPS ? r->score[e] + (double)layer->select_bias[e] : r->logit[e];
    }
}

/* The n-th largest of values (n from 1); values are kept. */
static double nth_largest(const double *values, uint32_t count, uint32_t n) {
    double sorted[MAX_EXPERTS];
    memcpy(sorted, values, count * sizeof *values);
    (void)quantile(sorted, count, 1); /* sorts */
    return sorted[count - n];
}

/* Masks the keys of all but the best groups, a group's score being the sum of its two best keys. */
static void mask_groups(const model *m, router *r) {
    double group[MAX_EXPERTS];
    if (m->n_group < 2) return;
    const uint32_t size = m->num_experts / m->n_group;
    for (uint32_t g = 0; g < m->n_group; g++) {
        const double *keys = r->key + g * size;
        group[g] = nth_largest(keys, size, 1) + (size > 1 ? nth_largest(keys, size, 2) : 0);
    }
    const double border = nth_largest(group, m->n_group, m->topk_group);
    if (m->topk_group < m->n_group) r->uncertain = border - nth_largest(group, m->n_group, m->topk_group + 1) < TIE;
    for (uint32_t e = 0; e < m->num_experts; e++) {
        if (group[e / size] < border) r->key[e] = -INFINITY;
    }
}

/* The weights in double precision that the chosen experts get. */
static void weigh(const model *m, const router *r, const int32_t *index, double *weight) {
    double sum = 0;
    for (uint32_t k = 0; k < m->top_k; k++) {
        weight[k] = r->score[index[k]];
        sum += weight[k];
    }
    for (uint32_t k = 0; k < m->top_k; k++) {
        /* softmax over the chosen is softmax over all divided by its sum over the chosen */
        if (m->rule != ROUTE_SOFTMAX) weight[k] /= sum;
        weight[k] *= (double)m->scale;
    }
}

static int check_routes(const host_layer *layer, const token_result *token, double *weight, char *why,
                        size_t capacity) {
    const model *m = layer->shape;
    static router r;
    r.uncertain = 0;
    score_all(layer, token, &r);
    mask_groups(m, &r);
    const double border = nth_largest(r.key, m->num_experts, m->top_k);
    for (uint32_t k = 0; k < m->top_k; k++) {
        const int32_t e = token->index[k];
        if (e < 0 || (uint32_t)e >= m->num_experts) {
            snprintf(why, capacity, "slot %u has expert %d of %u", k, e, m->num_experts);
            return 1;
        }
        for (uint32_t j = 0; j < k; j++) {
            if (token->index[j] != e) continue;
            snprintf(why, capacity, "expert %d is chosen twice", e);
            return 1;
        }
        if (!r.uncertain && r.key[e] < border - TIE) {
            snprintf(why, capacity, "expert %d is chosen, whose key %g is below the limit %g", e, r.key[e], border);
            return 1;
        }
    }
    weigh(m, &r, token->index, weight);
    for (uint32_t k = 0; k < m->top_k; k++) {
        if (fabs((double)token->weight[k] - weight[k]) <= 1e-4 * weight[k] + 1e-7) continue;
        snprintf(why, capacity, "slot %u has weight %g, expected %g", k, (double)token->weight[k], weight[k]);
        return 1;
    }
    return 0;
}

/* ------------------------------------------------------------------------------------------------- outputs */

/* Room for one token. Form 0 is exact; form 1, which only bf16 arithmetic has, rounds weights and h to bf16 (x is exact
 * in bf16 already). */
typedef struct room {
    double *x, *row, *h[2], *out[2];
    int forms;
} room;

static double dot(const double *a, const double *b, uint32_t n) {
    double sum[4] = {0};
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        for (uint32_t j = 0; j < 4; j++) sum[j] += a[i + j] * b[i + j];
    }
    for (; i < n; i++) sum[0] += a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* row of a matrix . vector, in each form */
static void dot_row(const host_layer *layer, const void *matrix, size_t row, uint32_t n, const double *exact,
                    const double *rounded, const room *r, double result[2]) {
    weight_load_run(matrix, layer->format, row * n, n, r->row);
    result[0] = dot(r->row, exact, n);
    if (r->forms == 1) return;
    for (uint32_t i = 0; i < n; i++) r->row[i] = (double)round_to_bf16((float)r->row[i]);
    result[1] = dot(r->row, rounded, n);
}

static double activate(const model *m, int plain, double gate, double up) {
    if (plain) return gate / (1 + exp(-gate)) * up;
    const double limit = (double)m->limit;
    if (limit > 0) {
        gate = fmin(gate, limit);
        up = fmax(fmin(up, limit), -limit);
    }
    return gate / (1 + exp(-(double)m->alpha * gate)) * (up + (double)m->up_offset);
}

/* out += factor * expert(x), in each form. expert E is the shared one. */
static void add_expert(const host_layer *layer, uint32_t expert, double factor, room *r) {
    const model *m = layer->shape;
    const uint32_t hidden = m->hidden_size, shared = expert == m->num_experts;
    const uint32_t width = shared ? m->shared_size : m->intermediate_size;
    const int biased = m->biases && !shared;
    double gate[2], up[2], sum[2];
    for (uint32_t i = 0; i < width; i++) {
        const size_t at = (size_t)expert * width + i;
        dot_row(layer, layer->gate[expert], i, hidden, r->x, r->x, r, gate);
        dot_row(layer, layer->up[expert], i, hidden, r->x, r->x, r, up);
        for (int form = 0; form < r->forms; form++) {
            if (biased) gate[form] += (double)layer->gate_bias[at];
            if (biased) up[form] += (double)layer->up_bias[at];
            r->h[form][i] = activate(m, (int)shared, gate[form], up[form]);
        }
        if (r->forms == 2) r->h[1][i] = (double)round_to_bf16((float)r->h[1][i]);
    }
    for (uint32_t o = 0; o < hidden; o++) {
        const double bias = biased ? (double)layer->down_bias[(size_t)expert * hidden + o] : 0;
        dot_row(layer, layer->down[expert], o, width, r->h[0], r->h[1], r, sum);
        for (int form = 0; form < r->forms; form++) r->out[form][o] += factor * (bias + sum[form]);
    }
}

static int room_make(const model *m, int forms, room *r) {
    const size_t n = m->hidden_size,
                 widest = m->intermediate_size > m->shared_size ? m->intermediate_size : m->shared_size;
    memset(r, 0, sizeof *r);
    r->forms = forms;
    r->x = malloc(n * sizeof(double));
    r->row = malloc((n > widest ? n : widest) * sizeof(double));
    int failed = r->x == NULL || r->row == NULL;
    for (int form = 0; form < forms; form++) {
        r->h[form] = malloc(widest * sizeof(double));
        r->out[form] = malloc(n * sizeof(double));
        failed |= r->h[form] == NULL || r->out[form] == NULL;
    }
    return failed;
}

static void room_free(room *r) {
    free(r->x);
    free(r->row);
    for (int form = 0; form < 2; form++) {
        free(r->h[form]);
        free(r->out[form]);
    }
}

static void expected_output(const host_layer *layer, const token_result *token, const double *weight, room *r) {
    const model *m = layer->shape;
    for (uint32_t h = 0; h < m->hidden_size; h++) r->x[h] = (double)token->x[h];
    for (int form = 0; form < r->forms; form++) memset(r->out[form], 0, m->hidden_size * sizeof(double));
    for (uint32_t k = 0; k < m->top_k; k++) add_expert(layer, (uint32_t)token->index[k], weight[k], r);
    if (m->shared_size != 0) add_expert(layer, m->num_experts, 1, r);
}

/* -------------------------------------------------------------------------------------------------- errors */

/* The largest difference, over the root mean square of what is expected. A NaN counts as infinite. */
static double relative_error(const double *expected, const float *got, uint32_t count) {
    double square = 0, worst = 0;
    for (uint32_t i = 0; i < count; i++) {
        const double difference = fabs((double)got[i] - expected[i]);
        square += expected[i] * expected[i];
        if (!(difference <= worst)) worst = isnan(difference) ? INFINITY : difference;
    }
    return worst / sqrt(square / count);
}

/* Sums of squares over tokens. */
typedef struct squares {
    double difference, expected;
} squares;

static void add_squares(const double *expected, const float *got, uint32_t count, squares *sums) {
    for (uint32_t i = 0; i < count; i++) {
        const double difference = (double)got[i] - expected[i];
        sums->difference += difference * difference;
        sums->expected += expected[i] * expected[i];
    }
}

/* The largest relative error of a number stored in this format. */
static double storage_error(uint32_t format) {
    return format == CLMOE_BF16 ? 0x1p-8 : format == CLMOE_F16 ? 0x1p-11 : 0;
}

double nmse_limit(uint32_t arithmetic, uint32_t y_format) {
    const double of_arithmetic =
        arithmetic == CLMOE_ARITHMETIC_INT8 ? 4e-4 : arithmetic == CLMOE_ARITHMETIC_BF16 ? 1e-4 : 1e-9;
    return of_arithmetic + storage_error(y_format) * storage_error(y_format);
}

static double tolerance_of_arithmetic(const model *m, uint32_t arithmetic) {
    const uint32_t widest = m->intermediate_size > m->shared_size ? m->intermediate_size : m->shared_size;
    const double longest = (double)(m->hidden_size > widest ? m->hidden_size : widest);
    const double f32 = 8 * 0x1p-24 * sqrt(longest) + 32 * 0x1p-24;
    if (arithmetic == CLMOE_ARITHMETIC_INT8) return 8 * sqrt(nmse_limit(arithmetic, CLMOE_F32));
    if (arithmetic == CLMOE_ARITHMETIC_F32) return f32;
    return f32 + 16 * 0x1p-8 / sqrt((double)m->intermediate_size * m->top_k);
}

double tolerance_of(const model *m, uint32_t arithmetic, uint32_t y_format) {
    return tolerance_of_arithmetic(m, arithmetic) + 8 * storage_error(y_format);
}

/* 0 if the errors are what the arithmetic may have. */
static int judge(uint32_t arithmetic, uint32_t y_format, const check_result *result, char *why, size_t capacity) {
    const double limit = nmse_limit(arithmetic, y_format);
    if (!(result->max_rel_error <= result->tolerance)) {
        snprintf(why, capacity, "the largest relative error is %.3g, allowed are %.3g", result->max_rel_error,
                 result->tolerance);
        return 1;
    }
    if (result->nmse <= limit) return 0;
    snprintf(why, capacity, "the normalised mean squared error is %.3g, %s arithmetic may have %.3g", result->nmse,
             arithmetic_name(arithmetic), limit);
    return 1;
}

int check_tokens(const host_layer *layer, uint32_t arithmetic, uint32_t y_format, const token_result *tokens,
                 size_t count, check_result *result, char *why, size_t capacity) {
    const model *m = layer->shape;
    const int form = arithmetic == CLMOE_ARITHMETIC_BF16; /* the one to come close to */
    double weight[MAX_EXPERTS];
    squares sums = {0, 0};
    room r;
    why[0] = '\0';
    *result = (check_result){.tolerance = tolerance_of(m, arithmetic, y_format)};
    int failed = room_make(m, form + 1, &r);
    if (failed) snprintf(why, capacity, "out of host memory");
    for (size_t i = 0; i < count && !failed; i++) {
        failed = check_routes(layer, &tokens[i], weight, why, capacity);
        if (failed) break;
        expected_output(layer, &tokens[i], weight, &r);
        result->max_rel_error = fmax(result->max_rel_error, relative_error(r.out[form], tokens[i].out, m->hidden_size));
        add_squares(r.out[0], tokens[i].out, m->hidden_size, &sums);
    }
    result->nmse = sums.difference / sums.expected;
    room_free(&r);
    return failed || judge(arithmetic, y_format, result, why, capacity);
}
