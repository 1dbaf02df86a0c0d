/* Packing weights on the device. Host sources pass through one staging buffer in slabs: whole panels of an expert's
 * outputs, or runs of k where the source has k as its rows; device sources are read in place. */
#include <string.h>

#include "matrix.h"
#include "opencl/private_run.h"

#define STAGING_LIMIT (64u << 20)
#define STAGING_USUAL (16u << 20)
#define K_RUN         64 /* of cl/pack_weights.cl */

/* One expert's matrix as the kernel reads it: strides in elements from the first element of (out 0, k 0). */
typedef struct pack_source {
    const unsigned char *host; /* NULL: device */
    clmoe_buffer buffer;
    uint32_t element_bytes;
    uint64_t out_stride, k_stride;
} pack_source;

/* What does not change while a part is packed. */
typedef struct pack_job {
    clmoe__packer *packer;
    clmoe__private_run private_run;
    clmoe__kernel kernel;
    const clmoe__block *shards; /* of the target */
    uint64_t panels_per_shard;
    uint32_t panels, outs, features, lane_begin, lane_count;
} pack_job;

static pack_source expert_source(const clmoe__matrix_part *part, const clmoe_tensor *tensor, uint32_t features,
                                 uint32_t expert) {
    const int out_in = tensor->layout == CLMOE_OUT_IN;
    const uint64_t row = tensor->row_stride != 0 ? tensor->row_stride : out_in ? features : part->stored_rows;
    const uint64_t rows = out_in ? part->stored_rows : features;
    const uint64_t stride = tensor->expert_stride != 0 ? tensor->expert_stride : rows * row;
    pack_source s = {NULL,
                     {0},
                     clmoe__format_bytes(tensor->format),
                     out_in ? row * part->row_step : part->row_step,
                     out_in ? 1 : row};
    const uint64_t first = (uint64_t)part->row_begin * (out_in ? row : 1);
    if (tensor->host != NULL) {
        s.host = (const unsigned char *)tensor->host + (expert * stride + first) * s.element_bytes;
    } else if (tensor->host_list != NULL) {
        s.host = (const unsigned char *)tensor->host_list[expert] + first * s.element_bytes;
    } else if (tensor->buffer_list != NULL) {
        s.buffer = tensor->buffer_list[expert];
        s.buffer.offset += first * s.element_bytes;
    } else {
        s.buffer = tensor->buffer;
        s.buffer.offset += (expert * stride + first) * s.element_bytes;
    }
    return s;
}

/* Launches the kernel for outs [out_begin, out_end) and k [k_begin, k_end), which start at `from`, shard by shard. */
static void launch_piece(pack_job *job, uint32_t group, const clmoe_buffer *from, const pack_source *source,
                         uint32_t out_begin, uint32_t out_end, uint32_t k_begin, uint32_t k_end) {
    clmoe__run *run = &job->private_run.run;
    for (uint32_t out = out_begin; out < out_end;) {
        const uint64_t index = (uint64_t)group * job->panels + out / job->lane_count;
        const uint64_t shard = index / job->panels_per_shard, place = index % job->panels_per_shard;
        const uint64_t room = (job->panels_per_shard - place) * job->lane_count;
        const uint32_t outs = (uint32_t)clmoe__min(clmoe__min(out_end - out, room), 65535ull * job->lane_count);
        const size_t local_size = job->packer->context->device.is_cpu ? 1 : 16;
        const size_t local[2] = {local_size, 1};
        const size_t global[2] = {(size_t)clmoe__div_up(outs, job->lane_count) * local_size,
                                  (size_t)clmoe__div_up(k_end - k_begin, K_RUN)};
        clmoe__run_kernel(run, &job->kernel);
        clmoe_buffer piece = *from;
        piece.offset += (out - out_begin) * source->out_stride * source->element_bytes;
        clmoe__run_buffer(run, &piece, source->element_bytes);
        clmoe__run_u64(run, source->out_stride);
        clmoe__run_u64(run, source->k_stride);
        clmoe__run_mem(run, job->shards[shard].mem);
        clmoe__run_u64(run, place);
        clmoe__run_u32(run, outs);
        clmoe__run_u32(run, k_begin);
        clmoe__run_u32(run, k_end);
        clmoe__run_u32(run, job->features);
        clmoe__run_u32(run, job->lane_begin);
        clmoe__run_u32(run, job->lane_count);
        clmoe__run_launch(run, 2, global, local);
        out += outs;
    }
}

/* Copies the smallest host range that holds the piece to the staging buffer and packs it from there. */
static void pack_host_piece(pack_job *job, uint32_t group, const pack_source *source, uint32_t out_begin,
                            uint32_t out_end, uint32_t k_begin, uint32_t k_end) {
    const uint64_t first = out_begin * source->out_stride + k_begin * source->k_stride;
    const uint64_t last = (out_end - 1) * source->out_stride + (k_end - 1) * source->k_stride;
    const clmoe_buffer staging = clmoe_cl_mem(job->packer->staging.mem, 0);
    clmoe__run_write(&job->private_run.run, &staging, source->host + first * source->element_bytes,
                     (last - first + 1) * source->element_bytes);
    launch_piece(job, group, &staging, source, out_begin, out_end, k_begin, k_end);
}

/* How many lines (outs or k) of `stride` elements fit in the staging buffer, in whole `step`s; grows it to hold one step. */
static clmoe_status slab_lines(clmoe__packer *packer, uint64_t stride, uint32_t step, uint32_t bytes, const char *name,
                               uint32_t *lines, clmoe_error *error) {
    const uint64_t needed = clmoe__mul(clmoe__mul(stride, step), bytes);
    if (needed > STAGING_LIMIT)
        return clmoe__fail(error, CLMOE_UNSUPPORTED, name,
                           "row_stride is %llu elements: %u rows exceed %u MiB of staging", (unsigned long long)stride,
                           step, STAGING_LIMIT >> 20);
    const uint64_t wanted = clmoe__min(clmoe__max(STAGING_USUAL, needed), packer->context->device.max_alloc_bytes);
    if (packer->staging.bytes < wanted) {
        clmoe__pool_free(packer->context, &packer->staging, NULL);
        TRY(clmoe__pool_alloc(packer->context, wanted, &packer->staging, error));
    }
    const uint64_t fit = packer->staging.bytes / (stride * bytes) / step * step;
    if (fit == 0)
        return clmoe__fail(error, CLMOE_OUT_OF_DEVICE_MEMORY, name, "no room for %llu bytes of staging",
                           (unsigned long long)needed);
    *lines = (uint32_t)clmoe__min(fit, UINT32_MAX / 2 / step * step);
    return CLMOE_OK;
}

static clmoe_status pack_expert(pack_job *job, uint32_t group, const pack_source *source, int out_in, const char *name,
                                clmoe_error *error) {
    if (source->host == NULL) {
        launch_piece(job, group, &source->buffer, source, 0, job->outs, 0, job->features);
        return CLMOE_OK;
    }
    uint32_t lines;
    if (out_in) {
        TRY(slab_lines(job->packer, source->out_stride, job->lane_count, source->element_bytes, name, &lines, error));
        for (uint32_t out = 0; out < job->outs; out += lines)
            pack_host_piece(job, group, source, out, (uint32_t)clmoe__min((uint64_t)out + lines, job->outs), 0,
                            job->features);
    } else {
        TRY(slab_lines(job->packer, source->k_stride, K_RUN, source->element_bytes, name, &lines, error));
        for (uint32_t k = 0; k < job->features; k += lines)
            pack_host_piece(job, group, source, 0, job->outs, k,
                            (uint32_t)clmoe__min((uint64_t)k + lines, job->features));
    }
    return CLMOE_OK;
}

/* Packs one tensor of a part: the matrix, or the bias as a matrix with one k. */
static clmoe_status pack_tensor(pack_job *job, const clmoe__matrix *matrix, const clmoe__matrix_part *part,
                                const clmoe_tensor *tensor, const char *name, uint32_t format, uint32_t arithmetic,
                                clmoe_error *error) {
    clmoe__packer *packer = job->packer;
    clmoe__options options = {{0}, 0};
    clmoe__options_add(&options, " -DSOURCE_FORMAT=%u -DWEIGHT_FORMAT=%u -DARITHMETIC=%u -DPANEL_LANES=%u",
                       tensor->format, format, arithmetic, matrix->lanes);
    TRY(clmoe__kernel_create(packer->context, "pack_weights.cl", "pack_weights", &options, "pack", &job->kernel,
                             error));
    clmoe_status status = clmoe__private_run_begin(&job->private_run, packer->context, error);
    if (status == CLMOE_OK) {
        for (uint32_t g = 0; g < matrix->groups && status == CLMOE_OK && job->private_run.run.status == CLMOE_OK; g++) {
            const pack_source source = expert_source(part, tensor, job->features, g);
            status = pack_expert(job, g, &source, tensor->layout == CLMOE_OUT_IN, name, error);
            if (status == CLMOE_OK && source.host != NULL && part->last_reader && packer->released != NULL)
                packer->released(packer->released_user, name, g);
        }
        if (status != CLMOE_OK) clmoe__run_fail(&job->private_run.run, status);
        status = clmoe__private_run_end(&job->private_run);
    }
    clmoe__kernel_destroy(packer->context, &job->kernel);
    for (uint32_t g = 0; status == CLMOE_OK && tensor->host == NULL && tensor->host_list == NULL && g < matrix->groups;
         g++)
        if (part->last_reader && packer->released != NULL) packer->released(packer->released_user, name, g);
    return status;
}

clmoe_status clmoe__pack(clmoe__packer *packer, clmoe__matrix *matrix, const clmoe__matrix_part *part,
                         clmoe_error *error) {
    pack_job job = {0};
    job.packer = packer;
    job.panels = matrix->panels;
    job.outs = matrix->out_features;
    job.lane_begin = part->lane_begin;
    job.lane_count = part->lane_count;
    job.shards = matrix->shards;
    job.panels_per_shard = matrix->panels_per_shard;
    job.features = matrix->in_features;
    TRY(pack_tensor(&job, matrix, part, part->tensor, part->name, matrix->format, matrix->arithmetic, error));
    if (matrix->bias.mem == NULL) return CLMOE_OK;
    job.shards = &matrix->bias;
    job.panels_per_shard = UINT64_MAX;
    job.features = 1;
    clmoe_tensor bias = *part->bias; /* [rows] is a matrix [rows, 1] */
    if (bias.layout == CLMOE_OUT_IN || bias.row_stride == 0) bias.row_stride = 1;
    bias.layout = CLMOE_OUT_IN;
    return pack_tensor(&job, matrix, part, &bias, part->bias_name, CLMOE_F32, CLMOE_ARITHMETIC_F32, error);
}

void clmoe__packer_destroy(clmoe__packer *packer) { clmoe__pool_free(packer->context, &packer->staging, NULL); }
