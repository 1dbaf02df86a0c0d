/* kernel_rows FOLDER [core] [TARGET...]: writes every kernel program that the library would build on each device of
 * shown_device.c, as FOLDER/TARGET/NUMBER-FILE.cl with its options beside it in .options. A few layers together use
 * every kernel file, format, arithmetic and epilogue; `core` leaves out formats and devices that are like others.
 * Self-tests count as passed, so what is written is what a sound device of that kind runs. Exit status 1 and a line on
 * stderr where a layer cannot be made. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "layer/gemm.h"
#include "shown_device.h"

/* Takes the place of the function of that name: the linker is told so (CMakeLists.txt). */
clmoe_status __wrap_clmoe__gemm_self_test(clmoe_context *context, const clmoe__gemm_choice *choice, uint32_t format,
                                          uint32_t arithmetic, int *passed, clmoe_error *error);
clmoe_status __real_clmoe__gemm_self_test(clmoe_context *context, const clmoe__gemm_choice *choice, uint32_t format,
                                          uint32_t arithmetic, int *passed, clmoe_error *error);
clmoe_status __wrap_clmoe__gemm_self_test(clmoe_context *context, const clmoe__gemm_choice *choice, uint32_t format,
                                          uint32_t arithmetic, int *passed, clmoe_error *error) {
    const clmoe_status status = __real_clmoe__gemm_self_test(context, choice, format, arithmetic, passed, error);
    *passed = 1;
    return status;
}

/* ---------------------------------------------------------------------------------------------- layers */

typedef struct layer_row {
    const char *preset;
    uint32_t experts, top_k, hidden, intermediate;
    uint32_t format, arithmetic, x_format; /* of the weights as they are kept; of x and the output */
    uint32_t kind, gated;
    float limit;
    int has_bias, has_shared, latent;
    int is_core;
    int is_lean; /* the experts' y waits in bf16, and the router is in bf16 parts */
} layer_row;

#define PLAIN(format, arithmetic, core) \
    {"olmoe", 8, 2, 256, 256, (format), (arithmetic), CLMOE_F32, CLMOE_SILU, 1, 0, 0, 0, 0, (core), 0}
#define BLOCK(format, core)                                                             \
    PLAIN(format, CLMOE_ARITHMETIC_F32, core), PLAIN(format, CLMOE_ARITHMETIC_BF16, core), \
        PLAIN(format, CLMOE_ARITHMETIC_INT8, core)

static const layer_row layers[] = {
    PLAIN(CLMOE_F32, CLMOE_ARITHMETIC_F32, 1),
    PLAIN(CLMOE_F16, CLMOE_ARITHMETIC_F32, 1),
    PLAIN(CLMOE_BF16, CLMOE_ARITHMETIC_F32, 1),
    PLAIN(CLMOE_BF16, CLMOE_ARITHMETIC_BF16, 1),
    BLOCK(CLMOE_Q8_0, 0),
    BLOCK(CLMOE_Q4_0, 0),
    BLOCK(CLMOE_Q4_1, 0),
    BLOCK(CLMOE_Q5_0, 0),
    BLOCK(CLMOE_Q5_1, 0),
    BLOCK(CLMOE_Q4_K, 1),
    BLOCK(CLMOE_Q6_K, 0),
    BLOCK(CLMOE_MXFP4, 0),
    PLAIN(CLMOE_F8_B128, CLMOE_ARITHMETIC_F32, 0),
    PLAIN(CLMOE_F8_B128, CLMOE_ARITHMETIC_BF16, 1),
    {"deepseek_v3", 256, 8, 32, 32, CLMOE_BF16, 0, CLMOE_BF16, CLMOE_SILU, 1, 0, 0, 1, 0, 1},
    {"gpt_oss", 32, 4, 64, 64, CLMOE_BF16, 0, CLMOE_BF16, CLMOE_SILU, 1, 7, 1, 0, 0, 1},
    {"phimoe", 16, 2, 64, 64, CLMOE_BF16, 0, CLMOE_F16, CLMOE_GELU_TANH, 1, 0, 0, 0, 0, 1},
    {"nemotron_h", 128, 6, 64, 32, CLMOE_BF16, 0, CLMOE_F32, CLMOE_RELU2, 0, 0, 0, 1, 32, 1},
    {"llama4", 16, 1, 64, 64, CLMOE_BF16, 0, CLMOE_F32, CLMOE_SILU, 1, 0, 0, 1, 0, 1},
    {"qwen3_moe", 128, 8, 128, 64, CLMOE_BF16, CLMOE_ARITHMETIC_BF16, CLMOE_BF16, CLMOE_SILU, 1, 0, 0, 0, 0, 1, 1},
};

static float zeros[256 * 32 * 32 + 16 * 1024 * 1024];

static void ffn(clmoe_ffn *to, const layer_row *row, uint32_t experts) {
    const uint32_t source = row->format == CLMOE_F8_B128 ? CLMOE_F8_E4M3 : CLMOE_F32;
    const clmoe_tensor tensor = {.format = source, .host = zeros};
    to->num_experts = experts;
    to->intermediate_size = row->intermediate;
    to->gated = row->gated;
    if (row->gated) to->gate = tensor;
    to->up = to->down = tensor;
    if (!row->has_bias) return;
    to->up_bias = to->down_bias = tensor;
    if (row->gated) to->gate_bias = tensor;
}

static clmoe_status make_weights(clmoe_context *context, const layer_row *row, const clmoe_routing *routing,
                                 clmoe_weights **weights, clmoe_error *error) {
    const clmoe_tensor tensor = {.format = CLMOE_F32, .host = zeros};
    clmoe_weights_desc w;
    clmoe_weights_desc_default(&w, sizeof w);
    w.hidden_size = row->hidden;
    w.format = row->format;
    w.arithmetic = row->arithmetic;
    w.num_classes = clmoe_routing_classes(routing);
    w.router = tensor;
    if (row->is_lean) w.router_arithmetic = CLMOE_ARITHMETIC_BF16;
    ffn(&w.experts, row, row->experts);
    if (row->has_shared) ffn(&w.shared, row, 1);
    w.latent_size = (uint32_t)row->latent;
    if (row->latent) w.latent_in = w.latent_out = tensor;
    return clmoe_weights_create(context, &w, weights, error);
}

static clmoe_status make_layer(clmoe_context *context, const layer_row *row, clmoe_error *error) {
    clmoe_layer_desc d;
    clmoe_weights *weights = NULL;
    clmoe_layer *layer = NULL;
    clmoe_layer_desc_default(&d, sizeof d);
    d.routing.num_experts = row->experts;
    d.routing.top_k = row->top_k;
    clmoe_status status = clmoe_routing_preset(&d.routing, row->preset, error);
    d.activation.kind = d.shared_activation.kind = row->kind;
    d.activation.gated = d.shared_activation.gated = row->gated;
    d.activation.limit = row->limit;
    d.x_format = d.out_format = row->x_format;
    if (row->is_lean) d.y_format = CLMOE_BF16;
    if (status == CLMOE_OK) status = make_weights(context, row, &d.routing, &weights, error);
    if (status == CLMOE_OK) status = clmoe_layer_create(context, weights, &d, &layer, error);
    clmoe_layer_destroy(layer);
    clmoe_weights_destroy(weights);
    return status;
}

/* --------------------------------------------------------------------------------------------- programs */

typedef struct folder {
    const char *path, *target;
    char **known; /* sources with their options, so that each is written once */
    unsigned count;
    int failed;
} folder;

static void write_file(folder *to, const char *file, const char *suffix, const char *text) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s/%03u-%s%s", to->path, to->target, to->count, file, suffix);
    FILE *out = fopen(path, "w");
    if (out == NULL || fputs(text, out) < 0) to->failed = 1;
    if (out != NULL && fclose(out) != 0) to->failed = 1;
    if (to->failed) fprintf(stderr, "kernel_rows: %s cannot be written: %s\n", path, strerror(errno));
}

static void on_program(void *user, const char *source, const char *options) {
    folder *to = user;
    const size_t length = strlen(source) + strlen(options) + 1;
    char *whole = calloc(length, 1), **grown = realloc(to->known, (to->count + 1) * sizeof *grown), file[64] = "kernel";
    if (grown != NULL) to->known = grown;
    if (whole == NULL || grown == NULL) {
        to->failed = 1;
        free(whole);
        return;
    }
    strcat(strcpy(whole, source), options);
    for (unsigned i = 0; i < to->count; i++) {
        if (strcmp(to->known[i], whole) != 0) continue;
        free(whole);
        return;
    }
    to->known[to->count++] = whole;
    (void)sscanf(source, "#line 1 \"%63[^.\"]", file);
    write_file(to, file, ".cl", source);
    write_file(to, file, ".options", options);
}

static int write_device(const char *path, const shown_device *device, int core) {
    folder to = {.path = path, .target = device->target};
    char name[1024];
    snprintf(name, sizeof name, "%s/%s", path, device->target);
    if (mkdir(name, 0777) != 0 && errno != EEXIST) return fprintf(stderr, "%s: %s\n", name, strerror(errno)), 0;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_context *context = NULL;
    clmoe_context_desc desc;
    clmoe_context_desc_default(&desc, sizeof desc);
    desc.device = "gpu"; /* as every device is shown */
    desc.get_symbol = shown_symbol;
    desc.cache = CLMOE_CACHE_OFF;
    if (device->disable != NULL) desc.disable = device->disable;
    shown_device_begin(device, on_program, &to);
    clmoe_status status = clmoe_context_create(&desc, &context, &error);
    for (size_t i = 0; i < sizeof layers / sizeof *layers && status == CLMOE_OK; i++) {
        if (layers[i].is_core || !core) status = make_layer(context, &layers[i], &error);
        if (status != CLMOE_OK) fprintf(stderr, "%s: layer %zu (%s): ", device->target, i, layers[i].preset);
    }
    if (status != CLMOE_OK) fprintf(stderr, "%s\n", error.message);
    clmoe_context_destroy(context);
    shown_device_end();
    printf("%-8s %u programs\n", device->target, to.count);
    for (unsigned i = 0; i < to.count; i++) free(to.known[i]);
    free(to.known);
    return status == CLMOE_OK && !to.failed;
}

int main(int argc, char **argv) {
    int good = 1;
    if (argc < 2) return fprintf(stderr, "usage: kernel_rows FOLDER [core] [TARGET...]\n"), 2;
    const int core = argc > 2 && strcmp(argv[2], "core") == 0, first = 2 + core;
    if (mkdir(argv[1], 0777) != 0 && errno != EEXIST) return fprintf(stderr, "%s: %s\n", argv[1], strerror(errno)), 1;
    for (size_t i = 0; shown_device_at(i) != NULL; i++) {
        int wanted = argc == first && (shown_device_at(i)->is_core || !core);
        for (int a = first; a < argc; a++) wanted |= strcmp(argv[a], shown_device_at(i)->target) == 0;
        if (wanted) good &= write_device(argv[1], shown_device_at(i), core);
    }
    return !good;
}
