/* One layer, from file to file: everything that can be wrong with files and arguments is found before the device is
 * opened, but for numbers that are not finite, which packing finds. Calls the library. */
#include <stdlib.h>

#include "progress.h"
#include "run.h"

/* All that a run holds, freed in one place. */
typedef struct job {
    const run_args *args;
    clmoe_model *model;
    clmoe_model_layer info;
    run_input input;
    run_device device;
    clmoe_weights *weights;
    clmoe_layer *layer;
    run_result result;
    double seconds[PARTS];
} job;

static void close_job(job *j) {
    run_result_free(&j->result);
    clmoe_layer_destroy(j->layer);
    clmoe_weights_destroy(j->weights);
    run_device_close(&j->device);
    clmoe_model_destroy(j->model);
    run_input_close(&j->input);
}

static int open_files(job *j) {
    const run_args *args = j->args;
    clmoe_error error = {.struct_size = sizeof error};
    int status = run_input_open(args->input, &j->input);
    if (status != 0) return status;
    if (clmoe_model_open(args->model, &j->model, &error) != CLMOE_OK) return run_failed(args->model, &error);
    status = run_output_check(args, &j->input, j->model);
    if (status != 0) return status;
    j->info.struct_size = sizeof j->info;
    if (clmoe_model_get_layer(j->model, args->layer, &j->info, &error) != CLMOE_OK)
        return run_failed(args->model, &error);
    return run_input_fits(args->input, &j->input, &j->info);
}

static int open_device(job *j) { return run_device_open(j->args->device, &j->device); }

static void show_progress(void *user, uint64_t done, uint64_t total) {
    static const char bar[] = "##############################";
    const uint32_t width = sizeof bar - 1, *layer = user;
    if (total == 0) return;
    const double part = (double)done / (double)total;
    const int full = (int)(part * width);
    progress("layer %u: [%.*s%*s] %3.0f%% of %.1f MiB", *layer, full, bar, (int)width - full, "", 100 * part,
             (double)total / 1048576);
}

static int load_weights(job *j) {
    const run_args *args = j->args;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_model_weights_desc desc;
    clmoe_model_weights_desc_default(&desc, sizeof desc);
    desc.format = args->format;
    desc.arithmetic = args->arithmetic;
    desc.progress = show_progress;
    desc.progress_user = &j->info.layer;
    const clmoe_status status =
        clmoe_model_weights_create(j->model, args->layer, j->device.context, &desc, &j->weights, &error);
    progress_clear();
    return status == CLMOE_OK ? 0 : run_failed(args->model, &error);
}

static int make_layer(job *j) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_layer_desc desc = j->info.desc;
    desc.x_format = j->input.x->dtype->format;
    progress("layer %u: kernels", j->info.layer);
    const clmoe_status status = clmoe_layer_create(j->device.context, j->weights, &desc, &j->layer, &error);
    progress_clear();
    return status == CLMOE_OK ? 0 : run_failed(j->args->model, &error);
}

static int forward(job *j) { return run_forward(&j->device, j->layer, &j->info, &j->input, &j->result, j->seconds); }

static int write_output(job *j) { return run_output_write(j->args->output, &j->input, &j->result); }

/* What the weights are to be kept in: as asked, else as the files have it, bf16 where that is a source only. NONE where
 * it depends on the scales of fp8. */
static uint32_t kept_format(const job *j) {
    if (j->args->format != 0) return j->args->format;
    const uint32_t format = j->info.format;
    if (format == CLMOE_F8_E4M3) return CLMOE_FORMAT_NONE;
    const int kept = format == CLMOE_F32 || format == CLMOE_F16 || (format >= CLMOE_Q8_0 && format <= CLMOE_NVFP4) ||
                     format >= CLMOE_U4_G32;
    return kept ? format : CLMOE_BF16;
}

static int report(const job *j) {
    size_t length = 0;
    clmoe_layer_describe(j->layer, NULL, 0, &length, NULL);
    char *variants = calloc(1, length + 1);
    if (variants == NULL) return complain("out of memory");
    clmoe_layer_describe(j->layer, variants, length + 1, NULL, NULL);
    run_report r = {.args = j->args,
                    .model = {.struct_size = sizeof r.model},
                    .layer = &j->info,
                    .input = &j->input,
                    .device = j->device.name,
                    .variants = variants,
                    .format = kept_format(j),
                    .weight_bytes = clmoe_weights_bytes(j->weights)};
    clmoe_model_get_info(j->model, &r.model, NULL);
    for (int i = 0; i < PARTS; i++) r.seconds[i] = j->seconds[i];
    const int status = run_report_print(&r);
    free(variants);
    return status;
}

/* The parts in order, each timed; the first that fails ends it. */
static int work(job *j) {
    const struct {
        enum run_part part;
        int (*step)(job *j);
    } steps[] = {{PART_OPEN, open_files},  {PART_DEVICE, open_device}, {PART_WEIGHTS, load_weights},
                 {PART_LAYER, make_layer}, {PARTS, forward},           {PART_WRITE, write_output}};
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        const double begin = now_seconds();
        const int status = steps[i].step(j);
        if (status != 0) return status;
        if (steps[i].part != PARTS) j->seconds[steps[i].part] = now_seconds() - begin; /* forward times itself */
    }
    return report(j);
}

int run_layer(const run_args *args) {
    job j = {.args = args};
    progress_start(args->quiet);
    const int status = work(&j);
    close_job(&j);
    return status;
}
