/* Small layers for a device that checks every memory access of the kernels: tiny shapes, every path once. It runs
 * anywhere; with the label "oclgrind" it runs on oclgrind, which must have nothing to report. Exact buffers make reads
 * past an end visible there that other devices let pass. CLMOE_TEST_SHORT=1: one of the shapes, for devices that
 * compile slowly. An argument is a pattern: only tests of such names. */
#include "layer_case.h"
#include "layer_routes.h"

static void run(test_device *device, const case_options *o, uint32_t tokens) {
    case_result r = case_run(device, o, tokens, 90);
    case_result_free(&r);
}

static void run_shapes(const char *disable) {
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.disable = disable;
    d.max_alloc_bytes = 1 << 20; /* the simulator keeps a record of every byte */
    if (disable != NULL) { /* the gpu macro-kernel's portable tiles; the large ones are run_blocks' */
        d.max_local_bytes = 32 << 10; /* they need 16; rusticl counts arrays in local memory twice */
        d.max_work_group_size = 64;
    }
    test_device device = test_open(&d);
    case_options o = case_default(9, 5, 3, 2); /* everything smaller than any tile */
    o.shared_intermediate = 4;
    o.with = CASE_UP_BIAS | CASE_DOWN_BIAS | CASE_ROUTER_BIAS | CASE_SHARED_GATE | CASE_OUTPUT_BIAS;
    o.source = CASE_BUFFER;
    o.gaps = 1;
    o.layer.routing.zero_experts = 1;
    run(&device, &o, 5);
    if (getenv("CLMOE_TEST_SHORT") != NULL) {
        test_close(&device);
        return;
    }

    o = case_default(17, 33, 2, 1); /* a little more than a panel */
    o.format = o.source_format = o.layer.x_format = o.layer.out_format = CLMOE_BF16;
    o.arithmetic = CLMOE_ARITHMETIC_F32;
    o.layout = CLMOE_IN_OUT;
    o.gate_up = CLMOE_GATE_UP_INTERLEAVED;
    o.source = CASE_BUFFER_LIST;
    run(&device, &o, 14);

    o = case_default(6, 7, 4, 3);
    o.format = o.source_format = CLMOE_F16;
    o.layer.activation = (clmoe_activation){.kind = CLMOE_RELU2, .gated = 0, .alpha = 1};
    o.layer.routing.n_group = o.layer.routing.topk_group = 2;
    o.layer.routing.weight_on = CLMOE_WEIGHT_ON_INPUT;
    o.with = CASE_SELECT_BIAS;
    run(&device, &o, 3);

    o.layer.routing.weight_on = CLMOE_WEIGHT_ON_OUTPUT; /* in a latent space, larger and smaller than hidden */
    o.latent = 11;
    run(&device, &o, 3);
    o.latent = 3;
    o.shared_intermediate = 4;
    run(&device, &o, 15);

    o = case_default(5, 4, 3, 1);
    o.layer.routing.method = CLMOE_EXPERT_CHOICE;
    o.layer.routing.normalize = CLMOE_NORM_NONE;
    run(&device, &o, 7);
    test_close(&device);
}

/* Experts in block formats: k and columns that fill neither super nor panel. */
static void run_blocks(const char *disable) {
    static const struct {
        uint32_t format, arithmetic, hidden, intermediate;
    } kinds[] = {{CLMOE_MXFP4, CLMOE_ARITHMETIC_INT8, 96, 32}, {CLMOE_Q5_1, CLMOE_ARITHMETIC_F32, 32, 32}};
    clmoe_context_desc d;
    clmoe_context_desc_default(&d, sizeof d);
    d.disable = disable;
    d.max_alloc_bytes = 1 << 20;
    test_device device = test_open(&d);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        case_options o = case_default(kinds[i].hidden, kinds[i].intermediate, 2, 1);
        o.format = kinds[i].format;
        o.arithmetic = kinds[i].arithmetic;
        o.blocks[CASE_UP] = o.blocks[CASE_DOWN] = kinds[i].format;
        o.source = CASE_BUFFER;
        run(&device, &o, 3);
    }
    test_close(&device);
}

static void test_first_choice(void **state) {
    (void)state;
    run_shapes(NULL);
}

static void test_blocks(void **state) {
    (void)state;
    run_blocks(NULL);
}

static void test_blocks_in_local_memory(void **state) {
    (void)state;
    run_blocks("cpu");
}

static void test_tiles_in_local_memory(void **state) {
    (void)state;
    run_shapes("cpu");
}

int main(int argc, char **argv) {
    const struct CMUnitTest shapes[] = {cmocka_unit_test(test_first_choice),
                                        cmocka_unit_test(test_tiles_in_local_memory)};
    const struct CMUnitTest blocks[] = {cmocka_unit_test(test_blocks), cmocka_unit_test(test_blocks_in_local_memory)};
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    const int failed = cmocka_run_group_tests(shapes, NULL, NULL);
    return getenv("CLMOE_TEST_SHORT") != NULL ? failed : failed + cmocka_run_group_tests(blocks, NULL, NULL);
}
