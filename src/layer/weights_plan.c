/* What each matrix of a layer is kept in and multiplied with, decided before anything is packed: format, arithmetic,
 * variant.
 *
 * Files mix formats (q4_K up, q6_K down, q8_0 shared), so each matrix has its own. Where the caller asks for no format,
 * blocks stay what they are, and where experts.up has none, everything else is kept as experts.up is. */
#include "gemm_clblast.h"
#include "weights.h"

static const clmoe_tensor absent;

/* A matrix of the layer and where its plan goes. */
typedef struct planned {
    clmoe__matrix *matrix;
    clmoe__gemm_choice *choice;
    const clmoe_tensor *gate, *up; /* gate may be absent */
    const char *name;
    int is_routed; /* of the experts, which what the caller asks for must fit */
    uint32_t gate_up;
} planned;

clmoe_status clmoe__kept_check(uint32_t format, const clmoe_tensor *gate, const clmoe_tensor *up, uint32_t in_features,
                               const char *name, clmoe_error *error) {
    const uint32_t values = clmoe__format_is_e4m3(format) ? 1 : clmoe__format_values(format);
    const clmoe_tensor *tensors[] = {up, gate};
    if (in_features % values != 0)
        return clmoe__fail(error, CLMOE_UNSUPPORTED, name,
                           "%s has %u in_features, expected a multiple of %u to be kept in %s", name, in_features,
                           values, clmoe__format_name(format));
    for (int i = 0; i < 2; i++)
        if (clmoe__tensor_present(tensors[i]) && !clmoe__format_converts(tensors[i]->format, format))
            return clmoe__fail(
                error, CLMOE_UNSUPPORTED, name,
                "%s is %s, which cannot be converted to %s: f32, f16 and bf16 can, to q8_0, q4_0, q4_1, q5_0, "
                "q5_1, q4_K, q6_K and mxfp4, and e4m3 to f8_b128",
                name, clmoe__format_name(tensors[i]->format), clmoe__format_name(format));
    return CLMOE_OK;
}

clmoe_status clmoe__parts_check(const clmoe_tensor *tensor, const char *name, clmoe_error *error) {
    if (!clmoe__format_is_block(tensor->format)) return CLMOE_OK;
    return clmoe__fail(error, CLMOE_UNSUPPORTED, name,
                       "%s is %s, which cannot be kept in two bf16 parts: f32, f16, bf16, f8_e4m3 and f4_e2m1 can",
                       name, clmoe__format_name(tensor->format));
}

static int keeps_e4m3(const planned *p) {
    const int alike = !clmoe__tensor_present(p->gate) || p->gate->format == CLMOE_F8_E4M3;
    return p->up->format == CLMOE_F8_E4M3 && alike &&
           clmoe__e4m3_check(p->matrix, p->gate_up, p->gate, p->up, p->name, NULL) == CLMOE_OK;
}

/* Two formats cannot share a panel, and f32 loses nothing of either. */
static uint32_t usual_format(const planned *p, uint32_t experts_up) {
    const uint32_t source = p->up->format;
    if (keeps_e4m3(p)) return CLMOE_F8_B128;
    const int mixed = clmoe__tensor_present(p->gate) && p->gate->format != source;
    if (mixed && (clmoe__format_is_block(source) || clmoe__format_is_block(p->gate->format))) return CLMOE_F32;
    return clmoe__kept_format(clmoe__format_is_block(source) || clmoe__format_is_block(experts_up) ? source
                                                                                                   : experts_up);
}

/* Blocks that are decoded become panels of a vector's width. */
static clmoe_status choose(clmoe_weights *weights, const clmoe_weights_desc *desc, const planned *p, char *refused,
                           size_t capacity, clmoe_error *error) {
    const clmoe__matrix *matrix = p->matrix;
    const int of_blocks = clmoe__format_is_block(p->up->format) ||
                          (clmoe__tensor_present(p->gate) && clmoe__format_is_block(p->gate->format));
    if (of_blocks && clmoe__format_is_wide(matrix->format))
        return clmoe__gemm_choose(weights->context, matrix->format, matrix->arithmetic, p->choice, refused, capacity,
                                  error);
    return clmoe__gemm_choose_for(weights->context, matrix, (int)desc->allow_variance, p->choice, refused, capacity,
                                  error);
}

static clmoe_status plan_matrix(clmoe_weights *weights, const clmoe_weights_desc *desc, const planned *p, char *refused,
                                size_t capacity, clmoe_error *error) {
    clmoe__matrix *matrix = p->matrix;
    uint32_t arithmetic = desc->arithmetic;
    matrix->format = desc->format != CLMOE_FORMAT_NONE ? desc->format : usual_format(p, desc->experts.up.format);
    TRY(clmoe__kept_check(matrix->format, p->gate, p->up, matrix->in_features, p->name, error));
    if (clmoe__format_is_e4m3(matrix->format))
        TRY(clmoe__e4m3_check(matrix, p->gate_up, p->gate, p->up, p->name, error));
    const clmoe_status fits = clmoe__arithmetic_check(matrix->format, arithmetic, p->is_routed ? error : NULL);
    if (fits != CLMOE_OK && p->is_routed) return fits;
    if (fits != CLMOE_OK) arithmetic = CLMOE_ARITHMETIC_F32;
    TRY(clmoe__arithmetic_choose(weights->context, matrix->format, &arithmetic, error));
    matrix->arithmetic = arithmetic;
    TRY(choose(weights, desc, p, refused, capacity, error));
    matrix->lanes = p->choice->lanes != 0 ? p->choice->lanes : clmoe__clblast_lanes(matrix);
    return CLMOE_OK;
}

/* size: features of an expert's input and output. */
static void shape_ffn(const clmoe_ffn *from, uint32_t size, clmoe__ffn *ffn) {
    ffn->num_experts = from->num_experts;
    ffn->intermediate_size = from->intermediate_size;
    ffn->gated = (int)from->gated;
    ffn->up =
        (clmoe__matrix){.groups = from->num_experts, .in_features = size, .out_features = from->intermediate_size};
    ffn->up.gated = ffn->gated;
    ffn->down =
        (clmoe__matrix){.groups = from->num_experts, .in_features = from->intermediate_size, .out_features = size};
}

/* Kept in f32, or in parts that come close to it, whatever the experts are: a logit's rounding changes which expert is
 * chosen. */
static clmoe_status plan_router(clmoe_weights *weights, const clmoe_weights_desc *desc, clmoe_error *error) {
    char refused[512];
    const int in_parts = desc->router_arithmetic == CLMOE_ARITHMETIC_BF16;
    const uint32_t format = in_parts ? CLMOE_BF16 : CLMOE_F32;
    const uint32_t arithmetic = in_parts ? CLMOE_ARITHMETIC_BF16 : CLMOE_ARITHMETIC_F32;
    if (in_parts) TRY(clmoe__parts_check(&desc->router, "router", error));
    TRY(clmoe__gemm_choose(weights->context, format, arithmetic, &weights->router_choice, refused, sizeof refused,
                           error));
    weights->router = (clmoe__matrix){.groups = 1,
                                      .in_features = desc->hidden_size,
                                      .out_features = desc->num_classes,
                                      .gated = in_parts,
                                      .in_parts = in_parts,
                                      .format = format,
                                      .arithmetic = arithmetic,
                                      .lanes = weights->router_choice.lanes};
    return CLMOE_OK;
}

clmoe_status clmoe__weights_plan(clmoe_weights *weights, const clmoe_weights_desc *desc, clmoe_error *error) {
    const uint32_t h = desc->hidden_size, l = desc->latent_size;
    const clmoe_ffn *experts = &desc->experts, *shared = &desc->shared;
    char refused[512];
    shape_ffn(experts, weights->experts_size, &weights->experts);
    if (shared->intermediate_size != 0) shape_ffn(shared, h, &weights->shared);
    weights->latent_in = (clmoe__matrix){.groups = 1, .in_features = h, .out_features = l};
    weights->latent_out = (clmoe__matrix){.groups = 1, .in_features = l, .out_features = h};
    const planned all[] = {
        {&weights->experts.up, &weights->experts.up_choice, &experts->gate, &experts->up, "experts.up", 1,
         experts->gate_up},
        {&weights->experts.down, &weights->experts.down_choice, &absent, &experts->down, "experts.down", 1, 0},
        {&weights->shared.up, &weights->shared.up_choice, &shared->gate, &shared->up, "shared.up", 0, shared->gate_up},
        {&weights->shared.down, &weights->shared.down_choice, &absent, &shared->down, "shared.down", 0, 0},
        {&weights->latent_in, &weights->latent_in_choice, &absent, &desc->latent_in, "latent_in", 0, 0},
        {&weights->latent_out, &weights->latent_out_choice, &absent, &desc->latent_out, "latent_out", 0, 0},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const int is_first = i == 0;
        if (!clmoe__tensor_present(all[i].up)) continue;
        TRY(plan_matrix(weights, desc, &all[i], is_first ? weights->refused : refused,
                        is_first ? sizeof weights->refused : sizeof refused, error));
    }
    return clmoe__tensor_present(&desc->router) ? plan_router(weights, desc, error) : CLMOE_OK;
}
