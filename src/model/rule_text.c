/* A routing rule in words, for lists of layers: "sigmoid + bias, 4 of 8 groups by their two best, top 8, weights / sum
 * x 2.5". */
#include <stdarg.h>
#include <stdio.h>

#include "model_layer.h"

typedef struct words {
    char *text;
    size_t room, used;
} words;

static void add(words *w, const char *format, ...) CLMOE__PRINTF(2, 3);

static void add(words *w, const char *format, ...) {
    va_list arguments;
    if (w->used >= w->room) return;
    va_start(arguments, format);
    const int more = vsnprintf(w->text + w->used, w->room - w->used, format, arguments);
    va_end(arguments);
    if (more > 0) w->used += (size_t)more;
}

static void add_selection(words *w, const clmoe_routing *r, int has_bias) {
    if (has_bias) add(w, " + bias");
    if (r->n_group > 1)
        add(w, ", %u of %u groups by their %s", r->topk_group, r->n_group,
            r->group_score == CLMOE_GROUP_MAX ? "best" : "two best");
    add(w, ", top %u", r->top_k);
}

static void add_weights(words *w, const clmoe_routing *r, float routed_scale) {
    if (r->normalize == CLMOE_NORM_SUM) add(w, ", weights / sum");
    if (r->normalize == CLMOE_NORM_P) add(w, ", weights / %g-norm", (double)r->norm_p);
    if (r->normalize == CLMOE_NORM_NONE) add(w, ", weights as they are");
    const double scale = (double)r->scale * (double)routed_scale;
    if (scale < 1 || scale > 1) add(w, " x %g", scale);
    if (r->weight_on == CLMOE_WEIGHT_ON_INPUT) add(w, ", on the input");
}

void clmoe__rule_text(const clmoe_layer_desc *desc, int has_bias, char *text, size_t room) {
    static const char *const scores[] = {"logits", "softmax", "sigmoid", "sqrt(softplus)"};
    const clmoe_routing *r = &desc->routing;
    words w = {text, room, 0};
    const char *score = r->score <= CLMOE_SQRT_SOFTPLUS ? scores[r->score] : "?";
    text[0] = '\0';
    if (r->method == CLMOE_SPARSEMIXER) add(&w, "sparsemixer, ");
    if (r->logit_softcap > 0) add(&w, "logits capped at %g, ", (double)r->logit_softcap);
    if (r->score_position == CLMOE_SCORE_AFTER) {
        add(&w, "logits");
        add_selection(&w, r, has_bias);
        add(&w, ", %s of them", score);
    } else {
        add(&w, "%s", score);
        add_selection(&w, r, has_bias);
    }
    add_weights(&w, r, desc->routed_scale);
    if (desc->router_input) add(&w, ", of the router's own input");
    if (r->zero_experts != 0) add(&w, ", the last %u are identities", r->zero_experts);
}
