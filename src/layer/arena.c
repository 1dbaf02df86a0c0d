/* Planning the arena of a pass: sizes, places, and how many tokens fit. */
#include <math.h>

#include "layer.h"

#define MAX_GROUPS 65535u

/* Rows a pass may have: slots of the tokens, or with expert choice what all experts can take. */
static uint64_t rows_bound(const clmoe_layer *layer, uint32_t tokens) {
    const clmoe_routing *routing = &layer->desc.routing;
    const uint64_t slots = clmoe__mul(tokens, layer->slots);
    if (routing->method != CLMOE_EXPERT_CHOICE) return slots;
    const double capacity =
        ceil((double)tokens * (double)routing->capacity_factor / (double)routing->num_experts) + 1.0;
    const uint64_t taken = capacity < (double)tokens ? (uint64_t)capacity : tokens;
    return clmoe__min(slots, clmoe__mul(taken, routing->num_experts));
}

static uint64_t place(uint64_t *total, uint64_t bytes) {
    const uint64_t at = *total;
    *total = clmoe__add(at, clmoe__round_up(bytes, 256));
    return at;
}

/* Makes a region large enough for a GEMM's input: gathered rows, or what the GEMM before it writes. */
static void hold_input(uint64_t *region, const clmoe__gemm *gemm, uint64_t tokens, uint64_t rows) {
    if (gemm->x_is_operand || clmoe__gemm_gathers(gemm))
        *region = clmoe__max(*region, clmoe__gemm_operand_bytes(gemm, tokens, rows));
}

static void hold_stored(uint64_t *region, uint64_t rows, uint64_t features, uint32_t format) {
    *region = clmoe__max(*region, clmoe__mul(rows, features * clmoe__format_bytes(format)));
}

/* And for rows of f32. */
static void hold_rows(uint64_t *region, uint64_t rows, uint64_t features) {
    hold_stored(region, rows, features, CLMOE_F32);
}

/* Makes room for what up writes and down reads: down's operand in h, or rows in h that become down's operand in a. */
static void hold_h(uint64_t *a, uint64_t *h, const clmoe__gemm *down, uint64_t rows) {
    const int gathers = clmoe__gemm_gathers(down);
    hold_input(gathers ? a : h, down, rows, rows);
    if (gathers) hold_rows(h, rows, down->matrix->in_features);
}

void clmoe__arena_layout(const clmoe_layer *layer, uint32_t tokens, clmoe__arena *arena) {
    const uint64_t hidden = layer->weights->hidden_size, latent = layer->weights->latent_size;
    const uint64_t rows = rows_bound(layer, tokens), slots = clmoe__mul(tokens, layer->slots);
    uint64_t a = 0, h = 0, y = 0;
    hold_input(&a, &layer->up, tokens, rows);
    hold_h(&a, &h, &layer->down, rows);
    hold_stored(&y, rows, layer->weights->experts_size, layer->desc.y_format);
    if (layer->weights->has_router) hold_input(&y, &layer->router, tokens, tokens);
    if (layer->has_latent) {
        hold_input(&a, &layer->latent_in, tokens, tokens);
        hold_rows(&a, tokens, latent);
        hold_input(&h, &layer->latent_out, tokens, tokens);
        hold_rows(&y, tokens, clmoe__max(latent, hidden));
    }
    if (layer->has_shared) {
        hold_input(&a, &layer->shared_up, tokens, tokens);
        hold_h(&a, &h, &layer->shared_down, tokens);
        hold_rows(clmoe__gemm_gathers(&layer->shared_down) ? &h : &a, tokens, hidden);
    }
    arena->max_rows = rows;
    clmoe__plan_layout(&layer->dispatch_desc, tokens, rows, &arena->plan_layout);
    arena->total = 0;
    arena->plan = place(&arena->total, clmoe__mul(arena->plan_layout.total, 4));
    arena->logits = place(&arena->total, clmoe__mul(tokens, (uint64_t)layer->classes * 4));
    arena->index = place(&arena->total, clmoe__mul(slots, 4));
    arena->weight = place(&arena->total, clmoe__mul(slots, 4));
    arena->count = place(&arena->total, 4);
    arena->a = place(&arena->total, a);
    arena->h = place(&arena->total, h);
    arena->y = place(&arena->total, y);
}

static int fits(const clmoe_layer *layer, uint32_t tokens, uint64_t limit) {
    clmoe__arena arena;
    clmoe__arena_layout(layer, tokens, &arena);
    const uint64_t dense_tiles = clmoe__div_up(tokens, layer->up.choice.tile_rows);
    return arena.total <= limit && arena.max_rows <= INT32_MAX && arena.plan_layout.max_tiles <= MAX_GROUPS &&
           dense_tiles <= MAX_GROUPS;
}

uint32_t clmoe__arena_tokens(const clmoe_layer *layer, uint32_t tokens, uint64_t limit) {
    uint32_t good = 0, bad;
    if (fits(layer, tokens, limit)) return tokens;
    for (bad = tokens; bad - good > 1;) {
        const uint32_t middle = good + (bad - good) / 2;
        if (fits(layer, middle, limit))
            good = middle;
        else
            bad = middle;
    }
    return good;
}

clmoe_status clmoe_layer_workspace_bytes(const clmoe_layer *layer, uint32_t tokens, uint64_t *bytes,
                                         clmoe_error *error) {
    REQUIRE(layer != NULL, error, "layer", "layer is NULL");
    REQUIRE(bytes != NULL, error, "bytes", "bytes is NULL");
    clmoe__arena arena;
    clmoe__arena_layout(layer, tokens, &arena);
    if (arena.total == UINT64_MAX)
        return clmoe__fail(error, CLMOE_INVALID_ARGUMENT, "tokens", "tokens is %u, expected fewer than 2^31 / %u slots",
                           tokens, layer->slots);
    *bytes = arena.total;
    return CLMOE_OK;
}
