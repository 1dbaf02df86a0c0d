/* CLBlast beside the library's own variants: a layer with one of its GEMMs through CLBlast is made, checked by the
 * oracle and timed. Its row is kept whoever is faster, for the machine's CLBlast may become better or worse. Calls the
 * library. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/tool.h"
#include "layer/layer_row.h"
#include "layer/possible.h"
#include "progress.h"
#include "tune.h"

#define VARIANT    "clblast/gemm"
#define MOST       1000 /* percent that a row can say */
#define MIN_ROUNDS 3    /* that a row is written from */

/* The tiles of the plan stay as they are, for the GEMM that shares it. */
static uint32_t tile_rows(const tuner *t, size_t g, const tune_setting *own) {
    for (uint32_t i = 0; i < t->gemms[g].count; i++)
        if (strcmp(t->gemms[g].numbers[i].name, "tile_rows") == 0) return own->values[g][i];
    return 16;
}

/* "DEVICE" "DRIVER" of the GEMM's key, then the variant in place of its own, and the rest of the key. */
static void rival_row(const tuner *t, size_t g, const tune_setting *own, uint32_t percent, char *text,
                      size_t capacity) {
    const char *key = t->gemms[g].key, *names_end = key;
    for (int quotes = 0; quotes < 4 && *names_end != '\0'; names_end++) quotes += *names_end == '"';
    const char *rest = names_end + strspn(names_end, " ");
    rest += strcspn(rest, " ");
    snprintf(text, capacity, "%.*s %s%s tile_rows=%u own_percent=%u", (int)(names_end - key), key, VARIANT, rest,
             tile_rows(t, g, own), percent);
}

/* Whether a layer's GEMM goes through CLBlast; if not, t->no_clblast says why. 0, or 1 after a complaint. */
static int is_chosen(tuner *t, const clmoe_layer *layer, uint32_t g, int *chosen) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_tuning now;
    char text[8192];
    clmoe_tuning_default(&now, sizeof now);
    if (clmoe_layer_tuning(layer, g, &now, &error) != CLMOE_OK) return complain_clmoe("clmoe_layer_tuning", &error);
    *chosen = strstr(now.key, " " VARIANT " ") != NULL;
    if (*chosen) return 0;
    if (clmoe_layer_describe(layer, text, sizeof text, NULL, &error) != CLMOE_OK)
        return complain_clmoe("clmoe_layer_describe", &error);
    const char *line = strstr(text, VARIANT ": ");
    line = line == NULL ? "it was not chosen" : line + strlen(VARIANT ": ");
    snprintf(t->no_clblast, sizeof t->no_clblast, "%.*s", (int)strcspn(line, "\n"), line);
    return 0;
}

/* One more copy of the weights, of which GEMM g goes through CLBlast if the library can. Likewise. */
static int add_copy(tuner *t, const host_layer *host, size_t g, const tune_setting *own, device_layer *device) {
    clmoe_error error = {.struct_size = sizeof error};
    char row[1024];
    rival_row(t, g, own, 1, row, sizeof row);
    int failed = tune_set_rows(t, own);
    if (!failed && clmoe_context_tune(t->s.context, row, &error) != CLMOE_OK)
        failed = complain_clmoe("clmoe_context_tune", &error);
    if (!failed) failed = device_layer_add_varying(&t->s, host, t->args->arithmetic, device);
    if (clmoe_context_tune(t->s.context, NULL, &error) != CLMOE_OK)
        failed = complain_clmoe("clmoe_context_tune", &error);
    return failed;
}

/* One expert of the layer's sizes tells. */
int tune_find_clblast(tuner *t) {
    model one = model_by_numbers();
    tune_setting own;
    host_layer host = {0};
    device_layer device = {0};
    int chosen = 0;
    t->no_clblast[0] = '\0';
    if (strstr(t->gemms[TUNE_UP].key, " f32 f32 ") == NULL) {
        snprintf(t->no_clblast, sizeof t->no_clblast, "multiplies weights in f32 only");
        return 0;
    }
    one.hidden_size = t->host->shape->hidden_size;
    one.intermediate_size = t->host->shape->intermediate_size;
    one.num_experts = one.top_k = 1;
    tune_shipped(t, &own);
    const int failed = host_layer_make(&one, t->host->format, 1, &host) || add_copy(t, &host, TUNE_UP, &own, &device) ||
                       is_chosen(t, device.layers[0], TUNE_UP, &chosen);
    device_layer_free(&device);
    host_layer_free(&host);
    return failed;
}

/* Whether as many copies as the library's own layers have find room. */
static int has_room(const tuner *t) {
    const model *m = t->host->shape;
    char why[160];
    uint64_t used = t->s.is_cpu ? 0 : t->shipped.copies * layer_bytes(m, t->host->format);
    for (size_t i = 0; i < t->run_count; i++) used += row_bytes(m, t->rows[i].tokens);
    return possible_copies(&t->s, m, t->host->format, t->args->arithmetic, t->shipped.copies, used, why, sizeof why) ==
           t->shipped.copies;
}

/* The layers with GEMM g through CLBlast, right at every number of tokens. Likewise. */
static int make(tuner *t, size_t g, const tune_setting *own, tune_layers *made) {
    int failed = 0;
    memset(made, 0, sizeof *made);
    progress("%s %s: %s through CLBlast: making the weights", t->host->shape->name, format_name(t->host->format),
             t->gemms[g].stage);
    for (uint32_t i = 0; i < t->shipped.copies && !failed; i++)
        failed = add_copy(t, t->host, g, own, &made->device);
    for (size_t i = 0; i < t->run_count && !failed; i++) {
        t->runs[i].device = &made->device;
        failed = row_run_check(&t->runs[i]);
        t->wrong += failed != 0;
    }
    return failed;
}

/* Whole percents, of which below 100 says: faster beyond doubt. */
static uint32_t percent_of(const tune_ratio *ratio) {
    const double percent = round(100 * ratio->median);
    if (tune_is_faster(ratio)) return (uint32_t)(percent < 1 ? 1 : percent > 99 ? 99 : percent);
    return (uint32_t)(percent < 100 ? 100 : percent > MOST ? MOST : percent);
}

static int time_one(tuner *t, size_t g, const tune_setting *own, tune_layers *ours, double seconds,
                    tune_rival *rival) {
    tune_layers made;
    tune_ratio ratios[TUNE_TIMES];
    int chosen = 0;
    int failed = make(t, g, own, &made) || is_chosen(t, made.device.layers[0], (uint32_t)g, &chosen);
    if (!failed && chosen) {
        progress("%s %s: %s through CLBlast, %.0f s", t->host->shape->name, format_name(t->host->format),
                 t->gemms[g].stage, seconds);
        failed = tune_compare(t, ours, &made, TUNE_ROUNDS, now_seconds() + seconds, ratios);
        rival->ratio = ratios[TUNE_WALL];
        if (!failed && rival->ratio.rounds >= MIN_ROUNDS)
            rival_row(t, g, own, percent_of(&rival->ratio), rival->row, sizeof rival->row);
    }
    device_layer_free(&made.device);
    return failed;
}

int tune_time_clblast(tuner *t, const tune_setting *own, double seconds, tune_rival rivals[TUNE_GEMMS]) {
    tune_layers ours = {0};
    const size_t count = tune_is_one_row(t) ? 1 : TUNE_GEMMS;
    memset(rivals, 0, TUNE_GEMMS * sizeof *rivals);
    if (t->no_clblast[0] != '\0') return 0;
    if (!has_room(t)) {
        snprintf(t->no_clblast, sizeof t->no_clblast, "there is no memory for the weights in its layout");
        return 0;
    }
    int failed = tune_layers_make(t, own, &ours) != 0;
    for (size_t g = 0; g < count && !failed; g++)
        failed = time_one(t, g, own, &ours, seconds / (double)count, &rivals[g]);
    tune_layers_free(&ours);
    return failed;
}
