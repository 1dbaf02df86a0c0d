/* The public logits stage: a grouped GEMM with one group, the router, in f32 or in two bf16 parts. */
#include <stdlib.h>

#include "checks.h"
#include "stages.h"

struct clmoe_logits {
    clmoe_grouped_gemm *gemm;
    uint32_t num_classes;
};

void clmoe_logits_desc_default(clmoe_logits_desc *desc, size_t struct_size) {
    const clmoe_logits_desc defaults = {.struct_size = sizeof defaults, .x_format = CLMOE_F32};
    clmoe__give(desc, struct_size, &defaults, sizeof defaults);
}

void clmoe_logits_io_default(clmoe_logits_io *io, size_t struct_size) {
    const clmoe_logits_io defaults = {.struct_size = sizeof defaults};
    clmoe__give(io, struct_size, &defaults, sizeof defaults);
}

clmoe_status clmoe_logits_create(clmoe_context *context, const clmoe_logits_desc *desc, clmoe_logits **logits,
                                 clmoe_error *error) {
    REQUIRE(logits != NULL, error, "logits", "logits is NULL");
    *logits = NULL;
    REQUIRE(context != NULL, error, "context", "context is NULL");
    clmoe_logits_desc taken;
    clmoe_logits_desc_default(&taken, sizeof taken);
    TRY(clmoe__take(&taken, sizeof taken, desc, "desc", error));
    REQUIRE(taken.hidden_size >= 1, error, "hidden_size", "hidden_size is 0");
    REQUIRE(taken.num_classes >= 1, error, "num_classes", "num_classes is 0");
    REQUIRE(taken.reserved == 0, error, "reserved", "reserved is %u, expected 0", taken.reserved);
    REQUIRE(taken.arithmetic <= CLMOE_ARITHMETIC_BF16, error, "arithmetic",
            "arithmetic is %u, expected CLMOE_ARITHMETIC_AUTO, CLMOE_ARITHMETIC_F32 or CLMOE_ARITHMETIC_BF16",
            taken.arithmetic);
    const int in_parts = taken.arithmetic == CLMOE_ARITHMETIC_BF16;
    REQUIRE(!in_parts || taken.x_format == CLMOE_BF16, error, "x_format",
            "x_format is %u, expected CLMOE_BF16 with arithmetic BF16", taken.x_format);
    TRY(clmoe__matrix_tensor_check(context, &taken.router, 1, taken.num_classes, taken.hidden_size, 1, "router",
                                   error));
    clmoe_grouped_gemm_desc gemm;
    clmoe_grouped_gemm_desc_default(&gemm, sizeof gemm);
    gemm.in_features = taken.hidden_size;
    gemm.out_features = taken.num_classes;
    gemm.weight = taken.router;
    gemm.bias = taken.bias;
    gemm.x_format = taken.x_format;
    gemm.weight_format = in_parts ? CLMOE_BF16 : CLMOE_F32;
    gemm.arithmetic = in_parts ? CLMOE_ARITHMETIC_BF16 : CLMOE_ARITHMETIC_F32;
    clmoe_logits *made = calloc(1, sizeof *made);
    if (made == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for clmoe_logits");
    made->num_classes = taken.num_classes;
    const clmoe_status status = (in_parts ? clmoe__grouped_gemm_create_in_parts
                                          : clmoe_grouped_gemm_create)(context, &gemm, &made->gemm, error);
    if (status != CLMOE_OK) {
        free(made);
        return status;
    }
    *logits = made;
    return CLMOE_OK;
}

clmoe_status clmoe_logits_enqueue(clmoe_logits *logits, clmoe_workspace *workspace, cl_command_queue queue,
                                  const clmoe_logits_io *io, cl_uint n_wait, const cl_event *wait, cl_event *done,
                                  clmoe_error *error) {
    REQUIRE(logits != NULL, error, "logits", "logits is NULL");
    clmoe_logits_io taken;
    clmoe_logits_io_default(&taken, sizeof taken);
    TRY(clmoe__take(&taken, sizeof taken, io, "io", error));
    REQUIRE(taken.tokens == 0 || taken.logits.kind != CLMOE_BUFFER_NONE, error, "io.logits", "logits is absent");
    clmoe_grouped_gemm_io gemm;
    clmoe_grouped_gemm_io_default(&gemm, sizeof gemm);
    gemm.tokens = taken.tokens;
    gemm.token_count = taken.token_count;
    gemm.x = taken.x;
    gemm.x_stride = taken.x_stride;
    gemm.y = taken.logits;
    return clmoe_grouped_gemm_enqueue(logits->gemm, workspace, queue, &gemm, n_wait, wait, done, error);
}

const char *clmoe_logits_variant(const clmoe_logits *logits) {
    return logits != NULL ? clmoe_grouped_gemm_variant(logits->gemm) : "";
}

void clmoe_logits_destroy(clmoe_logits *logits) {
    if (logits == NULL) return;
    clmoe_grouped_gemm_destroy(logits->gemm);
    free(logits);
}
