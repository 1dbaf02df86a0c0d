/* `clmoe-bench prebuild` from end to end: with the pack it writes, a program loads weights, makes the layer and runs
 * it, and compiles nothing; without, it compiles. */
#include <stdio.h>

#include "command.h"
#include "files.h"
#include "support.h"

enum { H = 64, I = 96, E = 4, K = 2, T = 3 };

static uint16_t matrices[E * I * H];
static float router[E * H], x[T * H], y[T * H];

typedef struct sources {
    int built, loaded;
    char lines[8192];
} sources;

static void count_sources(void *user, const char *line) {
    sources *from = user;
    const size_t used = strlen(from->lines);
    from->built += strncmp(line, "built ", 6) == 0;
    from->loaded += strncmp(line, "loaded ", 7) == 0;
    if (strncmp(line, "built ", 6) == 0) (void)snprintf(from->lines + used, sizeof from->lines - used, "%s\n", line);
}

static void run_layer(clmoe_context *context) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_weights_desc w;
    clmoe_layer_desc d;
    clmoe_weights *weights = NULL;
    clmoe_layer *layer = NULL;
    clmoe_weights_desc_default(&w, sizeof w);
    clmoe_layer_desc_default(&d, sizeof d);
    w.hidden_size = H;
    w.experts = (clmoe_ffn){.num_experts = E, .intermediate_size = I, .gated = 1};
    w.experts.gate = w.experts.up = w.experts.down = (clmoe_tensor){.format = CLMOE_BF16, .host = matrices};
    w.num_classes = E;
    w.router = (clmoe_tensor){.format = CLMOE_F32, .host = router};
    d.routing.num_experts = E;
    d.routing.top_k = K;
    OK(clmoe_routing_preset(&d.routing, "mixtral", &error));
    OK(clmoe_weights_create(context, &w, &weights, &error));
    OK(clmoe_layer_create(context, weights, &d, &layer, &error));
    OK(clmoe_forward_host(layer, x, T, y, &error));
    clmoe_layer_destroy(layer);
    clmoe_weights_destroy(weights);
}

static sources run_with(const char *pack) {
    static sources from;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_context_desc desc;
    clmoe_context_desc_default(&desc, sizeof desc);
    memset(&from, 0, sizeof from);
    desc.log = count_sources;
    desc.log_user = &from;
    desc.cache_dir = "/dev/null/cache"; /* nothing is found there, or kept */
    test_device device = test_open(&desc);
    if (pack != NULL) OK(clmoe_context_add_pack(device.context, pack, &error));
    run_layer(device.context);
    test_close(&device);
    return from;
}

static void a_prebuilt_layer_compiles_nothing(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    assert_int_equal(setenv("CLMOE_CACHE", "auto", 1), 0);
    assert_int_equal(setenv("CLMOE_CACHE_DIR", folder.path, 1), 0);
    const char *pack = test_path(&folder, "layer.pack");
    const command_result *result =
        COMMAND(CLMOE_BENCH_PROGRAM, "prebuild", "--quiet", "--out", pack, "--weights", "bf16", "--hidden-size", "64",
                "--intermediate-size", "96", "--experts", "4", "--top-k", "2");
    if (result->status != 0) fail_msg("clmoe-bench prebuild ended with %d: %s", result->status, result->err);
    assert_non_null(strstr(result->out, "layer.pack: for "));
    sources from = run_with(pack);
    if (from.built != 0) fail_msg("with the pack %d programs were built:\n%s", from.built, from.lines);
    assert_true(from.loaded > 5);
    from = run_with(NULL);
    assert_int_equal(from.loaded, 0);
    assert_true(from.built > 5);
    test_folder_free(&folder);
}

static void what_cannot_be_written_is_said_first(void **state) {
    (void)state;
    const command_result *result = COMMAND(CLMOE_BENCH_PROGRAM, "prebuild", "--quiet", "--out", "/dev/null/layer.pack");
    assert_int_equal(result->status, 1);
    assert_non_null(strstr(result->err, "a part of the path is not a folder"));
    result = COMMAND(CLMOE_BENCH_PROGRAM, "prebuild");
    assert_int_equal(result->status, 2);
    assert_non_null(strstr(result->err, "--out is missing, expected"));
    assert_int_equal(setenv("CLMOE_CACHE", "off", 1), 0);
    result = COMMAND(CLMOE_BENCH_PROGRAM, "prebuild", "--quiet", "--out", "layer.pack");
    assert_int_equal(result->status, 1);
    assert_non_null(strstr(result->err, "the cache is off"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prebuilt_layer_compiles_nothing),
        cmocka_unit_test(what_cannot_be_written_is_said_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
