/* See gemm_trial.h. Calls the public header alone. */
#include "gemm_trial.h"

#include <stdio.h>

static clmoe_error error = {.struct_size = sizeof error};

/* The plan of a dispatch whose tiles fit the GEMM's, on the device and in t. */
static test_buffer plan_new(test_device *device, const clmoe_grouped_gemm_desc *gemm, uint32_t tokens,
                            const int32_t *index, gemm_trial *t) {
    clmoe_dispatch_desc d;
    clmoe_dispatch_desc_default(&d, sizeof d);
    d.num_classes = d.local_experts = gemm->num_groups;
    d.slots = gemm->slots;
    d.tile_rows = t->tile_rows;
    d.full_tiles = gemm->full_tiles;
    clmoe_dispatch *dispatch = NULL;
    OK(clmoe_dispatch_create(device->context, &d, &dispatch, &error));
    t->layout.struct_size = sizeof t->layout;
    OK(clmoe_dispatch_plan_layout(dispatch, tokens, 0, &t->layout, &error));
    const size_t bytes = (size_t)t->layout.total * sizeof *t->plan;
    t->plan = malloc(bytes);
    assert_non_null(t->plan);
    test_buffer chosen = test_buffer_new(device, (size_t)tokens * gemm->slots * sizeof *index, index);
    test_buffer plan = test_buffer_new(device, bytes, NULL);
    clmoe_dispatch_io io;
    clmoe_dispatch_io_default(&io, sizeof io);
    io.tokens = tokens;
    io.index = chosen.at;
    io.plan = plan.at;
    OK(clmoe_dispatch_enqueue(dispatch, NULL, device->queue, &io, 0, NULL, NULL, &error));
    test_buffer_read(device, &plan, t->plan);
    test_buffer_free(device, &chosen);
    clmoe_dispatch_destroy(dispatch);
    return plan;
}

gemm_trial gemm_trial_run(test_device *device, const clmoe_grouped_gemm_desc *desc, uint32_t tokens, const float *x,
                          const int32_t *index) {
    gemm_trial t = {.plan = NULL};
    test_buffer plan = {0};
    clmoe_grouped_gemm *gemm = NULL;
    OK(clmoe_grouped_gemm_create(device->context, desc, &gemm, &error));
    (void)snprintf(t.variant, sizeof t.variant, "%s", clmoe_grouped_gemm_variant(gemm));
    t.tile_rows = clmoe_grouped_gemm_tile_rows(gemm);
    if (index != NULL) plan = plan_new(device, desc, tokens, index, &t);
    const size_t rows = (size_t)tokens * (index != NULL ? desc->slots : 1), bytes = rows * desc->out_features * 4;
    t.y = malloc(bytes);
    assert_non_null(t.y);
    test_buffer from = test_buffer_new(device, (size_t)tokens * desc->in_features * sizeof *x, x);
    test_buffer to = test_buffer_new(device, bytes, NULL);
    clmoe_grouped_gemm_io io;
    clmoe_grouped_gemm_io_default(&io, sizeof io);
    io.tokens = tokens;
    io.plan = plan.at;
    io.x = from.at;
    io.y = to.at;
    OK(clmoe_grouped_gemm_enqueue(gemm, NULL, device->queue, &io, 0, NULL, NULL, &error));
    test_buffer_read(device, &to, t.y);
    test_buffer_free(device, &from);
    test_buffer_free(device, &to);
    test_buffer_free(device, &plan);
    clmoe_grouped_gemm_destroy(gemm);
    return t;
}

void gemm_trial_free(gemm_trial *t) {
    free(t->y);
    free(t->plan);
}
