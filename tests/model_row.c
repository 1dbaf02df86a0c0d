/* What a row of the table says, in the form that tests compare; see model_rows.h. May call the public API. */
#include <stdlib.h>
#include <string.h>

#include "model_rows.h"

char *model_row_config(const model_row *row) {
    const size_t length = strlen(row->config);
    char *text = malloc(length + 1);
    if (text == NULL) abort();
    for (size_t i = 0; i <= length; i++) text[i] = row->config[i] == '\'' ? '"' : row->config[i];
    return text;
}

static float or_one(double value) { return value > 0 ? (float)value : 1.0f; }

clmoe_layer_desc model_row_desc(const model_row *row) {
    const row_rule *from = &row->rule;
    clmoe_layer_desc d;
    clmoe_layer_desc_default(&d, sizeof d);
    clmoe_routing *r = &d.routing;
    r->num_experts = row->experts;
    r->top_k = row->top_k;
    r->method = (uint32_t)from->method;
    r->score = (uint32_t)from->score;
    r->score_position = from->after ? CLMOE_SCORE_AFTER : CLMOE_SCORE_BEFORE;
    r->bias_on = from->bias_on_logit ? CLMOE_BIAS_ON_LOGIT : CLMOE_BIAS_ON_SCORE;
    r->logit_softcap = (float)from->softcap;
    r->n_group = from->n_group != 0 ? from->n_group : 1;
    r->topk_group = from->topk_group != 0 ? from->topk_group : 1;
    r->group_score = from->best_two ? CLMOE_GROUP_TOP2_SUM : CLMOE_GROUP_MAX;
    r->group_mask = from->mask_zero ? CLMOE_MASK_ZERO : CLMOE_MASK_NEG_INF;
    r->normalize = (uint32_t)from->norm;
    r->norm_eps = (float)from->eps;
    r->norm_floor = (float)from->floor;
    r->norm_p = or_one(from->p);
    r->scale = or_one(from->scale);
    r->weight_on = from->weight_on_input ? CLMOE_WEIGHT_ON_INPUT : CLMOE_WEIGHT_ON_OUTPUT;
    r->zero_experts = from->zero_experts;
    if (from->sparsemixer_eps > 0) r->sparsemixer_eps = (float)from->sparsemixer_eps;
    d.activation.kind = (uint32_t)from->activation;
    d.shared_activation.kind = (uint32_t)from->shared_activation;
    d.activation.gated = d.shared_activation.gated = !from->ungated;
    d.activation.limit_position = d.shared_activation.limit_position = (uint32_t)from->limit_after;
    d.activation.limit = (float)from->limit;
    d.shared_activation.limit = (float)from->shared_limit;
    d.activation.alpha = or_one(from->alpha);
    d.activation.up_offset = (float)from->up_offset;
    d.shared_activation.alpha = or_one(from->shared_alpha);
    d.shared_activation.up_offset = (float)from->shared_up_offset;
    d.router_input = (uint32_t)from->router_input;
    d.routed_scale = or_one(from->routed_scale);
    d.shared_scale = or_one(from->shared_scale);
    return d;
}

unsigned model_row_layer(const model_row *row) {
    const char *last = strrchr(row->moe, ' ');
    return (unsigned)strtoul(last != NULL ? last + 1 : row->moe, NULL, 10);
}
