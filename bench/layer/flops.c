/* Operations of a forward; see flops.h. Calls nothing. */
#include "flops.h"

static double softmax(double n) { return 5 * n - 2; }

static double best(double k, double n) { return k * n - k * (k + 1) / 2; }

/* Each group's two best keys are added up; a group of one has one. */
static double group_scores(double groups, double size) { return groups * (size > 1 ? best(2, size) + 1 : 0); }

static double select_token(const model *m) {
    const double e = (double)m->num_experts, k = (double)m->top_k;
    const double scaled = m->scale < 1.0f || m->scale > 1.0f ? k : 0;
    if (m->rule == ROUTE_SOFTMAX) return softmax(e) + best(k, e) + scaled;
    if (m->rule == ROUTE_SOFTMAX_SUM) return softmax(e) + best(k, e) + (2 * k - 1) + scaled;
    if (m->rule == ROUTE_SOFTMAX_CHOSEN) return best(k, e) + softmax(k) + scaled;
    const double scores = 4 * e + e;
    if (m->n_group < 2) return scores + best(k, e) + (2 * k - 1) + scaled;
    const double groups = (double)m->n_group, kept = (double)m->topk_group, size = e / groups;
    return scores + group_scores(groups, size) + best(kept, groups) + best(k, kept * size) + (2 * k - 1) + scaled;
}

double flops_logits(const model *m, double tokens) {
    return tokens * m->num_experts * (2.0 * m->hidden_size + (m->biases ? 1 : 0));
}

double flops_select(const model *m, double tokens) { return tokens * select_token(m); }

double flops_up(const model *m, double tokens) {
    return 2 * tokens * m->top_k * m->intermediate_size * (2.0 * m->hidden_size + (m->biases ? 1 : 0));
}

double flops_activation(const model *m, double tokens) {
    const double alpha = m->alpha < 1.0f || m->alpha > 1.0f ? 1 : 0, offset = m->up_offset > 0 ? 1 : 0;
    return tokens * m->top_k * m->intermediate_size * (6 + alpha + offset + (m->limit > 0 ? 3 : 0));
}

double flops_down(const model *m, double tokens) {
    return tokens * m->top_k * m->hidden_size * (2.0 * m->intermediate_size + (m->biases ? 1 : 0));
}

double flops_shared(const model *m, double tokens) {
    return 6 * tokens * m->shared_size * ((double)m->hidden_size + 1);
}

double flops_combine(const model *m, double tokens) {
    return tokens * m->hidden_size * (2.0 * m->top_k - 1 + (m->shared_size != 0));
}

double flops_forward(const model *m, double tokens) {
    return flops_logits(m, tokens) + flops_select(m, tokens) + flops_up(m, tokens) + flops_activation(m, tokens) +
           flops_down(m, tokens) + flops_shared(m, tokens) + flops_combine(m, tokens);
}

double flops_matrix(const model *m, double tokens) {
    return 2 * tokens * m->hidden_size *
           (3.0 * m->intermediate_size * m->top_k + 3.0 * m->shared_size + (double)m->num_experts);
}

double flops_gating_literature(const model *m, double tokens) {
    const double classes = tokens * m->num_experts;
    return classes * m->hidden_size + 3 * classes + classes;
}

double flops_gating_exact(const model *m, double tokens) { return flops_logits(m, tokens) + flops_select(m, tokens); }
