/* Whole GGUF models with quantised experts, each layer as llama.cpp knows it: in f32 arithmetic the double-precision
 * result to 2e-5 of the largest output, kept in the file's own formats or decoded to f32; in the arithmetic that the
 * library chooses within the error that llama.cpp itself has there. */
#include <math.h>
#include <stdio.h>

#include <clmoe/clmoe_model.h>

#include "golden.h"
#include "one_device.h"

#define NMSE_MAX 4e-4 /* of llama.cpp's own results, at most */

static const char *const cases[] = {"deepseek2_groups", "gpt_oss_mxfp4", "olmoe_q4_K_q6_K", "qwen3moe_q8_0"};

enum { OUT, INDEX, WEIGHT, LOAD, RESULTS };

static void check_nmse(const golden *g, const char *name, const float *out) {
    const float *wanted = golden_find(g, "output")->data;
    double off = 0, all = 0;
    for (size_t i = 0; i < (size_t)g->tokens * g->hidden; i++) {
        const double d = (double)out[i] - (double)wanted[i];
        off += d * d;
        all += (double)wanted[i] * (double)wanted[i];
    }
    print_message("%s, auto: NMSE %.3g\n", name, off / all);
    if (!(off / all <= NMSE_MAX)) fail_msg("%s: NMSE %g, expected %g at most", name, off / all, NMSE_MAX);
}

/* exact: arithmetic is f32. */
static void run(const golden *g, const char *name, clmoe_layer *layer, int exact) {
    clmoe_error error = {.struct_size = sizeof error};
    const size_t T = g->tokens, H = g->hidden, K = g->top_k, E = g->experts;
    const size_t bytes[RESULTS] = {T * H * 4, T * K * 4, T * K * 4, E * 4};
    test_buffer x = test_buffer_new(&device, T * H * 4, golden_find(g, "hidden_states")->data), results[RESULTS];
    void *read[RESULTS];
    clmoe_io io;
    clmoe_io_default(&io, sizeof io);
    for (int i = 0; i < RESULTS; i++) results[i] = test_buffer_new(&device, bytes[i], NULL);
    io.tokens = g->tokens;
    io.x = x.at;
    io.out = results[OUT].at;
    io.out_index = results[INDEX].at;
    io.out_weight = results[WEIGHT].at;
    io.out_load = results[LOAD].at;
    OK(clmoe_forward(layer, NULL, device.queue, &io, 0, NULL, NULL, &error));
    for (int i = 0; i < RESULTS; i++) {
        read[i] = malloc(bytes[i]);
        test_buffer_read(&device, &results[i], read[i]);
        test_buffer_free(&device, &results[i]);
    }
    if (exact)
        golden_compare(g, name, read[OUT], read[INDEX], read[WEIGHT], read[LOAD], 2e-5);
    else
        check_nmse(g, name, read[OUT]);
    for (int i = 0; i < RESULTS; i++) free(read[i]);
    test_buffer_free(&device, &x);
}

static void test_case(void **state) {
    static const struct {
        uint32_t format, arithmetic;
    } runs[] = {{0, CLMOE_ARITHMETIC_F32}, {CLMOE_F32, CLMOE_ARITHMETIC_F32}, {0, CLMOE_ARITHMETIC_AUTO}};
    const char *name = *state;
    char path[1024];
    clmoe_error error = {.struct_size = sizeof error};
    golden g = golden_open_gguf(name);
    clmoe_model *model = NULL;
    (void)snprintf(path, sizeof path, CLMOE_TEST_DATA "/golden/gguf/%s/model.gguf", name);
    OK(clmoe_model_open(path, &model, &error));
    clmoe_model_layer info = {.struct_size = sizeof info};
    OK(clmoe_model_get_layer(model, g.layer, &info, &error));
    assert_int_equal(info.hidden_size, g.hidden);
    assert_int_equal(info.intermediate_size, g.intermediate);
    assert_int_equal(info.num_experts, g.experts);
    assert_int_equal(info.top_k, g.top_k);
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        clmoe_model_weights_desc desc;
        clmoe_layer *layer = NULL;
        clmoe_model_weights_desc_default(&desc, sizeof desc);
        desc.format = runs[i].format;
        desc.arithmetic = runs[i].arithmetic;
        OK(clmoe_model_layer_create(model, g.layer, device.context, &desc, &layer, &error));
        run(&g, name, layer, runs[i].arithmetic == CLMOE_ARITHMETIC_F32);
        clmoe_layer_destroy(layer);
    }
    clmoe_model_destroy(model);
    golden_close(&g);
}

int main(void) {
    enum { COUNT = sizeof cases / sizeof *cases };
    struct CMUnitTest tests[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        tests[i] = (struct CMUnitTest){cases[i], test_case, NULL, NULL, (void *)(uintptr_t)cases[i]};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
